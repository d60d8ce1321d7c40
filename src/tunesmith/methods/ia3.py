"""IA3: scales of keys, values and what the feed-forward part holds inside (Liu et al. 2022), in the format of PEFT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from tunesmith.config import Section
from tunesmith.contracts import EVERY_TRUNK, Tags
from tunesmith.errors import MethodError
from tunesmith.frozen import train_only
from tunesmith.linear_layers import is_transposed, replace_layer, sizes, with_roles
from tunesmith.model import Model
from tunesmith.peft_format import describe_layers


class Ia3Config(Section):
    """IA3 has no options."""


class Scaled(nn.Module):
    """A frozen linear layer with a learnt factor for each thing it gives, or for each it takes; at first 1.

    Args:
        base: an nn.Linear, or a layer that keeps its weight transposed.
        takes: scale what goes in (of the layer that closes a feed-forward part), not what comes out.
    """

    def __init__(self, base: nn.Module, takes: bool) -> None:
        super().__init__()
        self.base_layer = base
        self.takes = takes
        inputs, outputs = sizes(base)
        self.ia3_l = nn.Parameter(torch.ones((1, inputs) if takes else (outputs, 1)))  # PEFT's name and shapes

    @property
    def weight(self) -> Tensor:
        """Of the layer beneath: some trunks read its dtype."""
        return torch.as_tensor(self.base_layer.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        scale = self.ia3_l.flatten()
        if self.takes:
            return torch.as_tensor(self.base_layer(inputs * scale))
        return torch.as_tensor(self.base_layer(inputs)) * scale

    def folded(self) -> nn.Module:
        """The base layer with its weight scaled, and its bias where what it gives is."""
        scale = self.ia3_l.T if is_transposed(self.base_layer) else self.ia3_l
        with torch.no_grad():
            self.weight.mul_(scale)
            if not self.takes and self.base_layer.bias is not None:
                torch.as_tensor(self.base_layer.bias).mul_(scale.flatten())
        return self.base_layer


class Ia3:
    """Train factors of keys, values and feed-forward activations, and the head.

    Where one layer gives queries, keys and values together, its queries are scaled as well, as PEFT does it.
    """

    name: ClassVar[str] = "ia3"
    title: ClassVar[str] = "IA3 (scales only)"
    Config: ClassVar[type[BaseModel]] = Ia3Config
    tags: ClassVar[Tags] = Tags(trunk=EVERY_TRUNK, learning_rate_factor=30.0, stores="adapter", trains_vectors=True)

    def __init__(self, config: Ia3Config) -> None:
        self.config = config

    def apply(self, model: Model) -> None:
        """Freeze the model, put factors beside the layers, and free those and the head.

        Raises:
            MethodError: the layers of this trunk cannot be told.
        """
        gives = with_roles(model, "key", "value", "query_key_value")
        takes = with_roles(model, "feed_forward_out")
        if not gives or not takes:
            raise MethodError(
                f"ia3 scales keys, values and feed-forward activations, and which layers of this "
                f"{model.hf.config.model_type} trunk give them is not known",
                fix="use --method lora, which changes any linear layer",
            )
        scaled = {name: Scaled(base, name in takes).to(model.device) for name, base in {**gives, **takes}.items()}
        for name, layer in scaled.items():
            replace_layer(model.hf, name, layer)
        train_only(model, [layer.ia3_l for layer in scaled.values()])

    def merge(self, model: Model) -> None:
        """Multiply each weight by its factors."""
        for name, layer in list(model.hf.named_modules()):
            if isinstance(layer, Scaled):
                replace_layer(model.hf, name, layer.folded())

    def adapter_config(self, model: Model) -> Mapping[str, Any]:
        """What PEFT's adapter_config.json holds, without the name of the base model."""
        scaled = {name: layer for name, layer in model.hf.named_modules() if isinstance(layer, Scaled)}
        transposed = any(is_transposed(layer.base_layer) for layer in scaled.values())
        return {
            "peft_type": "IA3",
            **describe_layers(model, scaled, transposed=transposed),
            "feedforward_modules": sorted(name for name, layer in scaled.items() if layer.takes),
        }
