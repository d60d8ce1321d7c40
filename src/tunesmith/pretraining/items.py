"""Windows of a corpus as what the engine takes: groups of one item each, read when they are needed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

from tunesmith.contracts import Encoded, Objective
from tunesmith.corpora.windows import Windows


@dataclass(frozen=True)
class Groups(Sequence[list[Encoded]]):
    """Each window as a group of its own.

    Attributes:
        windows: of a part of a corpus.
    """

    windows: Windows

    def __len__(self) -> int:
        return len(self.windows)

    @overload
    def __getitem__(self, index: int) -> list[Encoded]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[Encoded]]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        item, words = self.windows[index], self.windows.word_starts(index)
        return [item if words is None else replace(item, meta={**item.meta, "begins_word": words})]


def spread_places(count: int, most: int) -> list[int]:
    """Up to `most` places of `count`, evenly spread.

    Example:
        >>> spread_places(10, 3), spread_places(2, 5)
        ([0, 3, 6], [0, 1])
    """
    wanted = min(count, most)
    return [place * count // wanted for place in range(wanted)]


def held_out_items(windows: Windows, objective: Objective, most_tokens: int, seed: int) -> Iterator[Encoded]:
    """Windows to look at, hidden tokens the same at each look.

    Args:
        windows: held-out text.
        objective: hides.
        most_tokens: about how many tokens are wanted, evenly from the whole text.
        seed: of what is hidden.
    """
    groups = Groups(windows)
    for place in spread_places(len(groups), max(1, most_tokens // windows.context_tokens)):
        for item in groups[place]:
            yield objective.corrupt(item, random.Random(f"look/{seed}/{item.row}"))
