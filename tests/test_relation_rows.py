"""Relation extraction: where the two entities stand, whatever way the file says it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.relations import ROWS
from tunesmith import data
from tunesmith.errors import DataError
from tunesmith.tasks.relation_extraction import RelationExtraction
from tunesmith.tasks.relation_rows import RelationRow, locate


@pytest.mark.parametrize(
    ("given", "head", "tail"),
    [
        ({"text": "a cat and a cat", "head": "cat", "tail": "cat"}, (2, 5), (12, 15)),
        ({"text": "New York City is in New York", "head": "New York City", "tail": "New York"}, (0, 13), (20, 28)),
        ({"text": "Ada met Bo", "head": " Bo ", "tail": "Ada"}, (8, 10), (0, 3)),
        ({"text": "Ada met Bo", "head_span": [0, 3], "tail_span": "[8, 10]"}, (0, 3), (8, 10)),
        ({"text": "cat cat cat", "head": "cat", "tail": "cat", "tail_span": [0, 3]}, (4, 7), (0, 3)),
        ({"text": "<e2>Bo</e2> was met by <e1>Ada</e1>."}, (14, 17), (0, 2)),
        ({"text": "与###论###书", "head": "戴东原", "tail": "李源澄"}, (1, 4), (5, 8)),
        ({"text": "##的师父是###。", "head": "鬼谷子", "tail": "卫庄"}, (6, 9), (0, 2)),
        ({"text": "请######来", "head": "刘国桢", "tail": "梅秀英"}, (1, 4), (4, 7)),
        ({"text": "看##的祖父弗拉德·##内", "head": "普京", "tail": "弗拉德·普京内"}, (1, 3), (6, 13)),
        ({"text": "<e1>暴雨</e1>引发<e2>洪水</e2>"}, (0, 2), (4, 6)),
        ({"text": "李四光和李四是同学", "head": "李四光", "tail": "李四"}, (0, 3), (4, 6)),
        ({"text": "李四光和李四是同学", "head": "李四", "tail": "李四光"}, (4, 6), (0, 3)),
        ({"text": "New York Times, in New York", "head": "New York", "tail": "New York Times"}, (19, 27), (0, 14)),
        ({"text": "the Times in New York: Times", "head": "Times", "tail": "New York"}, (4, 9), (13, 21)),
        ({"text": "上海大学在上海，上海大学", "head": "上海", "tail": "上海大学"}, (5, 7), (0, 4)),
        ({"text": "abcd abc", "head": "abc", "tail": "cd"}, (5, 8), (2, 4)),
        ({"text": "###与##同行", "head": "李四", "tail": "李四光"}, (4, 6), (0, 3)),
        ({"text": "<e1>Ada</e1> met <e2>Bo</e2>", "head": " Ada", "tail": "Bo"}, (0, 3), (8, 10)),
        ({"text": "<e1>###</e1> met <e2>Bo</e2>", "head": "Ada"}, (0, 3), (8, 10)),
    ],
)
def test_entities_are_found_however_the_row_tells_them(given: dict[str, Any], head: Any, tail: Any) -> None:
    row = RelationRow.model_validate(given)
    assert row.places == (head, tail)
    assert row.head
    assert row.tail
    assert "<e" not in row.text
    assert RelationRow.model_validate(row.model_dump()) == row


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": "Ada met Bo", "head": "Eve", "tail": "Bo"}, "head 'Eve' does not stand in the text"),
        (
            {"text": "Ada met Bo", "head": "Ada", "tail": "Ad"},
            "tail 'Ad' stands in the text only where it overlaps",
        ),
        ({"text": "Ada met Bo", "head": "Ada"}, "tail is missing"),
        ({"text": "Ada met Bo", "head_span": [0, 3], "tail_span": [2, 5]}, "overlap"),
        ({"text": "Ada met Bo", "head_span": [0, 99], "tail_span": [4, 7]}, "does not lie in the text of 10"),
        ({"text": "Ada met Bo", "head_span": "first", "tail_span": [4, 7]}, "write [start, end]"),
        ({"text": "Ada met Bo", "head": "Bo", "head_span": [0, 3], "tail": "met"}, "at head_span stands 'Ada'"),
        ({"text": "<e1>Ada</e1> met Bo"}, "wanted <e1>…</e1> and <e2>…</e2> once each"),
        ({"text": "met Ada", "head": "Ad", "tail": "Ada"}, "head 'Ad' stands in the text only where it overlaps"),
        ({"text": "<e1>Ada</e1> met <e2>Bo</e2>", "head": "Zed"}, "head is 'Zed', but the markers are around 'Ada'"),
        ({"text": "<e1>Ada</e1> met <e2>Bo</e2>", "tail": "Ada"}, "tail is 'Ada', but the markers are around 'Bo'"),
        ({"text": "<e1></e1> met <e2>Bo</e2>"}, "holds no character"),
        ({"text": "<e1>Ada</e1> <e2>Bo</e2>", "head_span": [0, 3]}, "give one of them"),
        ({"text": "## 标题", "head": "卫庄子", "tail": "标题"}, "head '卫庄子' does not stand in the text"),
    ],
)
def test_a_row_that_does_not_tell_its_entities_is_bad(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{**ROWS[0]}, {**given, "label": "Other"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        data.read_rows(str(path), RelationRow, RelationExtraction.columns)
    assert "rows.jsonl, line 2" in str(caught.value)
    assert said in str(caught.value)


def test_a_table_with_offsets_and_other_names_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('sentence,subject,object,head_span,relation\nAda met Ada and Bo,Ada,Bo,"8,11",knows\n')
    read = data.read_rows(str(path), RelationRow, RelationExtraction.columns)
    assert read.rows[0].places == ((8, 11), (16, 18))
    assert read.mapping["label"] == "relation"


@pytest.mark.parametrize(("head", "tail"), [("a" * 30_000, "a" * 30_001), ("a" * 30_001, "a" * 30_000)])
def test_long_strings_that_overlap_everywhere_are_refused_at_once(head: str, tail: str) -> None:
    with pytest.raises(ValueError, match="only where it overlaps"):
        locate({"text": "a" * 50_000, "head": head, "tail": tail})
