"""Bootstrap intervals: how far a score may be off because the test set is only a sample.

The percentile bootstrap (Efron & Tibshirani 1993, chapter 13): draw as many rows as there are, with
replacement, score them, repeat; the middle 95 % of those scores is the interval. Where a score is made of
additive counts, a drawn set is a weighted sum of the rows' counts, and rows with equal counts are one row
with a multiplicity: a thousand resamples of a classification test set cost milliseconds.

What it cannot see: a score of exactly 0 or 1 gets an interval of width 0, because no resample differs. Read
300 right answers out of 300 as "at least 0.99" (the rule of three: 1 - 3/n), not as certainty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Counts
from tunesmith.errors import ConfigError, DataError

Scores = Mapping[str, float]
Key = TypeVar("Key", bound=Hashable)
Floats = NDArray[np.float64]

_BLOCK_CELLS = 4_000_000
"""Weights held at once (32 MB): memory does not grow with the number of resamples."""
DRAWN_ROWS = 10_000_000
"""Most rows drawn in all where each drawn set is scored row by row: half a minute and not six for 100,000 rows."""
_FEWEST_RESAMPLES = 100


@dataclass(frozen=True)
class Interval:
    """A score and where it may lie.

    Attributes:
        value: the score of all rows.
        low: lower end of the interval.
        high: upper end.
        n: rows behind it.
    """

    value: float
    low: float
    high: float
    n: int


def bootstrap_intervals(
    row_counts: Sequence[Counts],
    score: Callable[[Counts], Scores],
    *,
    resamples: int = 1000,
    seed: int = 13,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Put an interval around every score that is a function of summed counts.

    Args:
        row_counts: additive counts of each row.
        score: summed counts → scores by name.
        resamples: how many sets are drawn.
        seed: decides what is drawn; the same seed gives the same interval.
        level: share of the drawn sets inside the interval.

    Returns:
        Score name → interval. Drawn sets on which a score is not a finite number are left out of it.

    Raises:
        DataError: there is no row.
        ConfigError: `resamples` or `level` makes no sense.

    Example:
        >>> rows = [{"rows": 1.0, "right": float(i % 4 != 0)} for i in range(400)]
        >>> found = bootstrap_intervals(rows, lambda total: {"accuracy": total["right"] / total["rows"]})
        >>> found["accuracy"].value, 0.70 < found["accuracy"].low < 0.75 < found["accuracy"].high < 0.80
        (0.75, True)
    """
    drawn = drawn_counts(row_counts, resamples, seed)
    return _intervals((score(counts) for counts in drawn), len(row_counts), level)


