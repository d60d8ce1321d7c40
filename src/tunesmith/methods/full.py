"""Full fine-tuning: every weight is trained, or the top layers only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from tunesmith.config import Section
from tunesmith.contracts import EVERY_TRUNK, Tags
from tunesmith.errors import MethodError
from tunesmith.model import Model


class FullConfig(Section):
    """Options of full fine-tuning."""

    train_layers: str = Field(default="all", pattern=r"^(all|top:\d+)$")
    """all, or top:N to freeze the embeddings and all but the N highest layers."""


class Full:
    """Train the trunk and the head."""

    name: ClassVar[str] = "full"
    title: ClassVar[str] = "full fine-tuning"
    Config: ClassVar[type[BaseModel]] = FullConfig
    tags: ClassVar[Tags] = Tags(trunk=EVERY_TRUNK)

    def __init__(self, config: FullConfig) -> None:
        self.config = config

    def apply(self, model: Model) -> None:
        """Make everything trainable, then freeze what lies below the wished depth.

        Raises:
            MethodError: more layers are asked for than there are, or layers share their weights.
        """
        model.requires_grad_(True)
        match = re.fullmatch(r"top:(\d+)", self.config.train_layers)
        if match is None:
            return
        count, wished = len(model.layers()), int(match[1])
        if count == 0:
            raise MethodError(
                "method.train_layers is set, but this trunk has no separate layers to freeze",
                fix="leave method.train_layers at all, or use method head",
            )
        if not 1 <= wished <= count:
            raise MethodError(
                f"method.train_layers is top:{wished}, but this trunk has {count} layers",
                fix=f"choose top:1 … top:{count}, or method head to train no layer",
            )
        depths = model.depths()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(depths[name] > count - wished)

    def merge(self, model: Model) -> None:
        """Nothing to fold: the trunk's own weights were trained."""

    def adapter_config(self, model: Model) -> Mapping[str, Any]:
        """None: PEFT knows no such method."""
        return {}
