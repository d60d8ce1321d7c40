"""Multiple choice: labels in every form, cutting, Hugging Face's logits, beliefs, competitors, the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.test_cli import run
from tests.test_data_text_lists import write_csv
from tests.tiny import FAMILIES, TEXTS, make_tiny_trunk
from tunesmith import api, base_models, data, inference
from tunesmith.contracts import Context, HeadSpec, Labels
from tunesmith.errors import DataError, ModelError
from tunesmith.evaluation.calibration import Scaling, scale
from tunesmith.losses import choice_loss
from tunesmith.model import Model
from tunesmith.model_loading import load_model
from tunesmith.packing import pack
from tunesmith.serving.hosting import load_hosted
from tunesmith.task_guess import guess_task
from tunesmith.tasks import make_task
from tunesmith.tasks.choice_labels import read_one

ENCODERS = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "albert", "modernbert", "deberta-v2")
HEAD = HeadSpec("multiple_choice", ())
LABELS = Labels((), (), "indices")
ROWS = [
    {"question": "the film was", "choices": ["good", "a happy song too"], "label": 0},
    {"question": "这家公司的利润", "choices": ["上升了", "下跌", "不变", "太差"], "label": 2},
    {"question": "what a day", "choices": ["it rains", "bad", "is it not"], "label": 1, "context": "the meal was poor"},
]


def make_rows(rows: Sequence[dict[str, Any]] = ROWS) -> list[Any]:
    return [make_task("multiple-choice", {}).Row.model_validate(row) for row in rows]


def exam(count: int) -> list[dict[str, Any]]:
    """Questions whose right choice repeats the thing that is asked for; 2 to 4 choices."""
    things = ("film", "book", "meal", "phone", "hotel", "service", "story", "song")
    found = []
    for n in range(count):
        right = things[n % 8]
        choices = [f"the {things[(n + step) % 8]}" for step in (1, 3, 6)][: 1 + n % 3]
        choices.insert(n % (len(choices) + 1), f"the {right}")
        question = f"the {right} was good {n // 10} {n % 10}"
        found.append({"question": question, "choices": choices, "label": choices.index(f"the {right}")})
    return found


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [*TEXTS, *(text for row in exam(24) for text in (row["question"], *row["choices"]))]
    return make_tiny_trunk(tmp_path_factory.mktemp("choice") / "bert", "bert", texts)


@pytest.fixture(scope="module")
def fitted(trunk: Path, tmp_path_factory: pytest.TempPathFactory) -> api.Result:
    settings = ["train.epochs=2", "evaluate.resamples=100", f"model.name={trunk}", "task.name=multiple-choice"]
    return api.fit(exam(48), out=tmp_path_factory.mktemp("fitted"), settings=settings)


def open_model(folder: Path, head: HeadSpec = HEAD) -> Model:
    model = load_model(base_models.resolve(str(folder)), head)
    return model.eval()


@pytest.mark.parametrize("family", ENCODERS)
def test_rows_of_different_size_have_hugging_faces_logits(family: str, tmp_path: Path) -> None:
    model = open_model(make_tiny_trunk(tmp_path / family, family))
    assert model.packed or family == "deberta-v2"
    task, rows = make_task("multiple-choice", {}), make_rows()
    items = task.encode(rows, inference.make_context(model, LABELS))
    assert [len(item.sequences) for item in items] == [2, 4, 3]
    with torch.no_grad():
        ours = task.forward(model, pack([[item] for item in items]))["logits"]
    assert ours.shape == (9, 1)
    model.hf.save_pretrained(tmp_path / "saved")
    hf = transformers.AutoModelForMultipleChoice.from_pretrained(tmp_path / "saved").eval()
    for row, found in zip(rows, ours[:, 0].split([2, 4, 3]), strict=True):
        asked = f"{row.context} {row.question}" if row.context else row.question
        padded = model.tokenizer([asked] * len(row.choices), row.choices, padding=True, return_tensors="pt")
        with torch.no_grad():
            theirs = hf(**{name: values[None] for name, values in padded.items()}).logits[0]
        torch.testing.assert_close(found, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in ENCODERS])
def test_an_architecture_without_such_a_head_is_refused(family: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"\({family}\) cannot be loaded with a head for multiple choice") as caught:
        open_model(make_tiny_trunk(tmp_path / family, family))
    assert "BERT" in str(caught.value.fix)


def test_a_modernbert_that_takes_means_answers_as_hugging_face(tmp_path: Path) -> None:
    folder = make_tiny_trunk(tmp_path / "modernbert", "modernbert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "classifier_pooling": "mean"}))
    model, task = open_model(folder), make_task("multiple-choice", {})
    items = task.encode(make_rows()[1:2], inference.make_context(model, LABELS))
    with torch.no_grad():
        ours = task.forward(model, pack([items]))["logits"]
        model.set_packed(False)
        columns = {"input_ids": list(items[0].sequences)}
        padded = model.tokenizer.pad(columns, return_tensors="pt")
        theirs = model.hf(**{name: values[None] for name, values in padded.items()}).logits
    torch.testing.assert_close(ours, theirs.T, atol=1e-5, rtol=0)


def test_the_finished_folder_loads_in_hugging_face_with_the_same_answers(fitted: api.Result) -> None:
    hf = transformers.AutoModelForMultipleChoice.from_pretrained(fitted.folder).eval()
    predictor = api.load(fitted.folder)
    rows = make_rows(exam(6))
    plain = inference.predict_rows(predictor.model, predictor.task, rows, predictor.artifact.labels)
    for row, answer in zip(rows, plain, strict=True):
        padded = predictor.model.tokenizer([row.question] * len(row.choices), row.choices, padding=True)
        padded = {name: torch.tensor([values]) for name, values in padded.items()}
        with torch.no_grad():
            shares = hf(**padded).logits[0].softmax(0)
        assert answer.probabilities == pytest.approx(shares.tolist(), abs=1e-5)
        assert answer.text == row.choices[answer.choice]
    card = (fitted.folder / "README.md").read_text(encoding="utf-8")
    assert "AutoModelForMultipleChoice" in card
    assert "pipeline(" not in card


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (["B", "a", "(C)"], "letters"),
        (["Ｂ", "A.", "C、"], "letters"),
        ([1, 0, 2], "indices"),
        (["1", "0.0", 2.0], "indices"),
        ([2, 1, 3], "numbers"),
        (["a  happy song too", "上升了", "is it not"], "texts"),
    ],
)
def test_labels_in_every_form(labels: list[Any], kind: str) -> None:
    task = make_task("multiple-choice", {})
    rows = make_rows([{**row, "label": label} for row, label in zip(ROWS, labels, strict=True)])
    found = task.labels(rows)
    assert (found.kind, found.names) == (kind, ())
    assert [task.gold(row, found).choice for row in rows] == [1, 0, 2]
    assert [task.stratum(row, found) for row in rows] == ["B", "A", "C"]


def test_labels_of_two_meanings_are_for_the_user_to_settle() -> None:
    rows = make_rows([{"question": "1 + 1", "choices": ["2", "1", "0"], "label": n} for n in ("0", "1", "2")])
    with pytest.raises(DataError, match="mean different ones") as caught:
        make_task("multiple-choice", {}).labels(rows)
    assert "--set task.kind=indices" in str(caught.value.fix)
    for kind, places in (("indices", [0, 1, 2]), ("texts", [2, 1, 0])):
        task = make_task("multiple-choice", {"kind": kind})
        assert [task.gold(row, task.labels(rows)).choice for row in rows] == places


@pytest.mark.parametrize("label", ["E", 4, -1, 0.5, "nothing like it", ""])
def test_a_label_that_names_no_choice_is_a_bad_row(label: Any, trunk: Path, tmp_path: Path) -> None:
    rows = exam(40)
    rows[7]["label"] = label
    settings = [f"model.name={trunk}", "task.name=multiple-choice"]
    with pytest.raises(DataError, match="line 8, label"):
        api.fit(rows, out=tmp_path, settings=settings)


def test_places_are_never_read_as_other_places() -> None:
    """A place that is one too high must not count from 1 where the file counts from 0."""
    task = make_task("multiple-choice", {})
    row = make_rows([{"question": "q", "choices": ["x", "y"], "label": 2}])[0]
    assert read_one(2, ["x", "y"]) == {"numbers": 1}
    with pytest.raises(DataError, match="a place from 0 on"):
        task.gold(row, LABELS)
    named = make_rows([{"question": "q", "choices": ["x", "y"], "label": "y"}])[0]
    assert task.gold(named, LABELS).choice == 1, "a text says it without doubt"


def test_too_long_a_question_is_cut_and_never_a_choice(trunk: Path) -> None:
    model = open_model(trunk)
    context = inference.make_context(model, LABELS)
    tokens = lambda text: model.tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    background, question = "the film was good " * 20, "the hotel was bad"
    choices = ["good", "the service was lovely " * 4]
    row = {"question": question, "choices": choices, "context": background}
    item = make_task("multiple-choice", {}).encode(make_rows([row]), context)[0]
    for ids, choice in zip(item.sequences, choices, strict=True):
        assert len(ids) == context.max_tokens
        assert ids[-1 - len(tokens(choice)) : -1] == tokens(choice)
        asked = ids[1 : -2 - len(tokens(choice))]
        assert asked[-len(tokens(question)) :] == tokens(question), "the context goes first"
        assert asked[:4] == tokens("the film was good")
    whole = sum(len(tokens(f"{background} {question}")) + len(tokens(choice)) + 3 for choice in choices)
    assert item.cut_tokens == whole - 2 * context.max_tokens
    longer = {"question": f"{question} {background}", "choices": choices}
    item = make_task("multiple-choice", {}).encode(make_rows([longer]), context)[0]
    assert all(ids[1:5] == tokens(question) for ids in item.sequences), "the question's end goes"
    assert item.sequences[1][-1 - len(tokens(choices[1])) : -1] == tokens(choices[1])
    huge = {"question": question, "choices": ["good", "bad " * 200]}
    item = make_task("multiple-choice", {}).encode(make_rows([huge]), context)[0]
    assert [len(ids) <= context.max_tokens for ids in item.sequences] == [True, True]
    assert item.cut_tokens > 130


def test_choices_that_fit_lose_nothing(trunk: Path) -> None:
    model = open_model(trunk)
    items = make_task("multiple-choice", {}).encode(make_rows(), Context(model.tokenizer, None, LABELS, 64))
    assert [item.cut_tokens for item in items] == [0, 0, 0]
    assert all(kinds.count(1) > 0 for item in items for kinds in item.segment_ids)


def test_the_loss_is_a_cross_entropy_over_each_rows_own_choices() -> None:
    scores = torch.tensor([0.3, -1.0, 2.0, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    loss, units = choice_loss(scores, [2, 3], [(1,), (0,)])
    whole = torch.nn.functional.cross_entropy
    wanted = whole(scores[None, :2], torch.tensor([1])) + whole(scores[None, 2:], torch.tensor([0]))
    assert (float(loss.detach()), units) == (pytest.approx(float(wanted.detach())), 2.0)
    found = torch.autograd.grad(loss, scores)[0]
    torch.testing.assert_close(found, torch.autograd.grad(wanted, scores)[0])
    smooth, _ = choice_loss(scores, [2, 3], [(1,), (0,)], smoothing=0.3)
    smoothed = whole(scores[None, :2], torch.tensor([1]), label_smoothing=0.3)
    smoothed = smoothed + whole(scores[None, 2:], torch.tensor([0]), label_smoothing=0.3)
    assert float(smooth.detach()) == pytest.approx(float(smoothed.detach()))


def test_several_right_choices_share_the_target_and_rows_without_one_cost_nothing() -> None:
    scores = torch.tensor([1.0, 0.0, 0.0, 7.0, 9.0], dtype=torch.float64, requires_grad=True)
    loss, units = choice_loss(scores, [3, 2], [(0, 2), ()])
    logs = scores[:3].log_softmax(0)
    assert (float(loss.detach()), units) == (pytest.approx(float(-(logs[0] + logs[2]).detach() / 2)), 2.0)
    gradient = torch.autograd.grad(loss, scores)[0]
    assert gradient[3:].tolist() == [0.0, 0.0]


def test_probabilities_of_rows_of_different_size_can_be_scaled() -> None:
    task = make_task("multiple-choice", {})
    make = task.Prediction
    answers = [
        make(choice=0, text="x", probability=0.7, probabilities=[0.7, 0.3]),
        make(choice=2, text="z", probability=0.5, probabilities=[0.2, 0.1, 0.5, 0.2]),
    ]
    beliefs = task.beliefs(answers, None, LABELS)
    assert beliefs is not None
    assert beliefs.probabilities.tolist() == [[0.7, 0.3, 0.0, 0.0], [0.2, 0.1, 0.5, 0.2]]
    softer = scale(beliefs.probabilities, Scaling("temperature", {"temperature": 150.0}))
    revised = task.revise(answers, softer, LABELS)
    assert [len(answer.probabilities) for answer in revised] == [2, 4]
    assert all(sum(answer.probabilities) == pytest.approx(1.0) for answer in revised)
    plain = np.array([0.7, 0.3]) ** (1 / 150)
    assert revised[0].probabilities == pytest.approx((plain / plain.sum()).tolist())
    assert [answer.choice for answer in revised] == [0, 2]


class Vectors:
    """Features by hand: a vector for each text."""

    def __init__(self, vectors: dict[str, list[float]]) -> None:
        self.vectors = vectors

    def texts(self, texts: Sequence[str]) -> Any:
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)


def test_competitors_answer_by_place_length_words_and_vectors() -> None:
    task = make_task("multiple-choice", {})
    rows = make_rows(
        [
            {"question": "red wine", "choices": ["tea", "a glass of red wine", "milk"], "label": 2},
            {"question": "cold milk", "choices": ["tea", "milk"], "label": 0},
            {"question": "black tea", "choices": ["milk", "wine", "tea"], "label": 2},
        ]
    )
    vectors = {"red wine": [1, 0], "cold milk": [0, 1], "black tea": [1, 1], "tea": [2, 2], "milk": [0, 3]}
    features: Any = Vectors({**vectors, "wine": [3, 0], "a glass of red wine": [0, 0]})
    found = {
        baseline.name: [answer.choice for answer in baseline.predict(rows, rows, features)]
        for baseline in task.baselines(LABELS)
    }
    assert found == {"majority": [2, 0, 2], "longest": [1, 1, 0], "tfidf": [1, 1, 2], "frozen": [0, 1, 2]}


def test_a_tiny_model_learns_and_beats_its_competitors(fitted: api.Result) -> None:
    assert list(fitted.metrics["baselines"]) == ["majority", "longest", "tfidf", "frozen"]
    assert fitted.metrics["headline"] == "accuracy"
    assert set(fitted.metrics["scores"]) == {"accuracy"}
    assert "gain" in fitted.metrics


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_command_line(ending: str, trunk: Path, tmp_path: Path) -> None:
    rows, path, out = exam(40), tmp_path / f"exam.{ending}", tmp_path / "out"
    if ending == "csv":
        padded = [[*row["choices"], *[""] * (4 - len(row["choices"]))] for row in rows]
        lines = [[row["question"], *texts, "ABCD"[row["label"]]] for row, texts in zip(rows, padded, strict=True)]
        write_csv(path, ["question", "A", "B", "C", "D", "answer"], *lines)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = ["fit", "--task", "multiple-choice", "--model", trunk, "--train", path, "--out", out, "--verbose"]
    shown = run(*words, "--set", "train.epochs=1", "--set", "evaluate.resamples=100").stderr
    assert f"multiple choice, right answers given as {'letters' if ending == 'csv' else 'indices'}" in shown
    assert "--in FILE" in shown
    answers = tmp_path / f"answers.{ending}"
    run("predict", out, "--in", path, "--out", answers)
    written = answers.read_text(encoding="utf-8").splitlines()
    if ending == "csv":
        fields = ("choice", "text", "probability", "probabilities")
        assert written[0] == ",".join(["question,A,B,C,D,answer", *(f"predicted_{field}" for field in fields)])
    else:
        answer = json.loads(written[0])["prediction"]
        assert set(answer) == {"choice", "text", "probability", "probabilities"}
        assert sum(answer["probabilities"]) == pytest.approx(1.0)
    assert "abstention" in json.loads(run("evaluate", out, "--data", path, "--abstain", "0.5", "--json").stdout)
    assert "160" not in run("check", path, "--task", "multiple-choice", "--model", trunk).output
    compared = json.loads(run("compare", out, out, "--data", path, "--json").stdout)
    assert compared["headline"] == "accuracy"
    assert "choices" in run("predict", out, "a text", code=2).output


def test_predictions_of_a_file_are_compared_with_a_model(fitted: api.Result, tmp_path: Path) -> None:
    rows = exam(30)
    path, answers = tmp_path / "exam.jsonl", tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    wrong = [{**row, "label": (row["label"] + 1) % len(row["choices"])} for row in rows]
    lines = [
        {**row, "prediction": {"choice": row["label"], "text": row["choices"][row["label"]], "probability": 0.9}}
        for row in wrong
    ]
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    found = json.loads(run("compare", answers, fitted.folder, "--data", path, "--json").stdout)
    assert found["scores"]["accuracy"]["a"] == 0.0
    examples = [one for kind in found["changes"]["examples"].values() for one in kind]
    assert examples
    assert all(one["a"] != [one["right"]] == one["b"] for one in examples)
    assert examples[0]["right"][:3] in {"A. ", "B. ", "C. ", "D. "}


def test_a_served_model_offers_an_example_that_it_can_answer(fitted: api.Result) -> None:
    hosted = load_hosted([f"exam={fitted.folder}"])["exam"]
    described = hosted.describe()
    assert described["columns"]["choices"]["type"] == "texts"
    assert described["reads_tokens"] == 64
    row = hosted.task.Row.model_validate(described["examples"][0])
    answer = hosted.answer([row], 512)[0]
    assert answer.text in row.choices  # type: ignore[attr-defined]


def test_lists_of_choices_tell_the_task() -> None:
    assert guess_task(exam(3), data.ReadOptions()) == "multiple-choice"
    rows = [{"question": "q", "candidates": ["a", "b"], "labels": [0, 1]}]
    assert guess_task(rows, data.ReadOptions()) == "answer-selection"
    assert guess_task([{"text": "good", "label": "a", "choices": "x"}], data.ReadOptions()) == "text-classification"
