"""Causal language modelling: guess each token from those before it (Radford et al. 2018, eq. 1)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from tunesmith.contracts import Batch, Encoded, HeadSpec, Labels, Outputs
from tunesmith.guessing import count_loss, guess
from tunesmith.model import Model
from tunesmith.objectives.tokens import Tokens


class CausalConfig(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class CausalLanguageModel:
    """The objective; windows bring the next token of each token as its target."""

    config: CausalConfig

    name: ClassVar[str] = "clm"
    title: ClassVar[str] = "causal language modelling"
    Config: ClassVar[type[BaseModel]] = CausalConfig
    family: ClassVar[str] = "decoder"
    shifted: ClassVar[bool] = True

    @property
    def guessed_share(self) -> float:
        """All tokens but the last."""
        return 1.0

    def of(self, tokens: Tokens) -> CausalLanguageModel:
        """For any tokenizer."""
        return self

    def head(self) -> HeadSpec:
        """Scores of the vocabulary for each token."""
        return HeadSpec("causal_lm", ())

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Nothing is changed."""
        return item

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """Hidden states, and the summed loss of the next tokens."""
        return guess(model, batch)

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[Tensor, float]:
        """Summed cross-entropy over all tokens that have a next one, and how many they are."""
        return count_loss(outputs)
