"""One table of classification tasks: score with interval, baselines, before → after, published figures.

Run: python -m benchmarks.classification_table --data DIR [--only NAME …]
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import (
    benchmark_parser,
    data_file,
    machine_facts,
    print_table,
    public_model,
    read_result,
    write_result,
)


@dataclass(frozen=True)
class Entry:
    """One data set: what is trained on, what is judged on, the settings and the published figure.

    `dev` is None where the data set has no dev split: Tunesmith then holds out its own from train.
    `published` says where its figure was read; "remembered" ones must be verified before they are quoted.
    """

    epochs: int
    learning_rate: float
    published: str
    dev: str | None = "dev.jsonl"
    seed: int = 13
    more: dict[str, Any] = field(default_factory=dict)


TABLE = {
    "banking77": Entry(
        epochs=10,
        learning_rate=5e-4,
        dev=None,
        more={
            "data.dev_fraction": 0.1,
            "task.pooling": "mean",
            "train.layer_decay": 0.7,
            "train.batch_size": 32,
        },
        published="BERT-large, tuned: accuracy 0.937 (Casanueva et al. 2020; remembered)",
    ),
    "financial_phrasebank": Entry(
        epochs=4,
        learning_rate=2e-4,
        published="FinBERT: accuracy 0.86, F1 0.84, another split (Araci 2019; remembered)",
    ),
    "stsb": Entry(
        epochs=5,
        learning_rate=2e-4,
        published="BERT-Small / Medium: Spearman 0.770 / 0.784, GLUE server (google-research/bert README)",
    ),
    "mrpc": Entry(
        epochs=4,
        learning_rate=2e-4,
        published="BERT-Small / Medium: accuracy 0.762 / 0.816, GLUE server (google-research/bert README)",
    ),
    "goemotions": Entry(
        epochs=4,
        learning_rate=5e-4,
        more={
            "evaluate.metric": "macro_f1",
            "task.threshold": 0.3,
            "task.pooling": "mean",
            "train.layer_decay": 0.8,
            "train.batch_size": 32,
        },
        published="BERT-base-cased: macro-F1 0.503 (monologg/GoEmotions-pytorch README)",
    ),
}
RESULT = "classification"


def settings_of(name: str, model: str) -> dict[str, Any]:
    """Return everything that an entry of the result depends on."""
    entry = TABLE[name]
    return {
        "model": public_model(model),
        "train.epochs": entry.epochs,
        "train.learning_rate": entry.learning_rate,
        "train.seed": entry.seed,
        **entry.more,
    }


def run(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fit one data set, judge it on its test split and return what the table keeps."""
    entry = TABLE[name]
    options: dict[str, str | Path] = {
        "task": "text-classification",
        "model": arguments.model,
        "train": data_file(arguments.data, name, "train.jsonl"),
        "method": "full",
    }
    if entry.dev:
        options["dev"] = data_file(arguments.data, name, entry.dev)
    settings = settings_of(name, arguments.model)
    changes = {key: value for key, value in settings.items() if key != "model"}
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(arguments.out or temporary, name)
        command_s = tunesmith_cli.fit({**options, "out": out}, changes)
        test = tunesmith_cli.evaluate(out, data_file(arguments.data, name, "test.jsonl"))
        return {
            "settings": settings,
            "published": entry.published,
            "command_s": command_s,
            "machine": machine_facts(),
            "dev": without_classes(tunesmith_cli.metrics(out)),
            "test": without_classes(test),
        }


def without_classes(metrics: dict[str, Any]) -> dict[str, Any]:
    """Drop the per-class table and the confusion matrix, and the folder of the file: the result stays readable."""
    kept = {key: value for key, value in metrics.items() if key not in ("per_class", "confusion")}
    return {**kept, "split": Path(metrics["split"]).name}


def headline(metrics: dict[str, Any]) -> str:
    """Return `name value (low–high)` of a metrics document.

    >>> headline({"headline": "accuracy", "scores": {"accuracy": {"value": 0.9, "low": 0.88, "high": 0.92}}})
    'accuracy 0.900 (0.880–0.920)'
    """
    name = metrics["headline"]
    score = metrics["scores"][name]
    return f"{name} {score['value']:.3f} ({score['low']:.3f}–{score['high']:.3f})"


def baselines(metrics: dict[str, Any]) -> str:
    """Return each baseline's headline figure; the frozen trunk's probe among them is "before fine-tuning".

    >>> baselines({"headline": "accuracy", "baselines": {"majority": {"accuracy": {"value": 0.5}}}})
    'majority 0.500'
    """
    found = metrics.get("baselines") or {}
    figures = {name: scores.get(metrics["headline"]) for name, scores in found.items()}
    return ", ".join(f"{name} {figure['value']:.3f}" for name, figure in figures.items() if figure)


def show(sets: dict[str, Any]) -> None:
    """Print what is measured so far, in the table's order."""
    print_table(
        "Classification, test split, 95 % intervals; the baselines' own split: see the JSON",
        ["data set", "fine-tuned", "baselines", "published", "seconds"],
        [
            [
                name,
                headline(sets[name]["test"]),
                baselines(sets[name]["test"]) or baselines(sets[name]["dev"]),
                sets[name]["published"],
                f"{sets[name]['command_s']:.0f}",
            ]
            for name in TABLE
            if name in sets
        ],
    )


def missing(sets: dict[str, Any], model: str) -> list[str]:
    """Return the data sets that were not measured yet, or were with other settings than the table's."""
    return [name for name in TABLE if sets.get(name, {}).get("settings") != settings_of(name, model)]


def measure(arguments: argparse.Namespace) -> None:
    """Measure the data sets asked for, or those that are missing, writing after each; the others stay."""
    earlier = read_result(RESULT)
    sets = dict(earlier["sets"]) if earlier else {}
    for name in arguments.only or missing(sets, arguments.model):
        sets[name] = run(name, arguments)
        write_result(RESULT, {"sets": sets})
    show(sets)


def main() -> None:
    """Read the command line and measure."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--only", nargs="+", choices=list(TABLE), help="measure these (again)")
    parser.add_argument("--out", metavar="DIR", help="keep the run folders here; an interrupted one goes on")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
