"""Scores of number answers, from additive counts.

Keys of a row's counts: `n`, `x`, `y`, `xx`, `yy`, `xy`, `squared_error`, `absolute_error`, x the prediction and y the
right answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Counts
from tunesmith.metrics.counts import ratio, uneven

_CONSTANT = 1e-12
"""A variance below this share of the mean square is rounding error: the numbers count as all the same."""


def number_counts(prediction: float, gold: float, *, center: float = 0.0) -> dict[str, float]:
    """Count one row whose answer is a number.

    Args:
        prediction: the predicted number.
        gold: the right number.
        center: subtracted from both. No score changes by it; with a number near the mean, such as the mean of
            the training rows, sums of squares do not cancel when the mean is large beside the spread.

    Example:
        >>> number_counts(3.0, 5.0)["squared_error"]
        4.0
    """
    x, y, error = prediction - center, gold - center, prediction - gold
    sums = {"n": 1.0, "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
    return sums | {"squared_error": error * error, "absolute_error": abs(error)}


def number_scores(counts: Counts) -> dict[str, float]:
    """Summed counts of number rows → `pearson`, `rmse`, `mae`, `r2`.

    Sums in float64 are exact enough when the numbers are not far from `center` (see `number_counts`): the
    relative error of a variance is about 1e-16 times (mean / standard deviation) squared. Numbers whose
    variance is below 1e-12 of their mean square count as constant: Pearson is 0 then (a constant says nothing
    about the answers), and r2 is 1 for a perfect prediction of a constant, else 0, as in scikit-learn.

    Example:
        >>> from tunesmith.metrics import sum_counts
        >>> number_scores(sum_counts([number_counts(1, 2), number_counts(2, 4)]))["pearson"]
        1.0
    """
    n = counts.get("n", 0.0)
    if not n:
        return dict.fromkeys(("pearson", "rmse", "mae", "r2"), 0.0)
    spread_x = _spread(counts["xx"], counts["x"], n)
    spread_y = _spread(counts["yy"], counts["y"], n)
    covariance = counts["xy"] - counts["x"] * counts["y"] / n
    pearson = max(-1.0, min(1.0, ratio(covariance, math.sqrt(spread_x * spread_y))))
    error = counts["squared_error"]
    r2 = 1.0 - error / spread_y if spread_y else float(error == 0.0)
    return {"pearson": pearson, "rmse": math.sqrt(error / n), "mae": counts["absolute_error"] / n, "r2": r2}


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Rank correlation; equal numbers share the average of their ranks.

    Args:
        xs: (B,) numbers.
        ys: (B,) numbers.

    Returns:
        Between -1 and 1; 0 when one side is constant or there is no row.

    Raises:
        DataError: the two have different lengths.

    Example:
        >>> spearman([1, 2, 3], [10, 100, 1000])
        1.0
    """
    if len(xs) != len(ys):
        raise uneven("rank correlation", len(xs), len(ys))
    if len(xs) == 0:
        return 0.0
    x, y = _centred_ranks(xs), _centred_ranks(ys)
    return max(-1.0, min(1.0, ratio(float(x @ y), math.sqrt(float(x @ x) * float(y @ y)))))


def _spread(squares: float, total: float, n: float) -> float:
    spread = squares - total * total / n
    return spread if spread > _CONSTANT * squares else 0.0


def _centred_ranks(numbers: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(numbers, dtype=np.float64)
    _, group_of, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(sizes) - (sizes - 1) / 2
    return np.asarray(ranks[group_of] - (len(values) + 1) / 2, dtype=np.float64)
