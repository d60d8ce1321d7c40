"""Withholding answers that are not sure: from a wish to a threshold, and what the threshold does on labelled rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tunesmith.calibrating import Calibration
from tunesmith.contracts import Labels, Task
from tunesmith.errors import ConfigError
from tunesmith.evaluation.abstention import (
    Promise,
    UnreachableError,
    threshold_for_coverage,
    threshold_for_precision,
)
from tunesmith.evaluation.intervals import bootstrap_intervals

Wish = str | float
"""`precision=0.95`, `coverage=0.9`, or a threshold."""
FORMS = "--abstain precision=0.95, coverage=0.9, or a threshold such as 0.8"


@dataclass(frozen=True)
class Abstention:
    """From where on answers are given.

    Attributes:
        wish: as it was asked for.
        threshold: answers with a lower confidence are withheld.
        expected: what it did on the development rows; None where the folder knows none.
    """

    wish: str
    threshold: float
    expected: Promise | None


def choose(wish: Wish, calibration: Calibration | None, task: Task, labels: Labels) -> Abstention:
    """Find the threshold for a wish, from the answers to the development rows that the folder holds.

    Raises:
        ConfigError: the wish makes no sense, cannot be kept, or answers have no probability.
    """
    if task.beliefs([], None, labels) is None:
        raise ConfigError("answers of this model are numbers and have no probability", fix="leave abstain out")
    kind, value = _parse(wish)
    if kind == "threshold":
        return Abstention(str(wish), value, None if calibration is None else _look(calibration, value))
    if calibration is None or not len(calibration.confidences):
        message = f"abstain {wish}: this folder holds no answers to development rows to choose a threshold from"
        raise ConfigError(message, fix="give a threshold such as 0.8, or fit again")
    if kind == "coverage":
        promise = threshold_for_coverage(calibration.confidences, calibration.rights, value)
        return Abstention(str(wish), promise.threshold, promise)
    try:
        promise = threshold_for_precision(calibration.confidences, calibration.rights, value)
    except UnreachableError as error:
        n = len(calibration.confidences)
        message = f"abstain {wish} cannot be promised: {n:,} development answers assure at most {error.best:.3f}"
        fix = "ask for less, give a threshold such as 0.8, or fit with more development rows"
        raise ConfigError(message, fix=fix) from None
    return Abstention(str(wish), promise.threshold, promise)


def _parse(wish: Wish) -> tuple[str, float]:
    kind, equals, number = str(wish).rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if (equals and kind not in ("precision", "coverage")) or not 0 <= value <= 1:
        raise ConfigError(f"abstain got {wish!r}, wanted a share between 0 and 1", fix=FORMS)
    if kind == "precision" and value == 1:
        raise ConfigError("no number of development rows assures a precision of 1", fix="ask for less, such as 0.99")
    if kind == "coverage" and value == 0:
        raise ConfigError("a coverage of 0 would withhold every answer", fix=FORMS)
    return kind or "threshold", value


def _look(calibration: Calibration, threshold: float) -> Promise | None:
    given = calibration.confidences >= threshold
    if not given.any():
        return None
    return Promise(threshold, float(given.mean()), float(calibration.rights[given].mean()))


def report_on(
    abstention: Abstention, task: Task, judged: tuple[Sequence[Any], Sequence[Any]], labels: Labels, resamples: int
) -> dict[str, Any]:
    """What a threshold does on labelled rows.

    Args:
        abstention: the threshold.
        task: the model's task.
        judged: (B,) predictions and (B,) the right answers.
        labels: the answers that can be given.
        resamples: bootstrap resamples behind each interval; all answers of a row are drawn together.

    Returns:
        "abstention" of the JSON. Scores are left out where nothing was answered.
    """
    beliefs = task.beliefs(*judged, labels)
    assert beliefs is not None
    assert beliefs.rights is not None
    given, rows = beliefs.confidences >= abstention.threshold, len(judged[0])
    counts = {
        "answers": np.bincount(beliefs.answer_rows, minlength=rows),
        "given": np.bincount(beliefs.answer_rows, given, minlength=rows),
        "right": np.bincount(beliefs.answer_rows, given & beliefs.rights, minlength=rows),
    }
    row_counts = [dict(zip(counts, map(float, row), strict=True)) for row in zip(*counts.values(), strict=True)]
    scores = bootstrap_intervals(row_counts, _shares, resamples=resamples) if given.any() else {}
    expected = abstention.expected
    return {
        "wish": abstention.wish,
        "threshold": abstention.threshold,
        "answers": len(given),
        "given": int(given.sum()),
        **{name: asdict(score) for name, score in scores.items()},
        "expected": None if expected is None else asdict(expected),
    }


def _shares(counts: Any) -> dict[str, float]:
    answers, given = counts["answers"], counts["given"]
    return {
        "coverage": given / answers if answers else float("nan"),
        "accuracy": counts["right"] / given if given else float("nan"),
    }


def describe(abstention: Abstention) -> str:
    """One line for people.

    Example:
        >>> describe(Abstention("coverage=0.9", 0.75, Promise(0.75, 0.9, 0.97)))
        'answers below 0.750 are withheld; on the development rows 90.0 % were given and 97.0 % of those right'
    """
    line = f"answers below {abstention.threshold:.3f} are withheld"
    expected = abstention.expected
    if expected is None:
        return line
    line += f"; on the development rows {expected.coverage:.1%} were given and {expected.precision:.1%} of those right"
    assured = "" if expected.assured is None else f" (at least {expected.assured:.1%} on new rows like them)"
    return (line + assured).replace("%", " %")
