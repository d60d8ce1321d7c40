"""Answers of all systems to the same rows: read once, answered in turns, timed; or read from a predictions file."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith import data
from tunesmith.contracts import Labels, Task
from tunesmith.data.rejects import display, listed, shorten
from tunesmith.errors import DataError
from tunesmith.labelled_rows import check_labels
from tunesmith.predictor import Predictor

TURNS = 8
"""How often the systems take turns; few, so that batches stay full."""
FEWEST_TURN_ROWS = 64
WARM_UP_ROWS = 8
_KEY = re.compile(r"prediction( \(\d+\))?")


def read_alike(predictors: Sequence[Predictor], source: Any, options: data.ReadOptions | None) -> data.Rows:
    """Read labelled rows as every model reads them.

    Raises:
        DataError: a row cannot be used, or two models take different columns for the same field.
    """
    options = options or data.ReadOptions()
    first = predictors[0]
    read = first.read(source, options)
    trained_on = first.artifact.facts["data"].get("columns", {})
    for other in predictors[1:]:
        if source == "-" or other.artifact.facts["data"].get("columns", {}) == trained_on:
            continue
        again = other.read(source, options)
        if again.fingerprint != read.fingerprint:
            field = next((f for f in read.mapping if read.mapping[f] != again.mapping.get(f)), "text")
            raise DataError(
                f"the models read {display(read.source)} differently: {field} is column "
                f"{read.mapping.get(field)!r} for {first.artifact.folder} and {again.mapping.get(field)!r} for "
                f"{other.artifact.folder}",
                fix=f"name the column: --set data.columns.{field}=…",
            )
    return check_labels(read, first.task, first.artifact.labels, skip_bad=options.skip_bad)


def answer_in_turns(predictors: Sequence[Predictor], rows: Sequence[Any]) -> tuple[list[list[Any]], list[float]]:
    """Let all models answer all rows, block by block in turns, so that a busy machine slows each as much.

    Args:
        predictors: the models.
        rows: instances of the task's Row.

    Returns:
        The predictions of each model, and the seconds that each took; the order of turns is reversed each time.
    """
    answers: list[list[Any]] = [[] for _ in predictors]
    seconds = [0.0] * len(predictors)
    for predictor in predictors:  # what is set up at the first call is nobody's time
        predictor.predict_rows(rows[:WARM_UP_ROWS])
    block = max(FEWEST_TURN_ROWS, -(-len(rows) // TURNS))
    order = list(range(len(predictors)))
    for start in range(0, len(rows), block):
        for place in order:
            began = time.perf_counter()
            answers[place] += predictors[place].predict_rows(rows[start : start + block])
            seconds[place] += time.perf_counter() - began
        order.reverse()
    return answers, seconds


def read_predictions(path: Path, predictor: Predictor, rows: data.Rows, options: data.ReadOptions | None) -> list[Any]:
    """Read what `tunesmith predict` wrote as JSON lines; the texts must be those of the rows, in their order.

    Args:
        path: the file.
        predictor: a model of the same task.
        rows: the labelled rows.
        options: how they were read.

    Raises:
        DataError: it is no such file, is of other rows, or holds an answer that the model cannot give.
    """
    task = predictor.task
    options = replace(options or data.ReadOptions(), labels_required=False, skip_bad=False, format="jsonl")
    stream = predictor.stream(str(path), options)
    answered: list[Any] = []
    for chunk in stream:
        if chunk.rejected:
            raise data.bad_rows_error(chunk.rejected, len(answered) + len(chunk.rejected), str(path))
        for row, record, line in zip(chunk.rows, chunk.records, chunk.lines, strict=True):
            place = len(answered)
            wanted = task.texts(rows.rows[place]) if place < len(rows.rows) else task.texts(row)
            if task.texts(row) != wanted:
                raise DataError(
                    f"{path}, line {line:,}: the text is {shorten(' | '.join(task.texts(row)))}, but that of "
                    f"{rows.source}, line {rows.lines[place]:,}, is {shorten(' | '.join(wanted))}",
                    fix="predict the labelled file again, all of it and in its order",
                )
            answered.append(_parse(record, task, row, predictor.artifact.labels, f"{path}, line {line:,}"))
    if len(answered) != len(rows.rows):
        raise DataError(
            f"{path} answers {len(answered):,} rows, {rows.source} has {len(rows.rows):,}",
            fix="predict the labelled file again, all of it",
        )
    return answered


def _parse(record: Any, task: Task, row: Any, labels: Labels, where: str) -> Any:
    """The answer in a record: its last key that is called as ours is."""
    key = next((name for name in reversed(list(record)) if _KEY.fullmatch(name)), None)
    if key is None:
        raise DataError(f"{where}: there is no key 'prediction'", fix="give a file that tunesmith predict wrote")
    try:
        prediction = task.Prediction.model_validate(record[key])
        field = answer_field(task)
        is_name = field in task.Prediction.model_fields  # otherwise an answer is a text of the row, which was compared
        given = task.answers(row.model_copy(update={field: getattr(prediction, field)}), labels) if is_name else ()
    except (ValueError, AttributeError, DataError) as error:
        raise DataError(
            f"{where}: {shorten(record[key])} is no answer of {task.title}",
            fix="give a file that tunesmith predict wrote",
        ) from error
    unknown = [name for name in given if name not in labels.names]
    if unknown:
        raise DataError(
            f"{where}: the answer {unknown[0]!r} is none of {listed(labels.names, 10)}",
            fix="compare systems that give the same answers",
        )
    return prediction


def answer_field(task: Task) -> str:
    """The field of a row that holds the answer, and of a prediction, where its answer is a name or a number.

    "" where no field holds it, as in conversations.
    """
    return next((column.name for column in task.columns if column.role == "label"), "")
