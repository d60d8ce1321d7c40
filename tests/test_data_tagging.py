"""Tags to spans and back, tokens to texts, lists in records, spans as labelling tools write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import datasets
import numpy
import pandas
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tunesmith.contracts import Column
from tunesmith.data import ReadOptions, Rows, read_rows, stream_rows
from tunesmith.data.tagging import decode_tags, find_doubts, find_scheme, is_character_level, join_tokens, split_tag
from tunesmith.errors import DataError


class Span(BaseModel):
    start: int
    end: int
    label: str


class Row(BaseModel):
    text: str
    words: list[tuple[int, int]] | None = None
    entities: list[Span] | None = None


COLUMNS = (
    Column("text", "text", ("text", "sentence", "content", "文本", "句子")),
    Column("words", "text", ("words",), required=False),
    Column("entities", "label", ("entities", "spans", "ner", "label", "labels", "实体"), holds="spans"),
)
PREDICT = ReadOptions(labels_required=False)
SKIP = ReadOptions(skip_bad=True)
ADA = {"text": "Ada met Bo", "entities": [{"start": 0, "end": 3, "label": "PER"}]}


def read(source: Any, options: ReadOptions | None = None) -> Rows:
    return read_rows(source, Row, COLUMNS, options)


def found(row: Row) -> list[tuple[str, str]]:
    """Text and label of each entity."""
    return [(row.text[span.start : span.end], span.label) for span in row.entities or []]


def words(row: Row) -> list[str]:
    return [row.text[start:end] for start, end in row.words or []]


def refused(record: dict[str, Any], options: ReadOptions = SKIP) -> tuple[str | None, str]:
    """Field and problem of a record that cannot be used, read beside good ones."""
    good = {"tokens": ["a"], "tags": ["O"]} if "tokens" in record or "tags" in record else ADA
    result = read([good, record, good], options)
    assert (len(result.rows), len(result.rejected), result.read) == (2, 1, 3)
    bad = result.rejected[0]
    assert (bad.file, bad.line) == ("list", 2)
    assert bad.fix
    return bad.field, bad.problem


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("", []),
        ("O O", []),
        ("B-A I-A O", [(0, 2, "A")]),
        ("B-A B-A I-A", [(0, 1, "A"), (1, 3, "A")]),
        ("I-A I-A B-A O I-B", [(0, 2, "A"), (2, 3, "A"), (4, 5, "B")]),  # IOB1
        ("I-A I-B", [(0, 1, "A"), (1, 2, "B")]),
        ("B-A I-B I-B", [(0, 1, "A"), (1, 3, "B")]),
        ("S-A B-A I-A E-A S-B", [(0, 1, "A"), (1, 4, "A"), (4, 5, "B")]),
        ("U-A B-A I-A L-A U-B", [(0, 1, "A"), (1, 4, "A"), (4, 5, "B")]),
        ("B-A M-A E-A", [(0, 3, "A")]),
        ("O E-A E-A I-A", [(1, 2, "A"), (2, 3, "A"), (3, 4, "A")]),
        ("S-A I-A", [(0, 1, "A"), (1, 2, "A")]),
        ("B-A E-B", [(0, 1, "A"), (1, 2, "B")]),
        ("B-time-of-day I-time-of-day", [(0, 2, "time-of-day")]),
        ("B-地名 I-地名", [(0, 2, "地名")]),
    ],
)
def test_tags_of_every_scheme_become_spans(tags, entities):
    assert decode_tags(tags.split()) == entities


@pytest.mark.parametrize("tag", ["", "o", "X-A", "B", "B-", "B- ", "B_A", "b-A", "-A", "BA-A", "0"])
def test_what_is_no_tag(tag):
    with pytest.raises(ValueError, match=f"^{tag}$"):
        split_tag(tag)


def write_tags(lengths: list[tuple[str, int]], scheme: str) -> Iterator[str]:
    """Tags of neighbouring runs of tokens: a type, or O, and how many tokens it has."""
    before = "O"
    for kind, length in lengths:
        if kind == "O":
            yield from ["O"] * length
        elif scheme in ("BIOES", "BILOU", "BMES"):
            inside, end, single = {"BIOES": "IES", "BILOU": "ILU", "BMES": "MES"}[scheme]
            letters = single if length == 1 else f"B{inside * (length - 2)}{end}"
            yield from (f"{letter}-{kind}" for letter in letters)
        else:
            first = "B" if scheme == "BIO" or before == kind else "I"
            yield from [f"{first}-{kind}", *[f"I-{kind}"] * (length - 1)]
        before = kind


runs = st.lists(st.tuples(st.sampled_from(["O", "PER", "LOC", "A-B"]), st.integers(1, 4)), max_size=8)


@given(runs, st.sampled_from(["BIO", "IOB1", "BIOES", "BILOU", "BMES"]))
def test_written_tags_are_read_as_they_were_meant(lengths, scheme):
    tags = list(write_tags(lengths, scheme))
    ends = [sum(length for _, length in lengths[: place + 1]) for place in range(len(lengths))]
    meant = [(end - length, end, kind) for (kind, length), end in zip(lengths, ends, strict=True) if kind != "O"]
    assert decode_tags(tags) == meant
    assert find_doubts(tags, meant, "BIO" if scheme == "BIO" else "IOB1" if scheme == "IOB1" else "BIOES") == []


@given(runs)
def test_pure_inside_tags_join_neighbours_of_one_type(lengths):
    tags = [tag if kind == "O" else f"I-{kind}" for kind, length in lengths for tag in ["O"] * length]
    entities = decode_tags(tags)
    assert [tags[first] for first, _, _ in entities] == [f"I-{kind}" for _, _, kind in entities]
    assert all(left[1] < right[0] or left[2] != right[2] for left, right in pairwise(entities))
    assert sum(behind - first for first, behind, _ in entities) == sum(tag != "O" for tag in tags)


tokens_lists = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3), min_size=1)


@given(tokens_lists, st.booleans())
def test_bounds_give_back_the_tokens_and_nothing_but_blanks_between(tokens, without_blanks):
    text, bounds = join_tokens(tokens, without_blanks)
    assert [text[start:end] for start, end in bounds] == tokens
    gaps = [text[left[1] : right[0]] for left, right in pairwise(bounds)]
    assert set(gaps) <= ({""} if without_blanks else {"", " "})
    assert bounds[0][0] == 0
    assert bounds[-1][1] == len(text)


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("Ada met Bo .", "Ada met Bo ."),
        ("我 喜欢 北京 。", "我喜欢北京。"),
        ("我 用 Python 3 写 code", "我用Python 3写code"),
        ("価格 は ３ ＄ です", "価格は３＄です"),
        ("カタ カナ と ひらがな", "カタカナとひらがな"),
        ("서울 은 크다", "서울 은 크다"),
        ("Ada 😀 Bo", "Ada 😀 Bo"),
        ("𠀀 𠀁 x", "𠀀𠀁x"),
        ("A 、 B", "A、B"),
        ("A ， B", "A，B"),
    ],
)
def test_blanks_stand_where_the_script_has_them(tokens, text):
    assert join_tokens(tokens.split(" "))[0] == text


def test_a_source_with_a_token_for_each_character_has_no_blanks():
    sentence = {"tokens": list("我买了一台新的iPad和iPhone"), "tags": ["O"] * 18}
    assert is_character_level([sentence["tokens"]])
    assert read([sentence, {"tokens": ["O", "K", "!"], "tags": ["O"] * 3}]).rows[1].text == "OK!"
    assert not is_character_level([list("abc"), list("def")])
    assert not is_character_level([["我们", "在", "北京", "吃饭"]])
    assert not is_character_level([[]])


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        (["O O"], "IOB1"),
        (["I-A O I-B"], "IOB1"),
        (["I-A B-A O", "B-B"], "BIO"),
        (["I-A O I-B O"] * 20 + ["B-A"], "IOB1"),
        (["B-A I-A O"] * 20 + ["I-A"], "BIO"),
        (["B-A I-A O", "S-A"], "BIOES"),
        (["B-A L-A O"], "BIOES"),
    ],
)
def test_the_scheme_is_seen_in_the_tags(sentences, scheme):
    assert find_scheme([tags.split() for tags in sentences]) == scheme


def doubts(tags: str, scheme: str) -> list[tuple[int, str, str]]:
    listed = tags.split()
    return [(doubt.index, doubt.problem, doubt.fix) for doubt in find_doubts(listed, decode_tags(listed), scheme)]


def test_tags_that_break_their_scheme_are_named():
    begins = "taken as the beginning of an entity"
    assert doubts("B-A O I-B", "BIO") == [(2, f"follows 'O': {begins}", "write B-B")]
    assert doubts("B-A I-B", "BIO") == [(1, f"follows 'B-A': {begins}", "write B-B")]
    assert doubts("I-A", "BIO") == [(0, f"stands at the beginning: {begins}", "write B-A")]
    assert doubts("I-A B-A O I-B", "IOB1") == []
    closed = "is the last tag of an entity that is not closed: taken to end here"
    assert doubts("B-A O", "BIOES") == [(0, closed, "write S-A")]
    assert doubts("B-A I-A S-B", "BIOES") == [(1, closed, "write E-A")]
    assert doubts("O E-A", "BIOES") == [(1, f"follows 'O': {begins}", "write S-A")]
    assert [place for place, _, _ in doubts("I-A E-A", "BIOES")] == [0]


@pytest.mark.parametrize("tokens", ["tokens", "words", "Words", "词", "字"])
@pytest.mark.parametrize("tags", ["tags", "ner_tags", "labels", "bio", "标签", "ner"])
def test_lists_in_records_are_found_by_name(tokens, tags):
    record = {"id": 7, tokens: ["Ada", "met", "Bo"], tags: ["B-PER", "O", "B-PER"]}
    result = read([record, {tokens: ["x"], tags: ["O"]}])
    assert result.rows[0] == Row(
        text="Ada met Bo",
        words=[(0, 3), (4, 7), (8, 10)],
        entities=[Span(start=0, end=3, label="PER"), Span(start=8, end=10, label="PER")],
    )
    assert (result.rows[1].entities, result.mapping) == ([], {"tokens": tokens, "tags": tags})


def test_the_user_and_the_training_name_the_lists():
    records = [{"tokens": ["a"], "mots": ["Ada", "dort"], "tags": ["O"], "pos": ["N", "V"], "étiq": ["B-PER", "O"]}]
    named = ReadOptions(mapping={"tokens": "mots", "tags": "étiq"})
    assert found(read(records, named).rows[0]) == [("Ada", "PER")]
    again = read(records, ReadOptions(mapping=read(records, named).mapping))
    assert again.mapping == {"tokens": "mots", "tags": "étiq"}
    remembered = ReadOptions(remembered=again.mapping, labels_required=False)
    assert [row.text for row in read(records, remembered).rows] == ["Ada dort"]
    by_field = ReadOptions(mapping={"text": "mots", "entities": "étiq"})
    assert found(read(records, by_field).rows[0]) == [("Ada", "PER")]
    with pytest.raises(DataError, match=r"has no column 'mot' \(data.columns.tokens\)") as caught:
        read(records, ReadOptions(mapping={"tokens": "mot"}))
    assert caught.value.fix == "did you mean 'mots'?"
    with pytest.raises(DataError, match=r"data\.columns\.tag is no field"):
        read(records, ReadOptions(mapping={"tag": "pos"}))
    with pytest.raises(DataError, match="neither a text nor tokens"):
        read([{"a": 1, "b": ["B-A"]}], ReadOptions(mapping={"tags": "b"}))


def test_places_in_conll_lines_mean_nothing_in_records():
    options = ReadOptions(mapping={"tokens": "first", "tags": "2"})
    assert found(read([{"tokens": ["Ada"], "tags": ["B-PER"]}], options).rows[0]) == [("Ada", "PER")]
    assert found(read([ADA], options).rows[0]) == [("Ada", "PER")]


def test_records_keep_their_columns_and_get_the_fields_beside_them():
    record = {"id": 7, "tokens": ("Ada", "ruht"), "tags": numpy.array(["B-PER", "O"]), "note": {"a": [1]}}
    stream = stream_rows([record], Row, COLUMNS)
    assert stream.columns == ["id", "tokens", "tags", "note", "text", "words", "entities"]
    kept = next(iter(stream)).records[0]
    assert kept == {
        "id": 7,
        "tokens": ["Ada", "ruht"],
        "tags": ["B-PER", "O"],
        "note": {"a": [1]},
        "text": "Ada ruht",
        "words": [[0, 3], [4, 8]],
        "entities": [{"start": 0, "end": 3, "label": "PER"}],
    }
    assert json.loads(json.dumps(kept)) == kept
    assert isinstance(record["tokens"], tuple)  # what was given is not altered


def test_a_column_of_the_users_own_is_not_overwritten():
    record = {"text": "Ada ruht!", "words": ["Ada", "ruht"], "ner": ["B-PER", "O"]}
    chunk = next(iter(stream_rows([record], Row, COLUMNS)))
    assert (chunk.rows[0].text, words(chunk.rows[0])) == ("Ada ruht", ["Ada", "ruht"])
    assert chunk.records[0] == {**record, "entities": [{"start": 0, "end": 3, "label": "PER"}]}


def test_words_may_be_bounds_or_tokens_beside_a_text():
    bounds = {**ADA, "words": [[0, 3], [4, 7], [8, 10]]}
    assert words(read([bounds]).rows[0]) == ["Ada", "met", "Bo"]
    tokens = {**ADA, "words": ["Ada", "met", "Bo"]}
    assert read([tokens]).rows[0] == read([ADA]).rows[0]
    assert words(read([{"words": ["Ada", "met"]}], PREDICT).rows[0]) == ["Ada", "met"]
    for bad in ([[0, 3], [2, 7]], [[0, 11]], [[3, 3]], [[-1, 2]]):
        field, problem = refused({**ADA, "words": bad})
        assert (field, "is empty, out of the text or out of order" in problem) == ("words", True)
    assert refused({**ADA, "words": [[0, 3, 4]]})[0] == "words"


def test_datasets_with_class_labels_have_names():
    names = ["O", "B-PER", "I-PER"]
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=names)),
        }
    )
    content = {"tokens": [["Ada", "May", "ruht"]], "ner_tags": [[1, 2, 0]]}
    dataset = datasets.Dataset.from_dict(content, features=features)
    for source in (dataset, dataset.to_iterable_dataset()):
        assert found(read(source).rows[0]) == [("Ada May", "PER")]
    unlabelled = datasets.Dataset.from_dict({**content, "ner_tags": [[-1, -1, -1]]}, features=features)
    assert read(unlabelled, PREDICT).rows[0].entities is None
    numbers = datasets.Dataset.from_dict(content)
    with pytest.raises(DataError, match="the tags are numbers, which name no entity") as caught:
        read(numbers)
    assert "write names" in str(caught.value)
    assert read(numbers, PREDICT).rows[0].text == "Ada May ruht"


def test_parquet_and_pandas_hold_lists_too(tmp_path):
    table = pyarrow.table({"tokens": [["Ada", "ruht"], ["x"]], "tags": [["B-PER", "O"], ["O"]]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    sources = [tmp_path / "a.parquet", tmp_path / "a.jsonl", pandas.read_parquet(tmp_path / "a.parquet")]
    for source in sources:
        assert [found(row) for row in read(source).rows] == [[("Ada", "PER")], []]


@pytest.mark.parametrize(
    ("record", "field", "problem"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, "tags", "tokens and tags differ in number: 2 and 1"),
        ({"tokens": ["a", ""], "tags": ["O", "O"]}, "tokens", "token 2 is empty"),
        ({"tokens": ["a", 3], "tags": ["O", "O"]}, "tokens", "token 2 is no text"),
        ({"tokens": [], "tags": []}, "tokens", "the list of tokens is empty"),
        ({"tokens": "a b", "tags": ["O", "O"]}, "tokens", "is no list"),
        ({"tags": ["O"]}, "tokens", "the tokens are missing"),
        ({"tokens": ["a"]}, "tags", "the tags are missing"),
        ({"tokens": ["a"], "tags": "O"}, "tags", "is no list"),
        ({"tokens": ["a"], "tags": [None]}, "tags", "the tag of token 1 is missing"),
        ({"tokens": ["a", "b"], "tags": ["O", "X-A"]}, "tags", "'X-A' of token 2 is no tag"),
        ({"tokens": ["a"], "tags": [["O"]]}, "tags", "['O'] of token 1 is no tag"),
        ({"tokens": ["a"], "tags": [1]}, "tags", "the tags are numbers, which name no entity"),
        ({"tokens": [" "], "tags": ["O"]}, "text", "the text holds nothing but white space"),
        ({"tokens": ["a\0"], "tags": ["O"]}, "text", "holds a NUL character"),
        ({"tokens": ["a"], "tags": ["B-\0"]}, "entities", "holds a NUL character"),
    ],
)
def test_lists_that_cannot_be_used(record, field, problem):
    assert refused(record) == (field, problem)


DOCCANO = [[0, 3, "PER"], [8, 10, "PER"]]


@pytest.mark.parametrize("name", ["entities", "spans", "ner", "label", "labels", "实体"])
@pytest.mark.parametrize(
    "spans",
    [
        DOCCANO,
        [tuple(span) for span in DOCCANO],
        numpy.array([[0, 3, "PER"], [8, 10, "PER"]], dtype=object),
        [{"start": a, "end": b, "label": c, "score": 0.5} for a, b, c in DOCCANO],
        [{"id": 1, "start_offset": a, "end_offset": b, "type": c} for a, b, c in DOCCANO],
        [{"start": numpy.int64(a), "end": b, "entity_group": c, "word": "x"} for a, b, c in DOCCANO],
        [{"start": a, "end": b, "class": c} for a, b, c in DOCCANO],
        [{"start": a, "end": b, "entity": c} for a, b, c in DOCCANO],
        [Span(start=a, end=b, label=c) for a, b, c in DOCCANO],
    ],
)
def test_spans_as_tools_write_them(name, spans):
    result = read([{"text": "Ada met Bo", name: spans, "id": 3}, {"text": "x", name: []}])
    assert found(result.rows[0]) == [("Ada", "PER"), ("Bo", "PER")]
    assert (result.rows[1].entities, result.mapping) == ([], {"text": "text", "entities": name})


def test_offsets_are_code_points():
    text = "😀 Ｔｏｋｙｏ 与 北京𠀀市 é"
    spans = [[2, 7, "LOC"], [10, 14, "LOC"], [15, 16, "X"]]
    assert found(read([{"text": text, "label": spans}]).rows[0]) == [
        ("Ｔｏｋｙｏ", "LOC"),
        ("北京𠀀市", "LOC"),
        ("é", "X"),
    ]
    tagged = {"tokens": ["😀", "𠀀", "Ｔｏ", "x"], "tags": ["O", "B-A", "I-A", "S-A"]}
    assert found(read([tagged]).rows[0]) == [("𠀀Ｔｏ", "A"), ("x", "A")]


@pytest.mark.parametrize(
    ("spans", "problem"),
    [
        (None, "the spans are missing"),
        ("PER", "is a text, wanted a list of spans"),
        ({"start": 0}, "is an object, wanted a list of spans"),
        (["PER"], "span 1 is no span: 'PER'"),
        ([[0, 3]], "span 1 is no span: [0, 3]"),
        ([[0, 3, "A"], [0.0, 3, "A"]], "span 2 has bounds that are no whole numbers: [0.0, 3]"),
        ([[True, 3, "A"]], "span 1 has bounds that are no whole numbers: [True, 3]"),
        ([{"end": 3, "label": "A"}], "span 1 has bounds that are no whole numbers: [None, 3]"),
        ([[0, 3, ""]], "span 1 has no label"),
        ([[0, 3, " "]], "span 1 has a label that is no text: ' '"),
        ([[0, 3, 5]], "span 1 has a label that is no text: 5"),
        ([{"start": 0, "end": 3}], "span 1 has no label"),
        ([[3, 3, "A"]], "span 1 starts at 3 and ends at 3: it holds no character"),
        ([[5, 3, "A"]], "span 1 starts at 5 and ends at 3: it holds no character"),
        ([[0, 3, "A"], [8, 11, "A"]], "span 2, 8 to 11, lies outside of the text of 10 characters"),
        ([[-3, 2, "A"]], "span 1, -3 to 2, lies outside of the text of 10 characters"),
        ([[0, 3, "A\0"]], "holds a NUL character"),
    ],
)
def test_spans_that_cannot_be_used(spans, problem):
    assert refused({"text": "Ada met Bo", "entities": spans}) == ("entities", problem)


def test_what_is_doubtful_is_kept_and_said():
    spans = [[0, 7, "A"], [4, 10, "B"], [5, 6, "C"], [0, 4, "D"]]
    result = read([ADA, {"text": "Ada met Bo", "label": [], "entities": spans}])
    assert len(result.rows[1].entities) == 4
    said = [(remark.line, remark.kind, remark.problem.partition(":")[0]) for remark in result.remarks]
    assert said == [
        (2, "blank edge", "'D' 'Ada ' begins or ends with white space"),
        (2, "overlap", "'D' 'Ada ' overlaps 'A' 'Ada met'"),
        (2, "overlap", "'B' 'met Bo' overlaps 'A' 'Ada met'"),
        (2, "overlap", "'C' 'e' overlaps 'B' 'met Bo'"),
    ]


def test_bad_tags_of_records_are_remarked_with_their_row():
    good = {"tokens": ["Ada", "May"], "tags": ["B-PER", "I-PER"]}
    result = read([good] * 3 + [{"tokens": ["in", "York"], "tags": ["O", "I-LOC"]}])
    assert [(remark.line, remark.kind, remark.fix) for remark in result.remarks] == [(4, "bad tag", "write B-LOC")]
    problem = "'I-LOC' of token 2, 'York', follows 'O': taken as the beginning of an entity"
    assert result.remarks[0].problem == problem
    assert found(result.rows[3]) == [("York", "LOC")]


def test_rejected_rows_leave_no_remark():
    assert read([ADA, {"text": "a b", "entities": [[0, 2, "A"]], "words": [[0, 3, 4]]}], SKIP).remarks == ()


def test_one_error_names_both_layouts():
    for records, what in (
        ([{"id": "x1", "body": 5}] * 9, "has neither a text nor tokens; columns: 'id', 'body'"),
        ([{"text": "Ada", "other": 5}] * 9, "has neither spans nor tags; columns: 'text', 'other'"),
        ([{"tokens": ["Ada"]}] * 9, "has neither spans nor tags; columns: 'tokens'"),
    ):
        with pytest.raises(DataError) as caught:
            read(records)
        assert what in caught.value.message
        assert '{"text": "Ada met Bo", "entities": [{"start": 0' in (caught.value.fix or "")
        assert '{"tokens": ["Ada", "met", "Bo"], "tags": ["B-PER"' in (caught.value.fix or "")


def test_columns_with_other_names_are_guessed():
    records = [{"id": "x1", "body": "Ada met Bo", "annotations": [[0, 3, "PER"]]}] * 2
    result = read(records)
    assert (result.guessed_fields, found(result.rows[0])) == (("text", "entities"), [("Ada", "PER")])


def test_tags_of_another_kind_are_no_hindrance_to_predicting():
    for tags in (["NNP", "VBZ"], [1, 0], [None, None], ["B-PER", None], None):
        records = [{"tokens": ["Ada", "ruht"], "labels": tags}, {"tokens": ["x"]}]
        assert [(row.text, row.entities) for row in read(records, PREDICT).rows] == [("Ada ruht", None), ("x", None)]


def test_labels_of_another_task_are_no_hindrance_to_predicting():
    records = [{"text": "Ada met Bo", "label": "positive"}] * 2
    assert [row.text for row in read(records, PREDICT).rows] == ["Ada met Bo"] * 2
    with pytest.raises(DataError, match="is a text, wanted a list of spans"):
        read(records)
    assert [row.text for row in read(["Ada", "Bo"], PREDICT).rows] == ["Ada", "Bo"]


def test_csv_is_for_predicting_only(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text,entities\n1,Ada met Bo,x\n2,Bo,\n")
    with pytest.raises(DataError, match="cannot hold spans") as caught:
        read(path)
    assert "JSON lines such as" in (caught.value.fix or "")
    for options in (PREDICT, ReadOptions(labels_required=False, mapping={"text": "text", "entities": "entities"})):
        result = read(path, options)
        assert [(row.text, row.entities) for row in result.rows] == [("Ada met Bo", None), ("Bo", None)]
        assert (result.columns, result.mapping) == (["id", "text", "entities"], {"text": "text"})
