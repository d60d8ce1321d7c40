"""CoNLL files: columns, sentences, comments, schemes, faults with their lines, standard input, streams."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from tunesmith.contracts import Column
from tunesmith.data import ReadOptions, Rows, read_rows, stream_rows
from tunesmith.errors import DataError


class Span(BaseModel):
    start: int
    end: int
    label: str


class Row(BaseModel):
    text: str
    words: list[tuple[int, int]] | None = None
    entities: list[Span] | None = None


class Labelled(BaseModel):
    text: str
    label: str


COLUMNS = (
    Column("text", "text", ("text", "sentence", "content", "文本", "句子")),
    Column("words", "text", ("words",), required=False),
    Column("entities", "label", ("entities", "spans", "ner", "label", "labels", "实体"), holds="spans"),
)
CLASSES = (Column("text", "text", ()), Column("label", "label", ()))
SKIP = ReadOptions(skip_bad=True)
PREDICT = ReadOptions(labels_required=False)
GOOD = "x O\n\n"


def read(content: str | bytes, options: ReadOptions | None = None) -> Rows:
    data = content.encode() if isinstance(content, str) else content
    return read_rows("-", Row, COLUMNS, options, stdin=io.BytesIO(data))


def found(content: str | bytes, options: ReadOptions | None = None) -> list[tuple[str, list[tuple[str, str]]]]:
    """Text of each row with the text and label of its entities."""
    rows = read(content, options).rows
    return [(row.text, [(row.text[e.start : e.end], e.label) for e in row.entities or []]) for row in rows]


def refused(content: str | bytes, options: ReadOptions = SKIP) -> tuple[int, str | None, str]:
    """Line, field and problem of the one sentence that cannot be used."""
    result = read(content, options)
    assert len(result.rejected) == 1
    assert len(result.rows) + 1 == result.read
    bad = result.rejected[0]
    assert bad.fix
    return bad.line, bad.field, bad.problem


def test_one_row_a_sentence():
    content = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n \t \n"
    content += "Peter NNP B-NP B-PER\nBo NNP I-NP I-PER\n"
    result = read(content)
    assert found(content) == [("EU rejects", [("EU", "ORG")]), ("Peter Bo", [("Peter Bo", "PER")])]
    assert list(result.lines) == [3, 7]
    assert result.rows[1].words == [(0, 5), (6, 8)]
    assert result.mapping == {"tokens": "first", "tags": "last"}
    assert result.remarks == ()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", ["\t", " ", "   ", "\t \t"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n\n"])
def test_separators_and_line_ends(end, separator, last):
    lines = [f"Ada{separator}B-PER", f"ruht{separator}O", "", f"Bo{separator}B-PER"]
    content = end.join(lines) + last.replace("\n", end)
    wanted = [("Ada ruht", [("Ada", "PER")]), ("Bo", [("Bo", "PER")])]
    assert found(content) == found(b"\xef\xbb\xbf" + content.encode()) == wanted


@pytest.mark.parametrize("name", ["a.conll", "a.CONLL", "a.bio", "a.iob", "a.iob2", "a.txt"])
@pytest.mark.parametrize("packed", [False, True])
def test_files_by_name(tmp_path, name, packed):
    path = tmp_path / f"{name}{'.gz' * packed}"
    path.write_bytes(gzip.compress(b"Ada B-PER\n") if packed else b"Ada B-PER\n")
    options = ReadOptions(format="conll") if name == "a.txt" else None
    assert [row.text for row in read_rows(path, Row, COLUMNS, options).rows] == ["Ada"]


def test_standard_input_may_hold_json_lines_too():
    line = b'{"tokens": ["Ada"], "tags": ["B-PER"]}\n'
    assert found(line) == found(gzip.compress(b"Ada B-PER\n")) == [("Ada", [("Ada", "PER")])]


def test_tasks_without_spans_name_the_one_with(tmp_path):
    (tmp_path / "a.conll").write_text("Ada B-PER\n")
    for options in (None, ReadOptions(format="conll")):
        with pytest.raises(DataError, match="is a CoNLL file of tagged tokens") as caught:
            read_rows(tmp_path / "a.conll", Labelled, CLASSES, options)
        assert "--task token-classification" in (caught.value.fix or "")
    (tmp_path / "a.conllu").write_text("1 Ada B-PER\n")
    with pytest.raises(DataError, match=r"is a \.conllu file, wanted \.conll, \.jsonl"):
        read_rows(tmp_path / "a.conllu", Row, COLUMNS)
    with pytest.raises(DataError, match=r"data\.columns\.tags is no field"):
        read_rows([{"text": "a", "label": "b"}], Labelled, CLASSES, ReadOptions(mapping={"tags": "label"}))


def test_tokens_may_be_white_space_where_tabs_stand_between():
    content = "北\tB-LOC\n\u3000\tI-LOC\n京\tI-LOC\n\xa0\tO\n好\tO\n \tO\nNew York\tB-LOC\n"
    assert found(content) == [("北\u3000京\xa0好  New York", [("北\u3000京", "LOC"), ("New York", "LOC")])]
    assert read("a\tO\n\u2028\tO\n\x1c\tO\n\x85\tO\nb\tO\n").rows[0].text == "a \u2028 \x1c \x85 b"


def test_a_file_of_characters_has_no_blanks():
    content = "".join(f"{c} O\n" for c in "我买了iPad吗") + "\n" + "i B-X\nO I-X\nS I-X\n8 O\n"
    assert found(content) == [("我买了iPad吗", []), ("iOS8", [("iOS", "X")])]


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("B-P I-P O B-L B-L", ["a b", "d", "e"]),
        ("I-P I-P O I-L B-L", ["a b", "d", "e"]),
        ("B-P E-P O S-L S-L", ["a b", "d", "e"]),
        ("B-P L-P O U-L U-L", ["a b", "d", "e"]),
        ("B-P M-P E-P S-L S-L", ["a b c", "d", "e"]),
    ],
)
def test_every_scheme_is_read_without_a_remark(tags, entities):
    content = "".join(f"{token}\t{tag}\n" for token, tag in zip("abcde", tags.split(), strict=True))
    result = read(content)
    assert [result.rows[0].text[e.start : e.end] for e in result.rows[0].entities] == entities
    assert result.remarks == ()


def test_tags_that_break_the_scheme_are_remarked_with_their_line():
    content = "# id 1\nAda B-P\nMay I-P\n\nin O\nYork I-L\n\nBo B-P\nRom I-L\n"
    result = read(content)
    assert [(remark.line, remark.kind) for remark in result.remarks] == [(6, "bad tag"), (9, "bad tag")]
    wanted = "standard input, line 6: 'I-L' of 'York' follows 'O': taken as the beginning of an entity; write B-L"
    assert str(result.remarks[0]) == wanted
    assert found(content)[2] == ("Bo Rom", [("Bo", "P"), ("Rom", "L")])
    assert [(r.line, r.fix) for r in read("Ada B-P\nMay O\nBo S-P\nx E-P\n").remarks] == [
        (1, "write S-P"),
        (4, "write S-P"),
    ]


@pytest.mark.parametrize(
    ("content", "texts", "lines"),
    [
        ("# id 3\n# text = Ada\nAda B-P\n", ["Ada"], [3]),
        ("# \n#\nAda B-P\n\n# 2\n\nBo O\n", ["Ada", "Bo"], [3, 7]),
        ("# O\nAda B-P\n", ["# Ada"], [1]),
        ("# sent 1\n# O\n1 O\n", ["# 1"], [2]),
        ("#Ada O\nBo O\n", ["#Ada Bo"], [1]),
        ("No O\n# O\n1 O\n", ["No # 1"], [1]),
        ("#\tO\n", ["#"], [1]),
        ("# id 3\n", [], []),
    ],
)
def test_comments_stand_in_front_and_have_no_tag(content, texts, lines):
    result = read(content + "\n" + GOOD)
    assert [row.text for row in result.rows] == [*texts, "x"]
    assert list(result.lines)[:-1] == lines


def test_a_file_without_tags_is_for_predicting():
    content = "# id 1\n#\nAda\nruht\n\n-DOCSTART-\nBo\n"
    result = read(content, PREDICT)
    assert [(row.text, row.entities) for row in result.rows] == [("# Ada ruht", None), ("Bo", None)]
    assert (list(result.lines), result.mapping) == ([2, 7], {"tokens": "first"})
    with pytest.raises(DataError, match="has one column, tokens without tags") as caught:
        read(content)
    assert "write a tag behind each token" in (caught.value.fix or "")
    tagged_as_words = read("# SYM\nAda NNP\nruht VBZ\n", PREDICT).rows
    assert [(row.text, row.entities) for row in tagged_as_words] == [("# Ada ruht", None)]
    with pytest.raises(DataError, match="'NNP' in line 1 is no tag") as caught:
        read("Ada NNP\nruht VBZ\n")
    assert "data.columns.tags" in str(caught.value)


def test_a_sentence_without_tags_among_tagged_ones():
    content = "Ada B-P\n\nBo\n\nEva O\n"
    assert refused(content) == (3, "tags", "the tags are missing")
    assert [row.entities is None for row in read(content, PREDICT).rows] == [False, True, False]


def test_the_user_gives_columns_by_number():
    content = "1 Ada B-P NNP\n2 ruht O VBZ\n"
    named = ReadOptions(mapping={"tokens": "2", "tags": "3"})
    assert found(content, named) == [("Ada ruht", [("Ada", "P")])]
    mapping = read(content, named).mapping
    assert mapping == {"tokens": "2", "tags": "3"}
    assert found(content, ReadOptions(remembered=mapping)) == found(content, named)
    assert found("Ada O\n", ReadOptions(remembered={"tokens": "first", "tags": "3"})) == [("Ada", [])]
    assert found("B-P Ada\n", ReadOptions(mapping={"tokens": "last"})) == [("Ada", [("Ada", "P")])]
    third = ReadOptions(mapping={"tags": "3"}, skip_bad=True)
    assert refused("Ada V O\n\nBo O\n", third) == (3, None, "line 3 has 2 columns, data.columns names number 3")
    for value in ("ner", "0", "-1", "²", ""):
        with pytest.raises(DataError, match="wanted a number from 1"):
            read(content, ReadOptions(mapping={"tags": value}))


def test_records_are_plain_json():
    stream = stream_rows("-", Row, COLUMNS, stdin=io.BytesIO(b"Ada NNP B-P\nruht V O\n"))
    chunk = next(chunk for chunk in stream if chunk.rows)
    assert stream.columns == ["tokens", "tags", "column 2", "text", "words", "entities"]
    assert chunk.records == [
        {
            "tokens": ["Ada", "ruht"],
            "tags": ["B-P", "O"],
            "column 2": ["NNP", "V"],
            "text": "Ada ruht",
            "words": [[0, 3], [4, 8]],
            "entities": [{"start": 0, "end": 3, "label": "P"}],
        }
    ]
    assert json.loads(json.dumps(chunk.records)) == chunk.records


@pytest.mark.parametrize(
    ("sentence", "line", "field", "problem"),
    [
        ("Ada O\nruht\n", 3, None, "line 4 has 1 column, line 3 has 2"),
        ("Ada\tO\nruht V\tO\tO\n", 3, None, "line 4 has 3 columns, line 3 has 2"),
        ("# id\nAda O\nruht X-P\n", 4, "tags", "'X-P' in line 5 is no tag"),
        ("Ada B_P\n", 3, "tags", "'B_P' in line 3 is no tag"),
        ("Ada\t\n", 3, "tags", "the tag in line 3 is missing"),
        ("Ada\tO\n\tO\n", 3, "tokens", "the token of line 4 is empty"),
        ("Ada O\nca\udce9f O\n", 3, None, "line 4 is not UTF-8 at byte 3 of the line (0xe9)"),
        ("Ada O\na\0 O\n", 3, None, "line 4 holds a NUL byte"),
        ("\u3000\tO\n", 3, "text", "the text holds nothing but white space"),
    ],
)
def test_a_fault_costs_its_sentence(sentence, line, field, problem):
    content = (GOOD + sentence + "\nBo B-P\n").encode("utf-8", "surrogateescape")
    assert refused(content) == (line, field, problem)
    assert [row.text for row in read(content, SKIP).rows] == ["x", "Bo"]


def test_a_csv_on_standard_input_is_told_the_way_out():
    with pytest.raises(DataError, match=r"data\.format=csv"):
        read("text,id\nAda met Bo,3\n", PREDICT)


def test_sentences_that_are_too_long(monkeypatch):
    monkeypatch.setattr("tunesmith.data.streams.BLOCK_BYTES", 64)
    options = ReadOptions(skip_bad=True, max_row_bytes=100)
    for long in ("word O\n" * 50, "w" * 500 + " O\n", "é" * 60 + " O\n"):
        content = GOOD + long + "\n" + "Bo B-P\n"
        assert refused(content, options) == (3, None, "the sentence is longer than 100 bytes")
        assert list(read(content, options).lines)[1] == content.count("\n")
    assert len(read("word O\n" * 14, options).rows) == 1


def test_all_bad_and_nothing_at_all():
    with pytest.raises(DataError, match="2 of 2 rows of standard input cannot be used"):
        read("a O\nb\n\nc O\nd\n", SKIP)
    for content in ("\n\n-DOCSTART- O\n\n# id 3\n", "-DOCSTART-"):
        with pytest.raises(DataError, match="holds no rows"):
            read(content)
    with pytest.raises(DataError, match="is empty"):
        read("\n\n")


words = st.sampled_from(["Ada", "北", "\u3000", "é", "#", "# 1", "-DOCSTART-", " ", "", "a\0", "\udcff", "😀"])
lines = st.tuples(words, st.sampled_from(["\t", " ", "\t\t"]), st.sampled_from(["O", "B-P", "I-P", "E-L", "X", ""]))
contents = st.lists(st.one_of(lines.map("".join), st.sampled_from(["", " ", "# id 2"])), max_size=30)


@settings(max_examples=150, deadline=None)
@given(contents, st.sampled_from(["\n", "\r\n", "\r"]), st.integers(1, 40))
def test_rows_add_up_whatever_comes_and_however_it_is_cut(texts, end, block_bytes):
    content = ("x\tO\n\n".replace("\n", end) + end.join(texts)).encode("utf-8", "surrogateescape")
    whole = read(content, SKIP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tunesmith.data.streams.BLOCK_BYTES", block_bytes)
        pieces = read(content, SKIP)
    assert (whole.rows, whole.rejected, whole.remarks) == (pieces.rows, pieces.rejected, pieces.remarks)
    assert list(whole.lines) == list(pieces.lines)
    assert len(whole.rows) + len(whole.rejected) == whole.read
    for bad in whole.rejected:
        assert str(bad).isprintable()
        assert bad.fix
    for row in whole.rows:
        assert all(0 <= entity.start < entity.end <= len(row.text) for entity in row.entities)
        assert all(left[1] <= right[0] for left, right in pairwise(row.words))


def test_memory_stays_flat(tmp_path: Path):
    def peak(sentences: int) -> int:
        path = tmp_path / f"{sentences}.conll"
        path.write_text("word B-PER\nword O\n\n" * sentences)
        tracemalloc.start()
        try:
            assert sum(len(chunk.rows) for chunk in stream_rows(path, Row, COLUMNS)) == sentences
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tunesmith.data.streams.BLOCK_BYTES", 1 << 12)
        peak(100)
        small, large = peak(1500), peak(4500)
    assert large < 1.3 * small
