"""What every score is made of: counts of one row whose sum over rows is all that is needed.

Counts are a flat mapping of numbers, so a bootstrap resamples sums instead of rows. A missing key is 0. Where a
denominator is 0 the ratio is 0, as with `zero_division=0` in scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tunesmith.contracts import Counts
from tunesmith.errors import DataError

SMALLER_IS_BETTER = frozenset({"rmse", "mae", "hamming_loss", "loss", "perplexity"})
"""Scores of which less is better."""
SHARES_OF_ROWS = frozenset(
    {"accuracy", "subset_accuracy", "exact_match", "recall_at_1", "recall_at_5", "recall_at_10", "triplet_accuracy"}
    | {"preference_accuracy", "reward_accuracy"}
)
"""Scores that are the share of rows that are right: each row counts 0 or 1."""

OF_ANY_ROWS = (
    *("accuracy", "f1", "chrf", "exact_match", "entity_f1", "micro_f1", "recall_at_5", "mrr", "mae", "rmse"),
    *("preference_accuracy", "margin"),
)
"""Scores that mean the same on any part of the rows; a macro average does not where a part lacks classes."""


def sum_counts(rows: Iterable[Counts]) -> dict[str, float]:
    """Add the counts of rows.

    Example:
        >>> sum_counts([{"rows": 1, "correct": 1}, {"rows": 1}])
        {'rows': 2, 'correct': 1}
    """
    total: dict[str, float] = {}
    for row in rows:
        for key, count in row.items():
            total[key] = total.get(key, 0) + count
    return total


def ratio(part: float, whole: float) -> float:
    """part / whole, 0 where there is nothing to divide by."""
    return part / whole if whole else 0.0


def row_mistakes(row_counts: Sequence[Counts]) -> list[float] | None:
    """How far each row's answer is from the right one; 0 is right.

    Returns:
        Of numbers the absolute error, of labels and entities how many are missing or too many; None where the counts
        tell neither.

    Example:
        >>> row_mistakes([{"predicted:a": 1, "gold:b": 1}, {"predicted:a": 1, "gold:a": 1, "tp:a": 1}])
        [2, 0]
    """
    if all("absolute_error" in counts for counts in row_counts):
        return [counts["absolute_error"] for counts in row_counts]
    weights = {"predicted": 1, "gold": 1, "tp": -2}
    if not any(key.partition(":")[0] in weights for counts in row_counts for key in counts):
        return None
    return [
        sum(weights.get(key.partition(":")[0], 0) * count for key, count in counts.items()) for counts in row_counts
    ]


def uneven(what: str, predictions: int, answers: int) -> DataError:
    """The error of lists that do not belong together."""
    message = f"{what} of {predictions} predictions and {answers} answers, wanted as many of each"
    return DataError(message, fix="pass one prediction for each answer, in the same order")
