"""Several runs of each of two configurations, alike but for their seed: the difference of their mean scores.

Two things are left to chance, the test rows and the seeds, and they are crossed: every run answers every row. Their
parts of the variance are found apart and added, as in the pigeonhole bootstrap (Owen 2007, "The pigeonhole bootstrap",
which resamples both), and as there what only a pair of run and row has is counted twice: careful rather than bold.
The rows' part is that of a paired bootstrap. The seeds' part is s^2 / k of the k runs' scores. With the few seeds that
people can afford, resampling them or taking 1.96 standard errors would claim too much, so the interval is that of
Student's t, with the degrees of freedom of Welch (1947) and Satterthwaite (1946).

Equal seeds in both groups are not taken as pairs: with a few runs this would cost half of the degrees of freedom.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

import numpy as np

from tunesmith.contracts import Labels, Task
from tunesmith.errors import DataError
from tunesmith.evaluation.intervals import affordable_draws, drawn_counts, drawn_rows
from tunesmith.evaluation.paired import Difference, check_same_rows, find_score, is_by_rows
from tunesmith.evaluation.scoring import Evaluation, row_scorer, scorer

SEEDS = "seeds_t"
"""Name of the test."""
Runs = Sequence[Evaluation]


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
    drawn = _drawn(runs, name, task, labels, **settings)
    scores = next(drawn)
    first, second = scores[: len(before)], scores[len(before) :]
    gains = [_mean(row[len(before) :]) - _mean(row[: len(before)]) for row in drawn]
    value, n = _mean(second) - _mean(first), before[0].n
    return _welch(
        value, [statistics.variance(gains), _error(first), _error(second)], [n, len(first), len(second)], level
    )


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


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _error(scores: Sequence[float]) -> float:
    """Variance of the mean score that the choice of seeds brings; 0 of a single run."""
    return statistics.variance(scores) / len(scores) if len(scores) > 1 else 0.0


def _welch(value: float, variances: Sequence[float], counts: Sequence[int], level: float) -> Difference:
    """Interval and two-sided p of a difference whose variance is a sum of estimated ones.

    Args:
        value: the difference.
        variances: of it, by rows, seeds before, seeds after.
        counts: rows and runs that each was estimated from.
        level: of the interval.
    """
    from scipy.special import stdtr, stdtrit

    total = sum(variances)
    facts = {
        "runs_before": counts[1],
        "runs_after": counts[2],
        "rows_error": math.sqrt(variances[0]),
        "seeds_error": math.sqrt(variances[1] + variances[2]),
    }
    if total <= np.finfo(float).tiny:  # every row and every seed says the same
        p = 1.0 if value == 0 else 0.5 ** counts[0]
        return Difference(value, value, value, counts[0], p, SEEDS, facts)
    freedom = total**2 / sum(v**2 / max(1, n - 1) for v, n in zip(variances, counts, strict=True))
    half = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(total)
    p = 2 * float(stdtr(freedom, -abs(value) / math.sqrt(total)))
    facts["degrees_of_freedom"] = freedom
    return Difference(value, value - half, value + half, counts[0], p, SEEDS, facts)
