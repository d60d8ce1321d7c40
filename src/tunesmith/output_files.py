"""Answers written beside the records they belong to: JSON lines, CSV or TSV; vectors also as NumPy array.

- JSON lines: the record as it came, with one more key, `prediction`, that holds the whole answer.
- CSV and TSV: the record's columns, then one column `predicted_<field>` for each field of the answer that is
  no table itself (`predicted_label`, `predicted_probability`); several labels are joined by `|`.
- NPY: the vectors alone, one a row, float32.

A name that is taken gets a number: `prediction (2)`. A file appears under its name when it is complete.

Spreadsheets run cells that begin with `= + - @`, a tab or a line end as formulas. In CSV and TSV such texts
get an apostrophe in front, as OWASP advises for CSV injection; numbers do not. JSON lines stay as they are.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO, cast

from pydantic import BaseModel

from tunesmith.data import RowStream
from tunesmith.data.options import unique_names
from tunesmith.errors import DataError
from tunesmith.vector_file import VectorFile

OutputFormat = Literal["jsonl", "csv", "tsv", "npy"]
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
KEY = "prediction"
NOT_WRITTEN = {".parquet", ".pq", ".xlsx", ".xls", ".json", ".zip", ".bz2", ".xz", ".zst"}


def choose_format(target: str) -> OutputFormat:
    """The format that a file name asks for; JSON lines unless it ends in .csv or .tsv (also .gz), or .npy.

    Raises:
        DataError: it asks for a format that is not written.

    Example:
        >>> choose_format("out.CSV.gz"), choose_format("-")
        ('csv', 'jsonl')
    """
    suffix = Path(target.lower().removesuffix(".gz")).suffix
    if suffix in NOT_WRITTEN or target.lower().endswith(".npy.gz"):
        raise DataError(
            f"{target} asks for {suffix}, which is not written", fix="end it in .jsonl, .csv or .tsv; vectors in .npy"
        )
    if suffix == ".npy":
        return "npy"
    return "csv" if suffix == ".csv" else "tsv" if suffix in {".tsv", ".tab"} else "jsonl"


def check_target(target: str, *, overwrite: bool) -> None:
    """Refuse a file that must not or cannot be written, before any work is done.

    Raises:
        DataError: it exists and `overwrite` is off, is a folder, or its folder does not exist.
    """
    choose_format(target)
    if target == "-":
        return
    path = Path(target)
    if path.is_dir():
        raise DataError(f"{target} is a folder, wanted a file", fix=f"give --out {path / 'predictions.jsonl'}")
    if not path.parent.is_dir():
        raise DataError(f"there is no folder {path.parent} to write {path.name} into", fix="make it first")
    if path.exists() and not overwrite:
        raise DataError(f"{target} exists already", fix="give another --out, or add --overwrite to replace it")


class PredictionWriter:
    """Writes records and their answers to an open text stream.

    Args:
        stream: what is written to.
        kind: how.
        columns: the record's columns in order, for CSV and TSV.
    """

    def __init__(self, stream: TextIO, kind: OutputFormat, columns: Sequence[str]) -> None:
        self.stream = stream
        self.kind = kind
        self.columns = list(columns)
        self.fields: list[str] = []
        self.table = csv.writer(stream, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n")

    def write(
        self, records: Sequence[Mapping[str, Any]], predictions: Sequence[BaseModel], lines: Sequence[int]
    ) -> None:
        """Write rows that belong together one by one; `lines` are their places in the source.

        Raises:
            DataError: a record has a column that the table's head lacks.
        """
        answers = [prediction.model_dump(mode="json", exclude_none=True) for prediction in predictions]
        if self.kind != "jsonl" and not self.fields:
            self._write_head(answers)
        for record, answer, line in zip(records, answers, lines, strict=True):
            if self.kind == "jsonl":
                self.stream.write(_json_line(record, answer))
            else:
                self._write_cells(record, answer, line)
        self.stream.flush()

    def _write_head(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Name every field that any of the first answers has: what the first row lacks is no reason to lose it."""
        longest = max(answers, key=len, default={})
        self.fields = [key for key, value in longest.items() if not isinstance(value, dict)]
        names = unique_names([*self.columns, *(f"predicted_{field}" for field in self.fields)])
        if answers:
            self.table.writerow([make_cell(name) for name in names])

    def _write_cells(self, record: Mapping[str, Any], answer: Mapping[str, Any], line: int) -> None:
        unknown = [key for key in record if key not in self.columns]
        if unknown:
            raise DataError(
                f"line {line:,} has the key {unknown[0]!r}, which none of the first rows had",
                fix="write JSON lines instead: --out FILE.jsonl",
            )
        cells = [record.get(column) for column in self.columns] + [answer.get(field) for field in self.fields]
        self.table.writerow([make_cell(cell) for cell in cells])


