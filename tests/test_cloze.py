"""Text classification by a cloze: fitted with any method, read back, as zero-shot before training; refusals."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import tunesmith as ts
from tests.test_zero_shot import make_language_model
from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import base_models, cli, inference
from tunesmith.contracts import Labels
from tunesmith.errors import ConfigError, DataError, ModelError
from tunesmith.model_loading import load_model
from tunesmith.tasks import cloze_sequences, make_task

ROWS = make_rows(48, ("bad", "good"))
WORDS = {"good": ["good", "too great"], "bad": "bad"}
SETTINGS = ["evaluate.resamples=100", "task.head=cloze", "task.words.good=[good, too great]"]


@pytest.fixture(scope="module")
def masked_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_language_model(tmp_path_factory.mktemp("models") / "bert", "bert")


@pytest.mark.parametrize("method", ["full", "head", "bitfit", "lora", "adapter", "prompt"])
def test_it_is_fitted_and_read_back(masked_model: Path, tmp_path: Path, method: str) -> None:
    settings = [*SETTINGS, f"model.name={masked_model}", f"method.name={method}", "train.epochs=1"]
    ts.fit(ROWS, out=tmp_path / "run", settings=settings)
    one, other = ts.load(tmp_path / "run"), ts.load(tmp_path / "run")
    answers = one.predict(["the meal was good", "the phone was bad"])
    assert answers == other.predict(["the meal was good", "the phone was bad"])
    assert set(answers[0].probabilities) == {"good", "bad"}
    assert "It loads with Tunesmith only" in (tmp_path / "run" / "README.md").read_text(encoding="utf-8")


def test_it_learns(masked_model: Path, tmp_path: Path) -> None:
    settings = ["evaluate.resamples=100", "task.head=cloze", "task.template={text} it was {mask}"]
    settings += [f"model.name={masked_model}", "train.epochs=30", "train.learning_rate=5e-3"]
    ts.fit(make_rows(96, ("bad", "good")), out=tmp_path / "run", settings=settings)
    assert ts.evaluate(tmp_path / "run", make_rows(20, ("bad", "good")))["scores"]["accuracy"]["value"] > 0.9


def test_few_shot_pet_is_a_cloze_that_holds_nothing_out(masked_model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "few.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:8]), encoding="utf-8")
    words = ["fit", rows, "--few-shot", "pet", "--model", masked_model, "--out", tmp_path / "run"]
    done = CliRunner().invoke(cli.app, [*map(str, words), "--set", "train.epochs=2"])
    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "run" / "tunesmith.json").read_text(encoding="utf-8"))
    assert facts["head"]["form"] == "cloze"
    assert facts["data"]["dev_rows"] == 0
    assert ts.load(tmp_path / "run").predict(["the meal was good"])[0].label in ("good", "bad")


def test_pet_refuses_another_head_and_a_model_without_its_own(masked_model: Path, tmp_path: Path) -> None:
    settings = ["few_shot.name=pet", f"model.name={masked_model}"]
    with pytest.raises(ConfigError, match=r"--few-shot pet is task\.head=cloze"):
        ts.fit(ROWS, out=tmp_path / "run", settings=[*settings, "task.head=mlp"])
    with pytest.raises(ModelError, match="brings no trained head"):
        ts.fit(
            ROWS, out=tmp_path / "run", settings=["few_shot.name=pet", f"model.name={make_tiny_trunk(tmp_path / 'b')}"]
        )


def test_before_training_it_answers_as_zero_shot_does(masked_model: Path) -> None:
    """Without what labels get where there is no text: training learns that by itself."""
    labels = Labels(("bad", "good"), (1, 1))
    task = make_task("text-classification", {"head": "cloze", "template": "{text} it was {mask} .", "words": WORDS})
    model = load_model(base_models.resolve(str(masked_model)), task.head(labels)).eval()
    texts = ["the meal was good", "the phone was awful", "a day"]
    rows = [task.Row(text=text) for text in texts]
    plain = [answer.probabilities for answer in inference.predict_rows(model, task, rows, labels)]
    found = torch.tensor([[row["bad"], row["good"]] for row in plain]).log()
    judge = ts.zero_shot(masked_model, {"bad": "bad", "good": WORDS["good"]}, template="{text} it was {mask} .")
    answers = [answer.probabilities for answer in judge.predict(texts)]
    calibrated = torch.tensor([[row["bad"], row["good"]] for row in answers]).log()
    moved = (found - calibrated).diff(dim=1)[:, 0]  # by the same for every text
    assert torch.allclose(moved, moved[0].expand(3), atol=1e-4)
    assert not torch.allclose(found.diff(dim=1), found.diff(dim=1)[:1].expand(3, 1), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "rows", "error", "message"),
    [
        ({"pooling": "mean"}, ROWS, ConfigError, "task.pooling=mean has no effect"),
        ({"long_texts": "windows"}, ROWS, ConfigError, "task.long_texts=windows has no effect"),
        ({"template": "{text}"}, ROWS, ConfigError, "task.template: {mask} is missing"),
        ({"words": {"fine": "fine"}}, ROWS, ConfigError, "task.words names 'fine', which is no label"),
        ({}, [{"text": "a day", "label": 1.5}, {"text": "b", "label": 2.25}], DataError, "these labels are number"),
        ({}, [{"text": "a", "label": ["x"]}, {"text": "b", "label": ["y", "x"]}], DataError, "these labels are multi"),
    ],
)
def test_what_it_cannot_do_is_refused(options: Any, rows: Any, error: type[Exception], message: str) -> None:
    def find_labels() -> Any:
        task = make_task("text-classification", {"head": "cloze", **options})
        return task.labels([task.Row.model_validate(row) for row in rows])

    with pytest.raises(error) as caught:
        find_labels()
    assert message in str(caught.value)


def test_a_base_model_without_the_head_is_refused(tmp_path: Path) -> None:
    settings = [*SETTINGS, f"model.name={make_tiny_trunk(tmp_path / 'bert')}"]
    with pytest.raises(ModelError, match="brings no trained head for masked language modelling"):
        ts.fit(ROWS, out=tmp_path / "run", settings=settings)


def test_a_class_whose_word_the_model_lacks_is_refused(masked_model: Path, tmp_path: Path) -> None:
    settings = ["task.head=cloze", f"model.name={masked_model}"]
    with pytest.raises(ConfigError, match="lacks the word 'negative'"):
        ts.fit(make_rows(24), out=tmp_path / "run", settings=settings)


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(cloze_sequences).failed == 0
