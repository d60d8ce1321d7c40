"""Relations on SemEval-2010 Task 8: fit on the training file, judge the official score on the test file.

The score is `relation_f1`: F1 of the nine relations, their direction taken into account, without Other.

Run: python -m benchmarks.semeval --data DIR [--seeds 13 14 15] [--epochs 6] [--max-steps N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import benchmark_parser, data_file, load_average, print_table, write_result

DATA = "semeval2010_task8"
KEPT = ("relation_f1", "relation_micro_f1", "accuracy", "macro_f1")
GOAL = 0.84


def settings_of(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """What `tunesmith fit` is called with."""
    found = {
        "train.epochs": arguments.epochs,
        "train.learning_rate": arguments.learning_rate,
        "train.batch_size": 16,
        "train.seed": seed,
        "task.pooling": arguments.pooling,
        "task.head": arguments.head,
    }
    return found | ({"train.max_steps": arguments.max_steps} if arguments.max_steps else {})


def run(files: dict[str, Path], model: str, settings: dict[str, Any], kept: Path | None) -> dict[str, Any]:
    """One fit, judged on the test file; its time includes the competitors. Without `kept` its folder is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        out = (kept or Path(folder)) / f"semeval-{settings['train.seed']}"
        options = {"task": "relation-extraction", "model": model, "method": "full", "out": out}
        seconds = tunesmith_cli.fit({**options, "train": files["train"]}, settings)
        test = tunesmith_cli.evaluate(out, files["test"])
        steps = tunesmith_cli.metrics(out)["best_step"]
    scores = {name: test["scores"][name] for name in KEPT}
    rivals = {name: rival["relation_f1"]["value"] for name, rival in test["baselines"].items()}
    return {
        "command_s": seconds,
        "best_step": steps,
        "scores": scores,
        "baselines": rivals,
        "per_relation": test["per_relation"],
        "load": load_average(),
    }


def measure(arguments: argparse.Namespace) -> None:
    """One run a seed, written after each."""
    files = {name: data_file(arguments.data, DATA, f"{name}.jsonl") for name in ("train", "test")}
    runs: dict[str, Any] = {}
    for seed in arguments.seeds:
        settings = settings_of(arguments, seed)
        runs[str(seed)] = run(files, arguments.model, settings, arguments.folder)
        values = [one["scores"]["relation_f1"]["value"] for one in runs.values()]
        summary = {"mean_relation_f1": sum(values) / len(values), "goal": GOAL, "reached": min(values) >= GOAL}
        write_result(arguments.name, {"settings": settings, "summary": summary, "runs": runs})
    rows = []
    for seed, one in runs.items():
        score = one["scores"]["relation_f1"]
        interval = f"{score['value']:.4f} [{score['low']:.4f}, {score['high']:.4f}]"
        rivals = [f"{one['baselines'].get(name, float('nan')):.3f}" for name in ("tfidf", "frozen")]
        rows.append([seed, interval, *rivals, f"{one['command_s']:.0f} s"])
    print_table("SemEval-2010 Task 8, test", ["seed", "relation_f1", "TF-IDF", "frozen", "whole command"], rows)


def main() -> None:
    """Read the command line and measure."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--seeds", type=int, nargs="+", default=[13])
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--pooling", choices=["entities", "standard"], default="entities")
    parser.add_argument("--head", choices=["standard", "mlp"], default="standard")
    parser.add_argument("--max-steps", type=int, help="stop early, to try the script")
    parser.add_argument("--folder", metavar="DIR", type=Path, help="keeps the models")
    parser.add_argument("--name", default="semeval", help="of the file in results/")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
