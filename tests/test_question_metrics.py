"""Scores of answers, computed by hand from the definitions of SQuAD and CMRC 2018."""

from __future__ import annotations

import pytest

from tunesmith import metrics
from tunesmith.metrics.questions import Rule


@pytest.mark.parametrize(
    ("answer", "golds", "exact", "f1"),
    [
        ("Oslo", ["Oslo"], 1, 1.0),
        ("the Oslo!", ["Oslo"], 1, 1.0),  # article and signs do not count
        ("OSLO", ["  oslo "], 1, 1.0),
        ("in Oslo", ["Oslo"], 0, 2 / 3),  # precision 1/2, recall 1
        ("Oslo", ["the city of Oslo"], 0, 1 / 2),  # "the" is left out: precision 1, recall 1/3
        ("new new york", ["new york"], 0, 0.8),  # words as often as they stand in both: 2 of 3, 2 of 2
        ("Bergen", ["Oslo", "Bergen"], 1, 1.0),  # the best of several
        ("Bergen", ["Oslo"], 0, 0.0),
        ("", ["Oslo"], 0, 0.0),
        ("", [], 1, 1.0),  # no answer is right where there is none
        ("Oslo", [], 0, 0.0),
        ("theatre", ["atre"], 0, 0.0),  # articles are whole words
        ("U.S.", ["us"], 1, 1.0),
        ("10 per cent", ["10%"], 0, 1 / 2),  # 10 | 10 per cent: precision 1/3, recall 1
        ("", ["a", "apple"], 0, 0.0),  # nothing is left of "a": it does not count beside "apple"
        ("$", ["$", "5 dollars"], 0, 0.0),
        ("the", [".", "a"], 1, 1.0),  # nothing is left of any: as if there were no answer
        ("Oslo", ["."], 0, 0.0),
    ],
)
def test_english_as_squad_defines_it(answer: str, golds: list[str], exact: int, f1: float) -> None:
    assert metrics.is_exact_match(answer, golds, "en") == bool(exact)
    assert metrics.answer_f1(answer, golds, "en") == pytest.approx(f1)


@pytest.mark.parametrize(
    ("answer", "golds", "exact", "f1"),
    [
        ("光荣和ω-force", ["光荣和ω-force"], 1, 1.0),
        ("《战国无双3》", ["战国无双3"], 1, 1.0),  # signs of the script's list do not count
        ("北京市", ["北京"], 0, 0.8),  # run of 2: precision 2/3, recall 1
        ("京北", ["北京"], 0, 0.5),  # the longest run is one character, not a bag of two
        ("一九一二年", ["一九一三年"], 0, 0.6),  # run 一九一: 3 of 5 and 3 of 5
        ("第3.5节", ["3.5"], 0, 0.5),  # 第 | 3.5 | 节: precision 1/3, recall 1
        ("Tencent QQ", ["tencent qq"], 1, 1.0),
        ("深圳", ["广州"], 0, 0.0),
        ("", [], 1, 1.0),
        ("上海", ["北京", "上海。"], 1, 1.0),
        ("。", ["《》"], 1, 0.0),  # equal, but they share no word
        ("", ["《》", "书"], 1, 0.0),
        ("。", [], 1, 1.0),
        ("了！", ["了!"], 0, 2 / 3),  # a full-width mark is in the list, an ASCII one is not
    ],
)
def test_chinese_as_cmrc_defines_it(answer: str, golds: list[str], exact: int, f1: float) -> None:
    assert metrics.is_exact_match(answer, golds, "zh") == bool(exact)
    assert metrics.answer_f1(answer, golds, "zh") == pytest.approx(f1)


def test_words_of_both_rules() -> None:
    assert metrics.answer_words("A an the  year, 1912.", "en") == ["year", "1912"]
    assert metrics.answer_words("（约）1,200人", "zh") == ["约", "1,200", "人"]


RULE: Rule = "en"


def test_counts_add_up_to_both_parts() -> None:
    rows = [("Oslo", ["Oslo"]), ("in Oslo", ["Oslo"]), ("", []), ("Oslo", [])]
    total = metrics.sum_counts(metrics.question_counts(answer, golds, RULE) for answer, golds in rows)
    scores = metrics.question_scores(total)
    assert scores["exact_match"] == pytest.approx(2 / 4)
    assert scores["f1"] == pytest.approx((1 + 2 / 3 + 1 + 0) / 4)
    assert scores["has_answer_exact_match"] == pytest.approx(1 / 2)
    assert scores["has_answer_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores["no_answer_accuracy"] == pytest.approx(1 / 2)


def test_without_unanswerable_questions_there_are_two_scores() -> None:
    assert set(metrics.question_scores(metrics.question_counts("a", ["a"], RULE))) == {"f1", "exact_match"}
