"""Tunesmith: from labelled text to a fine-tuned, honestly evaluated language model.

import tunesmith as ts

result = ts.fit(train="reviews.csv", out="runs/reviews")
ts.load("runs/reviews").predict(["Arrived late, but what a machine!"])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.api import Result, check, evaluate, fit, load, predict
    from tunesmith.comparing import compare
    from tunesmith.config import RunConfig
    from tunesmith.errors import TunesmithError
    from tunesmith.estimator import TextClassifier
    from tunesmith.exporting import export
    from tunesmith.pretraining import new, pretrain
    from tunesmith.prompting import zero_shot
    from tunesmith.reports import report
    from tunesmith.triples import extract_triples

__version__ = "0.1.0"

__all__ = [
    "Result",
    "RunConfig",
    "TextClassifier",
    "TunesmithError",
    "check",
    "compare",
    "evaluate",
    "export",
    "extract_triples",
    "fit",
    "load",
    "new",
    "predict",
    "pretrain",
    "report",
    "zero_shot",
]

_HOMES = {
    "compare": "comparing",
    "export": "exporting",
    "new": "pretraining",
    "pretrain": "pretraining",
    "report": "reports",
    "RunConfig": "config",
    "TunesmithError": "errors",
    "TextClassifier": "estimator",
    "extract_triples": "triples",
    "zero_shot": "prompting",
}


def __getattr__(name: str) -> Any:
    """Import public names when first used: torch and transformers take seconds."""
    if name not in __all__:
        raise AttributeError(f"module 'tunesmith' has no attribute {name!r}")
    return getattr(import_module(f"tunesmith.{_HOMES.get(name, 'api')}"), name)
