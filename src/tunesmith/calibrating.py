"""What a finished model knows of its own certainty: the scaling of its probabilities, and the dev answers behind it.

Through the Task contract only: `Task.beliefs` gives probabilities as arrays, `evaluation.calibration` changes them,
`Task.revise` puts them back. It is learnt on development rows, stored as calibration.json, and applied to every answer.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.artifact import CALIBRATION
from tunesmith.contracts import Beliefs, Deciding, Labels, Task
from tunesmith.errors import ConfigError, ModelError
from tunesmith.evaluation import reliability
from tunesmith.evaluation.abstention import area_under_risk_coverage, risk_coverage
from tunesmith.evaluation.calibration import (
    IDENTITY,
    MIN_ROWS,
    PARAMETERS,
    Scaling,
    choose,
    has_rows_for_vector,
    make_folds,
    scale,
)

FORMAT = 1
FOLD_SEED = 13


@dataclass(frozen=True)
class Calibration:
    """What calibration.json holds.

    Attributes:
        scaling: what is done to probabilities.
        rows: development rows it was fitted on.
        confidences: (N,) of their answers, each under a scaling that was fitted without its row.
        rights: (N,) which of them are right.
        threshold: of a task that decides by one, what development rows told; None of others.
    """

    scaling: Scaling
    rows: int
    confidences: NDArray[np.float64]
    rights: NDArray[np.bool_]
    threshold: float | None = None


@dataclass(frozen=True)
class Learnt:
    """What `learn` found.

    Attributes:
        calibration: what is stored.
        predictions: the development answers, each under a scaling that was fitted without its row.
        report: "calibration" of metrics.json.
    """

    calibration: Calibration
    predictions: list[Any]
    report: dict[str, Any]


def check_wish(task: Task, labels: Labels, wish: str) -> None:
    """Refuse a scaling that answers of this kind cannot have, before anything is trained.

    Raises:
        ConfigError: evaluate.calibration names such a one.
    """
    beliefs = task.beliefs([], [], labels)
    known = ("none",) if beliefs is None else beliefs.scalings
    if wish not in (*known, "auto"):
        what = "numbers have no probability" if beliefs is None else "it is for one label a row"
        fix = f"--set evaluate.calibration={'none' if beliefs is None else 'auto'}"
        raise ConfigError(f"evaluate.calibration is {wish!r}, but {what}", fix=fix)


def learn(
    task: Task,
    predictions: Sequence[Any],
    golds: Sequence[Any],
    labels: Labels,
    wish: str,
    shared: Sequence[Hashable] | None = None,
) -> Learnt | None:
    """Fit the scaling on development rows, and judge it on those it was not fitted on.

    Args:
        task: the model's task.
        predictions: (B,) answers without any scaling.
        golds: (B,) the right ones.
        labels: the answers that can be given.
        wish: evaluate.calibration. The identity is always a candidate and wins unless another is better on rows
            held out.
        shared: (B,) what rows with the same text have in common: a threshold for one is found without the others,
            too. None: nothing.

    Returns:
        None where answers have no probability.
    """
    threshold, predictions = _learn_threshold(task, predictions, golds, labels, shared)
    before = task.beliefs(predictions, golds, labels)
    if before is None or before.truths is None:
        return None
    fitted = choose(_candidates(wish, before), before.probabilities, before.truths, before.rows)
    answers = task.revise(predictions, fitted.held_out, labels)
    after = task.beliefs(answers, golds, labels)
    assert after is not None
    assert after.rights is not None
    calibration = Calibration(fitted.scaling, len(predictions), after.confidences, after.rights, threshold)
    report = make_report(calibration, before, after, len(predictions))
    return Learnt(calibration, answers, {**report, "candidates": dict(fitted.nll)})


def _learn_threshold(
    task: Task,
    predictions: Sequence[Any],
    golds: Sequence[Any],
    labels: Labels,
    shared: Sequence[Hashable] | None,
) -> tuple[float | None, list[Any]]:
    """The threshold of a task that has one, and the answers, each under one found without its row or its text."""
    threshold = task.find_threshold(predictions, golds, labels) if isinstance(task, Deciding) else None
    if threshold is None:
        return None, list(predictions)
    assert isinstance(task, Deciding)
    folds = _make_folds(range(len(predictions)) if shared is None else shared)
    if folds is None:
        return threshold, [task.decide(prediction, threshold) for prediction in predictions]
    of_fold = {}
    for fold in set(folds):
        others = [place for place, own in enumerate(folds) if own != fold]
        found = task.find_threshold([predictions[p] for p in others], [golds[p] for p in others], labels)
        of_fold[fold] = threshold if found is None else found
    decided = zip(predictions, folds, strict=True)
    return threshold, [task.decide(prediction, of_fold[fold]) for prediction, fold in decided]


def _make_folds(shared: Sequence[Hashable]) -> list[int] | None:
    """The fold of each row, those that share something in the same; None with too few rows, or if all share it."""
    numbers: dict[Hashable, int] = {}
    rows = np.array([numbers.setdefault(key, len(numbers)) for key in shared], dtype=np.int64)
    folds = make_folds(rows, FOLD_SEED, least=2) if len(rows) >= MIN_ROWS else None
    return None if folds is None else folds.tolist()


def _candidates(wish: str, beliefs: Beliefs) -> list[str]:
    if wish != "auto":
        return list(dict.fromkeys(("none", wish)))
    enough = beliefs.truths is not None and has_rows_for_vector(beliefs.truths)
    return [method for method in beliefs.scalings if method != "vector" or enough]


def apply(calibration: Calibration | None, task: Task, predictions: Sequence[Any], labels: Labels) -> list[Any]:
    """The predictions with probabilities that mean what they say; as they are without a calibration."""
    if calibration is None:
        return list(predictions)
    if calibration.threshold is not None and isinstance(task, Deciding):
        predictions = [task.decide(prediction, calibration.threshold) for prediction in predictions]
    if calibration.scaling.method == "none":
        return list(predictions)
    beliefs = task.beliefs(predictions, None, labels)
    if beliefs is None or not len(beliefs.rows):
        return list(predictions)
    return task.revise(predictions, scale(beliefs.probabilities, calibration.scaling), labels)


def report_on(
    calibration: Calibration | None,
    task: Task,
    predictions: tuple[Sequence[Any], Sequence[Any]],
    golds: Sequence[Any],
    labels: Labels,
) -> dict[str, Any] | None:
    """Judge a stored calibration on labelled rows.

    Args:
        calibration: None: the folder has none.
        task: the model's task.
        predictions: (B,) answers without it, and with it.
        golds: (B,) the right ones.
        labels: the answers that can be given.

    Returns:
        "calibration" of the JSON; None where answers have no probability.
    """
    before, after = (task.beliefs(answers, golds, labels) for answers in predictions)
    if before is None or after is None:
        return None
    return make_report(calibration, before, after, len(golds))


def make_report(calibration: Calibration | None, before: Beliefs, after: Beliefs, rows: int) -> dict[str, Any]:
    """Lay out how good probabilities are, as "calibration" of the JSON has it.

    Args:
        calibration: what stands between `before` and `after`.
        before: with what came true.
        after: likewise.
        rows: B.
    """
    scaling = IDENTITY if calibration is None else calibration.scaling
    report: dict[str, Any] = {
        "method": scaling.method,
        "temperature": scaling.parameters.get("temperature"),
        "rows": rows,
        "answers": len(after.confidences),
        **_threshold(calibration),
    }
    if after.truths is None or before.truths is None or after.rights is None or not len(after.rows):
        return {**report, "before": None, "after": None, "reliability": [], "risk_coverage": []}
    bins = reliability.reliability_bins(*reliability.top_label(after.probabilities, after.truths))
    return {
        **report,
        "before": _finite(reliability.measure(before.probabilities, before.truths)),
        "after": _finite(reliability.measure(after.probabilities, after.truths)),
        "intervals": {
            name: _finite(interval)
            for name, interval in reliability.measure_intervals(after.probabilities, after.truths, after.rows).items()
        },
        "reliability": [asdict(one) for one in bins],
        "risk_coverage": [asdict(point) for point in risk_coverage(after.confidences, after.rights)],
        "risk_coverage_area": area_under_risk_coverage(after.confidences, after.rights),
    }


def _threshold(calibration: Calibration | None) -> dict[str, float]:
    """Only tasks that decide by one have it in their files."""
    return {} if calibration is None or calibration.threshold is None else {"threshold": calibration.threshold}


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def to_json(calibration: Calibration) -> dict[str, Any]:
    """What calibration.json holds."""
    return {
        "format": FORMAT,
        "method": calibration.scaling.method,
        "parameters": dict(calibration.scaling.parameters),
        "rows": calibration.rows,
        **_threshold(calibration),
        "answers": {
            "confidences": calibration.confidences.tolist(),
            "rights": [int(value) for value in calibration.rights],
        },
    }


def from_json(stored: Any, labels: Labels) -> Calibration:
    """Read what calibration.json holds.

    Args:
        stored: the parsed file.
        labels: the answers of the model it belongs to.

    Raises:
        ModelError: it is of a newer format, or not what `to_json` writes for these answers.
    """
    if isinstance(stored, Mapping) and isinstance(stored.get("format"), int) and stored["format"] > FORMAT:
        message = f"{CALIBRATION} has format {stored['format']}, this version reads up to {FORMAT}"
        raise ModelError(message, fix="pip install -U tunesmith")
    try:
        return _read(stored, len(labels.names))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{CALIBRATION} cannot be used: {error}", fix="copy the folder anew, or fit again") from error


def _read(stored: Mapping[str, Any], classes: int) -> Calibration:
    method, parameters = stored["method"], stored["parameters"]
    if method not in PARAMETERS or set(parameters) != set(PARAMETERS[method]):
        raise ValueError(f"method {method!r} with parameters {sorted(parameters)}")
    for name, value in parameters.items():
        values = value if name in ("weights", "biases") else [value]
        wanted = classes if name in ("weights", "biases") else 1
        if len(values) != wanted or not all(isinstance(one, (int, float)) and math.isfinite(one) for one in values):
            raise ValueError(f"{name} is {value!r:.80}, wanted {wanted} finite numbers")
        if name in ("temperature", "weights", "slope") and min(values) <= 0:
            raise ValueError(f"{name} is {value!r:.80}, wanted numbers above 0")
    answers = stored["answers"]
    confidences = np.array(answers["confidences"], dtype=np.float64)
    rights = np.array(answers["rights"], dtype=bool)
    if confidences.ndim != 1 or confidences.shape != rights.shape:
        raise ValueError(f"{confidences.size} confidences and {rights.size} rights, wanted as many of each")
    if len(confidences) and not (confidences.min() >= 0 and confidences.max() <= 1):
        raise ValueError("confidences must lie between 0 and 1")
    threshold = stored.get("threshold")
    if threshold is not None and not (isinstance(threshold, (int, float)) and math.isfinite(threshold)):
        raise ValueError(f"threshold is {threshold!r:.80}, wanted a finite number")
    return Calibration(Scaling(method, dict(parameters)), int(stored["rows"]), confidences, rights, threshold)
