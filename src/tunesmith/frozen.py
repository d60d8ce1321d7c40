"""Freezing a model but for what a method trains."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from tunesmith.errors import MethodError
from tunesmith.model import Model


def train_only(model: Model, parameters: Iterable[nn.Parameter]) -> None:
    """Freeze a model but for these parameters and its head."""
    free = [*parameters, *model.head_parameters()]
    model.requires_grad_(False)
    for parameter in free:
        parameter.requires_grad_(True)


def cannot_merge(title: str, why: str) -> MethodError:
    """The refusal of a method whose change is no change of the trunk's weights."""
    return MethodError(
        f"{title} cannot be folded into the base model: {why}",
        fix="use the folder as it is, on its base model; lora, ia3, bitfit and full give whole models",
    )
