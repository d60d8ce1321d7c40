"""Competitors of trained vectors: TF-IDF, and the vectors of the untouched base model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.contracts import Features
from tunesmith.tasks import cosine_baselines
from tunesmith.tasks.embedding_rows import EmbeddingPrediction, EmbeddingRow

TextsOf = Callable[[Any], tuple[str, ...]]


@dataclass(frozen=True)
class TfidfVectors:
    """TF-IDF vectors of single words, learnt on training texts; see `cosine_baselines.tfidf_vectors`."""

    texts_of: TextsOf

    name = cosine_baselines.NAME
    title = cosine_baselines.TITLE

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Vectors of each row's texts, sparse and of length 1 (0 where no word is known)."""
        known = [text for row in train for text in self.texts_of(row)]
        vectors_of = cosine_baselines.tfidf_vectors(known, longest=1)
        return _answer(self.texts_of, rows, vectors_of or cosine_baselines.nothing_known)


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
        if self.pooling == "mean":
            return _answer(self.texts_of, rows, features.texts)
        return _answer(self.texts_of, rows, lambda texts: _at_places(texts, features))


def _at_places(texts: Sequence[str], features: Features) -> Any:
    """(N, D): the hidden state of each text's one place."""
    return np.concatenate([states for _, states in features.places([EmbeddingRow(text=text) for text in texts])])


def _answer(texts_of: TextsOf, rows: Sequence[Any], vectors_of: cosine_baselines.Vectors) -> list[Any]:
    asked = [texts_of(row) for row in rows]
    return [EmbeddingPrediction(vectors=vectors) for vectors in cosine_baselines.vectors_by_row(asked, vectors_of)]
