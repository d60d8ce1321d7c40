"""Prompt tuning: learnt vectors in front of each text (Lester, Al-Rfou and Constant 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from tunesmith.config import Section
from tunesmith.contracts import EVERY_TRUNK, Tags
from tunesmith.errors import MethodError
from tunesmith.frozen import cannot_merge, train_only
from tunesmith.model import Model
from tunesmith.slots import SlotEmbedding, refuse_too_many, starting_ids
from tunesmith.trunk_parts import has_position_table


class PromptConfig(Section):
    """Options of prompt tuning."""

    length: int = Field(default=20, ge=1)
    """Learnt vectors in front of each text; they take computing time, not room for text."""
    text: str = ""
    """Words that the vectors start from, such as what is asked for; default: drawn from the vocabulary."""


class Prompt:
    """Train vectors that stand in front of each text like words, and the head."""

    name: ClassVar[str] = "prompt"
    title: ClassVar[str] = "prompt tuning"
    Config: ClassVar[type[BaseModel]] = PromptConfig
    tags: ClassVar[Tags] = Tags(
        trunk=EVERY_TRUNK, mergeable=False, learning_rate_factor=30.0, stores="delta", trains_vectors=True
    )

    def __init__(self, config: PromptConfig) -> None:
        self.config = config

    def apply(self, model: Model) -> None:
        """Freeze the model, put slots in front of each text, and free those and the head.

        Raises:
            MethodError: they are more than texts may have tokens, or what an encoder reads would be too long with them.
        """
        count = self.config.length
        refuse_too_many(count, model.max_tokens)
        positions = int(getattr(model.hf.config.get_text_config(), "max_position_embeddings", None) or 0)
        if model.has_decoder and has_position_table(model.hf.base_model) and model.max_tokens + count > positions:
            raise MethodError(
                f"method.length is {count}, but this encoder has {positions} positions and texts may take "
                f"{model.max_tokens} of them",
                fix=f"--set model.max_tokens={max(4, positions - count)}, or a shorter prompt",
            )
        starts = starting_ids(model.tokenizer, count, self.config.text)
        embedding = SlotEmbedding(model.hf.get_input_embeddings(), starts).to(model.device)
        model.hf.set_input_embeddings(embedding)
        model.slots = count
        train_only(model, embedding.slots.parameters())

    def merge(self, model: Model) -> None:
        """Refused: the vectors are no weights.

        Raises:
            MethodError: always.
        """
        raise cannot_merge(self.title, "its vectors stand in front of the texts")

    def adapter_config(self, model: Model) -> Mapping[str, Any]:
        """None: PEFT's prompts come without a head, and where they stand differs."""
        return {}
