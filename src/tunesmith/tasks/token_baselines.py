"""Cheap competitors of a fine-tuned tagger: the most frequent tag of each word, and a probe of the frozen trunk.

Both share three constructor arguments, so that the task decides what a row and an answer look like:

- words_of: row → bounds of its words. - spans_of: labelled row → its entities. - answer: (row, entities) → the task's
  Prediction.

Both are deterministic. scikit-learn is imported when first used: it costs two seconds.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Encoded, Features
from tunesmith.errors import DataError
from tunesmith.tasks.words import OUTSIDE, Bounds, Reading, Span, spans_of, tags_of

_SEED = 13
_PROBE_ROWS = 2_000
"""Most rows that the probe learns from: some 30,000 words, beyond which it gains little."""
_ASKED_ROWS = 2_000
"""Rows answered at a time: their hidden states are some 3 kB a word."""


@dataclass(frozen=True)
class FrequentTag:
    """Each word gets the tag it had most often in training; a new word gets none."""

    words_of: Callable[[Any], list[Bounds]]
    spans_of: Callable[[Any], list[Span]]
    answer: Callable[[Any, Sequence[Span]], Any]

    name = "frequent"
    title = "most frequent tag of each word"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Learn from `train` and answer each of `rows`. Raises DataError when there is no training row."""
        _refuse_nothing(train)
        seen: dict[str, Counter[str]] = {}
        for row in train:
            words = self.words_of(row)
            for (start, end), tag in zip(words, tags_of(words, self.spans_of(row)), strict=True):
                seen.setdefault(row.text[start:end], Counter())[tag] += 1
        usual = {word: min(counts, key=lambda tag: (-counts[tag], tag)) for word, counts in seen.items()}
        return [self._answer(row, usual) for row in rows]

    def _answer(self, row: Any, usual: dict[str, str]) -> Any:
        words = self.words_of(row)
        tags = [usual.get(row.text[start:end], OUTSIDE) for start, end in words]
        found = [(words[first][0], words[behind - 1][1], name) for first, behind, name in spans_of(tags)]
        return self.answer(row, found)


@dataclass(frozen=True)
class FrozenProbe:
    """The model before fine-tuning: a linear model on the untouched trunk's hidden state of each word."""

    words_of: Callable[[Any], list[Bounds]]
    spans_of: Callable[[Any], list[Span]]
    answer: Callable[[Any, Sequence[Span]], Any]

    name = "frozen"
    title = "before fine-tuning (frozen model + linear probe)"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Learn from a sample of `train` and answer each of `rows`. Raises DataError when there is no training row."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        _refuse_nothing(train)
        kept = sorted(random.Random(_SEED).sample(range(len(train)), min(len(train), _PROBE_ROWS)))
        known, tags = self._words([train[place] for place in kept], features)
        if len(set(tags)) < 2:
            return [self.answer(row, []) for row in rows]
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, tol=1e-3, max_iter=100))
        probe.fit(known, tags)
        answers: list[Any] = []
        for start in range(0, len(rows), _ASKED_ROWS):
            part = rows[start : start + _ASKED_ROWS]
            states = features.places(part)
            found = iter(probe.predict(np.concatenate([values for _, values in states])).tolist())
            for row, (items, _) in zip(part, states, strict=True):
                answers.append(self.answer(row, _spans(items, [next(found) for item in items for _ in item.places])))
        return answers

    def _words(self, rows: Sequence[Any], features: Features) -> tuple[NDArray[np.float32], list[str]]:
        """Hidden states (N, D) of all words that have one, and their tags."""
        states = features.places(rows)
        tags: list[str] = []
        for row, (items, _) in zip(rows, states, strict=True):
            of_words = tags_of(self.words_of(row), self.spans_of(row))
            tags += [of_words[word] for item in items for word in item.meta["words"]]
        return np.concatenate([values for _, values in states]), tags


def _spans(items: Sequence[Encoded], tags: Sequence[str]) -> list[Span]:
    reading: Reading = items[0].meta["reading"]
    words = [word for item in items for word in item.meta["words"]]
    return [span for span, _ in reading.spans(reading.spread(dict(zip(words, tags, strict=True))))]


def _refuse_nothing(train: Sequence[Any]) -> None:
    if not train:
        raise DataError("no training row to learn from", fix="pass at least one labelled row")
