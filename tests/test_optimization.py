"""Learning rates, schedules, parameter groups."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.tiny import ENCODER_DECODERS, FAMILIES, head_name, make_tiny_trunk
from tunesmith import base_models
from tunesmith.config import TrainSection
from tunesmith.contracts import HeadSpec
from tunesmith.methods.full import Full
from tunesmith.model import Model
from tunesmith.model_loading import load_model
from tunesmith.optimization import (
    build_optimizer,
    choose_learning_rate,
    forget_still,
    schedule_factor,
    set_learning_rate,
)

HEAD = HeadSpec("sequence", ("a", "b"), "single_label_classification")


def load(folder: Path) -> Model:
    return load_model(base_models.resolve(str(folder)), HEAD)


@pytest.fixture
def model(tiny_bert: Path) -> Model:
    return load(tiny_bert)


@pytest.mark.parametrize(
    ("width", "factor", "value"),
    [(384, 1.0, 3e-4), (768, 1.0, 2e-5), (384, 10.0, 3e-3), (4096, 1.0, 1e-5), (32, 1.0, 5e-4)],
)
def test_the_rule_for_the_learning_rate(width: int, factor: float, value: float) -> None:
    chosen = choose_learning_rate(None, width, factor)
    assert chosen.value == pytest.approx(value)
    assert str(width) in chosen.reason
    assert ("method" in chosen.reason) == (factor != 1.0)


def test_a_task_may_limit_the_rule() -> None:
    assert choose_learning_rate(None, 384, 5.0, 5e-5).value == pytest.approx(2.5e-4)
    assert "at most 5e-05 for the task, × 5 for the method" in choose_learning_rate(None, 384, 5.0, 5e-5).reason
    assert choose_learning_rate(None, 768, 1.0, 5e-5).value == pytest.approx(2e-5)


def test_the_user_comes_before_the_rule() -> None:
    assert choose_learning_rate(1e-3, 384, 10.0).value == 1e-3


@pytest.mark.parametrize(
    ("shape", "factors"),
    [
        ("linear", [0.5, 1.0, 0.8, 0.6, 0.4, 0.2]),
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("cosine", [0.5, 1.0, *((1 + math.cos(math.pi * place / 5)) / 2 for place in (1, 2, 3, 4))]),
    ],
)
def test_schedules(shape: str, factors: list[float]) -> None:
    found = [schedule_factor(step, 6, warmup=2 / 6, shape=shape) for step in range(1, 7)]
    assert found == pytest.approx(factors)


@given(
    total=st.integers(1, 300),
    warmup=st.floats(0, 0.99),
    shape=st.sampled_from(["linear", "cosine", "constant"]),
)
def test_every_step_learns_and_none_too_much(total: int, warmup: float, shape: str) -> None:
    factors = [schedule_factor(step, total, warmup, shape) for step in range(1, total + 1)]
    assert all(0 < factor <= 1 for factor in factors)
    peak = max(range(total), key=factors.__getitem__)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[peak] == pytest.approx(1.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_decay_on_biases_norms_and_embeddings(family: str, tmp_path: Path) -> None:
    model = load(make_tiny_trunk(tmp_path, family))
    optimizer = build_optimizer(model, TrainSection(weight_decay=0.1), 1e-3)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert set(decay) == {id(p) for p in model.parameters()}, "every parameter once"
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(decay)
    bare = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    norms = [m for m in model.modules() if "norm" in type(m).__name__.lower()]
    bare |= {id(p) for norm in norms for p in norm.parameters()}
    bare |= {id(p) for name, p in model.named_parameters() if name.endswith("bias")}
    assert {decay[one] for one in bare} == {0.0}
    weights = {n: decay[id(p)] for n, p in model.named_parameters() if id(p) not in bare}
    assert set(weights.values()) == {0.1}
    assert any(head_name(family) in name for name in weights)
    assert any("attn" in name or "attention" in name for name in weights)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "albert"])
def test_layer_decay_falls_with_depth(family: str, tmp_path: Path) -> None:
    model = load(make_tiny_trunk(tmp_path, family))
    optimizer = build_optimizer(model, TrainSection(layer_decay=0.5), 1e-2)
    peaks = {id(p): group["peak"] for group in optimizer.param_groups for p in group["params"]}
    found = {name: peaks[id(p)] for name, p in model.named_parameters()}
    assert {rate for name, rate in found.items() if name.split(".")[1] == head_name(family)} == {1e-2}
    stack = model.layers()
    assert len(stack) == (4 if family in ENCODER_DECODERS else 2)
    for layer, rate in zip(reversed(stack), (5e-3, 2.5e-3, 1.25e-3, 6.25e-4), strict=False):
        assert [peaks[id(p)] for p in layer.parameters()] == pytest.approx([rate] * len(list(layer.parameters())))
    table = model.hf.get_input_embeddings().weight
    assert peaks[id(table)] == pytest.approx(1e-2 * 0.5 ** (len(stack) + 1))


def test_without_layer_decay_all_rates_are_one(model: Model) -> None:
    assert {group["peak"] for group in build_optimizer(model, TrainSection(), 1e-3).param_groups} == {1e-3}


def test_setting_the_rate_scales_every_group(model: Model) -> None:
    optimizer = build_optimizer(model, TrainSection(layer_decay=0.5), 1e-2)
    assert set_learning_rate(optimizer, 0.1) == pytest.approx(1e-3)
    assert all(group["lr"] == pytest.approx(0.1 * group["peak"]) for group in optimizer.param_groups)
    assert set_learning_rate(optimizer, 1.0) == pytest.approx(1e-2), "not compounded"


def test_the_frozen_are_left_out(model: Model) -> None:
    Full(Full.Config(train_layers="top:1")).apply(model)
    optimizer = build_optimizer(model, TrainSection(), 1e-3)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        build_optimizer(model, TrainSection(), 1e-3)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)],
)
def test_decay_is_decoupled_only_in_adamw(name: str, kind: type[torch.optim.Optimizer], model: Model) -> None:
    """One step with a gradient of zero: AdamW shrinks a weight by lr · decay, Adam and SGD put decay · w in it."""
    settings = TrainSection.model_validate({"optimizer": name, "weight_decay": 0.1, "momentum": 0.5})
    optimizer = build_optimizer(model, settings, 1e-2)
    assert type(optimizer) is kind
    weight = model.layers()[0].get_parameter("attention.self.query.weight")
    bias = model.layers()[0].get_parameter("attention.self.query.bias")
    with torch.no_grad():
        bias.fill_(1.0)
    before = weight.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(bias, torch.ones_like(bias))
    moved = before - weight.detach()
    if name == "adam":  # of any gradient its first step is lr · sign
        big = before.abs() > 1e-4
        torch.testing.assert_close(moved[big], 1e-2 * before.sign()[big], atol=2e-5, rtol=0)
    else:
        torch.testing.assert_close(moved, 1e-2 * 0.1 * before, atol=1e-7, rtol=1e-3)
    assert optimizer.param_groups[0].get("momentum", 0.5) == 0.5


def test_layers_begin_to_move_from_the_top(tmp_path: Path) -> None:
    model = load(make_tiny_trunk(tmp_path, "bert"))
    optimizer = build_optimizer(model, TrainSection(unfreeze=0.6), 1e-2)
    begins = {id(p): group["begins"] for group in optimizer.param_groups for p in group["params"]}
    found = {name: begins[id(p)] for name, p in model.named_parameters()}
    first, second = model.layers()
    assert {found[name] for name in found if "classifier" in name} == {0.0}
    for layer, share in ((second, 0.2), (first, 0.4)):
        assert all(begins[id(p)] == pytest.approx(share) for p in layer.parameters())
    assert begins[id(model.hf.get_input_embeddings().weight)] == pytest.approx(0.6)

    def moving(done: float) -> int:
        set_learning_rate(optimizer, 0.5, done)
        return sum(group["lr"] > 0 for group in optimizer.param_groups)

    assert [moving(done) for done in (0.0, 0.25, 0.5, 0.7)] == sorted({moving(done) for done in (0.0, 0.25, 0.5, 0.7)})
    assert moving(1.0) == len(optimizer.param_groups)


def test_what_does_not_move_yet_has_no_gradient(tmp_path: Path) -> None:
    model = load(make_tiny_trunk(tmp_path, "bert"))
    optimizer = build_optimizer(model, TrainSection(unfreeze=0.9), 1e-2)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    set_learning_rate(optimizer, 1.0, 0.0)
    forget_still(optimizer)
    assert {name.split(".")[1] for name, p in model.named_parameters() if p.grad is not None} == {"classifier"} | {
        name.split(".")[1] for name, _ in model.named_parameters() if "pooler" in name
    }


def test_rates_apart_by_name(model: Model) -> None:
    optimizer = build_optimizer(model, TrainSection(), 1e-3, lambda name: 16.0 if "classifier" in name else 1.0)
    peaks = {id(p): group["peak"] for group in optimizer.param_groups for p in group["params"]}
    rates = {name: peaks[id(p)] for name, p in model.named_parameters()}
    assert {round(rate, 9) for name, rate in rates.items() if "classifier" in name} == {16e-3}
    assert {rate for name, rate in rates.items() if "classifier" not in name} == {1e-3}
