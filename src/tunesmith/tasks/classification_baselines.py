"""Cheap competitors of a fine-tuned classifier: majority, TF-IDF + linear model, frozen trunk + probe.

They share four constructor arguments, so that the task decides what a row and an answer look like:

- kind: "single" (one label a row), "multi" (a set of labels) or "number". - texts_of: row → its text, or its
two texts, as a tuple. - target_of: labelled row → label name, list of names, or number. - answer: (value,
probabilities) → the task's Prediction; value is what target_of gives, probabilities label → p, or
  None for numbers.

All are deterministic, and bounded in time: above a number of rows that shrinks with the number of classes
they learn from a seeded sample. Where there is nothing to learn from (one class, no word) they answer as the
majority does. scikit-learn is imported when first used: it costs two seconds.
"""

from __future__ import annotations

import random
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Features
from tunesmith.errors import DataError

Answer = Callable[[Any, dict[str, float] | None], Any]
Floats = NDArray[np.floating[Any]]
Truth = NDArray[np.bool_]
"""(N, C): which class holds in which row."""

_SEED = 13
_ROWS = 100_000
"""Most rows learned from."""
_DECISIONS = 5_000_000
"""Most rows times classes: one yes/no classifier is fitted for each class."""
_CHARACTERS = 5_000
"""Of each text only so many are read; a model's 512 tokens are about 2,500."""
_TERMS = 50_000
"""Largest vocabulary of TF-IDF: the most frequent terms."""
_TFIDF_C = 10.0
"""Weak regularisation, because TF-IDF rows have length 1; 1 was 1 to 4 points worse on five public sets."""
_PROBE_C = (0.01, 0.1, 1.0)
"""Tried on a held-out fifth; the middle one where rows are too few to hold any out."""
_PROBE_ROWS = 10_000
"""Most rows used to choose among them."""
_PROBE_ALPHAS = tuple(10.0**power for power in range(-1, 6))
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")


@dataclass(frozen=True)
class Majority:
    """Always the most frequent answer; of sets, the labels of more than half the rows; of numbers, the mean.

    Where no label stands in more than half of the rows, the most frequent set is the answer.
    """

    kind: str
    texts_of: Callable[[Any], tuple[str, ...]]
    target_of: Callable[[Any], Any]
    answer: Answer

    name = "majority"
    title = "majority class"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Answer each of `rows` alike. Raises DataError when there is no training row."""
        if not train:
            raise DataError("no training row to learn from", fix="pass at least one labelled row")
        targets = [self.target_of(row) for row in train]
        if self.kind == "number":
            value: Any = float(np.mean(targets))
            return [self.answer(value, None) for _ in rows]
        sets = [tuple(sorted(_as_set(target))) for target in targets]
        shares = {name: count / len(sets) for name, count in sorted(Counter(n for s in sets for n in s).items())}
        value = _most_frequent(sets)[0] if self.kind == "single" else _usual_set(sets, shares)
        return [self.answer(value, dict(shares)) for _ in rows]


@dataclass(frozen=True)
class TfidfLogistic:
    """A linear model on TF-IDF of words and word pairs; of 1 to 3 characters where most letters are CJK.

    A pair of texts is the vectors of both, their absolute difference and their product. Labels: one logistic
    regression a class; numbers: ridge regression.
    """

    kind: str
    texts_of: Callable[[Any], tuple[str, ...]]
    target_of: Callable[[Any], Any]
    answer: Answer

    name = "tfidf"
    title = "TF-IDF + linear model"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Learn from `train` and answer each of `rows`. Raises DataError when there is no training row."""
        fallback = Majority(self.kind, self.texts_of, self.target_of, self.answer)
        targets = [self.target_of(row) for row in train]
        names = _names(self.kind, targets)
        if not rows or not _learnable(self.kind, names, targets):
            return fallback.predict(train, rows, features)
        kept = _sample(len(train), len(names))
        vectors = _tfidf([self.texts_of(train[i]) for i in kept], [self.texts_of(row) for row in rows])
        if vectors is None:
            return fallback.predict(train, rows, features)
        if self.kind == "number":
            numbers = _ridge_sparse(vectors[0], [targets[i] for i in kept], vectors[1])
            return [self.answer(float(number), None) for number in numbers]
        truth = _truth([targets[i] for i in kept], names)
        return _answers(self.kind, self.answer, names, _logistic_sparse(self.kind, *vectors, truth))


