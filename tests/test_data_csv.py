"""CSV and TSV: delimiters, quotes, line numbers and every kind of faulty row."""

from __future__ import annotations

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
    Column("text", "text", ("review", "内容")),
    Column("text_b", "text", ("answer",), required=False),
    Column("label", "label", ("class", "标签")),
)
SKIP = ReadOptions(skip_bad=True)


@pytest.fixture
def read(tmp_path: Path):
    def read_bytes(content: bytes | str, options: ReadOptions | None = None, name: str = "data.csv") -> Rows:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_rows(path, Row, COLUMNS, options)

    return read_bytes


def pairs(rows: Rows) -> list[tuple[str, object]]:
    return [(row.text, row.label) for row in rows.rows]


def faults(rows: Rows) -> list[tuple[int, str | None, str]]:
    return [(bad.line, bad.field, bad.problem) for bad in rows.rejected]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(read, delimiter):
    table = [["id", "text", "label"], ["1", "so, so; a | b" if delimiter not in ",;|" else "so so", "x"]]
    content = "\n".join(delimiter.join(row) for row in [*table, ["2", "good", "y"]])
    assert pairs(read(content)) == [(table[1][1], "x"), ("good", "y")]


def test_the_header_decides_although_the_texts_hold_more_commas(read):
    content = "text;label\n" + "one, two, three;a\n" * 3
    assert pairs(read(content)) == [("one, two, three", "a")] * 3


def test_a_single_column_keeps_its_commas(read):
    rows = read("text\ngood, really\nbad\n", ReadOptions(labels_required=False))
    assert [row.text for row in rows.rows] == ["good, really", "bad"]


def test_quotes_follow_rfc_4180(read):
    content = 'text,label\r\n"a ""b"", c",x\r\n"two\r\nlines",y\r\n5" disk,z\r\n'
    assert pairs(read(content)) == [('a "b", c', "x"), ("two\r\nlines", "y"), ('5" disk', "z")]


def test_line_numbers_count_physical_lines_through_quoted_line_ends_and_blank_lines(read):
    rows = read('text,label\n"a\nb\nc",x\n\n,y\nd,z\n', SKIP)
    assert list(rows.lines) == [2, 7]
    assert faults(rows) == [(6, "text", "the text is empty")]


def test_mixed_line_ends_and_a_byte_order_mark(read):
    rows = read(b"\xef\xbb\xbftext,label\r\na,x\nb,y\rc,z")
    assert pairs(rows) == [("a", "x"), ("b", "y"), ("c", "z")]
    assert rows.columns == ["text", "label"]
    assert list(rows.lines) == [2, 3, 4]


def test_chinese_columns_and_texts(read):
    rows = read("编号,内容,标签\n1,质量很好，推荐,正面\n2,“太差了”,负面\n")
    assert pairs(rows) == [("质量很好，推荐", "正面"), ("“太差了”", "负面")]
    assert rows.mapping == {"text": "内容", "label": "标签"}


def test_wrong_width_missing_label_and_nul_are_bad_rows(read):
    rows = read(b"text,label\na,x\nb\nc,y,z\nd,\ne\0,x\nf,x\n", SKIP)
    assert pairs(rows) == [("a", "x"), ("f", "x")]
    assert faults(rows) == [
        (3, None, "1 column, wanted 2 as in the header"),
        (4, None, "3 columns, wanted 2 as in the header"),
        (5, "label", "the label is empty"),
        (6, "text", "holds a NUL byte"),
    ]


def test_broken_utf8_costs_one_row_and_names_the_byte_and_the_remedy(read):
    rows = read("text,label\n好,a\n".encode() + b"caf\xe9,b\n" + "茶,c\n".encode(), SKIP)
    assert pairs(rows) == [("好", "a"), ("茶", "c")]
    assert faults(rows) == [(3, "text", "is not UTF-8 at byte 4 of the cell (0xe9)")]
    assert "GB18030" in rows.rejected[0].fix


def test_a_stray_quote_costs_its_own_row_only(read):
    rows = read('text,label\na,x\n"open,y\nb,x\nhe said "hi",y\n"c",x\n', SKIP)
    assert pairs(rows) == [("a", "x"), ("b", "x"), ('he said "hi"', "y"), ("c", "x")]
    assert [(bad.line, bad.got) for bad in rows.rejected] == [(3, "'\"open,y'")]


