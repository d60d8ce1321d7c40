"""Bottleneck adapters: small networks behind the sublayers of the trunk.

Houlsby et al. 2019 put one behind attention and one behind the feed-forward part; Pfeiffer et al. 2021 found the latter
to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn

from tunesmith.config import Section
from tunesmith.contracts import EVERY_TRUNK, Tags
from tunesmith.errors import MethodError
from tunesmith.frozen import cannot_merge, train_only
from tunesmith.linear_layers import Role, replace_layer, sizes, with_roles
from tunesmith.model import Model

PLACEMENTS: dict[str, tuple[Role, ...]] = {
    "houlsby": ("attention_output", "feed_forward_out"),
    "pfeiffer": ("feed_forward_out",),
}
"""The layers that adapters stand behind."""
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


class AdapterConfig(Section):
    """Options of adapters."""

    placement: Literal["houlsby", "pfeiffer"] = "houlsby"
    """houlsby: behind attention and behind the feed-forward part of each layer; pfeiffer: behind the latter only."""
    bottleneck: int = Field(default=32, ge=1)
    """Width of an adapter inside; the trained parameters grow with it."""
    activation: Literal["relu", "gelu", "silu"] = "gelu"
    """Between its two layers."""


class Bottleneck(nn.Module):
    """A frozen linear layer and what is learnt behind it: y + up(act(down(y))), y = base(x); at first nothing.

    Args:
        base: gives vectors of the trunk's width.
        config: width inside, and the activation.
    """

    def __init__(self, base: nn.Module, config: AdapterConfig) -> None:
        super().__init__()
        self.base_layer = base
        _, width = sizes(base)
        self.down = nn.Linear(width, config.bottleneck)
        self.activation = ACTIVATIONS[config.activation]()
        self.up = nn.Linear(config.bottleneck, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    @property
    def weight(self) -> Tensor:
        """Of the layer beneath: some trunks read its dtype."""
        return torch.as_tensor(self.base_layer.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        given = torch.as_tensor(self.base_layer(inputs))
        return given + torch.as_tensor(self.up(self.activation(self.down(given))))


class Adapter:
    """Train small networks within the trunk, and the head."""

    name: ClassVar[str] = "adapter"
    title: ClassVar[str] = "bottleneck adapters"
    Config: ClassVar[type[BaseModel]] = AdapterConfig
    tags: ClassVar[Tags] = Tags(trunk=EVERY_TRUNK, mergeable=False, learning_rate_factor=10.0, stores="delta")

    def __init__(self, config: AdapterConfig) -> None:
        self.config = config

    def apply(self, model: Model) -> None:
        """Put an adapter behind each sublayer, and free those and the head.

        Raises:
            MethodError: the sublayers of this trunk cannot be told.
        """
        layers = with_roles(model, *PLACEMENTS[self.config.placement])
        if not layers:
            raise MethodError(
                f"adapters stand behind the last layers of attention and feed-forward parts, and none of this "
                f"{model.hf.config.model_type} trunk is known",
                fix="use --method lora, which changes any linear layer",
            )
        added = {name: Bottleneck(base, self.config).to(model.device) for name, base in layers.items()}
        for name, layer in added.items():
            replace_layer(model.hf, name, layer)
        inside = [p for layer in added.values() for part in (layer.down, layer.up) for p in part.parameters()]
        train_only(model, inside)

    def merge(self, model: Model) -> None:
        """Refused: there is an activation in between.

        Raises:
            MethodError: always.
        """
        raise cannot_merge(self.title, "an activation stands inside them")

    def adapter_config(self, model: Model) -> Mapping[str, Any]:
        """None: PEFT knows no such method."""
        return {}
