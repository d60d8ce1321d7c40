"""Real summaries from nothing: titles of Chinese abstracts (CSL) and summaries of English dialogues (DialogSum).

There are 1,000 and 500 rows to learn from and no base model that writes, so a first sentence is the one to beat. The
models are made by `tunesmith new` (bart, four layers in all, 192 wide); ROUGE is that of characters for Chinese.

Run: python -m benchmarks.summaries --data DIR [--sets csl_title dialogsum]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import benchmark_parser, data_file, kept_entries, print_table, write_result

RESULT = "summaries"
SETS: dict[str, dict[str, Any]] = {
    "csl_title": {
        "files": ("train", "test"),
        "max_tokens": 384,
        "answer": 48,
        "target": "summary",
        "kind": "characters",
    },
    "dialogsum": {"files": ("dev", "test"), "max_tokens": 512, "answer": 96, "target": "summary", "kind": "bpe"},
}
VOCABULARY = 4000


def measure(name: str, arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Train on one set and judge beside its first sentences."""
    chosen = SETS[name]
    train, test = (data_file(arguments.data, name, f"{split}.jsonl") for split in chosen["files"])
    base, out = scratch / "untrained", scratch / "model"
    columns = {"data.columns.text": "document", "data.columns.target": chosen["target"]}
    tunesmith_cli.new(
        train,
        base,
        {"size": "micro", "vocabulary": VOCABULARY},
        {
            "tokenizer.kind": chosen["kind"],
            "model.max_tokens": chosen["max_tokens"],
            "model.options.dropout": 0.2,
            **columns,
        },
    )
    settings = {
        **columns,
        "task.max_new_tokens": chosen["answer"],
        "task.no_repeat_ngram_tokens": 3,
        "task.label_smoothing": 0.1,
        "task.headline": "rouge_l",
        "train.epochs": arguments.epochs,
        "train.learning_rate": 1e-3,
        "train.seed": arguments.seed,
        "evaluate.baselines": "false",
    }
    seconds = tunesmith_cli.fit({"task": "text-to-text", "model": base, "train": train, "out": out}, settings)
    judged = tunesmith_cli.evaluate(out, test)
    return {
        "settings": settings,
        "scores": judged["scores"],
        "baselines": judged["baselines"],
        "signature": judged["signature"],
        "command_s": seconds,
    }


def main() -> None:
    """Measure, write results/summaries.json after each set."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--epochs", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    settings = {"epochs": arguments.epochs, "seed": arguments.seed, "vocabulary": VOCABULARY}
    runs = kept_entries(RESULT, "runs", settings)
    for name in arguments.sets:
        if name not in runs:
            with tempfile.TemporaryDirectory() as folder:
                runs[name] = measure(name, arguments, Path(folder))
            print(write_result(RESULT, {"settings": settings, "runs": runs}))
    rows = [
        [name, f"{run['scores']['rouge_l']['value']:.3f}", f"{run['baselines']['lead_1']['rouge_l']['value']:.3f}"]
        for name, run in runs.items()
    ]
    print_table("ROUGE-L", ["set", "from nothing", "first sentence"], rows)


if __name__ == "__main__":
    main()
