"""Rows, texts and tiny models that the tests of question answering share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.tiny import make_tiny_trunk
from tunesmith import base_models
from tunesmith.contracts import Context, Labels
from tunesmith.model import Model
from tunesmith.model_loading import load_model
from tunesmith.tasks import make_task
from tunesmith.tasks.question_rows import QuestionRow

LABELS = Labels((), (), "span", {"rows": 8.0, "unanswerable": 2.0, "chinese": 0.0})
ALWAYS = replace(LABELS, statistics={"rows": 8.0, "unanswerable": 0.0, "chinese": 0.0})
FAMILIES = ["bert", "roberta", "modernbert", "llama", "gpt2"]
LONG = " ".join(f"On day {n} the guest {'Ada' if n == 17 else 'Bo'} ate {n} figs." for n in range(1, 31))
HARD = [
    pytest.param("他在2019年搬到了上海🎉。", "上海", id="Chinese"),
    pytest.param("🎉🎉Ada🎉went to Turku🇫🇮 .", "Turku", id="emoji"),
    pytest.param("Zoë Ångström met 𝒳 Corp.", "𝒳 Corp", id="astral letters"),
    pytest.param("Oslo", "Oslo", id="all of the text"),
    pytest.param("  Ann Lee　flew", "Ann Lee", id="blanks at the edge"),
]


def row(question: str, context: str, *answers: str | None) -> QuestionRow:
    """One row; None instead of an answer: it is not labelled."""
    given = None if answers == (None,) else list(answers)
    return QuestionRow.model_validate({"question": question, "context": context, "answers": given})


def make_models(folder: Path) -> dict[str, Model]:
    """One model of each family, in folders of their own."""
    texts = [LONG, "Who ate seventeen figs? 谁？", *(str(case.values[0]) for case in HARD)] * 3
    task, found = make_task("question-answering", {}), {}
    for family in FAMILIES:
        trunk = make_tiny_trunk(folder / family, family, texts)
        found[family] = load_model(base_models.resolve(str(trunk)), task.head(LABELS)).eval()
    return found


def context_of(model: Model, labels: Labels = LABELS, max_tokens: int | None = None) -> Context:
    """What encoding needs beside the row."""
    return Context(model.tokenizer, model.tokenizer, labels, max_tokens or model.max_tokens)
