"""Replaced-token detection: a small generator guesses hidden tokens, the model tells which are not the original ones.

Clark et al. 2020 (ELECTRA), section 2: every token gives a signal, not only the hidden ones, so a small model learns
more from the same text. Both share their token embeddings (section 3.2); the generator is thrown away in the end.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from pydantic import BaseModel, Field
from torch import Tensor
from torch.nn import functional

from tunesmith.contracts import Batch, Encoded, HeadSpec, Labels, Outputs
from tunesmith.guessing import find_asked, guess_hidden
from tunesmith.model import Model
from tunesmith.objectives.masked_lm import MaskedLanguageModel, MaskingConfig
from tunesmith.objectives.tokens import Tokens


class ReplacedConfig(MaskingConfig):
    """What is hidden, and how much each of the two losses counts."""

    mask_share: float = Field(default=1.0, ge=0, le=1)
    """Of the tokens that the generator must guess, how many it sees as [MASK]."""
    whole_words: bool = False
    """Hide all pieces of a word or none."""
    detection_weight: float = Field(default=50.0, gt=0)
    """Weight of the detection loss beside the generator's (Clark et al. 2020, appendix A)."""
    generator_size: float = Field(default=0.25, gt=0, le=1)
    """Width of the generator's layers as a share of the model's."""


@dataclass(frozen=True)
class ReplacedTokens:
    """The objective.

    Attributes:
        config: what is hidden, weights of the losses.
        masking: hides tokens.
    """

    config: ReplacedConfig
    masking: MaskedLanguageModel | None = None

    name: ClassVar[str] = "electra"
    title: ClassVar[str] = "replaced-token detection"
    Config: ClassVar[type[BaseModel]] = ReplacedConfig
    family: ClassVar[str] = "encoder"
    shifted: ClassVar[bool] = False

    @property
    def guessed_share(self) -> float:
        """Share of the tokens that the generator must guess."""
        return self.config.mask_rate

    def of(self, tokens: Tokens) -> ReplacedTokens:
        """For a tokenizer. Raises ModelError where it has no token that hides others."""
        return replace(self, masking=MaskedLanguageModel(self.config).of(tokens))

    def head(self) -> HeadSpec:
        """One score a token: whether it was replaced."""
        return HeadSpec("replaced_tokens", ())

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Hide tokens from the generator; the targets are the original ones."""
        assert self.masking is not None
        return self.masking.corrupt(item, rng)

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """The generator's loss, its replacements, and the model's score of each token."""
        generator = model.companion
        assert generator is not None
        guessed = generator.trunk(batch)
        places, targets = find_asked(batch, guessed.device)
        drawn = _draw(generator, guessed.detach().index_select(0, places))
        original = batch.input_ids.index_copy(0, places, targets)
        seen = original.index_copy(0, places, drawn)
        hidden = model.trunk(replace(batch, input_ids=seen))
        return {
            "hidden": hidden,
            **guess_hidden(generator, guessed, batch),
            "scores": model.token_logits(hidden).flatten().float(),  # (T,)
            "replaced": (seen != original).float(),
        }

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[Tensor, float]:
        """Both losses as one sum over tokens: the generator's counts for the share of tokens that it must guess."""
        detection = functional.binary_cross_entropy_with_logits(outputs["scores"], outputs["replaced"], reduction="sum")
        total = outputs["loss"] / self.config.mask_rate + self.config.detection_weight * detection
        return total, float(len(outputs["scores"]))


@torch.no_grad()
def _draw(generator: Model, hidden: Tensor, rows: int = 1024) -> Tensor:
    """Tokens drawn from what the generator believes: (N, D) → (N,). Gumbel's trick, with torch's own random numbers."""
    found = []
    for piece in hidden.split(rows):
        scores = generator.token_logits(piece).float()
        noise = -torch.log(-torch.log(torch.rand_like(scores).clamp_min(1e-20)).clamp_min(1e-20))
        found.append((scores + noise).argmax(dim=1))
    return torch.cat(found) if found else torch.empty(0, dtype=torch.int64, device=hidden.device)
