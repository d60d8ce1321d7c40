"""Scores from additive counts: classification, several labels a row, numbers. No torch, no scikit-learn.

Counts of one row are a flat mapping of numbers whose sum over rows is all a score needs, so a bootstrap
resamples sums instead of rows. Keys of a classification row: `rows` (1), `correct` (1 when the set of labels
is exactly right), and for each label concerned `tp:NAME`, `predicted:NAME`, `gold:NAME`; a missing key is 0.
Keys of a number row: `n`, `x`, `y`, `xx`, `yy`, `xy`, `squared_error`, `absolute_error`, x the prediction and
y the right answer.

Where a denominator is 0 the ratio is 0, as with `zero_division=0` in scikit-learn.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Counts
from tunesmith.errors import DataError

Kind = Literal["single", "multi"]
PerClass = Mapping[str, Mapping[str, float]]

AVERAGES = 3
"""Rows of averages at the end of `per_class_scores`."""

_CONSTANT = 1e-12
"""A variance below this share of the mean square is rounding error: the numbers count as all the same."""

SMALLER_IS_BETTER = frozenset({"rmse", "mae", "hamming_loss", "loss"})
"""Scores of which less is better."""


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


def number_counts(prediction: float, gold: float, *, center: float = 0.0) -> dict[str, float]:
    """Count one row whose answer is a number.

    Args:
        prediction: the predicted number.
        gold: the right number.
        center: subtracted from both. No score changes by it; with a number near the mean, such as the mean of
            the training rows, sums of squares do not cancel when the mean is large beside the spread.

    Example:
        >>> number_counts(3.0, 5.0)["squared_error"]
        4.0
    """
    x, y, error = prediction - center, gold - center, prediction - gold
    sums = {"n": 1.0, "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
    return sums | {"squared_error": error * error, "absolute_error": abs(error)}


def sum_counts(rows: Iterable[Counts]) -> dict[str, float]:
    """Add the counts of rows.

    Example:
        >>> sum_counts([{"rows": 1, "correct": 1}, {"rows": 1}])
        {'rows': 2, 'correct': 1}
    """
    total: dict[str, float] = {}
    for row in rows:
        for key, count in row.items():
            total[key] = total.get(key, 0) + count
    return total


def classification_scores(counts: Counts, names: Sequence[str], kind: Kind = "single") -> dict[str, float]:
    """Summed counts → scores over all classes.

    Macro averages are over all of `names`: a class that is neither among the right answers nor predicted
    counts with 0, as in scikit-learn when `labels=names` is given. In a bootstrap this draws the macro scores
    of data with classes of one or two rows down a little.

    Args:
        counts: summed counts.
        names: all classes.
        kind: "single" for one label a row, "multi" for any number.

    Returns:
        `accuracy` and `matthews` for "single"; `subset_accuracy` (the whole set right) and `hamming_loss`
        (share of wrong yes/no decisions; smaller is better) for "multi"; for both `macro_f1`, `micro_f1`,
        `weighted_f1`, `macro_precision`, `macro_recall`.

    Example:
        >>> rows = [classification_counts("a", "a"), classification_counts("a", "b")]
        >>> classification_scores(sum_counts(rows), ["a", "b"])["accuracy"]
        0.5
    """
    rows = [_class_row(counts, name) for name in names]
    true_positives, predicted, gold = _totals(counts, names)
    micro = _scores(true_positives, predicted, gold)
    macro, weighted = _average(rows, weighted=False), _average(rows, weighted=True)
    exact = _ratio(counts.get("correct", 0.0), counts.get("rows", 0.0))
    scores = {"accuracy" if kind == "single" else "subset_accuracy": exact}
    scores |= {"macro_f1": macro["f1"], "micro_f1": micro["f1"], "weighted_f1": weighted["f1"]}
    scores |= {"macro_precision": macro["precision"], "macro_recall": macro["recall"]}
    if kind == "single":
        return scores | {"matthews": matthews(counts, names)}
    wrong = predicted + gold - 2 * true_positives
    return scores | {"hamming_loss": _ratio(wrong, counts.get("rows", 0.0) * len(names))}


def per_class_scores(counts: Counts, names: Sequence[str], kind: Kind = "single") -> dict[str, dict[str, float]]:
    """Summed counts → precision, recall, f1 and support of each class, then three rows of averages.

    The values are those of scikit-learn's `classification_report(labels=names, zero_division=0)`. The
    averages are the last three entries: `accuracy` (for "multi": `micro avg`), `macro avg`, `weighted avg`;
    macro is over all of `names`. A class that happens to bear such a name keeps it, and the average gets "
    (all)" appended.

    Example:
        >>> total = sum_counts([classification_counts("a", "a"), classification_counts("a", "b")])
        >>> per_class_scores(total, ["a", "b"])["a"]
        {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666, 'support': 1.0}
    """
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
    return _ratio(covariance, math.sqrt(max(spread_predicted, 0.0) * max(spread_gold, 0.0)))


def number_scores(counts: Counts) -> dict[str, float]:
    """Summed counts of number rows → `pearson`, `rmse`, `mae`, `r2`.

    Sums in float64 are exact enough when the numbers are not far from `center` (see `number_counts`): the
    relative error of a variance is about 1e-16 times (mean / standard deviation) squared. Numbers whose
    variance is below 1e-12 of their mean square count as constant: Pearson is 0 then (a constant says nothing
    about the answers), and r2 is 1 for a perfect prediction of a constant, else 0, as in scikit-learn.

    Example:
        >>> number_scores(sum_counts([number_counts(1, 2), number_counts(2, 4)]))["pearson"]
        1.0
    """
    n = counts.get("n", 0.0)
    if not n:
        return dict.fromkeys(("pearson", "rmse", "mae", "r2"), 0.0)
    spread_x = _spread(counts["xx"], counts["x"], n)
    spread_y = _spread(counts["yy"], counts["y"], n)
    covariance = counts["xy"] - counts["x"] * counts["y"] / n
    pearson = max(-1.0, min(1.0, _ratio(covariance, math.sqrt(spread_x * spread_y))))
    error = counts["squared_error"]
    r2 = 1.0 - error / spread_y if spread_y else float(error == 0.0)
    return {"pearson": pearson, "rmse": math.sqrt(error / n), "mae": counts["absolute_error"] / n, "r2": r2}


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Rank correlation; equal numbers share the average of their ranks.

    Args:
        xs: (B,) numbers.
        ys: (B,) numbers.

    Returns:
        Between -1 and 1; 0 when one side is constant or there is no row.

    Raises:
        DataError: the two have different lengths.

    Example:
        >>> spearman([1, 2, 3], [10, 100, 1000])
        1.0
    """
    if len(xs) != len(ys):
        raise _uneven("rank correlation", len(xs), len(ys))
    if len(xs) == 0:
        return 0.0
    x, y = _centred_ranks(xs), _centred_ranks(ys)
    return max(-1.0, min(1.0, _ratio(float(x @ y), math.sqrt(float(x @ x) * float(y @ y)))))


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
        raise _uneven("confusion matrix", len(predicted), len(gold))
    pairs = Counter(zip(gold, predicted, strict=True))
    return [[pairs[row, column] for column in names] for row in names]


