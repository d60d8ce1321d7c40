"""The answer of a task that gives a row one class, several, or a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from tunesmith import metrics
from tunesmith.contracts import Labels


class ClassificationPrediction(BaseModel):
    """The answer for one row.

    Attributes:
        label: class name, list of class names, or number.
        probability: of the named class; None for several labels and numbers.
        probabilities: of every class; None for numbers.
        abstained: the model is less sure than was asked for; None where nothing was asked.
    """

    model_config = ConfigDict(frozen=True)
    label: str | list[str] | float
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    abstained: bool | None = None


def make_answer(value: Any, probabilities: dict[str, float] | None) -> ClassificationPrediction:
    """An answer with the probabilities of all classes.

    Args:
        value: class name, list of names, or number.
        probabilities: of each class; None for numbers.
    """
    probability = None if probabilities is None or not isinstance(value, str) else probabilities[value]
    return ClassificationPrediction(label=value, probability=probability, probabilities=probabilities)


def confusion(predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[list[int]]:
    """(C, C) of one label a row: rows are the right answers, columns the predictions.

    A right answer that the model never learnt has no row; it counts as wrong in every score.
    """
    known = [(p.label, gold) for p, gold in zip(predictions, golds, strict=True) if gold in labels.names]
    return metrics.confusion([label for label, _ in known], [gold for _, gold in known], labels.names)
