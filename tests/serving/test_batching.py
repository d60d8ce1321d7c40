"""Batching: the same answers alone and in company, urgency, bounds, poison, clients that leave."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.serving.conftest import Start
from tests.serving.harness import Answer, Client, post_bytes, wait_for
from tests.tiny import BAD, GOOD, THINGS
from tunesmith.errors import DataError
from tunesmith.serving.batching import Batcher, Crew
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.limits import Limits
from tunesmith.serving.waiting import Line, LineFull, Request, estimate_tokens

PREDICT = "/v1/models/reviews/predict"


def make_texts(count: int) -> list[str]:
    rng = random.Random(3)
    words = [*GOOD, *BAD, *THINGS, "the", "was", "too", "and"]
    return [" ".join(rng.choice(words) for _ in range(rng.randint(1, 40))) for _ in range(count)]


def test_alone_is_as_in_company(client: Client) -> None:
    texts = make_texts(200)
    alone = [client.predict({"text": text}).json for text in texts]
    with ThreadPoolExecutor(64) as pool:
        together = list(pool.map(lambda text: client.predict({"text": text}).json, texts * 2))
    assert [answer["label"] for answer in together] == [answer["label"] for answer in alone] * 2
    for one, other in zip(alone * 2, together, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_batches_form_under_load(start: Start) -> None:
    client, service = start()
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda text: client.predict({"text": text}), make_texts(200)))
    passes, rows = figure(service, "batch_size_count"), figure(service, "batch_size_sum")
    assert rows == 200
    assert passes < 150


def figure(service: Any, name: str) -> float:
    return float(service.meters.registry.get_sample_value(f"tunesmith_{name}"))


class Slow(Hosted):
    """A model that waits until it is let go, and fails where a text says so."""

    gate: threading.Event
    entered: threading.Event

    def answer(self, rows: Any, batch_tokens: int) -> Any:
        self.entered.set()
        assert self.gate.wait(20)
        if any("poison" in row.text for row in rows):
            raise ValueError("a poisoned row with secret words")
        if any("refuse" in row.text for row in rows):
            raise DataError("this row is refused", fix="send another")
        return super().answer(rows, batch_tokens)


@pytest.fixture
def slow(models: dict[str, Hosted]) -> Slow:
    made = Slow(**vars(models["reviews"]))
    for name in ("gate", "entered"):
        object.__setattr__(made, name, threading.Event())
    return made


def test_poison_spoils_its_own_request_only(start: Start, slow: Slow, caplog: pytest.LogCaptureFixture) -> None:
    client, service = start(models={"reviews": slow}, crew=Crew(1, 1))
    texts = ["good one", "poison", "good two", "refuse", "good three"] * 4
    with ThreadPoolExecutor(len(texts)) as pool:
        answers = [pool.submit(client.predict, {"text": text}) for text in texts]
        assert wait_for(lambda: service.batcher.line.rows >= len(texts) - 5)
        slow.gate.set()
        statuses = [answer.result().status for answer in answers]
    assert statuses == [500 if text == "poison" else 422 if text == "refuse" else 200 for text in texts]
    assert client.healthy
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_a_full_line_says_when_to_come_back(start: Start, slow: Slow) -> None:
    client, _ = start(models={"reviews": slow}, crew=Crew(1, 1), limits=Limits(waiting_rows=8))
    with ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(client.predict, {"text": f"good {n}"}) for n in range(40)]
        assert wait_for(lambda: sum(answer.done() for answer in waiting) >= 20)
        slow.gate.set()
        answers: list[Answer] = [answer.result() for answer in waiting]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) >= 20
    assert {answer.status for answer in answers} == {200, 429}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert client.healthy


def test_what_comes_too_late_is_not_computed(start: Start, slow: Slow) -> None:
    client, service = start(models={"reviews": slow}, crew=Crew(1, 1), limits=Limits(answer_s=0.3))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.predict, {"text": "good"})
        assert slow.entered.wait(10)
        late = pool.submit(client.predict, {"text": "good and late"})
        assert wait_for(lambda: service.batcher.line.rows == 1)
        entry = service.batcher.line._heap[0][2].request
        assert wait_for(lambda: time.monotonic() > entry.deadline_s)
        slow.gate.set()
        assert late.result().status == 503
        assert not any(entry.answers)
        first.result()
        assert "retry-after" in late.result().headers
    assert wait_for(lambda: client.healthy)


def test_who_leaves_frees_the_place(start: Start, slow: Slow) -> None:
    client, service = start(models={"reviews": slow}, crew=Crew(1, 1))
    with contextlib.ExitStack() as sockets:
        for number in range(100):
            connection = sockets.enter_context(socket.create_connection(("127.0.0.1", client.port)))
            connection.sendall(post_bytes(PREDICT, b'{"text": "good"}'))
            assert number or slow.entered.wait(10)  # the first is being computed, all others wait
        assert wait_for(lambda: service.batcher.line.rows == 99)
    assert wait_for(lambda: service.batcher.line.rows == 0)
    assert service.batcher.line.tokens == 0
    slow.gate.set()
    assert client.healthy
    assert wait_for(lambda: figure(service, "batch_size_sum") == 2)  # counted behind the answer


def place(hosted: Hosted, text: str, arrived_s: float, deadline_s: float = 1e9) -> Request:
    row = hosted.task.Row(text=text)
    return Request(hosted, [row], deadline_s, done=lambda request: None, arrived_s=arrived_s)


def test_short_rows_overtake_long_ones_but_not_for_ever(models: dict[str, Hosted]) -> None:
    line, hosted = Line(100), models["reviews"]
    for text, arrived_s in (("long " * 400, 0.0), ("short", 0.1), ("short", 5.0)):
        line.join(place(hosted, text, arrived_s))
    taken = [line.take(1)[0].request.arrived_s for _ in range(3)]
    assert taken == [0.1, 0.0, 5.0]


def test_a_deadline_makes_urgent(models: dict[str, Hosted]) -> None:
    line, hosted = Line(100), models["reviews"]
    line.join(place(hosted, "first", 0.0))
    line.join(place(hosted, "long but urgent " * 200, 0.0, deadline_s=1e-3 + 100))
    line.join(place(hosted, "second", 0.0))
    assert len(line.take(20)) == 2
    with pytest.raises(LineFull) as caught:
        line.join(place(hosted, "no hope", 0.0, deadline_s=0.0))
    assert caught.value.late


def test_a_pass_is_of_one_model_and_within_its_tokens(models: dict[str, Hosted]) -> None:
    line = Line(100)
    for number in range(10):
        line.join(place(models[("reviews", "names")[number % 2]], "four words of text", float(number)))
    taken = line.take(30)
    assert len({entry.request.hosted.name for entry in taken}) == 1
    assert sum(entry.tokens for entry in taken) <= 30
    left = 10 - len(taken)
    assert line.rows == left
    while line.rows:
        left -= len(line.take(30))
    assert left == 0
    line.end()
    assert line.take(30) == []


def test_a_fault_of_ours_does_not_end_the_thread(models: dict[str, Hosted]) -> None:
    batcher = Batcher(Limits(), Crew(1, 1), watch=lambda rows, tokens, seconds: 1 / 0)
    batcher.start()
    done = threading.Semaphore(0)
    for _ in range(3):
        row = models["reviews"].task.Row(text="good")
        batcher.line.join(Request(models["reviews"], [row], time.monotonic() + 9, done=lambda _: done.release()))
        assert done.acquire(timeout=10)
    assert batcher.alive
    batcher.stop(5)
    assert not batcher.alive


class Meeting(Hosted):
    """A model that answers when two threads ask it at once."""

    barrier: threading.Barrier

    def answer(self, rows: Any, batch_tokens: int) -> Any:
        self.barrier.wait(10)
        return list(rows)


class Torn(int):
    """A number whose subtraction takes so long that another thread comes in between."""

    def __sub__(self, other: int) -> Torn:
        time.sleep(0.02)
        return Torn(int(self) - other)


def test_threads_share_the_rows_of_a_request(models: dict[str, Hosted]) -> None:
    hosted = Meeting(**vars(models["reviews"]))
    object.__setattr__(hosted, "barrier", threading.Barrier(2))
    batcher = Batcher(Limits(batch_tokens=1), Crew(2, 1))
    batcher.start()
    time.sleep(0.05)  # both wait for work
    ends: list[Request] = []
    rows = [hosted.task.Row(text=text) for text in ("good", "bad") * 4]
    request = Request(hosted, rows, time.monotonic() + 10, done=ends.append)
    request.open_rows = Torn(8)
    batcher.line.join(request)
    assert wait_for(lambda: ends, seconds=3)
    batcher.stop(5)
    assert ends == [request]
    assert (request.answers, request.error) == (rows, None)


def test_what_is_cut_off_is_not_waited_for(client: Client, models: dict[str, Hosted]) -> None:
    """A text that the model reads the start of takes no longer than one of that length."""
    long = "good " * 8_000
    row = models["reviews"].task.Row(text=long)
    assert estimate_tokens(models["reviews"], row) <= models["reviews"].predictor.model.max_tokens
    assert estimate_tokens(models["names"], models["names"].task.Row(text=long)) > 8_000, "it reads windows"
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: client.predict({"text": long}).status, range(12)))
    assert answers == [200] * 12


def test_a_list_is_answered_in_order(client: Client) -> None:
    texts = make_texts(120)
    answers = client.predict([{"text": text} for text in texts]).json
    for text, answer in list(zip(texts, answers, strict=True))[::17]:
        assert client.predict({"text": text}).json["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-5)


def test_models_do_not_mix(client: Client, models: dict[str, Hosted]) -> None:
    names = ["reviews", "markup", "names"]
    labels = {name: set(models[name].labels.names) for name in names}

    def ask(number: int) -> bool:
        name = names[number % 3]
        answer = client.predict({"text": "the film was good"}, name).json
        given = {entity["label"] for entity in answer["entities"]} if name == "names" else {answer["label"]}
        return given <= labels[name] and answer["id"].startswith(f"{name}.")

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(90)))
