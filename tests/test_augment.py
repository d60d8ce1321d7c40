"""New rows from old ones: what is kept stays whole, every row knows its origin, nothing leaks into dev rows."""

from __future__ import annotations

import csv
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from typer.testing import CliRunner, Result

from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import api, base_models, data, likely_words
from tunesmith.augmenting import augment
from tunesmith.cli import app
from tunesmith.config import resolve_config
from tunesmith.contracts import Augmentable, Editable, HeadSpec
from tunesmith.errors import ConfigError, DataError, ModelError, UserError
from tunesmith.labelled_rows import Splits, read_splits
from tunesmith.likely_words import LikelyWords
from tunesmith.model_loading import load_model
from tunesmith.tasks import TASKS, make_task
from tunesmith.tasks.writing_rows import WrittenPrediction
from tunesmith.word_edits import Edit, apply_edits, delete_words, free_words, swap_words

WORDS = ("Ada", "met", "Bo", "in", "Paris,", "很", "高兴", "了", "don't", "(x)", "2024")
ROWS = [{"text": f"{row['text']} number {place}", "label": row["label"]} for place, row in enumerate(make_rows(40))]


def run(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# Edits of one text


@some.composite
def editables(draw: Any) -> Editable:
    """A text of words, blanks between some, with kept places at or between words."""
    text, places = "", []
    for word in draw(some.lists(some.sampled_from(WORDS), min_size=1, max_size=12)):
        text += draw(some.sampled_from(["", " ", "  "])) if text else ""
        places.append((len(text), len(text) + len(word)))
        text += word
    kept = draw(some.lists(some.sampled_from(places), max_size=3, unique=True))
    words = tuple(places) if draw(some.booleans()) else None
    return Editable("text", text, tuple(kept), words)


@given(editables(), some.sampled_from([delete_words, swap_words]), some.integers(1, 4), some.integers(0, 99))
def test_what_is_kept_stays_whole_and_in_order(of: Editable, way: Any, count: int, seed: int) -> None:
    edits = way(of, count, random.Random(seed))
    changed = apply_edits(of, edits)
    assert [changed.text[slice(*place)] for place in changed.kept] == [of.text[slice(*place)] for place in of.kept]
    assert all(one.end <= other.start for one, other in itertools.pairwise(edits))
    assert edits == way(of, count, random.Random(seed))
    if way is swap_words:
        assert sorted(changed.text.replace(" ", "")) == sorted(of.text.replace(" ", ""))
        assert (
            changed.text != of.text or not edits or any(edit.text == of.text[edit.start : edit.end] for edit in edits)
        )
    else:
        assert len(changed.text) < len(of.text) or not edits
        assert changed.text.strip() or of.kept
    if of.words is not None:
        assert changed.words is not None
        assert all(changed.text[slice(*place)] in " ".join(WORDS) for place in changed.words)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(changed.words))


def test_a_deleted_word_takes_one_blank_along() -> None:
    of = Editable("text", "one two three")
    for start, end, left in ((0, 4, "two three"), (4, 8, "one three")):
        assert apply_edits(of, [Edit(start, end, "")]).text == left
    found = {apply_edits(of, delete_words(of, 1, random.Random(seed))).text for seed in range(30)}
    assert found == {"two three", "one three", "one two"}
    both = {apply_edits(of, delete_words(of, 2, random.Random(seed))).text.strip() for seed in range(30)}
    assert both == {"one", "two", "three"}
    assert delete_words(Editable("text", "alone"), 1, random.Random(0)) == []


def test_characters_are_exchanged_with_their_neighbours_only() -> None:
    of = Editable("text", "股东很高兴 today and now")
    for seed in range(40):
        text = apply_edits(of, swap_words(of, 1, random.Random(seed))).text
        moved = [place for place, (one, other) in enumerate(zip(of.text, text, strict=False)) if one != other]
        if any(place < 5 for place in moved):
            assert moved[1] - moved[0] == 1
            assert len(moved) == 2


def test_signs_are_no_words() -> None:
    assert free_words(Editable("text", "a, (b) ! 好。", words=((0, 1), (1, 2), (3, 4), (8, 9)))) == [(0, 1)]


