"""Small models whose reports the tests look at: a classifier and a tagger, on rows that try to break a page."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.tiny import make_rows
from tunesmith import api

SCRIPT = "<script>document.title='owned';fetch('https://example.com/x')</script>"
IMAGE = "\"><img src='https://example.com/x.png' onerror='document.title=1'>"
HIDDEN = "safe\u202egpj.exe\x1b[2J"
HOSTILE = (SCRIPT, IMAGE, HIDDEN)
BAD = 'bad <b>&amp; "ugly"</b>'
GOOD = "好评"
LONG = "w" * 180
SOURCES = ("web & <i>mail</i>", "printed letters", "电话记录")
SETTINGS = ["train.epochs=1", "train.learning_rate=3e-3", "evaluate.resamples=100", "data.dev_fraction=0.4"]


def make_labelled(count: int = 160) -> list[dict[str, str]]:
    """Texts of two classes, some labelled wrongly, some hostile, from three sources."""
    draw, rows = random.Random(3), []
    for place, row in enumerate(make_rows(count, (BAD, GOOD))):
        label = row["label"] if draw.random() > 0.2 else draw.choice([BAD, GOOD])
        text = row["text"]
        if place // 2 % 4 < len(HOSTILE):
            text = f"{text} {HOSTILE[place // 2 % 4]}"
        if place % 40 == 5:
            text = f"{text} {LONG} 这家公司的利润上升了，股东很高兴。" + " and so on" * 80
        rows.append({"text": text, "label": label, "source": SOURCES[place % 3], "id": str(place)})
    return rows


def make_tagged(count: int = 120) -> list[dict[str, Any]]:
    """Sentences with names, some of them marked wrongly."""
    draw, rows = random.Random(5), []
    names = {"PER": ("Ann Lee", "Omar", SCRIPT), "LOC": ("Oslo", "Tamar Bay", "巴黎"), "ORG": ("Norwind", "Oslo Mills")}
    for place in range(count):
        text, entities = "", []
        for word in ("the", "PER", "met", "the", "mayor", "of", "LOC", "and", "ORG", f"{place}"):
            if word in names:
                name = draw.choice(names[word])
                label = word if draw.random() > 0.15 else draw.choice(list(names))
                entities.append({"start": len(text), "end": len(text) + len(name), "label": label})
                word = name
            text += f"{word} "
        rows.append({"text": text.strip(), "entities": entities, "source": SOURCES[place % 3]})
    return rows


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def fit_classifier(folder: Path, trunk: Path, *settings: str) -> Path:
    """A finished folder `classifier`, its rows beside it."""
    file = write_lines(folder / "opinions.jsonl", make_labelled())
    chosen = [f"model.name={trunk}", "task.name=text-classification", *SETTINGS, *settings]
    return api.fit(file, out=folder / "classifier", settings=chosen).folder


def fit_tagger(folder: Path, trunk: Path, *settings: str) -> Path:
    """A finished folder `tagger`, its rows beside it."""
    file = write_lines(folder / "names.jsonl", make_tagged())
    chosen = [f"model.name={trunk}", "task.name=token-classification", *SETTINGS, *settings]
    return api.fit(file, out=folder / "tagger", settings=chosen).folder
