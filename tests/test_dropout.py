"""Masks cut from a pool: as random as drawn ones, and a function of (seed, step, position) alone."""

import pytest
import torch
from torch import Tensor, nn

from tunesmith import dropout
from tunesmith.dropout import MaskPool, use_pool

SHARE = 0.1


def masks(seed: int, step: int, count: int = 4, values: int = 50_000) -> list[Tensor]:
    pool = MaskPool(seed)
    pool.begin_step(step)
    return [pool.drop(torch.ones(values), SHARE) for _ in range(count)]


def test_share_and_scale() -> None:
    for mask in masks(seed=1, step=1):
        assert sorted(set(mask.tolist())) == [0.0, pytest.approx(1 / (1 - SHARE))]
        assert float((mask == 0).float().mean()) == pytest.approx(SHARE, abs=0.006)  # four standard deviations
        assert float(mask.mean()) == pytest.approx(1.0, abs=0.006)


def test_masks_of_a_step_are_as_good_as_independent() -> None:
    stacked = torch.stack(masks(seed=1, step=1, count=12))
    correlations = torch.corrcoef(stacked) - torch.eye(12)
    assert float(correlations.abs().max()) < 5 / 50_000**0.5


def test_neighbours_in_a_mask_are_independent() -> None:
    mask = masks(seed=1, step=1)[0]
    for lag in (1, 2, 16, 384):
        assert abs(float(torch.corrcoef(torch.stack((mask[:-lag], mask[lag:])))[0, 1])) < 0.02


def test_function_of_seed_step_and_position() -> None:
    first, again, other_step, other_seed = masks(1, 1), masks(1, 1), masks(1, 2), masks(2, 1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other_step, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other_seed, strict=True))
    assert not torch.equal(first[0], first[1])


def test_torch_s_generator_is_not_touched() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    masks(seed=1, step=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_gradient_passes_the_same_mask() -> None:
    pool = MaskPool(3)
    pool.begin_step(1)
    values = torch.ones(4, 7, requires_grad=True)
    dropped = pool.drop(values, 0.5)
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped.detach())


def test_more_values_than_the_pool_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropout, "POOL_VALUES", 64)
    mask = masks(seed=1, step=1, count=1, values=1000)[0]
    assert mask.shape == (1000,)
    assert 0 < int((mask == 0).sum()) < 1000


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_is_kept(dtype: torch.dtype) -> None:
    pool = MaskPool(1)
    assert pool.drop(torch.ones(8, dtype=dtype), SHARE).dtype == dtype


def test_nothing_is_dropped_without_a_share() -> None:
    values = torch.arange(5.0)
    assert MaskPool(1).drop(values, 0.0) is values


def test_modules_use_the_pool_until_told_otherwise() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))
    pool = MaskPool(1)
    use_pool(model, pool)
    values = torch.ones(100, 8)
    pool.begin_step(1)
    first = model(values)
    pool.begin_step(1)
    assert torch.equal(model(values), first)
    assert torch.equal(model.eval()(values), model[0](values))
    use_pool(model, None)
    assert not torch.equal(model.train()(values), model(values))
