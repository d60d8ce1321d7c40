"""Documents out of files, streamed: any number of files, larger than memory, and on from any document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.corpora.files import CorpusFile, list_files
from tunesmith.corpora.row_files import read_jsonl, read_parquet
from tunesmith.corpora.text_files import RawPart, Unit, read_text

_WORD = re.compile(r"\S+")
_LATIN = re.compile(r"[0-9A-Za-zÀ-ɏ]")


@dataclass(frozen=True)
class DocumentOptions:
    """How texts are read.

    Attributes:
        text_field: field of JSON lines or Parquet that holds the text; None: guessed by its name (text, content,
            正文 …), or the only field with texts.
        unit: what a document of plain text is: the "file", a "paragraph" (blank lines stand between), a "line";
            "auto": see `text_files.find_unit`.
        segmented: words are separated by blanks though the language writes none, as in word-segmented Chinese:
            the blanks are taken out, but between two Latin words or numbers, and the starts of words remembered.
        skip_bad: documents that are not UTF-8, and rows without a text, are dropped and counted, not an error.
    """

    text_field: str | None = None
    unit: Unit = "auto"
    segmented: bool = False
    skip_bad: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """Where to go on reading.

    Attributes:
        file_index: of the file, in the order of `list_files`.
        document_index: documents, or lines and rows of JSON lines and Parquet, before it in this file.
        byte_offset: of the unpacked file; None where rows are counted.
    """

    file_index: int = 0
    document_index: int = 0
    byte_offset: int | None = 0

    def as_json(self) -> dict[str, Any]:
        """For a manifest; `Position(**…)` reads it."""
        names = ("file_index", "document_index", "byte_offset")
        return {name: getattr(self, name) for name in names}


START = Position()


@dataclass(frozen=True, slots=True)
class Document:
    """A text, or a part of one: texts of more than a million characters come in several.

    Attributes:
        text: line ends are \\n.
        word_starts: places in `text` where words begin; None unless the text was segmented.
        is_last: no further part of the document comes.
        is_broken: it cannot be used after all, and parts that came of it are to be forgotten.
    """

    text: str
    word_starts: tuple[int, ...] | None = None
    is_last: bool = True
    is_broken: bool = False


@dataclass
class Tally:
    """What reading left out, counted as it goes.

    Attributes:
        empty: documents of white space alone.
        bad: documents that could not be used (`skip_bad`).
    """

    empty: int = 0
    bad: int = 0


def stream_documents(
    sources: Sequence[str],
    options: DocumentOptions,
    start: Position = START,
    tally: Tally | None = None,
) -> Iterator[tuple[Position, Document]]:
    """Documents of all sources in order, in flat memory.

    Args:
        sources: files, folders and patterns; see `files.list_files`.
        options: how they are read.
        start: where to begin; a position that came with an earlier document goes on behind it.
        tally: what is left out is counted here.

    Yields:
        Position behind the document and the document. With a part that is not the last comes the position in front
        of its document, as nobody can go on in its middle. A bad document comes only when it had parts.

    Raises:
        DataError: a source is missing, damaged, not UTF-8 (the file and byte are named), or has no text field.
        MissingPackageError: Parquet without pyarrow, .zst without zstandard.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "poem.txt"
        >>> _ = path.write_text("one\\n\\ntwo\\nthree\\n", encoding="utf-8")
        >>> streamed = stream_documents([str(path)], DocumentOptions())
        >>> [(position.byte_offset, document.text) for position, document in streamed]
        [(3, 'one'), (14, 'two\\nthree')]
    """
    tally = tally if tally is not None else Tally()
    for index, file in enumerate(list_files(sources)):
        if index >= start.file_index:
            begin = start if index == start.file_index else Position(index)
            yield from _documents_of(file, begin, options, tally)


def _documents_of(
    file: CorpusFile, begin: Position, options: DocumentOptions, tally: Tally
) -> Iterator[tuple[Position, Document]]:
    before, count, had_parts = begin, begin.document_index, False
    for part in _raw_parts(file, begin, options):
        if not part.is_last:
            yield before, _document(part, options)
            had_parts = True
            continue
        count = part.line or count + 1
        behind = Position(begin.file_index, count, part.end)
        if part.is_broken:
            tally.bad += 1
        elif not had_parts and not part.text.strip():
            tally.empty += 1
        if had_parts or (not part.is_broken and part.text.strip()):
            yield behind, _document(part, options)
        before, had_parts = behind, False


def _raw_parts(file: CorpusFile, begin: Position, options: DocumentOptions) -> Iterator[RawPart]:
    if file.kind == "parquet":
        return read_parquet(file, options.text_field, begin.document_index, skip_bad=options.skip_bad)
    start_byte = begin.byte_offset or 0
    if file.kind == "jsonl":
        return read_jsonl(file, options.text_field, start_byte, begin.document_index, skip_bad=options.skip_bad)
    return read_text(file, options.unit, start_byte, skip_bad=options.skip_bad)


def _document(part: RawPart, options: DocumentOptions) -> Document:
    if not options.segmented:
        return Document(part.text, None, part.is_last, part.is_broken)
    text, starts = join_words(part.text)
    return Document(text, starts, part.is_last, part.is_broken)


def join_words(text: str) -> tuple[str, tuple[int, ...]]:
    """Take the blanks out of a segmented text, but not between two Latin words or numbers; line ends stay.

    Returns:
        The text, and the places where its words begin.

    Example:
        >>> join_words("我 爱 New York 。")
        ('我爱New York。', (0, 1, 2, 6, 10))
    """
    pieces: list[str] = []
    starts: list[int] = []
    length = behind = 0
    last = ""
    for found in _WORD.finditer(text):
        word, between = found[0], text[behind : found.start()]
        ends = "\n" * between.count("\n")
        if not ends and last and _LATIN.match(last[-1]) and _LATIN.match(word):
            ends = " "
        pieces += (ends, word)
        starts.append(length + len(ends))
        length += len(ends) + len(word)
        behind, last = found.end(), word
    return "".join(pieces) + "\n" * text[behind:].count("\n"), tuple(starts)
