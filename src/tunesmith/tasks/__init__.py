"""The table of tasks: a new one is a file here and a line below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.config import check_options
from tunesmith.contracts import Task
from tunesmith.errors import ConfigError, nearest
from tunesmith.tasks.text_classification import TextClassification

TASKS: dict[str, type[Any]] = {
    "text-classification": TextClassification,
}


def make_task(name: str, options: Mapping[str, Any]) -> Task:
    """Build a task by name with checked options.

    Raises:
        ConfigError: the name or an option is unknown.
    """
    if name not in TASKS:
        raise ConfigError(f"unknown task {name!r}: {nearest(name, TASKS)}", fix="choose one of them")
    kind = TASKS[name]
    task: Task = kind(check_options(kind.Config, options, "task"))
    return task
