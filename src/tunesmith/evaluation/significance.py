"""Tests of whether two systems differ: how often chance alone, with two equal systems, would part them as far.

McNemar's test is for scores that are the share of rows that are right; approximate randomisation is for every other.
Both look only at the rows that the two systems answer differently.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Counts
from tunesmith.errors import ConfigError
from tunesmith.evaluation.intervals import DRAWN_ROWS, check_paired, merge_rows
from tunesmith.metrics import sum_counts

Scores = Mapping[str, float]
Masks = NDArray[np.int64]

FEWEST_SHUFFLES = 500
"""Shuffles made however many rows have to be scored one by one."""
_BLOCK_CELLS = 2_000_000
"""Swaps held at once (16 MB)."""
_ROUNDING = 1e-9
"""Sums of other rows in another order differ by rounding; a difference this much smaller still counts as reached."""


@dataclass(frozen=True)
class McNemar:
    """Both p-values of McNemar's test.

    Attributes:
        exact: two-sided; never too often below a level, but less often than it says.
        mid: two-sided mid-p: half the probability of what was seen is left out.
    """

    exact: float
    mid: float


@dataclass(frozen=True)
class Randomised:
    """What approximate randomisation found.

    Attributes:
        p: score name → two-sided p-value.
        shuffles: assignments that were scored.
        is_complete: they are all that there are, so that p is exact.
    """

    p: Mapping[str, float]
    shuffles: int
    is_complete: bool


def mcnemar(only_before: int, only_after: int) -> McNemar:
    """Test whether two systems are right equally often, from the rows that only one of them gets right.

    With equal systems, each such row is a fair coin (McNemar 1947). The exact p is 2 P(X <= k) for the rarer side k of
    n tosses, at most 1; mid-p is that minus P(X = k). Fagerland, Lydersen and Laake (2013, "The McNemar test for
    binary matched-pairs data: mid-p and asymptotic are better than exact conditional") advise mid-p: the exact one is
    so careful that it misses differences that are there.

    Args:
        only_before: rows that the first system alone gets right.
        only_after: rows that the second alone gets right.

    Example:
        >>> mcnemar(1, 6)
        McNemar(exact=0.125, mid=0.0703125)
    """
    from scipy.special import bdtr

    rarer, tosses = min(only_before, only_after), only_before + only_after
    upto = float(bdtr(rarer, tosses, 0.5))
    below = float(bdtr(rarer - 1, tosses, 0.5)) if rarer else 0.0
    return McNemar(exact=min(1.0, 2 * upto), mid=min(1.0, upto + below))


def randomise(
    row_counts_before: Sequence[Counts],
    row_counts_after: Sequence[Counts],
    score: Callable[[Counts], Scores],
    *,
    shuffles: int = 10_000,
    seed: int = 13,
) -> Randomised:
    """Test differences of scores of summed counts by swapping the two systems' counts of rows.

    With equal systems, it is a coin's choice which of a row's two answers is whose. So the two are swapped row by row
    with probability 1/2; p = (1 + shuffles with at least the difference seen) / (1 + shuffles) (Noreen 1989; Yeh
    2000, "More accurate tests for the statistical significance of result differences"). Where all assignments are no
    more than `shuffles`, each is made once and p is their exact share.

    Args:
        row_counts_before: additive counts of each row under the first system.
        row_counts_after: the same rows, in the same order, under the second.
        score: summed counts → scores by name.
        shuffles: how many assignments are drawn.
        seed: decides what is drawn; exchanging the two systems gives the same p.

    Raises:
        DataError: the two lists differ in length.
        ConfigError: `shuffles` is below 1.

    Example:
        >>> rows = [[{"hits": float(place < hits)} for place in range(9)] for hits in (3, 8)]
        >>> randomise(*rows, lambda total: {"hits": total["hits"]}).p["hits"]  # 2 of the 32 ways to swap five rows
        0.0625
    """
    check_paired(len(row_counts_before), len(row_counts_after))
    _check(shuffles)
    gains = [_gain(b, a) for b, a in zip(row_counts_before, row_counts_after, strict=True) if b != a]
    before, after = sum_counts(row_counts_before), sum_counts(row_counts_after)
    if not gains:
        return Randomised(dict.fromkeys(score(after), 1.0), 1, is_complete=True)
    keys, matrix, distinct_of = merge_rows(gains)

    def scored() -> Iterator[tuple[Scores, Scores]]:
        for swaps in _swap_counts(distinct_of, shuffles, seed):
            for moved in swaps.astype(np.float64) @ matrix:
                changes = dict(zip(keys, moved.tolist(), strict=True))
                yield (
                    score({**before, **{key: before.get(key, 0.0) + gain for key, gain in changes.items()}}),
                    score({**after, **{key: after.get(key, 0.0) - gain for key, gain in changes.items()}}),
                )

    return _weigh(score(before), score(after), scored(), is_complete=_is_few(len(gains), shuffles))


def randomise_rows(
    predictions: tuple[Sequence[Any], Sequence[Any]],
    golds: Sequence[Any],
    score_rows: Callable[[Sequence[Any], Sequence[Any]], Scores],
    *,
    shuffles: int = 10_000,
    seed: int = 13,
) -> Randomised:
    """Do what `randomise` does for scores that are no function of sums, by swapping answers.

    Of more than 1,000 rows fewer shuffles are made than usual, down to 500: each scores all rows twice.

    Args:
        predictions: the answers (before, after), each one a row.
        golds: the right answers, in the same order.
        score_rows: (predictions, right answers) → scores by name.
        shuffles: how many assignments are drawn at most.
        seed: decides what is drawn.

    Raises:
        DataError: the lists differ in length.
        ConfigError: `shuffles` is below 1.
    """
    before, after = list(predictions[0]), list(predictions[1])
    check_paired(len(before), len(golds))
    check_paired(len(before), len(after))
    _check(shuffles)
    shuffles = min(shuffles, max(FEWEST_SHUFFLES, DRAWN_ROWS // max(1, len(golds))))
    places = [place for place, (b, a) in enumerate(zip(before, after, strict=True)) if b != a]

    def scored() -> Iterator[tuple[Scores, Scores]]:
        for block in _swap_counts(np.arange(len(places)), shuffles, seed):
            for swaps in block:
                first, second = before.copy(), after.copy()
                for place in (places[index] for index in np.flatnonzero(swaps)):
                    first[place], second[place] = second[place], first[place]
                yield score_rows(first, golds), score_rows(second, golds)

    seen = score_rows(before, golds), score_rows(after, golds)
    return _weigh(*seen, scored(), is_complete=_is_few(len(places), shuffles))


def _gain(before: Counts, after: Counts) -> dict[str, float]:
    """What a row adds to the first system's counts when the two are swapped; keys in a settled order."""
    gains = {key: after.get(key, 0.0) - before.get(key, 0.0) for key in sorted({*before, *after})}
    return {key: gain for key, gain in gains.items() if gain}


def _weigh(
    before: Scores, after: Scores, shuffled: Iterator[tuple[Scores, Scores]], *, is_complete: bool
) -> Randomised:
    """Count the assignments that part the two systems at least as far as they are parted."""
    seen = {name: abs(after[name] - before[name]) * (1 - _ROUNDING) - 1e-15 for name in after}
    reached, count = dict.fromkeys(seen, 0), 0
    for first, second in shuffled:
        count += 1
        for name, least in seen.items():
            reached[name] += abs(second[name] - first[name]) >= least
    extra = 0 if is_complete else 1
    return Randomised({name: (r + extra) / (count + extra) for name, r in reached.items()}, count, is_complete)


def _is_few(rows: int, shuffles: int) -> bool:
    """Whether all assignments of rows can be made."""
    return rows <= math.log2(shuffles)


def _swap_counts(distinct_of: Masks, shuffles: int, seed: int) -> Iterator[Masks]:
    """Yield blocks of (assignments, distinct rows): how many of each distinct row are swapped."""
    rows, multiplicity = len(distinct_of), np.bincount(distinct_of)
    if _is_few(rows, shuffles):
        bits = np.arange(2**rows)[:, None] >> np.arange(rows)[None, :] & 1  # (2^rows, rows)
        is_of = (distinct_of[:, None] == np.arange(len(multiplicity))[None, :]).astype(np.int64)  # (rows, distinct)
        yield bits @ is_of
        return
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // max(1, len(multiplicity)))
    for start in range(0, shuffles, block):
        size = (min(block, shuffles - start), len(multiplicity))
        yield generator.binomial(multiplicity, 0.5, size=size).astype(np.int64)


def _check(shuffles: int) -> None:
    if shuffles < 1:
        raise ConfigError(f"shuffles is {shuffles}, wanted 1 or more", fix="10000 is usual")
