"""Scores of search: where the right texts stand when all texts are sorted by how near they are to a query.

Keys of a query's counts: `queries`, `recall_at_1`, `recall_at_5`, `recall_at_10`, `reciprocal_rank`, `ndcg_at_10`. Each
query is judged against all candidates, so counts add over queries and a bootstrap draws queries, not candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Counts
from tunesmith.metrics.counts import ratio

DEPTHS = (1, 5, 10)
DEPTH = max(DEPTHS)
_BEHIND = 1e-9
"""What a right text loses in nearness: of equally near texts the wrong ones come first, so a model that gives all
texts one vector finds nothing."""
_BLOCK_CELLS = 2_000_000
"""Nearnesses held at once."""


@dataclass(frozen=True)
class Found:
    """What one query found.

    Attributes:
        rank: of the first right text, 1 is nearest; 0 where no candidate is right and the query does not count.
        ranks: of the right texts among the nearest 10, ascending.
        relevant: right texts among the candidates.
        nearest: the nearest candidate, an index; -1 where there is no candidate.
        nearness: of the nearest one.
    """

    rank: int
    ranks: tuple[int, ...]
    relevant: int
    nearest: int
    nearness: float


def rank_candidates(
    queries: Any,
    candidates: Any,
    relevant: Sequence[Sequence[int]],
    ignored: Sequence[Sequence[int]],
) -> list[Found]:
    """Sort all candidates for each query by the product of their vectors; of equally near ones, the wrong come first.

    Args:
        queries: (Q, D) vectors of length 1, an array or a SciPy sparse array.
        candidates: (N, D) likewise.
        relevant: of each query, indices of the right candidates.
        ignored: of each query, indices of candidates that are left out, such as the query itself.

    Example:
        >>> both = np.eye(2)
        >>> [found.rank for found in rank_candidates(both, both, [[0], [0]], [[], []])]
        [1, 2]
    """
    found: list[Found] = []
    block = max(1, _BLOCK_CELLS // max(1, candidates.shape[0]))
    for start in range(0, queries.shape[0], block):
        product = queries[start : start + block] @ candidates.T
        nearness = np.asarray(product.toarray() if hasattr(product, "toarray") else product, dtype=np.float64)
        part = slice(start, start + block)
        found += [_rank(*one) for one in zip(nearness, relevant[part], ignored[part], strict=True)]
    return found


def _rank(nearness: NDArray[np.float64], relevant: Sequence[int], ignored: Sequence[int]) -> Found:
    """Sort the (N,) candidates of one query."""
    order_by = nearness.copy()
    right = np.zeros(len(nearness), dtype=np.bool_)
    right[list(relevant)] = True
    order_by[right] -= _BEHIND
    order_by[list(ignored)] = -np.inf
    right[list(ignored)] = False
    count, left = int(right.sum()), len(nearness) - len(set(ignored))
    if not left:
        return Found(0, (), 0, -1, 0.0)
    depth = min(DEPTH, left)
    top = np.argpartition(-order_by, depth - 1)[:depth]
    top = top[np.argsort(-order_by[top], kind="stable")]
    ranks = tuple((np.flatnonzero(right[top]) + 1).tolist())
    first = ranks[0] if ranks else 1 + int((order_by > order_by[right].max()).sum()) if count else 0
    return Found(first, ranks, count, int(top[0]), float(nearness[top[0]]))


def retrieval_counts(found: Found) -> dict[str, float]:
    """Count one query.

    - recall_at_k: 1 where a right text is among the k nearest. With one right text a query this is its recall; with
      several it is also called hit rate or accuracy at k.
    - reciprocal_rank: 1 / rank of the first right text (Voorhees 1999).
    - ndcg_at_10: the sum of 1 / log2(rank + 1) over the right texts among the nearest 10, divided by the most it could
      be (Järvelin and Kekäläinen 2002).

    Example:
        >>> counts = retrieval_counts(Found(rank=2, ranks=(2, 3), relevant=2, nearest=5, nearness=0.7))
        >>> counts["recall_at_1"], counts["recall_at_5"], counts["reciprocal_rank"], round(counts["ndcg_at_10"], 3)
        (0.0, 1.0, 0.5, 0.693)
    """
    if not found.rank:
        return {"queries": 0.0}
    gained, most = (sum(_gains(ranks)) for ranks in (found.ranks, range(1, min(found.relevant, DEPTH) + 1)))
    return {
        "queries": 1.0,
        **{f"recall_at_{depth}": float(found.rank <= depth) for depth in DEPTHS},
        "reciprocal_rank": 1.0 / found.rank,
        "ndcg_at_10": gained / most,
    }


def _gains(ranks: Sequence[int]) -> Iterator[float]:
    return (1.0 / float(np.log2(rank + 1)) for rank in ranks)


def retrieval_scores(counts: Counts) -> dict[str, float]:
    """Summed counts of queries → recall_at_1, recall_at_5, recall_at_10, mrr and ndcg_at_10: means over queries."""
    queries = counts.get("queries", 0.0)
    keys = {**{f"recall_at_{depth}": f"recall_at_{depth}" for depth in DEPTHS}, "mrr": "reciprocal_rank"}
    keys["ndcg_at_10"] = "ndcg_at_10"
    return {name: ratio(counts.get(key, 0.0), queries) for name, key in keys.items()}
