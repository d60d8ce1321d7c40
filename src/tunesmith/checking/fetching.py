"""The last pass: line, text and label of the rows that examples are made of, and of no others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tunesmith.checking.findings import LABEL_CHARACTERS, Example, Place, shorten_text
from tunesmith.checking.splits import Split
from tunesmith.contracts import Labels, Task
from tunesmith.errors import DataError


def fetch_rows(splits: Sequence[Split], wanted: Iterable[Place], task: Task, labels: Labels) -> dict[Place, Example]:
    """Read each split as far as a row of it is wanted.

    Args:
        splits: the training split first.
        wanted: rows.
        task: says what the text and the answers of a row are.
        labels: of all splits.
    """
    found: dict[Place, Example] = {}
    by_split: dict[int, set[int]] = {}
    for place in wanted:
        by_split.setdefault(place.split, set()).add(place.row)
    for index, rows in sorted(by_split.items()):
        for number, line, row in _walk(splits[index], rows, task):
            text = " ⏐ ".join(map(shorten_text, task.texts(row)))
            found[Place(index, number)] = Example(splits[index].name, line, text, _label(task, row, labels))
    return found


def _walk(split: Split, wanted: set[int], task: Task) -> Iterable[tuple[int, int, Any]]:
    start, last = 0, max(wanted)
    for chunk in split.open(task):
        for place in sorted(wanted & set(range(start, start + len(chunk.rows)))):
            yield place, chunk.lines[place - start], chunk.rows[place - start]
        start += len(chunk.rows)
        if start > last:
            return


def _label(task: Task, row: Any, labels: Labels) -> str:
    """The answers of a row in one line; of spans, their texts too."""
    spans = [span for column in task.columns if column.holds == "spans" for span in getattr(row, column.name) or ()]
    if spans:
        text = task.texts(row)[0]
        return shorten_text(", ".join(f"{text[span.start : span.end]} = {span.label}" for span in spans))
    try:
        names = task.answers(row, labels)
    except DataError:
        names = ()
    if not names and labels.kind == "number":
        try:
            names = (f"{task.gold(row, labels):g}",)
        except DataError:
            return ""
    return shorten_text(", ".join(dict.fromkeys(names)), LABEL_CHARACTERS)
