"""CoNLL files: one token a line, its tag in the last column, a blank line between sentences.

A sentence is one row. Columns stand apart by tabs where a line has one, so that a token may be any other white
space, else by runs of blanks. `-DOCSTART-` lines end a sentence and are no tokens; comments in front of a
sentence are skipped. What is read here are tokens and tags; `tagging` makes texts and spans of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tunesmith.data.options import ENCODING_FIX, RawChunk, ReadOptions, Record, Table
from tunesmith.data.rejects import BadRow, shorten
from tunesmith.data.streams import OpenSource, encoding_fault, line_blocks
from tunesmith.data.tagging import is_tag
from tunesmith.errors import DataError

DOCUMENT_START = "-DOCSTART-"
SHOWN_CHARACTERS = 400
_PLACES = {"first": 0, "last": -1}


class _Sentence(NamedTuple):
    """Neighbouring lines, the first with its number; of one that is too long, only the first is kept."""

    line: int
    lines: list[str]
    is_too_long: bool


class _Fault(Exception):
    """Why a sentence cannot be used."""

    def __init__(self, field: str | None, got: str, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.field, self.got, self.problem, self.fix = field, got, problem, fix


def read_conll(opened: OpenSource, options: ReadOptions) -> Table:
    """Read a CoNLL file; the line of a row is that of its first token.

    Each record holds `tokens`, `tags` where there is a second column, and further columns as `column N`.

    Args:
        opened: the file.
        options: `mapping` may give the columns of `tokens` and `tags`: a number from 1, first or last.

    Raises:
        DataError: a column is given by what is neither.
    """
    given = {key: _parse_place(key, options.mapping[key]) for key in ("tokens", "tags") if key in options.mapping}
    reader = _Reader(opened.name, options.max_row_bytes, given, _recall(options.remembered))
    sentences = _cut(line_blocks(opened.stream, options.max_row_bytes), options.max_row_bytes)
    return Table(opened.name, None, map(reader.parse_all, sentences), token_lines=True)


def _parse_place(key: str, value: str) -> int:
    """Index of a column, from the end where it is negative."""
    place = value.strip()
    if place in _PLACES:
        return _PLACES[place]
    if not (place.isascii() and place.isdigit() and int(place) > 0):
        message = f"data.columns.{key} is {shorten(value)}, wanted a number from 1: the columns of CoNLL have no names"
        default = "first" if key == "tokens" else "last"
        raise DataError(message, fix=f"--set data.columns.{key}=N, or leave it out for the {default}")
    return int(place) - 1


def _recall(remembered: Mapping[str, str]) -> dict[str, int]:
    """Places remembered from training, unless it was on a file of another kind."""
    places = {}
    for key in ("tokens", "tags"):
        try:
            places[key] = _parse_place(key, remembered.get(key, ""))
        except DataError:
            continue
    return places


def _cut(blocks: Iterator[bytes], max_row_bytes: int) -> Iterator[list[_Sentence]]:
    """Sentences that end in each block; one that never ends takes no more memory than a row may."""
    read, lines, dropped, is_too_long = 0, list[str](), 0, False
    for block in blocks:
        closed: list[_Sentence] = []
        for number, line in enumerate(rows := _decode(block), start=read + 1):
            if line and (line[0] not in " \t-" or not _separates(line)):
                lines.append(line)
            elif lines:
                closed.append(_Sentence(number - len(lines) - dropped, lines, is_too_long))
                lines, dropped, is_too_long = [], 0, False
        read += len(rows)
        if sum(map(len, lines)) > max_row_bytes:
            dropped, lines, is_too_long = dropped + len(lines) - 1, [lines[0][:SHOWN_CHARACTERS]], True
        yield closed
    if lines:
        yield [_Sentence(read + 1 - len(lines) - dropped, lines, is_too_long)]


def _decode(block: bytes) -> list[str]:
    r"""Lines without their ends, at \n, \r\n and \r; bytes that are no UTF-8 become lone surrogates."""
    text = block.decode("utf-8", "surrogateescape")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def _separates(line: str) -> bool:
    return line.startswith(DOCUMENT_START) or not line.strip(" \t")


def _split(line: str) -> list[str]:
    """Cells of a line; blanks around one are dropped unless it consists of them."""
    if "\t" not in line:
        return [cell for cell in line.split(" ") if cell]
    cells = line.split("\t")
    return [cell.strip(" ") or cell for cell in cells] if " " in line else cells


@dataclass(frozen=True)
class _Reader:
    """Parses the sentences of one source.

    Attributes:
        name: of the source.
        max_row_bytes: longest sentence.
        given: the columns of tokens and tags, where the user says so.
        remembered: the same of the file that a model was trained on; for files that are as wide.
    """

    name: str
    max_row_bytes: int
    given: Mapping[str, int]
    remembered: Mapping[str, int]

    def parse_all(self, sentences: Sequence[_Sentence]) -> RawChunk:
        """Turn sentences into records; those that cannot be parsed become faults."""
        chunk = RawChunk([], lines := [], [])
        for sentence in sentences:
            line, rows = sentence.line, sentence.lines
            if rows[0].startswith("#") and not sentence.is_too_long:
                skipped = self._count_comments(rows)
                line, rows = line + skipped, rows[skipped:]
            if not rows:
                continue
            try:
                chunk.records.append(self._parse(line, rows, sentence.is_too_long))
                lines.append(line)
            except _Fault as fault:
                chunk.faults.append(BadRow(self.name, line, fault.field, shorten(fault.got), fault.problem, fault.fix))
        return chunk

    def _count_comments(self, lines: Sequence[str]) -> int:
        """Lines such as `# id 3` in front of a sentence; a token # has a tag, or the columns of the next line."""
        start = next((i for i, line in enumerate(lines) if line != "#" and line[:2] != "# "), len(lines))
        below = _split(lines[start]) if start < len(lines) else [""]
        width = 0 if is_tag(self._tag(below)) else len(below)
        cells = map(_split, lines[:start])
        return next((i for i, row in enumerate(cells) if len(row) == width or is_tag(self._tag(row))), start)

    def _tag(self, cells: Sequence[str]) -> str:
        place = self._places(len(cells))[1]
        return "" if place is None or place >= len(cells) else cells[place]

    def _places(self, width: int) -> tuple[int, int | None]:
        """Where token and tag stand in a line; one column holds tokens."""
        found = {key: place for key, place in self.remembered.items() if place < width} | dict(self.given)
        places = {key: place if place >= 0 else width - 1 for key, place in found.items()}
        tokens = places.get("tokens", 0)
        if width == 1:
            return tokens, None
        return tokens, places.get("tags", width - 1 if tokens != width - 1 else width - 2)

    def _parse(self, line: int, lines: Sequence[str], is_too_long: bool) -> Record:
        """Make a record of the lines of a sentence.

        Raises:
            _Fault: it cannot be used.
        """
        text = self._check_text(line, lines, is_too_long)
        cells = [row.split("\t") for row in lines] if " " not in text else list(map(_split, lines))
        width = len(cells[0])
        if set(map(len, cells)) != {width}:
            raise self._find_width_fault(line, lines, list(map(len, cells)))
        tokens, tags = self._places(width)
        if max(tokens, tags or 0) >= width:
            problem = f"line {line:,} has {_columns(width)}, data.columns names number {max(tokens, tags or 0) + 1}"
            raise _Fault(None, lines[0], problem, "give every line that column, or name another one")
        columns = [list(column) for column in zip(*cells, strict=True)]
        if "" in columns[tokens]:
            number = line + columns[tokens].index("")
            fix = "write the token, or leave the whole line empty where a sentence ends"
            raise _Fault("tokens", lines[number - line], f"the token of line {number:,} is empty", fix)
        record: Record = {"tokens": columns[tokens]}
        if tags is not None:
            record["tags"] = columns[tags]
        record |= {f"column {i + 1}": cell for i, cell in enumerate(columns) if i not in (tokens, tags)}
        return record

    def _check_text(self, line: int, lines: Sequence[str], is_too_long: bool) -> str:
        """The lines in one, if text can be."""
        text = "\n".join(lines)
        if is_too_long or _size_bytes(text) > self.max_row_bytes:
            problem = f"the sentence is longer than {self.max_row_bytes:,} bytes"
            raise _Fault(None, lines[0], problem, "put an empty line between sentences")
        if "\0" in text:
            number, bad = next((n, row) for n, row in enumerate(lines, start=line) if "\0" in row)
            fix = "remove it; if the whole file is full of them, save it as UTF-8"
            raise _Fault(None, bad, f"line {number:,} holds a NUL byte", fix)
        try:
            if not text.isascii():
                text.encode("utf-8")
        except UnicodeEncodeError as error:
            place = text.count("\n", 0, error.start)
            data = lines[place].encode("utf-8", "surrogateescape")
            raise _Fault(None, lines[place], f"line {line + place:,} {encoding_fault(data)}", ENCODING_FIX) from error
        return text

    def _find_width_fault(self, line: int, lines: Sequence[str], widths: Sequence[int]) -> _Fault:
        place = next(i for i, width in enumerate(widths) if width != widths[0])
        problem = f"line {line + place:,} has {_columns(widths[place])}, line {line:,} has {widths[0]}"
        fix = "give every line of a sentence as many columns, apart by tabs where a token holds blanks"
        if self.name == "-":
            fix += "; if it is no CoNLL, say so with --set data.format=csv (or jsonl)"
        return _Fault(None, lines[place], problem, fix)


def _size_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"