def test_an_unclosed_quote_at_the_end_costs_its_own_row_only(read):
    rows = read('text,label\na,x\n"open,y\nb,x\nc,y\n', SKIP)
    assert pairs(rows) == [("a", "x"), ("b", "x"), ("c", "y")]
    assert faults(rows) == [(3, None, "a quote is opened and never closed")]


def test_rows_across_blocks_keep_their_line_numbers(read, monkeypatch):
    monkeypatch.setattr("tunesmith.data.streams.BLOCK_BYTES", 7)
    rows = read('text,label\r\n"a\r\nb",x\r\nlong enough text,y\r\n"c ""d"" 好\r\n",z\r\n')
    assert pairs(rows) == [("a\r\nb", "x"), ("long enough text", "y"), ('c "d" 好\r\n', "z")]
    assert list(rows.lines) == [2, 4, 5]


@pytest.mark.parametrize("block_bytes", [16, 1 << 20])
def test_a_row_over_the_limit_is_bad_and_the_next_is_read(read, monkeypatch, block_bytes):
    monkeypatch.setattr("tunesmith.data.streams.BLOCK_BYTES", block_bytes)
    content = f'text,label\na,x\n{"好" * 40},y\n"b\n{"c" * 90}\n",z\nd,x\n'
    rows = read(content, ReadOptions(skip_bad=True, max_row_bytes=100))
    assert pairs(rows)[:1] + pairs(rows)[-1:] == [("a", "x"), ("d", "x")]
    assert (3, None, "the row is longer than 100 bytes") in faults(rows)
    assert len(rows.rows) + len(rows.rejected) == rows.read


def test_a_ten_megabyte_row_is_bad_by_default(read):
    rows = read("text,label\n" + "a" * 9_999_000 + ",x\n" + "a" * 10_000_000 + ",x\nb,y\n", SKIP)
    assert [len(row.text) for row in rows.rows] == [9_999_000, 1]
    assert faults(rows) == [(3, None, "the row is longer than 9,999,999 bytes")]


def test_quotes_that_never_close_cannot_make_reading_quadratic(read):
    # Each line opens a quote whether or not one is open already: every row would reach to the file's end.
    content = "text,label,n\na,x,1\n" + 'x",a,"z\n' * 3000
    rows = read(content, ReadOptions(skip_bad=True, max_row_bytes=50))
    assert len(rows.rows) == 1
    assert len(rows.rejected) < 100


def test_a_tsv_with_stray_quotes_takes_them_as_they_are(read):
    rows = read('text\tlabel\n"open\tx\nend"\ty\n"a" b\tz\n', name="data.tsv")
    assert pairs(rows) == [('"open', "x"), ('end"', "y"), ('"a" b', "z")]


def test_a_tsv_with_proper_quotes_loses_them(read):
    rows = read('text\tlabel\n"a\tb"\tx\n"c ""d"""\ty\n', name="data.tsv")
    assert pairs(rows) == [("a\tb", "x"), ('c "d"', "y")]


def test_unnamed_and_repeated_columns_get_names(read):
    rows = read(",text,label,text\n0,a,x,b\n1,c,y,d\n")
    assert rows.columns == ["column 1", "text", "label", "text (2)"]
    assert pairs(rows) == [("a", "x"), ("c", "y")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("text,label\n", "has a header but no rows"),
        ("text,label", "has a header but no rows"),
        ("I love it,1\nI hate it,0\n", "looks like a row, not like column names: 'I love it', '1'"),
        ("质量很好。,好\n太差,坏\n", "looks like a row"),
        ("fine,good\nbad,bad\nnice,good\n", "looks like a row"),
        (b"t\xe9xt,label\na,b\n", "the header of .* is not UTF-8"),
        (b"te\0xt,label\na,b\n", "the header of .* holds a NUL byte"),
        (
            '"text,label\na,b\n',
            "the header of .* cannot be read: .*line 1: a quote is opened and never closed",
        ),
        ("text,label\n".encode("utf-16"), "is UTF-16, wanted UTF-8"),
    ],
)
def test_files_that_are_no_table(read, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read(content)
    assert caught.value.fix


def test_a_header_of_years_is_fine_beside_a_known_name(read):
    assert pairs(read("2019,text,label\n1,a,x\n2,b,y\n")) == [("a", "x"), ("b", "y")]


def test_the_csv_module_is_left_as_it_was(read):
    import csv

    before = csv.field_size_limit()
    read("text,label\n" + "a" * 200_000 + ",x\n")
    assert csv.field_size_limit() == before
