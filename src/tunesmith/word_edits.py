"""Texts changed word by word, with places in them that stay whole and move along.

Words are runs of letters and digits; of scripts without blanks, such as Chinese, single characters. What touches a
kept place is never changed. Ways (Wei and Zou 2019): deletion leaves words out, swap exchanges words; two characters
are exchanged with each other only where they stand side by side, since far apart they make other words of all four
around them, while a text with neighbours exchanged can still be read.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tunesmith.contracts import Editable, Place

ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Characters of scripts written without blanks."""
_WORD = re.compile(f"[{ALONE}]|(?:(?![{ALONE}])[^\\W_])+(?:['’](?:(?![{ALONE}])[^\\W_])+)*")
_SINGLE = re.compile(f"[{ALONE}]")


@dataclass(frozen=True)
class Edit:
    """Characters start to end of a text become others."""

    start: int
    end: int
    text: str


Way = Callable[[Editable, int, random.Random], list[Edit]]
"""A text, how many words are changed, and where chance comes from → edits that touch neither each other nor what is
kept; [] where nothing can be done."""


def free_words(of: Editable) -> list[Place]:
    """The words that may be changed, in order.

    Example:
        >>> free_words(Editable("text", "Ada isn't here in 巴黎", kept=((0, 3), (18, 20))))
        [(4, 9), (10, 14), (15, 17)]
    """
    found = of.words if of.words is not None else [match.span() for match in _WORD.finditer(of.text)]
    words = [place for place in found if any(map(str.isalnum, of.text[slice(*place)]))]
    return [place for place in words if not any(_meet(place, kept) for kept in of.kept)]


def _meet(one: Place, other: Place) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def count_of(words: int, share: float) -> int:
    """How many of so many words are changed: their share, at least one."""
    return max(1, round(words * share))


def delete_words(of: Editable, count: int, chance: random.Random) -> list[Edit]:
    """Leave words out, each with the blank behind it, or in front where there is none; one word stays.

    Example:
        >>> text = Editable("text", "a fine day")
        >>> apply_edits(text, delete_words(text, 1, random.Random(1))).text
        'fine day'
    """
    words = free_words(of)
    most = len(words) if of.kept else len(words) - 1
    chosen = sorted(chance.sample(words, min(count, max(0, most))))
    taken: list[Edit] = []
    for start, end in chosen:
        blank_behind = of.text[end : end + 1].isspace() and not _is_kept(of, end)
        blank_before = start > 0 and of.text[start - 1].isspace() and not _is_kept(of, start - 1)
        first = start - 1 if blank_before and not blank_behind and not (taken and taken[-1].end >= start) else start
        taken.append(Edit(first, end + 1 if blank_behind else end, ""))
    return taken


def _is_kept(of: Editable, place: int) -> bool:
    return any(start <= place < end for start, end in of.kept)


def swap_words(of: Editable, count: int, chance: random.Random) -> list[Edit]:
    """Exchange words with others, single characters with the one beside them; `count` pairs at most.

    Example:
        >>> text = Editable("text", "股东")
        >>> apply_edits(text, swap_words(text, 1, random.Random(1))).text
        '东股'
    """
    words = free_words(of)
    single = {place for place in words if _SINGLE.fullmatch(of.text[slice(*place)])}
    pairs = [(one, other) for one, other in itertools.pairwise(words) if {one, other} <= single]
    pairs = [(one, other) for one, other in pairs if one[1] == other[0]]
    long = [place for place in words if place not in single]
    edits: list[Edit] = []
    used: set[Place] = set()
    for _ in range(count):
        pairs = [pair for pair in pairs if used.isdisjoint(pair)]
        long = [place for place in long if place not in used]
        candidates = len(pairs) + (len(long) if len(long) > 1 else 0)
        if not candidates:
            break
        drawn = chance.randrange(candidates)
        one, other = pairs[drawn] if drawn < len(pairs) else sorted(chance.sample(long, 2))
        used |= {one, other}
        edits += [Edit(*one, of.text[slice(*other)]), Edit(*other, of.text[slice(*one)])]
    return sorted(edits, key=lambda edit: edit.start)


def apply_edits(of: Editable, edits: Sequence[Edit]) -> Editable:
    """The text after edits, in order, with its kept places and words where they stand then; words left out are gone.

    Example:
        >>> text = Editable("text", "very good news from Ada", kept=((20, 23),))
        >>> changed = apply_edits(text, [Edit(0, 5, ""), Edit(10, 14, "word")])
        >>> changed.text, changed.kept
        ('good word from Ada', ((15, 18),))
    """
    parts, behind = [], 0
    for edit in edits:
        parts += [of.text[behind : edit.start], edit.text]
        behind = edit.end
    text = "".join([*parts, of.text[behind:]])
    kept = tuple((_moved(start, edits), _moved(end, edits)) for start, end in of.kept)
    words = None if of.words is None else _moved_words(of.words, edits)
    return replace(of, text=text, kept=kept, words=words)


def _moved(place: int, edits: Sequence[Edit]) -> int:
    """Where a place between edits is once they are made."""
    return place + sum(len(edit.text) - (edit.end - edit.start) for edit in edits if edit.end <= place)


def _moved_words(words: Sequence[Place], edits: Sequence[Edit]) -> tuple[Place, ...]:
    found = []
    for start, end in words:
        edit = next((edit for edit in edits if edit.start <= start and end <= edit.end), None)
        if edit is None:
            found.append((_moved(start, edits), _moved(end, edits)))
        elif edit.text:
            first = _moved(edit.start, edits)
            found.append((first, first + len(edit.text)))
    return tuple(found)
