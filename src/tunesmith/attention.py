"""Attention over packed sequences: one function for every trunk that goes through the attention interface.

Everything outside attention works token by token, so a packed row needs no padding there. Inside attention the queries,
keys and values are laid out in rows (`segments`). An attention layer may hold learnt keys and values (`Prefix`), which
stand in front of those of each sequence, packed or padded.

Letters in shapes: T tokens, S rows of the layout, L its length, H heads, K key heads, d width of a head, P length of a
prefix.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tunesmith.dropout import MaskPool
from tunesmith.segments import SHORT_TOKENS, Blocks, Segments, collect_heads, spread_heads
from tunesmith.short_attention import Options, attend_short

HARMLESS = frozenset(
    {"segments", "position_ids", "cache_position", "use_cache", "output_attentions", "output_hidden_states"}
    | {"return_dict", "cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "deterministic"}
    | {"num_items_in_batch", "position_embeddings", "token_type_ids"}
)
"""Keywords that may reach attention without changing what it computes."""


PREFIX = "learned_prefix"
"""Name of the part of an attention layer that holds its prefix."""
_SEEN = "seen_keys_and_values"


class Prefix(nn.Module):
    """Learnt keys and values of an attention layer.

    Args:
        keys: (K, P, d) what they start from.
        values: (K, P, d).
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.heads = len(keys)
        self.keys, self.values = (
            nn.Embedding.from_pretrained(start.transpose(0, 1).flatten(1).clone(), freeze=False)  # (P, K · d)
            for start in (keys, values)
        )

    def in_front(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """(S, K, L, d) of texts → (S, K, P + L, d) with the prefix in front, twice."""
        found = []
        for table, behind in ((self.keys, keys), (self.values, values)):
            own = table.weight.unflatten(1, (self.heads, -1)).transpose(0, 1).to(behind.dtype)  # (K, P, d)
            found.append(torch.cat([own.expand(len(behind), -1, -1, -1), behind], dim=2))
        return found[0], found[1]

    def widen(self, mask: Tensor | None) -> Tensor | None:
        """A mask (…, L) of keys → (…, P + L): the prefix is seen by all."""
        if mask is None:
            return None
        return functional.pad(mask, (self.keys.num_embeddings, 0), value=True if mask.dtype == torch.bool else 0.0)


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention of packed sequences, none of which sees another.

    Args:
        module: the attention layer; `is_causal` is read from it where the call does not say.
        query: (1, H, T, d).
        key: (1, K, T, d); K divides H.
        value: (1, K, T, d).
        attention_mask: always None here.
        options: what the trunk passes on: segments, dropout, scaling, is_causal, sliding_window.

    Returns:
        (1, T, H, d) and None.

    Raises:
        NotImplementedError: no segments arrived, or the trunk passes something that would change the result.
    """
    blocks = options.get("segments")
    if not isinstance(blocks, Blocks):
        raise NotImplementedError("packed attention was called without segments")
    _refuse_unknown(options, attention_mask)
    blocks.calls += 1
    causal = _is_causal(module, options)
    dropout, scaling = options.get("dropout") or 0.0, options.get("scaling")
    tokens = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]  # (T, H, d), (T, K, d) twice
    done: list[Tensor] = []
    for part in blocks.parts:
        mask = part.mask(causal, options.get("sliding_window"), query.dtype)
        rows = [tensor[part.start : part.end] for tensor in tokens]
        attend = attend_plainly if is_short(part, query.device) else attend_fused
        if hasattr(module, PREFIX):
            attend = partial(attend_fused, prefix=getattr(module, PREFIX))
        done.append(attend((rows[0], rows[1], rows[2]), part, mask, (dropout, blocks.masks), scaling))  # (T, H, d)
    if blocks.tail_tokens:
        done.append(done[-1].new_zeros(blocks.tail_tokens, *done[-1].shape[1:]))
    return (torch.cat(done) if len(done) > 1 else done[0])[None], None


def _is_causal(module: nn.Module, options: dict[str, Any]) -> bool:
    """What the call says, or the layer where it does not."""
    told = options.get("is_causal")
    return bool(getattr(module, "is_causal", False) if told is None else told)


def _refuse_unknown(options: dict[str, Any], attention_mask: Tensor | None) -> None:
    known = HARMLESS | {"dropout", "scaling", "is_causal", "sliding_window"}
    strange = sorted(name for name, value in options.items() if name not in known and value is not None)
    if attention_mask is not None:
        strange.append("attention_mask")
    if strange:
        raise NotImplementedError(f"packed attention does not know {', '.join(strange)}")


Rows = tuple[Tensor, Tensor, Tensor]
"""Queries (T, H, d), keys and values (T, K, d) of packed tokens."""
Dropout = tuple[float, MaskPool | None]
"""Share of attention weights dropped, 0 when not training, and where masks come from; None: drawn anew."""


def is_short(segments: Segments, device: torch.device) -> bool:
    """Whether plain products are faster than the fused kernel."""
    return device.type == "cpu" and segments.longest <= SHORT_TOKENS


def attend_plainly(
    rows: Rows, segments: Segments, mask: Tensor | None, dropout: Dropout, scaling: float | None
) -> Tensor:
    """softmax(q kᵀ · scaling + mask) v (Vaswani et al. 2017, eq. 1) by plain products.

    Args:
        rows: of the segments' tokens.
        segments: where sequences stand.
        mask: additive, broadcastable to (S, H, L, L), or None.
        dropout: of attention weights.
        scaling: factor of the scores; default 1/sqrt(d).

    Returns:
        (T, H, d).
    """
    query, key, value = rows
    heads = query.shape[1]
    key, value = _for_all_heads(key, heads), _for_all_heads(value, heads)
    share, pool = dropout
    shape = (len(segments.valid) * heads, segments.longest, segments.longest)
    kept = None if share == 0 else _keep(shape, query.dtype, share, pool)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return attend_short(query, key, value, Options(segments.layout(heads), mask, kept, scale))


def _keep(shape: tuple[int, int, int], dtype: torch.dtype, share: float, pool: MaskPool | None) -> Tensor:
    """0 where a weight is dropped, 1 / (1 − share) elsewhere."""
    if pool is not None:
        return pool.cut(shape, dtype, share)
    return functional.dropout(torch.ones(shape, dtype=dtype), share)


def attend_fused(
    rows: Rows,
    segments: Segments,
    mask: Tensor | None,
    dropout: Dropout,
    scaling: float | None,
    prefix: Prefix | None = None,
) -> Tensor:
    """What `attend_plainly` does, by torch's fused kernel: for long sequences, on GPUs, and behind a prefix."""
    query, key, value = (spread_heads(tensor, segments) for tensor in rows)  # (S, H, L, d), (S, K, L, d) twice
    if prefix is not None:
        (key, value), mask = prefix.in_front(key, value), prefix.widen(mask)
    key, value = _for_all_heads(key, query.shape[1]), _for_all_heads(value, query.shape[1])
    attended = functional.scaled_dot_product_attention(query, key, value, mask, dropout[0], scale=scaling)
    return collect_heads(attended, segments)


def _for_all_heads(keys: Tensor, heads: int) -> Tensor:
    """(·, K, …) → (·, H, …): several heads of queries share a head of keys."""
    return keys if keys.shape[1] == heads else keys.repeat_interleave(heads // keys.shape[1], dim=1)


def prefixed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention of rows that are filled up, each behind the layer's prefix: of trunks with one that do not run packed.

    Args:
        module: the attention layer.
        query: (B, H, L, d).
        key: (B, K, M, d), M of them, cached ones among them.
        value: (B, K, M, d).
        attention_mask: (B, 1, L, M), True or 0 where a key is seen; None: all, or of causal layers all before.
        options: as of `packed_attention`; a window is in the mask already.

    Returns:
        (B, L, H, d) and None.
    """
    _refuse_unknown(options, None)
    causal = _is_causal(module, options)
    mask = attention_mask
    if mask is None and causal and query.shape[2] > 1:
        seen = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device)
        mask = seen.tril(key.shape[2] - query.shape[2])
    prefix = getattr(module, PREFIX, None)
    if prefix is not None:
        (key, value), mask = prefix.in_front(key, value), prefix.widen(mask)
    key, value = _for_all_heads(key, query.shape[1]), _for_all_heads(value, query.shape[1])
    dropout, scaling = options.get("dropout") or 0.0, options.get("scaling")
    attended = functional.scaled_dot_product_attention(query, key, value, mask, dropout, scale=scaling)
    return attended.transpose(1, 2).contiguous(), None


def watched_attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any
) -> tuple[Tensor, None]:
    """`prefixed_attention` of one row that leaves the keys and values it got with its layer, for `take_seen`."""
    vars(module)[_SEEN] = (key[0], value[0])
    return prefixed_attention(module, query, key, value, *rest, **options)


def take_seen(hf: nn.Module) -> dict[nn.Module, tuple[Tensor, Tensor]]:
    """Take the keys and values (K, L, d) that `watched_attention` left with the layers of a model."""
    return {layer: vars(layer).pop(_SEEN) for layer in hf.modules() if _SEEN in vars(layer)}
