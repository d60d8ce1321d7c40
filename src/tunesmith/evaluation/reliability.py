"""How far probabilities are from what comes true: calibration error, Brier score, likelihood, reliability diagram."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation.calibration import losses_of, negative_log_likelihood

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]

BINS = 15
"""Most bins, each of as many answers."""
MIN_IN_BIN = 2
DRAWN_EVENTS = 20_000_000
"""Most events drawn in all for intervals: some seconds."""
FEWEST_RESAMPLES = 100


@dataclass(frozen=True)
class Bin:
    """Answers of neighbouring confidence.

    Attributes:
        low: lowest confidence.
        high: highest.
        confidence: their mean.
        accuracy: share that is right.
        n: how many.
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    n: int


def reliability_bins(confidences: Floats, rights: Truths, bins: int = BINS) -> list[Bin]:
    """Group answers by confidence into bins of equal mass; equal confidences stay together.

    Args:
        confidences: (N,) between 0 and 1.
        rights: (N,) which answers are right.
        bins: most bins; fewer where there are few answers or many equal ones.

    Example:
        >>> found = reliability_bins(np.array([0.6, 0.6, 0.9, 0.8]), np.array([True, False, True, True]), bins=2)
        >>> [(round(b.confidence, 2), b.accuracy, b.n) for b in found]
        [(0.6, 0.5, 2), (0.85, 1.0, 2)]
    """
    numbers = bin_numbers(confidences, bins)
    found = []
    for number in range(int(numbers.max(initial=-1)) + 1):
        inside = confidences[numbers == number]
        share = float(rights[numbers == number].mean())
        found.append(Bin(float(inside.min()), float(inside.max()), float(inside.mean()), share, len(inside)))
    return found


