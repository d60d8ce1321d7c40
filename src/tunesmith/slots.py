"""Slots in front of each text: learnt vectors in the place of words, written as the token ids −1, −2 … −K.

Letters in shapes: T tokens, S sequences, K slots, D width of the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.contracts import Batch
from tunesmith.errors import MethodError


class SlotEmbedding(nn.Module):
    """A frozen token embedding and the vectors of slots.

    Args:
        base: the trunk's own embedding.
        starts: (K,) ids of the tokens whose vectors the slots start from.
    """

    def __init__(self, base: nn.Module, starts: Tensor) -> None:
        super().__init__()
        self.base_layer = base
        self.slots = nn.Embedding.from_pretrained(self.weight.detach()[starts].clone(), freeze=False)

    @property
    def weight(self) -> Tensor:
        """(V, D): the table beneath, which heads and added tokens read."""
        return torch.as_tensor(self.base_layer.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """(…) ids, negative ones of slots → (…, D)."""
        words = torch.as_tensor(self.base_layer(ids.clamp(min=0)))
        filled = self.slots((-1 - ids).clamp(min=0)).to(words.dtype)
        return torch.where((ids < 0)[..., None], filled, words)


def slot_ids(count: int) -> list[int]:
    """The ids of so many slots, in the order in which they stand.

    Example:
        >>> slot_ids(3)
        [-1, -2, -3]
    """
    return [-1 - place for place in range(count)]


def put_slots(batch: Batch, positions: Tensor) -> tuple[Batch, Tensor]:
    """Put slots in front of each sequence of a batch.

    Args:
        batch: T tokens of S sequences.
        positions: (K,) of the slots.

    Returns:
        A batch of T + S · K tokens without items, and (T,) where the batch's own tokens stand in it.
    """
    count, device = len(positions), batch.input_ids.device
    lengths = batch.bounds.diff().long()
    owners = torch.repeat_interleave(lengths)  # (T,)
    places = (torch.arange(len(owners)) + count * (owners + 1)).to(device)
    total = len(owners) + count * len(lengths)

    def between(own: Tensor, of_slots: Tensor) -> Tensor:
        whole = own.new_empty(total)
        is_slot = torch.ones(total, dtype=torch.bool, device=device).index_fill_(0, places, False)
        whole[is_slot] = of_slots.to(own).repeat(len(lengths))
        whole[places] = own
        return whole

    longer = replace(
        batch,
        input_ids=between(batch.input_ids, torch.tensor(slot_ids(count))),
        positions=between(batch.positions, positions),
        segment_ids=between(batch.segment_ids, torch.zeros(count)),
        bounds=batch.bounds + count * torch.arange(len(batch.bounds), dtype=batch.bounds.dtype),
        items=[],
        group_sizes=[],
    )
    return longer, places


def refuse_too_many(count: int, max_tokens: int) -> None:
    """Raise MethodError where what is learnt in front is longer than texts may be: it would cost the square of that."""
    if count > max_tokens:
        raise MethodError(
            f"method.length is {count}, but this model reads at most {max_tokens} tokens",
            fix=f"--set method.length={max_tokens} or less",
        )


def starting_ids(tokenizer: Any, count: int, text: str) -> Tensor:
    """(count,) ids of the tokens that learnt vectors start from: those of a text, from its beginning again where it is
    short; of no text: drawn from the vocabulary by torch's generator.
    """
    special = set(tokenizer.all_special_ids)
    ids: Sequence[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] if text else []
    if ids:
        return torch.tensor([ids[place % len(ids)] for place in range(count)])
    words = torch.tensor([token for token in sorted(tokenizer.get_vocab().values()) if token not in special])
    return words[torch.randint(len(words), (count,))]
