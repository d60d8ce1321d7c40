"""Prefix tuning: learnt keys and values in front of each text, in every layer (Li and Liang 2021).

As in P-tuning v2 (Liu et al. 2022) they are trained themselves, without a network that gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from tunesmith.config import Section
from tunesmith.contracts import EVERY_TRUNK, Tags
from tunesmith.errors import MethodError
from tunesmith.frozen import cannot_merge, train_only
from tunesmith.model import Model
from tunesmith.prefixes import add_prefixes
from tunesmith.slots import refuse_too_many, starting_ids


class PrefixConfig(Section):
    """Options of prefix tuning."""

    length: int = Field(default=16, ge=1)
    """Learnt keys and values in each attention layer; they take no room for text."""
    text: str = ""
    """Words that they start from; default: drawn from the vocabulary."""


class PrefixTuning:
    """Train keys and values of words that are not there, and the head."""

    name: ClassVar[str] = "prefix"
    title: ClassVar[str] = "prefix tuning"
    Config: ClassVar[type[BaseModel]] = PrefixConfig
    tags: ClassVar[Tags] = Tags(
        trunk=EVERY_TRUNK, mergeable=False, learning_rate_factor=50.0, stores="delta", trains_vectors=True
    )

    def __init__(self, config: PrefixConfig) -> None:
        self.config = config

    def apply(self, model: Model) -> None:
        """Freeze the model, give each attention layer its prefix, and free those and the head.

        Raises:
            MethodError: the trunk's attention cannot be reached, or the prefix is longer than texts may be.
        """
        refuse_too_many(self.config.length, model.max_tokens)
        starts = starting_ids(model.tokenizer, self.config.length, self.config.text).to(model.device)
        prefixes = add_prefixes(model, starts)
        if not prefixes:
            raise MethodError(
                f"prefix tuning adds keys and values inside attention, and that of this "
                f"{model.hf.config.model_type} trunk computes in a way of its own",
                fix="use --method prompt, whose vectors stand in front of the texts, or --method lora",
            )
        train_only(model, [parameter for prefix in prefixes for parameter in prefix.parameters()])

    def merge(self, model: Model) -> None:
        """Refused: the keys and values are no weights.

        Raises:
            MethodError: always.
        """
        raise cannot_merge(self.title, "its keys and values are no weights of it")

    def adapter_config(self, model: Model) -> Mapping[str, Any]:
        """None: PEFT's prefixes take positions that texts then lack."""
        return {}
