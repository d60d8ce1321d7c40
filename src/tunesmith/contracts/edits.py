"""What a task offers whose rows stay right when their texts are changed a little: which texts, and what stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

Place = tuple[int, int]
"""First character and the one behind the last."""


@dataclass(frozen=True)
class Editable:
    """A text of a row that may be changed, but for some places in it.

    Attributes:
        field: the row's field that holds it.
        text: the text.
        kept: places that stay whole and only move, such as entities; in the row's order.
        words: bounds of its words, where the row gives them.
    """

    field: str
    text: str
    kept: tuple[Place, ...] = ()
    words: tuple[Place, ...] | None = None


@runtime_checkable
class Augmentable(Protocol):
    """A task of whose rows new ones can be made by changing words.

    Attributes:
        moves_places: whether rows hold places in their texts, which move along.
    """

    moves_places: bool

    def editable(self, row: Any) -> list[Editable]:
        """The texts that may be changed."""
        ...

    def edited_fields(self, row: Any, changed: Sequence[Editable]) -> dict[str, Any]:
        """The row's fields that differ once its texts are `changed`, as plain values; in the order of `editable`."""
        ...
