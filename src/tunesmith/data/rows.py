"""From any source to validated rows: `read_rows`, and `stream_rows` for what does not fit into memory.

Checks run over whole columns of a chunk and pydantic validates a chunk in one call; only what fails is looked
at row by row. That is what makes hundreds of thousands of rows a second possible.
"""

from __future__ import annotations

import gc
import hashlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO

from pydantic import BaseModel, TypeAdapter

from tunesmith.contracts import Column
from tunesmith.data.chat_format import gather_messages, wants_messages
from tunesmith.data.columns import ColumnMap, check_header, resolve_columns, wants_spans
from tunesmith.data.grouping import Grouping
from tunesmith.data.options import GUESS_ROWS, RawChunk, ReadOptions, Record, Table, take_sample
from tunesmith.data.origins import Origins, without_origins
from tunesmith.data.rejects import BadRow, Remark, bad_rows_error, display
from tunesmith.data.sources import read_table
from tunesmith.data.tagged_rows import prepare
from tunesmith.data.text_lists import gather_texts, wants_texts
from tunesmith.data.validation import Validator
from tunesmith.errors import DataError

HASHED_ROWS = 8192


@dataclass(frozen=True)
class Rows:
    """What was read: len(rows) + len(rejected) == read, always.

    Attributes:
        rows: accepted rows, instances of the task's row schema.
        source: the source as the user named it.
        columns: its columns; of JSON lines, those of the first 1,000 rows.
        mapping: field → column; where texts were made of tokens, those of `tokens` and `tags`.
        guessed_fields: fields guessed by what their column holds.
        read: rows read, blank lines aside.
        rejected: rows that cannot be used; empty unless `skip_bad`.
        fingerprint: SHA-256 of the accepted rows in order.
        lines: line (or row number) of each accepted row, from 1.
        remarks: what is doubtful about rows that were accepted.
        groups: further columns of few different values → the value of each accepted row.
        layout: what people call the way the source is written, where that was recognised; "" for plain rows.
        origins: which accepted rows were made of which.
    """

    rows: list[Any]
    source: str
    columns: list[str]
    mapping: dict[str, str]
    guessed_fields: tuple[str, ...]
    read: int
    rejected: tuple[BadRow, ...]
    fingerprint: str
    lines: Sequence[int] = field(repr=False)
    remarks: tuple[Remark, ...] = ()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    layout: str = ""
    origins: Origins = field(default_factory=Origins, repr=False)

    @property
    def guessed(self) -> bool:
        """Whether any field was guessed by what its column holds."""
        return bool(self.guessed_fields)


@dataclass(frozen=True)
class Chunk:
    """Neighbouring rows of a stream; `rows`, `records` and `lines` belong together one by one.

    Attributes:
        rows: accepted rows.
        records: the same rows as they stand in the source, with all their columns; where texts were made of
            tokens, with these beside them.
        lines: line (or row number) of each accepted row, from 1.
        rejected: rows that cannot be used, in order.
        remarks: what is doubtful about rows that were accepted, in order.
    """

    rows: list[Any]
    records: list[Record]
    lines: Sequence[int]
    rejected: list[BadRow]
    remarks: Sequence[Remark] = ()


@dataclass(frozen=True)
class RowStream:
    """A source being read; the columns are settled before the first chunk comes.

    Attributes:
        source: the source as the user named it.
        columns: its columns; of JSON lines, those of the first 1,000 rows.
        mapping: field → column; where texts were made of tokens, those of `tokens` and `tags`.
        guessed_fields: fields guessed by what their column holds.
        chunks: the rows, in order; can be gone through once.
        layout: what people call the way it is written, where that was recognised; "" for plain rows.
    """

    source: str
    columns: list[str]
    mapping: dict[str, str]
    guessed_fields: tuple[str, ...]
    chunks: Iterator[Chunk]
    layout: str = ""

    def __iter__(self) -> Iterator[Chunk]:
        return self.chunks


def stream_rows(
    source: Any,
    row_schema: type[BaseModel],
    columns: Sequence[Column],
    options: ReadOptions | None = None,
    *,
    stdin: BinaryIO | None = None,
) -> RowStream:
    """Read rows chunk by chunk, in input order, with memory that does not grow with their number.

    Bad rows never raise here, even without `skip_bad`: they come with their chunk, and `bad_rows_error` makes
    the error of strict reading. Parquet and .json lists are loaded whole.

    Args:
        source: a path; "-" for standard input; a pandas DataFrame; a `datasets` object; an iterable of dicts,
            of texts or of row objects.
        row_schema: the task's Row.
        columns: the task's columns.
        options: how it is read.
        stdin: bytes to read for "-"; default: the process's standard input.

    Raises:
        DataError: the source cannot be read, is empty, or lacks a required column.
        MissingPackageError: Parquet without pyarrow.
    """
    options = options or ReadOptions()
    text_column = next((column.name for column in columns if column.role == "text"), "text")
    spans = wants_spans(columns)
    table = read_table(source, options, options.mapping.get(text_column, text_column), stdin, spans=spans)
    wanted = columns
    if spans:
        table, wanted, options = prepare(table, columns, options)
    if wants_messages(columns):
        table = gather_messages(table, columns, options)
    searched = table.columns
    if wants_texts(columns):
        gathered = gather_texts(table, columns, options)
        table, searched, options = gathered.table, gathered.columns, gathered.options
    head = take_sample(table.chunks)
    records = [record for chunk in head for record in chunk.fields or chunk.records][:GUESS_ROWS]
    names = table.columns if table.columns is not None else list(dict.fromkeys(chain.from_iterable(records)))
    found = _settle(table, searched or names, records, wanted, options) if records else _nothing_to_settle(table, head)
    adapter: TypeAdapter[list[BaseModel]] = TypeAdapter(list[row_schema])  # type: ignore[valid-type]
    made = table.made_from is not None
    places = {column.name: column.name for column in columns} if made else found.mapping
    validator = Validator(table.name, adapter, columns, places, options, made, table.named_by)
    chunks = _check_all(validator, chain(head, table.chunks))
    return RowStream(table.name, names, found.mapping, found.guessed_fields, chunks, table.layout)


