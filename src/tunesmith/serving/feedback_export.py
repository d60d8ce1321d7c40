"""From a file of feedback to rows that `fit` and `check` read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith import durable
from tunesmith.errors import DataError, nearest
from tunesmith.serving.feedback_store import Feedback, read_feedback


def export_feedback(source: Path, model: str | None = None) -> tuple[list[dict[str, Any]], str]:
    """The rows of one model with their right answers, in order of arrival; of each answer what was said last.

    Args:
        source: the file that `tunesmith serve --feedback` wrote.
        model: whose; may be left out where the file knows one only.

    Returns:
        The rows and the model's name.

    Raises:
        UserError: the file or the name is of no use.
    """
    found = [feedback for feedback, _ in read_feedback(source)]
    name = _choose(found, model, source)
    return [feedback.row for feedback in found if feedback.model == name], name


def _choose(found: Sequence[Feedback], model: str | None, source: Path) -> str:
    names = list(dict.fromkeys(feedback.model for feedback in found))
    if not names:
        raise DataError(f"{source} holds no feedback yet", fix="give feedback first: POST /v1/feedback")
    if model is None and len(names) > 1:
        raise DataError(
            f"{source} holds feedback on {len(names)} models: {', '.join(names)}", fix=f"add --model {names[0]}"
        )
    if model is not None and model not in names:
        raise DataError(f"{source} holds no feedback on {model}", fix=nearest(model, names))
    return model or names[0]


def write_rows(rows: Sequence[dict[str, Any]], target: Path) -> None:
    """Write rows as JSON lines; the file appears under its name when it is complete."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with durable.disk_errors(target):
        durable.write_file_atomic(target, lines)
