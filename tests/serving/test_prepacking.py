"""Weights in the processor's layout: every trunk answers as before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import base_models, engine, inference
from tunesmith.contracts import Labels
from tunesmith.errors import UserError
from tunesmith.model_loading import load_model
from tunesmith.serving import hosting, prepacking
from tunesmith.serving.hosting import load_hosted
from tunesmith.tasks import make_task

LABELS = Labels(("negative", "positive"), (1, 1), "single")
NEEDS = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@NEEDS
@pytest.mark.parametrize(("precision", "apart"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize(
    "family", ["bert", "roberta", "distilbert", "albert", "modernbert", "deberta-v2", "llama", "gpt2"]
)
def test_every_trunk_answers_as_before(tmp_path: Path, family: str, precision: torch.dtype, apart: float) -> None:
    task = make_task("text-classification", {})
    folder = make_tiny_trunk(tmp_path / family, family)
    model = load_model(base_models.resolve(str(folder)), task.head(LABELS))
    rows = [task.Row(**row) for row in make_rows(20)]
    before = inference.predict_rows(model, task, rows, LABELS)
    count = prepacking.prepack(model, precision)
    after = inference.predict_rows(model, task, rows, LABELS)
    assert (count > 0) is (family != "gpt2")  # which has layers of its own kind
    for one, other in zip(before, after, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=apart)


@NEEDS
def test_bf16_rounds_and_says_so(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    exact = load_hosted([str(folders["reviews"])])["reviews"]
    monkeypatch.setattr(engine, "choose_precision", lambda wished, device: torch.bfloat16)
    rounded = load_hosted([str(folders["reviews"])], "bf16")["reviews"]
    assert (exact.describe()["precision"], rounded.describe()["precision"]) == ("fp32", "bf16")
    rows = [exact.task.Row(**exact.sample_row())]
    one, other = (hosted.answer(rows, 64)[0].probabilities for hosted in (exact, rounded))
    assert one != other
    assert one == pytest.approx(other, abs=2e-2)


def test_what_cannot_be_laid_out_is_cast_in_each_pass(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "choose_precision", lambda wished, device: torch.bfloat16)
    monkeypatch.setattr(hosting, "prepack", lambda model, precision: 0)
    hosted = load_hosted([str(folders["reviews"])], "bf16")["reviews"]
    exact = load_hosted([str(folders["reviews"])])["reviews"]
    rows = [hosted.task.Row(**hosted.sample_row())]
    one, other = (host.answer(rows, 64)[0].probabilities for host in (exact, hosted))
    assert hosted.autocast
    assert one != other
    assert one == pytest.approx(other, abs=2e-2)


def test_bf16_on_a_processor_without_it_is_refused(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "choose_precision", lambda wished, device: torch.float32)
    with pytest.raises(UserError, match="bf16 was asked for") as caught:
        load_hosted([str(folders["reviews"])], "bf16")
    assert "--precision" in str(caught.value.fix)


@NEEDS
def test_a_layer_without_bias_and_odd_sizes() -> None:
    for layer in (nn.Linear(7, 13, bias=False), nn.Linear(64, 1), nn.Linear(1, 5)):
        packed = prepacking.pack_layer(layer)
        assert packed is not None
        rows = torch.randn(2, 31, layer.in_features)
        with torch.inference_mode():
            assert torch.allclose(packed(rows), layer(rows), atol=1e-5)


def test_what_torch_cannot_stays(monkeypatch: pytest.MonkeyPatch, tiny_bert: Path) -> None:
    def broken(layer: nn.Linear, precision: torch.dtype) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(prepacking, "PackedLinear", broken)
    task = make_task("text-classification", {})
    model = load_model(base_models.resolve(str(tiny_bert)), task.head(LABELS))
    assert prepacking.prepack(model) == 0
    assert not [m for m in model.modules() if "Packed" in type(m).__name__]
