"""Tuning methods side by side on one classification and one tagging set: score, seconds, parameters, bytes.

SST-2 (5,000 rows) and CoNLL-2003 (3,000 sentences). Each method at three learning rates, its default and a third and
three times that, with one seed; the rate with the best development score then with two seeds more. Test rows choose
nothing.

Run: python -m benchmarks.methods_table --data DIR [--only METHOD …]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Mapping
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
from tunesmith.methods import METHODS

RESULT = "methods"
SETS: dict[str, dict[str, Any]] = {
    "sst2": {
        "task": "text-classification",
        "epochs": 3,
        "train": ("train.jsonl", 0, 5_000),
        "dev": ("train.jsonl", 5_000, 6_000),
        "test": ("dev.jsonl", 0, None),
    },
    "conll2003": {
        "task": "token-classification",
        "epochs": 4,
        "train": ("train.conll", 0, 3_000),
        "dev": ("dev.conll", 0, 1_000),
        "test": ("test.conll", 0, None),
    },
}
"""Of a set: rows by split, as the file, and the first and the one behind the last of its rows in a drawn order.

SST-2 publishes no labels of its test rows, so its development rows test here, and other training rows choose.
"""
DRAW_SEED = 13
SEEDS = (13, 14, 15)
RATES = {"third": 1 / 3, "default": 1.0, "triple": 3.0}
Tried = tuple[str, Mapping[str, Any]]
"""A method, and its settings."""
VARIANTS: dict[str, Tried] = {
    "rslora": ("lora", {"method.rank": 32, "method.rank_stabilized": "true"}),
    "dora": ("lora", {"method.decomposed": "true"}),
    "lora_plus": ("lora", {"method.b_rate_factor": 16}),
    "pfeiffer": ("adapter", {"method.placement": "pfeiffer"}),
}
"""What is looked at under a name of its own."""
TRIED: dict[str, Tried] = {**{name: (name, {}) for name in METHODS}, **VARIANTS}
WEIGHTS = ("*.safetensors",)


def split_file(data: Path, name: str, split: str, folder: Path) -> Path:
    """Write the rows of a split, drawn by seed, and return the file."""
    file, first, behind = SETS[name][split]
    whole = data_file(data, name, file)
    between = "\n\n" if whole.suffix == ".conll" else "\n"
    rows = whole.read_text(encoding="utf-8").strip().split(between)
    if behind is not None:
        order = random.Random(DRAW_SEED).sample(range(len(rows)), len(rows))
        rows = [rows[place] for place in sorted(order[first:behind])]
    part = folder / f"{split}{whole.suffix}"
    part.write_text(between.join(rows) + "\n", encoding="utf-8")
    return part


def run(arguments: argparse.Namespace, name: str, tried: Tried, seed: int, rate: float | None) -> dict[str, Any]:
    """Fit once, judge on development and test rows, and weigh what was written."""
    method, options = tried
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train, dev, test = (split_file(arguments.data, name, split, folder) for split in ("train", "dev", "test"))
        out = folder / "run"
        settings = {"train.epochs": SETS[name]["epochs"], "train.seed": seed, "evaluate.baselines": "false", **options}
        settings |= {} if rate is None else {"train.learning_rate": rate}
        words = {"task": SETS[name]["task"], "model": arguments.model, "method": method, "train": train, "dev": dev}
        command_s = tunesmith_cli.fit({**words, "out": out}, settings)
        judged, stored = tunesmith_cli.evaluate(out, test), tunesmith_cli.facts(out)
        chosen_by = tunesmith_cli.metrics(out)
        return {
            "headline": judged["headline"],
            **judged["scores"][judged["headline"]],
            "dev": chosen_by["scores"][chosen_by["headline"]]["value"],
            "command_s": command_s,
            "learning_rate": stored["learning_rate"]["value"],
            "trainable_parameters": stored["trainable_parameters"],
            "weights_bytes": sum(path.stat().st_size for pattern in WEIGHTS for path in out.glob(pattern)),
            "machine": machine_facts(),
        }


def measure(arguments: argparse.Namespace) -> None:
    """Run what is not there yet, writing after each run."""
    settings = {"model": public_model(arguments.model), "sets": SETS, "seeds": SEEDS, "rates": list(RATES)}
    runs = kept_entries(RESULT, "runs", settings)

    def run_once(name: str, tried: str, rate: str, seed: int, value: float | None) -> dict[str, Any]:
        key = f"{name}/{tried}/{rate}/{seed}"
        if key not in runs:
            runs[key] = run(arguments, name, TRIED[tried], seed, value)
            write_result(RESULT, {"settings": settings, "runs": runs, "methods": summary(runs)})
        return runs[key]

    for tried in arguments.only or TRIED:
        for name in arguments.sets:
            default = run_once(name, tried, "default", SEEDS[0], None)["learning_rate"]
            for rate, factor in RATES.items():
                run_once(name, tried, rate, SEEDS[0], default * factor)
            best = best_rate(runs, f"{name}/{tried}")
            for seed in SEEDS[1:]:
                run_once(name, tried, best, seed, default * RATES[best])
    write_result(RESULT, {"settings": settings, "runs": runs, "methods": summary(runs)})
    show(summary(runs))


def best_rate(runs: Mapping[str, Mapping[str, Any]], prefix: str) -> str:
    """The rate with the best development score; of equals the one nearest the default."""
    return max(("default", "third", "triple"), key=lambda rate: runs[f"{prefix}/{rate}/{SEEDS[0]}"]["dev"])


def summary(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """By set and method, where all seeds are there: the mean of the test scores, its spread, and what it cost."""
    found = {}
    for prefix in dict.fromkeys(key.rsplit("/", 2)[0] for key in runs):
        if not all(f"{prefix}/{rate}/{SEEDS[0]}" in runs for rate in RATES):
            continue
        rate = best_rate(runs, prefix)
        if not all(f"{prefix}/{rate}/{seed}" in runs for seed in SEEDS):
            continue
        chosen = [runs[f"{prefix}/{rate}/{seed}"] for seed in SEEDS]
        values = [one["value"] for one in chosen]
        found[prefix] = {
            "headline": chosen[0]["headline"],
            "mean": statistics.mean(values),
            "standard_deviation": statistics.stdev(values),
            "rate": rate,
            "learning_rate": chosen[0]["learning_rate"],
            "command_s": statistics.median(one["command_s"] for one in chosen),
            "trainable_parameters": chosen[0]["trainable_parameters"],
            "weights_bytes": chosen[0]["weights_bytes"],
        }
    return found


def show(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a line a method."""
    columns = ["set / method", "test score", "rate", "seconds", "trained parameters", "MB written"]
    rows = [
        [
            key,
            f"{one['mean']:.3f} ± {one['standard_deviation']:.3f}",
            f"{one['learning_rate']:.1e} ({one['rate']})",
            f"{one['command_s']:.0f}",
            f"{one['trainable_parameters']:,}",
            f"{one['weights_bytes'] / 1e6:.2f}",
        ]
        for key, one in found.items()
    ]
    print_table("methods", columns, rows)


def main() -> None:
    """Read the command line and measure."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--only", nargs="+", choices=sorted(TRIED), help="these methods only")
    parser.add_argument("--sets", nargs="+", choices=sorted(SETS), default=sorted(SETS), help="these sets only")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
