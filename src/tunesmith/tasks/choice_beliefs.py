"""How sure a model is of one choice among several, whose number differs from row to row: as arrays, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Beliefs

OF_CHOICES = ("none", "temperature")
"""A temperature knows no places, so it fits any number of choices and never changes which one is likeliest."""


def find_beliefs(
    shares: Sequence[Sequence[float]], chosen: Sequence[int], golds: Sequence[int] | None, rights: Sequence[bool] | None
) -> Beliefs:
    """Choices of which exactly one is right.

    Args:
        shares: probabilities of each row's choices; rows with fewer are filled up with 0, which stays 0.
        chosen: the place that is given, of each row.
        golds: the right place of each row; None where it is not known.
        rights: whether each answer is right.
    """
    count, width = len(shares), max(map(len, shares), default=0)
    table = np.zeros((count, width))
    for row, values in enumerate(shares):
        table[row, : len(values)] = values
    truths = None
    if golds is not None:
        truths = np.zeros((count, width), dtype=bool)
        for row, gold in enumerate(golds):
            truths[row, gold : gold + 1] = True
    rows = np.arange(count)
    confidences = table[rows, list(chosen)] if count else np.empty(0)
    right = None if rights is None else np.array(rights, dtype=bool)
    return Beliefs(table, truths, rows, confidences, right, rows, OF_CHOICES)


def shares_of(probabilities: NDArray[np.float64], counts: Sequence[int]) -> list[list[float]]:
    """Rows of (B, K) cut to their numbers of choices; what fills up may have got a trace of probability, which goes."""
    found = []
    for row, count in zip(probabilities, counts, strict=True):
        rest = float(row[count:].sum())
        found.append((row[:count] / (1.0 - rest)).tolist() if rest else row[:count].tolist())
    return found
