"""Documents to pieces that a tokenizer can take, each for training or validation, in an order that never changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.corpora.cutting import PIECE_CHARACTERS, cut_text
from tunesmith.corpora.deduplicating import Memory
from tunesmith.corpora.documents import Document, DocumentOptions, Position, Tally, stream_documents
from tunesmith.corpora.splitting import is_held_out, tail_start
from tunesmith.corpora.text_hash import TextHash

HELD_CHARACTERS = 32_000_000
"""Of a longer document, the text is not held but read a second time."""
PARTS = ("train", "validation")


@dataclass(frozen=True)
class Reading:
    """What documents are made of and which are kept.

    Attributes:
        sources: see `files.list_files`.
        documents: how they are read.
        is_tail: hold out the tail of each document instead of whole documents.
        fraction: of documents, or of each document's characters, that is held out.
        seed: of the choice of documents.
    """

    sources: Sequence[str]
    documents: DocumentOptions
    is_tail: bool
    fraction: float
    seed: int


@dataclass(frozen=True, slots=True)
class Whole:
    """A document whose length and hash are known.

    Attributes:
        before: where it begins; exact for long ones, which alone are taken up in their middle.
        behind: where the next one begins.
        digest: of its text.
        characters: of all its parts.
        parts: its text; None: to be read again.
    """

    before: Position
    behind: Position
    digest: bytes
    characters: int
    parts: list[Document] | None

    @property
    def is_long(self) -> bool:
        """Whether it came in parts."""
        return self.parts is None or len(self.parts) > 1


class Place(NamedTuple):
    """Where reading goes on: a position, and pieces of the document there that were done already."""

    position: Position
    pieces_done: int


class Piece(NamedTuple):
    """A stretch of a document.

    Attributes:
        part: "train" or "validation".
        text: at most 100,000 characters.
        word_starts: places in it where words begin, (W,) int64; None unless segmented.
        is_end: a document of this part ends with it.
        is_whole: it begins one, too.
        place: where to go on behind it; None where that is no place to stop at.
    """

    part: str
    text: str
    word_starts: NDArray[np.int64] | None
    is_end: bool
    is_whole: bool
    place: Place | None


@dataclass
class Counts(Tally):
    """What was left out, with duplicates."""

    duplicates: int = 0

    def take(self) -> dict[str, int]:
        """The counts since the last call."""
        taken = {"duplicates": self.duplicates, "empty": self.empty, "bad": self.bad}
        self.duplicates = self.empty = self.bad = 0
        return taken


def stream_pieces(reading: Reading, start: Place, memory: Memory, counts: Counts) -> Iterator[Piece]:
    """Pieces of all documents that are kept, from a place on.

    Args:
        reading: what is read.
        start: where to begin; the document there was found to be new before, if some of its pieces are done.
        memory: of the documents kept before; it is added to.
        counts: what is left out is added to it.
    """
    done = start.pieces_done
    for whole in gather_documents(reading, start.position, counts):
        if not done and not memory.is_new(whole.digest, (part.text for part in _parts_of(whole, reading))):
            counts.duplicates += 1
            continue
        for number, piece in enumerate(_pieces_of(whole, reading)):
            if number >= done:
                yield piece
        done = 0


def gather_documents(reading: Reading, start: Position, tally: Tally) -> Iterator[Whole]:
    """Documents whose parts are gathered, blank and bad ones left out."""
    before, parts, characters, text_hash = start, _no_parts(), 0, TextHash()
    is_blank = True
    for position, document in stream_documents(reading.sources, reading.documents, start, tally):
        text_hash.update(document.text)
        characters += len(document.text)
        is_blank = is_blank and not document.text.strip()
        if parts is not None:
            parts.append(document)
            if characters > HELD_CHARACTERS and len(parts) > 1:
                parts = None
        if not document.is_last:
            before = position
            continue
        if is_blank:
            tally.empty += not document.is_broken
        elif not document.is_broken:
            yield Whole(before, position, text_hash.digest(), characters, parts)
        before, parts, characters, text_hash, is_blank = position, _no_parts(), 0, TextHash(), True


def _no_parts() -> list[Document] | None:
    return []


def _parts_of(whole: Whole, reading: Reading) -> Iterator[Document]:
    if whole.parts is not None:
        yield from whole.parts
        return
    for _, document in stream_documents(reading.sources, reading.documents, whole.before):
        yield document
        if document.is_last:
            return


def _pieces_of(whole: Whole, reading: Reading) -> Iterator[Piece]:
    sections = _sections(whole, reading)
    start, number = 0, 0
    for document in _parts_of(whole, reading):
        starts = None if document.word_starts is None else np.array(document.word_starts, np.int64)
        for part, first, last in sections:
            begin, end = max(first, start), min(last, start + len(document.text))
            if begin >= end:
                continue
            for text in cut_text(document.text[begin - start : end - start], PIECE_CHARACTERS):
                number += 1
                is_end = begin + len(text) == last
                is_all = begin + len(text) == whole.characters
                place = Place(whole.behind, 0) if is_all else Place(whole.before, number) if whole.is_long else None
                yield Piece(
                    part, text, _between(starts, begin - start, len(text)), is_end, is_end and begin == first, place
                )
                begin += len(text)
        start += len(document.text)


def _sections(whole: Whole, reading: Reading) -> list[tuple[str, int, int]]:
    """Part, first character and the one behind the last."""
    if not reading.is_tail:
        held_out = is_held_out(whole.digest, reading.fraction, reading.seed)
        return [(PARTS[held_out], 0, whole.characters)]
    cut = tail_start(whole.characters, reading.fraction)
    return [("train", 0, cut), ("validation", cut, whole.characters)]


def _between(starts: NDArray[np.int64] | None, first: int, count: int) -> NDArray[np.int64] | None:
    if starts is None:
        return None
    low, high = np.searchsorted(starts, [first, first + count])
    return starts[low:high] - first
