"""Competitors of trained vectors: TF-IDF, and the vectors of the untouched base model."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.contracts import Features
from tunesmith.tasks.embedding_rows import EmbeddingPrediction, EmbeddingRow

TextsOf = Callable[[Any], tuple[str, ...]]
_TERMS = 100_000
"""Largest vocabulary of TF-IDF: the most frequent terms."""


@dataclass(frozen=True)
class TfidfCosine:
    """TF-IDF vectors of words, learnt on training texts; of 1 to 3 characters where they have no blanks."""

    texts_of: TextsOf

    name = "tfidf"
    title = "TF-IDF cosine"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Vectors of each row's texts, sparse and of length 1 (0 where no word is known)."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        known = [text for row in train for text in self.texts_of(row)]
        asked = [self.texts_of(row) for row in rows]
        if not asked:
            return []
        analyzer: dict[str, Any] = {"analyzer": "word", "token_pattern": r"(?u)\b\w+\b"}
        if sum(map(_has_blanks, known)) * 2 < len(known):
            analyzer = {"analyzer": "char", "ngram_range": (1, 3)}
        vectorizer = TfidfVectorizer(**analyzer, sublinear_tf=True, max_features=_TERMS)
        analyze = vectorizer.build_analyzer()
        vectorizer.fit(known if any(map(analyze, known)) else ["a"])
        matrix = vectorizer.transform([text for texts in asked for text in texts])
        return _answers(asked, [matrix[place : place + 1] for place in range(matrix.shape[0])])


def _has_blanks(text: str) -> bool:
    return " " in text.strip()


@dataclass(frozen=True)
class FrozenCosine:
    """The model before fine-tuning: the untouched trunk's own vectors, pooled as the task pools them.

    Attributes:
        texts_of: row → its texts.
        pooling: "mean", "first" or "last".
    """

    texts_of: TextsOf
    pooling: str

    name = "frozen"
    title = "before fine-tuning (the base model's vectors)"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Vectors of each row's texts."""
        asked = [self.texts_of(row) for row in rows]
        if not asked:
            return []
        different = list(dict.fromkeys(text for texts in asked for text in texts))
        singles = [EmbeddingRow(text=text) for text in different]
        if self.pooling == "mean":
            matrix = features.rows(singles)
        else:
            matrix = np.concatenate([states for _, states in features.places(singles)])
        found = {
            text: array("f", row.astype(np.float32).tobytes()) for text, row in zip(different, matrix, strict=True)
        }
        return [EmbeddingPrediction(vectors=tuple(found[text] for text in texts)) for texts in asked]


def _answers(asked: Sequence[tuple[str, ...]], vectors: Sequence[Any]) -> list[EmbeddingPrediction]:
    """One prediction a row from the vectors of all texts in order."""
    remaining = iter(vectors)
    return [EmbeddingPrediction(vectors=tuple(next(remaining) for _ in texts)) for texts in asked]
