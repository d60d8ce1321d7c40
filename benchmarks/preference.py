"""A preference that a model of stories cannot know: endings in which a child is glad before those in which it is rude.

The prompt is the beginning of a story in words that the base model has read; both endings are about the same child
and thing. A further sentence stands behind one of them, drawn for each pair, so that length tells little. Names,
things and endings of the test stand in no training row.

Run: python -m benchmarks.preference --model FOLDER
     FOLDER is a small decoder of stories, such as stories260K
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import HelpFormat, print_table, public_model, write_result

RESULT = "preference"
NAMES = ["Lily", "Tim", "Tom", "Anna", "Ben", "Sara", "Max", "Mia", "Sam", "Lucy", "Jack", "Amy"]
THINGS = ["ball", "doll", "book", "car", "hat", "box", "cake", "toy", "boat", "flower", "kite", "drum"]
GIVERS = ["mom", "dad", "friend", "sister"]
ENDINGS = {
    "train": {
        "chosen": [
            '{name} said, "Thank you, I love it!"',
            '{name} hugged {giver} and said, "Thank you so much!"',
            "{name} was happy and said thank you for the {thing}.",
        ],
        "rejected": [
            '{name} said, "No, I hate it!"',
            '{name} pushed {giver} and said, "Go away now!"',
            "{name} was angry and threw the {thing} away.",
        ],
    },
    "test": {
        "chosen": ['{name} smiled and said, "What a nice {thing}!"', "{name} gave {giver} a big hug."],
        "rejected": ['{name} cried and said, "I do not want it!"', "{name} yelled and broke the {thing}."],
    },
}
MORE = " Then they went home."
HELD_OUT = 4
"""Names and things that stand in the test only."""


def make_rows(*, test: bool) -> list[dict[str, str]]:
    """Pairs of endings; the sentence behind an ending is drawn for either side, so that length tells nothing."""
    part = slice(-HELD_OUT, None) if test else slice(None, -HELD_OUT)
    endings = ENDINGS["test" if test else "train"]
    draw = random.Random(f"preference/{test}")
    rows = []
    for name, thing, giver in itertools.product(NAMES[part], THINGS[part], GIVERS):
        words = {"name": name, "thing": thing, "giver": f"the {giver}"}
        kind, rude = (draw.choice(endings[side]).format(**words) for side in ("chosen", "rejected"))
        longer = draw.random() < 0.5
        rows.append(
            {
                "prompt": f"One day, {name} got a {thing} from a {giver}.",
                "chosen": kind + MORE * longer,
                "rejected": rude + MORE * (not longer),
            }
        )
    return rows


def measure(arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Fine-tune on pairs, judge on pairs about other children and things, before and after."""
    files = {"train": make_rows(test=False), "test": make_rows(test=True)}
    for name, rows in files.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (scratch / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    out = scratch / "run"
    options = {"task": "preference", "model": arguments.model, "train": scratch / "train.jsonl", "out": out}
    settings: dict[str, Any] = {"task.separator": '""', "task.beta": arguments.beta, "train.epochs": arguments.epochs}
    settings |= {"train.seed": arguments.seed, "evaluate.baselines": "false"}
    settings |= {"train.learning_rate": arguments.learning_rate} if arguments.learning_rate else {}
    seconds = tunesmith_cli.fit(options, settings)
    judged = tunesmith_cli.evaluate(out, scratch / "test.jsonl")
    return {
        "model": public_model(arguments.model),
        "rows": {name: len(rows) for name, rows in files.items()},
        "settings": settings,
        "before": judged["baselines"]["frozen"],
        "after": judged["scores"],
        "chosen_longer": mean(float(len(row["chosen"]) > len(row["rejected"])) for row in files["test"]),
        "gain": judged["gain"],
        "command_s": seconds,
        "passed": judged["gain"]["low"] > 0,
    }


def main() -> None:
    """Measure, write results/preference.json; fails where the interval of the gain reaches zero."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormat, allow_abbrev=False)
    parser.add_argument("--model", required=True, help="folder of a base model")
    parser.add_argument("--beta", type=float, default=0.1)
    parser.add_argument("--epochs", type=float, default=4.0)
    parser.add_argument(
        "--learning-rate", type=float, default=2e-4, help="0: that of fit, which is meant for larger models"
    )
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = measure(arguments, Path(name))
    print(write_result(RESULT, result))
    rows = [
        [name, *(f"{result[name][score]['value']:.3f}" for score in ("margin", "preference_accuracy"))]
        for name in ("before", "after")
    ]
    print_table("glad endings before rude ones", ["", "margin (nats)", "accuracy"], rows)
    if not result["passed"]:
        raise SystemExit("the interval of the gain in margin reaches zero")


if __name__ == "__main__":
    main()
