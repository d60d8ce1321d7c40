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
from tunesmith.frozen import train_only
from tunesmith.linear_layers import is_transposed, replace_layer, sizes, trunk_linears
from tunesmith.model import Model
from tunesmith.peft_format import describe_layers


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
    rank_stabilized: bool = False
    """Scale by alpha / √rank instead, so that high ranks learn as fast as low ones (rsLoRA; Kalajdzievski 2023)."""
    decomposed: bool = False
    """Train how long each row of a weight is apart from where it points (DoRA; Liu et al. 2024)."""
    b_rate_factor: float = Field(default=1.0, ge=1)
    """The rate of B, which starts at zero, is so many times that of A (LoRA+; Hayou et al. 2024, who take 16);
    the default rate, which is that of A, falls by the square root."""


class LowRank(nn.Module):
    """A frozen linear layer and a trained change of rank r: base(x) + scale · B A dropout(x).

    Where it is decomposed, the rows of both together are scaled as well: W′ = m · (W + scale · B A) / ‖W + scale · B A‖
    (Liu et al. 2024, eq. 5), the norm taken as a constant in the gradient (there, section 4.3).

    Args:
        base: an nn.Linear, or a layer that keeps its weight transposed, (in, out), as GPT-2 does.
        config: rank, alpha, dropout and the variants.
    """

    def __init__(self, base: nn.Module, config: LoraConfig) -> None:
        super().__init__()
        self.base_layer = base
        inputs, outputs = sizes(base)
        self.lora_A = nn.Linear(inputs, config.rank, bias=False)
        self.lora_B = nn.Linear(config.rank, outputs, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.scale = config.alpha / (math.sqrt(config.rank) if config.rank_stabilized else config.rank)
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B.weight)
        self.lora_magnitude_vector: nn.Parameter | None = None
        if config.decomposed:
            self.lora_magnitude_vector = nn.Parameter(self._rows().norm(dim=1))  # (out,)

    @property
    def weight(self) -> Tensor:
        """Of the layer beneath: some trunks read its dtype."""
        return torch.as_tensor(self.base_layer.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        given = torch.as_tensor(self.base_layer(inputs))
        change = self.scale * torch.as_tensor(self.lora_B(self.lora_A(self.dropout(inputs))))
        if self.lora_magnitude_vector is None:
            return given + change
        bias = 0 if self.base_layer.bias is None else torch.as_tensor(self.base_layer.bias)
        return self._row_scales().to(change.dtype) * (given - bias + change) + bias

    def _rows(self) -> Tensor:
        """The weight with the change, as (out, in); what is learnt is the length of its rows, apart from the rest."""
        with torch.no_grad():
            base = self.weight.T if is_transposed(self.base_layer) else self.weight
            return torch.as_tensor(base + self.scale * (self.lora_B.weight @ self.lora_A.weight))

    def _row_scales(self) -> Tensor:
        """(out,): how much longer each row is than it would be."""
        return torch.div(torch.as_tensor(self.lora_magnitude_vector), self._rows().norm(dim=1))

    def folded(self) -> nn.Module:
        """The base layer with the change in its weight."""
        with torch.no_grad():
            rows = self._rows()
            if self.lora_magnitude_vector is not None:
                rows = self._row_scales()[:, None] * rows
            self.weight.copy_(rows.T if is_transposed(self.base_layer) else rows)
        return self.base_layer


class Lora:
    """Train a low-rank change of the trunk's linear layers, and the head."""

    name: ClassVar[str] = "lora"
    title: ClassVar[str] = "LoRA"
    Config: ClassVar[type[BaseModel]] = LoraConfig
    tags: ClassVar[Tags] = Tags(trunk=EVERY_TRUNK, learning_rate_factor=5.0, stores="adapter", takes_four_bits=True)

    def __init__(self, config: LoraConfig) -> None:
        self.config = config

    def apply(self, model: Model) -> None:
        """Freeze the model, put a change beside each target, and free those and the head.

        Raises:
            MethodError: a wished target is no linear layer of the trunk, or a decomposed change meets four bits.
        """
        if self.config.decomposed and not all(w.is_floating_point() for w in model.hf.parameters()):
            raise MethodError(
                "method.decomposed needs the lengths of whole weights, and this base model is held in four bits",
                fix="leave out method.decomposed, or model.load_in",
            )
        changed = {name: LowRank(model.hf.get_submodule(name), self.config) for name in self._targets(model)}
        for name, layer in changed.items():
            replace_layer(model.hf, name, layer.to(model.device))
        inside = [entry for layer in changed.values() for entry in layer.named_parameters()]
        train_only(model, [parameter for name, parameter in inside if name.startswith("lora_")])

    @property
    def learning_rate_factor(self) -> float:
        """The geometric mean of the rates of A and B is that of LoRA, however far apart they are."""
        return self.tags.learning_rate_factor / math.sqrt(self.config.b_rate_factor)

    def rate_factor(self, name: str) -> float:
        """How many times the learning rate a parameter gets."""
        return self.config.b_rate_factor if ".lora_B." in name else 1.0

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
        transposed = any(is_transposed(layer.base_layer) for layer in changed.values())
        return {
            "peft_type": "LORA",
            **describe_layers(model, changed, transposed=transposed),
            "r": self.config.rank,
            "lora_alpha": self.config.alpha,
            "lora_dropout": self.config.dropout,
            "use_rslora": self.config.rank_stabilized,
            "use_dora": self.config.decomposed,
            "bias": "none",
        }
