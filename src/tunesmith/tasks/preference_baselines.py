"""Competitors in telling which of two answers people prefer: the shorter, the longer, the model before fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tunesmith.contracts import Features
from tunesmith.tasks.preference_rows import prefer


class ByLength:
    """The shorter or the longer answer; of two equally long ones the rejected one: a rule must not win by their order.

    Args:
        which: the one that is preferred.
    """

    def __init__(self, which: Literal["shorter", "longer"]) -> None:
        self.name: str = which
        self.title = f"the {which} answer"
        self._sign = 1 if which == "longer" else -1

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Answer each of `rows`; nothing is learnt."""
        return [
            prefer(row.chosen, row.rejected, first=self._sign * (len(row.chosen) - len(row.rejected)) > 0)
            for row in rows
        ]
