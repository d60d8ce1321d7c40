"""From when on a question counts as not answered: found on development rows, stored, applied."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.questions import LABELS
from tunesmith import calibrating
from tunesmith.contracts import Deciding
from tunesmith.evaluation.calibration import IDENTITY
from tunesmith.tasks import make_task
from tunesmith.tasks.question_beliefs import find_threshold
from tunesmith.tasks.question_rows import FoundAnswer, QuestionPrediction, RightAnswers


def test_threshold_is_the_one_that_scores_best() -> None:
    """Tried one by one on made-up rows."""
    gaps = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0]
    scores = [1.0, 0.0, 0.5, 0.0, 0.7, 0.0]
    has_answer = [True, False, True, False, True, False]

    def score(threshold: float) -> float:
        return sum(
            (0.0 if known else 1.0) if gap > threshold else (value if known else 0.0)
            for gap, value, known in zip(gaps, scores, has_answer, strict=True)
        )

    found = find_threshold(gaps, scores, has_answer)
    assert found is not None
    assert score(found) == max(score(value / 4) for value in range(-20, 20)) == score(-2.5)
    assert find_threshold([1.0, 2.0], [1.0, 1.0], [True, True]) is None
    assert find_threshold([1.0, 1.0], [0.9, 0.0], [True, False]) == 0.0  # alike: both go without an answer


def test_the_threshold_is_stored_and_applied() -> None:
    task = make_task("question-answering", {})
    assert isinstance(task, Deciding)
    answers = [FoundAnswer(text="Bo", start=0, end=2, probability=0.4), FoundAnswer(text="", probability=0.6)]
    sure = QuestionPrediction(answer="", probability=0.6, no_answer_score=0.4, n_best=answers[::-1])
    known = calibrating.Calibration(IDENTITY, 4, *calibrating_arrays(), threshold=1.5)
    (found,) = calibrating.apply(known, task, [sure], LABELS)
    assert (found.answer, found.start, found.probability) == ("Bo", 0, 0.4)
    again = calibrating.from_json(json.loads(json.dumps(calibrating.to_json(known))), LABELS)
    assert again.threshold == 1.5
    assert "threshold" not in calibrating.to_json(replace(known, threshold=None))
    bad = {**calibrating.to_json(known), "threshold": "high"}
    with pytest.raises(Exception, match="threshold is 'high'"):
        calibrating.from_json(bad, LABELS)


def calibrating_arrays() -> tuple[Any, Any]:
    import numpy as np

    return np.array([0.5]), np.array([True])


def test_development_rows_are_judged_under_a_threshold_found_without_them() -> None:
    task = make_task("question-answering", {})
    predictions, golds = [], []
    for place in range(40):
        gap, right = place / 10 - 2.0, RightAnswers(("Bo",), ((0, 2),)) if place < 25 else RightAnswers((), ())
        n_best = [FoundAnswer(text="Bo", start=0, end=2, probability=0.5), FoundAnswer(text="", probability=0.5)]
        predictions.append(task.decide(QuestionPrediction(answer="", no_answer_score=gap, n_best=n_best), 0.0))
        golds.append(right)
    learnt = calibrating.learn(task, predictions, golds, LABELS, "none")
    assert learnt is not None
    assert learnt.calibration.threshold == pytest.approx(0.45)
    assert learnt.report["threshold"] == learnt.calibration.threshold
    hits = [found.answer == "".join(gold.texts) for found, gold in zip(learnt.predictions, golds, strict=True)]
    assert sum(hits) >= 38
    assert sum(one.answer == "".join(gold.texts) for one, gold in zip(predictions, golds, strict=True)) == 36


@pytest.mark.parametrize("texts", [1, 3, 12])
def test_a_threshold_is_found_without_other_questions_on_a_text(texts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task("question-answering", {})
    n_best = [FoundAnswer(text="Bo", start=0, end=2, probability=0.5), FoundAnswer(text="", probability=0.5)]
    gaps = [place / 10 - 2.0 for place in range(36)]
    predictions = [QuestionPrediction(answer="", no_answer_score=gap, n_best=n_best) for gap in gaps]
    golds = [RightAnswers(("Bo",), ((0, 2),)) if place % 3 else RightAnswers((), ()) for place in range(36)]
    shared = [f"text {place % texts}" for place in range(36)]
    learnt_from: list[set[str]] = []
    find = task.find_threshold  # type: ignore[attr-defined]

    def watch(some: list[Any], its_golds: list[Any], labels: Any) -> float | None:
        rows = [gaps.index(one.no_answer_score) for one in some]
        seen = {shared[row] for row in rows}
        assert len(rows) == sum(text in seen for text in shared), "all questions on a text, or none"
        learnt_from.append(seen)
        found: float | None = find(some, its_golds, labels)
        return found

    monkeypatch.setattr(task, "find_threshold", watch)
    assert calibrating.learn(task, predictions, golds, LABELS, "none", shared) is not None
    everything = set(shared)
    left_out = [everything - seen for seen in learnt_from[1:]]
    assert learnt_from[0] == everything
    assert set().union(*left_out) == (everything if texts > 1 else set())
    assert sum(map(len, left_out)) == (texts if texts > 1 else 0)
