"""Scores of relations, from the counts of `classification_counts`. No torch.

The score that decides is the official one of SemEval-2010 Task 8 (Hendrickx et al. 2010, section 4; its scorer,
version 1.2): F1 of each relation over both its directions, averaged over relations, the class that means "none" left
out. A right relation in the wrong direction is a false positive and a false negative of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tunesmith.contracts import Counts
from tunesmith.metrics.classification import AVERAGES, per_class_scores

DIRECTION = re.compile(r"\s*\(e([12]),\s*e([12])\)$")
"""The end of a label that says which entity comes first in the relation."""


def split_direction(label: str) -> tuple[str, bool | None]:
    """A label → its relation, and whether it runs from the second entity to the first; None where it does not say.

    Example:
        >>> split_direction("Cause-Effect(e2,e1)"), split_direction("Other")
        (('Cause-Effect', True), ('Other', None))
    """
    found = DIRECTION.search(label)
    if found is None or found[1] == found[2]:
        return label, None
    return label[: found.start()], found[1] == "2"


def relation_table(counts: Counts, names: Iterable[str], no_relation: str | None) -> dict[str, dict[str, float]]:
    """Summed counts → precision, recall, f1 and support of each relation, both directions together.

    Args:
        counts: sums of `classification_counts`.
        names: all labels that can be predicted; right answers outside them count as well.
        no_relation: the label that is left out, or None.

    Returns:
        A row each relation in the order of `names`, then `micro avg`, `macro avg` and `weighted avg`.

    Example:
        >>> from tunesmith.metrics import classification_counts, sum_counts
        >>> rows = [classification_counts("A(e1,e2)", "A(e1,e2)"), classification_counts("A(e1,e2)", "A(e2,e1)")]
        >>> relation_table(sum_counts(rows), ["A(e1,e2)", "A(e2,e1)", "Other"], "Other")["A"]
        {'precision': 0.5, 'recall': 0.5, 'f1': 0.5, 'support': 2.0}
    """
    relations = list(dict.fromkeys(split_direction(name)[0] for name in names if name != no_relation))
    return per_class_scores(_undirected(counts, no_relation), relations, "multi")


def relation_scores(counts: Counts, names: Iterable[str], no_relation: str | None) -> dict[str, float]:
    """Summed counts → `relation_f1` (the official score), `relation_precision`, `relation_recall`, `relation_micro_f1`.

    Args:
        counts: sums of `classification_counts`.
        names: all labels that can be predicted.
        no_relation: the label that is left out, or None.

    Example:
        >>> from tunesmith.metrics import classification_counts
        >>> relation_scores(classification_counts("A", "A"), ["A", "B"], None)["relation_f1"]
        0.5
    """
    micro, macro = list(relation_table(counts, names, no_relation).values())[-AVERAGES:][:2]
    return {
        "relation_f1": macro["f1"],
        "relation_precision": macro["precision"],
        "relation_recall": macro["recall"],
        "relation_micro_f1": micro["f1"],
    }


def _undirected(counts: Counts, no_relation: str | None) -> dict[str, float]:
    """Counts of relations: what was right in its direction, and what was given or asked for in either."""
    merged: dict[str, float] = {}
    for key, count in counts.items():
        kind, colon, label = key.partition(":")
        if colon and label != no_relation:
            key = f"{kind}:{split_direction(label)[0]}"
            merged[key] = merged.get(key, 0.0) + count
    return merged
