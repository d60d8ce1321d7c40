"""LoRA beyond the contracts: PEFT reads it, targets are chosen, merging is exact on transposed layers too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import TEXTS, make_rows, make_tiny_trunk
from tunesmith import api, base_models
from tunesmith.contracts import HeadSpec
from tunesmith.errors import MethodError
from tunesmith.methods import make_method
from tunesmith.methods.lora import LowRank
from tunesmith.model import Model
from tunesmith.model_loading import load_model


def load(folder: Path, head: HeadSpec | None = None) -> Model:
    model = load_model(base_models.resolve(str(folder)), head or HeadSpec("sequence", ("a", "b", "c")))
    model.set_packed(False)
    return model


def noisy(model: Model) -> None:
    """Give every change a size, as training would."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # PEFT's, not ours
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "gpt2", "llama"])
@pytest.mark.parametrize("kind", ["sequence", "token"])
def test_peft_loads_it_with_equal_logits(family: str, kind: Any, tmp_path: Path) -> None:
    import peft
    import transformers

    trunk = make_tiny_trunk(tmp_path / family, family)
    rows = make_rows(16)
    options = ["train.max_steps=3", "train.learning_rate=0.01", "evaluate.baselines=false", "train.precision=fp32"]
    if kind == "token":
        rows = [{"text": row["text"], "entities": [{"start": 0, "end": 3, "label": "X"}]} for row in rows]
    config = {
        "model": {"name": str(trunk)},
        "method": {"name": "lora", "rank": 4},
        "task": {"name": "text-classification" if kind == "sequence" else "token-classification"},
    }
    api.fit(rows, dev=rows, out=tmp_path / "run", config=config, settings=options)
    ours = api.load(tmp_path / "run").model
    plain = {
        "sequence": transformers.AutoModelForSequenceClassification,
        "token": transformers.AutoModelForTokenClassification,
    }[kind].from_pretrained(trunk, num_labels=ours.head_spec.classes)
    if plain.config.pad_token_id is None:
        plain.config.pad_token_id = ours.tokenizer.pad_token_id
    theirs = peft.PeftModel.from_pretrained(plain, tmp_path / "run").eval()
    batch = ours.tokenizer([TEXTS[0]], return_tensors="pt")
    with torch.no_grad():
        ours.set_packed(False)
        wanted, got = ours.hf(**batch).logits, theirs(**batch).logits
    torch.testing.assert_close(got, wanted, atol=1e-6, rtol=0)
    assert float(wanted.abs().max()) > 0


@pytest.mark.parametrize("family", ["bert", "gpt2", "albert"])
def test_merged_weights_answer_the_same_and_hold_no_change(family: str, tmp_path: Path) -> None:
    model = load(make_tiny_trunk(tmp_path, family)).eval()
    method = make_method("lora", {})
    method.apply(model)
    noisy(model)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        before = model.hf(input_ids=ids).logits
        method.merge(model)
        torch.testing.assert_close(model.hf(input_ids=ids).logits, before, atol=1e-5, rtol=0)
    assert not any(isinstance(module, LowRank) for module in model.modules())


def test_targets_by_name(tmp_path: Path) -> None:
    model = load(make_tiny_trunk(tmp_path, "bert"))
    make_method("lora", {"targets": ["query", "attention.output.dense"]}).apply(model)
    changed = {name.rpartition("layer.")[2][2:] for name, m in model.hf.named_modules() if isinstance(m, LowRank)}
    assert changed == {"attention.self.query", "attention.output.dense"}


def test_unknown_target_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    model = load(make_tiny_trunk(tmp_path, "bert"))
    with pytest.raises(MethodError, match=r"method\.targets names 'q_proj'") as caught:
        make_method("lora", {"targets": ["q_proj"]}).apply(model)
    assert "query" in str(caught.value.fix)


def test_a_new_change_changes_nothing(tmp_path: Path) -> None:
    model = load(make_tiny_trunk(tmp_path, "bert")).eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        before = model.hf(input_ids=ids).logits
        make_method("lora", {}).apply(model)
        assert torch.equal(model.hf(input_ids=ids).logits, before)
