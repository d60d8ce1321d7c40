"""Contracts of a method: what it trains, what it stores, what it folds in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.contracts.harness import (
    FAMILY_OF_KIND,
    PROVEN_PAIRS,
    WITH_BIASES,
    Sample,
    assert_same,
    kinds_of,
    make_job,
    make_setup,
    optimizer_of,
    outputs_of,
)
from tunesmith import base_models, engine
from tunesmith.contracts import HeadSpec
from tunesmith.errors import MethodError, UserError
from tunesmith.methods import METHODS, make_method
from tunesmith.model_loading import load_model
from tunesmith.preparation import Setup

each_pair = pytest.mark.parametrize("pair", PROVEN_PAIRS)
each_method = pytest.mark.parametrize("name", METHODS)


def trained(pair: tuple[Sample, str], trunks: dict[str, Path], kind: str) -> tuple[Setup, dict[str, torch.Tensor]]:
    """Three steps on a fresh model, and what its parameters were before them."""
    sample, method = pair
    setup = make_setup(sample, method, trunks[kind], "train.epochs=2", "train.max_steps=3", "model.dropout=0")
    before = {name: p.detach().clone() for name, p in setup.model.named_parameters()}
    reports = list(engine.steps(make_job(setup), optimizer_of(setup)))
    assert len(reports) == 3
    return setup, before


@each_pair
def test_only_trainable_parameters_change(pair: tuple[Sample, str], trunks: dict[str, Path]) -> None:
    tags = METHODS[pair[1]].tags
    for kind in kinds_of(*pair):
        setup, before = trained(pair, trunks, kind)
        now = dict(setup.model.named_parameters())
        changed = {name for name, value in before.items() if not torch.equal(value, now[name])}
        assert changed
        assert changed <= {name for name, p in now.items() if p.requires_grad}
        depths, top = setup.model.depths(), len(setup.model.layers())
        in_trunk = {name for name in changed if depths[name] <= top}
        assert not in_trunk if tags.head_only else in_trunk


@each_pair
def test_everything_trainable_gets_a_gradient(pair: tuple[Sample, str], trunks: dict[str, Path]) -> None:
    """A parameter that never moves was made trainable by mistake, or is no part of the forward pass."""
    for kind in kinds_of(*pair):
        setup = make_setup(*pair, trunks[kind], "model.dropout=0")
        engine.accumulate(make_job(setup), [setup.groups], step=1)
        silent = [name for name, p in setup.model.named_parameters() if p.requires_grad and p.grad is None]
        assert not silent


@each_pair
def test_merged_equals_unmerged_or_is_refused(pair: tuple[Sample, str], trunks: dict[str, Path]) -> None:
    tags = METHODS[pair[1]].tags
    for kind in kinds_of(*pair):
        setup, _ = trained(pair, trunks, kind)
        setup.model.eval()
        apart, _ = outputs_of(setup.task, setup.model, setup.groups)
        if not tags.mergeable:
            with pytest.raises(MethodError) as caught:
                setup.method.merge(setup.model)
            assert caught.value.fix
            continue
        setup.method.merge(setup.model)
        folded, _ = outputs_of(setup.task, setup.model, setup.groups)
        for name, values in apart.items():
            assert_same(folded[name], values)


@each_method
def test_method_meets_its_own_words(name: str) -> None:
    method = make_method(name, {})
    assert method.name == name
    assert method.title
    assert method.tags.stores in {"whole", "delta", "adapter"}
    assert method.tags.learning_rate_factor > 0
    if method.tags.head_only:
        assert method.tags.stores == "delta", "a trunk that was not changed need not be stored"


@each_method
def test_unknown_option_is_refused_with_its_path(name: str) -> None:
    with pytest.raises(UserError, match=r"unknown key method\.no_such_option"):
        make_method(name, {"no_such_option": 1})


@each_method
def test_missing_biases_are_refused_with_the_alternative(name: str, trunks: dict[str, Path]) -> None:
    tags = METHODS[name].tags
    for kind in FAMILY_OF_KIND.keys() - WITH_BIASES:
        model = load_model(base_models.resolve(str(trunks[kind])), HeadSpec("sequence", ("a", "b")))
        if tags.needs_bias:
            with pytest.raises(MethodError, match="no bias") as caught:
                make_method(name, {}).apply(model)
            assert "--method" in str(caught.value.fix)
        else:
            make_method(name, {}).apply(model)
