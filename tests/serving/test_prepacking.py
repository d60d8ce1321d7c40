"""Weights in the processor's layout: every trunk answers as before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import base_models, inference
from tunesmith.contracts import Labels
from tunesmith.model_loading import load_model
from tunesmith.serving import prepacking
from tunesmith.tasks import make_task

LABELS = Labels(("negative", "positive"), (1, 1), "single")
NEEDS = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@NEEDS
@pytest.mark.parametrize(
    "family", ["bert", "roberta", "distilbert", "albert", "modernbert", "deberta-v2", "llama", "gpt2"]
)
def test_every_trunk_answers_as_before(tmp_path: Path, family: str) -> None:
    task = make_task("text-classification", {})
    folder = make_tiny_trunk(tmp_path / family, family)
    model = load_model(base_models.resolve(str(folder)), task.head(LABELS))
    rows = [task.Row(**row) for row in make_rows(20)]
    before = inference.predict_rows(model, task, rows, LABELS)
    count = prepacking.prepack(model)
    after = inference.predict_rows(model, task, rows, LABELS)
    assert (count > 0) is (family != "gpt2")  # which has layers of its own kind
    for one, other in zip(before, after, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


@NEEDS
def test_a_layer_without_bias_and_odd_sizes() -> None:
    for layer in (nn.Linear(7, 13, bias=False), nn.Linear(64, 1), nn.Linear(1, 5)):
        packed = prepacking.pack_layer(layer)
        assert packed is not None
        rows = torch.randn(2, 31, layer.in_features)
        with torch.inference_mode():
            assert torch.allclose(packed(rows), layer(rows), atol=1e-5)


def test_what_torch_cannot_stays(monkeypatch: pytest.MonkeyPatch, tiny_bert: Path) -> None:
    def broken(layer: nn.Linear) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(prepacking, "PackedLinear", broken)
    task = make_task("text-classification", {})
    model = load_model(base_models.resolve(str(tiny_bert)), task.head(LABELS))
    assert prepacking.prepack(model) == 0
    assert not [m for m in model.modules() if "Packed" in type(m).__name__]
