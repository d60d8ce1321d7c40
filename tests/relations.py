"""Rows of relation extraction and tiny models that read them, for its tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import TEXTS, make_tiny_trunk
from tunesmith import base_models, inference
from tunesmith.config import resolve_config
from tunesmith.contracts import Context, Labels
from tunesmith.model import Model
from tunesmith.model_loading import load_model
from tunesmith.tasks import make_task
from tunesmith.tasks.relation_extraction import RelationExtraction

Trunks = Callable[[str], Path]
"""The folder of a tiny trunk by its family, made when first asked for."""

LABELS = Labels(("Cause(e1,e2)", "Cause(e2,e1)", "Other"), (3, 3, 3))
CAUSES, THINGS = ("storm", "fire", "rain", "fever"), ("damage", "delay", "noise", "flood")
WORDS = "the caused by was stood near head subject first tail object second end 主 头 甲 末 宾 尾 乙"
ALL_TEXTS = (*TEXTS, WORDS, *CAUSES, *THINGS)


def make_pairs() -> list[dict[str, Any]]:
    """Rows whose label is told by the words between and by which entity is the head."""
    rows = []
    for cause in CAUSES:
        for thing in THINGS:
            active = {"text": f"the {cause} caused the {thing}", "label": LABELS.names[0]}
            passive = {"text": f"the {thing} was caused by the {cause}", "label": LABELS.names[1]}
            apart = {"text": f"the {cause} stood near the {thing}", "label": LABELS.names[2]}
            rows += [{**active, "head": cause, "tail": thing}, {**passive, "head": thing, "tail": cause}]
            rows += [{**apart, "head": cause, "tail": thing}]
    return rows


ROWS = make_pairs()


def make_trunks(root: pytest.TempPathFactory) -> Trunks:
    """Tiny trunks whose vocabulary has the words of the rows."""
    made: dict[str, Path] = {}

    def get(family: str) -> Path:
        if family not in made:
            made[family] = make_tiny_trunk(root.mktemp(family), family, ALL_TEXTS)
        return made[family]

    return get


def load(folder: Path, **options: Any) -> tuple[RelationExtraction, Model, Context]:
    task: Any = make_task("relation-extraction", options)
    model = load_model(base_models.resolve(str(folder)), task.head(LABELS)).eval()
    return task, model, inference.make_context(model, LABELS)


def make_config(trunk: Path, folder: Path, *settings: str) -> Any:
    base = {
        "model": {"name": str(trunk)},
        "task": {"name": "relation-extraction"},
        "train": {"precision": "fp32", "device": "cpu", "batch_size": 8, "epochs": 2.0, "learning_rate": 2e-3},
        "evaluate": {"baselines": False, "resamples": 100},
        "output": {"folder": str(folder), "report": "none"},
    }
    return resolve_config(base, settings=settings)