def _settle(
    table: Table, names: list[str], records: list[Record], columns: Sequence[Column], options: ReadOptions
) -> ColumnMap:
    if table.made_from is not None:
        return ColumnMap(dict(table.made_from), ())
    if table.has_header:
        check_header(names, records, columns, options, table.name)
    return resolve_columns(without_origins(names), records, columns, options, table.name)


def _nothing_to_settle(table: Table, head: Sequence[RawChunk]) -> ColumnMap:
    """No row could be parsed: an error where there was none, an empty mapping where all are bad."""
    if any(chunk.faults for chunk in head):
        return ColumnMap({}, ())
    what = "has a header but no rows" if table.has_header else "holds no rows"
    raise DataError(f"{display(table.name)} {what}", fix="give at least one row")


def _check_all(validator: Validator, chunks: Iterator[RawChunk]) -> Iterator[Chunk]:
    while True:
        with _paused_collection():
            raw = next(chunks, None)
            checked = None if raw is None else _check(validator, raw)
        if checked is None:
            return
        yield checked


def _check(validator: Validator, chunk: RawChunk) -> Chunk:
    rows, kept, bad, found = validator.check(chunk.records if chunk.fields is None else chunk.fields, chunk.lines)
    remarks = sorted([*chunk.remarks, *found], key=lambda remark: remark.line)
    if not bad and not chunk.faults:
        return Chunk(rows, chunk.records, chunk.lines, [], remarks)
    rejected = sorted([*chunk.faults, *bad], key=lambda row: row.line)
    records, lines = [chunk.records[i] for i in kept], [chunk.lines[i] for i in kept]
    return Chunk(rows, records, lines, rejected, remarks)


@contextmanager
def _paused_collection() -> Iterator[None]:
    """What is made here is no garbage, but so much of it keeps the cyclic collector busy (3x the time)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def read_rows(
    source: Any,
    row_schema: type[BaseModel],
    columns: Sequence[Column],
    options: ReadOptions | None = None,
    *,
    stdin: BinaryIO | None = None,
) -> Rows:
    """Read and validate all rows of a source.

    Args:
        source: see `stream_rows`.
        row_schema: the task's Row.
        columns: the task's columns.
        options: how it is read.
        stdin: bytes to read for "-"; default: the process's standard input.

    Raises:
        DataError: see `stream_rows`; also, unless `skip_bad`, any row is bad, and always when none is good.
        MissingPackageError: Parquet without pyarrow.

    Example:
        >>> class Row(BaseModel):
        ...     text: str
        ...     label: str
        >>> wanted = [Column("text", "text", ("review",)), Column("label", "label", ("stars",))]
        >>> read = read_rows([{"Review": "好看", "stars": "5"}], Row, wanted)
        >>> read.rows, read.mapping
        ([Row(text='好看', label='5')], {'text': 'Review', 'label': 'stars'})
    """
    options = options or ReadOptions()
    rows: list[Any] = []
    lines = array("q")
    rejected: list[BadRow] = []
    remarks: list[Remark] = []
    with _paused_collection():
        stream = stream_rows(source, row_schema, columns, options, stdin=stdin)
        ours = set(stream.columns) - set(without_origins(stream.columns))
        grouping = Grouping({*stream.mapping.values(), *row_schema.model_fields, *ours})
        origins = Origins()
        for chunk in stream:
            grouping.add(chunk.records)
            origins.add(chunk.records)
            rows += chunk.rows
            lines.extend(chunk.lines)
            rejected += chunk.rejected
            remarks += chunk.remarks
    read = len(rows) + len(rejected)
    if rejected and (not options.skip_bad or not rows):
        raise bad_rows_error(rejected, read, stream.source)
    return Rows(
        rows=rows,
        source=stream.source,
        columns=stream.columns,
        mapping=stream.mapping,
        guessed_fields=stream.guessed_fields,
        read=read,
        rejected=tuple(rejected),
        fingerprint=fingerprint(rows),
        lines=lines,
        remarks=tuple(remarks),
        groups=grouping.columns,
        layout=stream.layout,
        origins=origins,
    )


def fingerprint(rows: Sequence[BaseModel]) -> str:
    """SHA-256 of rows in order, in hexadecimal.

    Hashed is compact JSON in UTF-8: an object for each row with its fields in the schema's order, fields
    without a value left out, and a comma behind it. The same rows give the same value whatever file they came
    from.

    Args:
        rows: instances of one schema.

    Example:
        >>> class Row(BaseModel):
        ...     text: str
        >>> fingerprint([Row(text="a")]) == hashlib.sha256(b'{"text":"a"},').hexdigest()
        True
    """
    digest = hashlib.sha256()
    if rows:
        schema: Any = list[type(rows[0])]  # type: ignore[misc]
        adapter: TypeAdapter[Any] = TypeAdapter(schema)
        for start in range(0, len(rows), HASHED_ROWS):
            part = adapter.dump_json(list(rows[start : start + HASHED_ROWS]), exclude_none=True)
            digest.update(part[1:-1] + b",")
    return digest.hexdigest()
