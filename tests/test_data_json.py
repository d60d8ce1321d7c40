"""JSON lines and JSON lists: what is accepted, and every kind of faulty line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from tunesmith.contracts import Column
from tunesmith.data import ReadOptions, Rows, read_rows
from tunesmith.errors import DataError


class Row(BaseModel):
    text: str = Field(min_length=1)
    text_b: str | None = None
    label: str | int | float | list[str] | None = None


COLUMNS = (
    Column("text", "text", ("review",)),
    Column("text_b", "text", ("answer",), required=False),
    Column("label", "label", ("labels",)),
)
SKIP = ReadOptions(skip_bad=True)


@pytest.fixture
def read(tmp_path: Path):
    def read_bytes(content: bytes | str, options: ReadOptions = SKIP, name: str = "data.jsonl") -> Rows:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_rows(path, Row, COLUMNS, options)

    return read_bytes


def line(**fields: object) -> str:
    return json.dumps(fields, ensure_ascii=False) + "\n"


def test_labels_stay_what_they_are(read):
    labels = ["a", 1, 2.5, ["x", "y"], [], True]
    rows = read("".join(line(text="t", label=label) for label in labels))
    assert [row.label for row in rows.rows] == ["a", 1, 2.5, ["x", "y"], [], "true"]
    assert [type(row.label) for row in rows.rows] == [str, int, float, list, list, str]


def test_blank_lines_are_not_counted_but_lines_are(read):
    rows = read("\n" + line(text="a", label="x") + "  \r\n\n" + line(text="b", label="y"))
    assert (rows.read, list(rows.lines)) == (2, [2, 5])


def test_a_byte_order_mark_is_no_fault(read):
    assert len(read(b"\xef\xbb\xbf" + line(text="好", label="x").encode()).rows) == 1


GOOD = line(text="fine", label="x").encode()


@pytest.mark.parametrize(
    ("bad", "field", "problem"),
    [
        (b'{"text": "a", "label": "x"', None, "no valid JSON"),
        (b"text,label", None, "no valid JSON"),
        (b"[1, 2]", None, "is a JSON list, wanted an object"),
        (b"3", None, "is a JSON number, wanted an object"),
        (b"null", None, "is a JSON null, wanted an object"),
        (b'{"text": "a", "label": NaN}', None, "holds NaN"),
        (b'{"text": "a", "label": "x", "other": -Infinity}', None, "holds -Infinity"),
        (b'{"text": "a", "label": 1e999}', "label", "is no finite number"),
        (b'{"text": "\\ud800", "label": "x"}', None, "half of a surrogate pair"),
        (b'{"text": "caf\xe9", "label": "x"}', None, "is not UTF-8 at byte 14 of the line"),
        (b'{"text": "a", "label": "x", "text": "b"}', None, "the key 'text' stands twice"),
        (b'{"text": "a:", "label": "x", "m": {"k": 1, "k" : 2}}', None, "the key 'k' stands twice"),
        (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", None, "nested too deeply"),
        (b'{"text": "a\0", "label": "x"}', None, "NUL byte"),
        (b'{"text": "a\\u0000b", "label": "x"}', "text", "NUL character"),
        (b'{"text": "", "label": "x"}', "text", "the text is empty"),
        (b'{"text": " \\u3000\\n", "label": "x"}', "text", "nothing but white space"),
        (b'{"label": "x"}', "text", "the text is missing"),
        (b'{"text": null, "label": "x"}', "text", "the text is missing"),
        (b'{"text": 5, "label": "x"}', "text", "is a number, wanted a text"),
        (b'{"text": ["a"], "label": "x"}', "text", "should be a valid string"),
        (b'{"text": "a"}', "label", "the label is missing"),
        (b'{"text": "a", "label": ""}', "label", "the label is empty"),
        (b'{"text": "a", "label": {"b": 1}}', "label", "should be a valid string or "),
        (b'{"text": "a", "label": [1, null]}', "label", "should be a valid"),
        (b'{"text": "' + b"a" * 10_000_000 + b'", "label": "x"}', None, "longer than 9,999,999 bytes"),
    ],
)
def test_a_bad_line_costs_one_row(read, bad, field, problem):
    rows = read(GOOD + bad + b"\n" + GOOD)
    assert list(rows.lines) == [1, 3]
    [fault] = rows.rejected
    assert (fault.line, fault.field) == (2, field)
    assert problem in fault.problem
    assert len(fault.got) <= 80
    assert fault.got.isprintable()
    assert fault.fix


def test_equal_keys_are_told_from_texts_that_look_like_keys(read):
    content = line(text='say "a": b, {"text": 1}', label="x", other={"text": "b", "k": [{"text": 1}]})
    assert read(content).rows[0].text == 'say "a": b, {"text": 1}'


def test_missing_optional_values_take_the_schema_s_default(read):
    rows = read(
        line(text="a", text_b="b", label="x") + line(text="a", text_b="", label="x") + line(text="a", label="x")
    )
    assert [row.text_b for row in rows.rows] == ["b", None, None]


def test_labels_may_be_missing_when_only_predicting(read):
    content = line(text="a") + line(text="b", label=None) + line(text="c", label=1)
    rows = read(content, ReadOptions(labels_required=False))
    assert [row.label for row in rows.rows] == [None, None, 1]


def test_a_json_list_is_read_with_line_numbers(read):
    content = '[\n {"text": "a",\n  "label": "x"},\n\n {"text": "", "label": "x"}, 3,\n'
    content += '{"text": "好", "label": 1}]\n'
    rows = read(content, name="data.json")
    assert [row.text for row in rows.rows] == ["a", "好"]
    assert list(rows.lines) == [2, 6]
    assert [bad.line for bad in rows.rejected] == [5, 5]


def test_json_lines_may_be_named_json(read):
    assert len(read(GOOD + GOOD, name="data.json").rows) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{\n "text": "a"\n}', "is one JSON value, wanted one object per line"),
        ('[{"text": "a"}\n {"text": "b"}]', "line 2: .* wanted a comma or ]"),
        ('[{"text": "a"},\n]', "line 2: .* wanted a JSON object"),
        ('[{"text": "a"}', "wanted a comma or ]"),
        ('[{"text": "a", "label": 1}] x', "wanted nothing behind ]"),
        ('[{"text": ' + "[" * 100_000, "wanted a JSON object"),
        ("[]", "holds no rows"),
        (b'[{"text": "a"},\n{"text": "\xff"}]', "is not UTF-8 in line 2"),
    ],
)
def test_json_files_that_cannot_be_read(read, content, message):
    with pytest.raises(DataError, match=message):
        read(content, name="data.json")
