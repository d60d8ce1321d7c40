"""Two systems on the same rows: the difference of a score with its interval and p-value, classes, single rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith.contracts import Counts, Labels, Task
from tunesmith.errors import ConfigError, DataError, nearest
from tunesmith.evaluation import intervals, significance
from tunesmith.evaluation.intervals import Interval
from tunesmith.evaluation.scoring import Evaluation, row_scorer, scorer
from tunesmith.metrics import SHARES_OF_ROWS, row_mistakes
from tunesmith.metrics.classification import AVERAGES

MCNEMAR, RANDOMISATION = "mcnemar_mid_p", "randomisation"
"""Names of the tests."""


@dataclass(frozen=True)
class Difference:
    """after - before of one score, both on the same rows.

    Attributes:
        value: of all rows.
        low: lower end of its 95 % interval.
        high: upper end.
        n: rows.
        p: how often two equal systems would differ at least as much, two-sided.
        test: what gave p: "mcnemar_mid_p", "randomisation" or "seeds_t".
        facts: what else the test found, such as "p_exact" or "shuffles".
    """

    value: float
    low: float
    high: float
    n: int
    p: float
    test: str
    facts: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The difference as a run's metrics.json has it."""
        found: dict[str, Any] = {"value": self.value, "low": self.low, "high": self.high, "n": self.n}
        return {**found, "p": self.p, "test": self.test}


@dataclass(frozen=True)
class Changes:
    """Rows whose answers differ in how good they are: places, the largest change first.

    Attributes:
        fixed: wrong before, right after.
        broken: right before, wrong after.
        better: fewer mistakes, or a smaller error, but not right.
        worse: more mistakes, or a larger error, but not right before.
    """

    fixed: tuple[int, ...]
    broken: tuple[int, ...]
    better: tuple[int, ...]
    worse: tuple[int, ...]


def check_same_rows(before: Evaluation, after: Evaluation) -> None:
    """Raise DataError unless two evaluations are of the same right answers in the same order."""
    if list(before.golds) != list(after.golds):
        message = f"the two evaluations ({before.n} and {after.n} rows) are not of the same right answers"
        raise DataError(message, fix="score both systems on the same file")


def find_score(evaluation: Evaluation, metric: str | None) -> str:
    """Name of the score that decides. Raises ConfigError when there is none of that name."""
    name = metric or evaluation.headline
    if name not in evaluation.scores:
        raise ConfigError(f"there is no score {name!r}: {nearest(name, evaluation.scores)}", fix="choose one of them")
    return name


def difference(
    before: Evaluation,
    after: Evaluation,
    task: Task,
    labels: Labels,
    *,
    metric: str | None = None,
    resamples: int = 1000,
    shuffles: int = 10_000,
    seed: int = 13,
) -> Difference:
    """Return after - before of a score with a paired interval and the p-value of the test that suits the score.

    A share of rows that are right is tested with McNemar's mid-p, any other score with approximate randomisation.

    Args:
        before: the first system.
        after: the second.
        task: says what is right.
        labels: the answers that can be given.
        metric: name of the score; default: the headline.
        resamples: bootstrap resamples behind the interval.
        shuffles: random assignments behind a p-value of randomisation.
        seed: decides what is drawn.

    Raises:
        DataError: the two were not judged on the same rows.
        ConfigError: there is no score of that name.
    """
    check_same_rows(before, after)
    name = find_score(after, metric)
    if is_by_rows(after, name, task, labels):
        pair, by_rows = (before.predictions, after.predictions), row_scorer(task, labels, name)
        gain = intervals.paired_difference_rows(pair, after.golds, by_rows, resamples=resamples, seed=seed)[name]
        found = significance.randomise_rows(pair, after.golds, by_rows, shuffles=shuffles, seed=seed)
        return _join(gain, found.p[name], RANDOMISATION, {"shuffles": found.shuffles})
    score = scorer(task, labels, name)
    rows = before.judged_counts, after.judged_counts
    gain = intervals.paired_difference(*rows, score, resamples=resamples, seed=seed)[name]
    if name in SHARES_OF_ROWS:
        first, second = (_rights(counts, score, name) for counts in rows)
        only_before = sum(b and not a for b, a in zip(first, second, strict=True))
        only_after = sum(a and not b for b, a in zip(first, second, strict=True))
        test = significance.mcnemar(only_before, only_after)
        return _join(
            gain, test.mid, MCNEMAR, {"p_exact": test.exact, "only_before": only_before, "only_after": only_after}
        )
    found = significance.randomise(*rows, score, shuffles=shuffles, seed=seed)
    return _join(gain, found.p[name], RANDOMISATION, {"shuffles": found.shuffles})


