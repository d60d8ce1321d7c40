"""Cheap competitors where one or several of some texts are right: place, length, shared words, the frozen trunk.

All are deterministic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.contracts import Features
from tunesmith.errors import DataError
from tunesmith.tasks import cosine_baselines

_CHARACTERS = 5_000
"""Of each text only so many are weighed; a model's 512 tokens are about 2,500."""


@dataclass(frozen=True)
class Parts:
    """What a row and an answer look like, which the task decides.

    Attributes:
        question_of: row → what is asked, context included.
        choices_of: row → its texts.
        rights_of: labelled row → places of the right ones.
        answer: (row, a score a text) → the task's Prediction.
    """

    question_of: Callable[[Any], str]
    choices_of: Callable[[Any], Sequence[str]]
    rights_of: Callable[[Any], Sequence[int]]
    answer: Callable[[Any, Sequence[float]], Any]


@dataclass(frozen=True)
class UsualPlace:
    """The place that is right most often in the training rows, whatever stands there."""

    parts: Parts

    name = "majority"
    title = "most frequent place"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Answer each of `rows`. Raises DataError when there is no training row."""
        if not train:
            raise DataError("no training row to learn from", fix="pass at least one labelled row")
        counts = Counter(place for row in train for place in self.parts.rights_of(row))
        return [
            self.parts.answer(row, [float(counts[p]) for p in range(len(self.parts.choices_of(row)))]) for row in rows
        ]


@dataclass(frozen=True)
class Longest:
    """The longest text: who writes wrong ones often takes less trouble."""

    parts: Parts

    name = "longest"
    title = "longest text"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Answer each of `rows`; nothing is learnt."""
        return [self.parts.answer(row, [float(len(text)) for text in self.parts.choices_of(row)]) for row in rows]


@dataclass(frozen=True)
class TfidfCosine:
    """The text most alike what is asked, by the cosine of TF-IDF; of characters where most letters are CJK."""

    parts: Parts

    name = cosine_baselines.NAME
    title = cosine_baselines.TITLE

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Weigh words by the training rows' texts and answer each of `rows`."""
        parts = self.parts
        known = [text for row in train for text in (parts.question_of(row), *parts.choices_of(row))]
        vectors_of = cosine_baselines.tfidf_vectors(known, most_characters=_CHARACTERS)
        if vectors_of is None:
            return UsualPlace(parts).predict(train, rows, features)
        return _most_alike(parts, rows, vectors_of)


@dataclass(frozen=True)
class FrozenCosine:
    """The model before fine-tuning: the text whose mean hidden state is most alike that of what is asked."""

    parts: Parts

    name = "frozen"
    title = "before fine-tuning (frozen model, cosine)"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Answer each of `rows`; nothing is learnt."""
        return _most_alike(self.parts, rows, features.texts)


BASELINES = (UsualPlace, Longest, TfidfCosine, FrozenCosine)
"""Weakest first."""


def _most_alike(parts: Parts, rows: Sequence[Any], vectors_of: cosine_baselines.Vectors) -> list[Any]:
    """Answer rows by the cosine of what is asked and each text."""
    asked = [(parts.question_of(row), parts.choices_of(row)) for row in rows]
    found = cosine_baselines.likenesses(asked, vectors_of)
    return [parts.answer(row, cosines) for row, cosines in zip(rows, found, strict=True)]
