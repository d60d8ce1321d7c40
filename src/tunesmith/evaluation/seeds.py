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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Labels, Task
from tunesmith.errors import DataError
from tunesmith.evaluation.intervals import affordable_draws, drawn_counts, drawn_rows
from tunesmith.evaluation.paired import Difference, check_same_rows, find_score, is_by_rows
from tunesmith.evaluation.scoring import Evaluation, row_scorer, scorer

SEEDS = "seeds_t"
"""Name of the test."""
Runs = Sequence[Evaluation]
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
    level: float = 0.95,
) -> Difference:
    """Return mean of after - mean of before of a score; interval and p cover the choice of rows and of seeds.

    A group of a single run is taken as it is: the luck of its seed is not covered.

    Args:
        before: runs of the first configuration, at least one.
        after: runs of the second, at least one; several in all.
        task: says what is right.
        labels: the answers that can be given.
        metric: name of the score; default: the headline.
        resamples: bootstrap resamples behind the rows' part.
        seed: decides what is drawn.
        level: of the interval.

    Raises:
        DataError: they were not judged on the same rows.
        ConfigError: there is no score of that name.
    """
    if len(before) + len(after) < 3:
        raise DataError("one run on each side, wanted several of one at least", fix="compare them as two systems")
    for run in [*before[1:], *after]:
        check_same_rows(before[0], run)
    name = find_score(after[0], metric)
    settings = {"resamples": resamples, "seed": seed}
    runs = [*before, *after]
    scores = np.array(list(_drawn(runs, name, task, labels, **settings)))  # (1 + resamples, runs)
    sides = scores[:, : len(before)], scores[:, len(before) :]
    gains = sides[1].mean(axis=1) - sides[0].mean(axis=1)
    parts = Parts(
        rows=float(gains[1:].var(ddof=1)),
        seeds=(_seeds_part(sides[0]), _seeds_part(sides[1])),
        both=sum(map(_shared_part, sides)),
        n=before[0].n,
        runs=(len(before), len(after)),
    )
    return _welch(float(gains[0]), parts, level)


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


def _drawn(runs: Runs, name: str, task: Task, labels: Labels, *, resamples: int, seed: int) -> Iterator[list[float]]:
    """Yield the score of each run on all rows, then on each drawn set, the same for all."""
    if is_by_rows(runs[0], name, task, labels):
        score_rows = row_scorer(task, labels, name)
        for rows in drawn_rows(runs[0].n, affordable_draws(resamples, runs[0].n), seed):
            golds = [runs[0].golds[row] for row in rows]
            yield [score_rows([run.predictions[row] for row in rows], golds)[name] for run in runs]
        return
    score = scorer(task, labels, name)
    joint = [
        {(place, key): count for place, counts in enumerate(row) for key, count in counts.items()}
        for row in zip(*(run.row_counts for run in runs), strict=True)
    ]
    for sums in drawn_counts(joint, resamples, seed):
        sides: list[dict[str, float]] = [{} for _ in runs]
        for (place, key), count in sums.items():
            sides[place][key] = count
        yield [score(counts)[name] for counts in sides]


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


def _welch(value: float, parts: Parts, level: float) -> Difference:
    """Interval and two-sided p of a difference whose variance is a sum of estimated ones."""
    from scipy.special import stdtr, stdtrit

    error = math.sqrt(parts.total)
    facts = {"rows_error": math.sqrt(parts.rows), "seeds_error": math.sqrt(sum(parts.seeds))}
    if error <= _ROUNDING:  # every row and every seed says the same
        p = 1.0 if abs(value) <= _ROUNDING else 0.5**parts.n
        return Difference(value, value, value, parts.n, p, SEEDS, facts)
    half = float(stdtrit(parts.freedom, (1 + level) / 2)) * error
    p = 2 * float(stdtr(parts.freedom, -abs(value) / error))
    facts["degrees_of_freedom"] = parts.freedom
    return Difference(value, value - half, value + half, parts.n, p, SEEDS, facts)
