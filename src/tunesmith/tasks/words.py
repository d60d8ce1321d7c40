"""Words of a text, the tags they carry, and the token pieces they begin with. Places are characters of the text."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Bounds = tuple[int, int]
"""First character and the one behind the last."""
Span = tuple[int, int, str]
"""Bounds and the type of an entity."""

OUTSIDE = "O"
_ALONE = (  # scripts written without blanks: each character is a word of its own
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u0670\u0900-\u0dff"
"""Signs that Python does not count as letters but that stand within words."""
_WORD = re.compile(f"[{_ALONE}]|(?:(?![{_ALONE}])[\\w{_MARKS}])+|\\S")


def split_words(text: str) -> list[Bounds]:
    """Cut a text into runs of letters and digits, single signs, and single characters of Chinese and the like.

    Example:
        >>> text = "Dr. Li在北京。"
        >>> [text[start:end] for start, end in split_words(text)]
        ['Dr', '.', 'Li', '在', '北', '京', '。']
    """
    return [match.span() for match in _WORD.finditer(text)]


def tags_of(words: Sequence[Bounds], spans: Sequence[Span]) -> list[str]:
    """BIO tags of words: a word that shares a character with an entity belongs to it; of nested entities, the longest.

    Example:
        >>> tags_of([(0, 3), (4, 8), (9, 14)], [(0, 8, "PER")])
        ['B-PER', 'I-PER', 'O']
    """
    tags = [OUTSIDE] * len(words)
    starts = [start for start, _ in words]
    for start, end, name in sorted(spans, key=lambda span: (span[0] - span[1], span[0])):
        place = max(0, bisect_right(starts, start) - 1)
        inside = []
        while place < len(words) and words[place][0] < end:
            if words[place][1] > start:
                inside.append(place)
            place += 1
        if inside and all(tags[place] == OUTSIDE for place in inside):
            tags[inside[0]] = f"B-{name}"
            for place in inside[1:]:
                tags[place] = f"I-{name}"
    return tags


def spans_of(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Entities of BIO tags as (first word, word behind the last, type).

    An entity begins at a B, and at an I behind O or another type: the rule of `conlleval` (Tjong Kim Sang and De
    Meulder 2003) and of seqeval's default mode.

    Example:
        >>> spans_of(["B-PER", "I-PER", "I-LOC"])
        [(0, 2, 'PER'), (2, 3, 'LOC')]
    """
    found: list[tuple[int, int, str]] = []
    begun: tuple[int, str] | None = None
    for place, tag in enumerate([*tags, OUTSIDE]):
        name = tag[2:]
        if begun is not None and (tag == OUTSIDE or tag[0] == "B" or name != begun[1]):
            found.append((begun[0], place, begun[1]))
            begun = None
        if begun is None and tag != OUTSIDE:
            begun = (place, name)
    return found


@dataclass(frozen=True)
class Reading:
    """A text as its model reads it.

    Attributes:
        text: the text.
        words: (W,) bounds of its words.
        pieces: (W,) place of the token piece that a word begins with; None where the tokenizer drops the word.
    """

    text: str
    words: tuple[Bounds, ...]
    pieces: tuple[int | None, ...]

    def spread(self, answers: Mapping[int, str]) -> list[str]:
        """Tags of all words from those of the words with pieces; one without takes part where an entity goes on.

        Example:
            >>> Reading("a\u200db", ((0, 1), (1, 2), (2, 3)), (0, None, 1)).spread({0: "B-X", 2: "I-X"})
            ['B-X', 'I-X', 'I-X']
        """
        tags = []
        following = OUTSIDE
        for word in range(len(self.words) - 1, -1, -1):
            following = answers.get(word, following if following.startswith("I-") else OUTSIDE)
            tags.append(following)
        return tags[::-1]

    def spans(self, tags: Sequence[str]) -> list[tuple[Span, tuple[int, int]]]:
        """Entities in characters, each with its words (first, behind the last)."""
        found = spans_of(tags)
        return [((self.words[a][0], self.words[b - 1][1], name), (a, b)) for a, b, name in found]


def read_text(text: str, words: Sequence[Bounds], offsets: Sequence[Bounds]) -> Reading:
    """Find the token piece that each word begins with.

    Args:
        text: the text.
        words: bounds of its words, in order, not overlapping.
        offsets: bounds of each token piece, of which none covers two words.

    Example:
        >>> read_text("Ann Lee", [(0, 3), (4, 7)], [(0, 2), (2, 3), (3, 7)]).pieces
        (0, 2)
    """
    pieces: list[int | None] = [None] * len(words)
    for piece, bounds in enumerate(offsets):
        inside = words_under(bounds, words)
        if inside and pieces[inside[0]] is None:
            pieces[inside[0]] = piece
    return Reading(text, tuple(words), tuple(pieces))


def words_under(bounds: Bounds, words: Sequence[Bounds]) -> range:
    """The words that share a character with a piece of the text; a blank in front of the first is no word.

    Example:
        >>> words_under((2, 9), [(0, 3), (4, 7), (9, 12)])
        range(0, 2)
    """
    start, end = bounds
    first = bisect_right(words, start, key=lambda word: word[1])
    last = bisect_left(words, end, lo=first, key=lambda word: word[0])
    return range(first, last) if start < end else range(0)
