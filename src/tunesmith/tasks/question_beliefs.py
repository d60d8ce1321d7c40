"""How sure answers to questions are, as arrays and back; and from where on a question counts as not answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tunesmith.contracts import Beliefs
from tunesmith.tasks.question_rows import FoundAnswer, QuestionPrediction, RightAnswers

SCALINGS = ("none", "temperature", "platt")
"""Both change how sure an answer is, never which one is given."""

IsRight = Callable[[str, RightAnswers], bool]
"""Whether an answer equals one of the right ones."""


def find_beliefs(
    predictions: Sequence[QuestionPrediction], golds: Sequence[RightAnswers] | None, is_right: IsRight
) -> Beliefs:
    """Each row's answer is an event: it equals a right one."""
    shares = np.array([prediction.probability or 0.0 for prediction in predictions], dtype=np.float64)
    rows = np.arange(len(predictions))
    rights = None
    if golds is not None:
        found = [is_right(prediction.answer, gold) for prediction, gold in zip(predictions, golds, strict=True)]
        rights = np.array(found, dtype=bool)
    return Beliefs(shares, rights, rows, shares, rights, rows, SCALINGS)


def revise(predictions: Sequence[QuestionPrediction], probabilities: Any) -> list[QuestionPrediction]:
    """The same answers with other probabilities (B,); what they lose or gain, the others share."""
    return [_revise(one, share) for one, share in zip(predictions, probabilities.tolist(), strict=True)]


def _revise(prediction: QuestionPrediction, share: float) -> QuestionPrediction:
    before = prediction.probability
    if before is None or share == before:
        return prediction
    factor = (1 - share) / (1 - before) if before < 1 else 0.0
    others = [
        _scaled(one, share if _is_given(one, prediction) else one.probability * factor) for one in prediction.n_best
    ]
    return prediction.model_copy(update={"probability": share, "n_best": others})


def _is_given(one: FoundAnswer, prediction: QuestionPrediction) -> bool:
    return (one.start, one.end) == (prediction.start, prediction.end)


def _scaled(one: FoundAnswer, share: float) -> FoundAnswer:
    return one.model_copy(update={"probability": share})


def find_threshold(gaps: Sequence[float], span_scores: Sequence[float], has_answer: Sequence[bool]) -> float | None:
    """The threshold of `no_answer_score` above which answering nothing scores best.

    The search of SQuAD 2.0's `evaluate-v2.0.py`: rows are gone through from those that believe least in no answer.
    Of thresholds that score alike, 0 is taken where it is one of them, else the middle of those nearest to it.

    Args:
        gaps: (B,) `no_answer_score` of each row.
        span_scores: (B,) what its best span scores, 0 to 1; 0 where the question has no answer.
        has_answer: (B,) whether it has one.

    Returns:
        None where all questions have an answer, or none has.

    Example:
        >>> find_threshold([-5.0, 1.0, 3.0], [1.0, 1.0, 0.0], [True, True, False])
        2.0
    """
    answerable = np.asarray(has_answer, dtype=bool)
    if answerable.all() or not answerable.any():
        return None
    order = np.argsort(np.asarray(gaps, dtype=np.float64), kind="stable")
    sorted_gaps = np.asarray(gaps, dtype=np.float64)[order]
    gains = np.where(answerable, np.asarray(span_scores, dtype=np.float64), -1.0)[order]
    totals = np.concatenate([[0.0], np.cumsum(gains)])  # of answering the first k rows, less that of answering none
    cuts = np.concatenate([[True], np.diff(sorted_gaps) > 0, [True]])  # rows alike cannot be told apart
    below = np.concatenate([[-np.inf], sorted_gaps])
    above = np.concatenate([sorted_gaps, [np.inf]])
    middles = np.concatenate([[sorted_gaps[0] - 1.0], (sorted_gaps[:-1] + sorted_gaps[1:]) / 2, [sorted_gaps[-1]]])
    thresholds = np.where((below <= 0) & (above > 0), 0.0, middles)
    best = np.flatnonzero(cuts & (totals >= np.where(cuts, totals, -np.inf).max()))
    return float(min(thresholds[best], key=abs))
