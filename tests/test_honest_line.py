"""What stands beside the model's score is honest: competitors learn from its training rows, no others."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import make_rows
from tunesmith import api
from tunesmith.config import EvaluateSection
from tunesmith.contracts import Features
from tunesmith.tasks.text_classification import ClassificationPrediction, TextClassification

ROWS = make_rows(60)
SETTINGS = ["train.max_steps=2", "evaluate.resamples=100"]


class Recorder:
    """A competitor that learns by heart and is wrong on purpose otherwise, so what it saw shows in its score."""

    name = "recorder"
    title = "learns by heart"

    def __init__(self) -> None:
        self.train: list[Any] = []
        self.asked: list[Any] = []

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        self.train, self.asked = list(train), list(rows)
        known = {row.text: row.label for row in train}
        wrong = {"positive": "negative", "negative": "positive"}
        return [ClassificationPrediction(label=known.get(row.text, wrong[row.label])) for row in rows]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr(TextClassification, "baselines", lambda self, labels: [made])
    return made


def write(path: Path, rows: Sequence[dict[str, str]]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def texts(rows: Sequence[Any]) -> list[str]:
    return [row["text"] if isinstance(row, dict) else row.text for row in rows]


def test_competitors_never_see_a_development_row(tiny_bert: Path, tmp_path: Path, recorder: Recorder) -> None:
    """Every text stands twice, so that one on both sides would be known by heart."""
    result = api.fit([*ROWS, *ROWS], out=tmp_path, settings=[f"model.name={tiny_bert}", *SETTINGS])
    assert len(recorder.train) + len(recorder.asked) == 120
    assert recorder.asked
    assert not set(texts(recorder.train)) & set(texts(recorder.asked))
    assert result.metrics["baselines"]["recorder"]["accuracy"]["value"] == 0


def test_competitors_learn_from_exactly_the_training_rows(tiny_bert: Path, tmp_path: Path, recorder: Recorder) -> None:
    api.fit(ROWS[:40], dev=ROWS[40:], out=tmp_path, settings=[f"model.name={tiny_bert}", *SETTINGS])
    assert texts(recorder.train) == texts(ROWS[:40])
    assert texts(recorder.asked) == texts(ROWS[40:])


def test_evaluate_has_them_learn_from_the_training_part_of_the_file(
    tiny_bert: Path, tmp_path: Path, recorder: Recorder
) -> None:
    path = write(tmp_path / "train.csv", ROWS[:40])
    api.fit(path, out=tmp_path / "out", settings=[f"model.name={tiny_bert}", *SETTINGS])
    at_fit = texts(recorder.train)
    report = api.evaluate(tmp_path / "out", ROWS[40:], resamples=100)
    assert texts(recorder.train) == at_fit
    assert len(at_fit) == 36
    assert texts(recorder.asked) == texts(ROWS[40:])
    assert report["baselines"]["recorder"]["accuracy"]["value"] == 0


@pytest.mark.parametrize("change", ["a row more", "a label", "gone"])
def test_a_training_file_that_changed_gives_no_competitors(tiny_bert: Path, tmp_path: Path, change: str) -> None:
    path = Path(write(tmp_path / "train.csv", ROWS[:40]))
    api.fit(str(path), out=tmp_path / "out", settings=[f"model.name={tiny_bert}", *SETTINGS])
    content = path.read_text()
    if change == "gone":
        path.unlink()
    else:
        path.write_text(content + "one more,negative\n" if change == "a row more" else content.replace("positive", "x"))
    report = api.evaluate(tmp_path / "out", ROWS[40:], resamples=100)
    assert report["baselines"] == {}
    assert "gain" not in report
    assert ("does not exist" if change == "gone" else "is not what it was") in report["baselines_missing"]


def test_the_gain_is_over_the_competitor_that_is_the_untouched_model(tiny_bert: Path, tmp_path: Path) -> None:
    result = api.fit(ROWS[:40], dev=ROWS[40:], out=tmp_path, settings=[f"model.name={tiny_bert}", *SETTINGS])
    before = result.metrics["baselines"]["frozen"]["accuracy"]["value"]
    assert result.metrics["gain"]["value"] == pytest.approx(result.headline - before)


def test_the_probe_learns_from_a_part_only_where_rows_are_many(
    tiny_bert: Path, tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert EvaluateSection().probe_rows == 10_000
    monkeypatch.setattr(Recorder, "name", "frozen")
    settings = [f"model.name={tiny_bert}", *SETTINGS, "evaluate.probe_rows=15"]
    api.fit(ROWS[:40], dev=ROWS[40:], out=tmp_path, settings=settings)
    assert len(recorder.train) == 15
    assert set(texts(recorder.train)) < set(texts(ROWS[:40]))
