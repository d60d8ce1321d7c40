"""What is computed on: items as token ids, packed batches, and the report of a step.

Letters in shapes: T tokens of a packed batch, S sequences in it, D hidden width, C classes, B rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


IGNORED = -100
"""Target of a token that is not asked for."""

Groups = Sequence[Sequence[int]]
"""Item indices that must stand in one micro-batch, because their loss couples them; [[0], [1], …] by default."""

Outputs = Mapping[str, "Tensor"]
"""What `Task.forward` computes, by name. `loss`, `decode` and penalties read it.

"vectors" (S, D), where it is there, is what the head reads: one vector a sequence, which says what texts are alike;
with `HeadSpec.vectors` above 1 that many side by side.
"""


@dataclass(frozen=True)
class Encoded:
    """One part of one row as token ids; plain integers, no tensors.

    Attributes:
        sequences: token ids of each sequence: one for most tasks; several for choices, triplets, source and target.
        target: what the task learns from it (a class id, a tuple of class ids, a number); None when only predicting.
        row: index of the row it was made from, 0-based.
        part: 0 for the whole row or its first window, 1, 2 … for further windows of a long row.
        meta: for decoding only (character offsets and the like).
        places: places in the sequence whose hidden states answers are read from; () where one vector stands for all.
        cut_tokens: tokens of the row that no part holds, because the text was longer than the model allows.
        lost: answers of the row that no prediction can express, as people read them; each counts as a miss.
        segment_ids: token types of each sequence (0 first text, 1 second), or () where the trunk has none.
    """

    sequences: tuple[list[int], ...]
    target: Any
    row: int
    part: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[int, ...] = ()
    cut_tokens: int = 0
    lost: tuple[str, ...] = ()
    segment_ids: tuple[list[int], ...] = ()

    @property
    def length_tokens(self) -> int:
        """Number of tokens over all sequences."""
        return sum(len(sequence) for sequence in self.sequences)


@dataclass
class Batch:
    """Packed sequences: T tokens of S sequences in one row, no padding.

    Attributes:
        input_ids: (T,) int64 token ids; a negative id is a slot that a prompt method fills.
        positions: (T,) int64, restarting at 0 with each sequence.
        segment_ids: (T,) int64 token types.
        bounds: (S+1,) int32; sequence s stands at bounds[s]:bounds[s+1].
        items: the parts the sequences belong to, in order; an item with k sequences owns k neighbouring ones.
        group_sizes: number of neighbouring items of each group.
    """

    input_ids: Tensor
    positions: Tensor
    segment_ids: Tensor
    bounds: Tensor
    items: list[Encoded]
    group_sizes: list[int]


@dataclass(frozen=True)
class StepReport:
    """What the engine yields after each optimizer step.

    Attributes:
        step: optimizer steps done, from 1.
        epoch: epochs done, as a fraction.
        loss: mean loss over the step's units.
        units: what the loss was averaged over, such as rows.
        learning_rate: of the top parameter group in this step.
        gradient_norm: before clipping.
        tokens: real tokens in the step.
        seconds: duration of the step.
        micro_batches: forward–backward passes the step was split into.
        micro_batch_tokens: most tokens in one pass; halved when memory ran out.
    """

    step: int
    epoch: float
    loss: float
    units: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    seconds: float
    micro_batches: int
    micro_batch_tokens: int
