"""Where the sentences of a text are."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tunesmith.tasks.words import Bounds

SENTENCE_END = re.compile(r"[。！？\n]+[”’」』]?|[.!?]+[\"'”’)]?(?=\s|$)")
SHORT_FORM = re.compile(r"(?:^|[\s(.])(?:\w|Mr|Mrs|Ms|Dr|Prof|St|No|Inc|Ltd|Co|vs|e\.g|i\.e|cf|etc)\.$")
"""A full stop behind one of these, or behind a single letter, ends no sentence."""
SHORT_FORM_CHARACTERS = 6
"""The longest one, and the character in front."""
SHOWN = re.compile(r"\S(?:.*\S)?", re.DOTALL)


def split_sentences(text: str, whole: Sequence[Bounds] = (), *, keep_signs: bool = False) -> list[Bounds]:
    """Bounds of the sentences of a text by simple rules, without white space around them.

    Args:
        text: English, Chinese or the like.
        whole: spans that no bound may cut.
        keep_signs: with the signs at their ends.

    Returns:
        At least one; of a text that holds nothing else (0, 0).

    Example:
        >>> text = "Dr. Lee paid 3.5 million. 她走了。他说：“好！”Then all left"
        >>> [text[start:end] for start, end in split_sentences(text)]
        ['Dr. Lee paid 3.5 million', '她走了', '他说：“好', 'Then all left']
        >>> [text[start:end] for start, end in split_sentences(text, keep_signs=True)][1:3]
        ['她走了。', '他说：“好！”']
    """
    found, begin = [], 0
    for match in SENTENCE_END.finditer(text):
        start, end = match.span()
        is_short_form = SHORT_FORM.search(text, max(0, end - SHORT_FORM_CHARACTERS), end)
        if not is_short_form and not any(first < end < behind for first, behind in whole):
            found.append(SHOWN.search(text, begin, end if keep_signs else start))
            begin = end
    found.append(SHOWN.search(text, begin))
    return [shown.span() for shown in found if shown] or [(0, 0)]
