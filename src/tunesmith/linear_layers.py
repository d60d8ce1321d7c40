"""The linear layers of a trunk and what each is for, told by its name and its place, for all architectures alike."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from tunesmith.model import Model

Role = Literal["query", "key", "value", "query_key_value", "attention_output", "feed_forward_in", "feed_forward_out"]

ATTENTION_ROLES: dict[str, Role] = {
    **dict.fromkeys(("query", "q_proj", "q_lin", "q", "query_proj"), "query"),
    **dict.fromkeys(("key", "k_proj", "k_lin", "k", "key_proj"), "key"),
    **dict.fromkeys(("value", "v_proj", "v_lin", "v", "value_proj"), "value"),
    **dict.fromkeys(("c_attn", "Wqkv", "qkv_proj", "query_key_value"), "query_key_value"),
    **dict.fromkeys(("dense", "o_proj", "out_proj", "out_lin", "c_proj", "Wo", "o"), "attention_output"),
}
"""What architectures call the layers of attention."""


def trunk_linears(model: Model) -> dict[str, nn.Module]:
    """The linear layers of the trunk by their names in the Hugging Face model; the pooler counts as head."""
    trunk = "" if model.hf.base_model is model.hf else f"{model.hf.base_model_prefix}."
    named = model.hf.named_modules()
    return {n: layer for n, layer in named if n.startswith(trunk) and is_linear(layer) and ".pooler" not in f".{n}"}


def role_of(name: str, layer: nn.Module) -> Role | None:
    """What a linear layer of a trunk is for; None where that cannot be told.

    Args:
        name: of the layer within the trunk.
        layer: itself; of the feed-forward part, the one that gives less than it takes closes it.

    Example:
        >>> role_of("encoder.layer.0.attention.self.query", nn.Linear(8, 8))
        'query'
        >>> role_of("encoder.layer.0.output.dense", nn.Linear(32, 8))
        'feed_forward_out'
    """
    *path, last = name.split(".")
    if not any(part.isdigit() for part in path):  # no part of a layer, as a projection of embeddings
        return None
    if any("att" in part.lower() for part in path):
        return ATTENTION_ROLES.get(last)
    inputs, outputs = sizes(layer)
    return "feed_forward_out" if inputs > outputs else "feed_forward_in"


def with_roles(model: Model, *roles: Role) -> dict[str, nn.Module]:
    """The linear layers of the trunk that have one of these roles, by name."""
    return {name: layer for name, layer in trunk_linears(model).items() if role_of(name, layer) in roles}


def is_linear(layer: nn.Module) -> bool:
    """Whether a layer multiplies by a weight, whichever way that is kept."""
    return isinstance(layer, nn.Linear) or is_transposed(layer)


def is_transposed(layer: nn.Module) -> bool:
    """Whether a linear layer keeps its weight as (in, out): GPT-2's Conv1D."""
    return type(layer).__name__ == "Conv1D" and hasattr(layer, "nf")


def sizes(layer: nn.Module) -> tuple[int, int]:
    """Width of what goes in and of what comes out."""
    if isinstance(layer, nn.Linear):  # weights of four bits have another shape
        return layer.in_features, layer.out_features
    rows, columns = torch.as_tensor(layer.weight).shape
    return rows, columns


def replace_layer(root: nn.Module, name: str, new: nn.Module) -> None:
    """Put another layer in the place of one."""
    parent, _, last = name.rpartition(".")
    setattr(root.get_submodule(parent), last, new)
