"""TextClassifier: the same fine-tuning as a scikit-learn estimator, for pipelines, grids and cross-validation."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from tunesmith import api
from tunesmith.errors import DataError
from tunesmith.tasks.classification_labels import as_whole

KIND = "text-classification"


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fine-tunes a language model on texts, or pairs of texts, that have one label each.

    X is a list, array or Series of texts, or of pairs of texts (a sequence of two, a DataFrame or array of two
    columns). y holds strings, integers or booleans. A tenth of the rows is held out inside `fit` to pick the best
    weights; the score for you to report is that of rows which `fit` did not see.

    Args:
        model: base model: a hub id, a folder, minilm or zh-classics.
        method: how it is tuned: "full" or "head".
        epochs: passes over the rows.
        learning_rate: the highest one; None: a rule of the model's width and the method.
        seed: order of rows, dropout, new weights, what is held out.
        settings: any other "section.key=value".
        folder: where the model is kept; None: a temporary folder that goes with the estimator.

    Attributes:
        classes_: (C,) the labels, sorted, as they stood in y.
        predictor_: the fine-tuned model.
        result_: what the fit gave, metrics and folder among it; its scores are of the rows held out.

    Example:
        >>> classifier = TextClassifier(epochs=3)
        >>> classifier.fit(["good", "bad"] * 20, ["+", "-"] * 20).predict(["good"])  # doctest: +SKIP
        array(['+'], dtype='<U1')
    """

    def __init__(
        self,
        model: str = "minilm",
        *,
        method: str = "full",
        epochs: float = 5.0,
        learning_rate: float | None = None,
        seed: int = 13,
        settings: Sequence[str] = (),
        folder: str | None = None,
    ) -> None:
        self.model = model
        self.method = method
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.seed = seed
        self.settings = settings
        self.folder = folder

    def fit(self, X: Any, y: Any) -> TextClassifier:
        """Fine-tune on texts X (n,) or pairs (n, 2) and labels y (n,).

        Raises:
            DataError: the two differ in length, or a text or label cannot be used.
        """
        rows, labels = _rows(X), np.asarray(y)
        if labels.ndim != 1 or len(rows) != len(labels):
            raise DataError(f"{len(rows)} texts and labels of shape {labels.shape}, wanted as many of each")
        self.classes_, places = np.unique(labels, return_inverse=True)
        self._names = _class_names(self.classes_)
        labelled = [{**row, "label": self._names[place]} for row, place in zip(rows, places, strict=True)]
        out = self.folder or self._make_folder()
        self.result_ = api.fit(labelled, out=out, config=self._config(), settings=list(self.settings))
        self.predictor_ = api.load(self.result_.folder)
        return self

    def _make_folder(self) -> str:
        """A folder that goes when this estimator does."""
        folder = tempfile.mkdtemp(prefix="tunesmith-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _config(self) -> dict[str, Any]:
        return {
            "model": {"name": self.model},
            "task": {"name": KIND, "kind": "single"},
            "method": {"name": self.method},
            "train": {"epochs": self.epochs, "learning_rate": self.learning_rate, "seed": self.seed},
            "evaluate": {"baselines": False},
            "output": {"overwrite": True},
        }

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities (n, C) in the order of `classes_`."""
        check_is_fitted(self, "predictor_")
        answers = self.predictor_.predict(_rows(X))
        rows = [[answer.probabilities[name] for name in self._names] for answer in answers]
        return np.array(rows, dtype=np.float64).reshape(-1, len(self.classes_))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label of each text: (n,)."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "predictor_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = True
        tags.input_tags.one_d_array = True
        return tags


def _class_names(classes: NDArray[Any]) -> list[str]:
    """How the folder names the classes: as they are, or numbered where that would not tell them apart."""
    names = [str(name).strip() for name in classes]
    if len(set(map(as_whole, names))) == len(names) and all(names):
        return names
    return [f"class {place}" for place in range(len(names))]


def _rows(X: Any) -> list[dict[str, str]]:
    """Texts or pairs of texts as rows.

    Raises:
        DataError: it is one text, or an item is neither a text nor a pair.
    """
    if isinstance(X, str):
        raise DataError("X is one text, wanted a list of texts", fix="put it in brackets: [text]")
    items: Iterable[Any] = X.to_numpy() if hasattr(X, "to_numpy") else X
    return [_row(item, place) for place, item in enumerate(items)]


def _row(item: Any, place: int) -> dict[str, str]:
    if isinstance(item, str):
        return {"text": str(item)}
    parts = list(item) if isinstance(item, (list, tuple, np.ndarray)) else []
    if len(parts) in (1, 2) and all(isinstance(part, str) for part in parts):
        return dict(zip(("text", "text_b"), map(str, parts), strict=False))
    raise DataError(f"item {place} of X is {item!r:.80}, wanted a text or a pair of texts")
