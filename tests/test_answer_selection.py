"""Answer selection: labels, scores by hand, losses, cross-encoders of Hugging Face, what is left out, command line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.test_cli import run
from tests.test_data_text_lists import write_csv
from tests.tiny import TEXTS, make_tiny_trunk
from tunesmith import api, base_models, inference, judging, metrics
from tunesmith.contracts import Labels
from tunesmith.errors import DataError
from tunesmith.model_loading import load_model
from tunesmith.packing import pack
from tunesmith.tasks import make_task
from tunesmith.tasks.answer_selection import RightCandidates

LABELS = Labels((), (), "flags")
TASK = make_task("answer-selection", {})


def make_rows(*rows: dict[str, Any]) -> list[Any]:
    return [TASK.Row.model_validate(row) for row in rows]


def make_prediction(texts: str, order: list[int], probability: float | None = None) -> Any:
    """A ranking of one-letter candidates."""
    ranking = [{"candidate": place, "text": texts[place], "score": 0.5} for place in order]
    content = {"answer": texts[order[0]], "ranking": ranking, "probability": probability}
    return TASK.Prediction.model_validate(content)


def questions(count: int) -> list[dict[str, Any]]:
    """Right is what names the thing that is asked for; every fifth question has no right candidate, some have two."""
    things = ("film", "book", "meal", "phone", "hotel", "service", "story", "song")
    found = []
    for n in range(count):
        texts = [f"the {things[(n + step) % 8]} too" for step in (1, 3, 6)][: 2 + n % 2]
        labels = [0] * len(texts)
        for right in range(0 if n % 5 == 4 else 1 + (n % 7 == 0)):
            texts.insert(n % 3, f"the {things[n % 8]} was {('good', 'bad')[right]}")
            labels.insert(n % 3, 1)
        question = f"what was the {things[n % 8]} {n // 10} {n % 10}"
        found.append({"question": question, "candidates": texts, "labels": labels})
    return found


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [*TEXTS, *(text for row in questions(16) for text in (row["question"], *row["candidates"]))]
    return make_tiny_trunk(tmp_path_factory.mktemp("selection") / "bert", "bert", texts)


@pytest.fixture(scope="module")
def fitted(trunk: Path, tmp_path_factory: pytest.TempPathFactory) -> api.Result:
    settings = ["train.epochs=2", "evaluate.resamples=100", f"model.name={trunk}", "task.name=answer-selection"]
    return api.fit(questions(60), out=tmp_path_factory.mktemp("fitted"), settings=settings)


def test_scores_by_hand() -> None:
    """Ranks of the right ones: 1 and 3; 2; none right; 4 of four with one right."""
    cases = [("abc", [0, 2, 1], (0, 1)), ("ab", [0, 1], (1,)), ("abc", [0, 1, 2], ()), ("abcd", [3, 2, 1, 0], (0,))]
    predictions = [make_prediction(texts, order) for texts, order, _ in cases]
    golds = [RightCandidates(places, tuple(texts)) for texts, _, places in cases]
    scores = judging.quick_scores(TASK, predictions, golds, LABELS)
    assert scores == {
        "mrr": pytest.approx((1 + 1 / 2 + 1 / 4) / 3),
        "precision_at_1": pytest.approx(1 / 3),
        "map": pytest.approx(((1 / 1 + 2 / 3) / 2 + 1 / 2 + 1 / 4) / 3),
        "answerable": 3 / 4,
    }
    assert TASK.headline(LABELS) == "mrr"


def test_a_lone_candidate_has_a_probability_only_where_it_is_judged_by_itself() -> None:
    """The softmax of one number is 1."""
    parts = [[(["a"], [1.0])], [(["a", "b"], [0.3, 0.7])]]
    lone, two = (TASK.join(part, LABELS) for part in parts)
    assert (lone.answer, lone.probability, two.probability) == ("a", None, 0.7)
    pointwise = make_task("answer-selection", {"loss": "pointwise"})
    assert pointwise.join([(["a"], [0.2])], LABELS).probability == 0.2
    golds = [RightCandidates((), ("a",)), RightCandidates((1,), ("a", "b")), RightCandidates((0,), ("a",))]
    beliefs = TASK.beliefs([lone, two, lone], golds, LABELS)
    assert beliefs.probabilities.tolist() == [0.7]
    assert beliefs.truths.tolist() == [True]
    assert beliefs.rows.tolist() == beliefs.answer_rows.tolist() == [1]
    revised = TASK.revise([lone, two, lone], np.array([0.6]), LABELS)
    assert [one.probability for one in revised] == [None, 0.6, None]
    assert [TASK.withhold(one, 0.5).abstained for one in revised] == [True, False, True]
    assert TASK.beliefs([lone], None, LABELS).probabilities.shape == (0,)


def test_lone_candidates_do_not_touch_calibration(trunk: Path, tmp_path: Path) -> None:
    rows = questions(40)
    lone = [{"question": f"lone {n}", "candidates": ["the film too"], "labels": [n % 2]} for n in range(20)]
    settings = ["train.max_steps=2", "evaluate.resamples=100", f"model.name={trunk}", "task.name=answer-selection"]
    settings += ["evaluate.baselines=false"]
    plain, beside = (
        api.fit(rows, dev=dev, out=tmp_path / name, settings=settings).metrics
        for name, dev in (("plain", rows), ("beside", [*rows, *lone]))
    )
    assert (beside["calibration"]["rows"], beside["calibration"]["answers"]) == (60, 40)
    for key in ("before", "after", "reliability"):
        assert beside["calibration"][key] == plain["calibration"][key]
    for name in ("mrr", "precision_at_1", "map"):
        assert beside["scores"][name]["value"] == plain["scores"][name]["value"]
    answers = api.load(tmp_path / "beside").predict(lone, abstain=0.5)
    assert all(answer.probability is None and answer.abstained for answer in answers)
    only = api.fit(rows, dev=lone, out=tmp_path / "only", settings=settings).metrics
    assert (only["calibration"]["answers"], only["calibration"]["after"]) == (0, None)


def test_counts_of_rows_add_and_a_row_without_right_ones_is_only_counted() -> None:
    assert metrics.ranking_counts([False, False], 0, 2) == {"rows": 1.0, "answerable": 0.0}
    assert metrics.ranking_counts([True], 1, 1) == {"rows": 1.0, "answerable": 1.0}, "nothing to rank"
    assert metrics.ranking_scores({"rows": 3.0}) == {"mrr": 0.0, "precision_at_1": 0.0, "map": 0.0, "answerable": 0.0}
    one, other = metrics.ranking_counts([True, False], 1, 2), metrics.ranking_counts([False, True], 1, 2)
    assert metrics.ranking_scores(metrics.sum_counts([one, other]))["mrr"] == 0.75


@pytest.mark.parametrize(
    ("given", "kind", "places"),
    [
        ([[0, 1], [1, 1, 0]], "flags", [(1,), (0, 1)]),
        (["0|1", "[1, 1, 0]"], "flags", [(1,), (0, 1)]),
        (["0 1", "1,1,0"], "flags", [(1,), (0, 1)]),
        ([["false", "true"], [True, True, False]], "flags", [(1,), (0, 1)]),
        ([[1], [0, 2]], "indices", [(1,), (0, 2)]),
        ([1, []], "indices", [(1,), ()]),
        ([["b"], ["e", "c"]], "texts", [(1,), (0, 2)]),
        (["b", "c|e"], "texts", [(1,), (0, 2)]),
    ],
)
def test_labels_in_every_form(given: list[Any], kind: str, places: list[tuple[int, ...]]) -> None:
    texts = (["a", "b"], ["c", "d", "e"])
    rows = make_rows(
        *({"question": "q", "candidates": own, "labels": labels} for own, labels in zip(texts, given, strict=True))
    )
    found = TASK.labels(rows)
    assert (found.kind, found.names) == (kind, ())
    assert [TASK.gold(row, found).places for row in rows] == places


def test_labels_that_name_no_candidate_are_bad_rows(trunk: Path, tmp_path: Path) -> None:
    rows = questions(40)
    rows[5]["labels"] = [1]
    with pytest.raises(DataError, match="line 6, labels"):
        api.fit(rows, out=tmp_path, settings=[f"model.name={trunk}", "task.name=answer-selection"])


def test_without_right_beside_wrong_there_is_nothing_to_learn() -> None:
    rows = make_rows({"question": "q", "candidates": ["a", "b"], "labels": [0, 0]})
    with pytest.raises(DataError, match="nothing to learn"):
        TASK.labels(rows)


def test_the_losses_of_both_kinds_by_hand() -> None:
    class Item:
        def __init__(self, count: int, target: tuple[int, ...]) -> None:
            self.sequences, self.target = [[1]] * count, target

    batch: Any = type("Batch", (), {"items": [Item(3, (0, 2)), Item(2, ())]})()
    scores = torch.tensor([[1.0], [0.0], [-1.0], [2.0], [0.5]])
    whole = math.log(math.e + 1 + 1 / math.e)
    listwise, units = TASK.loss({"logits": scores}, batch, LABELS)
    assert (float(listwise), units) == (pytest.approx(whole - (1 - 1) / 2), 2.0)
    pointwise, units = make_task("answer-selection", {"loss": "pointwise"}).loss({"logits": scores}, batch, LABELS)
    sure = [math.log1p(math.exp(-1)), math.log(2), math.log1p(math.exp(1))]
    none = [math.log1p(math.exp(2)), math.log1p(math.exp(0.5))]
    assert (float(pointwise), units) == (pytest.approx(sum(sure) / 3 + sum(none) / 2), 2.0)


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "llama", "gpt2"])
def test_scores_are_those_of_a_cross_encoder(family: str, tmp_path: Path) -> None:
    model = load_model(base_models.resolve(str(make_tiny_trunk(tmp_path / family, family))), TASK.head(LABELS)).eval()
    rows = make_rows(
        {"question": "the film", "candidates": ["was good", "and the hotel was bad too"], "labels": [1, 0]},
        {"question": "服务", "candidates": ["太差", "很高兴", "the song"], "labels": [1, 0, 0]},
    )
    items = TASK.encode(rows, inference.make_context(model, LABELS))
    with torch.no_grad():
        ours = TASK.forward(model, pack([[item] for item in items]))["logits"]
    model.hf.save_pretrained(tmp_path / "saved")
    hf = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert hf.config.num_labels == 1
    pairs = [(row.question, text) for row in rows for text in row.candidates]
    padded = model.tokenizer(
        [one for one, _ in pairs], [other for _, other in pairs], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        torch.testing.assert_close(ours, hf(**padded).logits, atol=1e-5, rtol=0)


def test_the_first_candidate_is_what_is_sure_or_not() -> None:
    golds = [RightCandidates((1,), ("a", "b")), RightCandidates((), ("a", "b"))]
    predictions = [make_prediction("ab", [1, 0], 0.9), make_prediction("ab", [0, 1], 0.6)]
    beliefs = TASK.beliefs(predictions, golds, LABELS)
    assert beliefs is not None
    assert beliefs.rights is not None
    assert beliefs.rights.tolist() == [True, False]
    assert beliefs.confidences.tolist() == [0.9, 0.6]
    assert [TASK.withhold(one, 0.7).abstained for one in predictions] == [False, True]


def test_comparison_looks_at_as_many_as_are_right() -> None:
    gold = RightCandidates((0, 2), ("a", "b", "c"))
    half = TASK.compare(make_prediction("abc", [0, 1, 2], 0.8), gold, LABELS)
    assert (half.error, half.given, half.right) == (1.0, ("1. a", "2. b"), ("1. a", "3. c"))
    assert half.confidence is None, "the first one is right"
    wrong = TASK.compare(make_prediction("abc", [1, 2, 0], 0.8), gold, LABELS)
    assert (wrong.error, wrong.confidence) == (1.0, 0.8)
    assert TASK.compare(make_prediction("abc", [2, 0, 1]), gold, LABELS).error == 0
    assert TASK.compare(make_prediction("abc", [2, 0, 1]), RightCandidates((), gold.texts), LABELS).error == 0


def test_a_fit_counts_what_it_leaves_out(fitted: api.Result) -> None:
    scores = fitted.metrics["scores"]
    assert list(scores) == ["mrr", "precision_at_1", "map", "answerable"]
    assert 0 < scores["answerable"]["value"] < 1
    assert list(fitted.metrics["baselines"]) == ["majority", "longest", "tfidf", "frozen"]
    for one in api.load(fitted.folder).predict(questions(9)):
        scored = [item.score for item in one.ranking]
        assert scored == sorted(scored, reverse=True)
        assert sum(scored) == pytest.approx(1.0)
        assert one.answer == one.ranking[0].text


def test_a_question_longer_than_the_model_is_cut_for_every_candidate(fitted: api.Result) -> None:
    predictor = api.load(fitted.folder)
    row = {"question": "what was the film " * 30, "candidates": ["the film was good", "the book too"]}
    item = predictor.task.encode(make_rows(row), inference.make_context(predictor.model, LABELS))[0]
    assert [len(ids) for ids in item.sequences] == [64, 64]
    assert item.cut_tokens > 0
    assert len(predictor.predict([row])[0].ranking) == 2


def test_command_line_with_a_candidate_a_line(trunk: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "pairs.csv", tmp_path / "out"
    lines = [
        [row["question"], text, label]
        for row in questions(40)
        for text, label in zip(row["candidates"], row["labels"], strict=True)
    ]
    write_csv(path, ["question", "answer", "label"], *lines)
    words = ["fit", "--task", "answer-selection", "--model", trunk, "--train", path, "--out", out, "--verbose"]
    shown = run(*words, "--set", "train.epochs=1", "--set", "evaluate.resamples=100").stderr
    assert "answer selection, right answers given as flags" in shown
    assert "36 training rows" in shown
    answers = tmp_path / "answers.jsonl"
    run("predict", out, "--in", path, "--out", answers)
    written = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    assert len(written) == 40
    assert [item["text"] for item in written[0]["prediction"]["ranking"]] != []
    assert set(written[0]["answer"]) == {item["text"] for item in written[0]["prediction"]["ranking"]}
    assert json.loads(run("evaluate", out, "--data", path, "--json").stdout)["headline"] == "mrr"
    assert "mrr" in run("compare", out, out, "--data", path).output
    run("check", path, "--task", "answer-selection", "--model", trunk)
