"""Labelled rows of a run: the same columns in both splits, no text on both sides, labels that fit, nothing leaks."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny import make_rows
from tunesmith import api, data, estimator, fitting, preparation
from tunesmith.config import RunConfig, resolve_config
from tunesmith.contracts import Labels
from tunesmith.errors import DataError
from tunesmith.events import Finished, Notice, Plan
from tunesmith.labelled_rows import Splits, check_labels, find_answers, read_splits
from tunesmith.tasks import make_task
from tunesmith.tasks.classification_labels import class_weights, find_labels, guess_kind

QUICK: dict[str, Any] = {
    "task": {"name": "text-classification"},
    "train": {"precision": "fp32", "epochs": 1, "batch_size": 8},
    "evaluate": {"baselines": False, "resamples": 100},
}


def make_config(*settings: str, **data_section: Any) -> RunConfig:
    return resolve_config(QUICK, {"data": data_section}, settings=settings)


def read(config: RunConfig, train: Any = None, dev: Any = None) -> Splits:
    return read_splits(config, make_task(config.task.name, config.task.options), train, dev)


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


# Columns


def dialogue(place: int, ask: int, reply: int) -> dict[str, str]:
    long = {"ask": "so " * ask, "reply": "very " * reply}
    mood = "up" if place % 2 else "down"
    return {
        "ask": f"why is it {long['ask']}slow {place}",
        "reply": f"we are {long['reply']}sorry {place}",
        "mood": mood,
    }


def test_the_development_file_is_read_from_the_columns_of_the_training_file(tmp_path: Path) -> None:
    """By what they hold alone, the longer replies would be taken here and the longer questions there."""
    train = write(tmp_path / "train.csv", [dialogue(place, 1, 4) for place in range(60)])
    dev = write(tmp_path / "dev.csv", [dialogue(place, 4, 1) for place in range(40)])
    splits = read(make_config(train=train, dev=dev))
    assert splits.read["train"].mapping == {"text": "reply", "label": "mood"}
    assert splits.read["dev"].mapping == {"text": "reply", "label": "mood"}
    assert all("sorry" in row.text for row in [*splits.train, *splits.dev])


def test_naming_the_guessed_columns_is_the_same_run(tiny_bert: Path, tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", [dialogue(place, 1, 4) for place in range(60)])
    dev = write(tmp_path / "dev.csv", [dialogue(place, 4, 1) for place in range(40)])
    settings = (f"model.name={tiny_bert}", f"output.folder={tmp_path / 'out'}", "train.max_steps=1")
    plan = next(e for e in fitting.run(make_config(*settings, train=train, dev=dev)) if isinstance(e, Plan))
    assert "data.columns.text=reply" in plan.command
    list(fitting.run(make_config(*settings, train=train, dev=dev)))
    named = make_config(*settings, "data.columns.text=reply", "data.columns.label=mood", train=train, dev=dev)
    (found,) = fitting.run(named)
    assert isinstance(found, Finished)
    assert found.already_complete


def test_a_header_that_training_knew_is_a_header(tiny_bert: Path, tmp_path: Path) -> None:
    """A question as a column name looks like a row, unless the model remembers it."""
    question = "What do you think of our service?"
    rows = [{question: row["text"], "Mood": row["label"]} for row in make_rows(40)]
    path = write(tmp_path / "survey.csv", rows)
    named = {question: "text", "Mood": "label"}
    settings = [f"model.name={tiny_bert}", "train.max_steps=1", "evaluate.baselines=false"]
    columns = {"data": {"columns": {field: column for column, field in named.items()}}}
    api.fit(path, out=tmp_path / "out", config=columns, settings=settings)
    model = api.load(tmp_path / "out")
    assert len(model.predict(path)) == 40
    new = write(tmp_path / "new.csv", [{question: row["text"]} for row in make_rows(3)])
    assert len(model.predict(new)) == 3
    assert model.evaluate(path, baselines=False, resamples=100)["scores"]["accuracy"]["n"] == 40


# The development part


def test_no_text_stands_on_both_sides_of_a_run() -> None:
    rows = [*make_rows(60), *make_rows(60)]
    random.Random(1).shuffle(rows)
    splits = read(make_config(), rows)
    assert len(splits.dev) >= 8
    assert not {row.text for row in splits.train} & {row.text for row in splits.dev}


def test_pairs_that_share_one_text_may_stand_apart_and_equal_pairs_may_not() -> None:
    rows = [{"text": "the same", "text_b": str(place % 30), "label": "ab"[place % 2]} for place in range(60)]
    splits = read(make_config(), rows)
    assert splits.dev
    assert not {row.text_b for row in splits.train} & {row.text_b for row in splits.dev}


def tags_of(chosen: random.Random, count: int) -> list[list[str]]:
    """Different sets of four of twelve tags."""
    sets: set[tuple[str, ...]] = set()
    while len(sets) < count:
        sets.add(tuple(chosen.sample([f"t{place}" for place in range(12)], 4)))
    return [list(tags) for tags in sorted(sets)]


def test_rows_with_unique_sets_of_labels_reach_the_development_part() -> None:
    sets = tags_of(random.Random(0), 200)
    alone = [{"text": f"the film was good {place}", "label": tags} for place, tags in enumerate(sets)]
    assert 15 <= len(read(make_config(), alone).dev) <= 25
    plain = [{"text": f"the book was bad {place}", "label": ["a"]} for place in range(200)]
    dev = read(make_config(), [*alone, *plain]).dev
    several = sum(len(row.label) > 1 for row in dev)
    assert 15 <= several <= 25
    assert 35 <= len(dev) <= 45


def test_the_stratum_is_the_rarest_label_whatever_the_order() -> None:
    task = make_task("text-classification", {"kind": "multi"})
    labels = Labels(("common", "rare", "seldom"), (90, 3, 5), "multi")
    strata = [
        task.stratum(task.Row(text="x", label=label), labels)
        for label in (["common", "rare"], ["rare", "common"], ["seldom"], ["common"], [])
    ]
    assert strata == ["rare", "rare", "seldom", "common", ""]


# What the development rows may tell


def fit_hash(rows: list[dict[str, Any]], dev: list[dict[str, Any]], trunk: Path, out: Path, *settings: str) -> str:
    list(fitting.run(make_config(f"model.name={trunk}", f"output.folder={out}", *settings), rows, dev))
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["balanced", "number"])
def test_development_rows_do_not_change_what_is_trained(tiny_bert: Path, tmp_path: Path, kind: str) -> None:
    rows: list[dict[str, Any]] = list(make_rows(48))
    labels: Any = (["positive", "negative"] * 10, ["positive"] * 19 + ["negative"])
    settings = ["task.class_weights=balanced"]
    if kind == "number":
        rows = [{**row, "label": place % 7 + 0.5} for place, row in enumerate(rows)]
        labels, settings = ([0.5, 3.0] * 10, [90.0, 80.0] * 10), ["task.kind=number"]
    found = set()
    for place, given in enumerate(labels):
        dev = [{"text": f"the film was fine {number}", "label": label} for number, label in enumerate(given)]
        found.add(fit_hash(rows, dev, tiny_bert, tmp_path / str(place), *settings))
    assert len(found) == 1


def test_counts_are_of_the_training_rows_and_names_of_all(tiny_bert: Path, tmp_path: Path) -> None:
    rows, dev = make_rows(24), [*make_rows(6), {"text": "neither here nor there", "label": "neutral"}]
    settings = (f"model.name={tiny_bert}", f"output.folder={tmp_path}", "task.class_weights=balanced")
    events = list(fitting.run(make_config(*settings), rows, dev))
    stored = json.loads((tmp_path / "labels.json").read_text())
    assert stored["names"] == ["negative", "neutral", "positive"]
    assert stored["counts"] == [12, 0, 12]
    told = [event.text for event in events if isinstance(event, Notice)]
    assert "1 of 3 labels stand in no training row and cannot be learnt: neutral" in told
    weights = class_weights("balanced", Labels(("a", "b"), (7, 0)))
    assert all(map(math.isfinite, weights))


def test_numbers_that_look_like_classes_without_the_development_rows_are_asked_about() -> None:
    config = make_config()
    task = make_task("text-classification", {})
    rows = [{"text": f"a {place}", "label": place % 3} for place in range(9)]
    splits = read(config, rows, [{"text": "b", "label": 1.5}, {"text": "c", "label": 2}])
    with pytest.raises(DataError, match="kind 'single', with the development rows like 'number'") as caught:
        find_answers(task, splits)
    assert "task.kind=number" in str(caught.value.fix)


# Labels that do not fit


def test_spellings_of_a_whole_number_are_one_class(tiny_bert: Path, tmp_path: Path) -> None:
    """pandas writes 1.0 where a column of integers has a gap."""
    train = [{"text": row["text"], "label": str(place % 2)} for place, row in enumerate(make_rows(40))]
    dev = [{"text": row["text"], "label": f"{place % 2}.0"} for place, row in enumerate(make_rows(20))]
    settings = [f"model.name={tiny_bert}", "train.max_steps=1", "evaluate.baselines=false"]
    result = api.fit(train, dev=dev, out=tmp_path, settings=settings)
    model = api.load(tmp_path)
    assert model.artifact.labels.names == ("0", "1")
    assert model.artifact.labels.counts == (20, 20)
    assert result.headline > 0
    again = model.evaluate(dev, baselines=False, resamples=100)
    assert again["unseen_labels"] == {}
    assert again["scores"]["accuracy"]["value"] == result.headline


def test_only_decimals_of_whole_numbers_are_dropped() -> None:
    found = find_labels(["1.0", "1", "1.10", "1.1", "01", "v1.0", "-2.00"], "single", "|")
    assert dict(zip(found.names, found.counts, strict=True)) == {
        **{"1": 2, "1.10": 1, "1.1": 1, "01": 1},
        **{"v1.0": 1, "-2.00": 1},
    }
    several = find_labels([["1", "a"], ["1.0"]], "multi", "|")
    assert several.names == ("1", "a")


@pytest.mark.parametrize("classes", [["1", "1.0"], [1.0, 2.0], ["1.0", "2.0"]])
def test_an_estimator_tells_all_its_classes_apart(tiny_bert: Path, classes: list[Any]) -> None:
    rows = make_rows(20)
    settings = ("evaluate.resamples=100", "train.max_steps=1")
    made = estimator.TextClassifier(str(tiny_bert), settings=settings)
    made.fit([row["text"] for row in rows], np.array([classes[place % 2] for place in range(20)]))
    assert made.predict_proba([rows[0]["text"]]).shape == (1, 2)
    assert set(made.predict([row["text"] for row in rows])) <= set(classes)


def hole_in_numbers(path: Path) -> str:
    rows = [{"text": f"film {place} was good", "score": f"{place * 0.37:.2f}"} for place in range(100)]
    rows.insert(40, {"text": "film x was bad", "score": "n/a"})
    return write(path, rows)


@pytest.mark.parametrize("settings", [(), ("task.kind=number",)], ids=["auto", "number"])
def test_a_label_that_is_no_number_is_named_with_its_line(tmp_path: Path, settings: tuple[str, ...]) -> None:
    path = hole_in_numbers(tmp_path / "na.csv")
    with pytest.raises(DataError) as caught:
        read(make_config(*settings, train=path))
    assert f"1 of 101 rows of {path} cannot be used" in caught.value.message
    assert "na.csv, line 42, label: label 'n/a' is no number" in caught.value.message
    assert "--skip-bad" in str(caught.value.fix)


def test_a_label_that_is_no_number_is_set_aside_when_asked(tmp_path: Path) -> None:
    path = hole_in_numbers(tmp_path / "na.csv")
    splits = read(make_config("data.skip_bad=true", train=path))
    found = splits.read["train"]
    assert (len(found.rows), len(found.rejected), found.read) == (100, 1, 101)
    assert (found.rejected[0].line, found.rejected[0].field) == (42, "label")
    assert 42 not in found.lines
    rows = data.read_rows(path, type(found.rows[0]), make_task("text-classification", {}).columns).rows
    assert found.fingerprint == data.fingerprint([row for row in rows if row.label != "n/a"])


def test_evaluate_names_the_line_of_a_label_that_is_no_number(tiny_bert: Path, tmp_path: Path) -> None:
    rows = [{"text": row["text"], "label": place + 0.5} for place, row in enumerate(make_rows(30))]
    settings = [f"model.name={tiny_bert}", "train.max_steps=1", "evaluate.baselines=false"]
    api.fit(rows, out=tmp_path / "out", settings=settings)
    path = write(tmp_path / "test.csv", [{"text": "a", "label": "1.5"}, {"text": "b", "label": "?"}])
    with pytest.raises(DataError, match=r"test\.csv, line 3, label: label '\?' is no number"):
        api.evaluate(tmp_path / "out", path, baselines=False)
    skipping = data.ReadOptions(skip_bad=True)
    report = api.evaluate(tmp_path / "out", path, baselines=False, options=skipping, resamples=100)
    assert report["rejected"] == 1


def test_a_list_where_one_class_is_wanted_is_a_bad_row() -> None:
    task = make_task("text-classification", {"kind": "single"})
    rows = [{"text": f"x {place}", "label": "ab"[place % 2]} for place in range(10)] + [{"text": "y", "label": ["a"]}]
    found = data.read_rows(rows, task.Row, task.columns)
    labels = task.labels(found.rows)
    with pytest.raises(DataError, match=r"line 11, label: label .* is a list"):
        check_labels(found, task, labels, skip_bad=False)
    assert len(check_labels(found, task, labels, skip_bad=True).rows) == 10
    with pytest.raises(DataError, match=r"no row of it can be used|is a list"):
        task.labels([task.Row(text="y", label=["a"])] * 3)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([*range(5)] * 20 + ["n/a"], "single"),
        ([place / 7 for place in range(99)] + ["n/a"], "number"),
        ([place / 7 for place in range(90)] + ["n/a"] * 10, "single"),
        ([place * 3 for place in range(99)] + ["-"], "number"),
    ],
    ids=["few integers", "a hole", "many holes", "many integers"],
)
def test_a_few_words_among_numbers_do_not_make_them_classes(labels: list[Any], kind: str) -> None:
    assert guess_kind(labels, "|") == kind


SHARING: dict[str, Any] = {
    "question-answering": lambda n, m: {"context": f"Town {n} has mills.", "question": f"{m}?", "answers": ["mills"]},
    "multiple-choice": lambda n, m: {"context": f"{n}.", "question": f"{m}?", "choices": ["a", "b"], "label": "A"},
    "answer-selection": lambda n, m: {"question": f"Where is {n}?", "candidates": [f"{m}", "no"], "labels": [1, 0]},
    "relation-extraction": lambda n, m: {
        "text": f"{n}: Ada met Bo, Li and Ann", "head": "Ada", "tail": ("Bo", "Li", "Ann")[m], "label": f"met {n % 2}",
    },
    "embedding": lambda n, m: {"text": f"question {n}", "text_b": f"answer {n} {m}"},
}  # fmt: skip
"""Task → the m-th row that shares a text with those of the same n."""


@pytest.mark.parametrize("name", SHARING)
def test_rows_that_ask_about_one_text_stay_on_one_side(name: str) -> None:
    rows = [SHARING[name](n, m) for n in range(30) for m in range(3)]
    task = make_task(name, {})
    splits = read_splits(make_config(), task, rows)
    assert 6 <= len(splits.dev) <= 9
    asked = [{task.shared_texts(row) for row in part} for part in (splits.train, splits.dev)]
    assert not asked[0] & asked[1]
    assert 3 * len(asked[1]) == len(splits.dev)


def test_numbered_lines_of_one_question_stay_together_and_it_is_said(tmp_path: Path, tiny_bert: Path) -> None:
    lines = [
        {"question_id": 4 * n + m, "question": f"Where is {n}?", "answer": f"{m} of {n}", "label": int(m == 1)}
        for n in range(30)
        for m in range(4)
    ]
    path = write(tmp_path / "lines.csv", lines)
    task = make_task("answer-selection", {})
    splits = read_splits(make_config(train=path), task)
    assert (len(splits.train), len(splits.dev)) == (27, 3)
    assert all(len(row.candidates) == 4 for row in [*splits.train, *splits.dev])
    config = resolve_config(QUICK, {"task": {"name": "answer-selection"}, "model": {"name": str(tiny_bert)}})
    setup = preparation.prepare(config, splits, *preparation.make_parts(config))
    said = [notice for notice in setup.notices if "question_id does not number the questions" in notice]
    assert len(said) == 1
    assert not any("doubtful" in notice for notice in setup.notices)
