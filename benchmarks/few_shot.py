"""Few labelled rows: `--few-shot contrastive`, SetFit itself and a probe of frozen vectors, on the same draws.

A draw is so many rows a class of a train split, by a seed of its own; every arm gets the same file and one thread, and
is judged on the whole test split. A cell is one arm on one draw; each is written when it is done, so that the same
command goes on where it was stopped. What is set by default was chosen on other draws, judged on other train rows.

Run: python -m benchmarks.few_shot --data DIR [--sets ag_news --shots 8 --draws 0 1 --arms setfit]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import (
    benchmark_parser,
    data_file,
    draw_rows,
    machine_facts,
    print_table,
    public_model,
    read_jsonl,
    read_result,
    write_result,
    write_rows,
)
from benchmarks.few_shot_summary import OURS, summarize

RESULT = "few_shot"
DRAWS = {"ag_news": {8: 10}, "banking77": {8: 3, 16: 3, 64: 3}, "financial_phrasebank": {8: 3, 16: 3, 64: 3}}
"""Rows a class of each data set, and how often they are drawn."""
FEWEST = ("setfit", "texts_alone")
"""Arms that are measured with the fewest rows only, unless more is asked for."""
MOST_STEPS = 1000
ITERATIONS = 20
PAIRS_A_STEP = 16


@dataclass(frozen=True)
class Cell:
    """One arm on one draw."""

    data: str
    shots: int
    draw: int
    arm: str

    @property
    def key(self) -> str:
        """The cell's name in the result."""
        return f"{self.data} {self.shots} {self.draw} {self.arm}"


# --- arms ------------------------------------------------------------------------------------------------


def setfit(cell: Cell, arguments: argparse.Namespace, train: Path, test: Path) -> dict[str, Any]:
    """SetFit in a process of its own; pairs as in its paper, ended at the steps that a cell may have."""
    del cell
    words = ["--train", str(train), "--test", str(test), "--model", arguments.model, "--iterations", str(ITERATIONS)]
    whole_steps = math.ceil(len(read_jsonl(train)) * 2 * ITERATIONS / PAIRS_A_STEP)
    if whole_steps > MOST_STEPS:  # its trainer takes a limit as the number of steps, above an epoch as well
        words += ["--max-steps", str(MOST_STEPS)]
    command = [sys.executable, "-m", "benchmarks.setfit_peer", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}")
    return json.loads(done.stdout)


def contrastive(cell: Cell, arguments: argparse.Namespace, train: Path, test: Path) -> dict[str, Any]:
    """`tunesmith fit --few-shot contrastive` with nothing else set, and `tunesmith predict`."""
    del cell
    return _fit_and_predict(arguments, train, test, {})


def texts_alone(cell: Cell, arguments: argparse.Namespace, train: Path, test: Path) -> dict[str, Any]:
    """The same without the names of the classes, which SetFit does not read either."""
    del cell
    return _fit_and_predict(arguments, train, test, {"few_shot.class_names": "false"})


def _fit_and_predict(
    arguments: argparse.Namespace, train: Path, test: Path, settings: dict[str, Any]
) -> dict[str, Any]:
    out, answers = train.with_name("model"), train.with_name("answers.jsonl")
    words = {"train": train, "model": arguments.model, "few-shot": "contrastive", "out": out}
    fit_s = tunesmith_cli.fit(words, settings)
    began = time.perf_counter()
    command = [*tunesmith_cli.program(), "predict", str(out), "--in", str(test), "--out", str(answers)]
    if code := subprocess.run(command, check=False).returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {code}")
    return {
        "answers": [row["prediction"]["label"] for row in read_jsonl(answers)],
        "train_s": fit_s,
        "predict_s": time.perf_counter() - began,
        "steps": tunesmith_cli.metrics(out)["steps"],
    }


def probe(cell: Cell, arguments: argparse.Namespace, train: Path, test: Path) -> dict[str, Any]:
    """The same head on the vectors of the untouched base model: what no training of the trunk gives."""
    from sklearn.linear_model import LogisticRegression

    rows = read_jsonl(train)
    asked = _frozen_test(cell.data, arguments.model, test)
    head = LogisticRegression(max_iter=1000).fit(_unit_vectors(arguments.model, rows), [row["label"] for row in rows])
    return {"answers": [str(answer) for answer in head.predict(asked)]}


FROZEN: dict[str, Any] = {}
"""Vectors of test rows by data set: all draws of it are asked the same."""


def _frozen_test(data: str, model: str, test: Path) -> Any:
    if data not in FROZEN:
        FROZEN[data] = _unit_vectors(model, read_jsonl(test))
    return FROZEN[data]


def _unit_vectors(model: str, rows: Sequence[dict[str, Any]]) -> Any:
    """Mean token vectors of the base model, brought to length 1: (N, D)."""
    import numpy as np

    from tunesmith import base_models, inference
    from tunesmith.contracts import HeadSpec, Labels
    from tunesmith.model_loading import load_model
    from tunesmith.tasks.token_sequences import encode_texts

    trunk = load_model(base_models.resolve(model), HeadSpec(kind="vectors", names=(), pooling="mean"))
    context = inference.make_context(trunk, Labels(()))
    items = encode_texts([(row["text"],) for row in rows], [None] * len(rows), context, 0)
    vectors = inference.row_features(trunk, items, inference.BATCH_TOKENS)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


