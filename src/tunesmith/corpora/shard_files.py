"""Token ids of a stretch of the corpus: gathered in memory, written whole, read back, checked."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from tunesmith import durable, manifests
from tunesmith.corpora.documents import Position
from tunesmith.corpora.pieces import PARTS, Piece, Place

MANIFEST = "manifest.json"
PREFIX = "shard-"


def shard_name(number: int) -> str:
    """Name of the folder of a shard.

    Example:
        >>> shard_name(7)
        'shard-00007'
    """
    return f"{PREFIX}{number:05d}"


def token_type(vocabulary: int) -> str:
    """How a token id is stored: 2 bytes where all ids fit, else 4.

    Example:
        >>> token_type(32_000), token_type(65_537)
        ('uint16', 'uint32')
    """
    return "uint16" if vocabulary <= 1 << 16 else "uint32"


@dataclass
class PartTokens:
    """What a shard holds of training or validation.

    Attributes:
        tokens: ids end to end.
        ends: of documents, in tokens of the whole part, earlier shards included.
        words: 1 for each token that begins a word; None unless segmented.
        text_bytes: UTF-8 bytes of the text.
    """

    tokens: array[int]
    ends: array[int] = field(default_factory=lambda: array("q"))
    words: bytearray | None = None
    text_bytes: int = 0


class ShardBuilder:
    """Gathers the token ids of pieces until the shard is written.

    Args:
        tokenizer: without truncation and padding.
        prefix_ids: in front of each document.
        suffix_ids: behind each document.
        segmented: whether starts of words are kept.
    """

    def __init__(
        self, tokenizer: Tokenizer, prefix_ids: Sequence[int], suffix_ids: Sequence[int], *, segmented: bool
    ) -> None:
        self._tokenizer = tokenizer
        self._prefix, self._suffix = list(prefix_ids), list(suffix_ids)
        self._segmented = segmented
        self._code = "H" if token_type(tokenizer.get_vocab_size()) == "uint16" else "I"
        self._is_inside = dict.fromkeys(PARTS, False)
        self.totals = dict.fromkeys(PARTS, 0)
        """Tokens in earlier shards."""
        self.parts = self._new_parts()

    def _new_parts(self) -> dict[str, PartTokens]:
        return {part: PartTokens(array(self._code), words=bytearray() if self._segmented else None) for part in PARTS}

    def skip(self, totals: Mapping[str, int], inside: Sequence[str]) -> None:
        """Begin behind earlier shards, which end inside a document of the parts named."""
        self.totals = {**self.totals, **totals}
        self._is_inside = {part: part in inside for part in PARTS}

    def add(self, pieces: Sequence[Piece]) -> int:
        """Tokenize pieces and add them, in order; returns how many documents had no token and were left out."""
        texts = [piece.text for piece in pieces]
        if self._segmented:
            encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        else:
            encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return sum(self._add(piece, encoding) for piece, encoding in zip(pieces, encodings, strict=True))

    def _add(self, piece: Piece, encoding: Any) -> bool:
        ids = encoding.ids
        if piece.is_whole and not ids:
            return True
        part = self.parts[piece.part]
        before = [] if self._is_inside[piece.part] else self._prefix
        behind = self._suffix if piece.is_end else []
        part.tokens.extend(before)
        part.tokens.extend(ids)
        part.tokens.extend(behind)
        if part.words is not None:
            part.words += b"\1" * len(before) + _word_bytes(piece, encoding) + b"\1" * len(behind)
        part.text_bytes += count_bytes(piece.text)
        if piece.is_end:
            part.ends.append(self.totals[piece.part] + len(part.tokens))
        self._is_inside[piece.part] = not piece.is_end
        return False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added since the last shard."""
        return not any(len(part.tokens) + len(part.ends) for part in self.parts.values())

    def write(
        self, final: Path, place: Place, left_out: Mapping[str, int], stored: Mapping[str, bytes]
    ) -> dict[str, Any]:
        """Write the shard and begin the next one; returns its manifest."""
        files: dict[str, durable.Content] = dict(stored)
        for name, part in self.parts.items():
            files[f"{name}.tokens"] = _little(part.tokens)
            files[f"{name}.documents"] = _little(part.ends)
            if part.words is not None:
                files[f"{name}.words"] = bytes(part.words)
        manifest = {
            "next": {**place.position.as_json(), "pieces_done": place.pieces_done},
            "inside": [part for part in PARTS if self._is_inside[part]],
            "left_out": dict(left_out),
            "parts": {
                name: {"documents": len(part.ends), "text_bytes": part.text_bytes, "tokens": len(part.tokens)}
                for name, part in self.parts.items()
            },
        }
        written = durable.write_folder(final, files, manifest_name=MANIFEST, manifest=manifest)
        self.totals = {name: self.totals[name] + len(part.tokens) for name, part in self.parts.items()}
        self.parts = self._new_parts()
        return written


def _word_bytes(piece: Piece, encoding: Any) -> bytes:
    """1 for each token whose first character, a blank in front aside, begins a word."""
    text = piece.text
    places = np.array([start + (end > start + 1 and text[start] == " ") for start, end in encoding.offsets], np.int64)
    wanted = piece.word_starts if piece.word_starts is not None else np.empty(0, np.int64)
    begins = np.isin(places, wanted)
    # Bytes of one character share its place; the word begins with the first of them.
    begins[1:] &= places[1:] != places[:-1]
    return begins.astype(np.uint8).tobytes()


def _little(values: array[int]) -> bytes:
    return np.frombuffer(values, np.dtype(values.typecode)).astype(f"<{values.typecode}", copy=False).tobytes()


def count_bytes(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def read_place(manifest: Mapping[str, Any]) -> Place:
    """Where reading goes on behind a shard."""
    following = dict(manifest["next"])
    return Place(pieces_done=following.pop("pieces_done"), position=Position(**following))


def verified_shards(folder: Path) -> list[dict[str, Any]]:
    """Manifests of the whole shards from the first on; one that is damaged or missing ends the list."""
    found: list[dict[str, Any]] = []
    while (path := folder / shard_name(len(found))).is_dir():
        try:
            found.append(manifests.verify_folder(path, MANIFEST))
        except manifests.DamagedFolder:
            break
    return found
