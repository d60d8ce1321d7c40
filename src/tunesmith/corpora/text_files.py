"""Plain text to documents: a file, a paragraph or a line each, streamed."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, NoReturn

from tunesmith.corpora.cutting import find_cut
from tunesmith.corpora.files import CorpusFile, open_unpacked
from tunesmith.data.options import ENCODING_FIX
from tunesmith.data.streams import BLOCK_BYTES
from tunesmith.errors import DataError

Unit = Literal["file", "paragraph", "line", "auto"]
PART_CHARACTERS = 1_000_000
"""Longer documents come in parts."""
_EXAMINED_BYTES = 1 << 20
_LONG_BYTES = 4 * PART_CHARACTERS
_END = rb"(?>\r\n|\n|\r)"  # atomic: the two halves of \r\n are not two ends
_BLANK = rb"(?:[ \t\f\v]|\xe3\x80\x80|\xc2\xa0)*"
_BREAK = re.compile(_END + rb"(?:" + _BLANK + _END + rb")+")
_BLANK_LINES = re.compile(rb"(?:" + _BLANK + _END + rb")*")
_SPACE_AT_END = re.compile(rb"(?:[ \t\f\v\r\n]|\xe3\x80\x80|\xc2\xa0|\xe3\x80?|\xc2)*\Z")
_SENTENCE_END = re.compile("[.!?…。！？；:：;][\"'”’」』）)\\]】》]*\\s*$")


@dataclass(frozen=True, slots=True)
class RawPart:
    """A document of a file, or a part of a long one.

    Attributes:
        text: line ends are \\n.
        end: what to read on from behind the document: a byte of the unpacked file, or None where rows are counted.
        line: of its first line or row, from 1; 0 where lines are not counted.
        is_last: no further part of the document comes.
        is_broken: the document cannot be used, and what came of it is to be forgotten.
    """

    text: str
    end: int | None
    line: int = 0
    is_last: bool = True
    is_broken: bool = False


@dataclass(frozen=True, slots=True)
class _Chunk:
    data: bytes
    start: int
    end: int
    is_last: bool


def find_unit(file: CorpusFile) -> Unit:
    """What `auto` means for a file, by its first megabyte.

    With a blank line in it, a document is a paragraph. Without one, it is a line where at least half of the lines
    end as sentences do, and the file where they do not, as the text then runs on from line to line.
    """
    with open_unpacked(file) as (stream, _):
        head = stream.read(_EXAMINED_BYTES)
    if _BREAK.search(head.strip()):
        return "paragraph"
    lines = head.decode("utf-8", "replace").splitlines()
    if len(head) == _EXAMINED_BYTES and len(lines) > 1:
        lines.pop()  # cut in the middle
    ended = sum(_SENTENCE_END.search(line[-20:]) is not None for line in lines)
    return "line" if len(lines) > 1 and 2 * ended >= len(lines) else "file"


def read_text(file: CorpusFile, unit: Unit, start_byte: int, *, skip_bad: bool) -> Iterator[RawPart]:
    """Documents of a file of plain text from a byte on; blank ones as "".

    Raises:
        DataError: the file cannot be read, or is not UTF-8 and bad documents are not skipped.
    """
    unit = find_unit(file) if unit == "auto" else unit
    if unit == "file" and start_byte:
        return  # behind its only document
    with open_unpacked(file, start_byte) as (stream, offset):
        if unit == "line":
            chunks = split_lines(stream, offset, _LONG_BYTES)
        else:
            chunks = _split_paragraphs(stream, offset) if unit == "paragraph" else _whole(stream, offset)
        decode = _Decoder(file, skip_bad, strip=b"\r\n" if unit == "line" else b"")
        for chunk in chunks:
            yield from decode.take(chunk)


def split_lines(stream: BinaryIO, offset: int, long_bytes: int) -> Iterator[_Chunk]:
    r"""Lines with their ends (\n, \r\n or \r); one longer than `long_bytes` comes in several chunks."""
    rest, is_inside = b"", False
    while piece := stream.read(BLOCK_BYTES):
        data = rest + piece
        # A \r at the very end may be the first half of \r\n.
        cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        for line in data[:cut].splitlines(keepends=True):
            yield _Chunk(line, offset, offset + len(line), True)
            offset += len(line)
            is_inside = False
        rest = data[cut:]
        if len(rest) > long_bytes:
            keep = 1 if rest.endswith(b"\r") else 0
            yield _Chunk(rest[: len(rest) - keep], offset, offset + len(rest) - keep, False)
            offset += len(rest) - keep
            rest, is_inside = rest[len(rest) - keep :], True
    if rest or is_inside:
        yield _Chunk(rest, offset, offset + len(rest), True)


def _whole(stream: BinaryIO, offset: int) -> Iterator[_Chunk]:
    pending = stream.read(BLOCK_BYTES)
    while piece := stream.read(BLOCK_BYTES):
        yield _Chunk(pending, offset, offset + len(pending), False)
        offset += len(pending)
        pending = piece
    yield _Chunk(pending, offset, offset + len(pending), True)


def _split_paragraphs(stream: BinaryIO, offset: int) -> Iterator[_Chunk]:
    """Paragraphs without the blank lines around them; each ends where its text ends, however the blocks fall."""
    rest, is_inside, is_end = b"", False, False
    while not is_end:
        piece = stream.read(BLOCK_BYTES)
        is_end = not piece
        data = rest + piece
        # What is blank at the end may go on.
        solid = len(data) if is_end else _solid_bytes(data)
        place = 0
        for found in _BREAK.finditer(data, 0, solid):
            if found.end() == solid and not is_end:
                break
            yield from _paragraph(data, place, found.start(), offset, is_inside)
            place, is_inside = found.end(), False
        if is_end:
            yield from _paragraph(data, place, len(data), offset, is_inside)
        elif solid - place > _LONG_BYTES:
            place = place if is_inside else _behind_blank_lines(data, place, solid)
            if place < solid:
                yield _Chunk(data[place:solid], offset + place, offset + solid, False)
                place, is_inside = solid, True
        rest = data[place:]
        offset += place


def _solid_bytes(data: bytes) -> int:
    """Bytes up to the last one that is not blank, and cannot be the beginning of a blank."""
    tail = max(0, len(data) - 65536)
    found = _SPACE_AT_END.search(data, tail)
    return found.start() if found is not None else len(data)


def _paragraph(data: bytes, start: int, end: int, offset: int, is_inside: bool) -> Iterator[_Chunk]:
    """One paragraph, unless it is blank; a long one always needs its end."""
    text = data[start:end].rstrip()
    if not is_inside:
        skipped = _behind_blank_lines(text, 0, len(text))
        text, start = text[skipped:], start + skipped
    if text or is_inside:
        yield _Chunk(text, offset + start, offset + start + len(text), True)


def _behind_blank_lines(data: bytes, start: int, end: int) -> int:
    found = _BLANK_LINES.match(data, start, end)
    return found.end() if found is not None else start


class _Decoder:
    """Bytes to texts: UTF-8, line ends as \\n, long documents cut into parts at places that depend on them alone."""

    def __init__(self, file: CorpusFile, skip_bad: bool, strip: bytes) -> None:
        self._file, self._skip_bad, self._strip = file, skip_bad, strip
        self._decoder: io.IncrementalNewlineDecoder | None = None
        self._buffer = ""
        self._is_broken = False

    def take(self, chunk: _Chunk) -> Iterator[RawPart]:
        """The parts that a chunk completes."""
        data = chunk.data.rstrip(self._strip) if self._strip and chunk.is_last else chunk.data
        if self._decoder is None:
            if chunk.is_last and len(data) <= PART_CHARACTERS:
                yield self._short(data, chunk)
                return
            self._decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")(), translate=True)
        if not self._is_broken:
            held_bytes = len(self._decoder.getstate()[0])
            try:
                self._buffer += self._decoder.decode(data, final=chunk.is_last)
            except UnicodeDecodeError as error:
                self._refuse(chunk.start - held_bytes + error.start, error)
                self._is_broken = True
            while len(self._buffer) > PART_CHARACTERS + 2:
                cut = find_cut(self._buffer[: PART_CHARACTERS + 2], PART_CHARACTERS)
                yield RawPart(self._buffer[:cut], chunk.start, is_last=False)
                self._buffer = self._buffer[cut:]
        if chunk.is_last:
            yield RawPart(self._buffer, chunk.end, is_broken=self._is_broken)
            self._decoder, self._buffer, self._is_broken = None, "", False

    def _short(self, data: bytes, chunk: _Chunk) -> RawPart:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            self._refuse(chunk.start + error.start, error)
            return RawPart("", chunk.end, is_broken=True)
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return RawPart(text, chunk.end)

    def _refuse(self, byte: int, error: UnicodeDecodeError) -> None:
        if not self._skip_bad:
            refuse_bytes(self._file, byte, error)


def refuse_bytes(file: CorpusFile, byte: int, error: UnicodeDecodeError) -> NoReturn:
    """Raise the error that a file is not UTF-8 at a byte, counted from 0."""
    bad = error.object[error.start]
    raise DataError(f"{file.name} is not UTF-8 at byte {byte + 1:,} (0x{bad:02x})", fix=ENCODING_FIX) from error
