"""Competitors of the classifier: they learn what can be learnt, repeat exactly and survive odd data."""

import doctest
import random
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tunesmith.contracts import Baseline
from tunesmith.errors import DataError
from tunesmith.tasks import cosine_baselines
from tunesmith.tasks.classification_baselines import FrozenProbe, Majority, TfidfLogistic

KINDS = ["single", "multi", "number"]
LEARNERS = [TfidfLogistic, FrozenProbe]


@dataclass(frozen=True)
class Row:
    texts: tuple[str, ...]
    target: Any


@dataclass(frozen=True)
class Answer:
    value: Any
    probabilities: dict[str, float] | None


def make(learner: type, kind: str) -> Baseline:
    return learner(kind=kind, texts_of=lambda row: row.texts, target_of=lambda row: row.target, answer=Answer)


def letter_counts(rows: list[Row]) -> np.ndarray:
    """Vectors of letter counts, with one dimension that never varies and one that varies by rounding only."""
    letters = [["".join(row.texts).count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for row in rows]
    ones = np.ones((len(rows), 1), dtype=np.float32)
    rounding = 5 + 4e-7 * (np.arange(len(rows)) % 2)[:, None]
    return np.hstack([np.array(letters, dtype=np.float32).reshape(-1, 26), ones, rounding]).astype(np.float32)


features = SimpleNamespace(rows=letter_counts)


def news(kind: str, rows: int, seed: int) -> list[Row]:
    """Texts whose words tell the label, the labels or the number."""
    rng = random.Random(seed)
    signs = {"up": ["gains", "jumps"], "down": ["falls", "slumps"], "flat": ["holds", "waits"]}
    made = []
    for _ in range(rows):
        names = sorted(name for name in signs if rng.random() < 0.4) if kind == "multi" else [rng.choice([*signs])]
        words = [rng.choice(signs[name]) for name in names] + rng.choices(["stock", "fund", "bond"], k=3)
        rng.shuffle(words)
        target = {"single": names[0] if names else "", "multi": names, "number": float(len(names))}[kind]
        if kind == "number":
            target = 10.0 + 3.0 * (names == ["up"]) - 3.0 * (names == ["down"])
        made.append(Row((" ".join(words),), target))
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learner", LEARNERS)
def test_learns_what_the_words_tell(learner: type, kind: str) -> None:
    train, test = news(kind, 200, 1), news(kind, 60, 2)
    answers = make(learner, kind).predict(train, test, features)
    if kind == "number":
        assert all(answer.probabilities is None for answer in answers)
        assert max(abs(a.value - row.target) for a, row in zip(answers, test, strict=True)) < 1.0
        return
    right = [answer.value == row.target for answer, row in zip(answers, test, strict=True)]
    assert sum(right) > 0.95 * len(right)
    for answer in answers:
        assert set(answer.probabilities) == {"up", "down", "flat"}
        if kind == "single":
            assert sum(answer.probabilities.values()) == pytest.approx(1.0)
            assert answer.probabilities[answer.value] == max(answer.probabilities.values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learner", [Majority, *LEARNERS])
def test_the_same_data_give_the_same_answers(learner: type, kind: str) -> None:
    train, test = news(kind, 80, 1), news(kind, 20, 2)
    first, second = (make(learner, kind).predict(train, test, features) for _ in range(2))
    assert first == second
    assert len(first) == len(test)


def test_two_classes_have_probabilities_of_both() -> None:
    train = [Row((f"good {i}",), "yes") for i in range(9)] + [Row((f"bad {i}",), "no") for i in range(9)]
    (answer,) = make(TfidfLogistic, "single").predict(train, [Row(("good bad good",), "?")], features)
    assert list(answer.probabilities) == ["no", "yes"]
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)
    (sure,) = make(TfidfLogistic, "single").predict(train, [Row(("good",), "?")], features)
    assert sure.value == "yes"
    assert sure.probabilities["yes"] > 0.8


def test_majority_of_classes_is_the_most_frequent_and_ties_are_settled_by_name() -> None:
    rows = [Row(("",), name) for name in ["b", "a", "b", "a", "c"]]
    (answer,) = make(Majority, "single").predict(rows, rows[:1], features)
    assert answer == Answer("a", {"a": 0.4, "b": 0.4, "c": 0.2})


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([["x", "y"], ["x", "z"], ["x"], ["y", "x"], ["y"]], ["x", "y"]),  # each in more than half
        ([["x"], ["y", "z"], ["z", "y"], [], ["w"]], ["y", "z"]),  # none is: the most frequent set
        ([[], [], ["y"]], []),
    ],
)
def test_majority_of_sets(targets: list[list[str]], expected: list[str]) -> None:
    rows = [Row(("",), target) for target in targets]
    assert make(Majority, "multi").predict(rows, rows[:1], features)[0].value == expected


def test_majority_of_numbers_is_the_mean() -> None:
    rows = [Row(("",), number) for number in (1.0, 2.0, 6.0)]
    assert make(Majority, "number").predict(rows, rows[:2], features) == [Answer(3.0, None)] * 2


@pytest.mark.parametrize("learner", LEARNERS)
def test_one_answer_in_training_is_everyones_answer(learner: type) -> None:
    for kind, target in (("single", "a"), ("multi", ["a"]), ("multi", []), ("number", 2.5)):
        train = [Row((f"text {i}",), target) for i in range(5)]
        answers = make(learner, kind).predict(train, [Row(("other words",), None)], features)
        assert [answer.value for answer in answers] == [target]


