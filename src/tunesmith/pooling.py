"""One vector of many: the hidden states of a packed batch, pooled by sequence.

Letters in shapes: T tokens, S sequences, L longest sequence, D hidden width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tunesmith.contracts import Batch
from tunesmith.segments import make_segments, spread


def pool_states(hidden: Tensor, batch: Batch, pooling: str, pad_id: int | None) -> Tensor:
    """One vector a sequence.

    Args:
        hidden: (T, D).
        batch: where the sequences stand.
        pooling: "first", "last" (token that does not pad), "mean" or "max".
        pad_id: of the token that pads, which texts may end in.

    Returns:
        (S, D), in the dtype of `hidden`.
    """
    bounds = batch.bounds.long().to(hidden.device)
    if pooling == "first":
        return hidden[bounds[:-1]]
    if pooling == "last":
        return hidden[_last_places(batch.input_ids, bounds, pad_id)]
    segments = make_segments(batch.bounds, hidden.device)
    rows = spread(hidden, segments)  # (S, L, D)
    if pooling == "max":
        return rows.masked_fill(~segments.valid[..., None], float("-inf")).amax(dim=1)
    return (rows.float().sum(dim=1) / bounds.diff()[:, None]).to(hidden.dtype)


def _last_places(ids: Tensor, bounds: Tensor, pad_id: int | None) -> Tensor:
    """(S,) place of each sequence's last token that does not pad: what Hugging Face's decoder heads read.

    It matters where texts end in the token that also pads, as with some tokenizers that have no other one.
    """
    is_text = ids != (-1 if pad_id is None else pad_id)
    places = torch.arange(len(ids), device=ids.device).where(is_text, 0)
    owners = torch.repeat_interleave(bounds.diff())  # (T,)
    return bounds[:-1].scatter_reduce(0, owners, places, "amax")
