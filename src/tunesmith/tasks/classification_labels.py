"""What the labels of a classification file mean: one class, several, or a number."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.contracts import Column, Comparison, Labels
from tunesmith.data.rejects import shorten
from tunesmith.errors import ConfigError, DataError, nearest

MOST_INTEGER_CLASSES = 20
"""An integer column with more different values than this is a number, not classes."""
NUMBER_SHARE = 0.95
"""Where so many labels are numbers, the others are holes or mistakes, not classes."""
WHOLE_NUMBER = re.compile(r"([+-]?\d+)(?:\.0+)?")

_TEXT = (
    *("text", "text_a", "texta", "sentence", "sentence1", "sentence_1", "text1", "text_1", "premise", "question1"),
    *("content", "review", "comment", "body", "message", "tweet", "post", "headline", "title", "utterance"),
    *("query", "question", "document", "description", "input", "src"),
    *("文本", "内容", "正文", "评论", "句子", "标题", "文本1", "句子1", "问题"),
)
_TEXT_B = ("text_b", "textb", "sentence2", "sentence_2", "text2", "text_2", "hypothesis", "question2", "文本2", "句子2")
_LABEL = (
    *("label", "labels", "class", "category", "target", "sentiment", "topic", "intent", "emotion", "score"),
    *("rating", "stars", "similarity", "tag", "tags", "polarity", "gold", "y"),
    *("标签", "类别", "情感", "分类", "主题", "意图", "评分", "分数"),
)
COLUMNS = (
    Column("text", "text", _TEXT),
    Column("text_b", "text", _TEXT_B, required=False),
    Column("label", "label", _LABEL),
)


def as_number(label: Any) -> float | None:
    """The finite number a label stands for, or None.

    Example:
        >>> as_number("3.5"), as_number("good"), as_number(True)
        (3.5, None, None)
    """
    if isinstance(label, bool) or not isinstance(label, (str, int, float)):
        return None
    try:
        number = float(label)
    except (ValueError, OverflowError):  # whole numbers have no bounds in Python
        return None
    return number if math.isfinite(number) else None


def normalise(label: Any, kind: str, separator: str) -> Any:
    """A label as the file has it → class name, list of class names, or number.

    Example:
        >>> normalise("joy|love", "multi", "|"), normalise(3, "single", "|"), normalise("2", "number", "|")
        (['joy', 'love'], '3', 2.0)
    """
    if kind == "number":
        number = as_number(label)
        if number is None:
            raise DataError(
                f"label {shorten(label)} is no number, and the others are",
                fix="correct it or take the row out; --set task.kind=single if the numbers are names of classes",
            )
        return number
    if kind == "single":
        if isinstance(label, list):
            raise DataError(f"label {label!r} is a list, wanted one class", fix="--set task.kind=multi")
        return class_name(label)
    parts = label if isinstance(label, list) else str(label).split(separator)
    names = [class_name(part) for part in parts]
    return list(dict.fromkeys(name for name in names if name))


def class_name(label: Any) -> str:
    """A class name; 1.0 and 1 are the same class.

    Example:
        >>> class_name(1.0), class_name(True), class_name(" good ")
        ('1', 'true', 'good')
    """
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return str(label).strip()


def answer_of(label: Any, labels: Labels, separator: str) -> Any:
    """What `normalise` gives, each class spelt as in `labels`.

    Example:
        >>> answer_of("1.0", Labels(("0", "1")), "|"), answer_of("2", Labels(("0", "1")), "|")
        ('1', '2')
    """
    answer = normalise(label, labels.kind, separator)
    if isinstance(answer, str):
        return _known(answer, labels.names)
    return list(dict.fromkeys(_known(name, labels.names) for name in answer)) if isinstance(answer, list) else answer


def _known(name: str, names: Sequence[str]) -> str:
    """The class that a name means: itself, or the one that spells the same whole number otherwise, as pandas does."""
    if not WHOLE_NUMBER.fullmatch(name) or name in names:
        return name
    return next((other for other in names if as_whole(other) == as_whole(name)), name)


def as_whole(name: str) -> str:
    """A whole number without its decimals; any other name as it is.

    Example:
        >>> as_whole("1.0"), as_whole("1.5"), as_whole("1.0.0")
        ('1', '1.5', '1.0.0')
    """
    found = WHOLE_NUMBER.fullmatch(name)
    return found[1] if found else name


def _merge_spellings(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of classes; of spellings of one whole number the shortest stands for all."""
    spelt: dict[str, list[str]] = {}
    for name in counts:
        spelt.setdefault(as_whole(name), []).append(name)
    return {
        min(names, key=lambda name: (len(name), name)): sum(map(counts.__getitem__, names)) for names in spelt.values()
    }


def guess_kind(labels: Sequence[Any], separator: str) -> str:
    """Whether labels are one class a row, several, or a number.

    Example:
        >>> guess_kind([1, 2, 5, 1], "|"), guess_kind([0.5, 3.2], "|"), guess_kind(["a", "b|c", "c", "b"], "|")
        ('single', 'number', 'multi')
    """
    if any(isinstance(label, list) for label in labels):
        return "multi"
    numbers = [number for label in labels if (number := as_number(label)) is not None]
    few = all(number.is_integer() for number in numbers) and len(set(numbers)) <= MOST_INTEGER_CLASSES
    if len(numbers) == len(labels) and few:
        return "single"
    if numbers and len(numbers) >= NUMBER_SHARE * len(labels) and not few:
        return "number"
    texts = [str(label) for label in labels]
    parts = {part.strip() for text in texts for part in text.split(separator)}
    return "multi" if any(separator in text for text in texts) and len(parts) <= len(set(texts)) else "single"


