"""How sure a classifier is: the probabilities of its answers as arrays, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.contracts import Beliefs, Labels

OF_CLASSES = ("none", "temperature", "vector")
OF_LABELS = ("none", "temperature")
"""A temperature alone keeps 0.5 where it is, and so the labels that are given."""


def find_beliefs(predictions: Sequence[Any], golds: Sequence[Any] | None, labels: Labels) -> Beliefs | None:
    """See `contracts.Task.beliefs`.

    One label: a row is (C,) probabilities, its answer the likeliest class. Several: each label of each row is an event,
    the answer is the whole set. A right answer that the model never learnt is no class, so none of them came true.
    """
    if labels.kind == "number":
        return None
    count, classes = len(predictions), len(labels.names)
    shares = np.array([list(p.probabilities.values()) for p in predictions], dtype=np.float64).reshape(count, classes)
    rows = np.arange(count)
    if labels.kind == "single":
        truths = None if golds is None else _truths([[gold] for gold in golds], labels)
        rights = None if golds is None else _equal(predictions, golds)
        return Beliefs(shares, truths, rows, _confidences(predictions), rights, rows, OF_CLASSES)
    truths = None if golds is None else _truths(golds, labels).ravel()
    rights = None if golds is None else _equal(predictions, golds)
    confidences = _confidences(predictions)
    return Beliefs(shares.ravel(), truths, rows.repeat(classes), confidences, rights, rows, OF_LABELS)


def _truths(golds: Sequence[Sequence[str]], labels: Labels) -> Any:
    """(B, C) bool: which classes are right."""
    places = {name: place for place, name in enumerate(labels.names)}
    found = np.zeros((len(golds), len(places)), dtype=bool)
    for row, chosen in enumerate(golds):
        found[row, [places[name] for name in chosen if name in places]] = True
    return found


def _equal(predictions: Sequence[Any], golds: Sequence[Any]) -> Any:
    return np.array([_plain(p.label) == _plain(gold) for p, gold in zip(predictions, golds, strict=True)], dtype=bool)


def _plain(answer: Any) -> Any:
    return answer if isinstance(answer, str) else frozenset(answer)


def _confidences(predictions: Sequence[Any]) -> Any:
    return np.array([confidence_of(prediction) for prediction in predictions], dtype=np.float64)


def confidence_of(prediction: Any) -> float:
    """Probability that the answer is right: of its class; of several labels, that each is rightly given or left out.

    The latter takes labels for independent of each other, given the text.
    """
    if prediction.probability is not None:
        return float(prediction.probability)
    given = set(prediction.label)
    shares = prediction.probabilities.items()
    return float(math.prod(share if name in given else 1 - share for name, share in shares))


def revise_classes(predictions: Sequence[Any], probabilities: Any, labels: Labels) -> list[Any]:
    """The predictions with other probabilities (B, C); of equally likely classes the one that was given stays."""
    found = []
    for prediction, row in zip(predictions, probabilities.tolist(), strict=True):
        shares = dict(zip(labels.names, row, strict=True))
        best = max(row)
        label = prediction.label
        if shares[label] < best:
            label = labels.names[row.index(best)]
        found.append(type(prediction)(label=label, probability=best, probabilities=shares))
    return found
