"""Attention of short sequences by plain matrix products, forward and backward by hand.

For texts of a sentence or two the products are small, and what stands between them costs as much: laying out queries,
keys and values, scaling, masks, dropout, and a node of the autograd graph for each. Here they are one node, which
reuses its own memory. `attention.attend_fused` computes the same; a test compares them.

Letters in shapes: T tokens, S sequences, L longest sequence, H heads, d width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Where tokens of several heads stand, so that each head's sequence lies in one piece.

    Attributes:
        gather: (S · H · L,) int64; which row of (T · H, d) each place takes, any row where nothing belongs.
        slots: (T · H,) int64; the place of each row.
        heads: H.
        longest: L.
    """

    gather: Tensor
    slots: Tensor
    heads: int
    longest: int


@dataclass(frozen=True)
class Options:
    """What attention is told beside its tokens.

    Attributes:
        layout: where tokens stand.
        added: (S, 1, 1 or L, L) added to the scores, −∞ where nothing is seen; None where everything is.
        kept: (S · H, L, L) factors of the attention weights, 0 where one is dropped; None without dropout.
        scale: factor of the scores.
    """

    layout: Layout
    added: Tensor | None
    kept: Tensor | None
    scale: float


class _ShortAttention(torch.autograd.Function):
    """softmax(q kᵀ · scale + mask) v with dropout of the weights, on packed tokens; see `attend_short`.

    Nothing comes back from the gaps of the layout: masked keys have weight 0, and what queries in the gaps give is
    never collected. So the gradients of both layouts are plain selections.
    """

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor, options: Options) -> Tensor:
        layout = options.layout
        queries = _lay_out(query, layout).mul_(options.scale)  # (S·H, L, d), our own memory
        keys, values = _lay_out(key, layout), _lay_out(value, layout)
        scores = torch.bmm(queries, keys.transpose(1, 2))  # (S·H, L, L)
        if options.added is not None:
            scores.view(-1, layout.heads, layout.longest, layout.longest).add_(options.added)
        weights = torch.softmax(scores, dim=-1)
        dropped = weights if options.kept is None else torch.mul(weights, options.kept, out=scores)
        context.save_for_backward(queries, keys, values, weights, dropped)
        context.options = options
        return _collect(torch.bmm(dropped, values), layout)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, weights, dropped = context.saved_tensors
        options: Options = context.options
        layout = options.layout
        rows = gradient.reshape(-1, gradient.shape[-1])
        attended = torch.zeros_like(values).view(-1, rows.shape[1]).index_copy_(0, layout.slots, rows).view_as(values)
        of_value = torch.bmm(dropped.transpose(1, 2), attended)
        of_weights = torch.bmm(attended, values.transpose(1, 2))  # (S·H, L, L)
        if options.kept is not None:
            of_weights.mul_(options.kept)
        of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
        of_query = torch.bmm(of_scores, keys).mul_(options.scale)
        of_key = torch.bmm(of_scores.transpose(1, 2), queries)  # the queries hold the scale already
        return _collect(of_query, layout), _collect(of_key, layout), _collect(of_value, layout), None


def attend_short(query: Tensor, key: Tensor, value: Tensor, options: Options) -> Tensor:
    """Attend within sequences (Vaswani et al. 2017, eq. 1).

    Args:
        query: (T, H, d) of packed tokens.
        key: (T, H, d).
        value: (T, H, d).
        options: layout, mask, dropout and scale.

    Returns:
        (T, H, d).
    """
    with torch.autocast(query.device.type, enabled=False):  # it would turn the scores into fp32 and back
        attended: Tensor = _ShortAttention.apply(query, key.to(query.dtype), value.to(query.dtype), options)  # type: ignore[no-untyped-call]
    return attended


def _lay_out(tokens: Tensor, layout: Layout) -> Tensor:
    """(T, H, d) → (S · H, L, d); the gaps hold anything."""
    width = tokens.shape[-1]
    return tokens.reshape(-1, width).index_select(0, layout.gather).view(-1, layout.longest, width)


def _collect(laid_out: Tensor, layout: Layout) -> Tensor:
    """(S · H, L, d) → (T, H, d)."""
    width = laid_out.shape[-1]
    return laid_out.view(-1, width).index_select(0, layout.slots).view(-1, layout.heads, width)
