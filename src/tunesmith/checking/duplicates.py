"""AllRows that stand there twice, in one split or in two, found in hashes of their texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.checking.findings import MOST_EXAMPLES, Finding, Place, say_rows
from tunesmith.checking.gathering import Facts, as_numpy

Ints = NDArray[np.int64]


def first_equal(keys: Ints) -> Ints:
    """Index (N,) of the first item that equals each item; its own where there is none before it.

    Example:
        >>> first_equal(np.array([7, 3, 7, 7, 3])).tolist()
        [0, 1, 0, 0, 1]
    """
    if not len(keys):
        return np.empty(0, np.int64)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    is_new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    first = np.empty(len(keys), np.int64)
    first[order] = order[is_new][np.cumsum(is_new) - 1]
    return first


class AllRows:
    """The rows of all splits in one sequence, the training split first.

    Args:
        facts: of each split.
    """

    def __init__(self, facts: Sequence[Facts]) -> None:
        self.names = [split.name for split in facts]
        self.starts = np.cumsum([0, *(split.rows for split in facts)])
        self.split_of = np.repeat(np.arange(len(facts)), [split.rows for split in facts])
        self.exact: Ints = np.concatenate([as_numpy(split.exact) for split in facts])
        self.loose: Ints = np.concatenate([as_numpy(split.loose) for split in facts])
        self.answers: Ints = np.concatenate([as_numpy(split.answers) for split in facts])

    def place(self, index: Any) -> Place:
        """Split and row of an index of the sequence."""
        split = int(self.split_of[index])
        return Place(split, int(index - self.starts[split]))

    def size(self, split: int) -> int:
        """AllRows of a split."""
        return int(self.starts[split + 1] - self.starts[split])

    def first_in_split(self, keys: Ints) -> Ints:
        """As `first_equal`, but within each split."""
        parts = zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True)
        return np.concatenate([start + first_equal(keys[start:end]) for start, end in parts])

    def pairs(self, rows: Ints, twins: Ints) -> tuple[tuple[Place, Place], ...]:
        """The first rows as places, each with its twin."""
        first = zip(rows[:MOST_EXAMPLES].tolist(), twins[:MOST_EXAMPLES].tolist(), strict=True)
        return tuple((self.place(row), self.place(twin)) for row, twin in first)

    def by_split(self, rows: Ints) -> dict[str, int]:
        """How many of these rows stand in each split."""
        counts = np.bincount(self.split_of[rows], minlength=len(self.names)).tolist()
        return {name: count for name, count in zip(self.names, counts, strict=True) if count}


def find_duplicates(rows: AllRows) -> list[Finding]:
    """AllRows that repeat an earlier one of their split: exactly, or but for case, punctuation and width."""
    exact, loose = rows.first_in_split(rows.exact), rows.first_in_split(rows.loose)
    own = np.arange(len(exact))
    found = []
    if len(same := np.flatnonzero(exact != own)):
        found.append(
            Finding(
                "exact_duplicates",
                "warning",
                len(same),
                len(same) / len(own),
                f"{say_rows(len(same))} {_repeat(len(same))} the text of an earlier row of the same split",
                "keep one of each: copies weigh double in training and in scores",
                rows.pairs(same, exact[same]),
                splits=rows.by_split(same),
            )
        )
    if len(alike := np.flatnonzero((loose != own) & (exact == own))):
        found.append(
            Finding(
                "loose_duplicates",
                "note",
                len(alike),
                len(alike) / len(own),
                f"{say_rows(len(alike))} {_repeat(len(alike))} an earlier row of the same split but for case, "
                "punctuation, blanks or width",
                "keep one of each, unless these differences matter",
                rows.pairs(alike, loose[alike]),
                splits=rows.by_split(alike),
            )
        )
    return found


def _repeat(count: int) -> str:
    return "repeats" if count == 1 else "repeat"


def find_leaks(rows: AllRows) -> list[Finding]:
    """AllRows of a later split whose text stands in an earlier one, too; a finding for each pair of splits."""
    first = first_equal(rows.loose)
    found = []
    for later in range(1, len(rows.names)):
        own = np.arange(rows.starts[later], rows.starts[later + 1])
        homes = rows.split_of[first[own]] if len(own) else own
        for earlier in range(later):
            leaked = own[homes == earlier]
            if len(leaked):
                found.append(_leak(rows, first, leaked, earlier, later))
    return found


def _leak(rows: AllRows, first: Ints, leaked: Ints, earlier: int, later: int) -> Finding:
    known, held_out = rows.names[earlier], rows.names[later]
    exact = int(np.isin(rows.exact[leaked], rows.exact[rows.starts[earlier] : rows.starts[earlier + 1]]).sum())
    some = f"{len(leaked) - exact:,} of them " if exact else ""
    how = f" ({some}but for case, punctuation, blanks or width)" if exact < len(leaked) else ""
    stands = "stands" if len(leaked) == 1 else "stand"
    return Finding(
        "leaks",
        "error",
        len(leaked),
        len(leaked) / rows.size(later),
        f"{say_rows(len(leaked))} of {held_out} {stands} in {known}, too{how}",
        f"take them out of {known} or out of {held_out}: scores on rows that were learnt are too good",
        rows.pairs(leaked, first[leaked]),
        splits={held_out: len(leaked)},
    )


def find_conflicts(rows: AllRows) -> list[Finding]:
    """AllRows with the same text whose labels say different things, in any split."""
    first = first_equal(rows.exact)
    differs = rows.answers != rows.answers[first]
    if not differs.any():
        return []
    texts = np.unique(first[differs])
    count = int(np.isin(first, texts).sum())
    odd = np.flatnonzero(differs)
    # One example for each text.
    shown = odd[np.sort(np.unique(first[odd], return_index=True)[1])]
    return [
        Finding(
            "label_conflicts",
            "warning",
            count,
            count / len(first),
            f"{say_rows(len(texts), 'text')} {'stands' if len(texts) == 1 else 'stand'} there with different labels "
            f"({say_rows(count)} in all)",
            "decide on one label for each of these texts",
            rows.pairs(shown, first[shown]),
            splits=rows.by_split(np.flatnonzero(np.isin(first, texts))),
        )
    ]
