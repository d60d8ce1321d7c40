"""Learnt keys and values in front of every text, in each attention layer that goes through the attention interface."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tunesmith.attention import PREFIX, Prefix, take_seen
from tunesmith.model import WATCHED, Model, evaluating


def add_prefixes(model: Model, starts: Tensor) -> list[Prefix]:
    """Give each attention layer a prefix that starts as what it makes of some words.

    Args:
        model: changed in place.
        starts: (K,) token ids of these words.

    Returns:
        The new modules; none, and nothing is changed, where the trunk's attention does not go through the interface.
    """
    seen = watch_attention(model, starts)
    prefixes = [Prefix(keys, values) for keys, values in seen.values()]
    for layer, prefix in zip(seen, prefixes, strict=True):
        layer.add_module(PREFIX, prefix)
    model.is_prefixed = bool(prefixes)
    model.set_packed(model.packed)
    return prefixes


def watch_attention(model: Model, ids: Tensor) -> dict[nn.Module, tuple[Tensor, Tensor]]:
    """Keys and values (H, K, d) of each attention layer while the trunk reads K tokens.

    Args:
        model: left as it is.
        ids: (K,) token ids.
    """
    options = {"decoder_input_ids": ids[None]} if model.has_decoder else {}
    with evaluating(model), torch.no_grad():
        model.hf.set_attn_implementation(WATCHED)
        try:
            model.hf.base_model(input_ids=ids[None], **options)
        except NotImplementedError:  # attention is given what the interface does not know
            return {}
        finally:
            seen = take_seen(model.hf)
            model.set_packed(model.packed)
    return seen
