"""What text to be written looks like: the row that is read, the answer that is given, facts about the right answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tunesmith.contracts import Column
from tunesmith.tasks.languages import is_chinese

_WORD = re.compile(r"[㐀-䶿一-鿿]|[^\s㐀-䶿一-鿿]+")
SUMMARY_RATIO = 0.5
"""Right answers of at most this share of their text's words are summaries."""
SHORT_WORDS = 2
"""Right answers of at most so many words are right or wrong as a whole."""
Text = Annotated[str, Field(min_length=1)]

COLUMNS = (
    Column(
        "text",
        "text",
        (
            *("text", "source", "src", "document", "dialogue", "article", "input", "prompt", "question", "sentence"),
            *("正文", "原文", "文本", "问题", "输入"),
        ),
    ),
    Column("context", "text", ("context", "passage", "background", "上下文", "段落"), required=False),
    Column("control", "text", ("control", "style", "控制", "风格"), required=False),
    Column(
        "target",
        "label",
        (
            *("target", "tgt", "references", "summary", "translation", "output", "completion", "answer", "title"),
            *("response", "摘要", "标题", "译文", "答案", "输出"),
        ),
        telling=("tgt", "summary", "translation", "completion", "摘要", "译文"),
    ),
)


class WritingRow(BaseModel):
    """A text, and what is to be written from it where that is known; several right answers are all references."""

    model_config = ConfigDict(frozen=True)
    text: str = Field(min_length=1)
    context: str | None = None
    control: str | None = None
    target: Text | Annotated[list[Text], Field(min_length=1)] | None = None


class WrittenPrediction(BaseModel):
    """What was written.

    Attributes:
        answer: the text.
        finished: whether it came to its end, and was not cut at `task.max_new_tokens`.
    """

    model_config = ConfigDict(frozen=True)
    answer: str
    finished: bool | None = None


def references(row: Any) -> tuple[str, ...]:
    """The right answers of a row; () where none is known."""
    if row.target is None:
        return ()
    return (row.target,) if isinstance(row.target, str) else tuple(row.target)


def count_words(text: str) -> int:
    """Words, a Chinese character being one.

    Example:
        >>> count_words("two words"), count_words("三个字")
        (2, 3)
    """
    return len(_WORD.findall(text))


def target_facts(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """How long right answers are, beside their texts, and whether they are Chinese.

    Args:
        pairs: text and right answer of labelled rows.
    """
    targets = [target for _, target in pairs]
    words = [count_words(target) for target in targets]
    ratios = [count / max(1, count_words(text)) for count, (text, _) in zip(words, pairs, strict=True)]
    return {
        "rows": len(pairs),
        "chinese": float(is_chinese(targets)),
        "target_words": float(median(words)),
        "target_ratio": float(median(ratios)),
    }


def choose_headline(facts: Any) -> Literal["exact_match", "rouge_l", "bleu"]:
    """The score that fits such answers: exact_match where they are short, rouge_l for summaries, bleu elsewhere."""
    if facts.get("target_words", SHORT_WORDS + 1) <= SHORT_WORDS:
        return "exact_match"
    return "rouge_l" if facts.get("target_ratio", 1.0) <= SUMMARY_RATIO else "bleu"
