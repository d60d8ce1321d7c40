"""SST-2 dev accuracy of full fine-tuning: transformers.Trainer and Tunesmith, one recipe, several seeds.

Both: AdamW, weight decay 0.01, batches of 64, linear schedule with 6 % warm-up, clipping at 1.0, at most
128 tokens, bf16, the weights of the last step (none picked on dev). The peer groups by length.

Run: python -m benchmarks.sst2 --data DIR --way peer
     python -m benchmarks.sst2 --data DIR --way tunesmith
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import (
    benchmark_parser,
    class_ids,
    data_file,
    kept_entries,
    machine_facts,
    model_folder,
    print_table,
    public_model,
    read_jsonl,
    write_result,
)
from tunesmith.evaluation.intervals import wilson_interval

MAX_TOKENS = 128


def entry(hits: int, rows: int, train_s: float, trained_rows: float) -> dict[str, Any]:
    """Return what one seed's run is kept as."""
    low, high = wilson_interval(hits, rows)
    return {
        "accuracy": hits / rows,
        "low": low,
        "high": high,
        "dev_rows": rows,
        "train_s": train_s,
        "sentences_per_s": trained_rows / train_s,
    }


def run_peer(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train and judge transformers.Trainer with one seed."""
    from benchmarks.peers import Recipe, pick_device, trainer_fit

    train = read_jsonl(data_file(arguments.data, "sst2", "train.jsonl"))[: arguments.rows]
    dev = read_jsonl(data_file(arguments.data, "sst2", "dev.jsonl"))
    ids, names = class_ids(row["label"] for row in train + dev)
    rows = [{"text": row["text"], "label": label} for row, label in zip(train + dev, ids, strict=True)]
    recipe = Recipe(
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        seed=seed,
        device=pick_device(arguments.device),
        bf16=True,
        sampling="group_by_length",
        max_tokens=MAX_TOKENS,
    )
    model = model_folder(arguments.model)
    predicted, gold, seconds = trainer_fit(model, (rows[: len(train)], rows[len(train) :]), len(names), recipe)
    hits = sum(answer == right for answer, right in zip(predicted, gold, strict=True))
    return entry(hits, len(gold), seconds, len(train) * arguments.epochs)


def tunesmith_settings(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Return the recipe as `--set` options."""
    return {
        "train.epochs": arguments.epochs,
        "train.learning_rate": arguments.learning_rate,
        "train.batch_size": arguments.batch_size,
        "train.weight_decay": 0.01,
        "train.warmup": 0.06,
        "train.schedule": "linear",
        "train.clip": 1.0,
        "train.seed": seed,
        "train.device": arguments.device,
        "model.max_tokens": MAX_TOKENS,
        "evaluate.per_epoch": 1 / arguments.epochs,  # once, at the end: the peer picks no weights either
        "evaluate.baselines": "false",
    }


def run_tunesmith(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train and judge Tunesmith with one seed, through its command line."""
    if arguments.rows is not None:
        raise SystemExit("--rows shortens the training set for a quick look at the peer only")
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(arguments.out or temporary, f"sst2-seed-{seed}")
        options = {
            "task": "text-classification",
            "model": arguments.model,
            "train": data_file(arguments.data, "sst2", "train.jsonl"),
            "dev": data_file(arguments.data, "sst2", "dev.jsonl"),
            "method": "full",
            "out": out,
        }
        command_s = tunesmith_cli.fit(options, tunesmith_settings(arguments, seed))
        return tunesmith_entry(tunesmith_cli.metrics(out), command_s)


def tunesmith_entry(metrics: dict[str, Any], command_s: float) -> dict[str, Any]:
    """Return what one seed's run is kept as, from the folder's metrics.json.

    `command_s` times the whole command, reading and writing included; `fit_s` is what metrics.json says.
    """
    accuracy = metrics["scores"]["accuracy"]
    return {
        "accuracy": accuracy["value"],
        "low": accuracy["low"],
        "high": accuracy["high"],
        "dev_rows": accuracy["n"],
        "command_s": command_s,
        "fit_s": metrics["seconds"],
    }


RUNNERS = {"peer": run_peer, "tunesmith": run_tunesmith}


def summarise(seeds: dict[str, Any]) -> dict[str, Any]:
    """Return mean, standard deviation and range of the seeds' accuracies."""
    values = [seed["accuracy"] for seed in seeds.values()]
    return {
        "mean_accuracy": statistics.fmean(values),
        "deviation": statistics.stdev(values) if len(values) > 1 else None,
        "lowest": min(values),
        "highest": max(values),
    }


def measure(arguments: argparse.Namespace) -> None:
    """Run the seeds that are not there yet, writing after each."""
    from benchmarks.peers import pick_device

    device = pick_device(arguments.device)
    name = arguments.name or f"sst2_{arguments.way}_{device}"
    kept = ("way", "model", "epochs", "learning_rate", "batch_size", "rows")
    settings = {**{key: getattr(arguments, key) for key in kept}, "device": device}
    settings["model"] = public_model(arguments.model)
    seeds = kept_entries(name, "seeds", settings)
    for seed in arguments.seeds:
        if str(seed) not in seeds:
            seeds[str(seed)] = {**RUNNERS[arguments.way](arguments, seed), "machine": machine_facts()}
            write_result(name, {"settings": settings, "summary": summarise(seeds), "seeds": seeds})
    show(name, seeds)


def show(name: str, seeds: dict[str, Any]) -> None:
    """Print the seeds and their mean."""
    rows = [
        [seed, f"{run['accuracy']:.4f}", f"{run['low']:.3f}–{run['high']:.3f}", f"{run_seconds(run):.0f}"]
        for seed, run in seeds.items()
    ]
    rows.append(["mean", f"{summarise(seeds)['mean_accuracy']:.4f}", "", ""])
    print_table(name, ["seed", "dev accuracy", "95 % interval", "seconds"], rows)


def run_seconds(run: dict[str, Any]) -> float:
    """Return the seconds to show of one seed's run."""
    return run["train_s"] if "train_s" in run else run["fit_s"]


def main() -> None:
    """Read the command line and measure."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--way", choices=sorted(RUNNERS), required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 14, 15])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rows", type=int, help="train the peer on the first rows only, for a quick look")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out", metavar="DIR", help="keep Tunesmith's run folders here; an interrupted run goes on")
    parser.add_argument("--name", help="the result's name under results/; default: sst2_<way>_<device>")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
