"""Answers that are withheld because the model is not sure: what that brings, and from where on to withhold."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]

CURVE_POINTS = 50
LOOKS = 20
"""Thresholds that are tried for a precision."""
RISK = 0.05
"""How often, over development sets, a promise of precision may be broken."""


@dataclass(frozen=True)
class Point:
    """What giving the surest answers means.

    Attributes:
        coverage: share of the answers that is given.
        threshold: lowest confidence among them.
        risk: share of them that is wrong.
    """

    coverage: float
    threshold: float
    risk: float


@dataclass(frozen=True)
class Promise:
    """A threshold and what it was chosen for.

    Attributes:
        threshold: answers with a lower confidence are withheld.
        coverage: share of the development answers that is given.
        precision: share of those that is right.
        assured: lower bound of the precision on new rows, or None where none was asked for.
    """

    threshold: float
    coverage: float
    precision: float
    assured: float | None = None


class UnreachableError(ValueError):
    """No threshold keeps the promise.

    Attributes:
        best: the highest precision that can be promised; None where there is no answer.
    """

    def __init__(self, best: float | None) -> None:
        super().__init__("no threshold keeps the promise")
        self.best = best


def steps_of(confidences: Floats, rights: Truths) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Every threshold that tells answers apart.

    Args:
        confidences: (N,).
        rights: (N,).

    Returns:
        The K distinct confidences from the highest down, how many answers have at least that, and how many of those
        are right. Equal confidences are given or withheld together.

    Example:
        >>> thresholds, given, right = steps_of(np.array([0.5, 0.9, 0.5]), np.array([False, True, True]))
        >>> thresholds.tolist(), given.tolist(), right.tolist()
        ([0.9, 0.5], [1, 3], [1, 2])
    """
    order = np.argsort(-confidences, kind="stable")
    ordered, hits = confidences[order], np.cumsum(rights[order])
    last = np.append(ordered[1:] != ordered[:-1], True) if len(ordered) else np.zeros(0, dtype=bool)
    places = np.flatnonzero(last)
    return ordered[places], places + 1, hits[places].astype(np.int64)


def risk_coverage(confidences: Floats, rights: Truths, points: int = CURVE_POINTS) -> list[Point]:
    """The risk–coverage curve (El-Yaniv and Wiener 2010), at about `points` coverages from the lowest up."""
    thresholds, given, right = steps_of(confidences, rights)
    if not len(given):
        return []
    wanted = np.arange(1, points + 1) / points * len(confidences)
    places = np.unique(np.searchsorted(given, wanted - 1e-9))
    return [
        Point(float(given[k] / len(confidences)), float(thresholds[k]), float(1 - right[k] / given[k])) for k in places
    ]


def area_under_risk_coverage(confidences: Floats, rights: Truths) -> float:
    """AURC: the mean risk over all coverages (Geifman, Uziel and El-Yaniv 2019); equal confidences share theirs.

    Example:
        >>> area_under_risk_coverage(np.array([0.9, 0.8]), np.array([True, False]))
        0.25
    """
    _, given, right = steps_of(confidences, rights)
    risks = 1 - right / given
    return float(risks @ np.diff(given, prepend=0) / len(confidences)) if len(given) else 0.0


def lower_bound(right: int, given: int, risk: float) -> float:
    """Exact lower bound of a share (Clopper and Pearson 1934), one-sided: wrong in at most `risk` of all samples.

    Example:
        >>> round(lower_bound(59, 59, 0.05), 3)
        0.95
    """
    from scipy.special import betaincinv

    return 0.0 if right == 0 else float(betaincinv(right, given - right + 1, risk))


def threshold_for_precision(confidences: Floats, rights: Truths, wanted: float, risk: float = RISK) -> Promise:
    """The threshold with the largest coverage that assures a precision on new rows like the development rows.

    Looked at are the thresholds that give 5 %, 10 % … 100 % of the answers. The exact lower bound of the precision
    must reach the wish at level risk / 20 (Bonferroni), so that the promise is broken for at most `risk` of all
    development sets, whichever of the thresholds is taken.

    Args:
        confidences: (N,) of development answers.
        rights: (N,).
        wanted: precision, in (0, 1).
        risk: how often the promise may be broken.

    Raises:
        UnreachableError: none of them assures it.
    """
    if not len(confidences):
        raise UnreachableError(None)
    best = 0.0
    for look in range(LOOKS, 0, -1):
        promise = threshold_for_coverage(confidences, rights, look / LOOKS)
        given = round(promise.coverage * len(confidences))
        bound = lower_bound(round(promise.precision * given), given, risk / LOOKS)
        if bound >= wanted:
            return replace(promise, assured=bound)
        best = max(best, bound)
    raise UnreachableError(best)


def threshold_for_coverage(confidences: Floats, rights: Truths, wanted: float) -> Promise:
    """The highest threshold that still gives a share of the development answers.

    Raises:
        UnreachableError: there is no answer.

    Example:
        >>> threshold_for_coverage(np.array([0.9, 0.8, 0.7, 0.6]), np.ones(4, dtype=bool), 0.5).threshold
        0.8
    """
    thresholds, given, right = steps_of(confidences, rights)
    if not len(given):
        raise UnreachableError(None)
    place = int(np.searchsorted(given, wanted * len(confidences) - 1e-9))
    return Promise(float(thresholds[place]), float(given[place] / len(confidences)), float(right[place] / given[place]))
