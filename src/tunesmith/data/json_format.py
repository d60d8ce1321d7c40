"""JSON lines, and .json files that hold one list of objects.

A block of lines goes through pydantic's parser in one comprehension; only a block with a faulty line is
looked at line by line. That parser refuses NaN, lone surrogates and deep nesting, but keeps the last of two
equal keys: the colons are counted to find those without parsing twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any, BinaryIO

from pydantic_core import from_json

from tunesmith.data.options import ENCODING_FIX, RawChunk, ReadOptions, Record, Table
from tunesmith.data.rejects import BadRow, display, shorten
from tunesmith.data.streams import OpenSource, encoding_fault, line_blocks
from tunesmith.errors import DataError

CHUNK_ROWS = 8192
LINE_FIX = 'write one JSON object on the line, such as {"text": "…", "label": "…"}'
_KEY = re.compile(rb'"\s*:')
_SPACE = re.compile(r"[ \t\r\n]*")
_Problem = tuple[str, str]
"""What is wrong, and the fix."""


def read_jsonl(opened: OpenSource, options: ReadOptions) -> Table:
    """Read JSON lines, or a .json file with a list of objects; blank lines are skipped and not counted.

    Raises:
        DataError: the file is one JSON object over several lines, or a list that cannot be parsed.
    """
    if opened.may_be_array and opened.head.lstrip()[:1] == b"[":
        return Table(opened.name, None, _read_array(opened.name, opened.stream, options))
    first = next((line for line in opened.head.splitlines() if line.strip()), b"")
    if opened.may_be_array and (first.strip() == b"{" or first.strip()[:1] != b"{"):
        message = f"{display(opened.name)} is one JSON value, wanted one object per line"
        raise DataError(message, fix=f"{LINE_FIX}, or a .json file that is a list of such objects")
    return Table(opened.name, None, _read_lines(opened.name, opened.stream, options))


def _read_lines(name: str, stream: BinaryIO, options: ReadOptions) -> Iterator[RawChunk]:
    first_line = 1
    for block in line_blocks(stream, options.max_row_bytes):
        lines = block.splitlines()
        records = _parse_all(lines, block) if len(block) <= options.max_row_bytes else None
        if records is None:
            yield _parse_each(lines, count(first_line), name, options.max_row_bytes)
        else:
            yield RawChunk(records, range(first_line, first_line + len(lines)), [])
        first_line += len(lines)


def _parse_all(lines: list[bytes], block: bytes) -> list[Record] | None:
    """All lines at once, or None when any is blank or faulty."""
    try:
        records: list[Any] = [from_json(line, allow_inf_nan=False) for line in lines]
    except ValueError:
        return None
    if not set(map(type, records)) <= {dict}:
        return None
    if block.count(b":") == sum(map(len, records)):
        return records
    doubtful = any(_may_repeat_keys(line, record) for line, record in zip(lines, records, strict=True))
    return None if doubtful else records


def _may_repeat_keys(line: bytes, record: Record) -> bool:
    """False when there are no more keys written than were kept; a key-like text may give a false alarm."""
    if line.count(b":") == len(record):
        return False
    return len(_KEY.findall(line)) != _count_keys(record)


def _count_keys(value: Any) -> int:
    """Keys at all depths; the parser has bounded the depth."""
    inside = value.values() if isinstance(value, dict) else value
    own = len(value) if isinstance(value, dict) else 0
    return own + sum(_count_keys(inner) for inner in inside if isinstance(inner, (dict, list)))


def _parse_each(texts: list[bytes], lines: Iterator[int], name: str, max_row_bytes: int) -> RawChunk:
    """Parse one by one; `lines` gives the line of each text."""
    chunk = RawChunk([], kept := [], [])
    for text, line in zip(texts, lines, strict=False):
        if not text.strip(b" \t\r\n"):
            continue
        problem, record = _parse(text, max_row_bytes)
        if problem is None:
            chunk.records.append(record)
            kept.append(line)
        else:
            shown = shorten(text[:400].decode("utf-8", "backslashreplace"))
            chunk.faults.append(BadRow(name, line, None, shown, *problem))
    return chunk


def _parse(text: bytes, max_row_bytes: int) -> tuple[_Problem | None, Record]:
    if len(text) > max_row_bytes:
        return (f"the row is longer than {max_row_bytes:,} bytes", "split the text"), {}
    try:
        record = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        return _explain(text, str(error)), {}
    if not isinstance(record, dict):
        return (f"the line is a JSON {_kind(record)}, wanted an object", LINE_FIX), {}
    if _may_repeat_keys(text, record) and (key := _repeated_key(text)) is not None:
        return (f"the key {shorten(key)} stands twice", "remove one of the two"), {}
    return None, record


def _kind(value: Any) -> str:
    names = {list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _explain(text: bytes, message: str) -> _Problem:
    """Why a line was refused, in the words of someone who mends it."""
    if b"\0" in text:
        return "the line holds a NUL byte", "remove it; if the whole file is full of them, save it as UTF-8"
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        return f"the line {encoding_fault(text)}", ENCODING_FIX
    if "recursion" in message:
        return "the JSON is nested too deeply", "give plain values, not nested ones"
    constants: list[str] = []
    try:
        json.loads(decoded, parse_constant=constants.append)
    except (ValueError, RecursionError):
        return f"the line is no valid JSON: {message}", LINE_FIX
    if constants:
        return f"the line holds {constants[0]}, which is no JSON number", "write null for a missing number"
    return "the line holds half of a surrogate pair (\\ud800 to \\udfff)", "write the whole character"


def _repeated_key(text: bytes) -> str | None:
    repeated: list[str] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, value in pairs:
            if key in kept:
                repeated.append(key)
            kept[key] = value
        return kept

    json.loads(text, object_pairs_hook=keep)
    return repeated[0] if repeated else None


def _read_array(name: str, stream: BinaryIO, options: ReadOptions) -> Iterator[RawChunk]:
    """Read a list of objects: cut into its elements, each of which is then parsed like a line."""
    try:
        text = stream.read().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{display(name)} is not UTF-8 in line {line:,}", fix=ENCODING_FIX) from error
    elements: list[bytes] = []
    lines: list[int] = []
    for element, line in _cut_array(name, text):
        elements.append(element.encode("utf-8"))
        lines.append(line)
        if len(elements) == CHUNK_ROWS:
            yield _parse_each(elements, iter(lines), name, options.max_row_bytes)
            elements, lines = [], []
    yield _parse_each(elements, iter(lines), name, options.max_row_bytes)


def _cut_array(name: str, text: str) -> Iterator[tuple[str, int]]:
    """Text and line of each element of a JSON list."""
    decoder = json.JSONDecoder()
    position, line = text.index("[") + 1, 1 + text.count("\n", 0, text.index("["))
    closed, wanted = False, "an object or ]"
    while not closed:
        start = _skip_space(text, position)
        line += text.count("\n", position, start)
        if text[start : start + 1] == "]" and wanted == "an object or ]":
            break
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            raise _array_error(name, line, "a JSON object") from error
        yield text[start:end], line
        after = _skip_space(text, end)
        line += text.count("\n", start, after)
        if text[after : after + 1] not in (",", "]") or after >= len(text):
            raise _array_error(name, line, "a comma or ]")
        closed, position, wanted = text[after] == "]", after + 1, "an object"
    if text[text.rindex("]") + 1 :].strip():
        raise _array_error(name, text.count("\n") + 1, "nothing behind ]")


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _array_error(name: str, line: int, wanted: str) -> DataError:
    message = f"{display(name)}, line {line:,}: the list of objects cannot be read here, wanted {wanted}"
    return DataError(message, fix="mend that line, or write one JSON object per line as .jsonl")
