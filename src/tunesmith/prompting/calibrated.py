"""Scores of labels less what each label gets without a text (Zhao et al. 2021): a frequent word has no advantage.

Letters in shapes: B rows, C labels, E texts that say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from tunesmith.prompting.wordings import EMPTY

NOTHING = "N/A"
"""The one of the texts that say nothing that stands behind examples: each row has examples of its own."""


class Prompted(Protocol):
    """A way that scores labels behind a prompt."""

    between: str

    def scores(self, fields: Sequence[Mapping[str, str]], fronts: Sequence[str]) -> Tensor:
        """Log-probabilities of labels behind the texts of each row, by placeholder, and what is in front: (B, C)."""
        ...


class Fronts(Protocol):
    """What stands in front of prompts."""

    def fronts(self, fields: Sequence[Mapping[str, str]]) -> list[str]:
        """Of each row."""
        ...


class Calibrated:
    """Log-probabilities of labels, less those without a text.

    Args:
        way: scores labels.
        examples: stand in front of each prompt; None: nothing does.
    """

    def __init__(self, way: Prompted, examples: Fronts | None = None) -> None:
        self._way, self._examples = way, examples
        self._of_nothing: Tensor | None = None

    def scores(self, fields: Sequence[Mapping[str, str]]) -> Tensor:
        """(B, C), of which a softmax gives probabilities."""
        if self._examples is None:
            with_text = self._way.scores(fields, [""] * len(fields)).log_softmax(dim=-1)
            return with_text - self._without_text(list(fields[0]))
        fronts = self._examples.fronts(fields)
        empty = [dict.fromkeys(row, NOTHING) for row in fields]
        found = self._way.scores([*fields, *empty], [*fronts, *fronts]).log_softmax(dim=-1)
        return found[: len(fields)] - found[len(fields) :]

    def _without_text(self, placeholders: Sequence[str]) -> Tensor:
        """(C,) logarithms of the mean probabilities behind texts that say nothing."""
        if self._of_nothing is None:
            empty = [dict.fromkeys(placeholders, text) for text in EMPTY]
            found = self._way.scores(empty, [""] * len(empty)).log_softmax(dim=-1)  # (E, C)
            self._of_nothing = torch.logsumexp(found, dim=0) - math.log(len(empty))
        return self._of_nothing
