"""Exact vocabulary compaction: train on the embedding rows that the data touches, put them back at the end.

Rows that no text touches get no gradient and, without weight decay on embeddings, no update; leaving them out changes
nothing but the time and memory their gradients and optimizer states take.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tunesmith.contracts import Encoded
from tunesmith.model import Model


@dataclass(frozen=True)
class Compaction:
    """What was put away.

    Attributes:
        full: (V, D) the whole embedding table.
        used: (U,) int64 token ids that stay, ascending.
        padding_idx: of the whole table.
    """

    full: Tensor
    used: Tensor
    padding_idx: int | None


class _Buffer:
    """A gradient table that is kept from step to step; only the rows of the last step are cleared.

    Args:
        table: (U, D) zeros are made like it.
    """

    def __init__(self, table: Tensor) -> None:
        self.rows = torch.zeros_like(table)
        self._touched: list[Tensor] = []

    def clear(self) -> Tensor:
        """All zeros again."""
        for ids in self._touched:
            self.rows.index_fill_(0, ids, 0.0)
        self._touched = []
        return self.rows

    def add(self, ids: Tensor, rows: Tensor) -> None:
        """Add `rows` (N, D) at `ids` (N,)."""
        self._touched.append(ids)
        self.rows.index_add_(0, ids, rows)


class _Lookup(torch.autograd.Function):
    """Rows of a table; the gradient is added into one buffer that is kept from step to step.

    The usual backward makes a new zero-filled table each time, most of which stays zero: up to a third of a step.
    """

    @staticmethod
    def forward(context: Any, table: Tensor, ids: Tensor, buffer: _Buffer, padding_idx: int | None) -> Tensor:
        context.table, context.ids, context.buffer, context.padding_idx = table, ids, buffer, padding_idx
        return functional.embedding(ids, table)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[None, ...]:
        table, ids = context.table, context.ids.flatten()
        rows = gradient.reshape(len(ids), -1).to(table.dtype)
        if context.padding_idx is not None:
            rows = rows.masked_fill((ids == context.padding_idx)[:, None], 0.0)
        if table.grad is None:
            table.grad = context.buffer.clear()
        context.buffer.add(ids, rows)
        return None, None, None, None


def can_compact(model: Model) -> bool:
    """Whether the embedding is trained and nothing else (a language-model head, a decoder) reads its other rows."""
    embedding = model.hf.get_input_embeddings()
    return (
        isinstance(embedding, nn.Embedding)
        and embedding.weight.requires_grad
        and model.hf.get_output_embeddings() is None
        and not model.has_decoder
    )


def used_ids(items: Iterable[Encoded], always: Iterable[int]) -> list[int]:
    """Token ids that stand in the items, and those named, ascending.

    Example:
        >>> used_ids([Encoded(sequences=([7, 5],), target=None, row=0)], always=[0])
        [0, 5, 7]
    """
    found = {token for item in items for sequence in item.sequences for token in sequence}
    return sorted(token for token in found | set(always) if token >= 0)


def compact(model: Model, ids: list[int]) -> Compaction:
    """Shrink the token embedding to the rows of `ids`; the model's input ids stay those of the whole vocabulary.

    Args:
        model: changed in place.
        ids: ascending token ids, all that will be fed until `expand`.
    """
    embedding = model.hf.get_input_embeddings()
    used = torch.tensor(ids, dtype=torch.int64, device=embedding.weight.device)
    compaction = Compaction(embedding.weight.data, used, embedding.padding_idx)
    model.compact_ids = torch.full((embedding.num_embeddings,), -1, dtype=torch.int64, device=used.device)
    model.compact_ids[used] = torch.arange(len(ids), device=used.device)
    if embedding.padding_idx is not None:
        embedding.padding_idx = ids.index(embedding.padding_idx) if embedding.padding_idx in ids else None
    _set_rows(embedding, compaction.full[used])
    buffer = _Buffer(embedding.weight.detach())
    vars(embedding)["forward"] = lambda ids: _Lookup.apply(  # type: ignore[no-untyped-call]
        embedding.weight, ids, buffer, embedding.padding_idx
    )
    return compaction


def expand(model: Model, compaction: Compaction) -> None:
    """Write the trained rows back into the whole table and give the model its whole embedding again."""
    embedding = model.hf.get_input_embeddings()
    compaction.full[compaction.used] = embedding.weight.data
    del vars(embedding)["forward"]
    embedding.padding_idx = compaction.padding_idx
    _set_rows(embedding, compaction.full)
    model.compact_ids = None


def _set_rows(embedding: nn.Embedding, rows: Tensor) -> None:
    embedding.weight = nn.Parameter(rows, requires_grad=embedding.weight.requires_grad)
    embedding.num_embeddings = rows.shape[0]
