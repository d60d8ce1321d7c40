"""Answers that stand in a text: windows, places, no answer, Hugging Face's own classes, the command line."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from typer.testing import CliRunner

from tests.questions import ALWAYS, FAMILIES, LABELS, LONG, context_of, make_models, row
from tests.tiny import make_tiny_trunk
from tunesmith import api, cli, inference
from tunesmith.errors import DataError
from tunesmith.model import Model
from tunesmith.packing import pack
from tunesmith.serving.feedback import _with_answer
from tunesmith.serving.hosting import load_hosted
from tunesmith.serving.problems import Problem
from tunesmith.tasks import make_task
from tunesmith.tasks.question_baselines import FirstSentence, NoAnswer, OverlappingSentence
from tunesmith.tasks.question_rows import QuestionPrediction, RightAnswers
from tunesmith.tasks.question_spans import WindowAnswers, join_windows


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    return make_models(tmp_path_factory.mktemp("questions"))


def test_the_best_spans_are_found_exactly(models: Any) -> None:
    """Against all spans of every window, tried one by one."""
    task = make_task("question-answering", {"n_best": 7, "longest_answer_tokens": 5, "overlap_tokens": 8})
    items = task.encode([row("Who ate figs?", LONG, "Ada")], context_of(models["bert"]))
    batch = pack([[item] for item in items])
    logits = torch.randn(len(batch.input_ids), 2, generator=torch.Generator().manual_seed(1))
    parts = task.decode({"logits": logits}, batch, LABELS)
    for item, part, start in zip(items, parts, batch.bounds.tolist(), strict=False):
        own = logits[start : start + item.length_tokens].tolist()
        first, count = item.meta["first"], item.meta["reading"].window.end - item.meta["reading"].window.start
        tried = {
            item.meta["reading"].span(a, b): own[first + a][0] + own[first + b][1]
            for a in range(count)
            for b in range(a, min(count, a + 5))
        }
        wanted = sorted(tried.items(), key=lambda pair: -pair[1])[:7]
        assert [span for span, _ in part.spans] == [span for span, _ in wanted]
        assert [score for _, score in part.spans] == pytest.approx([score for _, score in wanted], abs=1e-5)
        assert part.no_answer == pytest.approx(sum(own[item.meta["null"]]), abs=1e-5)


def test_windows_are_joined_by_their_scores() -> None:
    text = "Ada or Bo"
    parts = [
        WindowAnswers(text, [((0, 3), 2.0), ((7, 9), 1.0)], no_answer=4.0),
        WindowAnswers(text, [((7, 9), 3.0)], no_answer=1.0),
    ]
    found = join_windows(parts, 5, may_have_none=True)
    assert found.answer == "Bo"
    assert (found.start, found.end) == (7, 9)
    assert found.no_answer_score == pytest.approx(1.0 - 3.0)  # the window that believes in it least
    assert [one.text for one in found.n_best] == ["Bo", "Ada", ""]
    assert sum(one.probability for one in found.n_best) == pytest.approx(1.0)
    assert found.n_best[0].probability == pytest.approx(1 / (1 + 2.718281828**-1 + 2.718281828**-2))
    never = join_windows(parts, 1, may_have_none=False)
    assert (never.no_answer_score, [one.text for one in never.n_best]) == (None, ["Bo"])


def test_a_text_without_tokens_has_no_answer(models: Any) -> None:
    task = make_task("question-answering", {})
    asked = [row("Who?", "\u200b", None), row("Who ate?", "Bo ate figs.", None)]
    answers = inference.predict_rows(models["bert"], task, asked, ALWAYS)
    assert answers[0].answer == ""
    assert answers[1].answer


@pytest.mark.parametrize("family", FAMILIES)
def test_hugging_face_computes_the_same_logits(family: str, models: Any, tmp_path: Path) -> None:
    """The stored folder in Hugging Face's own class, padded, against ours, packed."""
    model, task = models[family], make_task("question-answering", {"overlap_tokens": 8})
    model.hf.save_pretrained(tmp_path)
    theirs = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path, local_files_only=True).eval()
    items = task.encode([row("Who ate figs?", LONG, "Ada"), row("Who?", "Bo ate.", "Bo")], context_of(model))
    batch = pack([[item] for item in items])
    with torch.no_grad():
        ours = task.forward(model, batch)["logits"]
        columns = {"input_ids": [item.sequences[0] for item in items]}
        if items[0].segment_ids:
            columns["token_type_ids"] = [item.segment_ids[0] for item in items]
        padded = model.tokenizer.pad(columns, padding=True, return_tensors="pt")
        found = theirs(**padded)
    logits = torch.stack([found.start_logits, found.end_logits], -1)[padded["attention_mask"].bool()]
    assert model.packed
    torch.testing.assert_close(ours, logits, atol=1e-5, rtol=0)