def bin_numbers(confidences: Floats, bins: int = BINS) -> NDArray[np.int64]:
    """(N,) the number of each answer's bin, from 0, without gaps; see `reliability_bins`."""
    count = max(1, min(bins, len(confidences) // MIN_IN_BIN))
    ordered = np.sort(confidences)
    places = np.array([len(ordered) * place // count for place in range(1, count)], dtype=np.int64)
    edges = np.unique(ordered[places])
    numbers = np.searchsorted(edges, confidences, side="right")
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


def calibration_error(confidences: Floats, rights: Truths, bins: int = BINS, *, debiased: bool = True) -> float:
    """Expected calibration error: the mean distance between confidence and accuracy, over bins of equal mass.

    The plain estimate is above 0 also for perfect probabilities, because the accuracy of a bin is noisy. Debiased
    (Kumar, Liang and Ma 2019, with the normal approximation of their library, here in closed form), what noise of the
    same size adds on average is taken off: 2 |d| - E|d + noise|, noise ~ N(0, accuracy (1 - accuracy) / n); never
    below 0.

    Args:
        confidences: (N,), at least one.
        rights: (N,).
        bins: most bins.
        debiased: take the noise off.
    """
    numbers = bin_numbers(confidences, bins)
    return _error_of_bins(numbers, confidences, rights, np.ones(len(confidences)), 1.0 if debiased else 0.0)


def _error_of_bins(
    numbers: NDArray[np.int64], confidences: Floats, rights: Truths, weights: Floats, noise: float
) -> float:
    """The calibration error where each answer counts `weights` times; `noise`: how often its variance is taken off."""
    mass = np.bincount(numbers, weights)
    filled = mass > 0
    n = mass[filled]
    accuracy = np.bincount(numbers, weights * rights)[filled] / n
    distance = np.abs(np.bincount(numbers, weights * confidences)[filled] / n - accuracy)
    if noise:
        distance = 2 * distance - mean_distance(distance, np.sqrt(noise * accuracy * (1 - accuracy) / n))
    return max(0.0, float(distance @ n / n.sum()))


def mean_distance(mean: Floats, deviation: Floats) -> Floats:
    """E|x| of x ~ N(mean, deviation²), the folded normal; any shape, a deviation of 0 gives |mean|.

    Example:
        >>> round(float(mean_distance(np.array(0.0), np.array(1.0))), 4)
        0.7979
    """
    from scipy.special import erf

    positive = np.where(deviation > 0, deviation, 1.0)
    ratio = mean / positive
    folded = deviation * np.sqrt(2 / np.pi) * np.exp(-0.5 * ratio**2) + mean * erf(ratio / np.sqrt(2))
    return np.asarray(np.where(deviation > 0, folded, np.abs(mean)), dtype=np.float64)


def brier_score(probabilities: Floats, truths: Truths) -> float:
    """Mean squared distance between probabilities and what came true (Brier 1950).

    Of classes (B, C) summed over them, between 0 and 2, as in Brier's own definition; of events (E,) between 0 and 1.

    Example:
        >>> brier_score(np.array([[0.5, 0.5]]), np.array([[True, False]]))
        0.5
    """
    squares = _brier_of_each(probabilities, truths)
    return float(squares.mean()) if len(squares) else 0.0


def _brier_of_each(probabilities: Floats, truths: Truths) -> Floats:
    squares = (probabilities - truths) ** 2
    if squares.ndim == 2:  # a right answer that is no class had probability 0
        squares = squares.sum(axis=1) + ~truths.any(axis=1)
    return np.asarray(squares, dtype=np.float64)


def top_label(probabilities: Floats, truths: Truths) -> tuple[Floats, Truths]:
    """What a reliability diagram is of: the likeliest class of each row (B, C), or every event (E,)."""
    if probabilities.ndim == 1:
        return probabilities, truths
    rows, best = np.arange(len(probabilities)), probabilities.argmax(axis=1)
    return probabilities[rows, best], truths[rows, best]


def measure(probabilities: Floats, truths: Truths) -> dict[str, float]:
    """ece (debiased, of the likeliest class), brier and nll of classes (B, C) or events (E,), at least one.

    nll is NaN where no right answer is among the classes.
    """
    return {
        "ece": calibration_error(*top_label(probabilities, truths)),
        "brier": brier_score(probabilities, truths),
        "nll": negative_log_likelihood(probabilities, truths),
    }


def measure_intervals(
    probabilities: Floats, truths: Truths, rows: NDArray[np.int64], *, resamples: int = 1000, seed: int = 13
) -> dict[str, dict[str, float]]:
    """The middle 95 % of each measure over sets drawn from the rows with replacement; the bins stay.

    A drawn set has the noise of the rows and that of drawing from them, so twice as much is taken off its
    calibration error.

    Args:
        probabilities: (B, C) or (E,).
        truths: same shape.
        rows: (B,) or (E,) the row of each; events of one row are drawn together.
        resamples: sets drawn; fewer where there are very many events.
        seed: decides what is drawn.

    Returns:
        ece, brier, nll → low, high; NaN where no drawn set has the measure.
    """
    confidences, rights = top_label(probabilities, truths)
    numbers = bin_numbers(confidences)
    squares = _brier_of_each(probabilities, truths)
    losses = losses_of(probabilities, truths)
    known = truths.any(axis=1) if truths.ndim == 2 else np.ones(len(truths), dtype=bool)

    def score(weights: Floats) -> tuple[float, float, float]:
        ece = _error_of_bins(numbers, confidences, rights, weights, 2.0)
        mass = weights[known].sum()
        nll = float(weights[known] @ losses / mass) if mass else np.nan
        return ece, float(weights @ squares / weights.sum()), nll

    drawn = np.array([score(weights) for weights in _drawn_weights(rows, resamples, seed)])
    found = {}
    for name, values in zip(("ece", "brier", "nll"), drawn.T, strict=True):
        finite = values[np.isfinite(values)]
        low, high = np.quantile(finite, [0.025, 0.975]).tolist() if len(finite) else (np.nan, np.nan)
        found[name] = {"low": low, "high": high}
    return found


def _drawn_weights(rows: NDArray[np.int64], resamples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each entry is drawn, the entries of one row together."""
    distinct, places = np.unique(rows, return_inverse=True)
    generator = np.random.default_rng(seed)
    affordable = max(FEWEST_RESAMPLES, DRAWN_EVENTS // max(1, len(rows)))
    for _ in range(min(resamples, affordable)):
        drawn = np.bincount(generator.integers(len(distinct), size=len(distinct)), minlength=len(distinct))
        yield drawn[places].astype(np.float64)
