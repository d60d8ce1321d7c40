"""What every objective of pretraining keeps to."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.pretraining.conftest import Bench, tokens_of
from tunesmith import engine
from tunesmith.config import TrainSection
from tunesmith.contracts import IGNORED, Encoded, Labels
from tunesmith.errors import ConfigError, ModelError
from tunesmith.objectives import OBJECTIVES, make_objective
from tunesmith.objectives.tokens import flatten
from tunesmith.optimization import build_optimizer
from tunesmith.packing import Sizes, pack, schedule_run

NOTHING = Labels(())
Make = Callable[..., Bench]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_corruption_depends_on_its_random_numbers_alone(bench: Make, name: str) -> None:
    made = bench(name)
    assert made.corrupted() == made.corrupted()
    if name != "clm":
        assert made.corrupted() != made.corrupted(epoch=1)


@pytest.mark.parametrize("name", ["mlm", "clm", "denoise"])
def test_losses_of_windows_add(bench: Make, name: str) -> None:
    made = bench(name)
    made.model.eval()
    items = made.corrupted()
    with torch.no_grad():
        whole, units = _loss(made, items)
        parts = [_loss(made, items[start : start + 5]) for start in (0, 5, 10)]
    assert float(whole) == pytest.approx(sum(float(part) for part, _ in parts), rel=1e-5)
    assert units == sum(count for _, count in parts)


def _loss(made: Bench, items: list[Encoded]) -> tuple[torch.Tensor, float]:
    batch = pack([[item] for item in items])
    return made.objective.loss(made.objective.forward(made.model, batch), batch, NOTHING)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_weight_is_trained_and_the_loss_falls(bench: Make, name: str) -> None:
    made = bench(name)
    before = {n: p.detach().clone() for n, p in made.model.named_parameters()}
    losses = _train(made, 40)
    same = [n for n, p in made.model.named_parameters() if torch.equal(p, before[n])]
    assert not same
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_same_seed_trains_the_same_weights(bench: Make, name: str) -> None:
    one, other = bench(name), bench(name)
    _train(one, 5)
    torch.rand(7)  # whatever else draws random numbers
    _train(other, 5)
    for (n, p), q in zip(one.model.named_parameters(), other.model.parameters(), strict=True):
        assert torch.equal(p, q), n


def _train(made: Bench, count: int) -> list[float]:
    settings = TrainSection(batch_size=4, max_steps=count, epochs=1000, learning_rate=5e-3, warmup=0)
    groups = [[item] for item in made.items]
    schedule = schedule_run([item.length_tokens for item in made.items], Sizes(4), 13, 1000, count)
    job = engine.Job(made.model, made.objective, NOTHING, groups, schedule, settings)
    return [report.loss for report in engine.steps(job, build_optimizer(made.model, settings, 5e-3))]


def test_masking_hides_the_share_and_nothing_else(bench: Make) -> None:
    made = bench("mlm", mask_rate=0.3, whole_words=False)
    tokens = made.objective.tokens
    for item, hidden in zip(made.items, made.corrupted(), strict=True):
        before, after, targets = flatten(item), flatten(hidden), np.asarray(hidden.target)
        asked = targets != IGNORED
        assert asked.sum() == round(0.3 * len(before))
        assert (targets[asked] == before[asked]).all()
        assert (before[~asked] == after[~asked]).all()
        assert not tokens.is_special[after[asked & (after != tokens.mask_id)]].any()


def test_shares_of_mask_random_and_kept(bench: Make) -> None:
    made = bench("mlm", whole_words=False, mask_rate=0.5)
    kinds = {"mask": 0, "same": 0, "other": 0}
    for epoch in range(200):
        for item, hidden in zip(made.items, made.corrupted(epoch), strict=True):
            before, after, asked = flatten(item), flatten(hidden), np.asarray(hidden.target) != IGNORED
            masked = after == made.objective.tokens.mask_id
            kinds["mask"] += int((asked & masked).sum())
            kinds["same"] += int((asked & (before == after)).sum())
            kinds["other"] += int((asked & ~masked & (before != after)).sum())
    total = sum(kinds.values())
    assert kinds["mask"] / total == pytest.approx(0.8, abs=0.01)
    assert kinds["same"] / total == pytest.approx(0.1, abs=0.01)


def test_special_tokens_are_never_hidden(tokenizers: Callable[[str], Any]) -> None:
    tokenizer = tokenizers("bert")
    objective = make_objective("mlm", {"mask_rate": 0.99}, tokens_of(tokenizer))
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    found = objective.corrupt(Encoded(([cls, 9, 10, sep], [cls, sep]), None, 0), random.Random(0))
    assert [found.target[place] for place in (0, 3, 4, 5)] == [IGNORED] * 4
    nothing = objective.corrupt(Encoded(([cls, sep],), None, 0), random.Random(0))
    assert nothing.target == [IGNORED, IGNORED]


@pytest.mark.parametrize("told", [True, False])
def test_words_are_hidden_whole(tokenizers: Callable[[str], Any], told: bool) -> None:
    tokenizer = tokenizers("bert")
    plain = [token for token in range(len(tokenizer)) if token not in tokenizer.all_special_ids]
    ids = plain[:30]
    begins = np.zeros(len(tokenizer), dtype=np.bool_)
    begins[ids[::3]] = True
    objective = make_objective("mlm", {}, tokens_of(tokenizer, None if told else begins))
    meta = {"begins_word": [place % 3 == 0 for place in range(30)]} if told else {}
    seen = set()
    for number in range(20):
        found = objective.corrupt(Encoded((ids,), None, 0, meta=meta), random.Random(number))
        asked = [target != IGNORED for target in found.target]
        words = [asked[start : start + 3] for start in range(0, 30, 3)]
        assert all(len(set(word)) == 1 for word in words)
        seen.add(tuple(word[0] for word in words))
    assert len(seen) > 5


def test_a_sequence_that_begins_inside_a_word_is_a_word_of_its_own(tokenizers: Callable[[str], Any]) -> None:
    tokenizer = tokenizers("bert")
    plain = [token for token in range(len(tokenizer)) if token not in tokenizer.all_special_ids][:8]
    objective = make_objective("mlm", {"mask_rate": 0.5}, tokens_of(tokenizer, np.zeros(len(tokenizer), np.bool_)))
    found = objective.corrupt(Encoded((plain[:4], plain[4:]), None, 0), random.Random(1))
    asked = [target != IGNORED for target in found.target]
    assert (asked[:4], asked[4:]) in (([True] * 4, [False] * 4), ([False] * 4, [True] * 4))


def test_replacements_come_from_the_generator_and_are_told_apart(bench: Make) -> None:
    made = bench("electra")
    items = made.corrupted()
    batch = pack([[item] for item in items])
    outputs = made.objective.forward(made.model, batch)
    originals = torch.tensor([token for item in made.items for part in item.sequences for token in part])
    asked = torch.tensor([target != IGNORED for item in items for target in item.target])
    assert not outputs["replaced"][~asked].any()
    assert 0 < outputs["replaced"].sum() <= asked.sum()
    assert len(outputs["scores"]) == len(originals)
    companion = made.model.companion
    assert companion is not None
    shared = companion.hf.base_model.embeddings
    assert shared is made.model.hf.base_model.embeddings
    assert companion.width < made.model.width


def test_a_tokenizer_without_mask_is_refused(tokenizers: Callable[[str], Any]) -> None:
    with pytest.raises(ModelError, match="MASK"):
        make_objective("mlm", {}, tokens_of(tokenizers("llama")))


def test_unknown_names_are_answered_with_known_ones(tokenizers: Callable[[str], Any]) -> None:
    with pytest.raises(ConfigError, match="mlm"):
        make_objective("mml", {}, tokens_of(tokenizers("bert")))
    with pytest.raises(ConfigError, match="mask_rate"):
        make_objective("mlm", {"mask_rat": 1}, tokens_of(tokenizers("bert")))
