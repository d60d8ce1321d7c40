"""Competitors of trained vectors: TF-IDF, and the vectors of the untouched base model."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.contracts import Features
from tunesmith.tasks.classification_baselines import fit_tfidf
from tunesmith.tasks.embedding_rows import EmbeddingPrediction, EmbeddingRow

TextsOf = Callable[[Any], tuple[str, ...]]


@dataclass(frozen=True)
class TfidfVectors:
    """TF-IDF vectors learnt on training texts; see `fit_tfidf`."""

    texts_of: TextsOf

    name = "tfidf"
    title = "TF-IDF cosine"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Vectors of each row's texts, sparse and of length 1 (0 where no word is known)."""
        from scipy.sparse import csr_array

        known = [text for row in train for text in self.texts_of(row)]
        asked = [self.texts_of(row) for row in rows]
        if not asked:
            return []
        vectorizer = fit_tfidf(known, longest=1)  # alike texts share words, seldom pairs of them
        flat = [text for texts in asked for text in texts]
        matrix = csr_array((len(flat), 1)) if vectorizer is None else vectorizer.transform(flat)
        return _answers(asked, [matrix[place : place + 1] for place in range(matrix.shape[0])])


@dataclass(frozen=True)
class FrozenVectors:
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
