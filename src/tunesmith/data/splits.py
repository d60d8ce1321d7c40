"""A development split: stratified, seeded, and without a text that stands on both sides."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

Row = TypeVar("Row")


def split_rows(
    rows: Sequence[Row],
    label_of: Callable[[Row], Hashable],
    fraction: float,
    seed: int,
    text_of: Callable[[Row], Hashable] | None = None,
) -> tuple[list[int], list[int]]:
    """Split rows into a training and a development part.

    Each label gives its share (largest remainders, so that the whole has the right size, too); at least one
    row of each label stays for training. Rows with the same text stay together: such a group is dealt out
    under the label of its first row, and only where it fits, so the development part may be a little smaller,
    never larger.

    Args:
        rows: what is split.
        label_of: label of a row, hashable: a name, a tuple of names, the quantile of a number.
        fraction: share of the development part, between 0 and 1.
        seed: decides which rows; the same seed and rows give the same parts.
        text_of: text of a row, hashable; without it each row stands for itself.

    Returns:
        Indices of the training rows and of the development rows, each ascending. The latter is empty when no
        label has a row to spare.

    Example:
        >>> train, dev = split_rows("aaaabbbb", lambda letter: letter, 0.25, seed=13)
        >>> len(train), sorted("aaaabbbb"[index] for index in dev)
        (6, ['a', 'b'])
    """
    labels = [label_of(row) for row in rows]
    groups: dict[Any, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(index if text_of is None else text_of(row), []).append(index)
    members: dict[Hashable, list[list[int]]] = {}
    for group in groups.values():
        members.setdefault(labels[group[0]], []).append(group)
    chosen = random.Random(seed)
    shares = _shares(Counter(labels), fraction, chosen)
    left = Counter(labels)
    dev: set[int] = set()
    for label, label_groups in members.items():
        chosen.shuffle(label_groups)
        _fill(dev, label_groups, shares[label], labels, left)
    return [index for index in range(len(rows)) if index not in dev], sorted(dev)


def _shares(counts: Counter[Hashable], fraction: float, chosen: random.Random) -> dict[Hashable, int]:
    """Development rows of each label: whole parts first, then one each to the largest remainders."""
    most = {label: count - 1 for label, count in counts.items()}
    shares = {label: min(int(count * fraction), most[label]) for label, count in counts.items()}
    wanted = max(1, round(sum(counts.values()) * fraction))
    ties = {label: chosen.random() for label in counts}
    order = sorted(counts, key=lambda label: (-(counts[label] * fraction % 1), ties[label]))
    missing = wanted - sum(shares.values())
    for label in [label for label in order if shares[label] < most[label]][: max(0, missing)]:
        shares[label] += 1
    return shares


def _fill(
    dev: set[int],
    groups: Sequence[list[int]],
    share: int,
    labels: Sequence[Hashable],
    left: Counter[Hashable],
) -> None:
    """Move whole groups into `dev` until the share is full; `left` counts the training rows of each label."""
    for group in groups:
        taken = Counter(labels[index] for index in group)
        if len(group) <= share and all(left[label] > count for label, count in taken.items()):
            dev.update(group)
            left.subtract(taken)
            share -= len(group)
        if share <= 0:
            return
