"""Where sequences stand in a packed row, and how attention lays them out in rows as long as the longest of them.

On a CPU short sequences share rows, and a mask keeps them apart: the products are then about tokens × longest instead
of sequences × longest².

Letters in shapes: T tokens, S rows of the layout, L its length, H heads, d width of a head.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tunesmith.dropout import MaskPool
from tunesmith.short_attention import Layout

SHORT_TOKENS = 160
"""Up to this length plain matrix products beat the fused kernel on CPU (its masked path is slow)."""

ROUND_LENGTH = 16
"""Padded layouts are filled up to a multiple of this: each new size of a matrix product costs a new kernel."""

CUT_COST = 8_000
"""What a further run of sequences costs, in scores (query–key pairs) of one head that could be computed instead. A run
is cut in two where that saves more. Measured with `minilm` on two cores."""


@dataclass
class Segments:
    """Where sequences stand in a packed row, and how they lie in a layout of equal rows.

    Attributes:
        start: first token of the packed row that belongs to them.
        end: behind the last one.
        longest: L, the longest sequence in tokens, rounded up.
        slots: (end − start,) int64; place of each token in the (S · L) layout.
        owners: (S, L) int64; the sequence that each place belongs to, −1 in gaps.
        shared: whether a row may hold several sequences, one behind the other.
        masks: those made so far, by (causal, window, dtype).
        layouts: index maps made so far, by number of heads.
    """

    start: int
    end: int
    longest: int
    slots: Tensor
    owners: Tensor
    shared: bool
    masks: dict[tuple[bool, int | None, torch.dtype], Tensor | None] = field(default_factory=dict)
    layouts: dict[int, Layout] = field(default_factory=dict)

    @property
    def valid(self) -> Tensor:
        """(S, L) bool; True at tokens."""
        return self.owners >= 0

    def layout(self, heads: int) -> Layout:
        """Where tokens of several heads go, so that each head's sequence lies in one piece."""
        if heads not in self.layouts:
            head = torch.arange(heads, device=self.slots.device)
            sequence, place = self.slots // self.longest, self.slots % self.longest
            slots = ((sequence[:, None] * heads + head) * self.longest + place[:, None]).flatten()
            gather = torch.zeros(self.owners.numel() * heads, dtype=torch.int64, device=self.slots.device)
            gather[slots] = torch.arange(len(slots), device=self.slots.device)
            self.layouts[heads] = Layout(gather, slots, heads, self.longest)
        return self.layouts[heads]

    def mask(self, causal: bool, window: int | None, dtype: torch.dtype) -> Tensor | None:
        """Additive mask, broadcastable to (S, H, L, L), or None where every key is seen."""
        key = (causal, window, dtype)
        if key not in self.masks:
            self.masks[key] = self._make_mask(causal, window, dtype)
        return self.masks[key]

    def _make_mask(self, causal: bool, window: int | None, dtype: torch.dtype) -> Tensor | None:
        if window is not None and window >= self.longest:
            window = None
        if not (self.shared or causal or window) and bool(self.valid.all()):
            return None
        seen = self.valid[:, None, None, :]  # (S, 1, 1, L)
        if self.shared or causal or window is not None:
            # a gap sees gaps, or its softmax would be 0/0
            seen = (self.owners[:, :, None] == self.owners[:, None, :])[:, None]  # (S, 1, L, L)
        if causal or window is not None:
            place = torch.arange(self.longest, device=seen.device)
            distance = place[:, None] - place[None, :]  # (L, L) query minus key
            seen = seen & (distance >= 0 if causal else torch.ones_like(distance, dtype=torch.bool))
            if window is not None:
                seen = seen & (distance.abs() < window)
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))


@dataclass
class Blocks:
    """The sequences of a packed row in runs of similar length, so that attention pads little.

    Attributes:
        parts: the runs, in order; together they are the whole row but its tail.
        tail_tokens: tokens behind the last sequence that only round the row up; nobody attends to or from them.
        masks: where dropout masks come from; None: drawn anew.
        calls: attention calls served, so that a trunk that never asks is noticed.
    """

    parts: list[Segments]
    tail_tokens: int = 0
    masks: MaskPool | None = None
    calls: int = 0


def make_segments(bounds: Tensor, device: torch.device, shared: bool = False) -> Segments:
    """Work out the layout of neighbouring sequences.

    Args:
        bounds: (S+1,) integers on the CPU; where each sequence begins in the packed row, and the end.
        device: where the maps are needed.
        shared: put several sequences into a row where they have room; otherwise each has its own, in order.
    """
    lengths = bounds.diff().long()  # one a sequence
    longest = math.ceil(int(lengths.max()) / ROUND_LENGTH) * ROUND_LENGTH
    begins = torch.arange(len(lengths)) * longest
    if shared:
        begins = torch.tensor(share_rows(lengths.tolist(), longest))
    rows = int(begins.max()) // longest + 1
    sequence = torch.repeat_interleave(lengths)  # (T,)
    slots = (begins - (bounds[:-1].long() - bounds[0]))[sequence] + torch.arange(len(sequence))  # (T,)
    owners = torch.full((rows * longest,), -1).index_copy_(0, slots, sequence).view(rows, longest)
    return Segments(int(bounds[0]), int(bounds[-1]), longest, slots.to(device), owners.to(device), shared)


def share_rows(lengths: Sequence[int], longest: int) -> list[int]:
    """Where each sequence begins in rows of `longest` places: the longest first, each where it leaves the least room.

    Example:
        >>> share_rows([2, 5, 3, 3], 6)
        [12, 0, 6, 9]
    """
    begins = [0] * len(lengths)
    rows_with: list[list[int]] = [[] for _ in range(longest + 1)]  # by room
    rows = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        length = lengths[place]
        room = next((room for room in range(length, longest) if rows_with[room]), longest)
        if room == longest:
            row, rows = rows, rows + 1
        else:
            row = rows_with[room].pop()
        begins[place] = row * longest + longest - room
        rows_with[room - length].append(row)
    return begins


