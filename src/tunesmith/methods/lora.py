"""LoRA: a low-rank change beside each linear layer of the trunk (Hu et al. 2022), in the format of PEFT.

Our own layer, not PEFT's: importing that costs three seconds, and answering must not need it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn

from tunesmith.config import Section
from tunesmith.contracts import EVERY_TRUNK, Tags
from tunesmith.errors import MethodError
from tunesmith.linear_layers import is_transposed, replace_layer, sizes, trunk_linears
from tunesmith.model import Model

TASK_TYPES = {
    "sequence": "SEQ_CLS",
    "token": "TOKEN_CLS",
    "question_answering": "QUESTION_ANS",
    "vectors": "FEATURE_EXTRACTION",
}
"""What PEFT calls the kinds of heads; it has no name for the others."""


class LoraConfig(Section):
    """Options of LoRA."""

    rank: int = Field(default=8, ge=1)
    """Width of the change; the trained parameters grow with it."""
    alpha: float = Field(default=16.0, gt=0)
    """The change is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of a layer's inputs that the change does not see in training."""
    targets: Literal["all"] | list[str] = "all"
    """all: every linear layer of the trunk; or the last parts of their names, such as ["query", "value"]."""


class LowRank(nn.Module):
    """A frozen linear layer and a trained change of rank r: base(x) + scale · B A dropout(x).

    Args:
        base: an nn.Linear, or a layer that keeps its weight transposed, (in, out), as GPT-2 does.
        config: rank, alpha and dropout.
    """

    def __init__(self, base: nn.Module, config: LoraConfig) -> None:
        super().__init__()
        self.base_layer = base
        inputs, outputs = sizes(base)
        self.lora_A = nn.Linear(inputs, config.rank, bias=False)
        self.lora_B = nn.Linear(config.rank, outputs, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.scale = config.alpha / config.rank
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        change: Tensor = self.lora_B(self.lora_A(self.dropout(inputs)))
        return torch.as_tensor(self.base_layer(inputs)) + self.scale * change

    def folded(self) -> nn.Module:
        """The base layer with the change added to its weight."""
        change = self.scale * (self.lora_B.weight @ self.lora_A.weight)  # (out, in)
        weight = torch.as_tensor(self.base_layer.weight)
        with torch.no_grad():
            weight.add_(change.T if is_transposed(self.base_layer) else change)
        return self.base_layer


class Lora:
    """Train a low-rank change of the trunk's linear layers, and the head."""

    name: ClassVar[str] = "lora"
    title: ClassVar[str] = "LoRA"
    Config: ClassVar[type[BaseModel]] = LoraConfig
    tags: ClassVar[Tags] = Tags(trunk=EVERY_TRUNK, learning_rate_factor=5.0, stores="adapter")

    def __init__(self, config: LoraConfig) -> None:
        self.config = config

    def apply(self, model: Model) -> None:
        """Freeze the model, put a change beside each target, and free those and the head.

        Raises:
            MethodError: a wished target is no linear layer of the trunk.
        """
        head = model.head_parameters()
        targets = self._targets(model)
        model.requires_grad_(False)
        for name in targets:
            base = model.hf.get_submodule(name)
            replace_layer(model.hf, name, LowRank(base, self.config).to(next(base.parameters()).device))
        for parameter in head:
            parameter.requires_grad_(True)

    def _targets(self, model: Model) -> list[str]:
        """Names of the layers to change, within the Hugging Face model."""
        linear = list(trunk_linears(model))
        if self.config.targets == "all":
            return linear
        found = {wish: [name for name in linear if f".{name}".endswith(f".{wish}")] for wish in self.config.targets}
        unknown = [wish for wish, names in found.items() if not names]
        if unknown or not found:
            ends = sorted({name.rpartition(".")[2] for name in linear})
            raise MethodError(
                f"method.targets names {unknown[0]!r}, which no linear layer of this trunk is called"
                if unknown
                else "method.targets is empty",
                fix=f"choose from {', '.join(ends)}, or leave it at all",
            )
        return [name for name in linear if any(name in names for names in found.values())]

    def merge(self, model: Model) -> None:
        """Add each change to its layer's weight."""
        for name, layer in list(model.hf.named_modules()):
            if isinstance(layer, LowRank):
                replace_layer(model.hf, name, layer.folded())

    def adapter_config(self, model: Model) -> Mapping[str, Any]:
        """What PEFT's adapter_config.json holds, without the name of the base model."""
        changed = {name: layer for name, layer in model.hf.named_modules() if isinstance(layer, LowRank)}
        return {
            "peft_type": "LORA",
            "task_type": TASK_TYPES.get(model.head_spec.kind),
            "r": self.config.rank,
            "lora_alpha": self.config.alpha,
            "lora_dropout": self.config.dropout,
            "target_modules": sorted(changed),
            "modules_to_save": _head_modules(model),
            "fan_in_fan_out": any(is_transposed(layer.base_layer) for layer in changed.values()),
            "bias": "none",
            "inference_mode": True,
        }


def _head_modules(model: Model) -> list[str]:
    """Names of the modules that the head is made of, as PEFT saves them whole."""
    head = {id(p) for p in model.head_parameters()}
    names = [name for name, p in model.hf.named_parameters() if id(p) in head]
    trunk = f"{model.hf.base_model_prefix}."
    return sorted({".".join(name.split(".")[: 2 if name.startswith(trunk) else 1]) for name in names})
