"""Lists written as a text a line: lines of one list stand together and become one row.

What such lines share is a question. A column of numbers may tell two questions of the same words apart, but only where
it numbers questions: one that numbers the lines would tear every list into single texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from tunesmith.contracts import Column
from tunesmith.data.columns import find_alias, resolve_columns
from tunesmith.data.options import RawChunk, ReadOptions, Record, Table
from tunesmith.data.rejects import Remark, display, shorten
from tunesmith.errors import DataError

QUESTION_IDS = ("qid", "question_id", "query_id")
"""Columns that tell lists apart which share everything else."""


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and value != value)


@dataclass(frozen=True)
class _Sharing:
    """What lines of one row have in common.

    Attributes:
        names: columns that are equal in all of them.
        unused: a column that is called as if it numbered questions, and does not.
        doubt: what is said about it, where it would have torn questions apart.
    """

    names: tuple[str, ...]
    unused: str | None = None
    doubt: Remark | None = None


def merge_lines(
    table: Table, columns: Sequence[Column], options: ReadOptions, sample: Sequence[tuple[Record, int]]
) -> tuple[Table, dict[str, str]]:
    """Make one row of lines that stand together and share everything but the text and its label.

    Args:
        table: the source, its columns known.
        columns: the task's columns; one of them holds texts, of which each line has one.
        options: how it is read.
        sample: the first records, with their lines; they tell whether a column numbers questions.

    Returns:
        The source with merged rows, and field → column.

    Raises:
        DataError: while chunks are read: lines of one row do not stand together.
    """
    names = list(table.columns or [])
    plain = [replace(c, holds="plain", aliases=(*c.aliases, *c.single)) if c.holds == "texts" else c for c in columns]
    mapping = resolve_columns(names, [record for record, _ in sample], plain, options, table.name).mapping
    listed = [mapping[c.name] for c in columns if c.name in mapping and (c.holds == "texts" or c.role == "label")]
    shared = [mapping[c.name] for c in columns if c.name in mapping and mapping[c.name] not in listed]
    sharing = _find_sharing(table.name, names, shared, sample)
    return replace(table, chunks=_merge(table, sharing, listed)), mapping


def _find_sharing(
    source: str, names: Sequence[str], shared: Sequence[str], sample: Sequence[tuple[Record, int]]
) -> _Sharing:
    """Use a column that numbers questions.

    Questions with at least two lines each give no more neighbours of equal words and different numbers than of equal
    ones: where there are more, or the number never comes twice, it is the lines that are numbered.
    """
    own = find_alias(QUESTION_IDS, names)
    if own is None or own in shared:
        return _Sharing(tuple(shared))
    alike = [
        (before, record, line)
        for (before, _), (record, line) in pairwise(sample)
        if all(before.get(name) == record.get(name) for name in shared)
    ]
    torn = [(before, record, line) for before, record, line in alike if before.get(own) != record.get(own)]
    is_used = 2 * len(torn) <= len(alike) and len({str(record.get(own)) for record, _ in sample}) < len(sample)
    if is_used:
        return _Sharing((*shared, own))
    return _Sharing(tuple(shared), own, _doubt(source, own, shared[0], torn[0]) if torn else None)


def _doubt(source: str, own: str, question: str, torn: tuple[Record, Record, int]) -> Remark:
    before, record, line = torn
    problem = (
        f"{own} is {shorten(record.get(own))}, on the line before {shorten(before.get(own))}, but {question} is the "
        f"same: {own} does not number the questions, and lines were put together by {question} alone"
    )
    fix = f"give all lines of a question one {own}, or rename it"
    return Remark(source, line, "unusable question id", problem, fix, of_all=True)


def _merge(table: Table, sharing: _Sharing, listed: Sequence[str]) -> Iterator[RawChunk]:
    """Chunks of merged rows; the last row of a chunk waits for the next chunk, which may go on with it."""
    last: tuple[int, Record] | None = None
    begun: dict[tuple[str, ...], int] = {}
    doubts = [] if sharing.doubt is None else [sharing.doubt]
    for chunk in table.chunks:
        done: list[tuple[int, Record]] = []
        for record, line in zip(chunk.records, chunk.lines, strict=True):
            if last is not None and all(record.get(name) == last[1].get(name) for name in sharing.names):
                for name in listed:
                    last[1][name].append(record.get(name))
                continue
            if last is not None:
                done.append(last)
            first = begun.setdefault(tuple(str(record.get(name)) for name in sharing.names), line)
            if first != line:
                raise _scattered(table, sharing, record, first, line)
            last = line, {**record, **{name: [record.get(name)] for name in listed}}
        yield _finished(done, listed, replace(chunk, remarks=[*chunk.remarks, *doubts]))
        doubts = []
    if last is not None:
        yield _finished([last], listed, None)


def _scattered(table: Table, sharing: _Sharing, record: Record, first: int, line: int) -> DataError:
    name, own = sharing.names[0], sharing.unused or QUESTION_IDS[0]
    advice = f"give a column {own}" if sharing.unused is None else f"give all lines of a question one {own}"
    return DataError(
        f"{display(table.name)}, line {line:,}: {name} {shorten(record.get(name))} of line {first:,} comes again, "
        "after other lines: its texts would be torn apart",
        fix=f"sort the file by {name}; if these are two questions of the same words, {advice}",
    )


def _finished(done: Sequence[tuple[int, Record]], listed: Sequence[str], chunk: RawChunk | None) -> RawChunk:
    for _, record in done:
        for name in listed:
            if all(map(is_missing, record[name])):
                record[name] = None  # none of the lines has a label
    faults, remarks = ([], ()) if chunk is None else (chunk.faults, chunk.remarks)
    return RawChunk([record for _, record in done], [line for line, _ in done], faults, remarks)
