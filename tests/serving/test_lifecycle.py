"""The end: what was accepted is answered, the exit code is 0, the next start works."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.serving.conftest import Start
from tests.serving.harness import JSON, Client, post_bytes, read_answer, served, wait_for
from tunesmith.serving.lifecycle import RunningServer

PREDICT = "/v1/models/reviews/predict"


class Sender:
    """Sends one request after another on kept connections until it is not let in any more."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.answered = self.lost = self.other = 0

    def run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        body = json.dumps([{"text": "the film was good"}] * 4)
        while True:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.client.port, timeout=20)
                try:
                    connection.connect()
                except OSError:
                    return  # not accepted
            try:
                connection.request("POST", PREDICT, body, JSON)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                self.lost += 1
                return
            self.answered += answer.status == 200
            self.other += answer.status != 200
            if answer.getheader("connection") == "close":
                connection.close()
                connection = None


def test_nothing_accepted_is_lost_at_sigterm(folders: dict[str, Path], tmp_path: Path) -> None:
    with served(str(folders["reviews"]), folder=tmp_path) as (process, client):
        senders = [Sender(client) for _ in range(16)]
        threads = [threading.Thread(target=sender.run) for sender in senders]
        for thread in threads:
            thread.start()
        assert wait_for(lambda: sum(sender.answered for sender in senders) >= 200, seconds=30)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(timeout=30)
        assert process.wait(timeout=30) == 0
        output = process.stderr.read() if process.stderr is not None else ""
    assert [(sender.lost, sender.other) for sender in senders] == [(0, 0)] * 16
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once(folders: dict[str, Path], tmp_path: Path, number: signal.Signals) -> None:
    with served(f"a={folders['reviews']}", "--feedback", "f.db", folder=tmp_path) as (process, client):
        assert client.get("/v1/models").json["models"][0]["name"] == "a"
        process.send_signal(number)
        began = time.monotonic()
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - began < 5
    assert (tmp_path / "f.db").is_file()


def test_a_draining_server_says_so_and_still_answers(start: Start) -> None:
    import socket

    client, service = start()
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        service.state.draining = True
        assert client.get("/health/ready").status == 503
        assert client.get("/health/live").status == 200
        connection.sendall(post_bytes(PREDICT, b'{"text": "good"}'))
        answer = read_answer(connection)
    assert answer.status == 200
    assert answer.headers["connection"] == "close"


def test_answers_do_not_wait_for_acknowledgements() -> None:
    import socket

    from tunesmith.serving.lifecycle import open_listener

    with open_listener("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio looks at


def test_a_server_in_a_thread_can_be_stopped_twice(models: object, tmp_path: Path) -> None:
    from tunesmith.serving.lifecycle import open_listener
    from tunesmith.serving.service import make_service

    running = RunningServer(make_service(models), open_listener("127.0.0.1", 0))  # type: ignore[arg-type]
    running.start()
    client = Client(running.address[1])
    assert client.healthy
    assert client.post("/v1/feedback", {"id": "reviews.1", "right": "negative", "row": {"text": "a"}}).status == 404
    running.stop()
    running.stop()
    with pytest.raises(OSError, match=r".*"):
        client.get("/health/live")


def test_a_flood_of_connections_does_not_put_off_the_end(
    start: Start, models: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.serving import lifecycle
    from tunesmith.serving.limits import Limits
    from tunesmith.serving.service import make_service

    listener = lifecycle.open_listener("127.0.0.1", 0)
    running = RunningServer(make_service(models, limits=Limits(linger_s=0.2)), listener)  # type: ignore[arg-type]
    running.start()
    monkeypatch.setattr(lifecycle.select, "select", lambda *_: ([listener], [], []))  # one more waits at any time
    ender = threading.Thread(target=running.stop)
    ender.start()
    ender.join(5)
    ended = not ender.is_alive()
    monkeypatch.undo()
    ender.join()
    assert ended


def test_a_server_that_cannot_start_says_so(models: object) -> None:
    from tunesmith.serving.lifecycle import open_listener
    from tunesmith.serving.service import make_service

    listener = open_listener("127.0.0.1", 0)
    running = RunningServer(make_service(models), listener)  # type: ignore[arg-type]
    listener.close()
    with pytest.raises(OSError, match=r"descriptor|socket"):
        running.start()
