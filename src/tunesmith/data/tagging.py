"""Tagged tokens: from BIO, IOB1, BIOES or BILOU tags and their tokens to a text and its spans.

How tags become entities is the rule of the CoNLL-2000 and CoNLL-2003 shared tasks' scorer `conlleval` (Tjong Kim
Sang and Buchholz 2000), which seqeval's default mode follows: one rule reads all schemes. L, U and M, of BILOU
and BMES, are other letters for E, S and I.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from tunesmith.data.rejects import printable, shorten

Scheme = Literal["BIO", "IOB1", "BIOES"]
"""How tags mark where an entity begins and ends; BIOES stands for BILOU and BMES, too."""

_LETTERS = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S", "M": "I"}
_CJK = (
    "\u2e80-\u312f\u3190-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe10-\ufe1f\ufe30-\ufe6f\uff01-\uff9f\uffe0-\uffe6"
    "\U0001aff0-\U0001b16f\U0001f200-\U0001f2ff\U00020000-\U0003ffff"
)
"""Han, kana, bopomofo, their punctuation and full-width forms; not Hangul, which is written with blanks."""
_HAS_CJK = re.compile(f"[{_CJK}]")
CHARACTER_SHARE = 0.9
CJK_SHARE = 1 / 3
STRAY_SHARE = 0.1
"""IOB1 has no B that does not split two entities; so many for each entity begun by I are taken as slips."""


@lru_cache(maxsize=4096)
def split_tag(tag: str) -> tuple[str, str]:
    """Letter (O, B, I, E or S) and entity type of a tag.

    Raises:
        ValueError: it is neither O nor a letter of a scheme, a hyphen and a type.

    Example:
        >>> split_tag("B-PER"), split_tag("U-time-of-day"), split_tag("O")
        (('B', 'PER'), ('S', 'time-of-day'), ('O', ''))
    """
    if tag == "O":
        return "O", ""
    letter, hyphen, kind = tag.partition("-")
    if letter not in _LETTERS or not hyphen or not kind.strip():
        raise ValueError(tag)
    return _LETTERS[letter], kind


def is_tag(tag: object) -> bool:
    """Whether `split_tag` takes it."""
    try:
        return isinstance(tag, str) and bool(split_tag(tag))
    except ValueError:
        return False


def decode_tags(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Entities of a sentence as (first token, token behind the last, type).

    An entity begins at B and S, and at I and E where the tag before is O, has another type or ended an entity
    (E, S). It ends where the next begins, before O, and behind E and S (conlleval; see the module).

    Args:
        tags: one a token.

    Raises:
        ValueError: one of them is no tag.

    Example:
        >>> decode_tags(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
        [(0, 2, 'PER'), (3, 4, 'LOC'), (4, 5, 'LOC')]
    """
    found: list[tuple[int, int, str]] = []
    if tags.count("O") == len(tags):
        return found
    start, open_kind, before = -1, "", "O"
    for index, tag in enumerate(tags):
        letter, kind = split_tag(tag)
        begins = letter != "O" and (letter in "BS" or before in "OES" or kind != open_kind)
        if start >= 0 and (begins or letter == "O"):
            found.append((start, index, open_kind))
            start = -1
        if begins:
            start, open_kind = index, kind
        before = letter
    if start >= 0:
        found.append((start, len(tags), open_kind))
    return found


def find_scheme(sentences: Sequence[Sequence[str]]) -> Scheme:
    """The scheme that tags were written in, as far as it can be seen; sentences without a tag give IOB1.

    Args:
        sentences: tags of the first sentences of a source, all valid.

    Example:
        >>> find_scheme([["B-PER", "I-PER", "O"]]), find_scheme([["I-PER", "B-PER"]]), find_scheme([["S-PER"]])
        ('BIO', 'IOB1', 'BIOES')
    """
    free_begins = inside_begins = 0
    for tags in sentences:
        before = "O", ""
        for letter, kind in map(split_tag, tags):
            if letter in "ES":
                return "BIOES"
            follows = before[0] != "O" and before[1] == kind
            free_begins += letter == "B" and not follows
            inside_begins += letter == "I" and not follows
            before = letter, kind
    return "BIO" if free_begins and free_begins >= STRAY_SHARE * inside_begins else "IOB1"


