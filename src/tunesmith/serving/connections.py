"""One connection: bounded in number, in the size of its head and in the time that sending and reading may take.

Uvicorn bounds none of these. A client that sends its headers byte by byte, or that does not read its answers, would
hold a connection for ever.
"""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from tunesmith.serving.limits import Limits
from tunesmith.serving.problems import Problem, to_json
from tunesmith.serving.security import HEADERS

TOO_MANY = Problem(503, "too many connections are open", fix="try again later", retry_after_s=1.0)
TOO_SLOW = Problem(408, "the headers did not arrive in time", fix="send them at once")
TOO_LARGE = Problem(431, "the headers are too large", fix="send fewer or shorter headers")
MALFORMED = Problem(400, "this is no HTTP request", fix="send HTTP/1.1")
CUT_SHORT = Problem(400, "the connection was closed before the request was complete", fix="send all of the request")
READ_BYTES = 16_384
"""What a client must take of a waiting answer within `Limits.read_s`, unless it takes all."""
QUEUE_BYTES = 131_072
"""What the system queues for a client; by itself it queues megabytes, and tells of progress a megabyte at a time."""


def make_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """The class that Uvicorn makes an instance of for each connection."""

    class BoundedProtocol(H11Protocol):
        """Uvicorn's protocol, whose only point of extension is a class of its own, with bounds."""

        refused = False
        head_bytes = 0
        head_timer: asyncio.TimerHandle | None = None
        read_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            if len(self.connections) >= limits.connections:
                self.transport = transport
                self._refuse(TOO_MANY)
                return
            super().connection_made(transport)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, QUEUE_BYTES)
            transport.set_write_buffer_limits(high=0)  # so that `pause_writing` tells of every byte that is not taken
            self._await_head()

        def data_received(self, data: bytes) -> None:
            if self.refused:
                return
            waiting = self._waits_for_head()
            if waiting and self.head_timer is None:
                self._await_head()
            super().data_received(data)
            if not waiting:
                return
            if self._waits_for_head():
                self.head_bytes += len(data)
                if self.head_bytes > limits.head_bytes:
                    self._refuse(TOO_LARGE)
            else:
                self._stop_timer()

        def eof_received(self) -> None:
            cut = self.head_bytes > 0 or (self.cycle is not None and self.cycle.more_body)
            if cut and not self.refused and not (self.cycle is not None and self.cycle.response_started):
                self._refuse(CUT_SHORT)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._await_reader()

        def resume_writing(self) -> None:
            self._stop_awaiting_reader()
            super().resume_writing()

        def _await_reader(self) -> None:
            self.read_timer = self.loop.call_later(
                limits.read_s, self._judge_reader, self.transport.get_write_buffer_size()
            )

        def _judge_reader(self, before_bytes: int) -> None:
            if self.transport.get_write_buffer_size() > before_bytes - READ_BYTES:
                self.transport.abort()
            else:
                self._await_reader()

        def _stop_awaiting_reader(self) -> None:
            if self.read_timer is not None:
                self.read_timer.cancel()
                self.read_timer = None

        def send_400_response(self, msg: str) -> None:
            self._refuse(MALFORMED)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            self._stop_awaiting_reader()
            if self.flow is not None:  # it was let in
                super().connection_lost(exc)

        def _waits_for_head(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _await_head(self) -> None:
            self._stop_timer()
            self.head_timer = self.loop.call_later(limits.head_s, self._refuse, TOO_SLOW)

        def _stop_timer(self) -> None:
            self.head_bytes = 0
            if self.head_timer is not None:
                self.head_timer.cancel()
                self.head_timer = None

        def _refuse(self, problem: Problem) -> None:
            self.refused = True
            self._stop_timer()
            if self.transport.is_closing():
                return
            if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
                return self.transport.close()  # what is written now would stand in the middle of another answer
            body = to_json(problem.content())
            lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}", "content-type: application/json"]
            lines += [f"content-length: {len(body)}", "connection: close"]
            lines += [f"{name}: {value}" for name, value in {**HEADERS, **problem.headers()}.items()]
            self.transport.write("\r\n".join([*lines, "", ""]).encode("ascii") + body)
            self.transport.close()

    return BoundedProtocol
