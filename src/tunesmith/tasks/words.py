"""Words of a text, the tags they carry, and the token pieces they begin with. Places are characters of the text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
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


def spans_of(words: Sequence[Bounds], tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Entities of BIO tags as (first word, word behind the last, type).

    An entity begins at a B, and at an I behind O or another type: the rule of `conlleval` (Tjong Kim Sang and De
    Meulder 2003) and of seqeval's default mode.

    Example:
        >>> spans_of([(0, 3), (4, 8), (9, 14)], ["B-PER", "I-PER", "I-LOC"])
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
        pieces: (W,) place of the token piece that a word begins with; None where it has none of its own.
        hosts: (W,) the word whose answer a word takes: itself, the one whose piece covers it, or None.
    """

    text: str
    words: tuple[Bounds, ...]
    pieces: tuple[int | None, ...]
    hosts: tuple[int | None, ...]

    def spread(self, answers: dict[int, str]) -> list[str]:
        """Tags of all words from those of the words with pieces: inside a piece an entity goes on."""
        tags = []
        for word, host in enumerate(self.hosts):
            tag = OUTSIDE if host is None else answers.get(host, OUTSIDE)
            tags.append(tag if host == word or tag == OUTSIDE else f"I-{tag[2:]}")
        return tags

    def spans(self, tags: Sequence[str]) -> list[tuple[Span, tuple[int, int]]]:
        """Entities in characters, each with its words (first, behind the last)."""
        found = spans_of(self.words, tags)
        return [((self.words[a][0], self.words[b - 1][1], name), (a, b)) for a, b, name in found]


def read_text(text: str, words: Sequence[Bounds], offsets: Sequence[Bounds]) -> Reading:
    """Find the token piece that each word begins with.

    Args:
        text: the text.
        words: bounds of its words, in order, not overlapping.
        offsets: bounds of each token piece, as a fast tokenizer gives them.

    Example:
        >>> read_text("Ann Lee", [(0, 3), (4, 7)], [(0, 2), (2, 3), (3, 7)]).pieces
        (0, 2)
    """
    starts = [start for start, _ in words]
    pieces: list[int | None] = [None] * len(words)
    hosts: list[int | None] = [None] * len(words)
    for piece, (start, end) in enumerate(offsets):
        while start < end and text[start].isspace():  # some tokenizers count the blank in front to the piece
            start += 1
        first = bisect_right(starts, start) - 1
        if start == end or first < 0 or words[first][1] <= start:
            continue
        if pieces[first] is None and hosts[first] is None:
            pieces[first], hosts[first] = piece, first
        for word in range(first + 1, len(words)):
            if words[word][0] >= end:
                break
            hosts[word] = hosts[first]
    return Reading(text, tuple(words), tuple(pieces), tuple(hosts))
