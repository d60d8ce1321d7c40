"""Masked language modelling: guess hidden tokens from both sides (Devlin et al. 2019, section 3.1, task 1)."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from tunesmith.contracts import IGNORED, Batch, Encoded, HeadSpec, Labels, Outputs
from tunesmith.errors import ModelError
from tunesmith.guessing import count_loss, guess
from tunesmith.model import Model
from tunesmith.objectives.tokens import Tokens, flatten, split_like, starts


class MaskingConfig(BaseModel):
    """What is hidden."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    mask_rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens that must be guessed."""
    whole_words: bool = True
    """Hide all pieces of a word or none (in Chinese, of a word where the corpus tells words, else of a character)."""
    mask_share: float = Field(default=0.8, ge=0, le=1)
    """Of the tokens that must be guessed, how many become [MASK]; half of the others become any token, half stay."""


@dataclass(frozen=True)
class MaskedLanguageModel:
    """The objective.

    Attributes:
        config: what is hidden.
        tokens: facts about the tokenizer.
    """

    config: MaskingConfig
    tokens: Tokens | None = None

    name: ClassVar[str] = "mlm"
    title: ClassVar[str] = "masked language modelling"
    Config: ClassVar[type[BaseModel]] = MaskingConfig
    family: ClassVar[str] = "encoder"
    shifted: ClassVar[bool] = False

    @property
    def guessed_share(self) -> float:
        """Share of the tokens that must be guessed."""
        return self.config.mask_rate

    def of(self, tokens: Tokens) -> MaskedLanguageModel:
        """For a tokenizer. Raises ModelError where it has no token that hides others."""
        if tokens.mask_id is None:
            raise ModelError("this tokenizer has no [MASK] token", fix="choose --objective clm, or another tokenizer")
        return replace(self, tokens=tokens)

    def head(self) -> HeadSpec:
        """Scores of the vocabulary for each token."""
        return HeadSpec("masked_lm", ())

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Hide tokens; the target of each is its id, of all others IGNORED."""
        assert self.tokens is not None
        ids, numbers = flatten(item), np.random.default_rng(rng.getrandbits(64))
        hidden = choose_places(item, ids, self.tokens, self.config, numbers)
        targets = np.full(len(ids), IGNORED)
        targets[hidden] = ids[hidden]
        ids[hidden] = self._replaced(ids[hidden], numbers)
        return replace(item, sequences=split_like(ids, item), target=targets.tolist())

    def _replaced(self, ids: NDArray[np.int64], numbers: np.random.Generator) -> NDArray[np.int64]:
        assert self.tokens is not None
        assert self.tokens.mask_id is not None
        fate, other = numbers.random(len(ids)), numbers.choice(self.tokens.plain_ids, len(ids))
        drawn = self.config.mask_share + (1 - self.config.mask_share) / 2
        kept = np.where(fate < drawn, other, ids)
        return np.where(fate < self.config.mask_share, self.tokens.mask_id, kept)

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """Hidden states, and the summed loss of the hidden tokens."""
        return guess(model, batch)

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[Tensor, float]:
        """Summed cross-entropy over the hidden tokens, and how many they are."""
        return count_loss(outputs)


def choose_places(
    item: Encoded, ids: NDArray[np.int64], tokens: Tokens, config: MaskingConfig, numbers: np.random.Generator
) -> NDArray[np.int64]:
    """Places of an item's tokens that are hidden, whole words where wanted: about `mask_rate` of all, at least one.

    Args:
        item: the windows' sequences; meta may hold "begins_word", (T,) bool, where the corpus tells words.
        ids: (T,) its tokens.
        tokens: facts about the tokenizer.
        config: how many.
        numbers: random ones.

    Returns:
        Ascending; () where every token is special.
    """
    plain = np.flatnonzero(~tokens.is_special[ids])
    wanted = max(1, round(config.mask_rate * len(plain))) if len(plain) else 0
    if not config.whole_words or not wanted:
        return np.sort(numbers.choice(plain, wanted, replace=False)) if wanted else plain
    told = item.meta.get("begins_word")
    begins = (tokens.begins_word[ids] if told is None else np.asarray(told)) | starts(item) | tokens.is_special[ids]
    word_of = np.cumsum(begins)[plain]  # numbers of the words that plain tokens belong to
    words, sizes = np.unique(word_of, return_counts=True)
    order = numbers.permutation(len(words))
    enough = int(np.searchsorted(np.cumsum(sizes[order]), wanted)) + 1
    return plain[np.isin(word_of, words[order[:enough]])]
