"""Numbers are learnt alike whatever their unit, and what is written answers in the user's unit, in Hugging Face too."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.tiny import make_tiny_trunk
from tunesmith import api, artifact, base_models
from tunesmith.contracts import HeadSpec, Labels
from tunesmith.evaluation import intervals
from tunesmith.model_loading import load_model, quiet_transformers
from tunesmith.tasks import make_task

WORTH = {"good": 3.0, "great": 4.0, "fine": 2.0, "lovely": 3.5, "bad": -3.0, "awful": -4.0, "poor": -2.0, "ugly": -3.5}
SETTINGS = ["train.epochs=8", "train.learning_rate=3e-3", "task.kind=number", "evaluate.baselines=false"]
SETTINGS += ["evaluate.resamples=100", "model.dropout=0", "train.batch_size=16", "train.checkpoint_seconds=600"]


def make_rows(count: int, scale: float, offset: float) -> list[dict[str, Any]]:
    """Two words of known worth in a row; the label is their sum, in some unit."""
    draw, rows = random.Random(0), list[dict[str, Any]]()
    for place in range(count):
        first, second = draw.choice(list(WORTH)), draw.choice(list(WORTH))
        text = f"the film was {first} and the book was {second} {place % 10}"
        rows.append({"text": text, "label": offset + scale * (WORTH[first] + WORTH[second])})
    return rows


def fit(trunk: Path, out: Path, scale: float, offset: float, *settings: str) -> api.Result:
    return api.fit(make_rows(240, scale, offset), out=out, settings=[f"model.name={trunk}", *SETTINGS, *settings])


def score(result: api.Result, name: str) -> float:
    return float(result.metrics["scores"][name]["value"])


@pytest.fixture(scope="module")
def plain(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> api.Result:
    """Labels around 0."""
    return fit(tiny_bert, tmp_path_factory.mktemp("plain") / "out", 1, 0, "train.precision=fp32")


@pytest.mark.parametrize(("scale", "offset"), [(100.0, 100_000.0), (0.001, 0.0), (1.0, -2000.0)])
def test_the_unit_of_the_labels_does_not_matter(
    tiny_bert: Path, tmp_path: Path, plain: api.Result, scale: float, offset: float
) -> None:
    assert score(plain, "r2") > 0.8, "this can be learnt"
    result = fit(tiny_bert, tmp_path, scale, offset, "train.precision=fp32")
    assert score(result, "r2") == pytest.approx(score(plain, "r2"), abs=0.01)
    assert score(result, "rmse") == pytest.approx(scale * score(plain, "rmse"), rel=0.05)
    texts = [row["text"] for row in make_rows(8, 1, 0)]
    wanted = [offset + scale * answer.label for answer in api.load(plain.folder).predict(texts)]
    found = [answer.label for answer in api.load(tmp_path).predict(texts)]
    assert found == pytest.approx(wanted, abs=0.05 * scale)


def test_bf16_rounds_what_the_head_learns_and_not_the_unit(tiny_bert: Path, tmp_path: Path, plain: api.Result) -> None:
    result = fit(tiny_bert, tmp_path, 1.0, 1000.0, "train.precision=bf16")
    assert score(result, "r2") == pytest.approx(score(plain, "r2"), abs=0.05)


def test_the_model_before_tuning_is_judged_in_the_precision_of_answers(tiny_bert: Path, tmp_path: Path) -> None:
    short = ("train.max_steps=1", "evaluate.baselines=true")
    runs = [fit(tiny_bert, tmp_path / name, 1.0, 0.0, f"train.precision={name}", *short) for name in ("fp32", "bf16")]
    assert runs[0].metrics["baselines"] == runs[1].metrics["baselines"]


def test_losses_are_in_standard_deviations(plain: api.Result) -> None:
    lines = [json.loads(line) for line in (plain.folder / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[0] == pytest.approx(1, abs=0.6)
    task = make_task("text-classification", {"kind": "number"})
    labels = task.labels([task.Row(text="x", label=value) for value in (96.0, 104.0)])
    batch: Any = type("Batch", (), {"items": [type("Item", (), {"target": 100.0})()]})
    loss, units = task.loss({"logits": torch.tensor([[108.0]])}, batch, labels)
    assert (float(loss), units) == (4.0, 1.0)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        *(("bert", (f"method.name={method}",)) for method in ("full", "head", "lora")),
        ("bert", ("task.head=mlp",)),
        ("distilbert", ()),
        ("electra", ()),
        ("llama", ()),
        ("gpt2", ("method.name=head",)),
    ],
    ids=str,
)
def test_what_is_read_back_answers_in_the_users_unit(tmp_path: Path, family: str, settings: tuple[str, ...]) -> None:
    trunk = make_tiny_trunk(tmp_path / "trunk", family)
    result = fit(trunk, tmp_path / "out", 5.0, 300.0, "train.max_steps=6", "train.epochs=2", *settings)
    model = api.load(tmp_path / "out")
    texts = [row["text"] for row in make_rows(6, 1, 0)]
    found = [answer.label for answer in model.predict(texts)]
    assert all(250 < number < 350 for number in found)
    again = model.evaluate(make_rows(240, 5.0, 300.0), baselines=False, resamples=100)
    assert again["scores"]["rmse"]["value"] < 60
    assert score(result, "rmse") < 60


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert"])
def test_hugging_face_answers_in_the_users_unit(tmp_path: Path, family: str) -> None:
    trunk = make_tiny_trunk(tmp_path / "trunk", family)
    fit(trunk, tmp_path / "out", 5.0, 300.0, "train.max_steps=6", "train.epochs=2")
    model = api.load(tmp_path / "out")
    assert "outputs" not in model.artifact.facts
    texts = [row["text"] for row in make_rows(6, 1, 0)]
    hf = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        logits = hf(**tokenizer(texts, padding=True, return_tensors="pt")).logits[:, 0]
    assert [answer.label for answer in model.predict(texts)] == pytest.approx(logits.tolist(), rel=1e-5)
    assert (logits > 200).all()


def test_a_head_without_a_bias_keeps_its_offset_beside_it(tmp_path: Path) -> None:
    trunk = make_tiny_trunk(tmp_path / "trunk", "llama")
    fit(trunk, tmp_path / "out", 5.0, 300.0, "train.max_steps=6", "train.epochs=2")
    found = artifact.read_artifact(tmp_path / "out")
    assert found.facts["outputs"]["scale"] == 1.0
    assert found.facts["outputs"]["offset"] == pytest.approx(found.labels.statistics["mean"])
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"add {found.facts['outputs']['offset']:g}" in card


def test_folding_twice_is_folding_once(tiny_bert: Path) -> None:
    with quiet_transformers():
        model = load_model(base_models.resolve(str(tiny_bert)), HeadSpec("sequence", (), "regression"))
    model.eval()
    vectors = torch.randn(4, model.width)
    with torch.no_grad():
        raw = model.sequence_logits(vectors)
        model.set_units(3.0, -7.0)
        wanted = model.sequence_logits(vectors)
        torch.testing.assert_close(wanted, raw * 3 - 7)
        for _ in range(2):
            model.fold_outputs()
            assert not model.has_units
            torch.testing.assert_close(model.sequence_logits(vectors), wanted)


def test_a_constant_label_divides_by_nothing(tiny_bert: Path, tmp_path: Path) -> None:
    rows = [{**row, "label": 7.25} for row in make_rows(40, 1, 0)]
    result = api.fit(rows, out=tmp_path, settings=[f"model.name={tiny_bert}", *SETTINGS, "train.max_steps=2"])
    assert result.metrics["scores"]["rmse"]["value"] < 2


def test_labels_of_numbers_are_not_named(tiny_bert: Path) -> None:
    task = make_task("text-classification", {"kind": "number"})
    assert task.answers(task.Row(text="x", label=3), Labels((), (), "number")) == ()


def test_many_rows_are_drawn_fewer_times() -> None:
    draws = []

    def mean(predictions: Any, golds: Any) -> dict[str, float]:
        draws.append(len(predictions))
        return {"mean": float(np.mean(predictions))}

    for rows, wanted in ((5_000, 201), (50_000, 201), (200_000, 101)):
        draws.clear()
        found = intervals.bootstrap_rows(range(rows), range(rows), mean, resamples=200)
        assert (len(draws), set(draws)) == (wanted, {rows})
        assert found["mean"].low < found["mean"].value < found["mean"].high


@pytest.mark.parametrize(("family", "has_bias"), [("bert", True), ("gpt2", False)])
def test_several_labels_start_at_their_shares(tmp_path: Path, family: str, has_bias: bool) -> None:
    """Without features the head gives each label as often as the training rows have it, if it can."""
    task = make_task("text-classification", {"kind": "multi"})
    labels = Labels(("rare", "usual"), (1, 80), "multi", {"rows": 99})
    model = load_model(base_models.resolve(str(make_tiny_trunk(tmp_path, family))), task.head(labels))
    model.eval()
    nothing = torch.zeros(1, model.width)
    before = model.sequence_logits(nothing)
    task.prepare_head(model, labels)
    wanted = torch.tensor([[2 / 101, 81 / 101]]) if has_bias else torch.sigmoid(before)
    torch.testing.assert_close(torch.sigmoid(model.sequence_logits(nothing)), wanted)