@pytest.mark.parametrize("text", ["!!!", "", "   "])
def test_texts_without_a_word_get_the_majority(text: str) -> None:
    train = [Row((text,), "b"), Row((text,), "a"), Row((text,), "b")]
    assert make(TfidfLogistic, "single").predict(train, train[:1], features)[0].value == "b"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learner", LEARNERS)
def test_two_training_rows_are_enough(learner: type, kind: str) -> None:
    targets = {"single": ["up", "down"], "multi": [["up"], ["up", "down"]], "number": [0.0, 1.0]}[kind]
    train = [Row(("gains",), targets[0]), Row(("falls",), targets[1])]
    with warnings.catch_warnings(action="error"):
        answers = make(learner, kind).predict(train, train, features)
    assert len(answers) == 2
    assert kind == "number" or all(0 <= p <= 1 for a in answers for p in a.probabilities.values())


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_class_of_one_row_among_many_rows(learner: type) -> None:
    train = [*news("single", 100, 1), Row(("rare words here",), "rare")]
    answers = make(learner, "single").predict(train, news("single", 20, 2), features)
    assert set(answers[0].probabilities) == {"down", "flat", "rare", "up"}


@pytest.mark.parametrize("learner", [Majority, *LEARNERS])
def test_no_rows(learner: type) -> None:
    baseline = make(learner, "single")
    assert baseline.predict(news("single", 5, 1), [], features) == []
    with pytest.raises(DataError, match="no training row"):
        baseline.predict([], news("single", 1, 1), features)


def test_pairs_are_compared() -> None:
    """No word tells the class; whether both texts have the same word does."""
    rng, words = random.Random(3), ["oil", "gold", "rates", "wheat", "chips", "autos"]

    def pair() -> Row:
        first, other = rng.sample(words, 2)
        same = rng.random() < 0.5
        return Row((f"news on {first}", f"about {first if same else other}"), "same" if same else "different")

    train, test = [pair() for _ in range(300)], [pair() for _ in range(60)]
    answers = make(TfidfLogistic, "single").predict(train, test, features)
    right = [answer.value == row.target for answer, row in zip(answers, test, strict=True)]
    assert sum(right) > 0.95 * len(right)


def test_a_row_with_one_text_among_pairs() -> None:
    train = [Row(("gains", "jumps"), "up"), Row(("falls",), "down")] * 3
    answers = make(TfidfLogistic, "single").predict(train, [Row(("falls",), None)], features)
    assert answers[0].value == "down"


def test_chinese_is_read_by_characters() -> None:
    """No word of the test texts was seen in training; their characters were."""
    train = [Row((f"股价上涨{i}点",), "up") for i in range(10)] + [Row((f"股价下跌{i}点",), "down") for i in range(10)]
    answers = make(TfidfLogistic, "single").predict(
        train, [Row(("油价下跌了",), None), Row(("金价上涨了",), None)], features
    )
    assert [answer.value for answer in answers] == ["down", "up"]


def test_probe_ignores_the_scale_of_features() -> None:
    train, test = news("single", 100, 1), news("single", 40, 2)
    answers = make(FrozenProbe, "single").predict(train, test, features)
    scaled_features = SimpleNamespace(rows=lambda rows: 1e-4 * letter_counts(rows) + 3e-5)
    scaled = make(FrozenProbe, "single").predict(train, test, scaled_features)
    assert [answer.value for answer in answers] == [answer.value for answer in scaled]


def test_probe_is_not_misled_by_dimensions_that_vary_by_rounding_only() -> None:
    """Standardised blindly, the rounding of a constant would tell the classes of these rows apart."""
    train = [Row(("gains",), "up"), Row(("gains",), "down")] * 30
    answers = make(FrozenProbe, "single").predict(train, train[:2], features)
    assert answers[0].probabilities["up"] == pytest.approx(0.5, abs=1e-6)
    assert answers[0] == answers[1]


def test_large_sets_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.tasks import classification_baselines

    monkeypatch.setattr(classification_baselines, "_ROWS", 50)
    asked: list[int] = []

    def counted(rows: list[Row]) -> np.ndarray:
        asked.append(len(rows))
        return letter_counts(rows)

    make(FrozenProbe, "single").predict(news("single", 400, 1), news("single", 20, 2), SimpleNamespace(rows=counted))
    assert asked == [50, 20]


def test_cosines_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctest.testmod(cosine_baselines).failed == 0
    draw = np.random.default_rng(0)
    table = {f"t{place}": draw.normal(size=3) for place in range(9)}
    rows = [(f"t{place}", [f"t{other}" for other in range(1 + place % 4)]) for place in range(9)]
    for size in (512, 2):
        monkeypatch.setattr(cosine_baselines, "_ROWS_AT_ONCE", size)
        found = list(cosine_baselines.likenesses(rows, lambda texts: np.array([table[text] for text in texts])))
        for (text, others), cosines in zip(rows, found, strict=True):
            one = table[text] / np.linalg.norm(table[text])
            assert cosines == pytest.approx([one @ table[other] / np.linalg.norm(table[other]) for other in others])


def test_equal_texts_share_their_vector() -> None:
    asked: list[list[str]] = []
    rows = [("a", "b"), ("b", "a")]
    found = cosine_baselines.vectors_by_row(rows, lambda texts: asked.append(list(texts)) or np.eye(2))
    assert asked == [["a", "b"]]
    assert found[0][1] is found[1][0]
    assert found[0][0].tolist() == [1.0, 0.0]
    assert cosine_baselines.vectors_by_row([], np.eye) == []
