"""Data that is in memory already: pandas DataFrames, `datasets` objects, lists and other iterables.

pandas and datasets are recognised by the module of their type and never imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pydantic import BaseModel

from tunesmith.data.options import RawChunk, Record, Table, unique_names
from tunesmith.data.rejects import BadRow, listed, shorten
from tunesmith.errors import DataError

CHUNK_ROWS = 8192


def read_object(source: Any, text_column: str) -> Table:
    """Read rows from memory; the "line" of a row is its number, from 1.

    Args:
        source: DataFrame, `datasets` object, or iterable of dicts, of texts or of row objects.
        text_column: column that a plain text is put into.

    Raises:
        DataError: it is something else.
    """
    package = type(source).__module__.partition(".")[0]
    if package == "pandas" and hasattr(source, "columns"):
        return _read_frame(source)
    if package == "datasets":
        return _read_dataset(source, text_column)
    if isinstance(source, (str, bytes, bytearray, Mapping)) or not isinstance(source, Iterable):
        fix = "give a path, a DataFrame, a datasets.Dataset, or a list of dicts or of texts"
        raise DataError(f"cannot read rows from a {type(source).__name__}", fix=fix)
    name = type(source).__name__
    return Table(name, None, _read_iterable(source, text_column, name))


def _read_frame(frame: Any) -> Table:
    columns = unique_names([_plain_name(name) for name in frame.columns])

    def chunks() -> Iterator[RawChunk]:
        for start in range(0, len(frame), CHUNK_ROWS):
            part = frame.iloc[start : start + CHUNK_ROWS]
            cells = [_frame_values(part.iloc[:, position]) for position in range(len(columns))]
            yield _chunk(columns, cells, start)

    return Table("DataFrame", columns, chunks())


def _plain_name(name: Any) -> Any:
    return " ".join(map(str, name)) if isinstance(name, tuple) else name


def _frame_values(series: Any) -> list[Any]:
    """Plain Python values; what pandas calls missing (NaN, NaT, NA) is None."""
    values = series.tolist()
    missing = series.isna()
    if missing.any():
        return [None if gone else value for gone, value in zip(missing.tolist(), values, strict=True)]
    return list(values)


def _read_dataset(source: Any, text_column: str) -> Table:
    if isinstance(source, Mapping):
        fix = f"give one of its splits: {listed([str(name) for name in source], 5)}"
        raise DataError(f"a {type(source).__name__} holds several splits, wanted one", fix=fix)
    features = getattr(source, "features", None) or {}
    classes = {name: names for name, feature in features.items() if (names := _class_names(feature))}
    if not hasattr(source, "__len__"):  # streamed
        named = ({**row, **{key: _named(row.get(key), classes[key]) for key in classes}} for row in source)
        return Table(type(source).__name__, None, _read_iterable(named, text_column, type(source).__name__))
    columns = [str(name) for name in source.column_names]
    plain = source.with_format(None)

    def chunks() -> Iterator[RawChunk]:
        for start in range(0, len(plain), CHUNK_ROWS):
            part = plain[start : start + CHUNK_ROWS]
            cells = [[_named(v, classes[c]) for v in part[c]] if c in classes else part[c] for c in columns]
            yield _chunk(columns, cells, start)

    return Table(type(source).__name__, columns, chunks())


def _class_names(feature: Any) -> list[str]:
    """Names of a ClassLabel, also of one inside a list; [] for any other feature."""
    while not hasattr(feature, "names") and hasattr(feature, "feature"):
        feature = feature.feature
    return [str(name) for name in getattr(feature, "names", None) or []]


def _named(value: Any, names: Sequence[str]) -> Any:
    """Class ids as names; -1, which `datasets` writes for an unlabelled row, is missing."""
    if isinstance(value, (list, tuple)):
        return [_named(inner, names) for inner in value]
    if not isinstance(value, int) or value >= len(names):
        return value
    return names[value] if value >= 0 else None


def _chunk(columns: Sequence[str], cells: Sequence[Sequence[Any]], start: int) -> RawChunk:
    records = [dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)]
    return RawChunk(records, range(start + 1, start + 1 + len(records)), [])


def _read_iterable(source: Iterable[Any], text_column: str, name: str) -> Iterator[RawChunk]:
    items = iter(source)
    first = 1
    while part := list(islice(items, CHUNK_ROWS)):
        chunk = RawChunk([], lines := [], [])
        for line, item in enumerate(part, start=first):
            record = _record(item, text_column)
            if record is None:
                problem = f"is a {type(item).__name__}, wanted a dict or a text"
                fix = 'give rows such as {"text": "…", "label": "…"}'
                chunk.faults.append(BadRow(name, line, None, shorten(item), problem, fix))
            else:
                chunk.records.append(record)
                lines.append(line)
        first += len(part)
        yield chunk


def _record(item: Any, text_column: str) -> Record | None:
    if isinstance(item, str):
        return {text_column: item}
    if isinstance(item, Mapping):
        return {str(key): value for key, value in item.items()}
    if isinstance(item, BaseModel):
        return dict(item)
    return None
