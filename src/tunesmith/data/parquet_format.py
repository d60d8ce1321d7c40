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
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError("pyarrow", purpose="reading Parquet files", extra="parquet") from error
    damaged = DataError(f"{display(opened.name)} is no readable Parquet file", fix="write or copy it again")
    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(opened.stream.read()))
    except (pyarrow.ArrowException, OSError) as error:
        raise damaged from error
    columns = unique_names(file.schema_arrow.names)
    return Table(opened.name, columns, _read_batches(file, columns, damaged))


def _read_batches(file: Any, columns: list[str], damaged: DataError) -> Iterator[RawChunk]:
    from pyarrow import ArrowException

    first = 1
    batches = file.iter_batches(batch_size=CHUNK_ROWS)
    while True:
        try:
            batch = next(batches, None)
        except (ArrowException, OSError) as error:
            raise damaged from error
        if batch is None:
            return
        cells = zip(*(_values(column) for column in batch.columns), strict=True)
        records = [dict(zip(columns, row, strict=True)) for row in cells]
        yield RawChunk(records, range(first, first + len(records)), [])
        first += batch.num_rows


def _values(column: Any) -> list[Any]:
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
