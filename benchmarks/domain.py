"""Does pretraining on the text of a domain help where labels are few? minilm, headlines, Financial PhraseBank.

minilm gets the head of a masked language model and passes over 20,560 headlines and descriptions; general text (the
test part of WikiText-2) is looked at before and after. Then minilm and the continued model are fine-tuned on 10 % of
the labelled training rows, with several seeds, and compared on the test rows: `tunesmith compare` with patterns.

Run: python -m benchmarks.domain --data DIR
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import benchmark_parser, data_file, read_jsonl, write_result

RESULT = "domain"
SHARE = 0.1


def write_headlines(data: Path, target: Path) -> None:
    """Headline and description as one document a line."""
    rows = read_jsonl(data_file(data, "financial_headlines", "headlines.jsonl"))
    texts = (" ".join(f"{row['text']}. {row['description']}".split()) for row in rows)
    target.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


def write_few(data: Path, target: Path) -> int:
    """A tenth of the labelled training rows."""
    rows = read_jsonl(data_file(data, "financial_phrasebank", "train.jsonl"))
    chosen = random.Random(13).sample(rows, round(SHARE * len(rows)))
    target.write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
    return len(chosen)


def measure(arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Pretrain, fine-tune both with each seed, compare."""
    corpus, few = scratch / "headlines.jsonl", scratch / "few.jsonl"
    write_headlines(arguments.data, corpus)
    count = write_few(arguments.data, few)
    general = next((arguments.data / "lm_wikitext2_raw").glob("*.txt"))
    settings = {"corpus.general": f"[{general}]", "train.epochs": arguments.epochs, "evaluate.samples": 0}
    found = tunesmith_cli.pretrain([corpus], scratch / "domain", ["--model", arguments.model], settings)
    curves = [json.loads(line) for line in (scratch / "domain" / "metrics.jsonl").read_text().splitlines()]
    looks = [{"step": line["step"], **line["dev"]} for line in curves if "dev" in line]
    dev, test = (data_file(arguments.data, "financial_phrasebank", f"{name}.jsonl") for name in ("dev", "test"))
    for seed in range(arguments.seeds):
        for name, model in (("minilm", arguments.model), ("domain", scratch / "domain")):
            out = scratch / f"{name}-{seed}"
            options = {"train": few, "dev": dev, "model": model, "out": out}
            tunesmith_cli.fit(options, {"train.seed": seed, "train.epochs": 10, "evaluate.baselines": "false"})
    patterns = [str(scratch / f"{name}-*") for name in ("minilm", "domain")]
    return {
        "labelled_rows": count,
        "seeds": arguments.seeds,
        "pretraining": {key: found[key] for key in ("scores", "steps", "seconds", "speed")},
        "looks": looks,
        "compare": tunesmith_cli.compare(patterns[0], patterns[1], test),
    }


def main() -> None:
    """Measure, write results/domain.json."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=float, default=6.0, help="passes over the headlines")
    arguments: argparse.Namespace = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = measure(arguments, Path(name))
    print(write_result(RESULT, result))


if __name__ == "__main__":
    main()
