"""Cheap competitors in answering questions: sentences of the text, and no answer at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.contracts import Features
from tunesmith.tasks.question_rows import QuestionPrediction
from tunesmith.tasks.sentences import split_sentences
from tunesmith.tasks.words import split_words


def _answer(row: Any, start: int, end: int) -> QuestionPrediction:
    return QuestionPrediction(answer=row.context[start:end], start=start, end=end)


def _words(text: str) -> list[str]:
    return [text[start:end].casefold() for start, end in split_words(text) if any(map(str.isalnum, text[start:end]))]


@dataclass(frozen=True)
class FirstSentence:
    """The first sentence of the text, whatever is asked."""

    name = "first_sentence"
    title = "first sentence of the text"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Answer each of `rows`; nothing is learnt."""
        return [_answer(row, *split_sentences(row.context)[0]) for row in rows]


@dataclass(frozen=True)
class OverlappingSentence:
    """The sentence that holds most words of the question; of equals the shorter one."""

    name = "overlap"
    title = "sentence that shares most words with the question"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Answer each of `rows`; nothing is learnt."""
        known: dict[str, list[tuple[tuple[int, int], frozenset[str], int]]] = {}
        return [_answer(row, *self._choose(row, known)) for row in rows]

    @staticmethod
    def _choose(row: Any, known: dict[str, list[tuple[tuple[int, int], frozenset[str], int]]]) -> tuple[int, int]:
        if row.context not in known:
            sentences = [(bounds, _words(row.context[slice(*bounds)])) for bounds in split_sentences(row.context)]
            known[row.context] = [(bounds, frozenset(words), len(words)) for bounds, words in sentences]
        asked = frozenset(_words(row.question))
        return max(known[row.context], key=lambda one: (len(asked & one[1]), -one[2]))[0]


@dataclass(frozen=True)
class NoAnswer:
    """No answer to any question: hard to beat where many have none."""

    name = "no_answer"
    title = "no answer to any question"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Answer each of `rows`; nothing is learnt."""
        return [QuestionPrediction(answer="") for _ in rows]