# Rows of tasks


TAGGED = {
    "text": "Ada Lovelace wrote a long letter to Charles Babbage in foggy London.",
    "entities": [[0, 12, "PER"], [36, 51, "PER"], [61, 67, "LOC"]],
}
RELATION = {
    "text": "The heavy <e1>storm</e1> of last night caused a bad <e2>flood</e2> here.",
    "label": "Cause-Effect(e1,e2)",
}
QUESTION = {
    "question": "Who wrote the letter?",
    "context": "In the year 1843 a letter was written by Ada Lovelace, as everybody knows by now.",
    "answers": [{"text": "Ada Lovelace", "answer_start": 41}, {"text": "Lovelace", "answer_start": 45}],
}
NO_ANSWER = {"question": "Who was late?", "context": "Nobody came at all that day.", "answers": []}


def augmented(rows: Sequence[dict[str, Any]], path: Path, **options: Any) -> list[dict[str, Any]]:
    augment(list(rows), path, **{"copies": 3, "share": 0.3, **options})
    return read_lines(path)


def test_entities_of_tagged_rows_move_along(tmp_path: Path) -> None:
    found = augmented([TAGGED], tmp_path / "out.jsonl", task="token-classification")
    assert len(found) > 4
    for row in found:
        said = [(row["text"][e["start"] : e["end"]], e["label"]) for e in row["entities"]]
        assert said == [("Ada Lovelace", "PER"), ("Charles Babbage", "PER"), ("London", "LOC")]
    assert len({row["text"] for row in found}) == len(found)


def test_words_of_tagged_files_are_kept(tmp_path: Path) -> None:
    """Of a .conll file, the new rows have its words: what a tag stands for does not change."""
    lines = ["U.S. B-LOC", "shares O", "fell O", "in O", "New B-LOC", "York I-LOC", "- O", "again O", "", ""]
    (tmp_path / "in.conll").write_text("\n".join(lines * 2))
    augment(tmp_path / "in.conll", tmp_path / "out.jsonl", share=0.3)
    task = make_task("token-classification", {})
    read = data.read_rows(tmp_path / "out.jsonl", task.Row, task.columns)
    assert len(read.rows) > 3
    for row in read.rows:
        words = [row.text[start:end] for start, end in row.words]
        assert set(words) <= {line.split(" ")[0] for line in lines if line}
        assert {"U.S.", "New", "York"} <= set(words)
        assert [row.text[e.start : e.end] for e in row.entities] == ["U.S.", "New York"]


def test_heads_and_tails_of_relations_move_along(tmp_path: Path) -> None:
    found = augmented([RELATION], tmp_path / "out.jsonl", task="relation-extraction")
    assert len(found) > 4
    task = make_task("relation-extraction", {})
    for row in data.read_rows(tmp_path / "out.jsonl", task.Row, task.columns).rows:
        assert [row.text[slice(*place)] for place in row.places] == ["storm", "flood"]
        assert row.label == "Cause-Effect(e1,e2)"


def test_answers_of_questions_move_along(tmp_path: Path) -> None:
    found = augmented([QUESTION, NO_ANSWER], tmp_path / "out.jsonl", task="question-answering")
    task = make_task("question-answering", {})
    rows = data.read_rows(tmp_path / "out.jsonl", task.Row, task.columns).rows
    assert len(rows) == len(found) > 8
    for row in rows:
        for answer in row.answers:
            assert row.context[answer.answer_start :].startswith(answer.text)
        assert [answer.text for answer in row.answers] in (["Ada Lovelace", "Lovelace"], [])
        assert row.question in (QUESTION["question"], NO_ANSWER["question"])


