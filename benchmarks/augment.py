"""Does `tunesmith augment` help where labels are few? AG News, 8 and 16 rows a class, with and without, same draws.

A draw is so many rows a class of the train split, by a seed of its own. Both arms are fitted with the same settings and
for the same number of steps, so that more rows do not mean more training; the weights of the last step are taken. The
development rows, one a class that no draw holds, only tell `fit` the classes. Judged on every fourth test row. Each
cell, one arm on one draw, is written when it is done, and the same command goes on. The number of steps was chosen
without new rows, with `--pilot`: on another draw, judged on 1,000 train rows (0.765 with 40 steps, 0.745 with 120).

Run: python -m benchmarks.augment --data DIR [--shots 8 --draws 0 1]
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import tempfile
from collections.abc import Mapping, Sequence
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

RESULT = "augment"
SET = "ag_news"
SHOTS = (8, 16)
DRAWS = 10
STEPS = 40
COPIES = 4
"""Of each row by each way: eight new rows."""
ARMS: dict[str, tuple[str, ...]] = {"none": (), "words": ("deletion", "swap")}
"""Name of an arm → the ways by which new rows are made."""
EVERY = 4
"""Of so many test rows one is answered."""
PILOT_ROWS = 1000
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Student's t at 97.5 % by degrees of freedom."""


def measure(arguments: argparse.Namespace, shots: int, draw: int, arm: str) -> dict[str, Any]:
    """Run one cell; returns accuracy, rows trained on and seconds."""
    train = read_jsonl(data_file(arguments.data, SET, "train.jsonl"))
    drawn = draw_rows(train, shots, f"{'pilot' if arguments.pilot else 'augment'} {SET} {shots} {draw}")
    texts = {row["text"] for row in drawn}
    rest = [row for row in train if row["text"] not in texts]
    if arguments.pilot:
        asked = random.Random(f"judge {draw}").sample(rest, PILOT_ROWS)
    else:
        asked = read_jsonl(data_file(arguments.data, SET, "test.jsonl"))[::EVERY]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = write_rows(folder / "few.jsonl", drawn)
        if ARMS[arm]:
            options = {"ways": ",".join(ARMS[arm]), "copies": COPIES, "seed": draw}
            tunesmith_cli.augment(given, folder / "more.jsonl", options)
            given = folder / "more.jsonl"
        dev = write_rows(folder / "dev.jsonl", draw_rows(rest, 1, f"dev {draw}"))
        settings = {
            "train.max_steps": arguments.steps,
            "train.epochs": arguments.steps,
            "train.seed": draw,
            "evaluate.steps": arguments.steps,
            "evaluate.baselines": "false",
            "evaluate.calibration": "none",
            "output.report": "none",
        }
        out = folder / "model"
        seconds = tunesmith_cli.fit({"train": given, "dev": dev, "model": arguments.model, "out": out}, settings)
        test = write_rows(folder / "test.jsonl", asked)
        answers = tunesmith_cli.predict(out, test, folder / "answers.jsonl", "label")
        rows = len(read_jsonl(given))
    right = sum(answer == row["label"] for answer, row in zip(answers, asked, strict=True))
    return {"accuracy": right / len(asked), "rows": rows, "asked": len(asked), "fit_s": seconds, **machine_facts()}


def summarize(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Means of the arms and the paired difference over the draws that both have, with Student's 95 % interval.

    >>> cells = {f"8 {d} {arm}": {"accuracy": 0.8 + 0.01 * d + 0.1 * (arm == "words")} for d in (0, 1) for arm in ARMS}
    >>> found = summarize(cells)["8"]
    >>> round(found["difference"]["value"], 6), found["difference"]["draws"], round(found["none"]["mean"], 6)
    (0.1, 2, 0.805)
    """
    found: dict[str, Any] = {}
    for shots in dict.fromkeys(key.split()[0] for key in cells):
        scores = {arm: scores_of(cells, shots, arm) for arm in ARMS}
        found[shots] = {arm: describe(list(of.values())) for arm, of in scores.items() if of}
        shared = sorted(scores["none"].keys() & scores["words"].keys())
        gains = [scores["words"][draw] - scores["none"][draw] for draw in shared]
        if len(gains) > 1:
            half = T_95.get(len(gains) - 1, 1.96) * statistics.stdev(gains) / math.sqrt(len(gains))
            mean = statistics.fmean(gains)
            better = sum(gain > 0 for gain in gains)
            found[shots]["difference"] = {
                "value": mean, "low": mean - half, "high": mean + half, "draws": len(gains), "better": better
            }  # fmt: skip
    return found


def scores_of(cells: Mapping[str, Mapping[str, Any]], shots: str, arm: str) -> dict[int, float]:
    """Accuracy of an arm by draw."""
    keys = [key.split() for key in cells]
    wanted = [int(draw) for size, draw, name in keys if (size, name) == (shots, arm)]
    return {draw: cells[f"{shots} {draw} {arm}"]["accuracy"] for draw in wanted}


def describe(scores: Sequence[float]) -> dict[str, float]:
    """Mean and standard deviation over draws."""
    deviation = statistics.stdev(scores) if len(scores) > 1 else 0.0
    return {"mean": statistics.fmean(scores), "deviation": deviation, "draws": len(scores)}


def kept_cells() -> dict[str, Any]:
    """Return the cells measured so far."""
    return dict((read_result(RESULT) or {"cells": {}})["cells"])


def main() -> None:
    """Measure the cells that are missing, writing after each."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--shots", nargs="+", type=int, choices=SHOTS, default=SHOTS, help="rows a class")
    parser.add_argument("--draws", nargs="+", type=int, default=range(DRAWS), help="only these of the draws")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--steps", type=int, default=STEPS, help="optimizer steps of each fit")
    parser.add_argument("--pilot", action="store_true", help="other draws, judged on train rows; nothing is written")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for shots in arguments.shots:
        for draw in arguments.draws:
            for arm in arguments.arms:
                key = f"{shots} {draw} {arm}"
                if not arguments.pilot and key in kept_cells():
                    continue
                found = measure(arguments, shots, draw, arm)
                print(key, f"{found['accuracy']:.4f}", f"{found['fit_s']:.0f} s", flush=True)
                if not arguments.pilot:
                    write({**kept_cells(), key: found}, arguments)
    if not arguments.pilot:
        write(kept_cells(), arguments)  # the command that asks for all is the one that is named
        show(summarize(kept_cells()))


def write(cells: Mapping[str, Any], arguments: argparse.Namespace) -> None:
    """Write the cells measured so far, and what they say together."""
    facts = {"model": public_model(arguments.model), "steps": arguments.steps, "copies": COPIES}
    write_result(RESULT, {**facts, "summary": summarize(cells), "cells": cells})


def show(summary: Mapping[str, Any]) -> None:
    """Print the means of both arms and their difference."""
    rows = []
    for shots, found in summary.items():
        means = [
            f"{100 * found[arm]['mean']:.1f} ± {100 * found[arm]['deviation']:.1f}" for arm in ARMS if arm in found
        ]
        gain = found.get("difference")
        shown = "–" if gain is None else f"{gain['value']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
        rows.append([shots, *means, *["–"] * (len(ARMS) - len(means)), shown])
    print_table("Augmented: accuracy, %", ["rows a class", "none", "deletion, swap", "difference"], rows)


if __name__ == "__main__":
    main()