def report_table(per_class: PerClass, digits: int = 3) -> str:
    """Lay out `per_class_scores` as text, in the columns of scikit-learn's classification_report.

    Wide characters take two columns, so tables with Chinese labels line up in a terminal.

    Args:
        per_class: what `per_class_scores` returned, its order kept: the last three entries are averages.
        digits: decimals.
    """
    names = list(per_class)
    width = max(map(display_width, [*names, "weighted avg"]))
    lines = [_table_line("", ["precision", "recall", "f1-score", "support"], width), ""]
    for index, (name, row) in enumerate(per_class.items()):
        if index == len(names) - AVERAGES:
            lines.append("")
        only_f1 = index == len(names) - AVERAGES and name.startswith("accuracy")
        shown = ["", ""] if only_f1 else [f"{row['precision']:.{digits}f}", f"{row['recall']:.{digits}f}"]
        cells = [*shown, f"{row['f1']:.{digits}f}", f"{row['support']:.0f}"]
        lines.append(_table_line(name, cells, width))
    return "\n".join(lines)


def display_width(text: str) -> int:
    """Columns a text takes in a terminal: 2 for wide characters, 0 for combining and invisible ones.

    Example:
        >>> display_width("财经 news")
        9
    """
    seen = [character for character in text if unicodedata.category(character) not in ("Mn", "Me", "Cf")]
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in seen)


def _table_line(name: str, cells: Sequence[str], width: int) -> str:
    return " " * (width - display_width(name)) + name + " " + "".join(f" {cell:>9}" for cell in cells)


def _uneven(what: str, predictions: int, answers: int) -> DataError:
    message = f"{what} of {predictions} predictions and {answers} answers, wanted as many of each"
    return DataError(message, fix="pass one prediction for each answer, in the same order")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _scores(true_positives: float, predicted: float, gold: float) -> dict[str, float]:
    return {
        "precision": _ratio(true_positives, predicted),
        "recall": _ratio(true_positives, gold),
        "f1": _ratio(2 * true_positives, predicted + gold),
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
        average[key] = _ratio(total, sum(weights))
    return average


def _spread(squares: float, total: float, n: float) -> float:
    spread = squares - total * total / n
    return spread if spread > _CONSTANT * squares else 0.0


def _centred_ranks(numbers: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(numbers, dtype=np.float64)
    _, group_of, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(sizes) - (sizes - 1) / 2
    return np.asarray(ranks[group_of] - (len(values) + 1) / 2, dtype=np.float64)
