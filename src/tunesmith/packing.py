"""The batch plan and the packing of sequences into one row: pure functions, no history.

The order of an epoch depends on (seed, epoch) and nothing else, so a run can be taken up again at any step.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from tunesmith.contracts import Batch, Encoded, Groups


@dataclass(frozen=True)
class Sizes:
    """How much goes into an optimizer step.

    Attributes:
        batch_size: groups in a step, used when batch_tokens is None.
        batch_tokens: most tokens in a step, or None. A single longer group stands alone.
    """

    batch_size: int
    batch_tokens: int | None = None


def epoch_order(number_of_groups: int, seed: int, epoch: int) -> list[int]:
    """Return a shuffled order of the groups, a function of (seed, epoch) alone.

    Example:
        >>> epoch_order(4, seed=1, epoch=0) == epoch_order(4, seed=1, epoch=0)
        True
    """
    order = list(range(number_of_groups))
    random.Random(f"order/{seed}/{epoch}").shuffle(order)
    return order


def plan_epoch(lengths_tokens: Sequence[int], sizes: Sizes, seed: int, epoch: int) -> list[list[int]]:
    """Cut a shuffled epoch into optimizer steps.

    Args:
        lengths_tokens: tokens of each group.
        sizes: how much goes into a step.
        seed: the run's seed.
        epoch: 0-based.

    Returns:
        For each step its group indices; every group stands in exactly one step.

    Example:
        >>> sorted(sum(plan_epoch([5, 5, 5], Sizes(batch_size=2), seed=0, epoch=0), []))
        [0, 1, 2]
    """
    order = epoch_order(len(lengths_tokens), seed, epoch)
    if sizes.batch_tokens is None:
        return [order[start : start + sizes.batch_size] for start in range(0, len(order), sizes.batch_size)]
    return fill(order, lengths_tokens, sizes.batch_tokens)


def deal(sizes: Sequence[int], seed: int, epoch: int) -> list[list[int]]:
    """Deal the items 0 … N-1 into groups of these sizes in a shuffled order, a function of (seed, epoch) alone.

    Example:
        >>> dealt = deal([2, 1], seed=1, epoch=0)
        >>> [len(group) for group in dealt], sorted(sum(dealt, []))
        ([2, 1], [0, 1, 2])
    """
    order = list(range(sum(sizes)))
    random.Random(f"deal/{seed}/{epoch}").shuffle(order)
    taken = iter(order)
    return [list(itertools.islice(taken, size)) for size in sizes]


def fill(order: Sequence[int], lengths_tokens: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Cut an order into runs of at most `budget_tokens` tokens; a longer single entry makes a run of its own.

    Example:
        >>> fill([0, 1, 2], [3, 3, 9], budget_tokens=6)
        [[0, 1], [2]]
    """
    runs: list[list[int]] = []
    room_tokens = -1
    for index in order:
        if lengths_tokens[index] > room_tokens:
            runs.append([])
            room_tokens = budget_tokens
        runs[-1].append(index)
        room_tokens -= lengths_tokens[index]
    return runs


