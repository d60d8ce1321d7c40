"""Which rows of a file were made of which: the columns that `tunesmith augment` adds, and what a split owes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tunesmith.data.options import Record

ORIGIN, WAY = "origin", "way"
"""Columns: the source and line that a row is, or was made of; how it was made."""
WRITTEN = re.compile(r".+:\d+#[0-9a-f]+")
"""How an origin is written, so that columns of the user's own with these names are not taken for ours."""
ORIGINAL = "original"
"""The way of a row that was there before."""


def without_origins(columns: Sequence[str]) -> list[str]:
    """The columns that may hold a field of a row: where both of ours are there, they do not."""
    ours = {ORIGIN, WAY}
    return [name for name in columns if name not in ours or not ours <= set(columns)]


@dataclass
class Origins:
    """Origin and way of each row, where a source tells them.

    Attributes:
        origins: of each row; [] where the source tells none.
        ways: likewise.

    Example:
        >>> found = Origins()
        >>> row = {"text": "a b", "origin": "f:2#0a1b2c3d", "way": "original"}
        >>> found.add([row, {**row, "text": "b a", "way": "swap"}])
        >>> found.copies()
        [False, True]
    """

    origins: list[str] = field(default_factory=list)
    ways: list[str] = field(default_factory=list)
    _is_told: bool | None = None

    def add(self, records: Sequence[Record]) -> None:
        """Look at the next records; whether origins are told, the first one decides."""
        if self._is_told is None and records:
            first = records[0]
            self._is_told = WAY in first and WRITTEN.fullmatch(str(first.get(ORIGIN))) is not None
        if self._is_told:
            self.origins += [str(record.get(ORIGIN) or "") for record in records]
            self.ways += [str(record.get(WAY) or ORIGINAL) for record in records]

    def copies(self) -> list[bool]:
        """Whether each row was made of another one."""
        return [way != ORIGINAL for way in self.ways]

    def pick(self, places: Sequence[int]) -> Origins:
        """Those of some rows."""
        if not self.origins:
            return self
        return Origins([self.origins[i] for i in places], [self.ways[i] for i in places], self._is_told)