ARMS: dict[str, Callable[[Cell, argparse.Namespace, Path, Path], dict[str, Any]]] = {
    "setfit": setfit,
    "contrastive": contrastive,
    "texts_alone": texts_alone,
    "probe": probe,
}
"""Name of an arm → what trains on one file and answers the other: `answers` in order, and seconds."""


# --- cells -----------------------------------------------------------------------------------------------


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """Yield the cells asked for, the arms of a draw one after the other."""
    for data, sizes in DRAWS.items():
        for shots, draws in sizes.items():
            for draw in range(draws):
                if data in arguments.sets and shots in arguments.shots and draw in (arguments.draws or range(draws)):
                    arms = [arm for arm in arguments.arms if arm not in FEWEST or shots in arguments.fewest_shots]
                    yield from (Cell(data, shots, draw, arm) for arm in arms)


def measure(cell: Cell, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one cell; returns its seconds, its accuracy and which test rows it answered rightly."""
    train, test = (read_jsonl(data_file(arguments.data, cell.data, f"{part}.jsonl")) for part in ("train", "test"))
    with tempfile.TemporaryDirectory() as folder:
        given = write_rows(Path(folder, "few.jsonl"), draw_rows(train, cell.shots, f"{cell.data} draw {cell.draw}"))
        asked = write_rows(Path(folder, "test.jsonl"), test)
        began, used = time.perf_counter(), cpu_seconds()
        found = ARMS[cell.arm](cell, arguments, given, asked)
        command_s, cpu_s = time.perf_counter() - began, cpu_seconds() - used
    right = [answer == row["label"] for answer, row in zip(found.pop("answers"), test, strict=True)]
    return {
        **found,
        "accuracy": sum(right) / len(right),
        "command_s": command_s,
        "cpu_s": cpu_s,
        "rows": len(right),
        "right": packed_bits(right),
        "machine": machine_facts(),
    }


def cpu_seconds() -> float:
    """Return the processor time of this process and of those it waited for: what a busy machine does not lengthen."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def packed_bits(right: Sequence[bool]) -> str:
    """Return a row a bit, as hexadecimal digits, the first row in the highest bit.

    >>> packed_bits([True, False, True])
    '5'
    """
    return f"{int(''.join('1' if bit else '0' for bit in right), 2):x}"


def unpacked_bits(text: str, rows: int) -> list[bool]:
    """Return what `packed_bits` wrote.

    >>> unpacked_bits("5", 3)
    [True, False, True]
    """
    return [digit == "1" for digit in f"{int(text, 16):0{rows}b}"]


def kept_cells() -> dict[str, Any]:
    """Return the cells measured so far."""
    return dict((read_result(RESULT) or {"cells": {}})["cells"])


def main() -> None:
    """Measure the cells that are missing, writing after each."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--sets", nargs="+", choices=list(DRAWS), default=list(DRAWS))
    parser.add_argument("--shots", nargs="+", type=int, default=[8, 16, 64])
    parser.add_argument("--draws", nargs="+", type=int, help="only these of the draws")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--fewest-shots", nargs="+", type=int, default=[8], help=f"{', '.join(FEWEST)}: only these")
    arguments = parser.parse_args()
    if "setfit" in arguments.arms and importlib.util.find_spec("setfit") is None:
        print("SetFit is not installed and left out: pip install setfit", file=sys.stderr)
        arguments.arms = [arm for arm in arguments.arms if arm != "setfit"]
    for cell in cells(arguments):
        if cell.key not in kept_cells():
            found = measure(cell, arguments)
            measured = {**kept_cells(), cell.key: found}
            model = public_model(arguments.model)
            write_result(RESULT, {"model": model, "summary": summarize(measured), "cells": measured})
            print(cell.key, f"{found['accuracy']:.4f}", f"{found['command_s']:.0f} s", flush=True)
    show(summarize(kept_cells()))


def show(summary: dict[str, Any]) -> None:
    """Print the means of each arm and the differences to SetFit."""
    rows = []
    for place, arms in summary.items():
        means = [
            f"{100 * arms[arm]['mean']:.1f} ± {100 * arms[arm]['deviation']:.1f}" if arm in arms else "–"
            for arm in ("probe", "setfit", "texts_alone", "contrastive")
        ]
        rows.append([place, *means, *(_gain(arms.get("differences", {}).get(arm)) for arm in OURS)])
    head = ["probe", "SetFit", "texts alone", "with names", "texts alone − SetFit", "with names − SetFit"]
    print_table("Few rows: accuracy, %", ["data, rows a class", *head], rows)


def _gain(found: dict[str, Any] | None) -> str:
    return "–" if found is None else f"{found['value']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"


if __name__ == "__main__":
    main()
