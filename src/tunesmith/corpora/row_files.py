"""JSON lines and Parquet to documents: the text field of each row, streamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic_core import from_json

from tunesmith.corpora.cutting import cut_text
from tunesmith.corpora.files import CorpusFile, open_unpacked
from tunesmith.corpora.text_files import PART_CHARACTERS, RawPart, split_lines
from tunesmith.data.options import ENCODING_FIX
from tunesmith.data.parquet_format import column_values, iterate_batches, open_parquet
from tunesmith.data.rejects import listed, printable, shorten
from tunesmith.data.streams import encoding_fault, reading
from tunesmith.errors import DataError

MAX_ROW_BYTES = 64 << 20
"""The longest line of JSON lines."""
FIELDS = (
    *("text", "content", "document", "body", "article", "passage", "raw_content", "story", "sentence"),
    *("正文", "内容", "文本", "全文", "文章", "句子"),
)
"""Names of the field that holds the text, most telling first, in lower case."""
_BATCH_ROWS = 256
_LINE_FIX = 'write one JSON object on the line, such as {"text": "…"}'
_SKIP_FIX = "mend it, or have bad documents skipped and counted"


def choose_field(name: str, fields: Sequence[str], example: dict[str, Any], wished: str | None) -> str:
    """The field that holds the text: the wished one, a telling name, or the only one with a text.

    Raises:
        DataError: there is none; the message names those there are.

    Example:
        >>> choose_field("a.jsonl", ["id", "Text"], {"id": 1, "Text": "x"}, None)
        'Text'
    """
    there = f"{name} has the fields {listed(fields, 20)}" if fields else f"{name} has no fields"
    if wished is not None:
        if wished in fields:
            return wished
        raise DataError(f"{there}, wanted {shorten(wished)}", fix="name the field of the text as it stands there")
    lowered = {field.strip().lower(): field for field in reversed(fields)}
    for known in FIELDS:
        if known in lowered:
            return lowered[known]
    texts = [field for field in fields if isinstance(example.get(field), str)]
    if len(texts) == 1:
        return texts[0]
    raise DataError(f"{there}, and none is known to hold the text", fix="name the field of the text (text_field)")


def read_jsonl(
    file: CorpusFile, text_field: str | None, start_byte: int, lines_before: int, *, skip_bad: bool
) -> Iterator[RawPart]:
    """Documents of JSON lines from a byte on; blank lines are passed over.

    Args:
        file: the file.
        text_field: field of the text; None: guessed from the first object of the file.
        start_byte: where to begin.
        lines_before: lines in front of it.
        skip_bad: bad lines come as broken documents instead of an error.

    Raises:
        DataError: the file cannot be read, a line is no object with a text, or is longer than 64 MiB.
    """
    field: str | None = None
    with open_unpacked(file, start_byte) as (stream, offset):
        line, is_long = lines_before + 1, False
        for chunk in split_lines(stream, offset, MAX_ROW_BYTES):
            is_long = is_long or not chunk.is_last or len(chunk.data) > MAX_ROW_BYTES
            if not chunk.is_last:
                continue
            if is_long or chunk.data.strip():
                if field is None:
                    field = _find_field(file, text_field)
                found = f"is longer than {MAX_ROW_BYTES:,} bytes" if is_long else _parse(chunk.data, field)
                yield from _parts(file, line, found, chunk.end, skip_bad)
            line, is_long = line + 1, False


def _find_field(file: CorpusFile, wished: str | None) -> str:
    """Read the first object of the file, also when reading goes on in its middle."""
    with open_unpacked(file) as (stream, offset):
        for chunk in split_lines(stream, offset, MAX_ROW_BYTES):
            try:
                record = from_json(chunk.data, allow_inf_nan=False)
            except ValueError:
                continue
            if isinstance(record, dict):
                return choose_field(file.name, list(record), record, wished)
    message = f"{file.name} holds no JSON object, wanted one a line"
    raise DataError(message, fix=_LINE_FIX)


def _parse(data: bytes, field: str) -> str | tuple[str]:
    """The text as a tuple of one, or what is wrong with the line."""
    try:
        record = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            return encoding_fault(data)
        return f"is no valid JSON: {error}"
    if not isinstance(record, dict):
        return "is no JSON object"
    if field not in record:
        return f"has no field {shorten(field)}; it has {listed(list(record), 20)}"
    value = record[field]
    if isinstance(value, str):
        return (value,)
    return ("",) if value is None else f"has {shorten(value)} in the field {shorten(field)}, wanted a text"


def _parts(file: CorpusFile, line: int, found: str | tuple[str], end: int | None, skip_bad: bool) -> Iterator[RawPart]:
    if isinstance(found, str):
        if not skip_bad:
            fix = ENCODING_FIX if "UTF-8" in found else _SKIP_FIX
            raise DataError(f"{file.name}, line {line:,} {printable(found)}", fix=fix)
        yield RawPart("", end, line, is_broken=True)
        return
    text = found[0].replace("\r\n", "\n").replace("\r", "\n") if "\r" in found[0] else found[0]
    parts = list(cut_text(text, PART_CHARACTERS)) if len(text) > PART_CHARACTERS else [text]
    for part in parts[:-1]:
        yield RawPart(part, end, line, is_last=False)
    yield RawPart(parts[-1], end, line)


def read_parquet(file: CorpusFile, text_field: str | None, rows_before: int, *, skip_bad: bool) -> Iterator[RawPart]:
    """Documents of a Parquet file behind its first rows; groups of rows that are read already are left out.

    Raises:
        DataError: the file is damaged, or a row holds no text.
        MissingPackageError: pyarrow is not installed.
    """
    with reading(str(file.path)), open(file.path, "rb") as stream:
        table = open_parquet(str(file.path), stream)
        kinds = {field.name: str(field.type) for field in table.schema_arrow}
        example = {name: "" for name, kind in kinds.items() if "string" in kind}
        name = choose_field(file.name, list(kinds), example, text_field)
        groups = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
        row = first = 0
        while first < len(groups) and row + groups[first] <= rows_before:
            row, first = row + groups[first], first + 1
        options = {"batch_size": _BATCH_ROWS, "row_groups": list(range(first, len(groups))), "columns": [name]}
        for batch in iterate_batches(str(file.path), table, **options):
            for value in column_values(batch.column(0)):
                row += 1
                if row > rows_before:
                    yield from _parts(file, row, _cell(value, name), None, skip_bad)


def _cell(value: Any, field: str) -> str | tuple[str]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, bytes):
        return encoding_fault(value, f"field {shorten(field)}")
    return ("",) if value is None else f"has {shorten(value)} in the field {shorten(field)}, wanted a text"
