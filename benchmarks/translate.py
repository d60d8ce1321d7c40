"""English to German from nothing: Multi30k, joint vocabulary, three and three layers, beam search, BLEU of sacrebleu.

`tunesmith new` makes the untrained model from the training rows, `tunesmith fit` trains it, `tunesmith evaluate` writes
the test translations with four beams. All three are whole commands; the limit is on the sum of the first two.

Run: python -m benchmarks.translate --data DIR [--epochs 8] [--folder DIR keeps the model]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import benchmark_parser, data_file, print_table, write_result

RESULT = "translate"
SET = "multi30k_en_de"
WANTED_BLEU, LIMIT_S = 30.0, 3600.0
VOCABULARY = 8000
DROPOUT = {"model.options.dropout": 0.1, "model.options.attention_dropout": 0.1}


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is set for `tunesmith fit`."""
    return {
        "task.label_smoothing": 0.1,
        "task.headline": "bleu",
        "task.beams": 4,
        "task.max_new_tokens": 80,
        "train.epochs": arguments.epochs,
        "train.batch_tokens": arguments.batch_tokens,
        "train.learning_rate": arguments.learning_rate,
        "train.beta2": 0.98,
        "train.seed": arguments.seed,
        "evaluate.baselines": "false",
    }


def curve(folder: Path) -> list[dict[str, float]]:
    """Step, seconds of training so far and loss of the development rows at each look."""
    seconds, looks = 0.0, []
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        seconds += entry.get("seconds", 0.0)
        if "dev" in entry:
            looks.append({"step": entry["step"], "train_s": seconds, "dev_loss": entry["dev"]["loss"]})
    return looks


def tokens_per_s(folder: Path) -> float:
    """Tokens of both languages a second, over all steps."""
    lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    steps = [entry for entry in lines if "tokens" in entry]
    return sum(entry["tokens"] for entry in steps) / sum(entry["seconds"] for entry in steps)


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make, train and judge one model."""
    train, dev, test = (data_file(arguments.data, SET, f"{name}.jsonl") for name in ("train", "dev", "test"))
    base, out = folder / "untrained", folder / "model"
    began = time.perf_counter()
    if not base.exists():
        tunesmith_cli.new(
            train,
            base,
            {"architecture": "bart", "size": "mini", "vocabulary": VOCABULARY},
            {"model.max_tokens": 256, **DROPOUT},
        )
    options = {"task": "text-to-text", "model": base, "train": train, "dev": dev, "out": out}
    tunesmith_cli.fit(options, settings(arguments))
    fit_s = time.perf_counter() - began
    judging = time.perf_counter()
    judged = tunesmith_cli.evaluate(out, test)
    facts = tunesmith_cli.metrics(out)
    fit_s = max(fit_s, facts["seconds"])  # of a finished model that was found
    return {
        "settings": settings(arguments),
        "scores": judged["scores"],
        "baselines": judged["baselines"],
        "signature": judged["signature"],
        "command_s": fit_s,
        "evaluate_s": time.perf_counter() - judging,
        "tokens_per_s": tokens_per_s(out),
        "curve": curve(out),
        "steps": facts["steps"],
        "best_step": facts["best_step"],
        "passed": judged["scores"]["bleu"]["value"] >= WANTED_BLEU and fit_s <= LIMIT_S,
    }


def main() -> None:
    """Measure, write results/translate.json; fails below the wanted score or above the limit."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--epochs", type=float, default=8.0)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--folder", metavar="DIR", type=Path, help="keeps the model; goes on from it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = measure(arguments, arguments.folder or Path(name))
    print(write_result(RESULT, result))
    bleu = result["scores"]["bleu"]
    rows = [[f"{bleu['value']:.1f} [{bleu['low']:.1f}, {bleu['high']:.1f}]", f"{result['command_s'] / 60:.0f} min"]]
    print_table(f"Multi30k en→de, {result['signature']}", ["BLEU", "new + fit"], rows)
    if not result["passed"]:
        raise SystemExit(f"wanted {WANTED_BLEU} within {LIMIT_S / 60:.0f} minutes")


if __name__ == "__main__":
    main()
