"""Scores of answers that stand in a text: exact match and F1, as SQuAD defines them and, for Chinese, CMRC 2018.

- "en": SQuAD 2.0's `evaluate-v2.0.py` (Rajpurkar et al. 2018), whatever the file. Compared are small letters without
  punctuation (ASCII) and without a, an, the; F1 is that of the two bags of words. Right answers of which nothing is
  left so ("the", ".") do not count beside others. Alone, such a one is right where nothing is left of the given answer
  either; version 1.1's script (2016) compares it as it compares any, and gives it no F1. Elsewhere the scripts agree.
- "zh": Cui et al. 2019 (`cmrc2018_evaluate.py`). A Chinese character is a word of its own; elsewhere words are runs of
  letters and digits (decimals in one piece) and single signs, where the script asks NLTK. The signs that the script
  lists are left out. F1 is that of the longest run of neighbouring words that both answers share; answers without a
  word share none.

Of several right answers the best counts. A question without an answer, which CMRC 2018 does not have, is right under
both when nothing was answered.
Counts of a row: `rows`, `exact_match`, `f1`, and the same with `has_answer/` or `no_answer/` in front.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from tunesmith.contracts import Counts
from tunesmith.metrics.counts import ratio

Rule = Literal["en", "zh"]

HAS_ANSWER, NO_ANSWER = "has_answer/", "no_answer/"
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ASCII_SIGNS = str.maketrans("", "", string.punctuation)
_CMRC_SIGNS = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_OTHER = "(?:(?![\u4e00-\u9fa5])\\w)+"
_CMRC_WORD = re.compile(f"[\u4e00-\u9fa5]|{_OTHER}(?:\\.{_OTHER}|,(?=\\d){_OTHER})*|[^\\w\\s]")


def normalise_answer(text: str, rule: Rule) -> str:
    """What exact match compares.

    Example:
        >>> normalise_answer("The  Eiffel Tower!", "en"), normalise_answer("《西游记》 ", "zh")
        ('eiffel tower', '西游记')
    """
    if rule == "zh":
        return text.lower().strip().translate(_CMRC_SIGNS)
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_ASCII_SIGNS)).split())


def answer_words(text: str, rule: Rule) -> list[str]:
    """What F1 counts.

    Example:
        >>> answer_words("the year 1912", "en"), answer_words("《Java编程》第2版", "zh")
        (['year', '1912'], ['java', '编', '程', '第', '2', '版'])
    """
    plain = normalise_answer(text, rule)
    return _CMRC_WORD.findall(plain) if rule == "zh" else plain.split()


def is_exact_match(answer: str, golds: Sequence[str], rule: Rule) -> bool:
    """Whether an answer equals one of the right ones; golds () means that there is none, and "" is right.

    Example:
        >>> is_exact_match("", ["a", "apple"], "en"), is_exact_match("An apple", ["a", "apple"], "en")
        (False, True)
    """
    given = normalise_answer(answer, rule)
    return any(given == normalise_answer(gold, rule) for gold in _counted(golds, rule))


def _counted(golds: Sequence[str], rule: Rule) -> Sequence[str]:
    """The right answers that an answer is held against; "" where it is to be none."""
    kept = [gold for gold in golds if normalise_answer(gold, rule)] if rule == "en" else golds
    return kept or ("",)


def answer_f1(answer: str, golds: Sequence[str], rule: Rule) -> float:
    """The best F1 against any of the right answers, 0 to 1; golds () means that there is none.

    Example:
        >>> answer_f1("in October 1973", ["October 1973", "1973"], "en")
        0.8
        >>> round(answer_f1("一九一二年四月", ["1912年", "一九一二年"], "zh"), 3)
        0.833
    """
    given = answer_words(answer, rule)
    if rule == "zh" and golds:
        return max(_f1(given, answer_words(gold, rule), _longest_run) for gold in golds)
    counted = [answer_words(gold, rule) for gold in _counted(golds, rule)]
    return max(_f1(given, right, _shared_words) if given and right else float(given == right) for right in counted)


def _f1(given: Sequence[str], right: Sequence[str], count: Callable[[Sequence[str], Sequence[str]], int]) -> float:
    shared = count(given, right)
    if not shared:
        return 0.0
    precision, recall = shared / len(given), shared / len(right)
    return 2 * precision * recall / (precision + recall)


def _shared_words(one: Sequence[str], other: Sequence[str]) -> int:
    """Words in both, each as often as it stands in both."""
    return sum((Counter(one) & Counter(other)).values())


def _longest_run(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest run of neighbouring words in both."""
    best, before = 0, [0] * (len(other) + 1)
    for word in one:
        row = [0]
        for place, candidate in enumerate(other):
            row.append(before[place] + 1 if word == candidate else 0)
        best, before = max(best, *row), row
    return best


def question_counts(answer: str, golds: Sequence[str], rule: Rule) -> dict[str, float]:
    """Count one row.

    Args:
        answer: "" where none was given.
        golds: the right answers; () where there is none.
        rule: how answers are compared.

    Example:
        >>> question_counts("", (), "en")["no_answer/exact_match"]
        1.0
    """
    counts = {
        "rows": 1.0,
        "exact_match": float(is_exact_match(answer, golds, rule)),
        "f1": answer_f1(answer, golds, rule),
    }
    part = HAS_ANSWER if golds else NO_ANSWER
    return {**counts, **{part + key: count for key, count in counts.items()}}


def question_scores(counts: Counts) -> dict[str, float]:
    """Summed counts → f1 and exact_match; where some questions have no answer, also those of either part.

    `no_answer_accuracy` is SQuAD 2.0's NoAns_exact, which equals its NoAns_f1.
    """
    scores = {name: ratio(counts[name], counts["rows"]) for name in ("f1", "exact_match")}
    if f"{NO_ANSWER}rows" not in counts:
        return scores
    for name in ("f1", "exact_match"):
        scores[f"has_answer_{name}"] = _share(counts, HAS_ANSWER, name)
    return {**scores, "no_answer_accuracy": _share(counts, NO_ANSWER, "exact_match")}


def _share(counts: Counts, part: str, name: str) -> float:
    return ratio(counts.get(part + name, 0.0), counts.get(f"{part}rows", 0.0))
