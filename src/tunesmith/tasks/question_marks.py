"""A given answer beside the right one, as people read them."""

from __future__ import annotations

from tunesmith.contracts import Comparison, Mark
from tunesmith.tasks.question_rows import QuestionPrediction, RightAnswers

CONTEXT = 1
"""Place of the context among the texts of a row."""


def compare_answers(prediction: QuestionPrediction, gold: RightAnswers, nearest: int, *, is_right: bool) -> Comparison:
    """Compare.

    Args:
        prediction: the answer.
        gold: the right ones.
        nearest: place of the right answer that is most like the given one; 0 where there is none.
        is_right: whether the answer counts as right.

    Returns:
        `error` counts the right answer that is missed and the wrong one that is given.

    Example:
        >>> given = QuestionPrediction(answer="Oslo", start=5, end=9, probability=0.9)
        >>> found = compare_answers(given, RightAnswers(("Bergen",), ((14, 20),)), 0, is_right=False)
        >>> found.error, [(mark.kind, mark.start) for mark in found.marks]
        (2.0, [('spurious', 5), ('missed', 14)])
    """
    given = (prediction.answer,) if prediction.answer else ()
    if is_right:
        return Comparison(0.0, None, given, given, _marks(prediction, None, "right"), CONTEXT)
    right, place = gold.texts[nearest : nearest + 1], next(iter(gold.places[nearest : nearest + 1]), None)
    marks = _marks(prediction, place, "spurious")
    error = float(len(given) + len(right))
    return Comparison(error, prediction.probability, given, right, marks if len(marks) == error else (), CONTEXT)


def _marks(prediction: QuestionPrediction, right: tuple[int, int] | None, kind: str) -> tuple[Mark, ...]:
    marks = [] if right is None else [Mark(*right, "", "missed")]
    if prediction.answer and prediction.start is not None and prediction.end is not None:
        marks.append(Mark(prediction.start, prediction.end, "", "right" if kind == "right" else "spurious"))
    return tuple(sorted(marks, key=lambda mark: (mark.start, mark.end)))
