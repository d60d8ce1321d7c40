"""Competitors in telling which of two answers people prefer: the shorter, the longer, the model before fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.contracts import Features
from tunesmith.tasks.preference_rows import prefer


@dataclass(frozen=True)
class ByLength:
    """The shorter or the longer answer; of two equally long ones the second, so that it cannot win by their order.

    Attributes:
        which: the one that is preferred.
    """

    which: Literal["shorter", "longer"]

    @property
    def name(self) -> str:
        """Key in metrics.json."""
        return self.which

    @property
    def title(self) -> str:
        """What people read."""
        return f"the {self.which} answer"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Answer each of `rows`; nothing is learnt."""
        sign = 1 if self.which == "longer" else -1
        return [
            prefer(row.chosen, row.rejected, first=sign * (len(row.chosen) - len(row.rejected)) > 0) for row in rows
        ]