class VectorWriter:
    """Writes the vector of each answer and nothing else.

    Args:
        file: what is written to.
    """

    def __init__(self, file: VectorFile) -> None:
        self.file = file

    def write(
        self, records: Sequence[Mapping[str, Any]], predictions: Sequence[BaseModel], lines: Sequence[int]
    ) -> None:
        """Write rows in order; `lines` are their places in the source.

        Raises:
            DataError: an answer is no vector.
        """
        vectors = [getattr(prediction, "vector", None) for prediction in predictions]
        for vector, line in zip(vectors, lines, strict=True):
            if vector is None:
                raise DataError(
                    f"the answer to line {line:,} is no vector, and .npy holds nothing else",
                    fix="give rows of one text to a model for embedding, or end --out in .jsonl",
                )
        self.file.add(vectors)


def make_cell(value: Any) -> str:
    """A value as a cell that no spreadsheet runs as a formula.

    Example:
        >>> make_cell("=1+1"), make_cell("-3.5"), make_cell(["joy", "love"]), make_cell(None)
        ("'=1+1", '-3.5', 'joy|love', '')
    """
    if value is None:
        return ""
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        value = "|".join(value)
    elif isinstance(value, (dict, list, tuple)):
        value = dump(value)
    text = str(value)
    return "'" + text if text.startswith(FORMULA_STARTS) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return not text[:1].isspace()


def _json_line(record: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    key = unique_names([*record, KEY])[-1] if KEY in record else KEY
    return dump({**record, key: answer}) + "\n"


def dump(value: Any) -> str:
    """JSON without NaN; dates and the like, which Parquet can hold, as text."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(below) for below in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def open_output(target: str, stdout: BinaryIO) -> Iterator[TextIO]:
    """Open a file that appears under its name when the block ends well, or standard output for "-".

    Args:
        target: a path (packed when it ends in .gz), or "-".
        stdout: bytes go there for "-"; it stays open.

    Raises:
        DataError: the disk is full or bad; no part of the file is left then.
    """
    if target == "-":
        stream = _as_text(stdout)
        try:
            yield stream
        finally:
            stream.detach()
        return
    with _open_file(target) as raw, _pack(raw, Path(target)) as packed, _as_text(packed) as stream:
        yield stream


@contextmanager
def _open_file(target: str) -> Iterator[BinaryIO]:
    """Open a file for bytes that appears under its name when the block ends well."""
    path = Path(target)
    partial = path.with_name(f".{path.name[:100]}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as raw:
            yield raw
        with partial.open("rb") as complete:
            os.fsync(complete.fileno())
        os.replace(partial, path)
    except OSError as error:
        message = f"cannot write {target}: {error.strerror or error}"
        raise DataError(message, fix="check the folder and the free space") from error
    finally:
        partial.unlink(missing_ok=True)


def _pack(raw: BinaryIO, path: Path) -> BinaryIO:
    if not path.name.lower().endswith(".gz"):
        return raw
    return cast(BinaryIO, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0))


def _as_text(stream: BinaryIO) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="")


@contextmanager
def open_writer(stream: RowStream, target: str, stdout: BinaryIO) -> Iterator[PredictionWriter | VectorWriter]:
    """What writes the answers in the format of the target."""
    kind = choose_format(target)
    if kind == "npy":
        with _open_file(target) as raw:
            file = VectorFile(raw)
            yield VectorWriter(file)
            file.finish()
        return
    with open_output(target, stdout) as output:
        yield PredictionWriter(output, kind, stream.columns)
