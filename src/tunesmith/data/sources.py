"""Every kind of source behind one call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from tunesmith.data.conll_format import read_conll
from tunesmith.data.csv_format import read_csv
from tunesmith.data.json_format import read_jsonl
from tunesmith.data.objects import read_object
from tunesmith.data.options import RawChunk, ReadOptions, Table
from tunesmith.data.parquet_format import read_parquet
from tunesmith.data.squad_format import is_squad, read_squad
from tunesmith.data.streams import OpenSource, open_source


def read_table(
    source: Any, options: ReadOptions, text_column: str, stdin: BinaryIO | None = None, *, spans: bool = False
) -> Table:
    """Start reading a source.

    Args:
        source: a path, "-" for standard input, or rows in memory (see `read_object`).
        options: how it is read.
        text_column: column that a plain text from memory is put into.
        stdin: bytes to read for "-"; default: the process's standard input.
        spans: whether the task takes tagged tokens.

    Raises:
        DataError: it cannot be opened, or its header cannot be read.
    """
    if not isinstance(source, (str, Path)):
        return read_object(source, text_column)
    with ExitStack() as opening:
        table = _parse(opening.enter_context(open_source(source, options, stdin, spans=spans)), options)
        # From here on the file belongs to the iterator of chunks.
        return replace(table, chunks=_until_closed(table.chunks, opening.pop_all()))


def _parse(opened: OpenSource, options: ReadOptions) -> Table:
    if opened.format == "parquet":
        return read_parquet(opened)
    if opened.format == "conll":
        return read_conll(opened, options)
    if opened.format == "jsonl" and is_squad(opened.head):
        return read_squad(opened)
    return read_jsonl(opened, options) if opened.format == "jsonl" else read_csv(opened, options)


def _until_closed(chunks: Iterator[RawChunk], file: AbstractContextManager[Any]) -> Iterator[RawChunk]:
    with file:
        yield from chunks
