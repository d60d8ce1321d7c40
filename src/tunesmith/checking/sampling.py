"""A seeded sample of a stream whose length nobody knows, and its order that does not depend on its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.minhash import hash_indices


@dataclass(frozen=True)
class Drawn:
    """A row of the sample.

    Attributes:
        row: its index among the accepted rows of its split.
        value: the row.
        characters: length of its texts.
    """

    row: int
    value: Any
    characters: int


class Sample:
    """The rows whose index has the smallest hash: each set of rows is as likely as any other.

    Args:
        seed: of the hash.
        limit_rows: most rows kept.
        limit_characters: most characters kept; with texts longer than the quotient fewer rows are kept.
    """

    def __init__(self, seed: int, limit_rows: int, limit_characters: int) -> None:
        self.seed = seed
        self.limit_rows = limit_rows
        self.limit_characters = limit_characters
        self.seen = 0
        self._bound = np.uint64(2**64 - 1)
        self._kept: list[tuple[int, Drawn]] = []
        self._characters = 0

    def add(self, rows: Sequence[Any], characters: Sequence[int]) -> None:
        """Look at further rows, in order."""
        hashes = hash_indices(self.seen, len(rows), self.seed)
        for place in np.flatnonzero(hashes <= self._bound).tolist():
            drawn = Drawn(self.seen + place, rows[place], characters[place])
            self._kept.append((int(hashes[place]), drawn))
            self._characters += drawn.characters
        self.seen += len(rows)
        if len(self._kept) > 2 * self.limit_rows or self._characters > 2 * self.limit_characters:
            self._prune()

    def _prune(self) -> None:
        self._kept = _smallest(self._kept, self.limit_rows, self.limit_characters)
        self._characters = sum(drawn.characters for _, drawn in self._kept)
        if len(self._kept) < self.seen:
            self._bound = np.uint64(self._kept[-1][0])

    def rows(self, limit_rows: int | None = None, limit_characters: int | None = None) -> list[Drawn]:
        """The sample, or a smaller one that is part of it, in the order of the file."""
        limits = (limit_rows or self.limit_rows, limit_characters or self.limit_characters)
        chosen = _smallest(self._kept, min(limits[0], self.limit_rows), min(limits[1], self.limit_characters))
        return sorted((drawn for _, drawn in chosen), key=lambda drawn: drawn.row)


def _smallest(kept: list[tuple[int, Drawn]], limit_rows: int, limit_characters: int) -> list[tuple[int, Drawn]]:
    """By hash; their number follows from the mean length, so that long texts are not left out."""
    mean = sum(drawn.characters for _, drawn in kept) / max(1, len(kept))
    rows = min(limit_rows, max(1, int(limit_characters / max(mean, 1))))
    return sorted(kept, key=lambda pair: pair[0])[:rows]
