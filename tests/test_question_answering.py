"""Answers that stand in a text: windows, places, no answer, Hugging Face's own classes, the command line."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from typer.testing import CliRunner

from tests.tiny import make_tiny_trunk
from tunesmith import api, base_models, calibrating, cli, inference
from tunesmith.contracts import Context, Deciding, Encoded, Labels
from tunesmith.errors import ConfigError, DataError
from tunesmith.evaluation.calibration import IDENTITY
from tunesmith.model import Model
from tunesmith.model_loading import load_model
from tunesmith.packing import pack
from tunesmith.serving.feedback import _with_answer
from tunesmith.serving.hosting import load_hosted
from tunesmith.serving.problems import Problem
from tunesmith.tasks import make_task
from tunesmith.tasks.question_baselines import FirstSentence, NoAnswer, OverlappingSentence
from tunesmith.tasks.question_beliefs import find_threshold
from tunesmith.tasks.question_rows import FoundAnswer, QuestionPrediction, QuestionRow, RightAnswers
from tunesmith.tasks.question_spans import WindowAnswers, join_windows
from tunesmith.tasks.question_windows import NO_ANSWER, find_frame

LABELS = Labels((), (), "span", {"rows": 8.0, "unanswerable": 2.0, "chinese": 0.0})
ALWAYS = replace(LABELS, statistics={"rows": 8.0, "unanswerable": 0.0, "chinese": 0.0})
FAMILIES = ["bert", "roberta", "modernbert", "llama", "gpt2"]
LONG = " ".join(f"On day {n} the guest {'Ada' if n == 17 else 'Bo'} ate {n} figs." for n in range(1, 31))
HARD = [
    pytest.param("他在2019年搬到了上海🎉。", "上海", id="Chinese"),
    pytest.param("🎉🎉Ada🎉went to Turku🇫🇮 .", "Turku", id="emoji"),
    pytest.param("Zoë Ångström met 𝒳 Corp.", "𝒳 Corp", id="astral letters"),
    pytest.param("Oslo", "Oslo", id="all of the text"),
    pytest.param("  Ann Lee　flew", "Ann Lee", id="blanks at the edge"),
]


def row(question: str, context: str, *answers: str | None) -> QuestionRow:
    given = None if answers == (None,) else list(answers)
    return QuestionRow.model_validate({"question": question, "context": context, "answers": given})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    texts = [LONG, "Who ate seventeen figs? 谁？", *(str(case.values[0]) for case in HARD)] * 3
    task, found = make_task("question-answering", {}), {}
    for family in FAMILIES:
        folder = make_tiny_trunk(tmp_path_factory.mktemp("questions") / family, family, texts)
        found[family] = load_model(base_models.resolve(str(folder)), task.head(LABELS)).eval()
    return found


def context_of(model: Model, labels: Labels = LABELS, max_tokens: int | None = None) -> Context:
    return Context(model.tokenizer, model.tokenizer, labels, max_tokens or model.max_tokens)


def certain(item: Encoded) -> torch.Tensor:
    """Logits (T, 2) of a model that knows the target."""
    logits = torch.zeros(len(item.sequences[0]), 2)
    for side, slot in enumerate(item.target):
        logits[item.meta["null"] if slot == 0 else item.meta["first"] + slot - 1, side] = 10.0
    return logits


def answer_right(items: list[Encoded], labels: Labels = LABELS, **options: Any) -> QuestionPrediction:
    task = make_task("question-answering", options)
    parts = task.decode({"logits": torch.cat([certain(item) for item in items])}, pack([[i] for i in items]), labels)
    found: QuestionPrediction = task.join(parts, labels)
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("text", "answer"), HARD)
def test_right_scores_give_the_right_characters(text: str, answer: str, family: str, models: Any) -> None:
    asked = row("谁？", text, answer)
    items = make_task("question-answering", {}).encode([asked], context_of(models[family]))
    found = answer_right(items)
    assert found.answer == text[found.start : found.end]
    assert answer in found.answer  # a token may cover more than the answer; that is in the ledger
    assert found.answer == answer or items[0].lost == (answer,) or found.answer.strip("🎉🇫🇮。.") == answer
    assert found.probability is not None
    assert found.probability > 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_long_texts_are_read_in_windows_beside_the_question(family: str, models: Any) -> None:
    model = models[family]
    asked = row("Who ate seventeen figs?", LONG, "Ada")
    items = make_task("question-answering", {"overlap_tokens": 8}).encode([asked], context_of(model))
    assert len(items) > 3
    assert {item.row for item in items} == {0}
    assert [item.part for item in items] == list(range(len(items)))
    assert all(item.length_tokens <= model.max_tokens for item in items)
    assert len({tuple(item.sequences[0][: item.meta["first"]]) for item in items}) == 1, "the question stands in each"
    with_answer = [item for item in items if item.target != NO_ANSWER]
    assert 1 <= len(with_answer) < len(items)
    windows = [item.meta["reading"].window for item in items]
    assert windows[0].start == 0
    assert windows[-1].end == len(items[0].meta["reading"].offsets)
    assert all(after.start <= before.end - 8 for before, after in itertools.pairwise(windows))
    assert answer_right(items).answer == "Ada"
    assert not any(item.lost or item.cut_tokens for item in items)


def test_pairs_are_put_together_as_the_tokenizer_does(models: Any) -> None:
    for family in ("bert", "roberta", "modernbert"):
        tokenizer = models[family].tokenizer
        pair = tokenizer("Who ate figs?", "On day 1 the guest Bo ate 1 figs.")
        (item,) = make_task("question-answering", {}).encode(
            [row("Who ate figs?", "On day 1 the guest Bo ate 1 figs.", "Bo")], context_of(models[family])
        )
        assert item.sequences[0] == pair["input_ids"]
        assert list(item.segment_ids) == ([pair["token_type_ids"]] if "token_type_ids" in pair else [])
        assert item.meta["null"] == 0


def test_decoders_have_a_line_end_between_and_answer_nothing_at_the_end(models: Any) -> None:
    for family in ("llama", "gpt2"):
        tokenizer = models[family].tokenizer
        frame = find_frame(tokenizer)
        assert tokenizer.decode(frame.between) == "\n"
        assert frame.null is None
        assert frame.behind == [tokenizer.eos_token_id]


def test_a_question_that_is_too_long_is_cut_and_counted(models: Any) -> None:
    model = models["bert"]
    asked = row("day " * 80 + "?", LONG, "Ada")
    items = make_task("question-answering", {"overlap_tokens": 4}).encode([asked], context_of(model))
    assert items[0].cut_tokens == 81 - (model.max_tokens - 3) // 2
    assert sum(item.cut_tokens for item in items) == items[0].cut_tokens
    assert all(item.length_tokens <= model.max_tokens for item in items)


def test_answers_that_no_prediction_can_give_are_listed(models: Any) -> None:
    context = context_of(models["bert"])
    text = "On day 17 the guest Ada ate figs."
    for options, answer, lost in [
        ({}, "Ada", ()),
        ({}, "Ad", ("Ad",)),  # bounds inside a token
        ({"longest_answer_tokens": 2}, "the guest Ada", ("the guest Ada",)),
        ({"longest_answer_tokens": 3}, "the guest Ada", ()),
    ]:
        (item,) = make_task("question-answering", options).encode([row("Who?", text, answer)], context)
        assert item.lost == lost
    (item,) = make_task("question-answering", {}).encode([row("Who?", text)], context)
    assert (item.target, item.lost) == (NO_ANSWER, ())
    (item,) = make_task("question-answering", {}).encode([row("Who?", text, None)], context)
    assert (item.target, item.lost) == (None, ())


def test_overlap_without_room_is_refused(models: Any) -> None:
    task = make_task("question-answering", {"overlap_tokens": 500})
    with pytest.raises(ConfigError, match=r"task\.overlap_tokens is 500"):
        task.encode([row("Who?", LONG, "Ada")], context_of(models["bert"]))
    with pytest.raises(ConfigError, match="no room for a question"):
        make_task("question-answering", {}).encode([row("?", "a", "a")], context_of(models["bert"], max_tokens=4))


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


def test_the_loss_is_that_of_the_definition(models: Any) -> None:
    task = make_task("question-answering", {"overlap_tokens": 8})
    items = task.encode([row("Who?", LONG, "Ada"), row("Who?", "Bo ate figs.")], context_of(models["bert"]))
    batch = pack([[item] for item in items])
    logits = torch.randn(len(batch.input_ids), 2, generator=torch.Generator().manual_seed(2))
    total, units = task.loss({"logits": logits}, batch, LABELS)
    wanted = 0.0
    for item, start in zip(items, batch.bounds.tolist(), strict=False):
        window, first = item.meta["reading"].window, item.meta["first"]
        places = [item.meta["null"], *range(first, first + window.end - window.start)]
        own = logits[start : start + item.length_tokens][places]
        wanted -= float(sum(own[:, side].log_softmax(0)[slot] for side, slot in enumerate(item.target))) / 2
    assert float(total) == pytest.approx(wanted, rel=1e-5)
    assert units == len(items)


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


def test_threshold_is_the_one_that_scores_best() -> None:
    """Tried one by one on made-up rows."""
    gaps = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0]
    scores = [1.0, 0.0, 0.5, 0.0, 0.7, 0.0]
    has_answer = [True, False, True, False, True, False]

    def score(threshold: float) -> float:
        return sum(
            (0.0 if known else 1.0) if gap > threshold else (value if known else 0.0)
            for gap, value, known in zip(gaps, scores, has_answer, strict=True)
        )

    found = find_threshold(gaps, scores, has_answer)
    assert found is not None
    assert score(found) == max(score(value / 4) for value in range(-20, 20)) == score(-2.5)
    assert find_threshold([1.0, 2.0], [1.0, 1.0], [True, True]) is None
    assert find_threshold([1.0, 1.0], [0.9, 0.0], [True, False]) == 0.0  # alike: both go without an answer


def test_the_threshold_is_stored_and_applied() -> None:
    task = make_task("question-answering", {})
    assert isinstance(task, Deciding)
    answers = [FoundAnswer(text="Bo", start=0, end=2, probability=0.4), FoundAnswer(text="", probability=0.6)]
    sure = QuestionPrediction(answer="", probability=0.6, no_answer_score=0.4, n_best=answers[::-1])
    known = calibrating.Calibration(IDENTITY, 4, *calibrating_arrays(), threshold=1.5)
    (found,) = calibrating.apply(known, task, [sure], LABELS)
    assert (found.answer, found.start, found.probability) == ("Bo", 0, 0.4)
    again = calibrating.from_json(json.loads(json.dumps(calibrating.to_json(known))), LABELS)
    assert again.threshold == 1.5
    assert "threshold" not in calibrating.to_json(replace(known, threshold=None))
    bad = {**calibrating.to_json(known), "threshold": "high"}
    with pytest.raises(Exception, match="threshold is 'high'"):
        calibrating.from_json(bad, LABELS)


def calibrating_arrays() -> tuple[Any, Any]:
    import numpy as np

    return np.array([0.5]), np.array([True])


def test_development_rows_are_judged_under_a_threshold_found_without_them() -> None:
    task = make_task("question-answering", {})
    predictions, golds = [], []
    for place in range(40):
        gap, right = place / 10 - 2.0, RightAnswers(("Bo",), ((0, 2),)) if place < 25 else RightAnswers((), ())
        n_best = [FoundAnswer(text="Bo", start=0, end=2, probability=0.5), FoundAnswer(text="", probability=0.5)]
        predictions.append(task.decide(QuestionPrediction(answer="", no_answer_score=gap, n_best=n_best), 0.0))
        golds.append(right)
    learnt = calibrating.learn(task, predictions, golds, LABELS, "none")
    assert learnt is not None
    assert learnt.calibration.threshold == pytest.approx(0.45)
    assert learnt.report["threshold"] == learnt.calibration.threshold
    hits = [found.answer == "".join(gold.texts) for found, gold in zip(learnt.predictions, golds, strict=True)]
    assert sum(hits) >= 38
    assert sum(one.answer == "".join(gold.texts) for one, gold in zip(predictions, golds, strict=True)) == 36


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
        context = f"In week {number} the guest {person} went to {town} by train."
        qas = [
            {"id": f"{number}-who", "question": "Who went there?", "answers": [person]},
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
    assert _with_answer(["Warsaw"], hosted, sample)["answers"] == [{"text": "Warsaw", "answer_start": 17}]
    with pytest.raises(Problem, match="does not stand in the context"):
        _with_answer(["Rome"], hosted, sample)
    report = json.loads(run("check", train, "--json", "--model", str(trunk)))
    assert report["task"] == {"name": "question-answering", "guessed": True}
