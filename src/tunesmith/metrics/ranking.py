"""Scores of rankings, from additive counts. No torch.

Keys of a row's counts: `rows` (1), `answerable` (1 if it has a right candidate) and, where it has a wrong one too, so
that there is something to rank, `ranked` (1), `reciprocal_rank`, `first_right` (0 or 1) and `average_precision`.
Sources: Voorhees 1999 (TREC-8 question answering) for MRR; Manning, Raghavan and Schütze 2008, section 8.4, for average
precision.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.contracts import Counts
from tunesmith.metrics.counts import ratio


def ranking_counts(rights: Sequence[bool], total: int, candidates: int) -> dict[str, float]:
    """Count one row.

    Args:
        rights: whether each candidate is right, best one first.
        total: right candidates there are. None, or nothing else: the row is left out of all scores but `answerable`.
        candidates: that there are.

    Example:
        >>> ranking_counts([False, True, True], 2, 3)["average_precision"]  # (1/2 + 2/3) / 2
        0.5833333333333333
    """
    counts = {"rows": 1.0, "answerable": float(total > 0)}
    if not 0 < total < candidates:
        return counts
    found = [rank for rank, is_right in enumerate(rights, start=1) if is_right]
    precisions = [number / rank for number, rank in enumerate(found, start=1)]
    counts |= {"ranked": 1.0, "reciprocal_rank": 1 / found[0] if found else 0.0}
    counts |= {"first_right": float(found[:1] == [1]), "average_precision": sum(precisions) / total}
    return counts


def ranking_scores(counts: Counts) -> dict[str, float]:
    """Summed counts → scores.

    Returns:
        `mrr`, the mean of 1 / rank of the first right candidate; `precision_at_1`, the share of rows whose first
        candidate is right; `map`, the mean of average precision; all over rows that have right and wrong candidates.
        `answerable`: the share of rows that have one.
    """
    ranked = counts.get("ranked", 0.0)
    return {
        "mrr": ratio(counts.get("reciprocal_rank", 0.0), ranked),
        "precision_at_1": ratio(counts.get("first_right", 0.0), ranked),
        "map": ratio(counts.get("average_precision", 0.0), ranked),
        "answerable": ratio(counts.get("answerable", 0.0), counts.get("rows", 0.0)),
    }
