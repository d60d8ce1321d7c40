"""Head only: the trunk stays as it was pretrained."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel

from tunesmith.config import Section
from tunesmith.contracts import Tags
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
        """Freeze every parameter of the trunk; the pooler in front of the classifier counts as head."""
        model.requires_grad_(True)
        pooler = getattr(model.hf.base_model, "pooler", None)
        head = {id(p) for p in pooler.parameters()} if pooler is not None else set()
        for parameter in model.hf.base_model.parameters():
            parameter.requires_grad_(id(parameter) in head)

    def merge(self, model: Model) -> None:
        """Nothing to fold: the head is the model's own."""
