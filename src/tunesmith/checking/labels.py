"""What is doubtful about labels: their names, how often each stands there, and how the splits differ."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.checking.findings import MOST_EXAMPLES, Finding, Place, name_some, say_rows, say_share
from tunesmith.checking.gathering import Facts
from tunesmith.checking.spelling import find_placeholders, find_variants, say_variants
from tunesmith.contracts import Labels
from tunesmith.errors import DataError

RARE_ROWS = 5
"""A label that stands in fewer training rows is hardly learnt."""
MAJORITY_SHARE = 0.8
IMBALANCE = 50
"""Most frequent label by least frequent one, of those that are not rare."""
SHIFT = 0.1
"""Total variation distance between the labels of two splits from which it is reported."""
LARGE_SHIFT = 0.25
SHIFT_CHANCE = 1e-4
"""Largest probability that such a difference is chance."""
MIXED_SHARE = 0.9
"""Numbers among the labels from which the others are the odd ones."""
MOST_CLASSES = 20
"""More different numbers than this are no classes."""


@dataclass(frozen=True)
class LabelFacts:
    """The labels of all splits, the training split first."""

    labels: Labels
    facts: Sequence[Facts]

    @property
    def counts(self) -> Counter[str]:
        """How often each name stands in all splits together."""
        return sum((split.labels for split in self.facts), Counter())

    def places(self, names: Sequence[str]) -> tuple[tuple[Place, ...], ...]:
        """Rows that hold these labels, one of each first."""
        rows = [
            (turn, order, Place(index, row))
            for index, split in enumerate(self.facts)
            for order, name in enumerate(names)
            for turn, row in enumerate(split.label_rows.get(name, ()))
        ]
        return tuple((place,) for _, _, place in sorted(rows)[:MOST_EXAMPLES])

    def by_split(self, names: Sequence[str]) -> dict[str, int]:
        """How often these names stand in each split."""
        counts = {split.name: sum(split.labels[name] for name in names) for split in self.facts}
        return {name: count for name, count in counts.items() if count}


def find_label_faults(found: LabelFacts, refused: DataError | None) -> list[Finding]:
    """All findings about labels.

    Args:
        found: names and counts.
        refused: what the task said against the labels, if it did.
    """
    counts = found.counts
    total = sum(counts.values())
    if found.labels.kind == "number" or not total:
        return [*_misfits(found), *_refusal(found, refused)]
    mixed = _mixed(found, counts, total)
    findings = [*_refusal(found, refused), *_placeholders(found, counts, total), *mixed]
    if refused is None and not mixed:
        findings += [
            *_variants(found, counts, total),
            *_rare(found, counts),
            *_imbalance(found),
            *_unseen(found),
            *_missing(found),
            *_shift(found),
        ]
    return findings


def _refusal(found: LabelFacts, refused: DataError | None) -> Iterator[Finding]:
    if refused is not None:
        rows = sum(split.rows for split in found.facts)
        yield Finding("label_column", "error", rows, 1.0, refused.message, refused.fix or "name the right column")


def _misfits(found: LabelFacts) -> Iterator[Finding]:
    """Labels that are no numbers where the others are."""
    faults = [(index, split.faults.get("misfit_labels", (0, []))) for index, split in enumerate(found.facts)]
    if count := sum(number for _, (number, _) in faults):
        rows = sum(split.rows for split in found.facts)
        yield Finding(
            "mixed_labels",
            "error",
            count,
            count / rows,
            f"{say_rows(count, 'label')} {'is no number' if count == 1 else 'are no numbers'}, and the others are",
            "correct them or take these rows out",
            tuple((Place(index, row),) for index, (_, first) in faults for row in first)[:MOST_EXAMPLES],
            splits={found.facts[index].name: number for index, (number, _) in faults if number},
        )


def _mixed(found: LabelFacts, counts: Counter[str], total: int) -> list[Finding]:
    """Numbers with a few words among them: not classes, but a column of numbers with holes."""
    numbers = {name: count for name, count in counts.items() if _is_number(name)}
    odd = sorted(counts.keys() - numbers.keys(), key=lambda name: (-counts[name], name))
    share = sum(numbers.values()) / total
    whole = all(float(name).is_integer() for name in numbers)
    if not odd or share < MIXED_SHARE or (whole and len(numbers) <= MOST_CLASSES):
        return []
    count = sum(counts[name] for name in odd)
    return [
        Finding(
            "mixed_labels",
            "error",
            count,
            count / total,
            f"{say_share(share)} of the labels are numbers, but not {name_some(odd)}: so all are taken for classes",
            "correct these labels or take their rows out, and the labels are read as numbers",
            found.places(odd),
            splits=found.by_split(odd),
        )
    ]


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def _placeholders(found: LabelFacts, counts: Counter[str], total: int) -> Iterator[Finding]:
    names = sorted(find_placeholders(counts), key=lambda name: (-counts[name], name))
    if names:
        count = sum(counts[name] for name in names)
        yield Finding(
            "placeholder_labels",
            "warning",
            count,
            count / total,
            f"{say_rows(count, 'label')} {'reads' if count == 1 else 'read'} as if there were none: {name_some(names)}",
            "take these rows out, unless this is a class of its own",
            found.places(names),
            splits=found.by_split(names),
        )


def _variants(found: LabelFacts, counts: Counter[str], total: int) -> Iterator[Finding]:
    groups = find_variants(counts)
    if groups:
        odd = [name for group in groups for name in group[1:]]
        count = sum(counts[name] for name in odd)
        yield Finding(
            "label_variants",
            "warning",
            count,
            count / total,
            f"labels that differ in spelling only: {say_variants(groups, counts)}",
            "write each label in one way; as they are, each spelling is a class of its own",
            found.places(odd),
            splits=found.by_split(odd),
        )


def _rare(found: LabelFacts, counts: Counter[str]) -> Iterator[Finding]:
    train = found.facts[0]
    told = {name for group in find_variants(counts) for name in group[1:]} | set(find_placeholders(counts))
    rare = [name for name, count in train.labels.items() if count < RARE_ROWS and name not in told]
    names = sorted(rare, key=lambda name: (train.labels[name], name))
    if names:
        count = sum(train.labels[name] for name in names)
        several = f"{say_rows(len(names), 'label')} of {len(train.labels):,} {'stands' if len(names) == 1 else 'stand'}"
        yield Finding(
            "rare_labels",
            "warning",
            len(names),
            len(names) / len(train.labels),
            f"{several} in fewer than {RARE_ROWS} rows of {train.name}: {name_some(names)}",
            "add rows, merge them with a neighbouring label, or take them out",
            found.places(names),
            splits={train.name: count},
        )


def _imbalance(found: LabelFacts) -> Iterator[Finding]:
    train = found.facts[0]
    frequent = [(count, name) for name, count in train.labels.items() if count >= RARE_ROWS]
    total = sum(train.labels.values())
    if len(train.labels) < 2 or not frequent:
        return
    (most, top), (least, last) = max(frequent), min(frequent)
    if most >= MAJORITY_SHARE * total or most >= IMBALANCE * least:
        yield Finding(
            "imbalance",
            "note",
            most,
            most / total,
            f"{top!r} makes up {say_share(most / total)} of the labels of {train.name}, {last!r} "
            f"{say_share(least / total)}",
            "judge by macro_f1 instead of accuracy; for text classification, --set task.class_weights=balanced "
            "makes rare labels count more",
            splits={train.name: most},
        )


def _unseen(found: LabelFacts) -> Iterator[Finding]:
    train = found.facts[0]
    for split in found.facts[1:]:
        names = sorted(split.labels.keys() - train.labels.keys(), key=lambda name: (-split.labels[name], name))
        if names and train.labels:
            count = sum(split.labels[name] for name in names)
            yield Finding(
                "unseen_labels",
                "error",
                count,
                count / sum(split.labels.values()),
                f"{say_rows(len(names), 'label')} of {split.name} {'is' if len(names) == 1 else 'are'} not in "
                f"{train.name} and cannot be learnt: {name_some(names)}",
                f"add rows of them to {train.name}, or take them out of {split.name}: each counts as wrong",
                found.places(names),
                splits={split.name: count},
            )


def _missing(found: LabelFacts) -> Iterator[Finding]:
    train = found.facts[0]
    for split in found.facts[1:]:
        names = sorted(train.labels.keys() - split.labels.keys(), key=lambda name: (-train.labels[name], name))
        if names and split.labels:
            yield Finding(
                "missing_labels",
                "warning",
                len(names),
                len(names) / len(train.labels),
                f"{say_rows(len(names), 'label')} of {train.name} {'has' if len(names) == 1 else 'have'} no row in "
                f"{split.name}: {name_some(names)}",
                f"move some of their rows to {split.name}: it says nothing about them as it is",
                splits={split.name: 0},
            )


def _shift(found: LabelFacts) -> Iterator[Finding]:
    train = found.facts[0]
    for split in found.facts[1:]:
        names = sorted(train.labels.keys() | split.labels.keys())
        table = np.array([[part.labels[name] for name in names] for part in (train, split)], dtype=np.float64)
        if not table.sum(axis=1).all():
            continue
        shares = table / table.sum(axis=1, keepdims=True)
        distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
        if distance >= SHIFT and chance_of_difference(table) < SHIFT_CHANCE:
            worst = int(np.abs(shares[0] - shares[1]).argmax())
            yield Finding(
                "label_shift",
                "warning" if distance >= LARGE_SHIFT else "note",
                round(distance * table[1].sum()),
                distance,
                f"labels are spread differently over {train.name} and {split.name}, by {say_share(distance)} in all: "
                f"{names[worst]!r} makes up {say_share(shares[0, worst])} and {say_share(shares[1, worst])}",
                "draw both splits from the same rows, unless the difference is meant",
            )


def chance_of_difference(table: np.ndarray) -> float:
    """Probability that two rows of counts differ so much by chance: chi-squared test of homogeneity (Pearson 1900).

    Example:
        >>> bool(chance_of_difference(np.array([[50.0, 50.0], [90.0, 10.0]])) < 1e-6)
        True
    """
    from scipy.special import chdtrc

    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    used = expected.all(axis=0)
    statistic = float(((table - expected)[:, used] ** 2 / expected[:, used]).sum())
    return float(chdtrc(max(1, int(used.sum()) - 1), statistic))
