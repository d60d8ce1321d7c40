"""Rows of relation extraction: where the two entities stand in the text, whatever way the file says it.

Four ways: offsets; strings, whose first place counts; strings that the text masks (`###` for a name of three
characters); and markers in the text, `<e1>…</e1>` and `<e2>…</e2>`. A row always ends up with offsets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tunesmith.contracts import Column
from tunesmith.data.rejects import shorten

Place = tuple[int, int]
"""First character and the one behind the last."""

MASKS = "#＃*＊"
"""Characters that stand for a hidden one."""
INLINE = re.compile(r"</?e[12]>")
SPAN = re.compile(r"\D*(\d+)\D+(\d+)\D*")
SPAN_FIX = "write [start, end] in characters from 0, the end behind the last one"

COLUMNS = (
    Column("text", "text", ("text", "sentence", "content", "文本", "句子", "内容")),
    Column("head", "text", ("head", "subject", "subj", "e1", "entity1", "头实体", "主体"), required=False),
    Column("tail", "text", ("tail", "object", "obj", "e2", "entity2", "尾实体", "客体"), required=False),
    Column("head_span", "text", ("head_span", "head_offsets", "e1_span"), required=False),
    Column("tail_span", "text", ("tail_span", "tail_offsets", "e2_span"), required=False),
    Column("label", "label", ("relation", "label", "relation_type", "predicate", "关系", "标签")),
)


class RelationRow(BaseModel):
    """A text with two entities, and the relation between them where it is known.

    Attributes:
        text: the text, without inline markers.
        head: the first entity; where the text masks it, its name.
        tail: the second entity likewise.
        head_span: where the head stands in the text; always there once the row is made.
        tail_span: where the tail stands.
        label: name of the relation, its direction included.
    """

    model_config = ConfigDict(frozen=True)
    text: str = Field(min_length=1)
    head: str | None = None
    tail: str | None = None
    head_span: tuple[int, int] | None = None
    tail_span: tuple[int, int] | None = None
    label: str | bool | int | float | None = None

    @model_validator(mode="before")
    @classmethod
    def _locate(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or not isinstance(given.get("text"), str):
            return given  # the schema says what is wrong
        return {**given, **locate(given)}

    @property
    def places(self) -> tuple[Place, Place]:
        """Where head and tail stand."""
        assert self.head_span is not None
        assert self.tail_span is not None
        return self.head_span, self.tail_span


def locate(row: Mapping[str, Any]) -> dict[str, Any]:
    """Find the two entities of a row.

    Args:
        row: text, and what else is known of head, tail, head_span and tail_span.

    Returns:
        text, head, tail, head_span and tail_span.

    Raises:
        ValueError: an entity is not told, does not stand in the text, or overlaps the other one.

    Example:
        >>> locate({"text": "Ada met Bo", "head": "Bo", "tail": "Ada"})["head_span"]
        (8, 10)
        >>> found = locate({"text": "<e1>Ada</e1> met <e2>Bo</e2>"})
        >>> found["text"], found["tail"], found["tail_span"]
        ('Ada met Bo', 'Bo', (8, 10))
        >>> locate({"text": "##是###的学生", "head": "李想", "tail": "王小明"})["tail_span"]
        (3, 6)
        >>> locate({"text": "李四光和李四是同学", "head": "李四", "tail": "李四光"})["head_span"]
        (4, 6)
    """
    text, spans = _inline(row["text"])
    if spans and (row.get("head_span") is not None or row.get("tail_span") is not None):
        raise ValueError("the text has markers such as <e1>, and offsets came too; give one of them")
    head_span = _marked(text, "head", row, spans.get("e1")) or _told(text, "head", row)
    tail_span = _marked(text, "tail", row, spans.get("e2")) or _told(text, "tail", row)
    if head_span is None and tail_span is None:
        head_span, tail_span = _find_both(text, row)
    head_span = head_span or _find(text, "head", row, taken=tail_span)
    tail_span = tail_span or _find(text, "tail", row, taken=head_span)
    if _overlap(head_span, tail_span):
        raise ValueError(f"head {head_span} and tail {tail_span} overlap, wanted two entities that stand apart")
    names = {name: row.get(name) or text[slice(*span)] for name, span in (("head", head_span), ("tail", tail_span))}
    return {"text": text, **names, "head_span": head_span, "tail_span": tail_span}


def _inline(text: str) -> tuple[str, dict[str, Place]]:
    """The text without its markers, and what stood between them; {} where there are none."""
    found = INLINE.findall(text)
    if not found:
        return text, {}
    if sorted(found) != ["</e1>", "</e2>", "<e1>", "<e2>"]:
        raise ValueError(f"the text has the markers {' '.join(found)}, wanted <e1>…</e1> and <e2>…</e2> once each")
    plain, places = "", {}
    for piece in re.split(f"({INLINE.pattern})", text):
        if INLINE.fullmatch(piece):
            places[piece] = len(plain)
        else:
            plain += piece
    spans = {name: (places[f"<{name}>"], places[f"</{name}>"]) for name in ("e1", "e2")}
    for name, (start, end) in spans.items():
        if start >= end:
            raise ValueError(f"<{name}>…</{name}> holds no character")
    return plain, spans


def _marked(text: str, name: str, row: Mapping[str, Any], span: Place | None) -> Place | None:
    """The span between markers, held against the string; None where there are none."""
    if span is not None and not _agree(row.get(name), text[slice(*span)]):
        there = shorten(text[slice(*span)])
        raise ValueError(f"{name} is {shorten(row[name])}, but the markers are around {there}; give one of them")
    return span


def _agree(string: Any, there: str) -> bool:
    """Whether a string can be what stands in the text; a mask may hide any name, no string says nothing."""
    told = isinstance(string, str) and string.strip() != ""
    return not told or string.strip() == there.strip() or any(character in MASKS for character in there)


def _told(text: str, name: str, row: Mapping[str, Any]) -> Place | None:
    """The span that the row gives, held against the text and the string."""
    given = row.get(f"{name}_span")
    if given is None:
        return None
    start, end = _bounds(given, name)
    if not 0 <= start < end <= len(text):
        raise ValueError(f"{name}_span {start} to {end} does not lie in the text of {len(text):,} characters")
    if not _agree(row.get(name), text[start:end]):
        raise ValueError(f"{name} is {shorten(row[name])}, but at {name}_span stands {shorten(text[start:end])}")
    return start, end


def _bounds(given: Any, name: str) -> Place:
    if isinstance(given, str) and (match := SPAN.fullmatch(given)):  # as CSV has it
        return int(match[1]), int(match[2])
    if isinstance(given, (list, tuple)) and len(given) == 2 and all(type(bound) is int for bound in given):
        return given[0], given[1]
    raise ValueError(f"{name}_span is {shorten(given)}: {SPAN_FIX}")


def _find(text: str, name: str, row: Mapping[str, Any], taken: Place | None) -> Place:
    """The first place of a string that the other entity leaves free."""
    for span in _places(text, name, row):
        if taken is None or not _overlap(span, taken):
            return span
    raise ValueError(_no_room(name, row))


def _find_both(text: str, row: Mapping[str, Any]) -> tuple[Place, Place]:
    """The first places of head and tail that stand apart.

    The head is placed first, unless its string is a part of the tail's: "New York" stands in "New York Times", too.
    """
    places = {name: _places(text, name, row) for name in ("head", "tail")}
    head, tail = row["head"].strip(), row["tail"].strip()
    first, second = ("tail", "head") if head in tail and head != tail else ("head", "tail")
    earliest_end, latest_start = min(end for _, end in places[second]), max(start for start, _ in places[second])
    for span in places[first]:
        if earliest_end <= span[0] or span[1] <= latest_start:
            other = next(place for place in places[second] if not _overlap(place, span))
            return (span, other) if first == "head" else (other, span)
    raise ValueError(_no_room(second, row))


def _no_room(name: str, row: Mapping[str, Any]) -> str:
    return f"{name} {shorten(row[name])} stands in the text only where it overlaps the other entity"


def _places(text: str, name: str, row: Mapping[str, Any]) -> list[Place]:
    """Where a string stands in the text as it is, then where it stands masked; at least one place.

    Raises:
        ValueError: the row has no such string, or it stands nowhere.
    """
    given = row.get(name)
    string = given.strip() if isinstance(given, str) else ""
    if not string:
        raise ValueError(f"{name} is missing: give head and tail, or mark them in the text with <e1>…</e1> <e2>…</e2>")
    places = [*_plain_places(string, text), *_masked_places(string, text)]
    if not places:
        raise ValueError(f"{name} {shorten(string)} does not stand in the text")
    return places


def _plain_places(string: str, text: str) -> Iterator[Place]:
    start = text.find(string)
    while start >= 0:
        yield start, start + len(string)
        start = text.find(string, start + 1)


def _masked_places(string: str, text: str) -> Iterator[Place]:
    """Where a string stands with some or all of its characters masked; first places that no further mask touches."""
    length = len(string)
    masks = {place for place, character in enumerate(text) if character in MASKS}
    near = sorted({start for mask in masks for start in range(max(0, mask - length + 1), mask + 1)})
    fitting = [start for start in near if _fits(string, text[start : start + length])]
    alone = [start for start in fitting if start - 1 not in masks and start + length not in masks]
    for start in (*alone, *fitting):
        yield start, start + length


def _fits(string: str, masked: str) -> bool:
    pairs = zip(masked, string, strict=False)
    return len(masked) == len(string) and all(one in MASKS or one == other for one, other in pairs)


def _overlap(one: Place, other: Place) -> bool:
    return one[0] < other[1] and other[0] < one[1]