@dataclass(frozen=True)
class Doubt:
    """A tag that its scheme does not allow where it stands.

    Attributes:
        index: of the token.
        problem: what is doubtful, and what `decode_tags` made of it.
        fix: what to write.
    """

    index: int
    problem: str
    fix: str


def find_doubts(tags: Sequence[str], entities: Sequence[tuple[int, int, str]], scheme: Scheme) -> list[Doubt]:
    """Tags that break their scheme: an entity that begins with I or E, and in BIOES one that is not closed.

    Args:
        tags: one a token, all valid.
        entities: what `decode_tags` made of them.
        scheme: of the source; IOB1 allows everything.

    Example:
        >>> [doubt.index for doubt in find_doubts(["O", "I-LOC"], [(1, 2, "LOC")], "BIO")]
        [1]
    """
    doubts: list[Doubt] = []
    if scheme == "IOB1":
        return doubts
    for first, behind, kind in entities:
        begin, end = split_tag(tags[first])[0], split_tag(tags[behind - 1])[0]
        if begin in "IE":
            doubts.append(_begins_badly(tags, first, kind, scheme))
        if scheme == "BIOES" and end not in "ES":
            letter = "S" if behind - first == 1 else "E"
            problem = "is the last tag of an entity that is not closed: taken to end here"
            doubts.append(Doubt(behind - 1, problem, f"write {letter}-{printable(kind)}"))
    return doubts


def _begins_badly(tags: Sequence[str], index: int, kind: str, scheme: Scheme) -> Doubt:
    before = f"follows {shorten(tags[index - 1])}" if index else "stands at the beginning"
    letter = "B" if scheme == "BIO" or split_tag(tags[index])[0] == "I" else "S"
    return Doubt(index, f"{before}: taken as the beginning of an entity", f"write {letter}-{printable(kind)}")


def is_character_level(sentences: Sequence[Sequence[str]]) -> bool:
    """Whether a source has a token for each character: nearly all are single, and a third of these are CJK.

    Args:
        sentences: tokens of its first sentences.

    Example:
        >>> is_character_level([["我", "有", "i", "P", "a", "d"]]), is_character_level([["我", "喜欢", "北京"]])
        (True, False)
    """
    total = sum(map(len, sentences))
    single = [token for tokens in sentences for token in tokens if len(token) == 1]
    cjk = sum(1 for token in single if _HAS_CJK.match(token))
    return total > 0 and len(single) >= CHARACTER_SHARE * total and cjk >= CJK_SHARE * len(single)


def join_tokens(tokens: Sequence[str], without_blanks: bool = False) -> tuple[str, list[list[int]]]:
    """One text of tokens, and the bounds of each in it.

    Between two tokens stands a blank, unless the character on either side of the joint is CJK.

    Args:
        tokens: none is empty.
        without_blanks: put no blank anywhere.

    Returns:
        The text, and [start, end) of each token in characters (code points).

    Example:
        >>> join_tokens(["He", "likes", "北京", "."])
        ('He likes北京.', [[0, 2], [3, 8], [8, 10], [10, 11]])
    """
    text = ("" if without_blanks else " ").join(tokens)
    if without_blanks or text.isascii() or not _HAS_CJK.search(text):
        return text, list(_bounds(tokens, 0 if without_blanks else 1))
    parts, bounds, position = [tokens[0]], [[0, len(tokens[0])]], len(tokens[0])
    for left, right in pairwise(tokens):
        if not (_HAS_CJK.match(left[-1]) or _HAS_CJK.match(right)):
            parts.append(" ")
            position += 1
        parts.append(right)
        bounds.append([position, position + len(right)])
        position += len(right)
    return "".join(parts), bounds


def _bounds(tokens: Sequence[str], gap: int) -> Iterator[list[int]]:
    start = 0
    for token in tokens:
        end = start + len(token)
        yield [start, end]
        start = end + gap
