"""The usual wordings, in the language of the labels, and texts that say nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tunesmith.tasks.cloze_sequences import USUAL_CLOZE
from tunesmith.tasks.languages import is_chinese
from tunesmith.tasks.prompt_texts import USUAL_DESCRIPTION

Kind = Literal["classification", "extraction", "questions", "generation"]
"""What is asked for."""
Way = Literal["descriptions", "cloze", "likelihood"]
"""How a label is found; the base model decides."""

USUAL: dict[Way, dict[str, str]] = {
    "descriptions": USUAL_DESCRIPTION,
    "cloze": USUAL_CLOZE,
    "likelihood": {"en": "Text: {text}\nTopic: {mask}", "zh": "文本：{text}\n主题：{mask}"},
}
EMPTY = ("", "N/A", "[MASK]")
"""Texts that say nothing, as Zhao et al. (2021, section 5) have them."""
TEMPERATURES: dict[Way, float] = {"descriptions": 0.05, "cloze": 1.0, "likelihood": 1.0}
"""What scores are divided by before the softmax, unless a template says otherwise."""
TITLES: dict[Way, str] = {
    "descriptions": "cosines of texts and descriptions of the labels",
    "cloze": "words of the labels behind a mask",
    "likelihood": "likelihood of the labels' words behind the prompt",
}
WRITES_TITLE = "answers written behind the prompt"


def usual_wording(way: Way, labels: Iterable[str]) -> str:
    """The wording where nobody gave one.

    Example:
        >>> usual_wording("descriptions", ["体育", "财经"])
        '这段文字是关于{label}的。'
    """
    return USUAL[way]["zh" if is_chinese(labels) else "en"]
