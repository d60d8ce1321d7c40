"""What texts are compared by: with white space folded, or letters and digits alone."""

from __future__ import annotations

import re
import unicodedata

_PIECES = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+")
# Vowel signs and other marks are no letters to `re`, but without them words of Indic, Thai and other scripts and
# words with points become equal.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u109f\u1780-\u17ff"
_HAS_MARKS = re.compile(f"[{_MARKS}]")
_MARKED_PIECES = re.compile(rf"\d+(?:[.,:/]\d+)*|(?:[^\W\d_]|[{_MARKS}])+")


def exact_key(text: str) -> str:
    """The text with all runs of white space as one blank.

    Example:
        >>> exact_key(" Good\\n film ")
        'Good film'
    """
    return " ".join(text.split())


def loose_key(text: str) -> str:
    """Letters and digits alone, in lower case and usual width; "" where there are none.

    Example:
        >>> loose_key("Ｇood, film: 1.5 ★"), loose_key("!!!")
        ('goodfilm1.5', '')
    """
    if text.isascii():
        return "".join(_PIECES.findall(text.lower()))
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join((_MARKED_PIECES if _HAS_MARKS.search(folded) else _PIECES).findall(folded))