def test_cheap_competitors() -> None:
    text = "Day one was dull. The guest Bo ate figs. Rain fell."
    rows = [row("Which guest ate figs?", text, None), row("谁？", "甲。乙", None)]
    systems: list[Any] = [FirstSentence(), OverlappingSentence(), NoAnswer()]
    answers = [one.predict([], rows, None)[0] for one in systems]
    assert [one.answer for one in answers] == ["Day one was dull", "The guest Bo ate figs", ""]
    assert rows[0].context[answers[1].start : answers[1].end] == answers[1].answer
    names = [[one.name for one in make_task("question-answering", {}).baselines(labels)] for labels in (LABELS, ALWAYS)]
    assert names == [["first_sentence", "overlap", "no_answer"], ["first_sentence", "overlap"]]


def test_language_is_told_by_the_texts() -> None:
    english, chinese = row("Who?", "Bo ate figs.", "Bo"), row("谁？", "小王吃了fig。", "小王")
    for rows, options, wanted in [
        ([english], {}, 0.0),
        ([chinese], {}, 1.0),
        ([english], {"language": "zh"}, 1.0),
        ([chinese], {"language": "en"}, 0.0),
    ]:
        assert make_task("question-answering", options).labels(rows).statistics["chinese"] == wanted
    with pytest.raises(DataError, match="no question has an answer"):
        make_task("question-answering", {}).labels([row("Who?", "Bo")])


def test_right_and_wrong_are_marked_in_the_text() -> None:
    task = make_task("question-answering", {})
    gold = RightAnswers(("the guest Bo", "Bo"), ((0, 12), (10, 12)))
    right = task.compare(QuestionPrediction(answer="guest Bo", start=4, end=12), gold, LABELS)
    assert (right.error, right.given, [mark.kind for mark in right.marks]) == (0, ("guest Bo",), ["right"])
    wrong = task.compare(QuestionPrediction(answer="figs", start=17, end=21, probability=0.3), gold, LABELS)
    assert (wrong.error, wrong.confidence, wrong.marked_text) == (2, 0.3, 1)
    assert [(mark.kind, mark.start) for mark in wrong.marks] == [("missed", 0), ("spurious", 17)]
    missed = task.compare(QuestionPrediction(answer=""), gold, LABELS)
    assert (missed.error, missed.given, [mark.kind for mark in missed.marks]) == (1, (), ["missed"])


def test_withheld_answers_stay_readable() -> None:
    task = make_task("question-answering", {})
    found = QuestionPrediction(answer="Bo", start=0, end=2, probability=0.6)
    assert task.withhold(found, 0.7) == found.model_copy(update={"abstained": True})
    assert task.withhold(found, 0.5).abstained is False


PEOPLE = ("Ada", "Bo", "Cy", "Di", "Eva", "Finn")
TOWNS = ("Oslo", "Lima", "Turku", "Cairo", "Paris", "Rome")


