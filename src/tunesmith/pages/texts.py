"""Texts of users on a page: what would be invisible, or would turn the line around, is made visible."""

from __future__ import annotations

import re

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters other than tab and line end, marks of direction, spaces without width, lone surrogates."""


def visible(text: str) -> str:
    r"""Write hidden characters as escapes; joiners of emoji and of scripts stay.

    Example:
        >>> visible("a\u202eb\x1b")
        'a\\u202eb\\x1b'
    """
    return _HIDDEN.sub(lambda found: repr(found[0])[1:-1] if not found[0].isprintable() else found[0], text)


def first_upper(text: str) -> str:
    """A text that begins with a capital, the rest as it is; HTML stays HTML.

    Example:
        >>> first_upper("macro F1"), first_upper("")
        ('Macro F1', '')
    """
    return text[:1].upper() + text[1:]
