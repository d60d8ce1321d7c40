"""A small story teller learns to answer: generated dialogues on who has what and where, with names and things held out.

The base model is a decoder that has read children's stories and no dialogue. Perplexity is that of the contents of the
assistant's turns alone; the token that ends a turn, which is soon learnt, is left out. No name, no thing and no place
of the test stands in a training row.

Run: python -m benchmarks.chat --model FOLDER
     FOLDER is the model
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import HelpFormat, print_table, write_result

RESULT = "chat"
FACTOR = 2.0
"""Perplexity on held-out dialogues falls at least so many times."""
MOST_S = 180.0
TEST_ROWS = 100
NAMES = ["Lily", "Tom", "Ben", "Mia", "Sam", "Anna", "Max", "Sue", "Tim", "Lucy", "Jack", "Mom"]
THINGS = ["ball", "cat", "book", "car", "cake", "hat", "dog", "toy", "bird", "doll", "box", "fish"]
PLACES = ["park", "house", "garden", "kitchen", "forest", "shop", "school", "room"]
MANNERS = ["big", "red", "little", "blue", "happy", "old"]
HELD_OUT = 3
"""The last so many names, things and places are for the test."""


def dialogue(name: str, thing: str, place: str, manner: str, way: int) -> list[dict[str, str]]:
    """A dialogue of two questions, in one of two orders."""
    told = f"{name} has a {manner} {thing} in the {place}."
    asked = [
        ("Who has it?", f"{name} has the {thing}."),
        ("Where is it?", f"The {thing} is in the {place}."),
        ("What does it look like?", f"It is a {manner} {thing}."),
    ]
    (first, one), (second, two) = asked[way % 3], asked[(way + 1) % 3]
    said = [f"{told} {first}", one, second, two]
    return [{"role": role, "content": text} for role, text in zip(itertools.cycle(["user", "assistant"]), said)]


def make_rows(count: int, seed: int, *, held_out: bool) -> list[dict[str, Any]]:
    """Different dialogues in a drawn order."""
    parts = [part[-HELD_OUT:] if held_out else part[:-HELD_OUT] for part in (NAMES, THINGS, PLACES)]
    every = list(itertools.product(*parts, MANNERS, range(3)))
    return [{"messages": dialogue(*chosen)} for chosen in random.Random(seed).sample(every, count)]


def content_perplexity(model: Any, task: Any, rows: Sequence[dict[str, Any]]) -> float:
    """Perplexity of the assistant's tokens but for those that end a turn."""
    from tunesmith import inference
    from tunesmith.contracts import IGNORED, Labels
    from tunesmith.tasks.chat_sequences import find_end, measure_turns

    items = task.encode([task.Row.model_validate(row) for row in rows], inference.make_context(model, Labels(())))
    end = find_end(model.tokenizer)
    bare = [replace(item, target=tuple(IGNORED if token == end else token for token in item.target)) for item in items]
    found = measure_turns(model, bare)
    return math.exp(sum(nll for nll, _, _ in found) / sum(tokens for _, tokens, _ in found))


def measure(arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Make the dialogues, fine-tune, judge before and after."""
    from tunesmith import api, base_models
    from tunesmith.contracts import Labels
    from tunesmith.model_loading import load_model

    test = make_rows(TEST_ROWS, 1, held_out=True)
    files = {"train": make_rows(arguments.train_rows, 2, held_out=False), "test": test}
    for name, content in files.items():
        lines = "".join(json.dumps(row) + "\n" for row in content)
        (scratch / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    options = {"task": "chat", "model": arguments.model, "train": scratch / "train.jsonl", "out": scratch / "run"}
    settings = {"train.epochs": arguments.epochs, "train.seed": arguments.seed, "task.max_new_tokens": 24}
    settings |= {"evaluate.per_epoch": 1, "train.batch_size": 16}
    seconds = tunesmith_cli.fit(options, settings)
    judged = tunesmith_cli.evaluate(scratch / "run", scratch / "test.jsonl")
    tuned = api.load(scratch / "run")
    base = load_model(base_models.resolve(str(arguments.model)), tuned.task.head(Labels(()))).eval()
    before, after = (content_perplexity(model, tuned.task, test) for model in (base, tuned.model))
    asked = [{"messages": row["messages"][:-1]} for row in test]
    answers = [answer.answer for answer in tuned.predict(asked)]
    right = [row["messages"][-1]["content"] for row in test]
    return {
        "train_rows": arguments.train_rows,
        "test_rows": TEST_ROWS,
        "settings": settings,
        "seed": arguments.seed,
        "content_perplexity": {"before": before, "after": after, "factor": before / after},
        "perplexity": {"before": judged["baselines"]["frozen"]["perplexity"], "after": judged["scores"]["perplexity"]},
        "gain": judged["gain"],
        "last_answer_exact": sum(map(str.__eq__, answers, right)) / len(right),
        "command_s": seconds,
        "passed": before / after >= FACTOR and seconds <= MOST_S,
    }


def main() -> None:
    """Measure, write results/chat.json; fails where perplexity does not fall far enough, or not fast enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormat, allow_abbrev=False)
    parser.add_argument("--model", required=True, help="folder of a decoder")
    parser.add_argument("--train-rows", type=int, default=600)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = measure(arguments, Path(name))
    print(write_result(RESULT, result))
    found = result["content_perplexity"]
    print_table("perplexity of what the assistant says", ["", ""], [[key, f"{found[key]:.2f}"] for key in found])
    if not result["passed"]:
        raise SystemExit(f"wanted a fall by a factor of {FACTOR} within {MOST_S:.0f} s")


if __name__ == "__main__":
    main()
