"""Makes the Chinese base model that ships with the package: four classical novels, public domain, and nothing else.

An encoder of 4 layers, 192 wide, is pretrained from nothing as a masked language model; its tokenizer knows the
characters of the novels, the 3,755 common ones of GB 2312 and those of ASCII, so that texts of today have few unknown
ones. The weights are stored in half precision, and the card with recipe, data, licence and scores beside them.

Run: python -m benchmarks.zh_classics --data DIR --out src/tunesmith/base/zh-classics
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmarks import tunesmith_cli
from benchmarks.common import benchmark_parser, data_file, machine_facts

BOOKS = {
    "hongloumeng": "红楼梦 (Dream of the Red Chamber, 18th century)",
    "shuihuzhuan": "水浒传 (Water Margin, 14th century)",
    "xiyouji": "西游记 (Journey to the West, 16th century)",
    "sanguoyanyi": "三国演义 (Romance of the Three Kingdoms, 14th century)",
}
FIRST_ROW, LAST_ROW, LAST_CELL = 0xB0, 0xD7, 0xF9
"""Where GB 2312 has its common characters."""


def common_characters() -> str:
    """The 3,755 common characters of GB 2312 and the visible ones of ASCII.

    >>> len(common_characters())
    3849
    """
    cells = [(row, cell) for row in range(FIRST_ROW, LAST_ROW + 1) for cell in range(0xA1, 0xFF)]
    common = [bytes(pair).decode("gb2312") for pair in cells if pair <= (LAST_ROW, LAST_CELL)]
    return "".join([*common, *(chr(code) for code in range(0x21, 0x7F))])


def pretrain(data: Path, out: Path, epochs: float) -> Any:
    """One masked language model of the four novels, a document a paragraph."""
    books = [data_file(data, "lm_zh_classics", f"{book}.txt") for book in BOOKS]
    settings = {
        "corpus.unit": "line",
        "corpus.validation": "documents",
        "corpus.validation_fraction": 0.02,
        "tokenizer.vocabulary": 6400,
        "tokenizer.lowercase": "true",
        "tokenizer.more_characters": json.dumps(common_characters(), ensure_ascii=False),
        "model.size": "micro",
        "train.epochs": epochs,
        "train.precision": "bf16",
    }
    return tunesmith_cli.pretrain(books, out, [], settings)


def halve(source: Path, target: Path) -> None:
    """Store the weights in half precision."""
    tensors = load_file(source)
    halved = {name: t.to(torch.float16).contiguous() if t.is_floating_point() else t for name, t in tensors.items()}
    save_file(halved, target, metadata={"format": "pt"})
    target.chmod(0o644)  # the library leaves it to its owner alone


CARD = """# zh-classics

A small Chinese encoder: {architecture}, 4 layers, 192 wide, {parameters:,} parameters, {vocabulary:,} entries, one a
character; weights in half precision. The project pretrained it from nothing, so that the Chinese half of the demo runs
without a network. It has read literature of the 14th to the 18th century and nothing else: a beginning where no other
Chinese model may be used, not a rival of one that was trained on billions of characters.

```bash
tunesmith fit data.csv --model zh-classics
```

## Recipe

Masked language modelling, {epochs:g} passes, {steps:,} steps of 32 windows of 128 tokens, seed {seed}, bf16,
{processor}, torch {torch}. The tokenizer has the characters of the novels, the 3,755 common ones of GB 2312 and those
of ASCII. `benchmarks/zh_classics.py` in the project's repository makes it again.

## Data

Four novels in simplified characters, {text_bytes:,} bytes of UTF-8. Their authors died centuries ago: the works are in
the public domain. Nothing else was read. Held out: {documents:,} paragraphs, {tokens:,} tokens.

| work | SHA-256 of the file |
| --- | --- |
{works}

## Scores on held-out paragraphs

| | value | 95 % interval |
| --- | --- | --- |
{scores}

## Licence

Apache-2.0, as the project.
"""


def card(metrics: dict[str, Any], facts: dict[str, Any], epochs: float) -> str:
    """The model card."""
    data, held_out, machine = facts["data"], facts["data"]["validation"], machine_facts()
    works = zip(BOOKS.values(), data["fingerprints"]["corpus"], strict=True)
    scores = metrics["scores"].items()
    return CARD.format(
        architecture=facts["architecture"],
        parameters=facts["parameters"],
        vocabulary=facts["vocabulary"],
        epochs=epochs,
        steps=metrics["steps"],
        seed=facts["seed"],
        processor=machine["processor"],
        torch=machine["versions"]["torch"],
        text_bytes=data["train"]["bytes"] + held_out["bytes"],
        documents=held_out["documents"],
        tokens=held_out["tokens"],
        works="\n".join(f"| {title} | {digest} |" for title, digest in works),
        scores="\n".join(f"| {name} | {s['value']:.3f} | {s['low']:.3f} – {s['high']:.3f} |" for name, s in scores),
    )


def ship(run: Path, out: Path, epochs: float) -> None:
    """Weights, config, tokenizer and card of a finished run, as the package holds them."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(run / name, out / name)
    halve(run / "model.safetensors", out / "model.safetensors")
    (out / "README.md").write_text(card(tunesmith_cli.metrics(run), tunesmith_cli.facts(run), epochs), encoding="utf-8")


def main() -> None:
    """Pretrain and write the folder of the package."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="of the package")
    parser.add_argument("--run", metavar="DIR", type=Path, help="of the pretraining, resumed; default: temporary")
    parser.add_argument("--epochs", type=float, default=6.0, help="passes over the novels")
    arguments: argparse.Namespace = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run = arguments.run or Path(name) / "run"
        pretrain(arguments.data, run, arguments.epochs)
        ship(run, arguments.out, arguments.epochs)


if __name__ == "__main__":
    main()
