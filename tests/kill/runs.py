"""Small real runs, and what is compared of the folders that they leave."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml

from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import fitting
from tunesmith.config import RunConfig, resolve_config
from tunesmith.pretraining import running
from tunesmith.pretraining.config import resolve_pretraining
from tunesmith.settings import merge

TRAIN_ROWS, DEV_ROWS = 56, 40
WRONG_SHARE = 0.2
LEFT_OUT = {"seconds", "speed", "output", "manifest_sha256", "checkpoint_steps", "keep_checkpoints"}
TIMES = re.compile(r"\b\d+ s\b")
CHANGING = re.compile(r'<section class="card" id="\w\w-(cost|making)".*?</section>|<dd>\d+ s</dd>', re.DOTALL)
"""Times, sizes and hashes in report.html."""

SETTINGS: dict[str, Any] = {
    "model": {"dropout": 0.1},
    "task": {"name": "text-classification", "pooling": "mean"},
    "data": {"train": "numbers-train.csv", "dev": "numbers-dev.csv"},
    "train": {
        "epochs": 3,
        "batch_size": 8,
        "learning_rate": 3e-3,
        "patience": 5,
        "checkpoint_steps": 1,
        "keep_checkpoints": 1,
    },
    "evaluate": {"per_epoch": 3, "baselines": False, "resamples": 100},
}
"""Dropout, evaluations that find better and worse weights, patience that ends before the last step."""

RECIPES: dict[str, dict[str, Any]] = {
    "full": {},
    "top": {
        "method": {"name": "full", "train_layers": "top:1"},
        "train": {"optimizer": "sgd", "learning_rate": 0.1, "checkpoint_steps": 2, "keep_checkpoints": 2},
    },
    "head": {"method": {"name": "head"}, "train": {"learning_rate": 3e-2, "batch_tokens": 100}},
    "classes": {
        "task": {"pooling": "standard"},
        "data": {"train": "classes-train.csv", "dev": "classes-dev.csv"},
        "train": {"max_steps": 12, "patience": None, "keep_checkpoints": 2},
    },
}
"""Name of a way to train → what it changes in SETTINGS; they differ in what a state and a finished folder hold."""


PRETRAINING: dict[str, dict[str, Any]] = {
    "mlm": {"objective": {"name": "mlm", "mask_rate": 0.3}, "model": {"dropout": 0.1}},
    "clm": {"objective": {"name": "clm"}, "tokenizer": {"kind": "characters"}, "train": {"batch_tokens": 200}},
    "electra": {"objective": {"name": "electra"}, "train": {"keep_checkpoints": 2}},
}
"""Likewise of pretraining: what each changes in PRETRAINING_SETTINGS."""
PRETRAINING_SETTINGS: dict[str, Any] = {
    "model": {
        "context_tokens": 32,
        "options": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    },
    "tokenizer": {"vocabulary": 150},
    "corpus": {"validation_fraction": 0.2, "unit": "line"},
    "train": {"epochs": 100, "max_steps": 14, "batch_size": 6, "learning_rate": 3e-3, "checkpoint_steps": 1},
    "evaluate": {"steps": 4, "samples": 0},
}


@contextmanager
def one_thread() -> Iterator[None]:
    """Tiny models are slower with more, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make_inputs(folder: Path) -> Path:
    """Write a tiny trunk and labelled texts, some of them labelled wrongly; returns the folder."""
    make_tiny_trunk(folder / "trunk")
    write_text(folder / "lines.txt")
    rows = make_rows(TRAIN_ROWS + DEV_ROWS)
    noise = random.Random("noise")
    for row in rows:
        if noise.random() < WRONG_SHARE:
            row["label"] = noise.choice(["negative", "positive"])
    noise.shuffle(rows)
    numbers = [{"text": row["text"], "label": f"{len(row['text']) + noise.random():.2f}"} for row in rows]
    for kind, labelled in (("classes", rows), ("numbers", numbers)):
        write_rows(folder / f"{kind}-train.csv", labelled[:TRAIN_ROWS])
        write_rows(folder / f"{kind}-dev.csv", labelled[TRAIN_ROWS:])
    return folder


def write_text(path: Path) -> None:
    """Write lines for pretraining."""
    path.write_text("".join(f"{row['text']}\n" for row in make_rows(60)), encoding="utf-8")


def start_run(inputs: Path, out: Path, recipe: str) -> Iterator[Any]:
    """The events of a small run, of either kind, into `out`."""
    if recipe not in PRETRAINING:
        return fitting.run(make_config(inputs, out, recipe=recipe))
    places = {"corpus": {"files": [str(inputs / "lines.txt")]}, "output": {"folder": str(out)}}
    return running.run(resolve_pretraining(PRETRAINING_SETTINGS, PRETRAINING[recipe], places))


def write_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write labelled texts as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)


def make_config(inputs: Path, out: Path, *changes: Mapping[str, Any], recipe: str = "full") -> RunConfig:
    """The configuration of a small run on the inputs into `out`."""
    chosen = merge(SETTINGS, RECIPES[recipe])
    places: dict[str, Any] = {
        "model": {"name": str(inputs / "trunk")},
        "data": {split: str(inputs / name) for split, name in chosen["data"].items()},
        "output": {"folder": str(out)},
    }
    return resolve_config(chosen, places, *changes)


def digest(folder: Path) -> dict[str, str]:
    """File → SHA-256 of what must not depend on how often a run was stopped; times and places are left out."""
    files = sorted(path for path in folder.rglob("*") if path.name != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(_lasting(path)).hexdigest() for path in files}


def _lasting(path: Path) -> bytes:
    if path.is_dir():
        return b"a folder"
    content = path.read_bytes()
    if path.name == "README.md":
        return TIMES.sub("", content.decode()).encode()
    if path.name == "config.yaml":
        return _dump(yaml.safe_load(content)).encode()
    if path.name == "report.html":
        named = rf"(<bdi>|<title>|evaluate ){re.escape(path.parent.name)}\b"
        return CHANGING.sub("", re.sub(named, "", content.decode())).encode()
    if path.name == "metrics.jsonl":
        return "\n".join(_dump(json.loads(line)) for line in content.splitlines()).encode()
    return _dump(json.loads(content)).encode() if path.suffix == ".json" else content


def _dump(content: Any) -> str:
    return json.dumps(_bare(content), sort_keys=True)


def _bare(content: Any) -> Any:
    """Without seconds, places, how often states are saved, and the hashes of files that hold these."""
    if isinstance(content, dict):
        kept = {key: _bare(value) for key, value in content.items() if key not in LEFT_OUT}
        return merge(kept, {"files": sorted(kept["files"])}) if "files" in kept else kept
    return [_bare(value) for value in content] if isinstance(content, list) else content
