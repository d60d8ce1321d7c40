"""What corruption must know about a tokenizer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Encoded


@dataclass(frozen=True)
class Tokens:
    """Facts about a tokenizer.

    Attributes:
        size: V, entries of the vocabulary.
        mask_id: what stands for a hidden token; None where there is none.
        is_special: (V,) bool; tokens that are never hidden and never drawn.
        begins_word: (V,) bool; whether a word begins with the token.
    """

    size: int
    mask_id: int | None
    is_special: NDArray[np.bool_]
    begins_word: NDArray[np.bool_]

    @property
    def plain_ids(self) -> NDArray[np.int64]:
        """Ids of all tokens that are not special."""
        return np.flatnonzero(~self.is_special)


def flatten(item: Encoded) -> NDArray[np.int64]:
    """All token ids of an item in one row: (T,)."""
    return np.concatenate([np.asarray(sequence, dtype=np.int64) for sequence in item.sequences])


def split_like(ids: NDArray[np.int64], item: Encoded) -> tuple[list[int], ...]:
    """The reverse of `flatten`."""
    ends = np.cumsum([len(sequence) for sequence in item.sequences])[:-1]
    return tuple(part.tolist() for part in np.split(ids, ends))


def starts(item: Encoded) -> NDArray[np.bool_]:
    """(T,) True at the first token of each sequence."""
    found = np.zeros(sum(len(sequence) for sequence in item.sequences), dtype=np.bool_)
    places = np.cumsum([0, *(len(sequence) for sequence in item.sequences)])[:-1]
    found[places] = True
    return found
