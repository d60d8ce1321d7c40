"""Conversations in files: three layouts, what is wrong with a row and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith import data
from tunesmith.data.options import ReadOptions
from tunesmith.errors import DataError
from tunesmith.tasks.chat_rows import COLUMNS, ChatRow

WANTED = [("system", "be short"), ("user", "hi"), ("assistant", "hello")]


def read(source: Any, **options: Any) -> data.Rows:
    return data.read_rows(source, ChatRow, COLUMNS, ReadOptions(**options))


def said(row: Any) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in row.messages]


@pytest.mark.parametrize(
    ("row", "layout", "columns"),
    [
        ({"messages": [{"role": role, "content": text} for role, text in WANTED]}, "OpenAI's messages", "messages"),
        (
            {
                "conversations": [
                    {"from": name, "value": text}
                    for name, text in [("system", "be short"), ("human", "hi"), ("gpt", "hello")]
                ]
            },
            "ShareGPT",
            "conversations",
        ),
        (
            {"instruction": "hi", "input": "", "output": "hello", "system": "be short"},
            "Alpaca",
            "instruction, input, output, system",
        ),
    ],
)
def test_layouts_are_recognised_and_said(tmp_path: Path, row: dict[str, Any], layout: str, columns: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({**row, "id": 2}) + "\n", encoding="utf-8")
    found = read(str(path))
    assert [said(one) for one in found.rows] == [WANTED] * 2
    assert (found.layout, found.mapping) == (layout, {"messages": columns})
    assert list(found.lines) == [1, 2]


def test_an_input_stands_behind_its_instruction() -> None:
    (row,) = read([{"instruction": "Add.", "input": "1 1", "output": "2"}]).rows
    assert said(row) == [("user", "Add.\n\n1 1"), ("assistant", "2")]


def test_cells_of_tables_hold_json(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    cell = json.dumps([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}])
    path.write_text("messages\n" + '"' + cell.replace('"', '""') + '"\n', encoding="utf-8")
    assert said(read(str(path)).rows[0]) == WANTED[1:]


def test_plain_texts_are_what_the_user_says() -> None:
    assert said(read(["hi"], labels_required=False).rows[0]) == [("user", "hi")]


USER = {"role": "user", "content": "hi"}
YES = {"role": "assistant", "content": "yes"}


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ([USER, {"role": "robot", "content": "x"}], "message 2: the role 'robot' is unknown"),
        ([USER, {"role": "assistant", "content": "  "}], "message 2: the content is empty"),
        ([USER, {"role": "assistant", "content": 3}], "message 2: is a number"),
        ([USER, {"role": "assistant", "content": ["x"]}], "message 2: is a list, wanted a text"),
        ([USER, "yes"], "message 2: is no object with role and content"),
        ([USER], "no message is the assistant's"),
        ([USER, YES, {"role": "system", "content": "x"}], "the last message is the system's"),
        ([], "has no message"),
        (7, "is a int, wanted a list"),
        ("[{]", "no valid JSON"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, cell: Any, problem: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"messages": one}) + "\n" for one in ([USER, YES], cell)), encoding="utf-8")
    with pytest.raises(DataError, match="fix: ") as caught:
        read(str(path))
    assert f"{path}, line 2, messages: " in str(caught.value)
    assert problem in str(caught.value)
    assert len(read(str(path), skip_bad=True).rows) == 1


def test_two_layouts_at_once_are_refused_unless_one_is_named() -> None:
    rows = [{"messages": [USER, YES], "instruction": "hi", "output": "no"}]
    with pytest.raises(DataError, match="two layouts at once: 'messages', 'instruction'"):
        read(rows)
    assert said(read(rows, mapping={"messages": "instruction"}).rows[0])[-1] == ("assistant", "no")
    with pytest.raises(DataError, match="has no conversations; columns"):
        read([{"text": "a", "label": "b"}])
    with pytest.raises(DataError, match="no field of this task"):
        read([{"messages": [USER, YES]}], mapping={"txet": "messages"})
