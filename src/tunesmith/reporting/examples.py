"""The surest mistakes: texts with what was asked and what was given, marked where answers stand in the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.contracts import Comparison, Mark
from tunesmith.reporting.material import JudgedRows

MOST_EXAMPLES = 20
MOST_CHARACTERS = 400
"""Of each text; longer ones are cut around the first mistake."""
_BEFORE = 120
"""Characters shown before the first mistake of a long text."""
_WRONG = ("missed", "spurious", "wrong_type")


@dataclass(frozen=True)
class Segment:
    """A piece of a text, marked or not (kind ""); see `contracts.Mark`."""

    text: str
    kind: str = ""
    label: str = ""
    given: str = ""


@dataclass(frozen=True)
class Line:
    """One showing of a text.

    Attributes:
        title: "" for a text by itself; "right" or "given" where answers overlap, so that each is shown alone.
        segments: the text, in order.
        is_cut: whether some of it is left out.
    """

    title: str
    segments: tuple[Segment, ...]
    is_cut: bool


@dataclass(frozen=True)
class Example:
    """A wrongly answered row."""

    lines: tuple[Line, ...]
    comparison: Comparison


def find_mistakes(judged: JudgedRows) -> tuple[list[Example], int]:
    """Return the examples, surest first (of numbers: the farthest), and how many rows were answered wrongly."""
    wrong = [(place, one) for place, one in enumerate(judged.comparisons) if one.error > 0]
    wrong.sort(key=lambda pair: (-(pair[1].confidence or 0.0), -pair[1].error, pair[0]))
    shown = wrong[:MOST_EXAMPLES]
    return [Example(_lines(judged.task.texts(judged.rows[place]), one), one) for place, one in shown], len(wrong)


def _lines(texts: Sequence[str], comparison: Comparison) -> tuple[Line, ...]:
    if not comparison.marks:
        return tuple(Line("", (Segment(text[:MOST_CHARACTERS]),), is_cut=len(text) > MOST_CHARACTERS) for text in texts)
    text = texts[comparison.marked_text]
    others = [
        Line("", (Segment(other[:MOST_CHARACTERS]),), is_cut=len(other) > MOST_CHARACTERS)
        for other in texts[: comparison.marked_text]
    ]
    start = _window_start(text, comparison.marks)
    if not _overlap(comparison.marks):
        return (*others, _marked("", text, comparison.marks, start))
    right = [mark for mark in comparison.marks if mark.kind != "spurious"]
    given = [mark for mark in comparison.marks if mark.kind != "missed"]
    shown = (("right", right), ("given", given))
    return (*others, *(_marked(title, text, _apart(marks), start) for title, marks in shown))


def _window_start(text: str, marks: Sequence[Mark]) -> int:
    if len(text) <= MOST_CHARACTERS:
        return 0
    first = min((mark.start for mark in marks if mark.kind in _WRONG), default=0)
    return max(0, min(first - _BEFORE, len(text) - MOST_CHARACTERS))


def _overlap(marks: Sequence[Mark]) -> bool:
    return len(_apart(marks)) < len(marks)


def _apart(marks: Sequence[Mark]) -> list[Mark]:
    """Marks that do not overlap: of two that do, the first stays."""
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda mark: (mark.start, -mark.end)):
        if not kept or mark.start >= kept[-1].end:
            kept.append(mark)
    return kept


def _marked(title: str, text: str, marks: Sequence[Mark], start: int) -> Line:
    end = min(len(text), start + MOST_CHARACTERS)
    segments: list[Segment] = []
    behind = start
    for mark in sorted(marks, key=lambda mark: mark.start):
        first, last = max(mark.start, start), min(mark.end, end)
        if first >= last:
            continue
        segments.append(Segment(text[behind:first]))
        segments.append(Segment(text[first:last], mark.kind, mark.label, mark.given))
        behind = last
    segments.append(Segment(text[behind:end]))
    is_cut = start > 0 or end < len(text)
    return Line(title, tuple(segment for segment in segments if segment.text), is_cut)
