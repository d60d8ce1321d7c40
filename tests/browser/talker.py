"""A server with the real page and one made-up model that converses: what it says, and when, the test decides."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE_S = 20.0
EXAMPLE = "Which city has the oldest bridge?"


@dataclass
class Talker:
    """What the model says.

    Attributes:
        address: of the page.
        asked: bodies of the requests, the oldest first.
        left: set once a client has gone while an answer was written.
        refuse: headers of a request → (status, error) or None.
    """

    address: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    refuse: Callable[[Any], tuple[int, dict[str, Any]] | None] = lambda _: None
    _bytes: queue.Queue[bytes | None] = field(default_factory=queue.Queue)
    models: list[dict[str, Any]] = field(default_factory=lambda: [make_chat_model("talker")])

    def send(self, data: bytes) -> None:
        """Bytes of the stream, as one chunk."""
        self._bytes.put(data)

    def say(self, text: str, end: str | None = None) -> None:
        """A piece of the answer; with an end, the last one."""
        self.send(as_event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": end}]}))
        if end is not None:
            self.send(b"data: [DONE]\n\n")
            self.hang_up()

    def hang_up(self) -> None:
        """The connection ends here."""
        self._bytes.put(None)

    def pieces(self) -> Iterator[bytes | None]:
        """What is sent; None now and then where there is nothing, to see whether anybody still reads."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and not self.left.is_set():
            with contextlib.suppress(queue.Empty):
                data = self._bytes.get(timeout=0.05)
                if data is None:
                    return
                yield data
                continue
            yield None


def make_chat_model(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "task": "chat",
        "labels": [],
        "columns": {"messages": {"required": True, "title": "Messages", "type": "messages"}},
        "limits": {"max_rows": 256, "max_characters": 500},
        "examples": [{"messages": [{"role": "user", "content": EXAMPLE}]}],
        "links": {"card": f"/models/{name}/card", "report": None},
    }


def as_event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"


@contextlib.contextmanager
def serve(talker: Talker) -> Iterator[Talker]:
    """The page and its model on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(talker))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    talker.address = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield talker
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _make_handler(talker: Talker) -> type[BaseHTTPRequestHandler]:
    from tunesmith.serving import page

    assets = page.read_assets()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing is logged."""

        def reply(self, content: bytes, media_type: str, status: int = 200, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"content-type": media_type, **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path == "/":
                language = "zh" if "lang=zh" in query else "en"
                self.reply(page.render_page(language).encode(), "text/html", content_security_policy=page.POLICY)
            elif path == "/v1/models":
                self.reply(json.dumps({"models": talker.models}).encode(), "application/json")
            elif path.removeprefix("/static/") in assets:
                asset = assets[path.removeprefix("/static/")]
                self.reply(asset.content, asset.media_type)
            else:
                self.reply(b"", "text/plain", 204 if path == "/favicon.ico" else 404)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            refusal = talker.refuse(self.headers)
            if refusal is not None:
                self.reply(json.dumps({"error": refusal[1]}).encode(), "application/json", refusal[0])
                return
            talker.asked.append(body)
            self.reply(b"", "text/event-stream")
            for data in talker.pieces():
                try:
                    self.wfile.write(data or b": nothing yet\n\n")
                except OSError:
                    talker.left.set()

    return Handler
