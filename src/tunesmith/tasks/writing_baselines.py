"""Competitors in writing a text from a text: the text itself, its first sentence, the model before fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.contracts import Features
from tunesmith.tasks.sentences import split_sentences


def lead_sentences(text: str, count: int) -> str:
    """The first sentences of a text in English, Chinese or the like, as they stand there, with the signs at their ends.

    Args:
        text: the text.
        count: how many, at least 1; of a shorter text all.

    Example:
        >>> lead_sentences("Dr. Lee came. He left! Why?", 2), lead_sentences("她走了。他说：“好！”都走了。", 1)
        ('Dr. Lee came. He left!', '她走了。')
    """
    sentences = split_sentences(text, keep_signs=True)[:count]
    return text[sentences[0][0] : sentences[-1][1]]


@dataclass(frozen=True)
class CopySource:
    """The text as it is: strong where little changes, as in correcting and rewriting.

    Attributes:
        text_of: what is read of a row.
        make_answer: the task's Prediction from what was written.
    """

    text_of: Callable[[Any], str]
    make_answer: Callable[[str], Any]
    name = "copy"
    title = "the text itself"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Answer each of `rows`; nothing is learnt."""
        return [self.make_answer(self.text_of(row)) for row in rows]


class Untouched:
    """What the model wrote before it was fine-tuned."""

    name = "frozen"
    title = "model before fine-tuning"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Answer each of `rows`; nothing is learnt."""
        return features.answers(rows)


@dataclass(frozen=True)
class Lead1:
    """The first sentence of the text: hard to beat in summaries of news.

    Attributes:
        text_of: what is read of a row.
        make_answer: the task's Prediction from what was written.
    """

    text_of: Callable[[Any], str]
    make_answer: Callable[[str], Any]
    name = "lead_1"
    title = "first sentence of the text"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Answer each of `rows`; nothing is learnt."""
        return [self.make_answer(lead_sentences(self.text_of(row), 1)) for row in rows]