@dataclass(frozen=True)
class FrozenProbe:
    """The model before fine-tuning: standardised features of the untouched trunk, and a linear model on them.

    The strength of regularisation is chosen on a seeded, held-out fifth of the training rows. `features`
    gives a pair of texts as one vector.
    """

    kind: str
    texts_of: Callable[[Any], tuple[str, ...]]
    target_of: Callable[[Any], Any]
    answer: Answer

    name = "frozen"
    title = "before fine-tuning (frozen model + linear probe)"

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Learn from `train` and answer each of `rows`. Raises DataError when there is no training row."""
        targets = [self.target_of(row) for row in train]
        names = _names(self.kind, targets)
        if not rows or not _learnable(self.kind, names, targets):
            fallback = Majority(self.kind, self.texts_of, self.target_of, self.answer)
            return fallback.predict(train, rows, features)
        kept = _sample(len(train), len(names))
        known, asked = _standardised(features.rows([train[i] for i in kept]), features.rows(rows))
        if self.kind == "number":
            numbers = _ridge_dense(known, [targets[i] for i in kept], asked)
            return [self.answer(float(number), None) for number in numbers]
        truth = _truth([targets[i] for i in kept], names)
        strength = _chosen_strength(self.kind, known, truth)
        return _answers(self.kind, self.answer, names, _logistic_dense(self.kind, known, asked, truth, strength))


def _as_set(target: Any) -> list[str]:
    return [target] if isinstance(target, str) else list(target)


def _most_frequent(sets: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    counts = Counter(sets)
    return min(counts, key=lambda names: (-counts[names], names))


def _usual_set(sets: Sequence[tuple[str, ...]], shares: dict[str, float]) -> list[str]:
    usual = [name for name, share in shares.items() if share > 0.5]
    return usual or list(_most_frequent(sets))


def _names(kind: str, targets: Sequence[Any]) -> list[str]:
    return [] if kind == "number" else sorted({name for target in targets for name in _as_set(target)})


def _learnable(kind: str, names: Sequence[str], targets: Sequence[Any]) -> bool:
    """Say whether the targets differ at all."""
    if kind == "number":
        return len(set(targets)) > 1
    return len(names) > 1 if kind == "single" else len({frozenset(target) for target in targets}) > 1


def _sample(rows: int, classes: int) -> list[int]:
    """Return the indices learned from, in order."""
    limit = min(_ROWS, _DECISIONS // max(classes, 1))
    return list(range(rows)) if rows <= limit else sorted(random.Random(_SEED).sample(range(rows), limit))


def _truth(targets: Sequence[Any], names: Sequence[str]) -> Truth:
    column = {name: index for index, name in enumerate(names)}
    truth = np.zeros((len(targets), len(names)), dtype=np.bool_)
    for index, target in enumerate(targets):
        truth[index, [column[name] for name in _as_set(target)]] = True
    return truth


def _answers(kind: str, answer: Answer, names: Sequence[str], probabilities: Floats) -> list[Any]:
    found = []
    for row in probabilities.tolist():
        likely: Any = [name for name, p in zip(names, row, strict=True) if p >= 0.5]
        if kind == "single":
            likely = names[row.index(max(row))]
        found.append(answer(likely, dict(zip(names, row, strict=True))))
    return found


def _tfidf(known: Sequence[tuple[str, ...]], asked: Sequence[tuple[str, ...]]) -> tuple[Any, Any] | None:
    """Return the sparse vectors of both sets, or None where the known texts hold no term."""
    width = max(map(len, (*known, *asked)))
    known, asked = _clipped(known, width), _clipped(asked, width)
    vectorizer = fit_tfidf([text for row in known for text in row])
    return None if vectorizer is None else (_combined(vectorizer, known), _combined(vectorizer, asked))


def fit_tfidf(texts: Sequence[str], longest: int = 2) -> Any:
    """Weigh runs of 1 to `longest` words, or 1 to 3 characters where most letters are CJK; None: there are none."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    terms: dict[str, Any] = {"analyzer": "word", "ngram_range": (1, longest), "token_pattern": r"(?u)\b\w+\b"}
    if _mostly_cjk(texts):
        terms = {"analyzer": "char", "ngram_range": (1, 3)}
    vectorizer = TfidfVectorizer(**terms, sublinear_tf=True, max_features=_TERMS)
    analyze = vectorizer.build_analyzer()
    if not any(analyze(text) for text in texts):
        return None
    return vectorizer.fit(texts)


