"""BitFit: only the biases of the trunk are trained, beside the head (Ben Zaken, Ravfogel and Goldberg 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel

from tunesmith.config import Section
from tunesmith.contracts import EVERY_TRUNK, Tags
from tunesmith.errors import MethodError
from tunesmith.frozen import train_only
from tunesmith.model import Model


class BitFitConfig(Section):
    """BitFit has no options."""


class BitFit:
    """Train the biases of the trunk's layers, those of its norms included, and the head."""

    name: ClassVar[str] = "bitfit"
    title: ClassVar[str] = "BitFit (biases only)"
    Config: ClassVar[type[BaseModel]] = BitFitConfig
    tags: ClassVar[Tags] = Tags(
        trunk=EVERY_TRUNK, needs_bias=True, learning_rate_factor=10.0, stores="delta", trains_vectors=True
    )

    def __init__(self, config: BitFitConfig) -> None:
        self.config = config

    def apply(self, model: Model) -> None:
        """Freeze everything but biases and head.

        Raises:
            MethodError: the trunk has no bias; training the head alone would be another method under this name.
        """
        biases = [p for name, p in model.hf.base_model.named_parameters() if name.endswith("bias")]
        if not biases:
            kind = model.hf.config.model_type
            raise MethodError(
                f"bitfit trains biases, and this {kind} trunk has no bias in any layer",
                fix="use --method lora, which changes any linear layer, or --method head",
            )
        train_only(model, biases)

    def merge(self, model: Model) -> None:
        """Nothing to fold: the trunk's own biases were trained."""

    def adapter_config(self, model: Model) -> Mapping[str, Any]:
        """None: PEFT knows no such method."""
        return {}
