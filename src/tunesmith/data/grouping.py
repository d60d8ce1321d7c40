"""Further columns of a file that put its rows into a few groups: a source, a topic, a year."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tunesmith.data.options import Record

MOST_COLUMNS = 8
MOST_VALUES = 12
LONGEST_VALUE = 40
"""Characters: a longer one is a text, not the name of a group."""


class Grouping:
    """Collects such columns chunk by chunk and drops a column as soon as it has too many values, or too long ones.

    Attributes:
        columns: column → the value of each record so far; a missing one is "".

    Example:
        >>> found = Grouping({"text"})
        >>> found.add([{"text": "a", "year": 2024, "id": n} for n in range(20)])
        >>> {name: sorted(set(values)) for name, values in found.columns.items()}
        {'year': ['2024']}
    """

    def __init__(self, taken: Collection[str]) -> None:
        self.columns: dict[str, list[str]] = {}
        self._taken = taken
        self._values: dict[str, dict[object, str]] = {}
        self._has_begun = False

    def add(self, records: Sequence[Record]) -> None:
        """Look at the next records; columns that the first ones lack are not looked for."""
        if not self._has_begun and records:
            self._has_begun = True
            names = [name for name in records[0] if isinstance(name, str) and name not in self._taken]
            self.columns = {name: [] for name in names[:MOST_COLUMNS]}
            self._values = {name: {} for name in self.columns}
        for name in list(self.columns):
            if not self._extend(name, records):
                del self.columns[name], self._values[name]

    def _extend(self, name: str, records: Sequence[Record]) -> bool:
        seen, column = self._values[name], self.columns[name]
        for record in records:
            value = record.get(name)
            try:
                text = seen.get(value)
            except TypeError:  # a list or an object is no name
                return False
            if text is None:
                text = "" if value is None else str(value).strip()
                if len(seen) == MOST_VALUES or len(text) > LONGEST_VALUE:
                    return False
                seen[value] = text
            column.append(text)
        return True