def test_both_texts_of_a_pair_are_changed_and_columns_keep_their_names(tmp_path: Path) -> None:
    rows = [
        {"id": n, "sentence1": "the first of two texts", "sentence2": "and here the other", "label": "ab"[n % 2]}
        for n in range(4)
    ]
    path = tmp_path / "in.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    augment(path, tmp_path / "out.csv", ways=["deletion"])
    with (tmp_path / "out.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == ["id", "sentence1", "sentence2", "label", "origin", "way"]
    assert [row["way"] for row in found] == ["original", "deletion"] * 4
    for old, new in zip(found[::2], found[1::2], strict=True):
        assert (old["id"], old["label"], old["origin"]) == (new["id"], new["label"], new["origin"])
        assert len(new["sentence1"]) < len(old["sentence1"])
        assert len(new["sentence2"]) < len(old["sentence2"])
    assert found[0]["origin"].startswith("in.csv:2#")


def test_tasks_that_change_say_how_and_others_are_refused(tmp_path: Path) -> None:
    assert {name for name in TASKS if isinstance(make_task(name, {}), Augmentable)} == {
        *("text-classification", "token-classification", "relation-extraction", "question-answering"),
    }
    with pytest.raises(UserError, match="hangs on the very words") as caught:
        augment([{"src": "a b", "tgt": "c d"}], tmp_path / "out.jsonl", task="text-to-text")
    assert "text-classification" in str(caught.value.fix)


def test_the_same_seed_gives_the_same_file_whatever_stands_around(tmp_path: Path) -> None:
    first = augmented(ROWS, tmp_path / "a.jsonl", share=0.1)
    assert augmented(ROWS, tmp_path / "b.jsonl", share=0.1) == first
    few = augmented(ROWS[:5], tmp_path / "c.jsonl", share=0.1)
    assert few == first[: len(few)]
    assert augmented(ROWS, tmp_path / "d.jsonl", share=0.1, seed=14) != first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ways": ["deletoin"]}, "did you mean 'deletion'"),
        ({"ways": []}, "no way is named"),
        ({"copies": 0}, "wanted 1 or more"),
        ({"share": 1.5}, "wanted 1 or more"),
        ({"ways": ["masked"]}, "needs a masked language model"),
        ({"ways": ["back-translation"], "translate": "x"}, "two models"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        augment(ROWS, tmp_path / "out.jsonl", **options)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_files_are_not_written_over_nor_twice(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with pytest.raises(DataError, match="exists already"):
        augment(ROWS, path)
    with pytest.raises(ConfigError, match="is what is read"):
        augment(path, path, overwrite=True)
    said = json.loads(run("augment", path, "--out", tmp_path / "out.jsonl", "--json").stdout)
    assert said["written"] == said["rows"] + sum(said["made"].values()) == len(read_lines(tmp_path / "out.jsonl"))
    assert said["rows"] == 40
    assert "augmented already" in run("augment", tmp_path / "out.jsonl", "--out", tmp_path / "x.jsonl", code=2).output
    tagged = ("--task", "token-classification", "--set", "data.columns.entities=label")
    assert "--out FILE.jsonl" in run("augment", path, "--out", tmp_path / "x.csv", *tagged, code=2).output


# Models that propose


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_masked_words_become_other_whole_words(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = make_tiny_trunk(tmp_path / "trunk", family)
    with pytest.raises(ModelError, match="no trained head for masked language modelling"):
        augment(ROWS, tmp_path / "out.jsonl", ways=["masked"], model=str(trunk))
    model = load_model(base_models.resolve(str(trunk)), HeadSpec("masked_lm", ()))
    model.hf.save_pretrained(trunk)
    monkeypatch.setattr(likely_words, "_BATCH_TOKENS", 64)
    found = augmented([TAGGED, *({**row, "entities": []} for row in ROWS[:6])], tmp_path / "out.jsonl",
                      task="token-classification", ways=["masked"], model=str(trunk))  # fmt: skip
    made = [row for row in found if row["way"] == "masked"]
    assert len(made) >= 14
    origins = {row["origin"]: row for row in found if row["way"] == "original"}
    for row in made:
        old, new = origins[row["origin"]]["text"].split(), row["text"].split()
        assert len(old) == len(new)
        assert old != new
        assert all(any(map(str.isalpha, word)) for one, word in zip(old, new, strict=True) if one != word)
        said = [row["text"][e["start"] : e["end"]] for e in row["entities"]]
        assert said in ([], ["Ada Lovelace", "Charles Babbage", "London"])


def test_a_text_with_a_mask_of_its_own_is_left_alone(tmp_path: Path) -> None:
    trunk = make_tiny_trunk(tmp_path / "trunk")
    load_model(base_models.resolve(str(trunk)), HeadSpec("masked_lm", ())).hf.save_pretrained(trunk)
    words = LikelyWords(str(trunk))
    texts = [Editable("text", "the film was [MASK]"), Editable("text", "2024"), Editable("text", "the film was good")]
    found = words.edits(texts, [1, 1, 1], [random.Random(0) for _ in texts])
    assert [len(edits) for edits in found] == [0, 0, 1]


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("translator")
    trunk = make_tiny_trunk(place / "trunk", "bart")
    rows = [{"src": row["text"], "tgt": row["text"]} for row in ROWS[:12]]
    settings = ["train.max_steps=1", "evaluate.baselines=false", "evaluate.resamples=100", "task.max_new_tokens=6"]
    config = {"model": {"name": str(trunk)}, "task": {"name": "text-to-text"}}
    api.fit(rows, dev=rows, out=place / "run", config=config, settings=settings)
    return place / "run"


def test_translations_there_and_back_are_new_rows(translator: Path, tmp_path: Path, tiny_bert: Path) -> None:
    models = {"translate": str(translator), "translate_back": str(translator)}
    done = augment(ROWS[:6], tmp_path / "out.jsonl", ways=["back-translation"], copies=2, **models)
    found = read_lines(tmp_path / "out.jsonl")
    assert done["made"] == {"back-translation": sum(row["way"] == "back-translation" for row in found)}
    assert done["made"]["back-translation"] <= 6  # one model translates a text in one way only
    with pytest.raises(UserError, match="does not tell where entities"):
        augment([TAGGED], tmp_path / "x.jsonl", task="token-classification", ways=["back-translation"], **models)
    assert not (tmp_path / "x.jsonl").exists()


def test_a_translation_that_was_cut_is_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Translator:
        task = make_task("text-to-text", {})

        def predict_rows(self, rows: list[Any]) -> list[WrittenPrediction]:
            return [WrittenPrediction(answer=row.text.upper(), finished=len(row.text) < 12) for row in rows]

    monkeypatch.setattr(api, "load", lambda name: Translator())
    rows = [{"text": "short", "label": "a"}, {"text": "a longer text than that", "label": "b"}]
    augment(rows, tmp_path / "out.jsonl", ways=["back-translation"], translate="there", translate_back="back")
    made = [row["text"] for row in read_lines(tmp_path / "out.jsonl") if row["way"] == "back-translation"]
    assert made == ["SHORT"]


def test_another_model_does_not_translate(tiny_bert: Path, tmp_path: Path) -> None:
    settings = ["train.max_steps=1", "evaluate.baselines=false", "evaluate.resamples=100"]
    api.fit(ROWS, out=tmp_path / "run", config={"model": {"name": str(tiny_bert)}}, settings=settings)
    names = {"translate": str(tmp_path / "run"), "translate_back": str(tmp_path / "run")}
    with pytest.raises(ConfigError, match="wanted text-to-text"):
        augment(ROWS, tmp_path / "out.jsonl", ways=["back-translation"], **names)


@pytest.mark.parametrize("column", ["origin", "way"])
def test_a_column_of_yours_is_not_written_over(column: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"a column called {column}") as caught:
        augment([{**row, column: "Oslo"} for row in ROWS], tmp_path / "out.csv")
    assert "rename" in str(caught.value.fix)
    assert not (tmp_path / "out.csv").exists()


# What fit makes of it


def split(source: Any, dev: Any = None, seed: int = 13, **options: Any) -> Splits:
    config = resolve_config({"data": options, "train": {"seed": seed}})
    return read_splits(config, make_task("text-classification", {}), source, dev)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_rows_are_held_out_and_nothing_made_of_them_is_trained_on(seed: int, tmp_path: Path) -> None:
    made = augmented(ROWS, tmp_path / "out.jsonl")
    plain, more = split(ROWS, seed=seed, dev_fraction=0.3), split(tmp_path / "out.jsonl", seed=seed, dev_fraction=0.3)
    assert [row.text for row in more.dev] == [row.text for row in plain.dev]
    origin_of = {row["text"]: row["origin"] for row in made}
    held = {origin_of[row.text] for row in more.dev}
    assert not held & {origin_of[row.text] for row in more.train}
    assert {row.text for row in plain.train} <= {row.text for row in more.train}
    kept = [row for row in made if row["origin"] not in held]
    assert [row.text for row in more.train] == [row["text"] for row in kept]
    lines = [place + 1 for place, row in enumerate(made) if row["origin"] not in held]
    assert list(more.lines) == lines


def test_a_made_row_with_the_text_of_a_held_out_one_is_not_trained_on() -> None:
    rows = [{**row, "origin": f"f:{place}#0", "way": "original"} for place, row in enumerate(ROWS)]
    held = {row.text for row in split(rows).dev}
    inside = next(row for row in rows if row["text"] not in held)
    twin = {**inside, "text": sorted(held)[0], "way": "masked"}
    found = split([*rows, twin])
    assert {row.text for row in found.dev} == held
    assert not held & {row.text for row in found.train}


def test_a_development_file_is_judged_by_its_original_rows(tmp_path: Path) -> None:
    made = augmented(ROWS, tmp_path / "out.jsonl")
    half = {row["origin"] for row in made[: len(made) // 2]}
    dev = [row for row in made if row["origin"] in half]
    found = split(made, dev)
    assert {row.text for row in found.dev} == {row["text"] for row in dev if row["way"] == "original"}
    trained = {row.text for row in found.train}
    assert not trained & {row["text"] for row in dev if row["way"] != "original"}
    with pytest.raises(DataError, match="no original row"):
        split(ROWS, [row for row in made if row["way"] != "original"])


def test_the_columns_are_no_labels_and_bad_rows_take_theirs_along(tmp_path: Path) -> None:
    """`way` has few values, as labels have; rows that are set aside do not shift origins."""
    made = augmented([{"Body": row["text"], "Stars": row["label"]} for row in ROWS], tmp_path / "out.jsonl")
    made[3] = {**made[3], "Stars": ""}
    (tmp_path / "out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    found = split(tmp_path / "out.jsonl", skip_bad=True)
    assert found.read["train"].mapping == {"text": "Body", "label": "Stars"}
    assert "way" not in found.dev_groups
    origin_of = {row["Body"]: row["origin"] for row in made}
    assert not {origin_of[row.text] for row in found.dev} & {origin_of[row.text] for row in found.train}


def test_columns_of_that_name_alone_mean_nothing() -> None:
    rows = [{**row, "origin": "north" if place % 2 else "south"} for place, row in enumerate(ROWS)]
    assert [row.text for row in split(rows).train] == [row.text for row in split(ROWS).train]
    assert split(rows).dev_groups.keys() == {"origin"}


def test_columns_of_both_names_that_are_yours_mean_nothing() -> None:
    rows = [{**row, "origin": "Oslo", "way": ("boat", "original")[place % 2]} for place, row in enumerate(ROWS)]
    assert [row.text for row in split(rows).train] == [row.text for row in split(ROWS).train]
    assert [row.text for row in split(rows).dev] == [row.text for row in split(ROWS).dev]


def test_fit_takes_an_augmented_file(tiny_bert: Path, tmp_path: Path) -> None:
    augmented(ROWS, tmp_path / "out.jsonl")
    settings = ["train.max_steps=2", "evaluate.baselines=false", "evaluate.resamples=100"]
    result = api.fit(
        tmp_path / "out.jsonl", out=tmp_path / "run", config={"model": {"name": str(tiny_bert)}}, settings=settings
    )
    facts = json.loads((result.folder / "tunesmith.json").read_text())
    assert facts["data"]["dev_rows"] == len(split(ROWS).dev)
    assert facts["data"]["train_rows"] > 100


def test_where_nothing_is_held_out_original_rows_stand_in(tmp_path: Path) -> None:
    made = augmented(ROWS, tmp_path / "out.jsonl")
    found = split(tmp_path / "out.jsonl", dev_fraction=0)
    assert not found.held_out
    assert len(found.train) == len(made)
    assert [row.text for row in found.dev] == [row["text"] for row in ROWS]