def is_by_rows(evaluation: Evaluation, name: str, task: Task, labels: Labels) -> bool:
    """Whether a score is no function of summed counts."""
    return name in task.score_rows(evaluation.predictions, evaluation.golds, labels)


def _join(gain: Interval, p: float, test: str, facts: Mapping[str, float]) -> Difference:
    return Difference(gain.value, gain.low, gain.high, gain.n, p, test, facts)


def _rights(row_counts: Sequence[Counts], score: Callable[[Counts], Mapping[str, float]], name: str) -> list[bool]:
    """Whether each row is right, by its own score."""
    known: dict[frozenset[tuple[str, float]], bool] = {}
    found = []
    for counts in row_counts:
        key = frozenset(counts.items())
        if key not in known:
            known[key] = score(counts)[name] == 1.0
        found.append(known[key])
    return found


def score_differences(
    before: Evaluation, after: Evaluation, task: Task, labels: Labels, *, resamples: int = 1000, seed: int = 13
) -> dict[str, Interval]:
    """Return after - before of every score with its paired interval.

    Raises:
        DataError: the two were not judged on the same rows.
    """
    check_same_rows(before, after)
    settings = {"resamples": resamples, "seed": seed}
    found = intervals.paired_difference(before.judged_counts, after.judged_counts, scorer(task, labels), **settings)
    if not task.score_rows(after.predictions, after.golds, labels):
        return found
    pair, by_rows = (before.predictions, after.predictions), row_scorer(task, labels)
    return found | intervals.paired_difference_rows(pair, after.golds, by_rows, **settings)


def class_scorer(task: Task, labels: Labels) -> Callable[[Counts], dict[str, float]]:
    """Summed counts → F1 of each class, or type of entity; averages left out."""

    def score(counts: Counts) -> dict[str, float]:
        table = next(iter(task.tables(counts, labels).values()), {})
        return {name: row["f1"] for name, row in list(table.items())[:-AVERAGES]}

    return score


def find_changes(before: Sequence[Evaluation], after: Sequence[Evaluation], task: Task, labels: Labels) -> Changes:
    """Find the rows that the second system answers better or worse than the first.

    Args:
        before: the first system's runs, usually one. "Right" is right in every run, "wrong" is wrong in every run.
        after: the second system's runs.
        task: says what is right.
        labels: the answers that can be given.

    Raises:
        DataError: they were not judged on the same rows.
    """
    for evaluation in [*before[1:], *after]:
        check_same_rows(before[0], evaluation)
    first, second = ([_mistakes(one, task, labels) for one in runs] for runs in (before, after))
    groups: dict[str, list[tuple[float, int]]] = {"fixed": [], "broken": [], "better": [], "worse": []}
    for place in range(before[0].n):
        wrong, right = ([run[place] for run in runs] for runs in (first, second))
        change = sum(wrong) / len(wrong) - sum(right) / len(right)
        if all(wrong) and not any(right):
            groups["fixed"].append((-change, place))
        elif all(right) and not any(wrong):
            groups["broken"].append((change, place))
        elif change:
            groups["better" if change > 0 else "worse"].append((-abs(change), place))
    return Changes(**{name: tuple(place for _, place in sorted(found)) for name, found in groups.items()})


def _mistakes(evaluation: Evaluation, task: Task, labels: Labels) -> list[float]:
    """How far each row is from right: by its counts, or by what its headline lacks of 1."""
    found = row_mistakes(evaluation.row_counts)
    if found is not None:
        return found
    if is_by_rows(evaluation, evaluation.headline, task, labels):
        return [0.0] * evaluation.n
    return [1.0 - task.score(counts, labels)[evaluation.headline] for counts in evaluation.row_counts]
