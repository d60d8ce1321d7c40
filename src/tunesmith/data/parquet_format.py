"""Parquet, through pyarrow (an optional package)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from tunesmith.data.options import RawChunk, Table, unique_names
from tunesmith.data.rejects import display
from tunesmith.data.streams import OpenSource
from tunesmith.errors import DataError, MissingPackageError

CHUNK_ROWS = 8192


def read_parquet(opened: OpenSource) -> Table:
    """Read Parquet; the "line" of a row is its number. That needs random access, so the file is loaded whole.

    Raises:
        MissingPackageError: pyarrow is not installed.
        DataError: the file is damaged.
    """
    file = open_parquet(opened.name, io.BytesIO(opened.stream.read()))
    columns = unique_names(file.schema_arrow.names)
    return Table(opened.name, columns, _read_chunks(opened.name, file, columns))


def open_parquet(name: str, source: Any) -> Any:
    """Open a file, by its path or from memory, as a `pyarrow.parquet.ParquetFile`.

    Raises:
        MissingPackageError: pyarrow is not installed.
        DataError: the file is damaged.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError("pyarrow", purpose="reading Parquet files", extra="parquet") from error
    try:
        return pyarrow.parquet.ParquetFile(source)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(name) from error


def iterate_batches(name: str, file: Any, **options: Any) -> Iterator[Any]:
    """Batches of a `pyarrow.parquet.ParquetFile`, as its `iter_batches` gives them.

    Raises:
        DataError: the file is damaged.
    """
    from pyarrow import ArrowException

    batches = file.iter_batches(**options)
    while True:
        try:
            batch = next(batches, None)
        except (ArrowException, OSError) as error:
            raise _damaged(name) from error
        if batch is None:
            return
        yield batch


def _damaged(name: str) -> DataError:
    return DataError(f"{display(name)} is no readable Parquet file", fix="write or copy it again")


def _read_chunks(name: str, file: Any, columns: list[str]) -> Iterator[RawChunk]:
    first = 1
    for batch in iterate_batches(name, file, batch_size=CHUNK_ROWS):
        cells = zip(*(column_values(column) for column in batch.columns), strict=True)
        records = [dict(zip(columns, row, strict=True)) for row in cells]
        yield RawChunk(records, range(first, first + len(records)), [])
        first += batch.num_rows


def column_values(column: Any) -> list[Any]:
    """Plain values of a column; a text that is not UTF-8 comes as bytes, for its row to be refused."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_value(cell) for cell in column]


def _value(cell: Any) -> Any:
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        return bytes(cell.as_buffer())
