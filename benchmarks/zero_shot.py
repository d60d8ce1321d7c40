"""How well do base models answer by themselves? AG News by descriptions of its labels, and made topics by templates.

- ag_news: `minilm` and all 7,600 test texts, once with the bare names of the labels and the usual sentence, once with
  the descriptions of benchmarks/zero_shot_ag_news.yaml. Those were written and chosen on training rows and committed
  before the test split was read for the first time.
- made: `tunesmith pretrain` trains a masked and a causal language model on made-up lines: of four topics each has
  twelve made-up words, and each line ends in saying its topic. The models see no labelled row; new texts of the same
  words are told apart by the template alone. Topics are not equally frequent in the lines, but they are in the test.
- made few: the same masked model fitted to eight labelled rows a topic, three draws: by `--few-shot pet`, and with a
  new head for as many passes.

Run: python -m benchmarks.zero_shot --data DIR [--only NAME …]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import (
    benchmark_parser,
    data_file,
    public_model,
    read_jsonl,
    read_result,
    write_result,
    write_rows,
)

RESULT = "zero_shot"
WORDINGS = Path(__file__).parent / "zero_shot_ag_news.yaml"
NAMES = ("World", "Sports", "Business", "Sci/Tech")
WANTED = {"ag_news descriptions": 0.70, "made mlm": 0.6, "made clm": 0.6}
"""Least accuracy; chance is 0.25."""
TOPICS = {"weather": 0.4, "music": 0.3, "cooking": 0.2, "trade": 0.1}
"""Topic → its share of the lines."""
WORDS_OF_TOPIC = 12
OWN_SHARE = 0.85
"""Of the words of a text, those of its own topic; the others are of any."""
FRAMES = ("the {} and the {}.", "a {} of the {}.", "no {} but a {}.")
CLOSE = "{text} This text is about {mask}."
NEW_HEAD = {"data.dev_fraction": 0, "train.epochs": 40, "train.max_steps": 250, "evaluate.steps": 250}
"""What `--few-shot pet` sets, for a new head."""
LINES = 3000
SHOTS, DRAWS = 8, 3
"""Labelled rows of each topic that few-shot learning gets, and how often they are drawn."""
TEST_ROWS = 400
"""Of each, in the made part; as many of each topic."""
SMALL = {
    "model.context_tokens": 32,
    "model.options.hidden_size": 64,
    "model.options.num_hidden_layers": 2,
    "model.options.num_attention_heads": 4,
    "model.options.intermediate_size": 128,
    "tokenizer.vocabulary": 400,
    "corpus.unit": "line",
    "train.batch_size": 16,
    "evaluate.steps": 100_000,
}
TRAINED = {
    "mlm": {"train.epochs": 60, "train.learning_rate": 3e-3, "objective.mask_rate": 0.25},
    "clm": {"train.epochs": 10, "train.learning_rate": 3e-3},
}


def made_words() -> dict[str, list[str]]:
    """The words of each topic, of made-up syllables; the same ones every time."""
    drawn = random.Random("words")
    syllables = [first + last for first in "bdfgklm" for last in "aeiou"]
    words = ["".join(three) for three in {tuple(drawn.sample(syllables, 3)) for _ in range(200)}]
    chosen = drawn.sample(sorted(words), WORDS_OF_TOPIC * len(TOPICS))
    return {topic: chosen[place :: len(TOPICS)] for place, topic in enumerate(TOPICS)}


def made_text(topic: str, drawn: random.Random) -> str:
    """A sentence on a topic."""
    words = made_words()
    every = [word for some in words.values() for word in some]
    return drawn.choice(FRAMES).format(
        *(drawn.choice(words[topic] if drawn.random() < OWN_SHARE else every) for _ in "ab")
    )


def made_lines(count: int) -> list[str]:
    """Lines that a model is trained on: a text, and what it is about."""
    drawn = random.Random("lines")
    topics = drawn.choices(list(TOPICS), list(TOPICS.values()), k=count)
    return [CLOSE.format(text=made_text(topic, drawn), mask=topic) for topic in topics]


def made_rows(count: int, seed: str = "new rows") -> list[dict[str, str]]:
    """Texts to be told apart, as many of each topic."""
    drawn = random.Random(seed)
    return [{"text": made_text(topic, drawn), "label": topic} for topic in list(TOPICS) * (count // len(TOPICS))]


def ask(model: str | Path, rows: Path, options: Sequence[str], scratch: Path) -> tuple[list[str], float]:
    """Labels that `tunesmith predict --model` gives, and its seconds; raises SystemExit when it fails."""
    out = scratch / "answers.jsonl"
    words = ["predict", "--model", str(model), "--in", str(rows), "--out", str(out), "--overwrite", *options]
    started = time.perf_counter()
    if subprocess.run([*tunesmith_cli.program(), *words], check=False).returncode:
        raise SystemExit(f"tunesmith {' '.join(words)} failed")
    return [answer["prediction"]["label"] for answer in read_jsonl(out)], time.perf_counter() - started


def judge(rows: Sequence[Mapping[str, str]], labels: Sequence[str]) -> dict[str, Any]:
    """Accuracy with its interval, and how many of each label are found."""
    from tunesmith.evaluation.intervals import bootstrap_intervals

    rights = [row["label"] == label for row, label in zip(rows, labels, strict=True)]
    counts = [{"rows": 1.0, "right": float(right)} for right in rights]
    found = bootstrap_intervals(counts, lambda total: {"accuracy": total["right"] / total["rows"]})
    names = sorted({row["label"] for row in rows})
    recall = {
        name: sum(right for row, right in zip(rows, rights, strict=True) if row["label"] == name)
        / sum(row["label"] == name for row in rows)
        for name in names
    }
    return {"rows": len(rows), "accuracy": asdict(found["accuracy"]), "recall": recall}


def ag_news(arguments: argparse.Namespace, scratch: Path, way: str) -> dict[str, Any]:
    """Judge one wording on the test split."""
    path = data_file(arguments.data, "ag_news", "test.jsonl")
    options = ["--labels", ",".join(NAMES)] if way == "names" else ["--template", str(WORDINGS)]
    labels, seconds = ask(arguments.model, path, options, scratch)
    return {"model": public_model(arguments.model), **judge(read_jsonl(path), labels), "command_s": seconds}


def made(arguments: argparse.Namespace, scratch: Path, objective: str) -> dict[str, Any]:
    """Train a small language model on made lines and judge it on new texts."""
    corpus, rows = scratch / "lines.txt", made_rows(TEST_ROWS)
    corpus.write_text("".join(f"{line}\n" for line in made_lines(LINES)), encoding="utf-8")
    path = scratch / "rows.jsonl"
    write_rows(path, rows)
    settings = {**SMALL, **TRAINED[objective]}
    trained = tunesmith_cli.pretrain([corpus], scratch / objective, ["--objective", objective], settings)
    template = CLOSE if objective == "mlm" else CLOSE.removesuffix(".")
    labels, seconds = ask(scratch / objective, path, ["--labels", ",".join(TOPICS), "--template", template], scratch)
    loss = trained["scores"]["loss"]["value"]
    return {"settings": settings, "lines": LINES, "loss": loss, **judge(rows, labels), "command_s": seconds}


def few(arguments: argparse.Namespace, scratch: Path, name: str) -> dict[str, Any]:
    """Fit the masked model to a few labelled rows, by its own head and by a new one; judged on the same texts."""
    corpus, test = scratch / "lines.txt", scratch / "rows.jsonl"
    corpus.write_text("".join(f"{line}\n" for line in made_lines(LINES)), encoding="utf-8")
    write_rows(test, made_rows(TEST_ROWS))
    tunesmith_cli.pretrain([corpus], scratch / "base", ["--objective", "mlm"], {**SMALL, **TRAINED["mlm"]})
    draws: dict[str, list[float]] = {"pet": [], "head": []}
    for draw in range(DRAWS):
        path = scratch / f"few-{draw}.jsonl"
        write_rows(path, made_rows(SHOTS * len(TOPICS), f"few rows {draw}"))
        for way, found in draws.items():
            out = scratch / f"{way}-{draw}"
            options: dict[str, str | Path] = {"model": scratch / "base", "train": path, "out": out}
            options |= {"few-shot": "pet"} if way == "pet" else {}
            tunesmith_cli.fit({**options, "task": "text-classification"}, NEW_HEAD if way == "head" else {})
            found.append(tunesmith_cli.evaluate(out, test)["scores"]["accuracy"]["value"])
    means = {way: statistics.fmean(found) for way, found in draws.items()}
    return {"rows_a_topic": SHOTS, "draws": draws, "means": means, "accuracy": {"value": means["pet"]}}


PARTS = {
    "ag_news names": ag_news,
    "ag_news descriptions": ag_news,
    "made mlm": made,
    "made clm": made,
    "made few": few,
}


def main() -> None:
    """Measure, write results/zero_shot.json; fails where a figure is below what is wanted."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    arguments = parser.parse_args()
    runs: dict[str, Any] = dict((read_result(RESULT) or {"runs": {}})["runs"])
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as scratch:
            runs[name] = PARTS[name](arguments, Path(scratch), name.partition(" ")[2])
        print(name, json.dumps(runs[name]["accuracy"]))
        write_result(RESULT, {"runs": runs})
    low = [name for name in arguments.only if runs[name]["accuracy"]["value"] < WANTED.get(name, 0)]
    if low:
        raise SystemExit(f"below what is wanted: {', '.join(low)}")


if __name__ == "__main__":
    main()
