"""Texts as token pieces with their characters, and windows over those that are longer than the model takes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.contracts import Context
from tunesmith.tasks.words import Bounds, words_under


@dataclass(frozen=True)
class Pieces:
    """A text's token pieces, without the special tokens around them.

    Attributes:
        ids: (P,) token ids.
        offsets: (P,) characters of the text each stands for, [first, behind the last).
    """

    ids: list[int]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True)
class Window:
    """A piece of a long text, and the part of it that this window answers for.

    Attributes:
        start: first piece in the window.
        end: behind the last one.
        own_start: first piece answered here; every piece is answered in one window only.
        own_end: behind the last one.
    """

    start: int
    end: int
    own_start: int
    own_end: int


def cut_pieces(texts: Sequence[str], words: Sequence[Sequence[Bounds]], context: Context) -> list[Pieces]:
    """Tokenize texts without special tokens, so that no piece covers two words.

    Tokenizers that merge several Chinese characters, or do not know them, would hide where an entity begins.
    """
    if not texts:
        return []
    known: dict[str, list[int]] = {}
    pieces = []
    found = _tokenize(list(texts), context)
    for text, bounds, ids, offsets in zip(texts, words, found["input_ids"], found["offset_mapping"], strict=True):
        cut = Pieces([], [])
        for token, piece in zip(ids, offsets, strict=True):
            under = words_under(piece, bounds)
            if len(under) < 2:
                cut.ids.append(token)
                cut.offsets.append(piece)
                continue
            for start, end in (bounds[word] for word in under):
                part = (max(start, piece[0]), min(end, piece[1]))
                for inner in _ids_of(text[slice(*part)], context, known):
                    cut.ids.append(inner)
                    cut.offsets.append(part)
        pieces.append(cut)
    return pieces


def _ids_of(part: str, context: Context, known: dict[str, list[int]]) -> list[int]:
    if part not in known:
        known[part] = _tokenize([part], context)["input_ids"][0]
    return known[part]


def _tokenize(texts: list[str], context: Context) -> Any:
    return context.tokenizer(
        texts,
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )


def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens that stand before and behind every text, such as [CLS] and [SEP]."""
    options = {"return_attention_mask": False, "return_token_type_ids": False}
    bare = tokenizer("a", add_special_tokens=False, **options)["input_ids"]
    whole = tokenizer("a", **options)["input_ids"]
    before = next(place for place in range(len(whole) + 1) if whole[place : place + len(bare)] == bare)
    return whole[:before], whole[before + len(bare) :]


def make_windows(pieces: int, room: int, overlap: int) -> list[Window]:
    """Cover a text with windows that overlap; each piece belongs to the window that shows most on both its sides.

    Args:
        pieces: P, pieces of the text; 0 gives one empty window.
        room: most pieces in a window, at least 1.
        overlap: pieces that two neighbours share, less than `room`.

    Example:
        >>> [(w.start, w.end, w.own_start, w.own_end) for w in make_windows(10, room=6, overlap=2)]
        [(0, 6, 0, 5), (4, 10, 5, 10)]
    """
    if pieces <= room:
        return [Window(0, pieces, 0, pieces)]
    starts = [*range(0, pieces - room, room - overlap), pieces - room]
    edges = [0, *((after + before + room) // 2 for before, after in itertools.pairwise(starts)), pieces]
    return [
        Window(start, start + room, own_start, own_end)
        for start, own_start, own_end in zip(starts, edges[:-1], edges[1:], strict=True)
    ]
