"""A row that shows how a task is asked: on the command line, in model cards, in the descriptions of the server."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from tunesmith.contracts import Column, Task


def example_row(task: Task) -> dict[str, Any]:
    """What stands for the texts of any row: "a text"; where that is no row of the task, the task's own sample.

    Example:
        >>> from tunesmith.tasks import make_task
        >>> example_row(make_task("question-answering", {}))
        {'question': 'a question', 'context': 'a context'}
        >>> example_row(make_task("relation-extraction", {}))
        {'text': 'The <e1>storm</e1> caused a <e2>flood</e2>.'}
    """
    needed = [column for column in task.columns if column.role == "text" and column.required]
    row: dict[str, Any] = {c.name: ["a text", "another text"] if c.holds == "texts" else f"a {c.name}" for c in needed}
    try:
        task.Row.model_validate(row)
    except ValidationError:
        return sample_row(task, "en")
    return row


def example_words(task: Task) -> str:
    """What follows `tunesmith predict FOLDER` in a first trial.

    Example:
        >>> from tunesmith.tasks import make_task
        >>> example_words(make_task("text-classification", {})), example_words(make_task("multiple-choice", {}))
        ("'a text'", '--in FILE')
    """
    texts = list(example_row(task).values())
    return shlex.join(texts) if all(isinstance(text, str) for text in texts) else "--in FILE"


def sample_row(task: Task, language: str, trained_on: Collection[str] = ()) -> dict[str, Any]:
    """The task's own sample: the texts that it needs, and those others that the model was trained on.

    Args:
        task: whose rows.
        language: "en" or "zh".
        trained_on: names of fields.
    """
    sample = task.samples[language]
    shown = [column.name for column in task.columns if _is_shown(column, trained_on)]
    return {name: sample[name] for name in shown if name in sample}


def _is_shown(column: Column, trained_on: Collection[str]) -> bool:
    return column.role == "text" and (column.required or column.name in trained_on)
