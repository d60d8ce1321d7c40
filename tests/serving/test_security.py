"""Who may ask: hosts, origins, keys, tickets; what browsers are told; what logs and files hold."""

from __future__ import annotations

import logging
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.serving.conftest import Start
from tests.serving.harness import Client
from tunesmith.commands.serve import _make_gate
from tunesmith.errors import UserError
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.keys import hash_key, make_key_file, read_keys
from tunesmith.serving.security import LOOPBACK_NAMES, Gate

ROW = {"text": "the film was good"}
PREDICT = "/v1/models/reviews/predict"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:1234", "[::1]:8000", "127.0.0.1:80"])
def test_own_names_are_let_in(client: Client, host: str) -> None:
    assert client.get("/v1/models", host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test:8000", "192.168.0.7", "", "127.0.0.1@evil.test"]
)
@pytest.mark.parametrize("path", ["/", "/v1/models", "/health/ready", "/static/style.css"])
def test_foreign_hosts_are_not(client: Client, host: str, path: str) -> None:
    answer = client.get(path, host=host)
    assert answer.status in (400, 421)
    assert "labels" not in answer.body.decode()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1"},
        {"origin": "file://127.0.0.1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_cannot_change_anything(client: Client, method: str, headers: dict[str, str]) -> None:
    for path in (PREDICT, "/v1/feedback", "/v1/models"):
        assert client.call(method, path, ROW, headers).status == 403


def test_the_own_page_can_ask(client: Client) -> None:
    origin = f"http://127.0.0.1:{client.port}"
    assert client.post(PREDICT, ROW, {"origin": origin, "sec-fetch-site": "same-origin"}).status == 200
    assert client.post(PREDICT, ROW, {"sec-fetch-site": "none"}).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_forms_are_refused(client: Client, kind: str) -> None:
    assert client.post(PREDICT, ROW, {"content-type": kind}).status == 415


def test_every_answer_keeps_browsers_in_bounds(client: Client) -> None:
    for answer in (
        client.get("/v1/models"),
        client.get("/nowhere"),
        client.predict(b"{"),
        client.get("/", host="evil.test"),
        client.get("/"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_key_is_asked_for(start: Start) -> None:
    key = "a-key"
    client, _ = start(gate=Gate((bytes.fromhex(hash_key("another")), bytes.fromhex(hash_key(key)))))
    bearer = {"authorization": f"Bearer {key}"}
    for path in ("/v1/models", "/metrics", "/openapi.json", "/models/reviews/card", "/nowhere"):
        answer = client.get(path)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get(path, **bearer).status in (200, 404)
    for wrong in ("Bearer", "Bearer a-ke", f"Basic {key}", key, f"Bearer {hash_key(key)}", "Bearer a-key, Bearer b"):
        assert client.post(PREDICT, ROW, {"authorization": wrong}).status == 401
    assert client.post(PREDICT, ROW, bearer).status == 200
    for open_path in ("/", "/health/live", "/health/ready"):
        assert client.get(open_path).status == 200
    described = client.get("/openapi.json", **bearer).json
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_links_carry_tickets_for_one_path(start: Start, models: dict[str, Hosted]) -> None:
    named = {"reviews": replace(models["reviews"], report="<p>hello</p>")}
    client, service = start(models=named, gate=Gate((bytes.fromhex(hash_key("k")),)))
    links = client.get("/v1/models", authorization="Bearer k").json["models"][0]["links"]
    assert client.get(links["report"]).body == b"<p>hello</p>"
    ticket = links["report"].partition("?")[2]
    assert client.get(f"/models/reviews/card?{ticket}").status == 401
    assert client.get(f"/v1/models?{ticket}").status == 401
    until, _, signature = ticket.removeprefix("ticket=").partition(".")
    for forged in (f"{int(until) + 1}.{signature}", f"1.{signature}", f"{until}.", "", "x.y", f"{until}.é"):
        assert not service.gate.is_ticket("/models/reviews/report", forged.encode("latin-1"))


def test_hosts_beyond_this_machine() -> None:
    gate = Gate((b"x" * 32,), LOOPBACK_NAMES | {"tunes.example.org"}, numbers=True)
    for host, good in (("tunes.example.org:443", True), ("10.1.2.3", True), ("[2001:db8::1]", True), ("evil", False)):
        try:
            gate.check("GET", "/", b"", [(b"host", host.encode())])
            passed = True
        except Exception:
            passed = False
        assert passed is good


@pytest.mark.parametrize("name", ["Tunes.example.org", "tunes.example.org:8443"])
def test_names_are_allowed_as_they_are_typed(name: str) -> None:
    gate = _make_gate(Console(), "127.0.0.1", None, [name])
    gate.check("GET", "/", b"", [(b"host", b"tunes.example.org:8443")])


@pytest.mark.parametrize("name", ["https://tunes.example.org", "tunes.example.org/models", ""])
def test_addresses_are_no_names(name: str) -> None:
    with pytest.raises(UserError, match="--allow-host"):
        _make_gate(Console(), "127.0.0.1", None, [name])


def test_key_files_hold_hashes_only(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    key = make_key_file(path)
    assert len(key) >= 43
    assert key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_keys(path) == (bytes.fromhex(hash_key(key)),)
    with pytest.raises(UserError):
        make_key_file(path)
    for content, word in (("secret-key\n", "line 1"), ("# nothing\n", "no key"), ("sha256:abc\n", "line 1")):
        path.write_text(content)
        with pytest.raises(UserError, match=word) as caught:
            read_keys(path)
        assert "secret-key" not in str(caught.value)


def test_logs_hold_no_text(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client.predict({"text": "utterly private words"})
        client.predict({"text": "utterly private words", "label": ["utterly private", 5]})
        client.predict(b'{"utterly private": ')
        client.post("/v1/feedback", {"id": "x", "right": "utterly private"})
    assert "utterly" not in caplog.text


def test_markup_stays_text(client: Client) -> None:
    answer = client.predict({"text": "<img src=x onerror=alert(1)>"}, "markup")
    assert answer.headers["content-type"] == "application/json"
    page = client.get("/").body.decode()
    assert "<script>alert(1)" not in page
    assert client.get("/v1/models").headers["x-content-type-options"] == "nosniff"
