"""The table of tasks: a new one is a file here and a line below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.contracts import Task
from tunesmith.settings import build_named
from tunesmith.tasks.answer_selection import AnswerSelection
from tunesmith.tasks.chat import Chat
from tunesmith.tasks.embedding import Embedding
from tunesmith.tasks.multiple_choice import MultipleChoice
from tunesmith.tasks.preference import Preference
from tunesmith.tasks.question_answering import QuestionAnswering
from tunesmith.tasks.relation_extraction import RelationExtraction
from tunesmith.tasks.text_classification import TextClassification
from tunesmith.tasks.text_to_text import TextToText
from tunesmith.tasks.token_classification import TokenClassification

TASKS: dict[str, type[Any]] = {
    "text-classification": TextClassification,
    "token-classification": TokenClassification,
    "multiple-choice": MultipleChoice,
    "answer-selection": AnswerSelection,
    "relation-extraction": RelationExtraction,
    "question-answering": QuestionAnswering,
    "embedding": Embedding,
    "text-to-text": TextToText,
    "chat": Chat,
    "preference": Preference,
}


def make_task(name: str, options: Mapping[str, Any]) -> Task:
    """Build a task by name with checked options.

    Raises:
        ConfigError: the name or an option is unknown.
    """
    task: Task = build_named("task", TASKS, name, options)
    return task