def make_blocks(bounds: Tensor, device: torch.device, tail_tokens: int = 0) -> Blocks:
    """Cut a packed row into runs of similar length; best when it is packed in order of length.

    Args:
        bounds: (S+1,) integers on the CPU.
        device: where the maps are needed; on a GPU one run is faster than several.
        tail_tokens: how many tokens were added behind the last sequence.
    """
    on_cpu = device.type == "cpu"
    lengths = bounds.diff().tolist()
    ends = cut_runs(lengths) if on_cpu else [len(lengths)]
    parts = []
    for first, behind in itertools.pairwise([0, *ends]):
        short = on_cpu and max(lengths[first:behind]) <= SHORT_TOKENS
        parts.append(make_segments(bounds[first : behind + 1], device, shared=short))
    return Blocks(parts, tail_tokens)


def cut_runs(lengths: Sequence[int]) -> list[int]:
    """Where runs of sequences end so that all scores of attention, and `CUT_COST` a run, are few: the last is the end.

    Example:
        >>> cut_runs([10] * 30 + [150])
        [30, 31]
        >>> cut_runs([10, 12, 20])
        [3]
    """
    ends: list[int] = []
    open_runs = [(0, len(lengths))]
    while open_runs:
        first, behind = open_runs.pop()
        scores, cut = _best_cut(lengths[first:behind])
        if scores + CUT_COST < _scores(sum(lengths[first:behind]), max(lengths[first:behind]), behind - first):
            open_runs += [(first + cut, behind), (first, first + cut)]
        else:
            ends.append(behind)
    return ends


def _best_cut(lengths: Sequence[int]) -> tuple[float, int]:
    """Fewest scores of two runs, and where the second begins."""
    count = len(lengths)
    tokens_before = list(itertools.accumulate(lengths))
    longest_before = list(itertools.accumulate(lengths, max))
    longest_behind = list(itertools.accumulate(reversed(lengths), max))[::-1]
    return min(
        (
            (
                _scores(tokens_before[cut - 1], longest_before[cut - 1], cut)
                + _scores(tokens_before[-1] - tokens_before[cut - 1], longest_behind[cut], count - cut),
                cut,
            )
            for cut in range(1, count)
        ),
        default=(math.inf, 0),
    )


def _scores(tokens: int, longest: int, sequences: int) -> int:
    """About how many scores a head computes for a run: short sequences share rows."""
    return tokens * longest if longest <= SHORT_TOKENS else sequences * longest**2


class _Spread(torch.autograd.Function):
    """Tokens (T, …) → padded layout (S·L, …) with zeros; the gradient is a plain selection, since slots are unique."""

    @staticmethod
    def forward(context: Any, tokens: Tensor, slots: Tensor, size: int) -> Tensor:
        context.save_for_backward(slots)
        return tokens.new_zeros(size, *tokens.shape[1:]).index_copy_(0, slots, tokens)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.index_select(0, context.saved_tensors[0]), None, None


class _Gather(torch.autograd.Function):
    """Rows → a layout with anything in its gaps. No gradient comes from the gaps: masked keys have weight 0, and what
    queries in the gaps give is never collected. So both ways are plain selections."""

    @staticmethod
    def forward(context: Any, rows: Tensor, gather: Tensor, slots: Tensor) -> Tensor:
        context.save_for_backward(slots)
        return rows.index_select(0, gather)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.index_select(0, context.saved_tensors[0]), None, None


class _Collect(torch.autograd.Function):
    """A layout → the rows at `slots`; the gradient is 0 in the gaps."""

    @staticmethod
    def forward(context: Any, padded: Tensor, slots: Tensor) -> Tensor:
        context.save_for_backward(slots)
        context.size = padded.shape[0]
        return padded.index_select(0, slots)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        slots = context.saved_tensors[0]
        spread = gradient.new_zeros(context.size, *gradient.shape[1:])
        return spread.index_copy_(0, slots, gradient), None


def spread(tokens: Tensor, segments: Segments) -> Tensor:
    """Lay packed tokens (T, …) out one sequence a row: (S, L, …), zeros behind the short ones."""
    count, longest = segments.valid.shape
    if tokens.shape[0] == count * longest:
        return tokens.reshape(count, longest, *tokens.shape[1:])
    flat: Tensor = _Spread.apply(tokens, segments.slots, count * longest)  # type: ignore[no-untyped-call]
    return flat.view(count, longest, *tokens.shape[1:])


def spread_heads(tokens: Tensor, segments: Segments) -> Tensor:
    """Lay tokens (T, H, d) out as (S, H, L, d), each head's sequence in one piece; the gaps hold anything."""
    heads, width = tokens.shape[1:]
    layout = segments.layout(heads)
    rows: Tensor = _Gather.apply(tokens.reshape(-1, width), layout.gather, layout.slots)  # type: ignore[no-untyped-call]
    return rows.view(len(segments.valid), heads, segments.longest, width)


def collect_heads(attended: Tensor, segments: Segments) -> Tensor:
    """Take the tokens (T, H, d) out of (S, H, L, d)."""
    heads, width = attended.shape[1], attended.shape[3]
    slots = segments.layout(heads).slots
    rows: Tensor = _Collect.apply(attended.reshape(-1, width), slots)  # type: ignore[no-untyped-call]
    return rows.view(-1, heads, width)
