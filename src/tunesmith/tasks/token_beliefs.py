"""How sure a tagger is: the probabilities of the entities it found as arrays, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tunesmith.contracts import Beliefs
from tunesmith.tasks.token_rows import FoundEntity, TaggedText, TokenPrediction

SCALINGS = ("none", "temperature", "platt")
"""Both change how sure an entity is, never which entities there are."""


def find_beliefs(predictions: Sequence[TokenPrediction], golds: Sequence[TaggedText] | None) -> Beliefs:
    """Each entity found is an event and an answer: exactly this one, with this type, stands in the text."""
    shares = [entity.probability for prediction in predictions for entity in prediction.entities]
    found = np.array([len(prediction.entities) for prediction in predictions], dtype=np.int64)
    rows = np.arange(len(predictions)).repeat(found)
    rights = None if golds is None else _rights(predictions, golds)
    probabilities = np.array(shares, dtype=np.float64)
    return Beliefs(probabilities, rights, rows, probabilities, rights, rows, SCALINGS)


def _rights(predictions: Sequence[TokenPrediction], golds: Sequence[TaggedText]) -> Any:
    found = []
    for prediction, gold in zip(predictions, golds, strict=True):
        spans = set(gold.spans)
        found += [(entity.start, entity.end, entity.label) in spans for entity in prediction.entities]
    return np.array(found, dtype=bool)


def revise(predictions: Sequence[TokenPrediction], probabilities: Any) -> list[TokenPrediction]:
    """The same entities with other probabilities, in order: (E,)."""
    shares = iter(probabilities.tolist())
    return [_changed(prediction, lambda _: {"probability": next(shares)}) for prediction in predictions]


def withhold(prediction: TokenPrediction, threshold: float) -> TokenPrediction:
    """Mark each entity: abstained from where its probability is below the threshold."""
    return _changed(prediction, lambda entity: {"abstained": (entity.probability or 0.0) < threshold})


def _changed(prediction: TokenPrediction, change: Callable[[FoundEntity], dict[str, Any]]) -> TokenPrediction:
    entities = [entity.model_copy(update=change(entity)) for entity in prediction.entities]
    return prediction.model_copy(update={"entities": entities})
