"""CSV and TSV: quotes as in RFC 4180, the delimiter found by itself, every row with its physical line.

Rows are parsed block by block with the standard library's reader in strict mode. Where it fails, the line at
which the row starts is reported and reading goes on at the next line: one stray quote costs one row, not the
file.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

from tunesmith.data.options import ENCODING_FIX, RawChunk, ReadOptions, Table, unique_names
from tunesmith.data.rejects import BadRow, display, shorten
from tunesmith.data.streams import OpenSource, encoding_fault, line_blocks
from tunesmith.errors import DataError

if TYPE_CHECKING:
    import _csv

DELIMITERS = (",", ";", "\t", "|")
NO_DELIMITER = "\x1f"
"""Stands in where the header has one column: commas in the texts are then text."""
SAMPLE_LINES = 1000
REREAD_ROWS = 16
"""Stray quotes may cost so many times `max_row_bytes` of reading again; then a whole span is given up."""

_field_limit = threading.Lock()


@dataclass(frozen=True)
class Dialect:
    """How lines become cells: the delimiter, and whether quotes mean anything."""

    delimiter: str
    quotes: bool = True


@dataclass
class _Parsed:
    """Rows of some lines: cells and first line of each, the faults, and the lines of a row that goes on."""

    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    faults: list[BadRow] = field(default_factory=list)
    open_lines: list[str] = field(default_factory=list)


def read_csv(opened: OpenSource, options: ReadOptions) -> Table:
    """Read CSV or TSV; the first row is the header.

    Raises:
        DataError: the header cannot be read.
    """
    blocks = line_blocks(opened.stream, options.max_row_bytes)
    first = next(blocks, b"")
    lines = _decode(first)
    dialect = Dialect("\t") if opened.format == "tsv" else Dialect(_sniff(lines))
    if dialect.delimiter == "\t" and not _uses_quotes(lines[:SAMPLE_LINES]):
        dialect = Dialect("\t", quotes=False)
    reader = _Reader(opened.name, dialect, options.max_row_bytes)
    parsed = reader.parse_all(chain([first], blocks))
    head = next((part for part in parsed if part.rows or part.faults), _Parsed())
    columns = _take_header(head, opened.name)
    chunks = (reader.check(part, columns) for part in chain([head], parsed))
    return Table(opened.name, columns, chunks, has_header=True)


def _decode(block: bytes) -> list[str]:
    r"""Lines with their ends, at \n, \r\n and \r; bytes that are no UTF-8 become lone surrogates."""
    return list(io.StringIO(block.decode("utf-8", "surrogateescape"), newline=""))


def _sniff(lines: Sequence[str]) -> str:
    """The delimiter that cuts the header into several cells and most lines into as many."""
    sample = [line for line in islice(lines, SAMPLE_LINES) if line.strip()]
    best, best_score = NO_DELIMITER, (0.0, 1)
    for delimiter in DELIMITERS:
        widths = [len(row) for row in _try_rows(sample, Dialect(delimiter))] or [1]
        share = widths.count(widths[0]) / len(widths)
        if widths[0] > 1 and (share, widths[0]) > best_score:
            best, best_score = delimiter, (share, widths[0])
    return best


def _uses_quotes(lines: Sequence[str]) -> bool:
    """Whether quotes in a tab-separated file enclose cells.

    Many such files have stray quotes that mean themselves. They are taken so when cutting at tabs alone gives
    every line the header's width, and reading with quotes does not.
    """
    plain = [line.count("\t") for line in lines if line.strip("\r\n")]
    if len(set(plain)) != 1:
        return True
    quoted = _try_rows(lines, Dialect("\t"))
    return len(quoted) == len(plain) and all(len(row) == plain[0] + 1 for row in quoted)


def _try_rows(lines: Sequence[str], dialect: Dialect) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        with _unlimited_fields():
            rows.extend(row for row in _reader(lines, 0, dialect) if row)
    except csv.Error:
        pass
    return rows


@contextmanager
def _unlimited_fields() -> Iterator[None]:
    """The csv module's limit on a cell belongs to the whole process: it is lifted for one block at a time."""
    with _field_limit:
        before = csv.field_size_limit(2**31 - 1)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _reader(lines: Sequence[str], start: int, dialect: Dialect) -> _csv.Reader:
    left = map(lines.__getitem__, range(start, len(lines)))  # unlike a slice, free of cost at any start
    if dialect.quotes:
        return csv.reader(left, delimiter=dialect.delimiter, strict=True)
    return csv.reader(left, delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE, strict=True)


def _take_header(head: _Parsed, name: str) -> list[str]:
    """Remove the first row of the source and give its cells."""
    bad = head.faults[0] if head.faults else None
    if bad is not None and (not head.lines or bad.line < head.lines[0]):
        raise DataError(f"the header of {display(name)} cannot be read: {bad}", fix=bad.fix)
    if not head.rows:
        raise DataError(f"{display(name)} is empty", fix="give a file with a header and rows")
    header = head.rows.pop(0)
    head.lines.pop(0)
    problem = _cell_problem("".join(header))
    if problem:
        raise DataError(f"the header of {display(name)} {problem[0]}: {shorten(header)}", fix=problem[1])
    return unique_names(header)


def _cell_problem(cell: str) -> tuple[str, str] | None:
    """Problem and fix of a cell that no text can hold, or None."""
    if "\0" in cell:
        return "holds a NUL byte", "remove it; if the whole file is full of them, save it as UTF-8"
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        return "is not UTF-8", ENCODING_FIX
    return None


