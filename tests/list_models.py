"""Tiny finished models that choose among texts, for the tests of what is served."""

from __future__ import annotations

from pathlib import Path

from tunesmith import api

QUICK = ["train.max_steps=2", "evaluate.baselines=false", "evaluate.resamples=100"]
THINGS = ("film", "book", "meal", "phone", "hotel", "service", "story", "song")


def fit_choosers(trunk: Path, folder: Path) -> None:
    """Multiple choice in `exam`, its labels letters, and answer selection in `answers`, its labels flags."""
    questions = [f"the {thing} was {time}" for time in ("today", "too") for thing in THINGS]
    texts = ["good", "bad"]
    exam = [{"question": one, "choices": texts, "label": "AB"[n % 2]} for n, one in enumerate(questions)]
    answers = [{"question": one, "candidates": texts, "labels": [n % 2, 1]} for n, one in enumerate(questions)]
    common = [f"model.name={trunk}", *QUICK]
    api.fit(exam, out=folder / "exam", settings=[*common, "task.name=multiple-choice"])
    api.fit(answers, out=folder / "answers", settings=[*common, "task.name=answer-selection"])
