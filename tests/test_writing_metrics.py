"""Scores of written texts: BLEU and chrF against sacrebleu, ROUGE by hand; texts in which nothing is to be counted."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest
from sacrebleu.metrics import BLEU, CHRF

from tunesmith import metrics
from tunesmith.contracts import Baseline
from tunesmith.evaluation.intervals import bootstrap_intervals
from tunesmith.tasks.writing_baselines import CopySource, Lead1, lead_sentences

ENGLISH = [
    ("The cat sat on the mat.", ["The cat is sitting on the mat.", "A cat sat upon the mat today."]),
    ("He didn't pay 3.5 million (or so) for it!", ["He did not pay 3.5 million for it.", "They paid $3.5m, or so."]),
    ("Rain is expected in the north on Monday", ["Rain is expected in the north on Monday.", "It rains on Monday."]),
    ("no", ["Nothing of the kind was ever said.", "no no"]),
    ("It is a a a a guide to action", ["It is a guide to action", "a a guide"]),
    ("", ["Somebody wrote this.", "And that."]),
    ("Somebody wrote this.", ["", "Somebody wrote that."]),
    ("...", ["...!", "?"]),
    ("Größe &amp; naïveté, “quoted”", ["Größe & naïveté – quoted", "Grösse"]),
    ("  two   lines\nin one text  ", ["two lines in one text", "two lines"]),
]
CHINESE = [
    ("猫坐在垫子上。", ["猫正坐在垫子上。", "一只猫坐在垫子上面。"]),
    ("他在GitHub上发布了3.5版", ["他于GitHub发布了第3.5版。", "3.5版发布了"]),
    ("", ["今天下雨。", "雨"]),
    ("今天，北京下雨。", ["", "北京今天下雨！"]),
    ("。。。", ["。", "！"]),
]
EACH_CORPUS = [pytest.param(ENGLISH, "en", id="en"), pytest.param(CHINESE, "zh", id="zh")]
Corpus = list[tuple[str, list[str]]]


def scores_of(corpus: Corpus, language: Any) -> dict[str, float]:
    return metrics.writing_scores(metrics.sum_counts(metrics.writing_counts(*row, language) for row in corpus))


def by_sacrebleu(corpus: Corpus, language: str) -> tuple[Any, float]:
    """Its BLEU and chrF; the lists of references stand side by side, None where a row has fewer."""
    most = max(len(references) for _, references in corpus)
    columns: list[Any] = [[(row[1] + [None] * most)[place] for row in corpus] for place in range(most)]
    written = [row[0] for row in corpus]
    bleu = BLEU(tokenize="zh" if language == "zh" else "13a")
    return bleu.corpus_score(written, columns), CHRF().corpus_score(written, columns).score


@pytest.mark.parametrize("references", [1, 2])
@pytest.mark.parametrize(("corpus", "language"), EACH_CORPUS)
def test_bleu_and_chrf_equal_sacrebleu(corpus: Corpus, language: str, references: int) -> None:
    cut = [(written, right[:references]) for written, right in corpus]
    for rows in (cut, *([row] for row in cut), [*cut, (cut[0][0], [cut[0][0]])]):
        bleu, chrf = by_sacrebleu(rows, language)
        scores = scores_of(rows, language)
        assert scores["bleu"] == pytest.approx(bleu.score, abs=1e-9)
        assert scores["chrf"] == pytest.approx(chrf, abs=1e-9)
        assert scores["length_ratio"] == pytest.approx(bleu.sys_len / bleu.ref_len if bleu.ref_len else 0.0)


def test_rows_may_have_different_numbers_of_references() -> None:
    rows = [(written, right[: 1 + place % 2]) for place, (written, right) in enumerate(ENGLISH)]
    bleu, chrf = by_sacrebleu(rows, "en")
    assert scores_of(rows, "en")["bleu"] == pytest.approx(bleu.score, abs=1e-9)
    assert scores_of(rows, "en")["chrf"] == pytest.approx(chrf, abs=1e-9)
    assert bleu.score > 10


def test_chrf_of_random_texts() -> None:
    rng = random.Random(4)
    for _ in range(300):
        written, *right = ("".join(rng.choices("ab 词\U0001f600\udc80", k=rng.randint(0, 25))) for _ in range(3))
        score = metrics.chrf_score(metrics.chrf_counts(written, right))
        assert score == pytest.approx(CHRF().sentence_score(written, right).score, abs=1e-9)


def test_bleu_by_hand() -> None:
    """Runs 5 of 6, 2 of 5, none of 4 and none of 3, which count as 1/2 and 1/4; 6 words against 7."""
    scores = scores_of([("the cat sat on the mat", ["the cat has sat on a mat"])], "en")
    assert scores["bleu"] == pytest.approx(
        100 * 2.718281828459045 ** (1 - 7 / 6) * (5 / 6 * 2 / 5 * 1 / 8 * 1 / 12) ** 0.25
    )
    assert scores["length_ratio"] == pytest.approx(6 / 7)


def test_chrf_by_hand() -> None:
    """Precisions and recalls 2/3, 1/2 and 0; then precision 1 and recalls 1/2 and 1/3, longer runs on one side only."""
    assert scores_of([("ab c", ["abd"])], "en")["chrf"] == pytest.approx(100 * (2 / 3 + 1 / 2 + 0) / 3)
    assert scores_of([("ab", ["abab"])], "en")["chrf"] == pytest.approx(500 * (5 / 12) / (4 + 5 / 12))


@pytest.mark.parametrize(
    ("written", "references", "one", "two", "longest"),
    [
        ("police killed the gunman", ["police kill the gunman"], 3 / 4, 1 / 3, 3 / 4),  # Lin 2004, section 3
        ("the gunman kill police", ["police killed the gunman"], 3 / 4, 1 / 3, 1 / 2),  # the same words, other order
        ("the gunman police killed", ["police killed the gunman"], 1, 2 / 3, 1 / 2),
        ("a b", ["a b c d"], 2 / 3, 1 / 2, 2 / 3),  # precision 1, recall 1/2 and 1/3
        ("a a a", ["a"], 1 / 2, 0, 1 / 2),  # as often as in both
        ("It's HIS", ["it s his!"], 1, 1, 1),
        ("x y z", ["a", "x z", "y z"], 4 / 5, 2 / 3, 4 / 5),  # each score takes its own best
        ("a_b", ["a b"], 1, 1, 1),
        ("Москва слезам", ["москва не верит слезам"], 2 / 3, 0, 2 / 3),
        ("猫坐在垫子上", ["猫在垫子上。"], 10 / 11, 2 / 3, 10 / 11),  # characters: 5 of 6 and 5, pairs 3 of 5 and 4
        ("GitHub 3.5版", ["github3.5 版"], 4 / 7, 2 / 5, 4 / 7),  # github 3 5 版 | github3 5 版
        ("", ["a"], 0, 0, 0),
        ("a", [""], 0, 0, 0),
        ("", [""], 0, 0, 0),
        ("!", ["!"], 0, 0, 0),
        ("one", ["one"], 1, 0, 1),  # a single word has no pair
    ],
)
def test_rouge_by_hand(written: str, references: list[str], one: float, two: float, longest: float) -> None:
    found = metrics.rouge_scores(written, references)
    assert found == {
        "rouge_1": pytest.approx(one),
        "rouge_2": pytest.approx(two),
        "rouge_l": pytest.approx(longest),
    }


def test_longest_common_subsequence_against_all_subsequences() -> None:
    rng = random.Random(5)
    for _ in range(200):
        one, other = (rng.choices("abc", k=rng.randint(0, 7)) for _ in range(2))
        parts = [{part for size in range(8) for part in combinations(text, size)} for text in (one, other)]
        assert metrics.longest_common(one, other) == max(map(len, parts[0] & parts[1]))


def test_longest_common_subsequence_of_long_texts() -> None:
    rng = random.Random(6)
    one, other = ([str(rng.randrange(60)) for _ in range(300)] for _ in range(2))
    before = [0] * (len(other) + 1)
    for word in one:
        row = [0]
        for place, candidate in enumerate(other):
            row.append(before[place] + 1 if word == candidate else max(row[-1], before[place + 1]))
        before = row
    assert metrics.longest_common(one, other) == before[-1]


@pytest.mark.parametrize(
    ("written", "references", "exact", "error"),
    [
        ("A  dog\nbarks. ", ["a dog", "A dog barks."], 1, 0.0),
        ("a dog", ["A dog"], 0, None),  # small and capital letters differ
        ("a dog.", ["a dog"], 0, None),
        ("adog", ["a dog"], 0, 0.0),  # blanks within are no difference to chrF, but to a match
        ("", [""], 1, 0.0),
        ("", [], 1, 0.0),
        (" \n", [""], 1, 0.0),
        ("", ["a"], 0, 1.0),
        ("a", [""], 0, 1.0),
        ("xyz", ["abc"], 0, 1.0),
    ],
)
def test_exact_match_and_error(written: str, references: list[str], exact: int, error: float | None) -> None:
    assert metrics.writing_counts(written, references, "en")["exact_match"] == exact
    found = metrics.writing_error(written, references)
    assert 0 < found < 1 if error is None else found == pytest.approx(error)


def test_nothing_to_count() -> None:
    nothing = {"bleu": 0, "chrf": 0, "rouge_1": 0, "rouge_2": 0, "rouge_l": 0, "length_ratio": 0}
    assert scores_of([("", [""])], "en") == {**nothing, "exact_match": 1}
    assert scores_of([("", ["a b"]), ("", ["c"])], "zh") == {**nothing, "exact_match": 0}
    assert scores_of([("a b", [""])], "en") == {**nothing, "exact_match": 0}
    signs = scores_of([("! ? !", ["! ? !"])], "en")
    assert signs == {**nothing, "chrf": 100, "exact_match": 1, "length_ratio": 1}  # three words have no run of four


def test_perfect_texts() -> None:
    rows = [("One two three four five.", ["One two three four five."]), ("六七八九十", ["六七八九十"])]
    perfect = {"bleu": 100, "chrf": 100, "rouge_1": 1, "rouge_2": 1, "rouge_l": 1, "exact_match": 1, "length_ratio": 1}
    assert scores_of(rows, "zh") == pytest.approx(perfect)


def test_rouge_is_a_mean_of_rows_and_bleu_is_not() -> None:
    rows = ENGLISH[:3]
    single = [scores_of([row], "en") for row in rows]
    together = scores_of(rows, "en")
    for name in ("rouge_1", "rouge_2", "rouge_l"):
        assert together[name] == pytest.approx(sum(scores[name] for scores in single) / 3)
    assert abs(together["bleu"] - sum(scores["bleu"] for scores in single) / 3) > 1


def test_intervals_come_from_summed_counts() -> None:
    counts = [metrics.writing_counts(written, right, "en") for written, right in ENGLISH * 3]
    found = bootstrap_intervals(counts, metrics.writing_scores, resamples=200)
    assert found["bleu"].value == pytest.approx(by_sacrebleu(ENGLISH * 3, "en")[0].score)
    assert all(one.low < one.value < one.high for one in found.values())


def test_signature_is_sacrebleus() -> None:
    bleu, chrf = BLEU(tokenize="zh"), CHRF()
    for metric in (bleu, chrf):
        metric.corpus_score(["a"], [["a"], ["b"]])
    assert metrics.translation_signature("zh", 2) == f"BLEU|{bleu.get_signature()}; chrF2|{chrf.get_signature()}"
    assert "|tok:13a|" in metrics.translation_signature("en")
    assert metrics.translation_signature("en", None).count("nrefs:var") == 2


def test_sacrebleu_is_imported_when_something_is_counted() -> None:
    code = "import sys, tunesmith.metrics; print('sacrebleu' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_counting_says_nothing(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(101):  # of so many texts that end in " ." sacrebleu would say that they look tokenized
        scores_of([("a b .", ["a b ."])], "en")
    assert not caplog.records
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "count", "lead"),
    [
        ("Dr. Lee came. He left! Why?", 1, "Dr. Lee came."),
        ("  One.  Two.  Three.", 2, "One.  Two."),
        ("今天下雨。明天晴！", 1, "今天下雨。"),
        ("no end", 3, "no end"),
        ("Headline\nBody.", 1, "Headline"),
        ("", 1, ""),
        (" \n ", 1, ""),
    ],
)
def test_lead_sentences(text: str, count: int, lead: str) -> None:
    assert lead_sentences(text, count) == lead


def test_competitors() -> None:
    rows = [SimpleNamespace(text="One. Two."), SimpleNamespace(text="一。二。")]
    features: Any = SimpleNamespace()
    for kind, wanted in ((CopySource, ["<One. Two.>", "<一。二。>"]), (Lead1, ["<One.>", "<一。>"])):
        baseline: Baseline = kind(lambda row: row.text, lambda text: f"<{text}>")
        assert baseline.predict([], rows, features) == wanted
        assert baseline.name in ("copy", "lead_1")
