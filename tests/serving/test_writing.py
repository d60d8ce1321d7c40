"""The writing threads by themselves: turns, ends, errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from tests.serving.harness import wait_for
from tunesmith.serving.batching import Crew
from tunesmith.serving.limits import Limits
from tunesmith.serving.problems import Problem
from tunesmith.serving.waiting import LineFull
from tunesmith.serving.writing import Begun, Ended, Event, Finish, Piece, Writers, Writing

FINISH = Finish(0, "stop", 1, 1)


class Listener:
    """A writing and what was told of it."""

    def __init__(self, script: Callable[[Callable[[], bool]], Iterator[Piece | Finish]], seconds: float = 60.0) -> None:
        self.events: list[Event] = []
        self.times: list[float] = []
        self.writing = Writing(script, self.tell, time.monotonic() + seconds)

    def tell(self, event: Event) -> None:
        self.events.append(event)
        self.times.append(time.monotonic())

    @property
    def is_ended(self) -> bool:
        return any(isinstance(event, Ended) for event in self.events)


@pytest.fixture
def writers() -> Iterator[Writers]:
    made = Writers(Limits(texts=2, waiting_texts=1), Crew(2, 1))
    made.start()
    yield made
    made.stop(5.0)
    assert not made.alive


def counting(count: int, pause_s: float = 0.0) -> Callable[[Callable[[], bool]], Iterator[Piece | Finish]]:
    def script(is_over: Callable[[], bool]) -> Iterator[Piece | Finish]:
        for number in range(count):
            time.sleep(pause_s)
            yield Piece(0, str(number % 10))
            if is_over():
                break
        yield FINISH

    return script


def test_events_come_in_order(writers: Writers) -> None:
    one = Listener(counting(3))
    writers.join(one.writing)
    assert wait_for(lambda: one.is_ended)
    assert one.events == [Begun(), Piece(0, "0"), Piece(0, "1"), Piece(0, "2"), FINISH, Ended()]
    assert wait_for(lambda: writers.running == 0)


def test_texts_are_written_in_turns_up_to_a_number(writers: Writers) -> None:
    first, second, third, fourth = (Listener(counting(count, 0.01)) for count in (60, 10, 1, 1))
    for one in (first, second):
        writers.join(one.writing)
        assert wait_for(lambda one=one: bool(one.events))
    writers.join(third.writing)
    with pytest.raises(LineFull):
        writers.join(fourth.writing)
    assert writers.waiting == 1
    assert wait_for(lambda: first.is_ended and third.is_ended)
    assert second.times[-1] < third.times[0] < first.times[-1], "two at a time, and a short one before a long one"


def test_an_error_ends_its_own_text_only(writers: Writers, caplog: pytest.LogCaptureFixture) -> None:
    def broken(is_over: Callable[[], bool]) -> Iterator[Piece | Finish]:
        yield Piece(0, "a")
        raise RuntimeError("a secret")

    def refused(is_over: Callable[[], bool]) -> Iterator[Piece | Finish]:
        raise Problem(400, "no", fix="mend it")
        yield FINISH

    for script, status in ((broken, 500), (refused, 400), (broken, 500)):
        one = Listener(script)
        writers.join(one.writing)
        assert wait_for(lambda one=one: one.is_ended)
        last = one.events[-1]
        assert isinstance(last, Ended)
        assert last.problem is not None
        assert last.problem.status == status
    assert "RuntimeError in broken" in caplog.text
    assert "secret" not in caplog.text
    assert writers.alive


def test_who_leaves_frees_the_place_and_the_script_is_closed(writers: Writers) -> None:
    closed = threading.Event()

    def script(is_over: Callable[[], bool]) -> Iterator[Piece | Finish]:
        try:
            while True:
                time.sleep(0.002)
                yield Piece(0, "a")
        finally:
            closed.set()

    one = Listener(script)
    writers.join(one.writing)
    assert wait_for(lambda: len(one.events) > 2)
    writers.leave(one.writing)
    assert closed.wait(5)
    assert wait_for(lambda: writers.running == 0)
    assert not one.is_ended


def test_what_would_take_too_long_at_the_end_is_cut(writers: Writers) -> None:
    one, late = Listener(counting(10_000, 0.005)), Listener(counting(10_000, 0.005))
    writers.join(one.writing)
    assert wait_for(lambda: len(one.events) > 2)
    writers.finish_within(0.1)
    writers.join(late.writing)
    assert wait_for(lambda: one.is_ended and late.is_ended, seconds=3)
    assert FINISH in one.events
    assert FINISH in late.events


def test_modes_of_a_script_stay_in_it(writers: Writers) -> None:
    """A script that is put off within a mode of torch must not leave it to the next one, whichever thread goes on."""

    def script(is_over: Callable[[], bool]) -> Iterator[Piece | Finish]:
        with torch.inference_mode():
            for _ in range(20):
                time.sleep(0.01)
                yield Piece(0, str(torch.ones(1, requires_grad=True).mul(2).requires_grad))
        yield FINISH

    both = [Listener(script), Listener(script)]
    for one in both:
        writers.join(one.writing)
        assert wait_for(lambda one=one: bool(one.events))
    assert wait_for(lambda: all(one.is_ended for one in both))
    assert {event.text for one in both for event in one.events if isinstance(event, Piece)} == {"False"}