def paired_difference(
    row_counts_before: Sequence[Counts],
    row_counts_after: Sequence[Counts],
    score: Callable[[Counts], Scores],
    *,
    resamples: int = 1000,
    seed: int = 13,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Put an interval around score(after) - score(before), both on the same drawn rows.

    What two systems get wrong together cancels, so the interval is narrower than the two single ones suggest,
    and it is the one that answers whether the second system is better.

    Args:
        row_counts_before: additive counts of each row under the first system.
        row_counts_after: the same rows, in the same order, under the second.
        score: summed counts → scores by name.
        resamples: how many sets are drawn.
        seed: decides what is drawn.
        level: share of the drawn sets inside the interval.

    Raises:
        DataError: there is no row, or the two lists differ in length.
        ConfigError: `resamples` or `level` makes no sense.
    """
    check_paired(len(row_counts_before), len(row_counts_after))
    joint = [
        {(0, key): count for key, count in before.items()} | {(1, key): count for key, count in after.items()}
        for before, after in zip(row_counts_before, row_counts_after, strict=True)
    ]
    drawn = drawn_counts(joint, resamples, seed)
    return _intervals((_gain(score, counts) for counts in drawn), len(joint), level)


def bootstrap_rows(
    predictions: Sequence[Any],
    golds: Sequence[Any],
    score_rows: Callable[[Sequence[Any], Sequence[Any]], Scores],
    *,
    resamples: int = 1000,
    seed: int = 13,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Put an interval around scores that are no function of sums (rank correlations, AUROC) by drawing rows.

    Of more than 10,000 rows fewer sets are drawn than usual, down to 100: the interval is then narrow anyway.

    Args:
        predictions: one answer a row.
        golds: the right answers, in the same order.
        score_rows: (predictions, right answers) → scores by name.
        resamples: how many sets are drawn at most.
        seed: decides what is drawn.
        level: share of the drawn sets inside the interval.

    Raises:
        DataError: there is no row, or the two lists differ in length.
        ConfigError: `resamples` or `level` makes no sense.
    """
    check_paired(len(predictions), len(golds))
    drawn = drawn_rows(len(golds), affordable_draws(resamples, len(golds)), seed)
    scores = (
        score_rows(list(map(predictions.__getitem__, rows)), list(map(golds.__getitem__, rows))) for rows in drawn
    )
    return _intervals(scores, len(golds), level)


def paired_difference_rows(
    predictions: tuple[Sequence[Any], Sequence[Any]],
    golds: Sequence[Any],
    score_rows: Callable[[Sequence[Any], Sequence[Any]], Scores],
    *,
    resamples: int = 1000,
    seed: int = 13,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Do what `paired_difference` does, for scores that are no function of sums.

    Args:
        predictions: the answers (before, after), each one a row.
        golds: the right answers, in the same order.
        score_rows: (predictions, right answers) → scores by name.
        resamples: how many sets are drawn.
        seed: decides what is drawn.
        level: share of the drawn sets inside the interval.

    Raises:
        DataError: there is no row, or the lists differ in length.
        ConfigError: `resamples` or `level` makes no sense.
    """
    before, after = predictions
    check_paired(len(before), len(golds))

    def gain(pairs: Sequence[Any], truth: Sequence[Any]) -> Scores:
        first = score_rows([pair[0] for pair in pairs], truth)
        second = score_rows([pair[1] for pair in pairs], truth)
        return {name: second[name] - first[name] for name in second}

    check_paired(len(before), len(after))
    pairs = list(zip(before, after, strict=True))
    return bootstrap_rows(pairs, golds, gain, resamples=resamples, seed=seed, level=level)


def affordable_draws(resamples: int, rows: int) -> int:
    """How many sets are drawn where each is scored row by row."""
    return min(resamples, max(_FEWEST_RESAMPLES, DRAWN_ROWS // max(1, rows)))


def _gain(score: Callable[[Counts], Scores], counts: Mapping[tuple[int, str], float]) -> Scores:
    sides: tuple[dict[str, float], dict[str, float]] = ({}, {})
    for (side, key), count in counts.items():
        sides[side][key] = count
    before, after = score(sides[0]), score(sides[1])
    return {name: after[name] - before[name] for name in after}


def _intervals(scores: Iterator[Scores], n: int, level: float) -> dict[str, Interval]:
    """Turn scores, those of all rows first and then one of each drawn set, into intervals."""
    if not 0 < level < 1:
        message = f"level of an interval is {level}, wanted a share between 0 and 1"
        raise ConfigError(message, fix="0.95 is usual")
    values = dict(next(scores))
    drawn: dict[str, list[float]] = {name: [] for name in values}
    for sample in scores:
        for name in values:
            drawn[name].append(sample[name])
    return {name: _interval(value, drawn[name], n, level) for name, value in values.items()}


def _interval(value: float, drawn: Sequence[float], n: int, level: float) -> Interval:
    samples = np.asarray(drawn, dtype=np.float64)
    finite = samples[np.isfinite(samples)]
    if not len(finite):
        return Interval(value, value, value, n)
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high), n)


def drawn_counts(rows: Sequence[Mapping[Key, float]], resamples: int, seed: int) -> Iterator[dict[Key, float]]:
    """Yield the summed counts of all rows, then those of each drawn set."""
    _check(len(rows), resamples)
    keys, matrix, distinct_of = merge_rows(rows)
    multiplicity = np.bincount(distinct_of).astype(np.float64)
    yield dict(zip(keys, (multiplicity @ matrix).tolist(), strict=True))
    for weights in _weights(distinct_of, resamples, seed):
        for sums in weights @ matrix:
            yield dict(zip(keys, sums.tolist(), strict=True))


def merge_rows(rows: Sequence[Mapping[Key, float]]) -> tuple[list[Key], Any, NDArray[np.int64]]:
    """Merge rows with equal counts.

    Returns:
        K keys; the (distinct rows, K) counts as a sparse matrix; (rows,) index of each row's distinct row. In
        order of first appearance, so that the result depends on nothing but the rows.
    """
    from scipy.sparse import csr_array

    columns: dict[Key, int] = {}
    distinct: dict[frozenset[tuple[Key, float]], int] = {}
    distinct_of = np.empty(len(rows), dtype=np.int64)
    counts: list[float] = []
    positions: list[int] = []
    starts = [0]
    for index, row in enumerate(rows):
        number = distinct_of[index] = distinct.setdefault(frozenset(row.items()), len(distinct))
        if number == len(starts) - 1:
            positions.extend(columns.setdefault(key, len(columns)) for key in row)
            counts.extend(row.values())
            starts.append(len(counts))
    shape = (len(distinct), len(columns))
    return (
        list(columns),
        csr_array((np.asarray(counts, dtype=np.float64), positions, starts), shape),
        distinct_of,
    )


def _weights(distinct_of: NDArray[np.int64], resamples: int, seed: int) -> Iterator[Floats]:
    """Yield blocks of (resamples, distinct rows): how often each distinct row is drawn."""
    generator = np.random.default_rng(seed)
    rows, multiplicity = len(distinct_of), np.bincount(distinct_of)
    distinct = len(multiplicity)
    block = max(1, _BLOCK_CELLS // rows)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        if distinct * 8 < rows:  # both ways draw from the same distribution; this one costs distinct, not rows
            yield generator.multinomial(rows, multiplicity / rows, size=size).astype(np.float64)
            continue
        drawn = distinct_of[generator.integers(rows, size=(size, rows))]
        drawn += np.arange(size)[:, None] * distinct
        counted = np.bincount(drawn.ravel(), minlength=size * distinct)
        yield counted.reshape(size, distinct).astype(np.float64)


def drawn_rows(rows: int, resamples: int, seed: int) -> Iterator[list[int]]:
    """Yield all row indices, then those of each drawn set."""
    _check(rows, resamples)
    generator = np.random.default_rng(seed)
    yield list(range(rows))
    for _ in range(resamples):
        yield generator.integers(rows, size=rows).tolist()


def _check(rows: int, resamples: int) -> None:
    if rows == 0:
        raise DataError("no row to score, wanted at least one", fix="pass a data set with labelled rows")
    if resamples < 1:
        message = f"resamples is {resamples}, wanted 1 or more"
        raise ConfigError(message, fix="set evaluate.resamples to 1000")


def check_paired(left: int, right: int) -> None:
    """Raise DataError unless two systems were judged on as many rows."""
    if left != right:
        message = f"{left} rows on one side and {right} on the other, wanted the same rows on both"
        raise DataError(message, fix="score both on the same file")


def wilson_interval(hits: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927), 95 % by default.

    Args:
        hits: how many of the trials were one.
        trials: at least 1.
        z: of the level.

    Example:
        >>> [round(bound, 3) for bound in wilson_interval(90, 100)]
        [0.826, 0.945]
    """
    share = hits / trials
    middle = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return (middle - half) / (1 + z * z / trials), (middle + half) / (1 + z * z / trials)
