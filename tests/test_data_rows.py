"""Reading as a whole: counts that add up, strict errors, streams, fingerprints, the file of rejected rows."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from tunesmith.contracts import Column
from tunesmith.data import (
    BadRow,
    ReadOptions,
    bad_rows_error,
    fingerprint,
    read_rows,
    stream_rows,
    write_rejected,
)
from tunesmith.data.rejects import shorten
from tunesmith.errors import DataError


class Row(BaseModel):
    text: str = Field(min_length=1)
    label: str | int | float | list[str] | None = None


COLUMNS = (Column("text", "text", ("review",)), Column("label", "label", ("labels",)))
SKIP = ReadOptions(skip_bad=True, max_row_bytes=60)

good_cell = st.text(st.characters(exclude_characters='"\0\r\n,', exclude_categories=["Cs"]), min_size=1, max_size=8)
nasty = st.sampled_from(
    [b'"', b"\0", b"\xff", b"\xe4\xbd", b"\r", b"\n", b"\r\n", b",", b"{", b"}", b"\\ud800", b"NaN"]
)
pieces = st.one_of(good_cell.map(str.encode), nasty, st.just(b"a,x\n"), st.just(b'{"text": "a", "label": 1}\n'))
anything = st.lists(pieces, max_size=30).map(b"".join)


def read_bytes(content: bytes, kind: str, options: ReadOptions = SKIP):
    chosen = ReadOptions(format=kind, skip_bad=options.skip_bad, max_row_bytes=options.max_row_bytes)
    return read_rows("-", Row, COLUMNS, chosen, stdin=io.BytesIO(content))


@settings(max_examples=150, deadline=None)
@given(anything, st.sampled_from(["csv", "tsv", "jsonl"]))
def test_accepted_and_rejected_rows_add_up_whatever_comes(content, kind):
    header, first = (b"", b'{"text": "ok", "label": 1}\n') if kind == "jsonl" else (b"text,label\n", b"ok,1\n")
    if kind == "tsv":
        header, first = header.replace(b",", b"\t"), first.replace(b",", b"\t")
    read = read_bytes(header + first + content, kind)
    assert len(read.rows) + len(read.rejected) == read.read
    assert len(read.lines) == len(read.rows)
    places = sorted([*read.lines, *(bad.line for bad in read.rejected)])
    assert len(set(places)) == len(places)
    assert places[-1] <= 1 + len((header + first + content).splitlines())
    for bad in read.rejected:
        assert bad.problem
        assert bad.fix
        assert str(bad).isprintable()
    json.dumps([row.model_dump() for row in read.rows], ensure_ascii=False).encode()


row_lists = st.lists(
    st.tuples(good_cell.filter(str.strip), st.sampled_from(["x", "", "\0", "y"])), min_size=1, max_size=20
)


@settings(max_examples=60, deadline=None)
@given(row_lists, st.integers(1, 40), st.sampled_from(["csv", "jsonl"]))
def test_each_row_is_judged_alone_whatever_the_block_size(table, block_bytes, kind):
    if kind == "csv":
        lines = ["text,label", *(f'"{text}",{label}' for text, label in table)]
    else:
        lines = [json.dumps({"text": text, "label": label}) for text, label in table]
    content = "\n".join(lines)
    wanted = [(text, label) for text, label in table if label in ("x", "y")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tunesmith.data.streams.BLOCK_BYTES", block_bytes)
        if not wanted:
            with pytest.raises(DataError, match="cannot be used"):
                read_bytes(content.encode(), kind, ReadOptions(skip_bad=True))
            return
        read = read_bytes(content.encode(), kind, ReadOptions(skip_bad=True))
    assert [(row.text, row.label) for row in read.rows] == wanted
    assert read.read == len(table)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["text", "label", "x"]),
            st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.lists(st.text(), max_size=2)),
        )
    )
)
def test_rows_from_memory_add_up_too(records):
    read = read_rows([{"text": "ok", "label": "a"}, *records], Row, COLUMNS, SKIP)
    assert len(read.rows) + len(read.rejected) == read.read == len(records) + 1


def test_the_strict_error_counts_all_and_shows_five(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + "a,\n" * 7 + "b,x\n" * 993, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_rows(path, Row, COLUMNS)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"7 of 1,000 rows of {path} cannot be used"
    assert lines[1] == f"  {path}, line 2, label: the label is empty; got ''; fill it in, or remove the row"
    assert lines[6] == "  and 2 more"
    assert lines[7].startswith("  fix: correct them, or add --skip-bad")
    assert len(lines) == 8


def test_nothing_left_is_an_error_even_when_bad_rows_are_skipped():
    with pytest.raises(DataError, match="2 of 2 rows of standard input cannot be used") as caught:
        read_bytes(b"{\n[]\n", "jsonl")
    assert "--skip-bad" not in str(caught.value)


def test_the_column_is_named_where_it_differs_from_the_field():
    bad = read_rows([{"review": "", "labels": "a"}, {"review": "b", "labels": "a"}], Row, COLUMNS, SKIP).rejected[0]
    assert (bad.field, bad.problem) == ("text", "(column 'review') the text is empty")


class Checked(BaseModel):
    text: str
    label: str

    @field_validator("label")
    @classmethod
    def known(cls, label: str) -> str:
        if label == "odd":
            raise ValueError("Odd is not wanted")
        return label


def test_what_the_schema_refuses_is_said_in_its_words():
    rows = [{"text": "a", "label": label} for label in ("x", "odd", "y", "odd")]
    read = read_rows(rows, Checked, COLUMNS, SKIP)
    assert [row.label for row in read.rows] == ["x", "y"]
    assert [(bad.line, bad.field, bad.problem) for bad in read.rejected] == [
        (2, "label", "odd is not wanted"),
        (4, "label", "odd is not wanted"),
    ]


def test_a_stream_settles_columns_first_and_keeps_records_with_their_rows():
    taken = []

    def rows():
        for number in range(30_000):
            taken.append(number)
            yield {"id": number, "msg": f"message number {number}" if number % 10 else "", "extra": [number]}

    stream = stream_rows(rows(), Row, COLUMNS, ReadOptions(labels_required=False))
    assert (stream.mapping, stream.guessed_fields, stream.columns) == (
        {"text": "msg"},
        ("text",),
        ["id", "msg", "extra"],
    )
    assert len(taken) < 10_000
    seen = 0
    for chunk in stream:
        assert len(taken) <= seen + 10_000
        assert [row.text for row in chunk.rows] == [record["msg"] for record in chunk.records]
        assert [record["id"] + 1 for record in chunk.records] == list(chunk.lines)
        assert all(bad.line % 10 == 1 for bad in chunk.rejected)
        seen += len(chunk.rows) + len(chunk.rejected)
    assert seen == 30_000


def test_a_stream_of_bad_rows_only_does_not_raise():
    stream = stream_rows("-", Row, COLUMNS, ReadOptions(format="jsonl"), stdin=io.BytesIO(b"x\ny\n"))
    assert [len(chunk.rejected) for chunk in stream] == [2]


def test_reading_leaves_the_garbage_collector_as_it_was():
    assert gc.isenabled()
    read_rows([{"text": "a", "label": "b"}], Row, COLUMNS)
    with pytest.raises(DataError):
        read_rows([{"text": "", "label": "b"}], Row, COLUMNS)
    assert gc.isenabled()


def test_the_fingerprint_is_that_of_the_rows_not_of_the_file(tmp_path):
    csv, jsonl = tmp_path / "a.csv", tmp_path / "a.jsonl"
    csv.write_text("id,label,text\n1,x,好\n2,y,b\n", encoding="utf-8")
    jsonl.write_text('{"text":"\\u597d","label":"x"}\n{"label":"y","text":"b"}\n', encoding="utf-8")
    prints = {read_rows(path, Row, COLUMNS).fingerprint for path in (csv, jsonl)}
    hashed = '{"text":"好","label":"x"},{"text":"b","label":"y"},'
    assert prints == {hashlib.sha256(hashed.encode()).hexdigest()}


def test_the_fingerprint_depends_on_order_labels_and_types():
    rows = [Row(text="a", label=1), Row(text="b", label="1")]
    variants = [rows, rows[::-1], rows[:1], [rows[0], rows[0]], [Row(text="a", label="1"), rows[1]], []]
    assert len({fingerprint(variant) for variant in variants}) == len(variants)


def test_the_fingerprint_does_not_depend_on_chunks(monkeypatch):
    rows = [Row(text=str(number)) for number in range(10)]
    whole = fingerprint(rows)
    monkeypatch.setattr("tunesmith.data.rows.HASHED_ROWS", 3)
    assert fingerprint(rows) == whole


BAD = BadRow("数据.csv", 3, "text", "'\\x1b[31m'", "the text is empty", "fill it in")


def test_rejected_rows_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "rejected.jsonl"
    write_rejected(path, [BAD, BAD])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[1]) == {
        "file": "数据.csv",
        "line": 3,
        "field": "text",
        "got": "'\\x1b[31m'",
        "problem": "the text is empty",
        "fix": "fill it in",
    }

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(DataError, match=r"cannot write .*rejected\.jsonl: No space left"):
        write_rejected(path, [])
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["rejected.jsonl"]


def test_a_missing_folder_is_the_user_s_error():
    with tempfile.TemporaryDirectory() as folder, pytest.raises(DataError, match="cannot write"):
        write_rejected(Path(folder) / "no" / "rejected.jsonl", [BAD])


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.one_of(st.text(), st.binary(), st.integers(), st.floats(), st.none()),
        lambda inner: st.lists(inner),
    )
)
def test_values_are_shown_short_and_printable(value):
    assert len(shorten(value)) <= 80
    assert shorten(value).isprintable()


def test_huge_values_are_shown_without_being_copied_whole():
    assert len(shorten(["x" * 10_000_000] * 1000)) <= 80
    assert len(shorten(10**4000)) <= 80


def test_control_characters_of_a_file_name_do_not_reach_the_terminal():
    error = bad_rows_error([BadRow("a\x1b[2J.csv", 1, None, "''", "p", "f")], 2, "a\x1b[2J.csv")
    assert "\x1b" not in str(error)


def test_a_label_that_nobody_needs_makes_no_row_bad():
    """When predicting: neither one that is no label at all, nor one that the schema refuses."""
    rows = [{"text": "a", "label": float("inf")}, {"text": "b", "label": {"x": 1}}, {"text": "", "label": {"x": 1}}]
    read = read_rows(rows, Row, COLUMNS, ReadOptions(labels_required=False, skip_bad=True))
    assert [(row.text, row.label) for row in read.rows] == [("a", None), ("b", None)]
    assert [(remark.kind, remark.line) for remark in read.remarks] == [("unread label", 1), ("unread label", 2)]
    assert [row.line for row in read.rejected] == [3]
    needed = read_rows([*rows, {"text": "c", "label": "x"}], Row, COLUMNS, ReadOptions(skip_bad=True))
    assert [row.line for row in needed.rejected] == [1, 2, 3]
