"""Text infilling, and models with an encoder and a decoder that learn by it."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.pretraining.conftest import Bench, tokens_of
from tunesmith.architectures import describe_architecture, make_model
from tunesmith.contracts import Encoded, Labels
from tunesmith.errors import ModelError
from tunesmith.model_loading import ModelOptions
from tunesmith.objectives import make_objective
from tunesmith.objectives.denoising import draw_lengths, place_apart
from tunesmith.packing import pack

Make = Callable[..., Bench]
NOTHING = Labels(())


@given(st.integers(0, 60), st.floats(1, 9), st.integers(0, 10**6))
def test_stretches_add_up_and_never_touch(total: int, mean: float, seed: int) -> None:
    numbers = np.random.default_rng(seed)
    lengths = draw_lengths(total, mean, numbers)
    assert lengths.sum() == total
    assert (lengths >= 0).all()
    room = total + len(lengths) + 3
    begins = place_apart(lengths, room, numbers)
    assert (begins[1:] > (begins + lengths)[:-1]).all()
    assert not len(begins) or (begins[0] >= 0 and begins[-1] + lengths[-1] <= room)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.9])
def test_what_is_hidden_can_be_put_back(tokenizers: Callable[[str], Any], rate: float) -> None:
    tokenizer = tokenizers("bart")
    objective = make_objective("denoise", {"mask_rate": rate}, tokens_of(tokenizer))
    plain = [token for token in range(len(tokenizer)) if token not in tokenizer.all_special_ids]
    sequence = [tokenizer.bos_token_id, *plain[:40], tokenizer.eos_token_id]
    shares = []
    for seed in range(40):
        found = objective.corrupt(Encoded((sequence, plain[50:57]), None, 0), random.Random(seed))
        assert found.target == [sequence, plain[50:57]]
        for seen, right, hidden in zip(found.sequences, found.target, found.meta["hidden"], strict=True):
            kept = [token for place, token in enumerate(right) if place not in set(hidden)]
            assert [token for token in seen if token != tokenizer.mask_token_id] == kept
        seen = found.sequences[0]
        assert (seen[0], seen[-1]) == (sequence[0], sequence[-1])
        assert tokenizer.mask_token_id in seen
        pairs = itertools.pairwise(seen)
        assert (tokenizer.mask_token_id,) * 2 not in pairs
        shares.append(len(found.meta["hidden"][0]) / 40)
    assert np.mean(shares) == pytest.approx(rate)


def test_special_tokens_alone_are_left_alone(tokenizers: Callable[[str], Any]) -> None:
    tokenizer = tokenizers("bart")
    objective = make_objective("denoise", {}, tokens_of(tokenizer))
    ends = [tokenizer.bos_token_id, tokenizer.eos_token_id]
    assert objective.corrupt(Encoded((ends,), None, 0), random.Random(0)).sequences == (ends,)


def test_a_tokenizer_without_mask_is_refused(tokenizers: Callable[[str], Any]) -> None:
    with pytest.raises(ModelError, match="mask"):
        make_objective("denoise", {}, tokens_of(tokenizers("llama")))


def _t5(tmp_path: Path, tokenizer: Any) -> Any:
    values = {"d_model": 16, "d_ff": 32, "d_kv": 4, "num_layers": 1, "num_heads": 2, "model_type": "t5"}
    (tmp_path / "config.json").write_text(json.dumps({**values, "pad_token_id": 0, "decoder_start_token_id": 0}))
    return describe_architecture(str(tmp_path), "mini", tokenizer, 64, {"dropout_rate": 0.0})


@pytest.mark.parametrize("architecture", ["bart", "t5"])
def test_the_loss_is_that_of_hugging_face(
    bench: Make, tokenizers: Callable[[str], Any], tmp_path: Path, architecture: str
) -> None:
    made, tokenizer = bench("denoise"), tokenizers("bart")
    model = made.model
    if architecture == "t5":
        model = make_model(_t5(tmp_path, tokenizer), tokenizer, made.objective.head(), ModelOptions(), None)
    model.eval()
    items = made.corrupted()[:3]
    batch = pack([[item] for item in items])
    loss, count = made.objective.loss(made.objective.forward(model, batch), batch, NOTHING)
    loss.backward()
    ours = {name: p.grad.clone() for name, p in model.hf.named_parameters() if p.grad is not None}
    model.zero_grad()
    total = torch.zeros(())
    for item in items:
        for seen, right in zip(item.sequences, item.target, strict=True):
            found = model.hf(input_ids=torch.tensor([seen]), labels=torch.tensor([right]))
            total = total + found.loss * len(right)
    total.backward()
    assert float(loss.detach()) == pytest.approx(float(total.detach()), rel=1e-5)
    assert count == sum(len(right) for item in items for right in item.target)
    theirs = {name: p.grad for name, p in model.hf.named_parameters() if p.grad is not None}
    assert set(ours) == set(theirs)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], atol=1e-4, rtol=1e-4)
