"""Denoising for models with an encoder and a decoder: write a text again of which stretches are hidden.

Text infilling of BART (Lewis et al. 2020, section 2.2): stretches whose lengths are drawn from a Poisson distribution
become one [MASK] each, also those of no tokens, so that the model must find out how many are missing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from tunesmith.contracts import Batch, Encoded, HeadSpec, Labels, Outputs
from tunesmith.errors import ModelError
from tunesmith.guessing import count_loss, score_guesses
from tunesmith.model import Model
from tunesmith.objectives.tokens import Tokens
from tunesmith.packing import split_sequences


class DenoisingConfig(BaseModel):
    """What is hidden."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    mask_rate: float = Field(default=0.3, gt=0, lt=1)
    """Share of the tokens that are hidden from the encoder."""
    stretch_tokens: float = Field(default=3.0, ge=1)
    """Mean length of a hidden stretch."""


@dataclass(frozen=True)
class Denoising:
    """The objective; the target of an item is one list of ids for each of its sequences: the tokens as they were.

    Attributes:
        config: what is hidden.
        tokens: facts about the tokenizer.
    """

    config: DenoisingConfig
    tokens: Tokens | None = None

    name: ClassVar[str] = "denoise"
    title: ClassVar[str] = "denoising"
    Config: ClassVar[type[BaseModel]] = DenoisingConfig
    family: ClassVar[str] = "encoder-decoder"
    shifted: ClassVar[bool] = False

    @property
    def guessed_share(self) -> float:
        """All tokens are written."""
        return 1.0

    def of(self, tokens: Tokens) -> Denoising:
        """For a tokenizer. Raises ModelError where it has no token that hides others."""
        if tokens.mask_id is None:
            raise ModelError(
                "this tokenizer has no mask token, which stands for what is hidden", fix="take another tokenizer"
            )
        return replace(self, tokens=tokens)

    def head(self) -> HeadSpec:
        """Scores of the vocabulary for each token that is written."""
        return HeadSpec("text_to_text", ())

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Hide stretches; meta holds "hidden", for each sequence the places that are, for people to look at."""
        numbers = np.random.default_rng(rng.getrandbits(64))
        found = [self._hide(sequence, numbers) for sequence in item.sequences]
        meta = {**item.meta, "hidden": [places for _, places in found]}
        return replace(item, sequences=tuple(seen for seen, _ in found), target=list(item.sequences), meta=meta)

    def _hide(self, ids: Sequence[int], numbers: np.random.Generator) -> tuple[list[int], list[int]]:
        """A sequence with stretches hidden, and the places of what is; special tokens at its ends stay."""
        assert self.tokens is not None
        assert self.tokens.mask_id is not None
        plain = np.flatnonzero(~self.tokens.is_special[np.asarray(ids)])
        if not len(plain):
            return list(ids), []
        low, high = int(plain[0]), int(plain[-1]) + 1
        wanted = round(self.config.mask_rate * (high - low))
        lengths = draw_lengths(wanted, self.config.stretch_tokens, numbers)
        while len(lengths) > high - low - wanted + 1:  # more than there are gaps between tokens that stay
            lengths = np.add.reduceat(lengths, range(0, len(lengths), 2))
        begins = low + place_apart(lengths, high - low, numbers)
        seen: list[int] = []
        hidden: list[int] = []
        behind = 0
        for begin, length in zip(begins.tolist(), lengths.tolist(), strict=True):
            seen += [*ids[behind:begin], self.tokens.mask_id]
            behind = begin + length
            hidden += range(begin, behind)
        return [*seen, *ids[behind:]], hidden

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """The decoder's hidden states, and the summed loss of all that it writes."""
        targets = [torch.tensor(ids, device=model.device) for item in batch.items for ids in item.target]
        hidden = model.written(split_sequences(batch), targets)
        return {"hidden": hidden, **score_guesses(model, hidden, torch.cat(targets))}

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[Tensor, float]:
        """Summed cross-entropy over all tokens that are written, and how many they are."""
        return count_loss(outputs)


def draw_lengths(total: int, mean: float, numbers: np.random.Generator) -> NDArray[np.int64]:
    """Lengths from a Poisson distribution that add up to `total`; the last one is cut. None where it is 0.

    Example:
        >>> int(draw_lengths(30, 3.0, np.random.default_rng(0)).sum())
        30
    """
    drawn = np.empty(0, dtype=np.int64)
    while drawn.sum() < total:
        drawn = np.append(drawn, numbers.poisson(mean, 8 + round(total / mean)))
    count = int(np.searchsorted(np.cumsum(drawn), total)) + 1 if total else 0
    lengths = drawn[:count]
    if count:
        lengths[-1] -= lengths.sum() - total
    return lengths


def place_apart(lengths: NDArray[np.int64], room: int, numbers: np.random.Generator) -> NDArray[np.int64]:
    """Where stretches begin that fill `room` places together with others between them, evenly likely.

    Example:
        >>> place_apart(np.array([2, 3]), 6, np.random.default_rng(0)).tolist()
        [0, 3]
    """
    others = room - int(lengths.sum())
    gaps = np.sort(numbers.choice(others + 1, len(lengths), replace=False))
    begins: NDArray[np.int64] = gaps + np.cumsum(lengths) - lengths
    return begins
