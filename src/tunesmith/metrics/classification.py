"""Scores of classes and label sets, from additive counts. No torch, no scikit-learn.

Keys of a row's counts: `rows` (1), `correct` (1 when the set of labels is exactly right), and for each label concerned
`tp:NAME`, `predicted:NAME`, `gold:NAME`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from tunesmith.contracts import Counts
from tunesmith.errors import DataError
from tunesmith.metrics.counts import ratio, uneven

Kind = Literal["single", "multi"]

AVERAGES = 3
"""Rows of averages at the end of `per_class_scores`."""


def classification_counts(predicted: str | Collection[str], gold: str | Collection[str]) -> dict[str, float]:
    """Count one row.

    Args:
        predicted: the predicted label, or the set of predicted labels.
        gold: the right label or labels.

    Example:
        >>> classification_counts("buy", "sell")
        {'rows': 1.0, 'correct': 0.0, 'predicted:buy': 1.0, 'gold:sell': 1.0}
    """
    answers = {predicted} if isinstance(predicted, str) else set(predicted)
    truth = {gold} if isinstance(gold, str) else set(gold)
    counts = {"rows": 1.0, "correct": float(answers == truth)}
    for kind, names in (("tp", answers & truth), ("predicted", answers), ("gold", truth)):
        counts.update((f"{kind}:{name}", 1.0) for name in sorted(names))
    return counts


def classification_scores(counts: Counts, names: Sequence[str], kind: Kind = "single") -> dict[str, float]:
    """Summed counts → scores over all classes.

    Macro averages are over all of `names`: a class that is neither among the right answers nor predicted
    counts with 0, as in scikit-learn when `labels=names` is given. In a bootstrap this draws the macro scores
    of data with classes of one or two rows down a little. A right answer outside `names` is one more class, which
    is never found.

    Args:
        counts: summed counts.
        names: all classes that can be predicted.
        kind: "single" for one label a row, "multi" for any number.

    Returns:
        `accuracy` and `matthews` for "single"; `subset_accuracy` (the whole set right) and `hamming_loss`
        (share of wrong yes/no decisions; smaller is better) for "multi"; for both `macro_f1`, `micro_f1`,
        `weighted_f1`, `macro_precision`, `macro_recall`.

    Example:
        >>> from tunesmith.metrics import sum_counts
        >>> rows = [classification_counts("a", "a"), classification_counts("a", "b")]
        >>> classification_scores(sum_counts(rows), ["a", "b"])["accuracy"]
        0.5
    """
    names = _with_unseen(counts, names)
    rows = [_class_row(counts, name) for name in names]
    true_positives, predicted, gold = _totals(counts, names)
    micro = _scores(true_positives, predicted, gold)
    macro, weighted = _average(rows, weighted=False), _average(rows, weighted=True)
    exact = ratio(counts.get("correct", 0.0), counts.get("rows", 0.0))
    scores = {"accuracy" if kind == "single" else "subset_accuracy": exact}
    scores |= {"macro_f1": macro["f1"], "micro_f1": micro["f1"], "weighted_f1": weighted["f1"]}
    scores |= {"macro_precision": macro["precision"], "macro_recall": macro["recall"]}
    if kind == "single":
        return scores | {"matthews": matthews(counts, names)}
    wrong = predicted + gold - 2 * true_positives
    return scores | {"hamming_loss": ratio(wrong, counts.get("rows", 0.0) * len(names))}


def per_class_scores(counts: Counts, names: Sequence[str], kind: Kind = "single") -> dict[str, dict[str, float]]:
    """Summed counts → precision, recall, f1 and support of each class, then three rows of averages.

    The values are those of scikit-learn's `classification_report(labels=names, zero_division=0)`. The
    averages are the last three entries: `accuracy` (for "multi": `micro avg`), `macro avg`, `weighted avg`;
    macro is over all of `names`, and right answers outside it follow as classes of their own. A class that
    happens to bear such a name keeps it, and the average gets " (all)" appended.

    Example:
        >>> from tunesmith.metrics import sum_counts
        >>> total = sum_counts([classification_counts("a", "a"), classification_counts("a", "b")])
        >>> per_class_scores(total, ["a", "b"])["a"]
        {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666, 'support': 1.0}
    """
    names = _with_unseen(counts, names)
    table = {name: _class_row(counts, name) for name in names}
    rows = list(table.values())
    if kind == "single":
        exact, count = counts.get("correct", 0.0), counts.get("rows", 0.0)
        averages = {"accuracy": _scores(exact, count, count)}
    else:
        averages = {"micro avg": _scores(*_totals(counts, names))}
    averages |= {"macro avg": _average(rows, weighted=False), "weighted avg": _average(rows, weighted=True)}
    for name, row in averages.items():
        table[name if name not in names else f"{name} (all)"] = row
    return table


def matthews(counts: Counts, names: Sequence[str]) -> float:
    """Matthews correlation for any number of classes (R_K, Gorodkin 2004); one label a row.

    Returns:
        Between -1 and 1; 0 when all answers, or all predictions, are one class.

    Example:
        >>> from tunesmith.metrics import sum_counts
        >>> matthews(sum_counts([classification_counts(x, x) for x in "abb"]), "ab")
        1.0
    """
    rows = counts.get("rows", 0.0)
    correct = sum(counts.get(f"tp:{name}", 0.0) for name in names)
    predicted = [counts.get(f"predicted:{name}", 0.0) for name in names]
    gold = [counts.get(f"gold:{name}", 0.0) for name in names]
    covariance = correct * rows - sum(p * g for p, g in zip(predicted, gold, strict=True))
    spread_predicted = rows * rows - sum(p * p for p in predicted)
    spread_gold = rows * rows - sum(g * g for g in gold)
    return ratio(covariance, math.sqrt(max(spread_predicted, 0.0) * max(spread_gold, 0.0)))


def confusion(predicted: Sequence[str], gold: Sequence[str], names: Sequence[str]) -> list[list[int]]:
    """Count (right answer, prediction) pairs.

    Args:
        predicted: (B,) predicted labels.
        gold: (B,) right labels.
        names: (C,) all classes.

    Returns:
        (C, C) counts; rows are the right answers, columns the predictions, both in the order of `names`.

    Raises:
        DataError: a label is not among `names`, or the lengths differ.

    Example:
        >>> confusion(["a", "a"], ["a", "b"], ["a", "b"])
        [[1, 0], [1, 0]]
    """
    unknown = sorted((set(predicted) | set(gold)) - set(names))
    if unknown:
        message = f"confusion matrix: label {unknown[0]!r} is not one of the {len(names)} classes"
        raise DataError(message, fix="name every label that occurs")
    if len(predicted) != len(gold):
        raise uneven("confusion matrix", len(predicted), len(gold))
    pairs = Counter(zip(gold, predicted, strict=True))
    return [[pairs[row, column] for column in names] for row in names]


def _with_unseen(counts: Counts, names: Sequence[str]) -> list[str]:
    """The classes, and behind them the right answers that are none of them."""
    known, mark = set(names), "gold:"
    unseen = (key.removeprefix(mark) for key in counts if key.startswith(mark))
    return [*names, *sorted(name for name in unseen if name not in known)]


def _scores(true_positives: float, predicted: float, gold: float) -> dict[str, float]:
    return {
        "precision": ratio(true_positives, predicted),
        "recall": ratio(true_positives, gold),
        "f1": ratio(2 * true_positives, predicted + gold),
        "support": gold,
    }


def _class_row(counts: Counts, name: str) -> dict[str, float]:
    return _scores(*(counts.get(f"{kind}:{name}", 0.0) for kind in ("tp", "predicted", "gold")))


def _totals(counts: Counts, names: Sequence[str]) -> tuple[float, float, float]:
    """Return true positives, predictions and right answers summed over the classes."""
    true_positives = sum(counts.get(f"tp:{name}", 0.0) for name in names)
    predicted = sum(counts.get(f"predicted:{name}", 0.0) for name in names)
    return true_positives, predicted, sum(counts.get(f"gold:{name}", 0.0) for name in names)


def _average(rows: Sequence[Mapping[str, float]], *, weighted: bool) -> dict[str, float]:
    weights = [row["support"] if weighted else 1.0 for row in rows]
    average = {"support": sum(row["support"] for row in rows)}
    for key in ("precision", "recall", "f1"):
        total = sum(row[key] * weight for row, weight in zip(rows, weights, strict=True))
        average[key] = ratio(total, sum(weights))
    return average
