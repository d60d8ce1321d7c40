"""Texts compared by the cosine of their vectors: what competitors that learn nothing but words share.

Vectors are those of TF-IDF, sparse and learnt on training texts, or the untouched base model's, dense. scikit-learn is
imported when first used: it costs two seconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tunesmith.tasks.classification_baselines import fit_tfidf

Vectors = Callable[[Sequence[str]], Any]
"""N texts → (N, D), dense or sparse."""
NAME, TITLE = "tfidf", "TF-IDF cosine"
"""Of the competitor that compares TF-IDF vectors."""
_ROWS_AT_ONCE = 512
"""Rows whose vectors are held at a time."""


def tfidf_vectors(known: Sequence[str], longest: int = 2, most_characters: int | None = None) -> Vectors | None:
    """Learn TF-IDF on texts; see `fit_tfidf`.

    Args:
        known: texts of the training rows.
        longest: run of words that counts. Two texts that say alike share words and seldom pairs of them, so 1 is better
            for whole sentences: Spearman's rho 0.647 against 0.556 on STS-B.
        most_characters: that are read of a text; None: all.

    Returns:
        None where no text holds a word.

    Example:
        >>> vectors_of = tfidf_vectors(["red wine", "red car"])
        >>> vectors_of(["red", "unheard"]).toarray().sum(axis=1).tolist()
        [1.0, 0.0]
    """
    vectorizer = fit_tfidf([text[:most_characters] for text in known], longest)
    if vectorizer is None:
        return None
    return lambda texts: vectorizer.transform([text[:most_characters] for text in texts])


def nothing_known(texts: Sequence[str]) -> Any:
    """(N, 1) zeros: vectors of texts of which no word is known."""
    from scipy.sparse import csr_array

    return csr_array((len(texts), 1))


def likenesses(rows: Sequence[tuple[str, Sequence[str]]], vectors_of: Vectors) -> Iterator[list[float]]:
    """Yield for each (text, others) the cosines of the text and each other one; 0 where a vector has no length.

    Example:
        >>> table = {"a": [1.0, 0.0], "b": [2.0, 0.0], "c": [0.0, 3.0], "": [0.0, 0.0]}
        >>> list(likenesses([("a", ["b", "c", ""])], lambda texts: np.array([table[text] for text in texts])))
        [[1.0, 0.0, 0.0]]
    """
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE]
        counts = [len(others) for _, others in block]
        owners = np.repeat(np.arange(len(block)), counts)
        asked = _unit(vectors_of([text for text, _ in block]))
        given = _unit(vectors_of([other for _, others in block for other in others]))
        cosines = np.asarray(asked[owners].multiply(given).sum(axis=1)).ravel()
        yield from (piece.tolist() for piece in np.split(cosines, np.cumsum(counts)[:-1]))


def _unit(vectors: Any) -> Any:
    """(N, D) as sparse rows of length 1; zeros stay."""
    from scipy.sparse import csr_array
    from sklearn.preprocessing import normalize

    return normalize(csr_array(vectors))


def vectors_by_row(rows: Sequence[Sequence[str]], vectors_of: Vectors) -> list[tuple[Any, ...]]:
    """The vectors of each row's texts: sparse (1, D), or (D,) float32 as `array.array`. Equal texts share theirs."""
    if not rows:
        return []
    different = list(dict.fromkeys(text for texts in rows for text in texts))
    matrix = vectors_of(different)
    if isinstance(matrix, np.ndarray):
        vectors: list[Any] = [array("f", row.astype(np.float32).tobytes()) for row in matrix]
    else:
        vectors = [matrix[place : place + 1] for place in range(matrix.shape[0])]
    found = dict(zip(different, vectors, strict=True))
    return [tuple(found[text] for text in texts) for texts in rows]