def find_labels(labels: Sequence[Any], kind: str, separator: str) -> Labels:
    """Find the classes of a data set, in order, or the statistics of its numbers.

    Args:
        labels: as the file has them; none is None. One that does not go with the others is left out: whoever knows
            its line names it.
        kind: "auto", "single", "multi" or "number".
        separator: between several labels in one string.

    Raises:
        DataError: there is one class only, the column is free text, or no label is of that kind.
    """
    was_named = kind != "auto"
    kind = kind if was_named else guess_kind(labels, separator)
    answers = _fitting_answers(labels, kind, separator)
    if kind == "number":
        mean = math.fsum(answers) / max(1, len(answers))
        spread = math.sqrt(math.fsum((value - mean) ** 2 for value in answers) / max(1, len(answers)))
        return Labels((), (), kind, {"mean": mean, "deviation": spread, "low": min(answers), "high": max(answers)})
    found = Counter(name for answer in answers for name in ([answer] if kind == "single" else answer))
    counts = _merge_spellings(found)
    _check_classes(counts, len(labels), was_named=was_named)
    numeric = all(as_number(name) is not None for name in counts)
    names = sorted(counts, key=float) if numeric else sorted(counts)
    return Labels(tuple(names), tuple(counts[name] for name in names), kind)


def _fitting_answers(labels: Sequence[Any], kind: str, separator: str) -> list[Any]:
    answers, fault = [], None
    for label in labels:
        try:
            answers.append(normalise(label, kind, separator))
        except DataError as error:
            fault = error
    if fault is not None and not answers:
        raise fault
    return answers


def _check_classes(counts: Mapping[str, int], rows: int, *, was_named: bool) -> None:
    if len(counts) < 2:
        raise DataError(
            f"the label column holds one class only: {next(iter(counts), '')!r}",
            fix="give rows of at least two classes, or name the right column: --set data.columns.label=NAME",
        )
    if len(counts) > 50 and len(counts) > rows / 2 and not was_named:
        raise DataError(
            f"the label column has {len(counts):,} different values in {rows:,} rows and looks like free text",
            fix="name the right column: --set data.columns.label=NAME; or say that they are classes: "
            "--set task.kind=single",
        )


def log_odds(labels: Labels) -> list[float]:
    """Log-odds of each label among the training rows, one row added with it and one without.

    Example:
        >>> [round(value, 3) for value in log_odds(Labels(("rare", "half"), (0, 49), "multi", {"rows": 98}))]
        [-4.595, 0.0]
    """
    rows = labels.statistics["rows"]
    return [math.log((count + 1) / (rows - count + 1)) for count in labels.counts]


def class_weights(wished: str | Mapping[str, float], labels: Labels) -> list[float]:
    """One weight a class, in id order.

    Args:
        wished: "balanced" = rows / (classes · rows of the class), or a weight by name (others 1).
        labels: names and counts.

    Raises:
        ConfigError: a named class does not exist.

    Example:
        >>> class_weights("balanced", Labels(("a", "b"), (1, 3)))
        [2.0, 0.6666666666666666]
    """
    if isinstance(wished, str):
        total = sum(labels.counts)
        return [total / (len(labels.names) * max(1, count)) for count in labels.counts]
    for name in wished:
        if name not in labels.names:
            raise ConfigError(f"task.class_weights names {name!r}: {nearest(name, labels.names)}")
    return [float(wished.get(name, 1.0)) for name in labels.names]


def compare(given: Any, probabilities: Mapping[str, float] | None, gold: Any, labels: Labels) -> Comparison:
    """A given label, set of labels or number beside the right one.

    Args:
        given: of the answer.
        probabilities: of each class, as the model gave them; None for numbers.
        gold: the right answer.
        labels: the answers.

    Returns:
        `error` is the number of wrong names, or the distance of a number; `confidence` that of the surest wrong
        decision: of a label given, its probability; of one left out, 1 minus that.

    Example:
        >>> compare("a", {"a": 0.9, "b": 0.1}, "b", Labels(("a", "b")))
        Comparison(error=1.0, confidence=0.9, given=('a',), right=('b',), marks=())
    """
    if labels.kind == "number":
        return Comparison(abs(given - gold), None, (f"{given:.4g}",), (f"{gold:.4g}",))
    answers, truth = ((given,), (gold,)) if isinstance(given, str) else (tuple(given), tuple(gold))
    extra, missed = set(answers) - set(truth), set(truth) - set(answers)
    sure = probabilities or {}
    if labels.kind == "single":
        return Comparison(float(len(extra)), sure.get(given), answers, truth)
    doubts = [sure[name] for name in extra if name in sure] + [1 - sure[name] for name in missed if name in sure]
    return Comparison(float(len(extra) + len(missed)), max(doubts, default=None), answers, truth)
