"""Requests that no honest client sends: each gets its 4xx in bounded time, and the server works on."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.serving.conftest import Start
from tests.serving.harness import Answer, Client, post_bytes, read_answer, wait_for
from tunesmith.serving.limits import Limits

PREDICT = "/v1/models/reviews/predict"
BOUND_S = 5.0
TIGHT = Limits(head_s=0.4, body_s=0.4, idle_s=1, connections=12)
"""Slow clients are given up soon, so that the tests are quick."""


def post(body: bytes, *headers: str, path: str = PREDICT, length: int | None = None) -> Callable[[Client], Answer]:
    return lambda client: client.raw(post_bytes(path, body, *headers, length=length))


def large(client: Client) -> Answer:
    """100 MB, announced and sent."""
    return client.raw(post_bytes(PREDICT, b"", length=100_000_000), *(b"x" * 1_000_000 for _ in range(100)))


def large_in_chunks(client: Client) -> Answer:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    return client.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *(chunk for _ in range(100)))


def dripping(start: bytes) -> Callable[[Client], Answer]:
    """A byte now and then, for longer than any limit."""

    def send(client: Client) -> Answer:
        with socket.create_connection(("127.0.0.1", client.port), timeout=BOUND_S) as connection:
            connection.sendall(start)
            connection.settimeout(0.05)
            until = time.monotonic() + BOUND_S
            while time.monotonic() < until:
                try:
                    connection.sendall(b"a")
                    if connection.recv(1, socket.MSG_PEEK) is not None:
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            connection.settimeout(BOUND_S)
            return read_answer(connection)

    return send


def half_closed(client: Client) -> Answer:
    return client.raw(post_bytes(PREDICT, b'{"text": "go', length=50), shut=True)


def half_closed_head(client: Client) -> Answer:
    return client.raw(b"POST /v1/feedback HTTP/1.1\r\nHost: 127", shut=True)


HEAD = f"POST {PREDICT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n".encode()
MILLION = b"[" + b",".join([b"1"] * 900_000) + b"]"
ROWS = json.dumps([{"text": "a"}] * 100_000).encode()
DEEP = b'{"text": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
NUMBERS = [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5_000]
PATHS = [
    "/v1/models/../../../../etc/passwd/predict",
    "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd/predict",
    "/v1/models/..%5c..%5cboot.ini/predict",
    "/v1/models/reviews%00/predict",
    "/v1/models/%ff%fe/predict",
]
HOSTILE: dict[str, tuple[Callable[[Client], Answer], set[int]]] = {
    "100 MB body": (large, {413}),
    "100 MB in chunks": (large_in_chunks, {413}),
    "a length of many digits": (post(b"{}", length=10**40), {400, 413}),
    "a negative length": (post(b"{}", length=-5), {400}),
    "two lengths": (post(b"{}", "Content-Length: 7"), {400}),
    "length and chunks": (post(b"{}", "Transfer-Encoding: chunked"), {400, 408}),
    "deep JSON": (post(DEEP), {400}),
    "deep objects": (post(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), {400}),
    "a million items": (post(MILLION), {413, 422}),
    "100,000 rows": (post(ROWS), {413, 422}),
    **{f"{number[:9].decode()} as text": (post(b'{"text": ' + number + b"}"), {400, 422}) for number in NUMBERS},
    "a token of 1 MB": (post(b'{"text": "' + b"x" * 1_000_000 + b'"}'), {422}),
    "a lone surrogate": (post(b'{"text": "\\ud800 is half"}'), {422}),
    "a surrogate as UTF-8": (post(b'{"text": "\xed\xa0\x80"}'), {400}),
    "broken UTF-8": (post(b'{"text": "\xff\xfe"}'), {400}),
    "UTF-16": (post('{"text": "a"}'.encode("utf-16")), {400}),
    "a key of 1 MB": (post(b'{"' + b"k" * 1_000_000 + b'": 1}'), {422}),
    "a surrogate as key": (post(b'{"\\udfff": 1}'), {422}),
    "no body": (post(b""), {400}),
    "null": (post(b"null"), {422}),
    **{f"path {path[11:22]}": (post(b'{"text": "a"}', path=path), {404, 400}) for path in PATHS},
    "static path": (lambda c: c.raw(b"GET /static/../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), {404}),
    "static path, coded": (lambda c: c.get("/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), {404}),
    "a foreign host": (lambda c: c.get("/v1/models", host="evil.test"), {421}),
    "two hosts": (lambda c: c.raw(HEAD + b"Host: evil.test\r\nContent-Length: 2\r\n\r\n{}"), {400}),
    "no host": (lambda c: c.raw(b"GET /v1/models HTTP/1.0\r\n\r\n"), {400}),
    "a foreign origin": (post(b'{"text": "a"}', "Origin: http://evil.test"), {403}),
    "a whole address": (lambda c: c.raw(b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"), {400, 421}),
    "a large head": (lambda c: c.raw(HEAD + b"X: " + b"y" * 200_000), {400, 431}),
    "many headers": (lambda c: c.raw(HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(20_000))), {400, 431}),
    "no HTTP": (lambda c: c.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n"), {400}),
    "line ends in a header": (post(b"{}", "X: a\nHost: evil.test"), {400, 422}),
    "a head that drips": (dripping(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "), {408}),
    "a body that drips": (dripping(HEAD + b'Content-Length: 100000\r\n\r\n{"text": "'), {408}),
    "nothing at all": (lambda c: c.raw(b"", timeout=BOUND_S), {408}),
    "half-closed in the body": (half_closed, {400}),
    "half-closed in the head": (half_closed_head, {400}),
    "an unknown method": (lambda c: c.raw(b"BREW /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), {405}),
    "an upgrade": (
        lambda c: c.get("/nowhere", connection="upgrade", upgrade="websocket", **{"sec-websocket-key": "x"}),
        {404},
    ),
}


@pytest.fixture(scope="module")
def tight(models: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    from tunesmith.serving.batching import Crew
    from tunesmith.serving.feedback_store import FeedbackStore
    from tunesmith.serving.lifecycle import RunningServer, open_listener
    from tunesmith.serving.service import make_service

    store = FeedbackStore(tmp_path_factory.mktemp("hostile") / "f.db")
    service = make_service(models, store=store, limits=TIGHT, crew=Crew(1, 1))  # type: ignore[arg-type]
    running = RunningServer(service, open_listener("127.0.0.1", 0))
    running.start()
    yield Client(running.address[1])
    running.stop()
    store.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_get_their_answer(tight: Client, name: str) -> None:
    send, statuses = HOSTILE[name]
    began = time.monotonic()
    answer = send(tight)
    assert time.monotonic() - began < BOUND_S + 2
    assert answer.status in statuses
    assert answer.headers["content-type"] == "application/json"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert set(answer.error) >= {"message", "fix"}
    assert len(answer.body) < 2_000
    assert tight.healthy


def test_connections_are_bounded(tight: Client) -> None:
    held = [socket.create_connection(("127.0.0.1", tight.port)) for _ in range(TIGHT.connections)]
    assert wait_for(lambda: tight.raw(b"").status == 503)
    answer = tight.raw(b"")
    assert answer.headers["retry-after"] == "1"
    for connection in held:
        connection.close()
    assert wait_for(lambda: tight.raw(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").status == 200)
    assert tight.healthy


def test_a_client_that_reads_nothing_holds_up_nobody(start: Start) -> None:
    client, _ = start()
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        request = post_bytes(PREDICT, json.dumps([{"text": "good"}] * 200).encode())
        try:
            for _ in range(200):
                connection.sendall(request)
        except TimeoutError:
            pass
        assert client.healthy


def test_clients_that_read_nothing_are_let_go(start: Start) -> None:
    """Each holds its connection and its answers; if they could keep them, a few would lock everybody out."""
    client, _ = start(limits=Limits(connections=2, read_s=0.2))
    held = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(2)]
    for connection in held:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.3)
        with contextlib.suppress(OSError):  # it is full, or the server had enough
            for _ in range(200):
                connection.sendall(b"GET /static/page.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 10)
    assert wait_for(lambda: client.raw(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").status == 200)
    for connection in held:
        connection.close()


def test_slow_readers_get_all_of_it(start: Start) -> None:
    client, _ = start(limits=Limits(read_s=0.2))
    with socket.create_connection(("127.0.0.1", client.port), timeout=BOUND_S) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        page = b"GET /static/page.css HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        connection.sendall((page + b"\r\n") * 400 + page + b"Connection: close\r\n\r\n")
        found, part = 0, b"-"
        while part:
            part = connection.recv(1 << 18)
            found += len(part)
            time.sleep(0.02)
    assert found > 401 * len(client.get("/static/page.css").body)


def test_many_hostile_requests_at_once(tight: Client) -> None:
    from concurrent.futures import ThreadPoolExecutor

    quick = [name for name in HOSTILE if "100 MB" not in name and "drip" not in name and "nothing" not in name]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda name: HOSTILE[name][0](tight).status, quick * 2))
    assert not [status for status in statuses if status >= 500 and status != 503]
    assert tight.healthy
