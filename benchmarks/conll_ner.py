"""Named entities on CoNLL-2003: `tunesmith fit` beside transformers.Trainer, whole processes, one after the other.

Both: three epochs of full fine-tuning, batches of 16, 3e-4, a look at the development file after each epoch, the best
weights written. Tunesmith's time includes its competitors and intervals. Judged on the test file, which is not timed.

Run: python -m benchmarks.conll_ner --data DIR [--rounds 1]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import benchmark_parser, data_file, load_average, machine_facts, print_table, write_result

RESULT = "conll_ner"
SETTINGS = {"train.epochs": 3, "train.learning_rate": 3e-4}


def run_peer(files: dict[str, Path], model: str, out: Path) -> dict[str, Any]:
    """Time the Trainer's process, without its look at the test file."""
    words = [f"--{name}={path}" for name, path in files.items()]
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.conll_peer", *words, f"--out={out}", f"--model={model}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - began
    found = json.loads(done.stdout.splitlines()[-1])
    return {"command_s": seconds - found["test_s"], "test_entity_f1": found["test_entity_f1"]}


def run_tunesmith(files: dict[str, Path], model: str, out: Path) -> dict[str, Any]:
    """Time `tunesmith fit`; `tunesmith evaluate` judges on the test file."""
    options = {"task": "token-classification", "model": model, "method": "full", "out": out}
    seconds = tunesmith_cli.fit({**options, "train": files["train"], "dev": files["dev"]}, SETTINGS)
    test = tunesmith_cli.evaluate(out, files["test"])
    kept = {key: test[key] for key in ("scores", "baselines", "per_class", "per_word_tag", "gain")}
    return {"command_s": seconds, "test_entity_f1": test["scores"]["entity_f1"]["value"], **kept}


WAYS = {"peer": run_peer, "tunesmith": run_tunesmith}


def measure(arguments: argparse.Namespace) -> None:
    """Run the rounds, the ways taking turns, writing after each."""
    files = {name: data_file(arguments.data, "conll2003", f"{name}.conll") for name in ("train", "dev", "test")}
    rounds: list[dict[str, Any]] = []
    for _ in range(arguments.rounds):
        runs = {}
        for way, run in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                runs[way] = {**run(files, arguments.model, Path(folder, way)), "load": load_average()}
        rounds.append(runs)
        ratios = [runs["peer"]["command_s"] / runs["tunesmith"]["command_s"] for runs in rounds]
        summary = {"times_as_fast": statistics.median(ratios), "ratios": ratios}
        write_result(RESULT, {"settings": SETTINGS, "summary": summary, "rounds": rounds, "machine": machine_facts()})
    rows = [
        [way, f"{runs[way]['command_s']:.0f} s", f"{runs[way]['test_entity_f1']:.4f}"]
        for runs in rounds
        for way in WAYS
    ]
    print_table(
        f"CoNLL-2003, {summary['times_as_fast']:.2f} × as fast", ["way", "whole command", "test entity_f1"], rows
    )


def main() -> None:
    """Read the command line and measure."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=1)
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
