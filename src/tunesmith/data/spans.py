"""Spans of a text as files hold them: objects or lists, under the names that labelling tools write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.data.options import Unfit
from tunesmith.data.rejects import shorten

Span = dict[str, Any]
"""`start`, `end` (characters, the end not in it) and `label`."""

Oddity = tuple[str, str, str]
"""Kind, problem and fix of what is doubtful, as `Remark` has them."""

STARTS = ("start", "start_offset")
ENDS = ("end", "end_offset")
LABELS = ("label", "type", "entity", "entity_group", "class")
SPAN_FIX = 'write {"start": 0, "end": 3, "label": "PER"} or [0, 3, "PER"]'
BOUNDS_FIX = "count characters from 0; the end is behind the last one"


def read_spans(cell: Any) -> list[Span] | None:
    """Bring the spans of a row into one form.

    Args:
        cell: a list of objects or of [start, end, label]; None where the row has no answer.

    Raises:
        Unfit: it is something else.

    Example:
        >>> read_spans([[0, 3, "PER"], {"start_offset": 8, "end_offset": 10, "type": "PER", "id": 7}])
        [{'start': 0, 'end': 3, 'label': 'PER'}, {'start': 8, 'end': 10, 'label': 'PER'}]
    """
    cell = _plain(cell)
    if cell is None or (isinstance(cell, float) and cell != cell):
        return None
    if not isinstance(cell, (list, tuple)):
        raise Unfit(f"is {_kind(cell)}, wanted a list of spans", f"for each span {SPAN_FIX}; [] where there is none")
    return [_read_span(span, number) for number, span in enumerate(cell, start=1)]


def _kind(cell: Any) -> str:
    kinds = {str: "a text", bool: "true or false", int: "a number", float: "a number", dict: "an object"}
    return kinds.get(type(cell), f"a {type(cell).__name__}")


def _read_span(span: Any, number: int) -> Span:
    if hasattr(span, "model_dump"):
        span = span.model_dump()
    found: Sequence[Any]
    if isinstance(span, dict) and span.keys() == {"start", "end", "label"}:  # the usual case
        found = span["start"], span["end"], span["label"]
    elif isinstance(span, Mapping):
        found = [next((span[key] for key in keys if key in span), None) for keys in (STARTS, ENDS, LABELS)]
    elif isinstance(span, (list, tuple)) and len(span) == 3:
        found = span
    else:
        raise Unfit(f"span {number} is no span: {shorten(span)}", SPAN_FIX)
    start, end, label = map(_plain, found)
    if type(start) is not int or type(end) is not int:
        raise Unfit(f"span {number} has bounds that are no whole numbers: {shorten([start, end])}", BOUNDS_FIX)
    if not isinstance(label, str) or not label.strip():
        what = "has no label" if label is None or label == "" else f"has a label that is no text: {shorten(label)}"
        raise Unfit(f"span {number} {what}", SPAN_FIX)
    return {"start": start, "end": end, "label": label}


def _plain(value: Any) -> Any:
    return value.tolist() if type(value).__module__ == "numpy" and hasattr(value, "tolist") else value


def check_spans(text: str, spans: Sequence[Span]) -> list[Oddity]:
    """Hold spans against their text.

    Returns:
        What can be kept but is doubtful: spans that overlap, and white space at an edge.

    Raises:
        Unfit: a span begins before 0, ends behind the text, or holds no character.

    Example:
        >>> [kind for kind, _, _ in check_spans("Ada met", [{"start": 0, "end": 4, "label": "PER"}])]
        ['blank edge']
    """
    odd: list[Oddity] = []
    for number, span in enumerate(spans, start=1):
        start, end = span["start"], span["end"]
        if start >= end:
            raise Unfit(f"span {number} starts at {start} and ends at {end}: it holds no character", BOUNDS_FIX)
        if start < 0 or end > len(text):
            problem = f"span {number}, {start} to {end}, lies outside of the text of {len(text):,} characters"
            raise Unfit(problem, BOUNDS_FIX)
        if text[start].isspace() or text[end - 1].isspace():
            problem = f"{_show(text, span)} begins or ends with white space: taken as it is"
            odd.append(("blank edge", problem, "leave the white space out of the span"))
    return odd + _find_overlaps(text, spans) if len(spans) > 1 else odd


def _find_overlaps(text: str, spans: Sequence[Span]) -> list[Oddity]:
    """Each span that begins before an earlier one ends."""
    odd: list[Oddity] = []
    ordered = sorted(spans, key=lambda span: (span["start"], -span["end"]))
    widest = ordered[0]
    for span in ordered[1:]:
        if span["start"] < widest["end"]:
            problem = f"{_show(text, span)} overlaps {_show(text, widest)}: a model can learn only one of them"
            odd.append(("overlap", problem, "keep the one that matters"))
        if span["end"] > widest["end"]:
            widest = span
    return odd


def _show(text: str, span: Span) -> str:
    return f"{shorten(span['label'])} {shorten(text[span['start'] : span['end']])}"


def check_words(text: str, words: Any) -> list[Oddity]:
    """Hold the bounds of words against their text; that they are pairs of numbers, the schema checks.

    Raises:
        Unfit: they do not lie in it one after the other.
    """
    if not isinstance(words, (list, tuple)) or not all(map(_is_pair, words)):
        return []
    behind = 0
    for number, (start, end) in enumerate(words, start=1):
        if not behind <= start < end <= len(text):
            fix = "give [start, end] of each word in characters from 0, in the order of the text"
            raise Unfit(f"word {number}, {start} to {end}, is empty, out of the text or out of order", fix)
        behind = end
    return []


def _is_pair(word: Any) -> bool:
    return isinstance(word, (list, tuple)) and len(word) == 2 and type(word[0]) is int and type(word[1]) is int
