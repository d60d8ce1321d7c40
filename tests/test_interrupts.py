"""Ctrl-C and SIGTERM: a request while a run is at work, the caller's own while it is held open."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import make_rows
from tunesmith import api, artifact, checkpoint, engine, judging
from tunesmith.config import RunConfig, resolve_config
from tunesmith.contracts import StepReport
from tunesmith.errors import Interrupted
from tunesmith.events import Evaluated, Plan, Saved
from tunesmith.interrupts import StopRequest, listen, stop_requests

ROWS = make_rows(40)
BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def handlers_of_a_terminal() -> Iterator[None]:
    """A shell starts what runs in its background with Ctrl-C ignored; these tests are about one in front."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def make_config(trunk: Path, out: Path) -> RunConfig:
    base = {"model": {"name": str(trunk)}, "output": {"folder": str(out)}, "evaluate": {"baselines": False, "steps": 2}}
    return resolve_config(base, settings=["train.batch_size=8", "train.max_steps=4", "evaluate.resamples=100"])


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in BOTH]


def raising(function: Callable[..., Any], number: signal.Signals, at: int) -> Callable[..., Any]:
    """The function, with a signal in its `at`-th call."""
    calls = []

    def call(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == at:
            signal.raise_signal(number)
        return function(*given, **named)

    return call


@pytest.mark.parametrize("kind", [Plan, StepReport, Evaluated])
def test_a_run_that_is_held_open_swallows_nothing(tiny_bert: Path, tmp_path: Path, kind: type[Any]) -> None:
    before = handlers()
    events: Any = api.fit_events(make_config(tiny_bert, tmp_path), ROWS[:32], ROWS[32:])
    next(event for event in events if isinstance(event, kind))
    assert handlers() == before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    events.close()
    assert handlers() == before


@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("in_one_go", [False, True])
@pytest.mark.parametrize(("place", "step"), [((engine, "accumulate"), 3), ((judging, "quick_scores"), 2)], ids=str)
def test_a_signal_while_something_is_computed_saves_and_stops(
    tiny_bert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    in_one_go: bool,
    place: tuple[Any, str],
    step: int,
) -> None:
    before = handlers()
    at = 3 if place[0] is engine else 2  # the first scores are of two rows, before step 1
    monkeypatch.setattr(*place, raising(getattr(*place), number, at))
    events = api.fit_events(make_config(tiny_bert, tmp_path), ROWS[:32], ROWS[32:], in_one_go=in_one_go)
    with pytest.raises(Interrupted, match=f"stopped after step {step}; the training state is saved"):
        list(events)
    assert handlers() == before
    loaded, _ = checkpoint.newest(tmp_path / "checkpoints")
    assert loaded is not None
    assert loaded.state.step == step


def test_between_events_of_a_run_in_one_go_a_signal_is_a_request_too(tiny_bert: Path, tmp_path: Path) -> None:
    stepped = []

    def interrupt_after_a_step() -> None:
        for event in api.fit_events(make_config(tiny_bert, tmp_path), ROWS[:32], ROWS[32:], in_one_go=True):
            if isinstance(event, StepReport):
                stepped.append(event.step)
                if event.step == 1:
                    signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        interrupt_after_a_step()
    assert stepped == [1]


def test_a_stop_while_the_model_is_judged_names_the_folder(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any) -> Any:
        signal.raise_signal(signal.SIGINT)

    config = make_config(tiny_bert, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(judging, "judge", interrupted)
        with pytest.raises(Interrupted) as caught:
            list(api.fit_events(config, ROWS[:32], ROWS[32:]))
    assert caught.value.exit_code == 130
    assert str(tmp_path) in caught.value.message
    assert "give the same command again" in str(caught.value.fix)
    assert not artifact.is_complete(tmp_path)
    events = list(api.fit_events(config, ROWS[:32], ROWS[32:]))
    assert not any(isinstance(event, StepReport | Saved) for event in events), "no step is done again"
    assert artifact.is_complete(tmp_path)


def test_a_request_lasts_and_the_second_one_interrupts() -> None:
    def work() -> Generator[int]:
        for number in range(3):
            signal.raise_signal(signal.SIGINT)
            yield number

    request = StopRequest()
    items = listen(work(), request)
    assert next(items) == 0
    assert request.is_set
    with pytest.raises(KeyboardInterrupt):
        next(items)


def test_what_listens_closes_what_it_listens_to() -> None:
    closed = []

    def work() -> Generator[int]:
        try:
            yield 1
        finally:
            closed.append(True)

    items: Any = listen(work(), StopRequest())
    assert next(items) == 1
    items.close()
    assert closed == [True]
    assert list(listen((number for number in (1, 2)), StopRequest())) == [1, 2]


def test_handlers_come_back_after_an_error() -> None:
    before = handlers()
    with pytest.raises(ZeroDivisionError), stop_requests():
        raise ZeroDivisionError
    assert handlers() == before
