"""The whole comparison: who, which rows, answers, statistics, and the object that `tunesmith compare --json` prints."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith import data
from tunesmith.comparing.answering import answer_in_turns, read_alike, read_predictions
from tunesmith.comparing.bout import Bout, Judged
from tunesmith.comparing.contestants import Contestant, Named, check_same_question, find_side
from tunesmith.comparing.facts import describe_changes, describe_settings, describe_system, find_warnings
from tunesmith.evaluation.intervals import paired_difference
from tunesmith.evaluation.paired import Difference, class_scorer, difference, find_score, score_differences
from tunesmith.evaluation.scoring import row_scorer, score_predictions, scorer
from tunesmith.evaluation.seeds import seeds_difference, seeds_differences, seeds_differences_rows
from tunesmith.metrics import ALPHA, SMALLER_IS_BETTER
from tunesmith.predictor import Predictor


def compare(
    a: Named | Sequence[Named],
    b: Named | Sequence[Named],
    source: Any,
    *,
    metric: str | None = None,
    options: data.ReadOptions | None = None,
    resamples: int = 1000,
    shuffles: int = 10_000,
) -> dict[str, Any]:
    """Let two models, or two configurations with several seeds each, answer the same labelled rows.

    Args:
        a: a model's folder; or a file that `tunesmith predict` wrote as JSON lines; or several folders, as a list or
            a pattern such as "runs/a-*", that differ in train.seed only.
        b: likewise; one of the two must be a folder.
        source: a labelled file, DataFrame or list of dicts.
        metric: the score that decides; default: the task's headline. Choose it before you look.
        options: how the source is read.
        resamples: bootstrap resamples behind each interval.
        shuffles: random assignments behind a p-value of randomisation.

    Returns:
        The object that `tunesmith compare --json` prints: "verdict", "difference", "per_class", "changes" …

    Raises:
        UserError: the two do not answer the same question, or a group is not of one configuration.
        DataError: a row cannot be used, or the rows of a predictions file are others.

    Example:
        >>> compare("runs/minilm", "runs/bert", "test.csv")["verdict"]  # doctest: +SKIP
        'b_better'
    """
    began = time.perf_counter()
    sides = find_side(a, "A"), find_side(b, "B")
    check_same_question(*sides)
    bout = _judge(sides, source, options, resamples, shuffles)
    name = find_score(bout.evaluations[0][0], metric)
    found = _difference(bout, name)
    first, second = (_mean([run.scores[name].value for run in runs]) for runs in bout.evaluations)
    return {
        "verdict": decide(found.value, found.p, name),
        "headline": name,
        "difference": {"a": first, "b": second, **found.to_json(), "facts": dict(found.facts)},
        "scores": _scores(bout),
        "per_class": _classes(bout),
        "changes": describe_changes(bout),
        "systems": {side: describe_system(runs) for side, runs in zip("ab", bout.sides, strict=True)},
        "settings": describe_settings(sides, is_pair=bout.is_pair),
        "warnings": find_warnings(bout),
        "source": bout.read.source,
        "rows": len(bout.read.rows),
        "fingerprint": bout.read.fingerprint,
        "rejected": len(bout.read.rejected),
        "seconds": time.perf_counter() - began,
    }


def decide(value: float, p: float, name: str) -> str:
    """Who is better: "a_better", "b_better", or "no_difference_shown".

    Example:
        >>> decide(0.02, 0.01, "accuracy"), decide(0.02, 0.01, "rmse"), decide(0.02, 0.2, "accuracy")
        ('b_better', 'a_better', 'no_difference_shown')
    """
    if p >= ALPHA or value == 0:
        return "no_difference_shown"
    return "b_better" if (value > 0) != (name in SMALLER_IS_BETTER) else "a_better"


def _judge(
    sides: Sequence[Sequence[Contestant]], source: Any, options: data.ReadOptions | None, resamples: int, shuffles: int
) -> Bout:
    """Read the rows and have every system answer and be scored."""
    everyone = [who for side in sides for who in side]
    models = {place: Predictor(who.found) for place, who in enumerate(everyone) if who.found is not None}
    predictors = list(models.values())
    read = read_alike(predictors, source, options)
    task, labels = predictors[0].task, predictors[0].artifact.labels
    golds = [task.gold(row, labels) for row in read.rows]
    filed = {
        place: read_predictions(who.path, predictors[0], read, options)
        for place, who in enumerate(everyone)
        if who.found is None
    }
    answers, seconds = answer_in_turns(predictors, read.rows)
    given = filed | dict(zip(models, answers, strict=True))
    took = dict(zip(models, seconds, strict=True))
    judged = [
        Judged(
            who,
            models.get(place),
            score_predictions(task, given[place], golds, labels, resamples=resamples),
            took.get(place),
        )
        for place, who in enumerate(everyone)
    ]
    cut = len(sides[0])
    return Bout((judged[:cut], judged[cut:]), task, labels, read, resamples, shuffles)


def _difference(bout: Bout, name: str) -> Difference:
    first, second = bout.evaluations
    if bout.is_pair:
        settings = {"resamples": bout.resamples, "shuffles": bout.shuffles}
        return difference(first[0], second[0], bout.task, bout.labels, metric=name, **settings)
    return seeds_difference(first, second, bout.task, bout.labels, metric=name, resamples=bout.resamples)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _row(first: float, second: float, gain: Any) -> dict[str, float]:
    return {"a": first, "b": second, "value": gain.value, "low": gain.low, "high": gain.high}


def _scores(bout: Bout) -> dict[str, dict[str, float]]:
    """Every score of both sides, with the interval of its difference."""
    task, labels, (first, second) = bout.task, bout.labels, bout.evaluations
    if bout.is_pair:
        gains: Mapping[str, Any] = score_differences(first[0], second[0], task, labels, resamples=bout.resamples)
    else:
        gains = seeds_differences(first, second, scorer(task, labels), resamples=bout.resamples)
        if task.score_rows(first[0].predictions, first[0].golds, labels):
            by_rows = row_scorer(task, labels)
            gains = {**gains, **seeds_differences_rows(first, second, by_rows, resamples=bout.resamples)}
    means = [{name: _mean([run.scores[name].value for run in runs]) for name in gains} for runs in (first, second)]
    return {name: _row(means[0][name], means[1][name], gain) for name, gain in gains.items()}


def _classes(bout: Bout) -> dict[str, dict[str, float]]:
    """F1 of each class on both sides, with the interval of its difference; what B loses most comes first."""
    first, second = bout.evaluations
    score = class_scorer(bout.task, bout.labels)
    if bout.is_pair:
        rows = first[0].row_counts, second[0].row_counts
        gains: Mapping[str, Any] = paired_difference(*rows, score, resamples=bout.resamples)
    else:
        gains = seeds_differences(first, second, score, resamples=bout.resamples)
    tables = [[next(iter(run.tables.values()), {}) for run in runs] for runs in (first, second)]
    found = {}
    for name, gain in sorted(gains.items(), key=lambda pair: (pair[1].value, pair[0])):
        means = [_mean([table[name]["f1"] for table in side]) for side in tables]
        found[name] = {**_row(means[0], means[1], gain), "support": tables[0][0][name]["support"]}
    return found
