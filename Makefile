# Needs only make and Python 3.11 or newer. `make` alone lists the targets.
#   make demo PYTHON=python3.12                another interpreter
#   make demo PIP_ARGS="--index-url URL"       another package index (README: PyTorch without CUDA)
#   make test PYTEST_ARGS="-k packing"         some of the tests
#   make bench-train DATA=DIR                  DIR holds conll2003/ and sst2/; of bench-pretrain lm_tinyshakespeare/, of bench-translate multi30k_en_de/;
#                                              of bench-fewshot ag_news/, banking77/ and financial_phrasebank/

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
PIP_ARGS ?=
PYTEST_ARGS ?=
DATA ?= $(TUNESMITH_BENCH_DATA)
BENCH_ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format wheel bench-train bench-pretrain bench-translate bench-fewshot clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

setup: $(STAMP)  ## install everything into .venv, once

demo: $(STAMP)  ## fine-tune on the sample texts: before and after, predictions, next commands
	$(BIN)/tunesmith demo

test: $(STAMP)  ## run the tests
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

check: $(STAMP)  ## lint, format check, strict types, tests with warnings as errors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

format: $(STAMP)  ## format the code and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: $(STAMP)  ## build dist/*.whl
	$(BIN)/python -m build --wheel

bench-train: $(STAMP)  ## training speed beside a textbook loop and transformers.Trainer
	$(BIN)/python -m benchmarks.bench_train --data $(DATA) $(BENCH_ARGS)

bench-pretrain: $(STAMP)  ## a character model of tinyshakespeare: loss and seconds
	$(BIN)/python -m benchmarks.pretrain_shakespeare --data $(DATA) $(BENCH_ARGS)

bench-translate: $(STAMP)  ## English to German from nothing: BLEU, seconds, tokens a second
	$(BIN)/python -m benchmarks.translate --data $(DATA) $(BENCH_ARGS)

bench-fewshot: $(STAMP)  ## 8, 16 and 64 labelled rows a class, beside SetFit where it is installed: accuracy, seconds, plot
	$(BIN)/python -m benchmarks.few_shot --data $(DATA) $(BENCH_ARGS)
	$(BIN)/python -m benchmarks.few_shot_plot docs/few_shot.svg

clean:  ## remove build outputs and caches; keeps .venv and your runs
	rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Written last, so that an interrupted installation is taken up again.
$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: '$(PYTHON)' is no Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/pip || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@touch $@