def sorted_runs(lengths_tokens: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Cut rows, sorted by length so that neighbours need little padding, into runs of at most `budget_tokens`."""
    order = sorted(range(len(lengths_tokens)), key=lambda index: lengths_tokens[index])
    return fill(order, lengths_tokens, budget_tokens)


LengthsIn = Callable[[int], Sequence[int]]
"""Epoch → tokens of each group then: a pure function, so that a plan can be made again from any step."""


@dataclass(frozen=True)
class Schedule:
    """All steps of a training run.

    Attributes:
        lengths_tokens: tokens of each group.
        sizes: how much goes into a step.
        seed: the run's seed.
        total_steps: optimizer steps in the whole run.
        steps_in_epochs: optimizer steps of each epoch begun, whole; of different number where groups are dealt anew.
        lengths_in: of groups that change from epoch to epoch; None: they have `lengths_tokens` in all of them.
    """

    lengths_tokens: tuple[int, ...]
    sizes: Sizes
    seed: int
    total_steps: int
    steps_in_epochs: tuple[int, ...]
    lengths_in: LengthsIn | None = None

    def steps_from(self, start: int) -> Iterator[tuple[int, int, float, list[int]]]:
        """Yield (step, epoch, epochs done after it, group indices) for the steps start+1 … total_steps."""
        before = 0
        for epoch, count in enumerate(self.steps_in_epochs):
            if start < before + count:
                lengths_tokens = _lengths_in(epoch, self.lengths_tokens, self.lengths_in)
                plan = plan_epoch(lengths_tokens, self.sizes, self.seed, epoch)
                for place in range(max(0, start - before), min(count, self.total_steps - before)):
                    yield before + place + 1, epoch, epoch + (place + 1) / count, plan[place]
            before += count


def schedule_run(
    lengths_tokens: Sequence[int],
    sizes: Sizes,
    seed: int,
    epochs: float,
    max_steps: int | None = None,
    lengths_in: LengthsIn | None = None,
) -> Schedule:
    """Plan a whole run.

    Args:
        lengths_tokens: tokens of each group.
        sizes: how much goes into a step.
        seed: the run's seed.
        epochs: passes over the groups; a fraction ends inside an epoch.
        max_steps: ends the run earlier or, where epochs would end before, does nothing.
        lengths_in: of as many groups that change from epoch to epoch; asked only where `sizes` counts tokens.

    Example:
        >>> schedule_run([4] * 10, Sizes(batch_size=4), seed=0, epochs=1.5).total_steps
        5
    """
    counts: list[int] = []
    total = 0
    while len(counts) < epochs and (max_steps is None or total < max_steps):
        counts.append(_steps_in_epoch(lengths_tokens, sizes, seed, len(counts), lengths_in))
        share = min(1.0, epochs - len(counts) + 1)
        total += math.ceil(round(counts[-1] * share, 9))  # 1.1 epochs of 10 steps are 11 steps, not 11.000000000000001
    total = max(1, total if max_steps is None else min(total, max_steps))
    return Schedule(
        tuple(lengths_tokens), sizes, seed, total, tuple(counts), None if sizes.batch_tokens is None else lengths_in
    )


def _lengths_in(epoch: int, lengths_tokens: Sequence[int], lengths_in: LengthsIn | None) -> Sequence[int]:
    return lengths_tokens if lengths_in is None else lengths_in(epoch)


def _steps_in_epoch(
    lengths_tokens: Sequence[int], sizes: Sizes, seed: int, epoch: int, lengths_in: LengthsIn | None
) -> int:
    if sizes.batch_tokens is None:
        return math.ceil(len(lengths_tokens) / sizes.batch_size)
    return len(plan_epoch(_lengths_in(epoch, lengths_tokens, lengths_in), sizes, seed, epoch))


def pack(groups: Sequence[Sequence[Encoded]], device: torch.device | str = "cpu") -> Batch:
    """Lay the sequences of groups of items end to end.

    Args:
        groups: items that stay together, in order.
        device: where the tensors go.

    Example:
        >>> batch = pack([[Encoded(sequences=([5, 6, 7],), target=0, row=0)], [Encoded(([8],), 1, row=1)]])
        >>> batch.input_ids.tolist(), batch.positions.tolist(), batch.bounds.tolist()
        ([5, 6, 7, 8], [0, 1, 2, 0], [0, 3, 4])
    """
    items = [item for group in groups for item in group]
    sequences = [sequence for item in items for sequence in item.sequences]
    types = [ids for item in items for ids in (item.segment_ids or [[0] * len(s) for s in item.sequences])]
    bounds = [0]
    for sequence in sequences:
        bounds.append(bounds[-1] + len(sequence))
    flat = torch.tensor(
        [
            [token for sequence in sequences for token in sequence],
            [position for sequence in sequences for position in range(len(sequence))],
            [kind for ids in types for kind in ids],
        ],
        dtype=torch.int64,
    ).to(device)  # (3, T)
    return Batch(
        input_ids=flat[0],
        positions=flat[1],
        segment_ids=flat[2],
        bounds=torch.tensor(bounds, dtype=torch.int32),
        items=items,
        group_sizes=[len(group) for group in groups],
    )


def split_sequences(batch: Batch) -> list[torch.Tensor]:
    """Token ids of each of the S sequences of a batch, in order.

    Example:
        >>> [ids.tolist() for ids in split_sequences(pack([[Encoded(([5, 6], [7]), 0, row=0)]]))]
        [[5, 6], [7]]
    """
    return list(torch.split(batch.input_ids, batch.bounds.diff().tolist()))


def group_items(items: Sequence[Encoded], groups: Groups) -> list[list[Encoded]]:
    """Turn item indices into items; a check that every item stands in exactly one group.

    Raises:
        ValueError: a task's `groups` lost or doubled an item.
    """
    if sorted(index for group in groups for index in group) != list(range(len(items))):
        raise ValueError("Task.groups must name every item exactly once")
    return [[items[index] for index in group] for group in groups]


def group_lengths(groups: Sequence[Sequence[Encoded]]) -> list[int]:
    """Tokens of each group."""
    return [sum(item.length_tokens for item in group) for group in groups]
