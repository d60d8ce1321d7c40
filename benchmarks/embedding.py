"""Text vectors before and after fine-tuning: STS-B by Spearman's correlation, Banking77 by recall at 5.

STS-B: scored pairs; trained on train, the best weights picked on dev, judged on test. Banking77: labelled texts;
trained on train (a tenth of it held out to pick the weights), judged on test leaving one out: each test text is
searched among all other test texts, and is found where one of its intent is among the nearest five. Before is the base
model itself.

Run: python -m benchmarks.embedding --data DIR
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import (
    benchmark_parser,
    data_file,
    kept_entries,
    machine_facts,
    print_table,
    public_model,
    write_result,
)

SETS: dict[str, dict[str, Any]] = {
    "stsb": {"metric": "spearman", "dev": "dev.jsonl", "settings": {}},
    "banking77": {"metric": "recall_at_5", "dev": None, "settings": {"task.kind": "labels"}},
}
"""Data sets; each has a train.jsonl and a test.jsonl."""


def run(arguments: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """Fit, and judge on the test rows."""
    facts = SETS[name]
    settings = {
        "train.epochs": arguments.epochs,
        "train.seed": seed,
        "model.max_tokens": 128,
        "evaluate.baselines": "true",
        **facts["settings"],
    }
    if arguments.learning_rate is not None:
        settings["train.learning_rate"] = arguments.learning_rate
    if arguments.max_steps is not None:
        settings["train.max_steps"] = arguments.max_steps
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(arguments.out or temporary, f"embedding-{name}-{seed}")
        options = {
            "task": "embedding",
            "model": arguments.model,
            "train": data_file(arguments.data, name, "train.jsonl"),
            "method": arguments.method,
            "out": out,
        }
        if facts["dev"] is not None:
            options["dev"] = data_file(arguments.data, name, facts["dev"])
        command_s = tunesmith_cli.fit(options, settings)
        found = tunesmith_cli.evaluate(out, data_file(arguments.data, name, "test.jsonl"))
    return entry(found, facts["metric"], command_s)


def entry(found: dict[str, Any], metric: str, command_s: float) -> dict[str, Any]:
    """Return what one run is kept as: the score before and after, that of TF-IDF, the gain, all other scores."""
    return {
        "metric": metric,
        "before": found["baselines"]["frozen"][metric],
        "after": found["scores"][metric],
        "tfidf": found["baselines"]["tfidf"][metric],
        "gain": found["gain"],
        "scores": found["scores"],
        "before_scores": found["baselines"]["frozen"],
        "command_s": command_s,
    }


def measure(arguments: argparse.Namespace) -> None:
    """Run what is not there yet, writing after each run."""
    kept = ("epochs", "learning_rate", "max_steps", "method")
    settings = {**{key: getattr(arguments, key) for key in kept}, "model": public_model(arguments.model)}
    runs = kept_entries(arguments.name, "runs", settings)
    for name in arguments.sets:
        for seed in arguments.seeds:
            if f"{name} {seed}" not in runs:
                runs[f"{name} {seed}"] = {**run(arguments, name, seed), "machine": machine_facts()}
                write_result(arguments.name, {"settings": settings, "runs": runs})
    show(arguments.name, runs)


def show(title: str, runs: dict[str, Any]) -> None:
    """Print before and after of each run."""
    rows = []
    for name, found in runs.items():
        before, after, gain = (found[key]["value"] for key in ("before", "after", "gain"))
        low, high = (found["gain"][key] for key in ("low", "high"))
        figures = [f"{found['tfidf']['value']:.4f}", f"{before:.4f}", f"{after:.4f}"]
        rows.append([f"{name} {found['metric']}", *figures, f"{gain:+.4f} [{low:+.4f}, {high:+.4f}]"])
    print_table(title, ["data, seed, score", "TF-IDF", "before", "after", "gain, 95 % interval"], rows)


def main() -> None:
    """Read the command line and measure."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--sets", nargs="+", choices=sorted(SETS), default=sorted(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[13])
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--learning-rate", type=float, help="instead of the rule's")
    parser.add_argument("--max-steps", type=int, help="end earlier, for a quick look")
    parser.add_argument("--method", default="full")
    parser.add_argument("--out", metavar="DIR", help="keep the run folders here; an interrupted run goes on")
    parser.add_argument("--name", default="embedding", help="the result's name under results/")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