def _clipped(rows: Sequence[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Shorten long texts; where some rows are pairs, the others get an empty second text."""
    return [tuple(text[:_CHARACTERS] for text in (*row, *[""] * (width - len(row)))) for row in rows]


def _combined(vectorizer: Any, rows: Sequence[tuple[str, ...]]) -> Any:
    from scipy.sparse import hstack

    sides = [vectorizer.transform(side) for side in zip(*rows, strict=True)]
    if len(sides) == 2:
        sides += [abs(sides[0] - sides[1]), sides[0].multiply(sides[1])]
    return hstack(sides, format="csr")


def _mostly_cjk(texts: Sequence[str]) -> bool:
    """Say whether most letters are Chinese, Japanese or Korean; at most some 2,000 texts are looked at."""
    seen = "".join(texts[:: max(1, len(texts) // 2000)])
    return len(_CJK.findall(seen)) * 2 > sum(map(str.isalpha, seen))


def _logistic_sparse(kind: str, known: Any, asked: Any, truth: Truth) -> Floats:
    """Fit one yes/no classifier a class: on sparse rows 3 to 8 times as fast as one softmax, and no worse."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=_TFIDF_C, solver="liblinear", random_state=_SEED)
    if kind == "single" and truth.shape[1] == 2:
        second = _one_by_one(model, known, asked, truth[:, 1:])
        return np.hstack([1 - second, second])
    found = _one_by_one(model, known, asked, truth)
    return found if kind == "multi" else found / np.maximum(found.sum(axis=1, keepdims=True), 1e-300)


def _logistic_dense(kind: str, known: Floats, asked: Floats, truth: Truth, strength: float) -> Floats:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, tol=1e-3, max_iter=200)
    if kind == "multi":
        return _one_by_one(model, known, asked, truth)
    found = np.zeros((len(asked), truth.shape[1]))
    with _unfinished_allowed():
        model.fit(known, truth.argmax(axis=1))
    found[:, model.classes_] = model.predict_proba(asked)
    return found


def _one_by_one(model: Any, known: Any, asked: Any, truth: Truth) -> Floats:
    """Return (B, C), one classifier a class; one that always or never holds is a constant."""
    found = np.empty((asked.shape[0], truth.shape[1]))
    for column, holds in enumerate(truth.T):
        if holds.all() or not holds.any():
            found[:, column] = float(holds[0])
            continue
        with _unfinished_allowed():
            model.fit(known, holds)
        found[:, column] = model.predict_proba(asked)[:, 1]
    return found


@contextmanager
def _unfinished_allowed() -> Iterator[None]:
    """Silence the warning that an optimizer stopped at its last iteration: good enough for a baseline."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _chosen_strength(kind: str, known: Floats, truth: Truth) -> float:
    """Return the C with the lowest held-out cross-entropy."""
    order = np.random.default_rng(_SEED).permutation(len(known))[:_PROBE_ROWS]
    held_out, kept = np.sort(order[: len(order) // 5]), np.sort(order[len(order) // 5 :])
    if len(held_out) < 8 or (kind == "single" and np.count_nonzero(truth[kept].any(axis=0)) < 2):
        return _PROBE_C[1]

    def cross_entropy(strength: float) -> float:
        found = _logistic_dense(kind, known[kept], known[held_out], truth[kept], strength).clip(1e-6, 1 - 1e-6)
        yes, no = np.log(found)[truth[held_out]].sum(), np.log1p(-found)[~truth[held_out]].sum()
        return -float(yes + no) if kind == "multi" else -float(yes)

    return min(_PROBE_C, key=cross_entropy)


def _standardised(known: Any, asked: Any) -> tuple[Floats, Floats]:
    """Return both with mean 0 and deviation 1 over the known rows; dimensions that do not vary become 0."""
    known, asked = np.asarray(known, dtype=np.float32), np.asarray(asked, dtype=np.float32)
    mean, deviation = known.mean(axis=0, dtype=np.float64), known.std(axis=0, dtype=np.float64)
    # Trained encoders have dimensions that are constant but for rounding: dividing by it would blow up noise.
    varies = deviation > 1e-6 * np.maximum(np.abs(mean), deviation.max())
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varies)
    # float32 halves the memory; its rounding is far below the tolerance at which the optimizers stop.
    return ((known - mean) * scale).astype(np.float32), ((asked - mean) * scale).astype(np.float32)


def _ridge_sparse(known: Any, targets: Sequence[float], asked: Any) -> Floats:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=1.0, solver="sparse_cg").fit(known, np.asarray(targets, dtype=np.float64))
    return np.asarray(model.predict(asked), dtype=np.float64)


def _ridge_dense(known: Floats, targets: Sequence[float], asked: Floats) -> Floats:
    from sklearn.linear_model import RidgeCV

    model = RidgeCV(alphas=_PROBE_ALPHAS).fit(known.astype(np.float64), np.asarray(targets, dtype=np.float64))
    return np.asarray(model.predict(asked), dtype=np.float64)
