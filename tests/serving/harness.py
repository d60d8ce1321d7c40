"""A small client for the tests: plain HTTP, and raw bytes for what no client would send."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, str]:
        return dict(self.json["error"])


@dataclass(frozen=True)
class Client:
    port: int

    def call(
        self, method: str, path: str, content: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 20
    ) -> Answer:
        """Send one request; bytes go as they are, anything else as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        try:
            connection.request(method, path, body, {**(JSON if body is not None else {}), **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, headers=headers)

    def post(self, path: str, content: Any, headers: Mapping[str, str] | None = None) -> Answer:
        return self.call("POST", path, content, headers)

    def predict(self, rows: Any, model: str = "reviews") -> Answer:
        return self.post(f"/v1/models/{model}/predict", rows)

    def raw(self, *parts: bytes, shut: bool = False, timeout: float = 20) -> Answer:
        """Send bytes as they are; status 0 where the connection ended without an answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            try:
                for part in parts:
                    connection.sendall(part)
                if shut:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:  # the server had enough; its answer may still be there
                pass
            return read_answer(connection)

    @property
    def healthy(self) -> bool:
        return self.get("/health/live").status == 200 and self.predict({"text": "a good film"}).status == 200


def read_answer(connection: socket.socket) -> Answer:
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
            head, found, body = data.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").lower().split("\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), None)
            if found and length is not None and len(body) >= length:
                break
    except ConnectionError:
        pass
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1]) if data.startswith(b"HTTP/") else 0
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    return Answer(status, headers, body)


def post_bytes(path: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """A POST as it goes over the wire."""
    size = len(body) if length is None else length
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", f"Content-Length: {size}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


@contextmanager
def served(*arguments: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """`tunesmith serve` as a process of its own, at a free port; killed in the end if it still runs."""
    words = [sys.executable, "-m", "tunesmith", "serve", *arguments, "--port", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment) as process:
        try:
            yield process, Client(_read_port(process))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)


def _read_port(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "http://" in line:
            return int(line.rsplit(":", 1)[1])
    raise AssertionError("the server did not start: " + "".join(lines))


def wait_for(condition: Any, seconds: float = 10.0) -> bool:
    """Look until it holds, at most so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.005)
    return bool(condition())
