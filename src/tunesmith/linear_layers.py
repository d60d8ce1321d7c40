"""The linear layers of a trunk, whichever way they keep their weights."""

from __future__ import annotations

import torch
from torch import nn

from tunesmith.model import Model


def trunk_linears(model: Model) -> dict[str, nn.Module]:
    """The linear layers of the trunk by their names in the Hugging Face model; the pooler counts as head."""
    trunk = "" if model.hf.base_model is model.hf else f"{model.hf.base_model_prefix}."
    named = model.hf.named_modules()
    return {n: layer for n, layer in named if n.startswith(trunk) and is_linear(layer) and ".pooler" not in f".{n}"}


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
