"""Lists of texts: one column, a column for each, a text a line; what is refused."""

from __future__ import annotations

import csv
import doctest
import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith import data, losses
from tunesmith.data import text_lists
from tunesmith.data.options import Unfit
from tunesmith.data.text_lists import read_texts
from tunesmith.errors import DataError
from tunesmith.metrics import ranking
from tunesmith.tasks import choice_labels
from tunesmith.tasks.answer_selection import AnswerSelection
from tunesmith.tasks.multiple_choice import MultipleChoice


def read_choices(source: Any, **options: Any) -> data.Rows:
    return data.read_rows(source, MultipleChoice.Row, MultipleChoice.columns, data.ReadOptions(**options))


def read_candidates(source: Any, **options: Any) -> data.Rows:
    return data.read_rows(source, AnswerSelection.Row, AnswerSelection.columns, data.ReadOptions(**options))


def write_csv(path: Path, header: list[str], *rows: list[Any]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


@pytest.mark.parametrize(
    "names",
    [
        ["choice_a", "choice_b", "choice_c"],
        ["A", "B", "C"],
        ["option1", "option2", "option3"],
        ["Ending 0", "Ending 1", "Ending 2"],
        ["选项A", "选项B", "选项C"],
        ["opa", "opb", "opc"],
    ],
)
def test_columns_for_each_choice_become_a_list(names: list[str], tmp_path: Path) -> None:
    header = ["id", "question", *names, "answer"]
    path = write_csv(
        tmp_path / "q.csv", header, ["1", "2 + 2?", "3", "4", "5", "B"], ["2", "雪是", "白", "黑", "", "A"]
    )
    read = read_choices(path)
    assert [row.choices for row in read.rows] == [["3", "4", "5"], ["白", "黑"]]
    assert read.mapping == {"question": "question", "choices": f"{names[0]} … {names[2]}", "label": "answer"}
    assert read.columns == header
    again = read_choices(path, mapping=read.mapping)
    assert again.rows == read.rows, "what is printed can be given back"
    assert read_choices(path, remembered=read.mapping).rows == read.rows


def test_the_user_names_what_columns_share(tmp_path: Path) -> None:
    header = ["question", "sol1", "sol2", "way1", "way2", "label"]
    path = write_csv(tmp_path / "q.csv", header, ["q", "a", "b", "c", "d", 0])
    assert read_choices(path).rows[0].choices == ["a", "b"]
    named = read_choices(path, mapping={"choices": "way"})
    assert named.rows[0].choices == ["c", "d"]
    assert read_choices(path, remembered=named.mapping).rows[0].choices == ["c", "d"]


def test_a_plural_is_no_column_of_a_list(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "q.csv", ["question", "answer_a", "answer_b", "answers", "label"], ["q", "a", "b", 2, 0]
    )
    with pytest.raises(DataError, match=r"line 2, choices"):  # the column called as the list comes first
        read_choices(path)
    assert read_choices(path, mapping={"choices": "answer"}).rows[0].choices == ["a", "b"]


def test_docstrings() -> None:
    for module in (text_lists, choice_labels, ranking, losses):
        assert doctest.testmod(module).failed == 0


def test_a_missing_column_in_between_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "q.csv", ["question", "choice_a", "choice_c", "label"], ["q", "a", "c", 0])
    with pytest.raises(DataError, match="'choice_a' and 'choice_c', but one in between is missing"):
        read_choices(path)


def test_a_hole_between_choices_is_a_bad_row(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "q.csv", ["question", "A", "B", "C", "label"], ["q", "a", "", "c", "C"])
    with pytest.raises(DataError, match=r"line 2, choices: .*text 2 of the list is empty"):
        read_choices(path)


@pytest.mark.parametrize("cell", ['["tea", "milk"]', "tea|milk", "tea | milk"])
def test_one_cell_can_hold_a_list(cell: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "q.csv", ["question", "choices", "label"], ["q", cell, 1])
    assert read_choices(path).rows[0].choices == ["tea", "milk"]


def test_json_lists_and_the_form_of_exams(tmp_path: Path) -> None:
    exam = {"question": "q", "choices": {"label": ["A", "B"], "text": ["tea", "milk"]}, "answerKey": "B"}
    plain = {"question": "q", "choices": ["tea", 3], "answerKey": "A"}
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (exam, plain)), encoding="utf-8")
    assert [row.choices for row in read_choices(str(path)).rows] == [["tea", "milk"], ["tea", "3"]]


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (["tea", ""], "text 2 of the list is empty"),
        (["tea", "  "], "text 2 of the list is empty"),
        (["tea"], "at least 2 items"),
        ([], "at least 2 items"),
        (["tea", ["milk"]], "text 2 of the list is no text"),
        ({"a": "tea"}, "is no list of texts"),
        ("[tea, milk", "begins like a list in JSON, but is none"),
        (None, "the list of texts is missing"),
    ],
)
def test_what_is_no_list_of_choices_is_named(choices: Any, said: str) -> None:
    rows = [{"question": "q", "choices": ["a", "b"], "label": 0}, {"question": "q", "choices": choices, "label": 0}]
    with pytest.raises(DataError, match="line 2, choices") as caught:
        read_choices(rows)
    assert said in str(caught.value)


def test_half_a_character_in_a_choice_is_refused() -> None:
    with pytest.raises(DataError, match="surrogate"):
        read_choices([{"question": "q", "choices": ["a", "\ud800"], "label": 0}])


def test_values_of_other_kinds() -> None:
    assert read_texts(float("nan")) is None
    assert read_texts((1, 2.5)) == ["1", "2.5"]
    with pytest.raises(Unfit):
        read_texts([True, "a"])


