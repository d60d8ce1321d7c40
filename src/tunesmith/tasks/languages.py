"""Which language texts are in, as far as scores must know."""

from __future__ import annotations

import re
from collections.abc import Iterable

CHINESE_SHARE = 0.3
"""Texts of which so many letters are Chinese are Chinese: a Chinese word has fewer letters than an English one."""
_CHINESE = re.compile("[\u4e00-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")


def is_chinese(texts: Iterable[str]) -> bool:
    """Whether texts are Chinese, taken together.

    Example:
        >>> is_chinese(["股东很高兴 about it"]), is_chinese(["what a day"]), is_chinese([])
        (True, False, False)
    """
    chinese, letters = 0, 0
    for text in texts:
        chinese += len(_CHINESE.findall(text))
        letters += len(_LETTER.findall(text))
    return chinese > CHINESE_SHARE * letters