def squad_file(path: Path, start: int, count: int) -> str:
    """Made-up questions in SQuAD's layout, a third of them without an answer."""
    articles = []
    for number in range(start, start + count):
        person, town = PEOPLE[number % 6], TOWNS[(number // 6 + number) % 6]
        nobody = ["Nobody"] if number == 0 else []  # stands nowhere
        context = f"In week {number} the guest {person} went to {town} by train."
        qas = [
            {"id": f"{number}-who", "question": "Who went there?", "answers": [person, *nobody]},
            {"id": f"{number}-where", "question": "To which town?", "answers": [town]},
            {"id": f"{number}-why", "question": "Why was it so?", "answers": [], "is_impossible": True},
        ]
        articles.append({"title": "Guests", "paragraphs": [{"context": context, "qas": qas}]})
    path.write_text(json.dumps({"version": "v2.0", "data": articles}), encoding="utf-8")
    return str(path)


SETTINGS = (
    *("train.epochs=12", "train.learning_rate=3e-3", "train.device=cpu", "train.precision=fp32"),
    "evaluate.resamples=100",
)


def run(*words: str, code: int = 0, stdin: str | None = None) -> str:
    result = CliRunner().invoke(cli.app, list(words), input=stdin, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


def test_from_a_squad_file_to_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learnt by a tiny trunk from the command line: places, thresholds, reports and files, end to end."""
    monkeypatch.chdir(tmp_path)
    train, test = squad_file(tmp_path / "train.json", 0, 40), squad_file(tmp_path / "test.json", 60, 8)
    words = "In week the guest went to by train. Who went there? To which town? Why was it so?"
    trunk = make_tiny_trunk(tmp_path / "trunk", "bert", [words, *PEOPLE, *TOWNS, *map(str, range(70))])
    command = ["fit", train, "--model", str(trunk), "--out", "run"]
    for setting in SETTINGS:
        command += ["--set", setting]
    said = CliRunner().invoke(cli.app, command, catch_exceptions=False)
    assert said.exit_code == 0, said.output
    assert "is written as SQuAD is: 120 rows" in said.output
    shown = " ".join(said.output.split())
    assert "doubtful, and were used: answer not in the text (1); tunesmith check says which" in shown
    sample = make_task("question-answering", {}).samples["en"]
    assert shlex.join(sample.values()) in shown, "the first trial asks something that makes sense"
    assert sample["context"] in (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    loaded = api.load(tmp_path / "run")
    assert loaded.task.name == "question-answering"
    splits = loaded.read_splits()
    assert not {one.context for one in splits.train} & {one.context for one in splits.dev}, "no text on both sides"
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["headline"] == "f1"
    parts = {"has_answer_f1", "has_answer_exact_match", "no_answer_accuracy"}
    assert set(metrics["scores"]) == {"f1", "exact_match", *parts}
    assert set(metrics["baselines"]) == {"first_sentence", "overlap", "no_answer"}
    assert metrics["scores"]["f1"]["value"] > metrics["baselines"]["no_answer"]["f1"]["value"]
    stored = json.loads((tmp_path / "run" / "calibration.json").read_text())
    assert stored["threshold"] == metrics["calibration"]["threshold"]
    judged = json.loads(run("evaluate", "run", "--data", test, "--json"))
    assert judged["scores"]["f1"]["n"] == 24
    run("predict", "run", "--in", test, "--out", "answers.csv")
    head, *lines = (tmp_path / "answers.csv").read_text(encoding="utf-8").splitlines()
    assert "predicted_answer,predicted_start,predicted_end,predicted_probability" in head
    assert len(lines) == 24
    asked = {"id": 7, "question": "Who went there?", "context": "In week 3 the guest Di went to Rome by train."}
    answered = json.loads(run("predict", "run", "--in", "-", stdin=json.dumps(asked) + "\n"))
    found = answered["prediction"]
    assert answered["id"] == 7
    assert found["answer"] == asked["context"][slice(found.get("start", 0), found.get("end", 0))]
    assert "Di" in run("predict", "run", "Who went there?", asked["context"])
    said = CliRunner().invoke(cli.app, ["predict", "run", "Who went there?"])
    assert said.exit_code == 2
    assert "1 texts came, wanted for each row 2: question, context" in said.output
    hosted = load_hosted(["q=run"])["q"]
    sample = hosted.sample_row()
    assert set(sample) == {"question", "context"}
    assert hosted.most_tokens is None, "long texts are read whole"
    assert _with_answer(["Warsaw"], hosted, "answers", sample)["answers"] == [{"text": "Warsaw", "answer_start": 17}]
    with pytest.raises(Problem, match="does not stand in the context"):
        _with_answer(["Rome"], hosted, "answers", sample)
    report = json.loads(run("check", train, "--json", "--model", str(trunk)))
    assert report["task"] == {"name": "question-answering", "guessed": True}
