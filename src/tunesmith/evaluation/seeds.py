"""Several runs of each of two configurations, alike but for their seed: the difference of their mean scores.

Two things are left to chance, the test rows and the seeds, and they are crossed: every run answers every row. So the
variance of the difference of the means is

    rows + seeds - both

- rows: of the difference when the rows are drawn anew and the runs stay (the paired bootstrap);
- seeds: s^2 / k of the k runs' scores, of each group;
- both: what a run has with single rows and no other run has. The first two hold it each once, and resampling both, as
  the pigeonhole bootstrap (Owen 2007) does, counts it twice as well. It is the bootstrap's variance of a run's
  distance from its group's mean, and taken off once. This is how readers and cases are kept apart in diagnostic studies
  of several readers (Gallas 2006). What is left is never less than the larger of the first two.

With the few seeds that people can afford, resampling them or taking 1.96 standard errors claims too much, so the
interval is that of Student's t, with the degrees of freedom of Welch (1947) and Satterthwaite (1946).

Equal seeds in both groups are not taken as pairs: with a few runs this would cost half of the degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Counts, Labels, Task
from tunesmith.errors import DataError
from tunesmith.evaluation.intervals import affordable_draws, drawn_counts, drawn_rows
from tunesmith.evaluation.paired import Difference, check_same_rows, find_score, is_by_rows
from tunesmith.evaluation.scoring import Evaluation, row_scorer, scorer

SEEDS = "seeds_t"
"""Name of the test."""
LEVEL = 0.95
"""Of the intervals."""
Runs = Sequence[Evaluation]
Scores = Mapping[str, float]
Floats = NDArray[np.float64]

_ROUNDING = 1e-12
"""A standard error, or a difference, below this is rounding."""


def seeds_difference(
    before: Runs,
    after: Runs,
    task: Task,
    labels: Labels,
    *,
    metric: str | None = None,
    resamples: int = 1000,
    seed: int = 13,
) -> Difference:
    """Return mean of after - mean of before of a score; interval and p cover the choice of rows and of seeds.

    Args:
        before: runs of the first configuration.
        after: runs of the second; see `seeds_differences`.
        task: says what is right.
        labels: the answers that can be given.
        metric: name of the score; default: the headline.
        resamples: bootstrap resamples behind the rows' part.
        seed: decides what is drawn.

    Raises:
        DataError: they were not judged on the same rows.
        ConfigError: there is no score of that name.
    """
    name = find_score(after[0], metric)
    settings = {"resamples": resamples, "seed": seed}
    if is_by_rows(after[0], name, task, labels):
        return seeds_differences_rows(before, after, row_scorer(task, labels, name), **settings)[name]
    return seeds_differences(before, after, scorer(task, labels, name), **settings)[name]


def seeds_differences(
    before: Runs, after: Runs, score: Callable[[Counts], Scores], *, resamples: int = 1000, seed: int = 13
) -> dict[str, Difference]:
    """Return mean of after - mean of before of every score of summed counts.

    A group of a single run is taken as it is: the luck of its seed is not covered.

    Args:
        before: runs of the first configuration, at least one.
        after: runs of the second, at least one; more than two in all.
        score: summed counts → scores by name.
        resamples: bootstrap resamples behind the rows' part.
        seed: decides what is drawn.

    Raises:
        DataError: they were not judged on the same rows, or are too few.
    """
    runs = _check(before, after)
    joint = [
        {(place, key): count for place, counts in enumerate(row) for key, count in counts.items()}
        for row in zip(*(run.judged_counts for run in runs), strict=True)
    ]

    def drawn() -> Iterator[list[Scores]]:
        for sums in drawn_counts(joint, resamples, seed):
            sides: list[dict[str, float]] = [{} for _ in runs]
            for (place, key), count in sums.items():
                sides[place][key] = count
            yield [score(counts) for counts in sides]

    return _weigh(list(drawn()), len(before), len(joint))


def seeds_differences_rows(
    before: Runs,
    after: Runs,
    score_rows: Callable[[Sequence[Any], Sequence[Any]], Scores],
    *,
    resamples: int = 1000,
    seed: int = 13,
) -> dict[str, Difference]:
    """Do what `seeds_differences` does for scores that are no function of sums."""
    runs = _check(before, after)

    def drawn() -> Iterator[list[Scores]]:
        for rows in drawn_rows(before[0].n, affordable_draws(resamples, before[0].n), seed):
            golds = [before[0].golds[row] for row in rows]
            yield [score_rows([run.predictions[row] for row in rows], golds) for run in runs]

    return _weigh(list(drawn()), len(before), before[0].n)


def _check(before: Runs, after: Runs) -> list[Evaluation]:
    runs = [*before, *after]
    if not before or not after or len(runs) < 3:
        message = f"{len(before)} runs and {len(after)}, wanted at least one of each and several of one"
        raise DataError(message, fix="compare single runs as two systems")
    for run in runs[1:]:
        check_same_rows(runs[0], run)
    return runs


def _weigh(drawn: Sequence[Sequence[Scores]], first: int, n: int) -> dict[str, Difference]:
    """Turn the scores of each run, on all rows and then on each drawn set, into differences of the groups' means."""
    found = {}
    for name in drawn[0][0]:
        scores = np.array([[run[name] for run in runs] for runs in drawn])  # (1 + resamples, runs)
        sides = scores[:, :first], scores[:, first:]
        gains = sides[1].mean(axis=1) - sides[0].mean(axis=1)
        parts = Parts(
            rows=float(gains[1:].var(ddof=1)),
            seeds=(_seeds_part(sides[0]), _seeds_part(sides[1])),
            both=sum(map(_shared_part, sides)),
            n=n,
            runs=(first, scores.shape[1] - first),
        )
        found[name] = _welch(float(gains[0]), parts)
    return found


