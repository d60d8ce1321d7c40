"""The scikit-learn estimator: the same core behind fit, predict, clone, pipelines, folds and grids."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.tiny import make_rows
from tunesmith.errors import DataError
from tunesmith.estimator import TextClassifier

ROWS = make_rows(60)
TEXTS = [row["text"] for row in ROWS]
LABELS = [row["label"] for row in ROWS]
QUICK = ("train.batch_size=8", "evaluate.resamples=100", "model.dropout=0", "task.pooling=mean")
QUICK += ("evaluate.per_epoch=0.25",)


@pytest.fixture
def classifier(tiny_bert: Path) -> TextClassifier:
    return TextClassifier(str(tiny_bert), epochs=12, learning_rate=1e-2, settings=QUICK)


def test_fit_and_predict_strings(classifier: TextClassifier) -> None:
    fitted = classifier.fit(TEXTS[:40], LABELS[:40])
    assert fitted is classifier
    assert fitted.classes_.tolist() == ["negative", "positive"]
    probabilities = fitted.predict_proba(TEXTS[40:])
    assert probabilities.shape == (20, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert fitted.predict(TEXTS[40:]).tolist() == fitted.classes_[probabilities.argmax(axis=1)].tolist()
    assert fitted.score(TEXTS[40:], LABELS[40:]) > 0.9


@pytest.mark.parametrize("labels", [(10, 9), (True, False), (" a", "a")])
def test_labels_come_back_as_they_were(classifier: TextClassifier, labels: tuple[Any, Any]) -> None:
    wanted = [labels[place % 2] for place in range(40)]
    fitted = classifier.fit(np.array(TEXTS[:40]), wanted)
    answers = fitted.predict(TEXTS[:10])
    assert fitted.classes_.tolist() == sorted(set(wanted))
    assert answers.dtype == np.array(wanted).dtype
    assert np.mean(answers == np.array(wanted[:10])) > 0.7


def test_pairs_are_texts_and_their_partners(classifier: TextClassifier) -> None:
    pairs = [[text, "the song was fine"] for text in TEXTS[:40]]
    fitted = classifier.set_params(epochs=1).fit(np.array(pairs), LABELS[:40])
    alone = fitted.predict_proba([pair[0] for pair in pairs[:4]])
    assert not np.allclose(fitted.predict_proba(pairs[:4]), alone)


def test_parameters_are_only_stored(classifier: TextClassifier) -> None:
    settings = ["train.batch_size=8"]
    made = TextClassifier(settings=settings, folder="x")
    assert made.get_params()["settings"] is settings
    copy = clone(classifier)
    assert copy.get_params() == classifier.get_params()
    assert copy.set_params(epochs=2).epochs == 2
    assert is_classifier(made)
    with pytest.raises(NotFittedError):
        made.predict(["a"])


def test_folds_and_pipelines(classifier: TextClassifier) -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    scores = cross_val_score(make_pipeline(lower, classifier), TEXTS[:40], LABELS[:40], cv=2)
    assert scores.shape == (2,)
    assert scores.mean() > 0.7


def test_grid_search_chooses_what_learns(classifier: TextClassifier) -> None:
    grid = GridSearchCV(classifier, {"epochs": [0.2, 12]}, cv=2, error_score="raise")
    grid.fit(TEXTS[:40], LABELS[:40])
    assert grid.best_params_ == {"epochs": 12}
    assert grid.predict(TEXTS[:2]).shape == (2,)


def test_the_model_stays_where_it_was_wished(classifier: TextClassifier, tmp_path: Path) -> None:
    fitted = classifier.set_params(folder=str(tmp_path / "kept"), epochs=1).fit(TEXTS[:40], LABELS[:40])
    assert (tmp_path / "kept" / "tunesmith.json").is_file()
    assert fitted.result_.folder == tmp_path / "kept"


def test_a_temporary_folder_goes_with_the_estimator(tiny_bert: Path) -> None:
    fitted = TextClassifier(str(tiny_bert), epochs=1, settings=QUICK).fit(TEXTS[:40], LABELS[:40])
    folder = fitted.result_.folder
    assert folder.is_dir()
    del fitted
    assert not folder.exists()


@pytest.mark.parametrize(
    ("texts", "labels", "said"),
    [
        ("one text", ["a"], "one text"),
        (["a", "b"], ["x"], "as many of each"),
        (["a", 3], ["x", "y"], "item 1 of X is 3"),
    ],
)
def test_what_cannot_be_used_is_named(classifier: TextClassifier, texts: Any, labels: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        classifier.fit(texts, labels)
