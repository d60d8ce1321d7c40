"""Which column is which field: by the user, by name, by content; and what is said when none fits."""

from __future__ import annotations

import pytest

from tunesmith.contracts import Column
from tunesmith.data import ColumnMap, ReadOptions, resolve_columns
from tunesmith.errors import DataError

TEXT = Column("text", "text", ("text_a", "sentence", "content", "review", "title", "question", "文本", "内容"))
TEXT_B = Column("text_b", "text", ("sentence2", "answer", "hypothesis"), required=False)
LABEL = Column("label", "label", ("labels", "class", "category", "标签"))
COLUMNS = (TEXT, TEXT_B, LABEL)
PREDICT = ReadOptions(labels_required=False)

Table = dict[str, list[object]]


def resolve(table: Table, options: ReadOptions | None = None, columns: tuple[Column, ...] = COLUMNS) -> ColumnMap:
    names = list(table)
    sample = [dict(zip(names, row, strict=True)) for row in zip(*table.values(), strict=True)]
    return resolve_columns(names, sample, columns, options or ReadOptions(), "data.csv")


def held(*names: str) -> Table:
    return {name: ["some words", "more words", "some words"] for name in names}


@pytest.mark.parametrize(
    ("names", "mapping"),
    [
        (["label", "text"], {"text": "text", "label": "label"}),
        ([" Text ", "LABEL"], {"text": " Text ", "label": "LABEL"}),
        (["Text_A", "text-b", "Class"], {"text": "Text_A", "text_b": "text-b", "label": "Class"}),
        (["title", "content", "labels"], {"text": "content", "label": "labels"}),
        (
            ["question", "Answer", "class", "label"],
            {"text": "question", "text_b": "Answer", "label": "label"},
        ),
        (["sentence 2", "sentence", "label"], {"text": "sentence", "text_b": "sentence 2", "label": "label"}),
        (["内容", "标签"], {"text": "内容", "label": "标签"}),
        (["Label", "label", "text"], {"text": "text", "label": "Label"}),
    ],
)
def test_by_name(names, mapping):
    assert resolve(held(*names)) == ColumnMap(mapping, ())


def test_the_user_wins_and_may_write_the_name_loosely():
    found = resolve(
        held("text", "Body Text", "label", "topic"),
        ReadOptions(mapping={"text": "body_text", "label": "topic"}),
    )
    assert found == ColumnMap({"text": "Body Text", "label": "topic"}, ())


MESSAGES = [
    "the parcel came late again",
    "lovely, thank you so much",
    "no answer for a week now",
    "all fine here",
]


@pytest.mark.parametrize(
    ("table", "mapping"),
    [
        (
            {"id": ["1", "2", "3", "4"], "msg": MESSAGES, "mood": ["bad", "good", "bad", "good"]},
            ("msg", "mood"),
        ),
        ({"n": [1, 2, 3, 4], "kind": [0, 1, 0, 1], "msg": MESSAGES}, ("msg", "kind")),
        (
            {
                "msg": ["很好", "太差了", "还行", "一般"],
                "编号": ["9", "8", "7", "6"],
                "情感": ["正", "负", "中", "中"],
            },
            ("msg", "情感"),
        ),
        (
            {
                "url": ["https://example.org/" + "x" * 60 + str(i) for i in range(4)],
                "msg": MESSAGES,
                "k": list("abab"),
            },
            ("msg", "k"),
        ),
        (
            {
                "when": ["2026-01-01 10:00:00.000000"] * 4,
                "msg": ["a b", "c d", "e f", "g h"],
                "k": list("abab"),
            },
            ("msg", "k"),
        ),
        ({"msg": MESSAGES, "tags": [["a"], ["b"], ["a"], []]}, ("msg", "tags")),
        ({"msg": MESSAGES, "constant": ["x"] * 4, "k": ["a", None, "b", "a"]}, ("msg", "k")),
        ({"msg": MESSAGES, "stars": [1, 2, 1, 2], "mood": list("abab")}, ("msg", "mood")),
    ],
)
def test_by_content(table, mapping):
    assert resolve(table) == ColumnMap(dict(zip(("text", "label"), mapping, strict=True)), ("text", "label"))


def test_an_index_is_never_the_label():
    with pytest.raises(DataError, match="no column that looks like the label; columns: 'id', 'msg'") as caught:
        resolve({"id": list(range(4)), "msg": MESSAGES})
    assert caught.value.fix == "name it: --set data.columns.label=NAME"


def test_two_candidates_are_not_a_guess():
    with pytest.raises(DataError, match="several columns that could be the label: 'lang', 'main mood'") as caught:
        resolve({"msg": MESSAGES, "lang": list("aabb"), "main mood": list("abab")})
    assert caught.value.fix == "name the right one: --set data.columns.label=lang"


def test_no_text_names_the_option():
    with pytest.raises(DataError, match="no column that looks like the text; columns: 'n', 'label'") as caught:
        resolve({"n": ["1", "2"], "label": ["a", "b"]})
    assert caught.value.fix == "name it: --set data.columns.text=NAME"


def test_labels_are_not_guessed_when_only_predicting():
    assert resolve({"msg": MESSAGES, "k": list("abab")}, PREDICT).mapping == {"text": "msg"}
    assert resolve({"msg": MESSAGES, "class": list("abab")}, PREDICT).mapping == {
        "text": "msg",
        "label": "class",
    }


def test_a_pair_is_found_by_names_only():
    pair = (TEXT, Column("text_b", "text", ("answer",)), LABEL)
    assert resolve(held("question", "answer", "label"), columns=pair).mapping["text_b"] == "answer"
    with pytest.raises(DataError, match="looks like the text;"):
        resolve({"one": MESSAGES, "two": MESSAGES, "label": list("abab")}, columns=pair)


@pytest.mark.parametrize(
    ("mapping", "message", "fix"),
    [
        (
            {"text": "Bodi"},
            r"data.csv has no column 'Bodi' \(data.columns.text\); columns: 'Body', 'label'",
            "did you mean 'Body'?",
        ),
        ({"txt": "Body"}, "data.columns.txt is no field of this task", "did you mean 'text'?"),
    ],
)
def test_a_wrong_mapping_names_the_nearest(mapping, message, fix):
    with pytest.raises(DataError, match=message) as caught:
        resolve(held("Body", "label"), ReadOptions(mapping=mapping))
    assert caught.value.fix == fix
