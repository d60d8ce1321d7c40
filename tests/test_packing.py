"""The batch plan and packing: every row once an epoch, no history, nothing lost."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import packing
from tunesmith.contracts import Encoded
from tunesmith.packing import (
    Sizes,
    epoch_order,
    fill,
    group_items,
    group_lengths,
    pack,
    plan_epoch,
    schedule_run,
    sorted_runs,
)

lengths_strategy = st.lists(st.integers(1, 60), min_size=1, max_size=50)
sizes_strategy = st.builds(Sizes, batch_size=st.integers(1, 20), batch_tokens=st.none() | st.integers(1, 200))


@given(lengths=lengths_strategy, sizes=sizes_strategy, seed=st.integers(0, 99), epoch=st.integers(0, 9))
def test_a_plan_holds_every_group_once(lengths: list[int], sizes: Sizes, seed: int, epoch: int) -> None:
    plan = plan_epoch(lengths, sizes, seed, epoch)
    assert sorted(index for step in plan for index in step) == list(range(len(lengths)))
    assert all(plan)
    assert plan == plan_epoch(lengths, sizes, seed, epoch)


@given(lengths=lengths_strategy, budget=st.integers(1, 120))
def test_token_budgets_are_kept_and_used(lengths: list[int], budget: int) -> None:
    for runs in (fill(range(len(lengths)), lengths, budget), sorted_runs(lengths, budget)):
        sums = [sum(lengths[index] for index in run) for run in runs]
        assert all(total <= budget or len(run) == 1 for total, run in zip(sums, runs, strict=True))
        for total, (_, following) in zip(sums, pairwise(runs), strict=False):
            assert total + lengths[following[0]] > budget, "what fits goes in"


def test_a_step_of_tokens_holds_no_more_than_asked_for() -> None:
    lengths = [10, 20, 30, 40, 100, 5]
    plan = plan_epoch(lengths, Sizes(batch_size=1, batch_tokens=50), seed=0, epoch=0)
    assert all(sum(lengths[index] for index in step) <= 50 for step in plan if len(step) > 1)
    assert [4] in plan, "a longer row stands alone"


def test_order_depends_on_seed_and_epoch() -> None:
    orders = {tuple(epoch_order(20, seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    assert sorted(epoch_order(20, 0, 0)) == list(range(20))


def test_order_is_the_same_in_every_version() -> None:
    """A change here changes every run, so that none could be continued or repeated."""
    assert epoch_order(10, seed=13, epoch=0) == [8, 3, 1, 7, 4, 6, 9, 2, 5, 0]


@given(
    lengths=lengths_strategy,
    sizes=sizes_strategy,
    epochs=st.floats(0.1, 3.5),
    most=st.none() | st.integers(1, 40),
    data=st.data(),
)
def test_a_run_can_be_taken_up_at_any_step(
    lengths: list[int], sizes: Sizes, epochs: float, most: int | None, data: st.DataObject
) -> None:
    schedule = schedule_run(lengths, sizes, 7, epochs, most)
    whole = list(schedule.steps_from(0))
    assert len(whole) == schedule.total_steps
    assert [step for step, *_ in whole] == list(range(1, schedule.total_steps + 1))
    start = data.draw(st.integers(0, schedule.total_steps))
    assert list(schedule.steps_from(start)) == whole[start:]
    assert list(schedule.steps_from(schedule.total_steps)) == []


@pytest.mark.parametrize(
    ("epochs", "most", "steps"),
    [(1, None, 3), (2, None, 6), (0.5, None, 2), (2.5, None, 8), (0.01, None, 1), (5, 4, 4), (1, 99, 3)],
)
def test_fractions_of_epochs_and_the_most_steps(epochs: float, most: int | None, steps: int) -> None:
    schedule = schedule_run([4] * 10, Sizes(batch_size=4), seed=0, epochs=epochs, max_steps=most)
    assert schedule.total_steps == steps
    assert schedule.steps_in_epochs == (3,) * min(math.ceil(epochs), math.ceil((most or 99) / 3))


@pytest.mark.parametrize(("epochs", "steps"), [(1.1, 11), (1.2, 12), (2.3, 23), (0.7, 7), (1.11, 12)])
def test_a_tenth_of_ten_steps_is_one_step(epochs: float, steps: int) -> None:
    assert schedule_run([4] * 160, Sizes(batch_size=16), seed=0, epochs=epochs).total_steps == steps


def test_epochs_that_are_never_begun_are_not_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = []
    monkeypatch.setattr(packing, "plan_epoch", lambda *given: planned.append(given) or [[0]] * 10)
    assert schedule_run([4] * 160, Sizes(16, 64), seed=0, epochs=1000, max_steps=25).total_steps == 25
    assert len(planned) == 3


@given(lengths=lengths_strategy, budget=st.integers(1, 60), most=st.none() | st.integers(1, 40), data=st.data())
def test_groups_that_change_are_planned_epoch_by_epoch(
    lengths: list[int], budget: int, most: int | None, data: st.DataObject
) -> None:
    def lengths_in(epoch: int) -> list[int]:
        return [(length * (epoch + 2)) % 23 + 1 for length in lengths]

    schedule = schedule_run(lengths, Sizes(1, budget), 7, 2.5, most, lengths_in)
    whole = list(schedule.steps_from(0))
    for _, epoch, _, chosen in whole:
        assert len(chosen) == 1 or sum(lengths_in(epoch)[index] for index in chosen) <= budget
    for epoch, count in enumerate(schedule.steps_in_epochs):
        assert count == len(packing.plan_epoch(lengths_in(epoch), Sizes(1, budget), 7, epoch))
    start = data.draw(st.integers(0, schedule.total_steps))
    assert list(schedule.steps_from(start)) == whole[start:]


def test_epochs_done_grow_evenly() -> None:
    schedule = schedule_run([4] * 8, Sizes(batch_size=2), seed=0, epochs=1.5)
    assert [done for _, _, done, _ in schedule.steps_from(0)] == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
    assert [epoch for _, epoch, _, _ in schedule.steps_from(0)] == [0, 0, 0, 0, 1, 1]


def test_packing_lays_sequences_end_to_end() -> None:
    two = Encoded(([5, 6], [7]), target=1, row=0, segment_ids=([0, 1], [1]))
    one = Encoded(([8, 9, 9],), target=0, row=1)
    batch = pack([[two], [one]])
    assert batch.input_ids.tolist() == [5, 6, 7, 8, 9, 9]
    assert batch.positions.tolist() == [0, 1, 0, 0, 1, 2]
    assert batch.segment_ids.tolist() == [0, 1, 1, 0, 0, 0]
    assert batch.bounds.tolist() == [0, 2, 3, 6]
    assert (batch.input_ids.dtype, batch.bounds.dtype) == (torch.int64, torch.int32)
    assert batch.items == [two, one]
    assert batch.group_sizes == [1, 1]


def test_groups_must_name_every_item_once() -> None:
    items = [Encoded(([1, 2],), None, 0), Encoded(([3],), None, 1)]
    assert group_lengths(group_items(items, [[0, 1]])) == [3]
    for wrong in ([[0]], [[0], [0, 1]], [[0], [1], [2]]):
        with pytest.raises(ValueError, match="exactly once"):
            group_items(items, wrong)
