"""A token stream as windows of equal length: what a pretraining step is made of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import overload

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Encoded
from tunesmith.corpora.corpus import CorpusPart

IGNORED = -100
"""Target of a token that is not learnt from."""


class Windows(Sequence[Encoded]):
    """Windows of the tokens of a part; the last one may be shorter.

    A window that touches several documents has a sequence for each, so that none sees another and positions start
    anew. A document that goes on in the next window is cut there.

    Args:
        part: of a corpus.
        context_tokens: C, length of a window.
        shift: the target is a tuple with the next token of each token, in order over all sequences, and -100 for the
            last one of a document; otherwise there is no target.

    Example:
        `Windows(open_corpus("corpus").part("train"), 128, shift=True)[0].sequences`
    """

    def __init__(self, part: CorpusPart, context_tokens: int, *, shift: bool) -> None:
        if context_tokens < 1:
            raise ValueError(f"context_tokens is {context_tokens}, wanted 1 or more")
        self.part, self.context_tokens, self.shift = part, context_tokens, shift
        self._ends = part.documents

    def __len__(self) -> int:
        return -(-self.part.total_tokens // self.context_tokens)

    @property
    def lengths_tokens(self) -> Sequence[int]:
        """Tokens of each window."""
        whole, rest = divmod(self.part.total_tokens, self.context_tokens)
        return [self.context_tokens] * whole + ([rest] if rest else [])

    @overload
    def __getitem__(self, index: int) -> Encoded: ...

    @overload
    def __getitem__(self, index: slice) -> list[Encoded]: ...

    def __getitem__(self, index: int | slice) -> Encoded | list[Encoded]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        row = self._row(index)
        start = row * self.context_tokens
        read = self.part.tokens.read(start, self.context_tokens + self.shift)
        ids: list[int] = read.tolist()
        behind = ids[1:]
        if self.shift and len(ids) > self.context_tokens:
            ids.pop()
        count = len(ids)
        first, last = np.searchsorted(self._ends, (start + 1, start + count)).tolist()
        # Documents that end inside, as places in the window; the one that goes on ends with it.
        cuts = list(dict.fromkeys(end - start for end in self._ends[first : last + 1].tolist() if end - start <= count))
        bounds = [0, *cuts] if cuts and cuts[-1] == count else [0, *cuts, count]
        sequences = tuple(ids[low:high] for low, high in pairwise(bounds))
        return Encoded(sequences=sequences, target=_next_tokens(behind, cuts, count) if self.shift else None, row=row)

    def _row(self, index: int) -> int:
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        return row

    def word_starts(self, index: int) -> NDArray[np.bool_] | None:
        """True for each token of a window that begins a word, (C,); None unless the texts were segmented."""
        if self.part.words is None:
            return None
        starts: NDArray[np.bool_] = (
            self.part.words.read(self._row(index) * self.context_tokens, self.context_tokens) != 0
        )
        return starts


def _next_tokens(behind: list[int], cuts: Sequence[int], count: int) -> tuple[int, ...]:
    target = behind if len(behind) == count else [*behind, IGNORED]
    for cut in cuts:
        target[cut - 1] = IGNORED
    return tuple(target)