@dataclass(frozen=True)
class Parts:
    """What the variance of a difference of means is made of.

    Attributes:
        rows: by the choice of rows.
        seeds: by the choice of seeds, in each group.
        both: what the two hold twice.
        n: rows.
        runs: in each group.
    """

    rows: float
    seeds: tuple[float, float]
    both: float
    n: int
    runs: tuple[int, int]

    @property
    def total(self) -> float:
        """Variance of the difference."""
        return max(self.rows, sum(self.seeds), self.rows + sum(self.seeds) - self.both)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of its estimate."""
        net_rows = max(0.0, self.total - sum(self.seeds))
        weighed = [(net_rows, self.n), *zip(self.seeds, self.runs, strict=True)]
        return float(self.total**2 / sum(variance**2 / max(1, count - 1) for variance, count in weighed))


def _seeds_part(scores: Floats) -> float:
    """Variance of a group's mean by the choice of its seeds: (1 + resamples, runs), all rows first; 0 of one run."""
    runs = int(scores.shape[1])
    return float(scores[0].var(ddof=1)) / runs if runs > 1 else 0.0


def _shared_part(scores: Floats) -> float:
    """Variance of a group's mean by what single runs have with single rows; 0 of one run."""
    runs = int(scores.shape[1])
    if runs == 1:
        return 0.0
    apart = scores[1:] - scores[1:].mean(axis=1, keepdims=True)
    return float(apart.var(axis=0, ddof=1).sum()) / (runs - 1) / runs


def _welch(value: float, parts: Parts) -> Difference:
    """Interval and two-sided p of a difference whose variance is a sum of estimated ones."""
    from scipy.special import stdtr, stdtrit

    error = math.sqrt(parts.total)
    facts = {"rows_error": math.sqrt(parts.rows), "seeds_error": math.sqrt(sum(parts.seeds))}
    if error <= _ROUNDING:  # every row and every seed says the same
        p = 1.0 if abs(value) <= _ROUNDING else 0.5**parts.n
        return Difference(value, value, value, parts.n, p, SEEDS, facts)
    half = float(stdtrit(parts.freedom, (1 + LEVEL) / 2)) * error
    p = 2 * float(stdtr(parts.freedom, -abs(value) / error))
    facts["degrees_of_freedom"] = parts.freedom
    return Difference(value, value - half, value + half, parts.n, p, SEEDS, facts)