def test_a_text_a_line_is_grouped_by_its_question(tmp_path: Path) -> None:
    lines = [["q1", "a", 0], ["q1", "b", 1], ["q2", "c", 1], ["q3", "d", 0], ["q3", "e | f", 0]]
    read = read_candidates(write_csv(tmp_path / "flat.csv", ["question", "answer", "label"], *lines))
    found = [(row.question, row.candidates, row.labels) for row in read.rows]
    assert found == [
        ("q1", ["a", "b"], ["0", "1"]),
        ("q2", ["c"], ["1"]),
        ("q3", ["d", "e | f"], ["0", "0"]),
    ]
    assert list(read.lines) == [2, 4, 5]
    assert read.mapping == {"question": "question", "candidates": "answer", "labels": "label"}


def test_lines_of_one_question_may_stand_in_two_chunks() -> None:
    count = 9_000  # more than a chunk
    rows = [{"question": f"q{n // 4}", "answer": f"text {n}", "label": int(n % 4 == 0)} for n in range(count)]
    read = read_candidates(rows)
    assert len(read.rows) == count // 4
    assert all(row.labels == [1, 0, 0, 0] for row in read.rows)


def test_lines_without_labels_can_be_asked_about(tmp_path: Path) -> None:
    for header, tail in ((["question", "answer"], []), (["question", "answer", "label"], [""])):
        path = write_csv(tmp_path / "flat.csv", header, ["q", "a", *tail], ["q", "b", *tail])
        read = read_candidates(path, labels_required=False)
        assert [(row.candidates, row.labels) for row in read.rows] == [(["a", "b"], None)]


def test_a_bad_line_among_others_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "flat.csv", ["question", "answer", "label"], ["q", "a", 0], ["q", "", 1], ["r", "c", 1])
    read = read_candidates(path, skip_bad=True)
    assert [row.question for row in read.rows] == ["r"]
    assert [(bad.line, bad.field) for bad in read.rejected] == [(2, "candidates")]


def test_lines_of_one_question_that_do_not_stand_together_are_refused(tmp_path: Path) -> None:
    lines = [["Who?", "Ann", 1], ["Where?", "here", 0], ["Who?", "Bo", 0]]
    with pytest.raises(DataError, match=r"line 4: question 'Who\?' of line 2 comes again.*") as caught:
        read_candidates(write_csv(tmp_path / "a.csv", ["question", "answer", "label"], *lines))
    assert "sort the file by question" in str(caught.value.fix)


def test_questions_of_the_same_words_are_told_apart_by_their_id(tmp_path: Path) -> None:
    lines = [["1", "Who?", "Ann", 1], ["1", "Who?", "Bo", 0], ["2", "Who?", "Cy", 0], ["3", "Where?", "here", 1]]
    path = write_csv(tmp_path / "a.csv", ["qid", "question", "answer", "label"], *lines, ["4", "Who?", "Di", 1])
    assert [row.candidates for row in read_candidates(path).rows] == [["Ann", "Bo"], ["Cy"], ["here"], ["Di"]]


NUMBERED = [["1", "Who?", "Ann", 1], ["2", "Who?", "Bo", 0], ["3", "Where?", "here", 1], ["4", "Where?", "there", 0]]
"""Lines that have a number each, under a name as if questions had."""


@pytest.mark.parametrize("name", ["qid", "question_id", "Query-ID"])
def test_an_id_that_numbers_lines_does_not_tear_questions_apart(name: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [name, "question", "answer", "label"], *NUMBERED)
    read = read_candidates(path)
    assert [row.candidates for row in read.rows] == [["Ann", "Bo"], ["here", "there"]]
    assert [(remark.line, remark.kind, remark.of_all) for remark in read.remarks] == [(3, "unusable question id", True)]
    assert f"{name} is '2', on the line before '1', but question is the same" in str(read.remarks[0])


def test_an_id_that_seldom_agrees_with_the_questions_is_not_used(tmp_path: Path) -> None:
    lines = [[place // 5, f"q{place // 4}", f"text {place}", int(place % 4 == 0)] for place in range(40)]
    path = write_csv(tmp_path / "a.csv", ["qid", "question", "answer", "label"], *lines)
    assert len(read_candidates(path).rows) == 16, "mostly it agrees: a question ends where its number changes"
    lines = [[place // 2 if place < 4 else place, *line[1:]] for place, line in enumerate(lines)]
    path = write_csv(tmp_path / "b.csv", ["qid", "question", "answer", "label"], *lines)
    assert [len(row.candidates) for row in read_candidates(path).rows] == [4] * 10


def test_an_id_of_lines_that_stand_apart_is_no_reason_to_tear_a_question(tmp_path: Path) -> None:
    lines = [["1", "Who?", "Ann", 1], ["2", "Where?", "here", 0], ["3", "Who?", "Bo", 0]]
    with pytest.raises(DataError, match=r"line 4: question 'Who\?' of line 2 comes again") as caught:
        read_candidates(write_csv(tmp_path / "a.csv", ["qid", "question", "answer", "label"], *lines))
    assert "give all lines of a question one qid" in str(caught.value.fix)


def test_places_that_fit_from_0_and_from_1_are_asked_about() -> None:
    rows = [{"question": "q", "choices": ["a", "b", "c"], "label": label} for label in (1, 2, 1)]
    with pytest.raises(DataError, match="a place from 0 on and as a place from 1 on"):
        MultipleChoice(MultipleChoice.Config()).labels(read_choices(rows).rows)
