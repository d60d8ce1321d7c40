"""Answers that stand in texts: SQuAD's files and flat ones, offsets that are wrong, what is said about bad rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunesmith import data
from tunesmith.config import resolve_config
from tunesmith.data.answers import place_answers, read_answers
from tunesmith.data.options import Unfit
from tunesmith.errors import DataError
from tunesmith.task_guess import guess_task, settle_task
from tunesmith.tasks import make_task
from tunesmith.tasks.question_rows import QuestionRow

TASK = make_task("question-answering", {})
CONTEXT = "Ada built it in 1912. 🎉 Bo sold it in 1920."


def read(source: Any, **options: Any) -> data.Rows:
    return data.read_rows(source, TASK.Row, TASK.columns, data.ReadOptions(**options))


def squad(*questions: dict[str, Any], context: str = CONTEXT) -> dict[str, Any]:
    return {"version": "v2.0", "data": [{"title": "Ada", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def write(path: Path, content: Any, indent: int | None = None) -> str:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=indent), encoding="utf-8")
    return str(path)


def question(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"q{number}", "question": f"Question {number}?", **fields}


@pytest.mark.parametrize("indent", [None, 1])
def test_a_squad_file_is_recognised_and_read_whole(indent: int | None, tmp_path: Path) -> None:
    content = squad(
        question(1, answers=[{"text": "1912", "answer_start": 16}], is_impossible=False),
        question(2, answers=[], is_impossible=True, plausible_answers=[{"text": "1920", "answer_start": 39}]),
    )
    found = read(write(tmp_path / "dev.json", content, indent))
    assert found.layout == "SQuAD"
    assert found.mapping == {"question": "question", "context": "context", "answers": "answers"}
    first, second = found.rows
    assert [(answer.text, answer.answer_start) for answer in first.answers] == [("1912", 16)]
    assert second.answers == []
    assert list(found.lines) == [1, 2]


def test_questions_without_answers_are_for_predicting(tmp_path: Path) -> None:
    path = write(tmp_path / "new.json", squad(question(1)))
    assert read(path, labels_required=False).rows[0].answers is None
    with pytest.raises(DataError, match=r"no column that looks like the answers"):
        read(path)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"answers": [{"text": "1999", "answer_start": 3}]}, "answer 1, '1999', does not stand in the context"),
        ({"answers": 7}, "is no list of answers: 7"),
        ({"answers": [{"start": 3}]}, "answer 1 has no text"),
        ({"answers": [{"text": " "}]}, "answer 1 is empty"),
        ({"answers": [{"text": "1912", "answer_start": "16"}]}, "starts at '16', which is no whole number"),
        ({"answers": ["1912"], "is_impossible": True}, "is_impossible is true, but there are answers"),
        ({}, "the answers are missing"),
    ],
)
def test_a_bad_question_is_named_by_its_id(fields: dict[str, Any], problem: str, tmp_path: Path) -> None:
    path = write(tmp_path / "bad.json", squad(question(1, answers=["1912"]), question(2, **fields)))
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert f"{path}, line 2, answers: (id 'q2') " in message
    assert problem in message
    assert len(read(path, skip_bad=True).rejected) == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "paragraph 1 of article 1 has no context"),
        ('{"data": [{"paragraphs": [{"context": "a"}]}]}', "paragraph 1 of article 1 has no list of qas"),
        ('{"data": [{"paragraphs": []}, {"title": "b"}]}', "article 2 has no list of paragraphs"),
        ('{"data": [{"paragraphs": [}]}', "is written like SQuAD, but is no valid JSON"),
        (
            '{"data": [{"paragraphs": [{"context": "a", "qas": [{"id": 1}]}]}]}',
            "question 1 of paragraph 1 of article",
        ),
    ],
)
def test_what_is_broken_in_the_layout_is_named(content: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read(str(path))
    assert problem in str(caught.value)


def test_a_wrong_place_is_mended_and_said() -> None:
    rows = [{"question": "?", "context": CONTEXT, "answers": [{"text": "1920", "answer_start": 16}]}]  # that is 1912
    found = read(rows)
    assert found.rows[0].answers[0].answer_start == CONTEXT.index("1920")
    assert [remark.kind for remark in found.remarks] == ["moved answer"]
    assert "does not stand at 16: its first place, 38, is taken" in str(found.remarks[0])


def test_an_answer_that_stands_nowhere_costs_itself_and_not_its_row(tmp_path: Path) -> None:
    answers = [{"text": "1912", "answer_start": 16}, {"text": "MCMXII", "answer_start": 16}]
    found = read(write(tmp_path / "some.json", squad(question(1, answers=answers))))
    assert [(answer.text, answer.answer_start) for answer in found.rows[0].answers] == [("1912", 16)]
    assert [(remark.kind, remark.line) for remark in found.remarks] == [("answer not in the text", 1)]
    assert "(id 'q1') answer 2, 'MCMXII', does not stand in the context" in str(found.remarks[0])
    with pytest.raises(ValueError, match="answer 2, 'MCMXII', does not stand"):  # in a request, nobody would see it
        QuestionRow(question="?", context=CONTEXT, answers=answers)  # type: ignore[arg-type]


@pytest.mark.parametrize("answers", [["1999"], 7, [{"text": "1912", "answer_start": "x"}], [" "], ["\ud800"]])
def test_a_right_answer_makes_no_row_bad_that_is_to_be_predicted(answers: Any) -> None:
    rows = [{"question": "?", "context": CONTEXT, "answers": answers}, {"question": "?", "context": CONTEXT}]
    found = read(rows, labels_required=False)
    assert [row.answers for row in found.rows] == [None, None]
    assert [(remark.kind, remark.line) for remark in found.remarks] == [("unread label", 1)]
    with pytest.raises(DataError):
        read(rows[:1])


@pytest.mark.parametrize(
    ("cell", "answers"),
    [
        ("1912", ["1912"]),
        ('["1912"]', ["1912"]),
        (' ["1912", "1920"]', ["1912", "1920"]),
        ('[{"text": "1912", "answer_start": 16}]', ["1912"]),
        ('{"text": ["1912"], "answer_start": [16]}', ["1912"]),
        ("[]", []),
        ("[1]", ["[1]"]),
        ('["a" to', ['["a" to']),
    ],
)
def test_answers_in_csv(cell: str, answers: list[str], tmp_path: Path) -> None:
    quoted = cell.replace('"', '""')
    path = tmp_path / "rows.csv"
    path.write_text(f'question,context,answers\nWhen?,{CONTEXT} ["a" to [1],"{quoted}"\n', encoding="utf-8")
    (row,) = read(str(path)).rows
    assert [answer.text for answer in row.answers] == answers


def test_no_answer_and_not_known_in_csv(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    lines = ["question,context,answers,is_impossible", "Why?,Ada built it.,,true", "Who?,Ada built it.,Ada,False"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert [len(row.answers) for row in read(str(path)).rows] == [0, 1]
    path.write_text("question,context,answers\nWhy?,Ada built it.,\n", encoding="utf-8")
    assert read(str(path), labels_required=False).rows[0].answers is None
    with pytest.raises(DataError, match="the answers are missing"):
        read(str(path))
    path.write_text("question,context,answers\nWho?,Ada built it.,\"['Ada']\"\n", encoding="utf-8")
    with pytest.raises(DataError, match=r'a list is written in JSON: \["1912"\]'):
        read(str(path))


@pytest.mark.parametrize("start", [16.0, float("nan"), None])
def test_places_as_pandas_has_them(start: Any) -> None:
    row = QuestionRow.model_validate(
        {"question": "?", "context": CONTEXT, "answers": [{"text": "1912", "answer_start": start}]}
    )
    assert row.answers is not None
    assert row.answers[0].answer_start == 16
    with pytest.raises(Unfit, match="no whole number"):
        read_answers([{"text": "1912", "answer_start": 16.5}])


@pytest.mark.parametrize(
    "answers",
    [
        [{"text": "Bo", "answer_start": 24}],
        [{"text": "Bo"}],
        ["Bo"],
        "Bo",
        [" Bo "],
        {"text": ["Bo"], "answer_start": [24]},
        {"text": "Bo", "answer_start": 24},
    ],
)
def test_every_layout_gives_the_same_answer(answers: Any) -> None:
    """Characters are Unicode code points: the sign in front of Bo is one."""
    row = QuestionRow(question="Who sold it?", context=CONTEXT, answers=answers)
    found = read([{"question": "Who sold it?", "context": CONTEXT, "answers": answers}]).rows[0]
    assert row == found
    assert CONTEXT[row.answers[0].answer_start :].startswith("Bo")  # type: ignore[index]


def test_rows_of_requests_know_is_impossible() -> None:
    assert QuestionRow.model_validate({"question": "?", "context": "a", "is_impossible": True}).answers == []
    with pytest.raises(ValueError, match="does not stand in the context"):
        QuestionRow(question="?", context="a", answers=["b"])  # type: ignore[list-item]


def test_which_mark_says_that_there_is_no_answer_is_for_the_task_to_say() -> None:
    columns = tuple(replace(column, none_mark="nothing" if column.none_mark else "") for column in TASK.columns)
    rows = [{"question": "?", "context": CONTEXT, "answers": ["1912"], "is_impossible": True}]
    rows.append({"question": "?", "context": CONTEXT, "nothing": "true"})  # type: ignore[dict-item]
    assert [len(row.answers) for row in data.read_rows(rows, TASK.Row, columns).rows] == [1, 0]


def test_answers_and_places_by_themselves() -> None:
    assert read_answers(None) is None
    assert read_answers(float("nan")) is None
    assert read_answers([], "is_impossible") == []
    with pytest.raises(Unfit, match="same length"):
        read_answers({"text": ["a"], "answer_start": [1, 2]})
    assert place_answers("ab ab", [{"text": "ab", "answer_start": 3}]) == ([{"text": "ab", "answer_start": 3}], [])


def test_the_task_is_told_by_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "train.json", squad(question(1, answers=["1912"])))
    assert guess_task(path, data.ReadOptions()) == "question-answering"
    assert settle_task(resolve_config({"data": {"train": path}})).task.name == "question-answering"
    assert guess_task([{"question": "?", "label": "a"}], data.ReadOptions()) == "text-classification"


def test_standard_input_may_be_a_squad_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", squad(question(1, answers=["1912"])))
    with open(path, "rb") as stream:
        found = data.read_rows("-", TASK.Row, TASK.columns, stdin=stream)
    assert len(found.rows) == 1


def test_other_json_is_read_as_before(tmp_path: Path) -> None:
    rows = [{"question": "?", "context": "data paragraphs", "answers": ["data"], "data": [{"paragraphs": 1}]}]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    assert read(str(path)).layout == ""
