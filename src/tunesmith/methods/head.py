"""Head only: the trunk stays as it was pretrained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel

from tunesmith.config import Section
from tunesmith.contracts import Tags
from tunesmith.errors import MethodError
from tunesmith.frozen import train_only
from tunesmith.model import Model


class HeadConfig(Section):
    """Head-only tuning has no options."""


class Head:
    """Train what stands on the trunk, nothing in it."""

    name: ClassVar[str] = "head"
    title: ClassVar[str] = "head only"
    Config: ClassVar[type[BaseModel]] = HeadConfig
    tags: ClassVar[Tags] = Tags(head_only=True, learning_rate_factor=10.0, stores="delta")

    def __init__(self, config: HeadConfig) -> None:
        self.config = config

    def apply(self, model: Model) -> None:
        """Freeze every parameter of the trunk.

        Raises:
            MethodError: nothing stands on it.
        """
        if not model.head_parameters():
            raise MethodError(
                "method head trains what stands on the trunk, and of this task nothing does",
                fix="use --method full, or lora, which leaves the trunk as it was",
            )
        train_only(model, [])

    def merge(self, model: Model) -> None:
        """Nothing to fold: the head is the model's own."""

    def adapter_config(self, model: Model) -> Mapping[str, Any]:
        """None: PEFT knows no such method."""
        return {}
