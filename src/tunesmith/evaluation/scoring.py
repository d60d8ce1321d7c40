"""Judge predictions through the Task protocol: every score with its interval, ready for metrics.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tunesmith.contracts import Comparison, Counts, JudgedTogether, Labels, Task
from tunesmith.errors import DataError
from tunesmith.evaluation import intervals
from tunesmith.evaluation.intervals import Interval
from tunesmith.metrics import sum_counts


@dataclass(frozen=True)
class Evaluation:
    """What one system scored on one labelled data set.

    Attributes:
        headline: name of the score that decides.
        scores: every score with its interval; scores made of sums first, then those that are not.
        tables: name → label → precision, recall, f1, support, averages last; the first is `per_class`.
        confusion: (C, C) rows = right answer, columns = predicted; None where it has no meaning.
        names: (C,) the classes in the order of `confusion`.
        row_counts: additive counts of each row, for paired comparison.
        predictions: the answers.
        golds: the right answers.
        n: rows.
        judged: places of those that count; the others have nothing to find.
    """

    headline: str
    scores: Mapping[str, Interval]
    tables: Mapping[str, Mapping[str, Mapping[str, float]]]
    confusion: list[list[int]] | None
    names: tuple[str, ...]
    row_counts: Sequence[Counts]
    predictions: Sequence[Any]
    golds: Sequence[Any]
    n: int
    judged: tuple[int, ...]

    @property
    def judged_counts(self) -> list[Counts]:
        """Additive counts of each row that counts."""
        return [self.row_counts[place] for place in self.judged]

    @property
    def value(self) -> float:
        """The headline score."""
        return self.scores[self.headline].value


def score_predictions(
    task: Task,
    predictions: Sequence[Any],
    golds: Sequence[Any],
    labels: Labels,
    *,
    resamples: int = 1000,
    seed: int = 13,
) -> Evaluation:
    """Judge answers.

    Args:
        task: says what is right.
        predictions: (B,) the task's Predictions.
        golds: (B,) what `task.gold` returned, in the same order.
        labels: the answers that can be given.
        resamples: bootstrap resamples behind each interval.
        seed: decides what is drawn.

    Raises:
        DataError: there is no row, none can be judged, or the two lists differ in length.
    """
    if len(predictions) != len(golds):
        message = f"{len(predictions)} predictions and {len(golds)} right answers, wanted as many of each"
        raise DataError(message, fix="predict every row of the labelled file")
    row_counts = tally_rows(task, predictions, golds, labels)
    judged = find_judged(task, golds, labels)
    counted = [row_counts[place] for place in judged]
    scores = intervals.bootstrap_intervals(counted, scorer(task, labels), resamples=resamples, seed=seed)
    if task.score_rows(predictions, golds, labels):
        by_rows = row_scorer(task, labels)
        scores |= intervals.bootstrap_rows(predictions, golds, by_rows, resamples=resamples, seed=seed)
    return Evaluation(
        headline=task.headline(labels),
        scores=scores,
        tables=task.tables(sum_counts(row_counts), labels),
        confusion=task.confusion(predictions, golds, labels),
        names=labels.names,
        row_counts=row_counts,
        predictions=predictions,
        golds=golds,
        n=len(golds),
        judged=judged,
    )


def find_judged(task: Task, golds: Sequence[Any], labels: Labels) -> tuple[int, ...]:
    """Places of the rows that can be judged: all, unless they are judged among each other.

    Raises:
        DataError: there are rows, and none can be.
    """
    if not isinstance(task, JudgedTogether):
        return tuple(range(len(golds)))
    found = tuple(place for place, is_judged in enumerate(task.can_judge(golds, labels)) if is_judged)
    if golds and not found:
        message = f"none of the {len(golds):,} rows can be judged: they {task.unjudged}"
        raise DataError(message, fix="give more rows that belong together")
    return found


def tally_rows(task: Task, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[Counts]:
    """Additive counts of each row, those of tasks that judge rows among each other, too."""
    if isinstance(task, JudgedTogether):
        return task.tally_together(predictions, golds, labels)
    return [task.tally(prediction, gold, labels) for prediction, gold in zip(predictions, golds, strict=True)]


def compare_rows(task: Task, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[Comparison]:
    """Each answer beside the right one, likewise."""
    if isinstance(task, JudgedTogether):
        return task.compare_together(predictions, golds, labels)
    return [task.compare(prediction, gold, labels) for prediction, gold in zip(predictions, golds, strict=True)]


def to_json(evaluation: Evaluation, baselines: Mapping[str, Evaluation], seconds: float) -> dict[str, Any]:
    """Lay out an evaluation and its competitors as metrics.json has it.

    Args:
        evaluation: of the model.
        baselines: name → evaluation of each competitor on the same rows.
        seconds: how long judging took, predictions included.

    Returns:
        `headline`, `scores` {name: {value, low, high, n}}, `baselines` {name: scores}, `per_class` and the
        task's other tables, `confusion` {labels, matrix} or None, `seconds`; `not_judged` where rows do not count.
    """
    table = evaluation.confusion
    return {
        "headline": evaluation.headline,
        "scores": _plain(evaluation.scores),
        "baselines": {name: _plain(baseline.scores) for name, baseline in baselines.items()},
        **({"per_class": {}} | {name: _plain_table(table) for name, table in evaluation.tables.items()}),
        "confusion": None if table is None else {"labels": list(evaluation.names), "matrix": table},
        "seconds": seconds,
        **({"not_judged": left_out} if (left_out := evaluation.n - len(evaluation.judged)) else {}),
    }


def _plain_table(table: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {label: dict(row) for label, row in table.items()}


def _plain(scores: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    return {name: asdict(interval) for name, interval in scores.items()}


def scorer(task: Task, labels: Labels, only: str | None = None) -> Callable[[Counts], dict[str, float]]:
    """Summed counts → the task's scores, or one of them."""

    def score(counts: Counts) -> dict[str, float]:
        scores = task.score(counts, labels)
        return scores if only is None else {only: scores[only]}

    return score


def row_scorer(
    task: Task, labels: Labels, only: str | None = None
) -> Callable[[Sequence[Any], Sequence[Any]], dict[str, float]]:
    """(predictions, right answers) → the task's scores that are no sums, or one of them."""

    def score(predictions: Sequence[Any], golds: Sequence[Any]) -> dict[str, float]:
        scores = task.score_rows(predictions, golds, labels)
        return scores if only is None else {only: scores[only]}

    return score
