"""Which task labelled data is for, told by what it holds: tagged words, spans, lists of choices, or a class a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from tunesmith import data
from tunesmith.config import AUTO_TASK, DEFAULT_TASK, RunConfig
from tunesmith.contracts import Column
from tunesmith.data.sources import read_table
from tunesmith.data.tagging import is_tag
from tunesmith.tasks import TASKS

SPAN_SUFFIXES = (".conll", ".bio", ".iob", ".iob2")
LOOKED_AT_ROWS = 100
"""Rows that the guess looks at."""


def settle_task(config: RunConfig, train: Any = None) -> RunConfig:
    """The configuration with a task: the one it names, or the one that the training data is for.

    Args:
        config: its `task.name` may be "auto".
        train: a source in place of data.train.

    Raises:
        DataError: the training data cannot be read.
    """
    if config.task.name != AUTO_TASK:
        return config
    section = config.data
    options = data.ReadOptions(mapping=section.columns, format=section.format)
    source = section.train if train is None else train
    can_be_read_twice = source is not None and source != "-" and not isinstance(source, Iterator)
    is_told = can_be_read_twice or section.format == "conll"
    name = guess_task(source, options) if is_told else DEFAULT_TASK
    return config.model_copy(update={"task": config.task.model_copy(update={"name": name})})


def guess_task(source: Any, options: data.ReadOptions, stdin: BinaryIO | None = None) -> str:
    """The task that a source is for.

    Args:
        source: a path, or rows in memory; "-" needs `stdin`.
        options: how it is read.
        stdin: bytes to read for "-", which are consumed.

    Raises:
        DataError: it cannot be read.

    Example:
        >>> guess_task([{"text": "Ann sings", "entities": [[0, 3, "PER"]]}], data.ReadOptions())
        'token-classification'
    """
    spans = [name for name, task in TASKS.items() if any(column.holds == "spans" for column in task.columns)]
    if options.format == "conll":
        return spans[0]
    if isinstance(source, (str, Path)) and str(source).lower().removesuffix(".gz").endswith(SPAN_SUFFIXES):
        return spans[0]
    records = _first_records(source, options, stdin)
    if _hold_tags(records):
        return spans[0]
    listed = next((name for name, task in TASKS.items() if _hold_texts(records, task.columns, options)), None)
    if listed is not None:
        return listed
    if asking := next((name for name, task in TASKS.items() if _hold_answers(records, task.columns, options)), None):
        return asking
    if told := next((name for name, task in TASKS.items() if _are_told(records, task.columns)), None):
        return told
    return next((name for name in spans if _hold_spans(records, TASKS[name].columns, options)), DEFAULT_TASK)


def _first_records(source: Any, options: data.ReadOptions, stdin: BinaryIO | None) -> list[dict[str, Any]]:
    """The first rows as they stand in the source."""
    chunks = read_table(source, options, "text", stdin).chunks
    found = next(chunks, None)
    if (close := getattr(chunks, "close", None)) is not None:  # of a generator: the file
        close()
    return [] if found is None else found.records[:LOOKED_AT_ROWS]


def _hold_texts(records: Sequence[Mapping[str, Any]], columns: Sequence[Column], options: data.ReadOptions) -> bool:
    """Whether a column called as a task's list of texts, by its very name, holds lists."""
    names = {options.mapping.get(column.name, column.name) for column in columns if column.holds == "texts"}
    values = [record[name] for record in records for name in names if record.get(name)]
    return bool(values) and all(isinstance(value, (list, tuple, Mapping)) for value in values)


def _hold_spans(records: Sequence[Mapping[str, Any]], columns: Sequence[Column], options: data.ReadOptions) -> bool:
    """Whether the column of spans is there and holds lists of objects."""
    for column in (column for column in columns if column.holds == "spans"):
        names = {options.mapping.get(column.name, column.name), *column.aliases}
        values = [value for record in records for key, value in record.items() if key.lower() in names and value]
        if values and all(isinstance(value, (list, tuple)) for value in values):
            return all(isinstance(inner, (dict, list, tuple)) for value in values for inner in value)
    return False


def _hold_answers(records: Sequence[Mapping[str, Any]], columns: Sequence[Column], options: data.ReadOptions) -> bool:
    """Whether all columns of a task whose answers stand in a text are there by their own names."""
    if not any(column.holds == "answers" for column in columns):
        return False
    names = {str(key).lower() for record in records for key in record}
    wanted = [column.name for column in columns if column.required and column.name not in options.mapping]
    return bool(names) and names.issuperset(wanted)


def _are_told(records: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> bool:
    """Whether column names tell the task: those that it alone uses, and none of a class."""
    names = {str(key).lower() for record in records for key in record}
    told = [column for column in columns if column.telling]
    classes = {alias for column in TASKS[DEFAULT_TASK].columns if column.role == "label" for alias in column.aliases}
    return bool(told) and all(names.intersection(column.telling) for column in told) and not names & classes


def _hold_tags(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column holds a list of tags for each list of another one."""
    lists = {key for record in records for key, value in record.items() if isinstance(value, (list, tuple))}
    every = [key for key in lists if all(isinstance(record.get(key), (list, tuple)) for record in records)]
    tagged = {key for key in every if all(is_tag(tag) for record in records for tag in record[key])}
    return any(
        key != other and all(len(record[key]) == len(record[other]) for record in records)
        for key in tagged
        for other in every
    )
