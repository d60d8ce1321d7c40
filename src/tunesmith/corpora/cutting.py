"""Where a long text is cut, so that its tokens stay the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

PIECE_CHARACTERS = 100_000
"""Longest text that a tokenizer is given at once."""
_SEARCHED_CHARACTERS = 20_000
_BETWEEN_WORDS = re.compile(r"(?<=\w)(?= \w)")
_BEFORE_SPACE = re.compile(r"(?<=\S)(?=\s)")
_BY_CHINESE = re.compile("(?<=[\u3400-\u4dbf\u4e00-\u9fff\u3000-\u303f\uff00-\uffef])(?=[\u3400-\u4dbf\u4e00-\u9fff])")


def find_cut(text: str, most_characters: int) -> int:
    """Place of the best cut in a text longer than `most_characters`, in its last 20,000 allowed characters.

    The best is in front of a blank between two words: no tokenizer joins anything across it, and those that keep
    the blank with the word behind it find it there. Then comes white space of any kind, then two Chinese
    characters, then anywhere; only these last two may change the tokens beside the cut.

    Example:
        >>> find_cut("one two three", 10)
        7
    """
    first = max(1, most_characters - _SEARCHED_CHARACTERS)
    for pattern in (_BETWEEN_WORDS, _BEFORE_SPACE, _BY_CHINESE):
        # Wanted is the last place; looking at short stretches from the end finds it without listing all.
        end = most_characters
        while end >= first:
            start = max(first, end - 500)
            places = [found.start() for found in pattern.finditer(text, start, min(len(text), end + 2))]
            usable = [place for place in places if place <= most_characters]
            if usable:
                return usable[-1]
            end = start - 1
    return most_characters


def cut_text(text: str, most_characters: int = PIECE_CHARACTERS) -> Iterator[str]:
    """Pieces of a text, which make it again when they are joined.

    Example:
        >>> list(cut_text("one two three", 10))
        ['one two', ' three']
    """
    start = 0
    while len(text) - start > most_characters:
        window = text[start : start + most_characters + 2]
        cut = find_cut(window, most_characters)
        yield text[start : start + cut]
        start += cut
    if start < len(text) or not text:
        yield text[start:] if start else text
