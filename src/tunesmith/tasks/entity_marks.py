"""Given entities beside the right ones: what is right, missed, spurious, or of a wrong type."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.contracts import Comparison, Mark
from tunesmith.tasks.token_rows import FoundEntity
from tunesmith.tasks.words import Span


def compare_entities(given: Sequence[FoundEntity], right: Sequence[Span]) -> Comparison:
    """Compare by bounds and type, strictly.

    Args:
        given: entities of the answer.
        right: the right ones.

    Returns:
        `error` counts what is missed, spurious or of a wrong type; `confidence` is that of the surest wrong entity.

    Example:
        >>> found = compare_entities([FoundEntity(start=0, end=4, label="PER")], [(0, 4, "LOC"), (8, 9, "PER")])
        >>> [(mark.kind, mark.label, mark.given) for mark in found.marks]
        [('wrong_type', 'LOC', 'PER'), ('missed', 'PER', '')]
    """
    asked, answered = set(right), {(one.start, one.end, one.label) for one in given}
    marks = [Mark(*span, "right") for span in asked & answered]
    missed, extra = sorted(asked - answered), sorted(answered - asked)
    for start, end, label in missed:
        other = next((span for span in extra if span[:2] == (start, end)), None)
        if other is None:
            marks.append(Mark(start, end, label, "missed"))
        else:
            extra.remove(other)
            marks.append(Mark(start, end, label, "wrong_type", other[2]))
    marks += [Mark(*span, "spurious") for span in extra]
    wrong = [one.probability for one in given if (one.start, one.end, one.label) not in asked and one.probability]
    return Comparison(
        error=float(sum(mark.kind != "right" for mark in marks)),
        confidence=max(wrong, default=None),
        given=tuple(one.label for one in given),
        right=tuple(label for _, _, label in right),
        marks=tuple(sorted(marks, key=lambda mark: (mark.start, mark.end, mark.kind))),
    )
