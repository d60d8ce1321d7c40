"""How long texts are: percentiles and a small histogram."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (50, 90, 95, 99)
BINS = 12


def describe_lengths(lengths: Sequence[int] | array[int] | NDArray[Any]) -> dict[str, Any]:
    """Percentiles that are lengths of real texts, the mean, the longest, and a histogram.

    Returns:
        p50, p90, p95, p99, mean, max, and "histogram": `width` and 12 `counts`; counts[i] are texts of
        i · width to (i + 1) · width - 1, the last one also all longer ones. {} for no texts.

    Example:
        >>> found = describe_lengths([3, 4, 4, 9])
        >>> found["p50"], found["max"], found["histogram"]["counts"][:5]
        (4, 9, [0, 0, 0, 1, 2])
    """
    values = np.asarray(lengths, dtype=np.int64)
    if not len(values):
        return {}
    points = np.percentile(values, PERCENTILES, method="inverted_cdf").tolist()
    width = bin_width(int(np.percentile(values, 99, method="inverted_cdf")))
    counts = np.bincount(np.minimum(values // width, BINS - 1), minlength=BINS).tolist()
    return {
        **{f"p{percent}": int(point) for percent, point in zip(PERCENTILES, points, strict=True)},
        "mean": round(float(values.mean()), 2),
        "max": int(values.max()),
        "histogram": {"width": width, "counts": counts},
    }


def bin_width(longest: int) -> int:
    """The smallest of 1, 2, 3, 4, 5, 6, 8, 10, 20 … at which the bins reach `longest`.

    Example:
        >>> bin_width(11), bin_width(130), bin_width(5000)
        (1, 20, 500)
    """
    wanted = max(1, (longest + 1) / BINS)
    power = 10 ** math.floor(math.log10(wanted))
    return next(int(power * step) for step in (1, 2, 3, 4, 5, 6, 8, 10) if power * step >= wanted)
