"""A row that shows how a task is asked: on the command line, in model cards, in the descriptions of the server."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from typing import Any

from tunesmith.contracts import Column, Task
from tunesmith.errors import DataError


def example_words(task: Task) -> str:
    """What follows `tunesmith predict FOLDER` in a first trial.

    Example:
        >>> from tunesmith.tasks import make_task
        >>> example_words(make_task("embedding", {})), example_words(make_task("multiple-choice", {}))
        ("'A man is playing the guitar on a stage.'", '--in FILE')
    """
    texts = list(sample_row(task, "en").values())
    return shlex.join(texts) if all(isinstance(text, str) for text in texts) else "--in FILE"


def sample_row(task: Task, language: str, trained_on: Collection[str] = ()) -> dict[str, Any]:
    """The task's own sample: the texts that it needs, and those others that the model was trained on.

    Args:
        task: whose rows.
        language: "en" or "zh".
        trained_on: names of fields.

    Example:
        >>> from tunesmith.tasks import make_task
        >>> sample_row(make_task("relation-extraction", {}), "en")
        {'text': 'The <e1>storm</e1> caused a <e2>flood</e2>.'}
    """
    sample = task.samples[language]
    shown = [column.name for column in task.columns if _is_shown(column, trained_on)]
    return {name: sample[name] for name in shown if name in sample}


def _is_shown(column: Column, trained_on: Collection[str]) -> bool:
    return column.role == "text" and (column.required or column.name in trained_on)


def rows_of(texts: Sequence[str], columns: Sequence[Column]) -> list[Any]:
    """Texts given one by one as rows: one a row, or several where a row needs them, in their order.

    Raises:
        DataError: some are left over.
    """
    fields = [column.name for column in columns if column.role == "text" and column.required]
    if len(fields) == 1:
        return list(texts)
    if len(texts) % len(fields):
        message = f"{len(texts)} texts came, wanted for each row {len(fields)}: {', '.join(fields)}"
        raise DataError(message, fix="give them in this order, each in quotes")
    starts = range(0, len(texts), len(fields))
    return [dict(zip(fields, texts[start : start + len(fields)], strict=True)) for start in starts]
