"""What stands on a trunk: heads of our own, and how the heads of Hugging Face read hidden states."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.contracts import HeadSpec


class UnitLength(nn.Module):
    """Bring vectors to length 1: the length of a sentence's vector says little of what it is about."""

    def forward(self, vectors: Tensor) -> Tensor:
        """(…, D) → (…, D), in float32."""
        return nn.functional.normalize(vectors.float(), dim=-1)


def own_head(config: Any, head: HeadSpec) -> nn.Module | None:
    """The head on pooled vectors where it is not that of Hugging Face."""
    width = config.get_text_config().hidden_size
    share = getattr(config, "hidden_dropout_prob", None) or 0.0
    if head.form == "mlp":
        hidden = nn.Linear(width * head.vectors, width)
        return nn.Sequential(nn.Dropout(share), hidden, nn.GELU(), nn.Dropout(share), nn.Linear(width, head.classes))
    if head.form == "unit":
        return nn.Sequential(UnitLength(), nn.Linear(width * head.vectors, head.classes))
    if head.vectors > 1:
        return nn.Sequential(nn.Dropout(share), nn.Linear(width * head.vectors, head.classes))
    return None


def drop_head(hf: Any) -> None:
    """Take away what stands on the trunk: nothing reads it, so it is neither trained nor stored."""
    for name, child in list(hf.named_children()):
        if child is not hf.base_model:
            setattr(hf, name, nn.Identity())
    if getattr(hf.base_model, "pooler", None) is not None:
        hf.base_model.pooler = None


def standard_pooling(config: Any, trunk_kind: str) -> str:
    """How the head of Hugging Face for one label a text makes one vector of many."""
    if getattr(config, "classifier_pooling", None) == "mean":
        return "mean"
    return "first" if trunk_kind == "encoder" else "last"


def pooler_output(base: Any, hidden: Tensor) -> Tensor | None:
    """What the trunk's pooler makes of hidden states: (S, L, D) → (S, D); None without a pooler."""
    pooler = getattr(base, "pooler", None)
    if pooler is None:
        return None
    if hasattr(base, "pooler_activation"):  # ALBERT's pooler is a bare linear layer
        return torch.as_tensor(base.pooler_activation(pooler(hidden[:, 0])))
    return torch.as_tensor(pooler(hidden))