@dataclass
class _Reader:
    """Parses one source; counts the bytes that stray quotes made it read again."""

    name: str
    dialect: Dialect
    max_row_bytes: int
    reread_bytes: int = 0

    def parse_all(self, blocks: Iterator[bytes]) -> Iterator[_Parsed]:
        """Parse block by block; a row that goes on in the next block is kept for it."""
        first_line, carried = 1, list[str]()
        for block in blocks:
            lines = carried + _decode(block) if carried else _decode(block)
            parsed = self._parse(lines, first_line, final=False)
            carried = parsed.open_lines
            first_line += len(lines) - len(carried)
            yield parsed
        yield self._parse(carried, first_line, final=True)

    def _parse(self, lines: list[str], first_line: int, final: bool) -> _Parsed:
        parsed, start = _Parsed(), 0
        too_long = self._long_lines(lines)
        for stop in [*too_long, len(lines)]:
            self._parse_part(lines[start:stop], first_line + start, final or stop < len(lines), parsed)
            if stop < len(lines):
                parsed.faults.append(self._too_long(first_line + stop, lines[stop]))
            start = stop + 1
        return parsed

    def _long_lines(self, lines: list[str]) -> list[int]:
        if sum(map(len, lines)) * 4 <= self.max_row_bytes:  # a character has at most four bytes
            return []
        return [index for index, line in enumerate(lines) if _size_bytes(line) > self.max_row_bytes]

    def _parse_part(self, lines: list[str], first_line: int, final: bool, parsed: _Parsed) -> None:
        """Parse lines into `parsed`, going on behind each row that cannot be parsed."""
        position = 0
        with _unlimited_fields():
            while position < len(lines):
                reader, used = _reader(lines, position, self.dialect), 0
                try:
                    for row in reader:
                        if row:
                            parsed.rows.append(row)
                            parsed.lines.append(first_line + position + used)
                        used = reader.line_num
                    return
                except csv.Error as error:
                    start, end = position + used, position + reader.line_num
                    is_open = str(error) == "unexpected end of data"
                    if is_open and not final and self._fits(lines[start:]):
                        parsed.open_lines = lines[start:]
                        return
                    parsed.faults.append(self._quote_fault(first_line + start, lines[start], is_open))
                    position = self._resume(lines, start, end)

    def _fits(self, lines: list[str]) -> bool:
        return sum(_size_bytes(line) for line in lines) <= self.max_row_bytes

    def _resume(self, lines: list[str], start: int, end: int) -> int:
        """The line after the faulty row's first; behind the whole span once too much was read twice."""
        self.reread_bytes += sum(map(len, lines[start:end]))
        return start + 1 if self.reread_bytes <= REREAD_ROWS * self.max_row_bytes else end

    def _quote_fault(self, line: int, text: str, is_open: bool) -> BadRow:
        problem = "a quote is opened and never closed" if is_open else "text follows a closing quote"
        fix = 'enclose the whole cell in "…" and double the quotes in it: ""'
        return BadRow(self.name, line, None, shorten(text.rstrip("\r\n")), problem, fix)

    def _too_long(self, line: int, text: str) -> BadRow:
        problem = f"the row is longer than {self.max_row_bytes:,} bytes"
        fix = "split the text, or close the quote that was left open"
        return BadRow(self.name, line, None, shorten(text), problem, fix)

    def check(self, parsed: _Parsed, columns: list[str]) -> RawChunk:
        """Turn cells into records; wrong widths, NUL bytes, broken UTF-8 and overlong rows become faults."""
        faults, rows, lines = parsed.faults, parsed.rows, parsed.lines
        if not self._all_good(rows, len(columns)):
            found = [self._row_fault(row, line, columns) for row, line in zip(rows, lines, strict=True)]
            faults = sorted([*faults, *(bad for bad in found if bad)], key=lambda bad: bad.line)
            keep = [index for index, bad in enumerate(found) if bad is None]
            rows, lines = [rows[index] for index in keep], [lines[index] for index in keep]
        return RawChunk([dict(zip(columns, row, strict=True)) for row in rows], lines, faults)

    def _all_good(self, rows: list[list[str]], width: int) -> bool:
        if not set(map(len, rows)) <= {width}:
            return False
        joined = "".join(chain.from_iterable(rows))
        return len(joined) * 4 <= self.max_row_bytes and _cell_problem(joined) is None

    def _row_fault(self, row: list[str], line: int, columns: list[str]) -> BadRow | None:
        if len(row) != len(columns):
            came = "1 column" if len(row) == 1 else f"{len(row)} columns"
            problem = f"{came}, wanted {len(columns)} as in the header"
            fix = f'enclose cells that hold {shorten(self.dialect.delimiter)} or a line end in "…"'
            return BadRow(self.name, line, None, shorten(row), problem, fix)
        if sum(map(len, row)) * 4 > self.max_row_bytes and sum(map(_size_bytes, row)) > self.max_row_bytes:
            return self._too_long(line, row[0])
        for column, cell in zip(columns, row, strict=True):
            if problem_and_fix := _cell_problem(cell):
                problem, fix = problem_and_fix
                if fix is ENCODING_FIX:
                    problem = encoding_fault(cell.encode("utf-8", "surrogateescape"), "cell")
                return BadRow(self.name, line, column, shorten(cell), problem, fix)
        return None


def _size_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
