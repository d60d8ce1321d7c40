"""One connection: bounded in number, in the size of its head and in the time that the head may take.

Uvicorn bounds none of these. A client that sends its headers byte by byte would hold a connection for ever.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from tunesmith.serving.limits import Limits
from tunesmith.serving.problems import Problem, to_json

TOO_MANY = Problem(503, "too many connections are open", fix="try again later", retry_after_s=1.0)
TOO_SLOW = Problem(408, "the headers did not arrive in time", fix="send them at once")
TOO_LARGE = Problem(431, "the headers are too large", fix="send fewer or shorter headers")
CUT_SHORT = Problem(400, "the connection was closed before the request was complete", fix="send all of the request")


def make_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """The class that Uvicorn makes an instance of for each connection."""

    class BoundedProtocol(H11Protocol):
        """Uvicorn's protocol, whose only point of extension is a class of its own, with bounds."""

        refused = False
        head_bytes = 0
        head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            if len(self.connections) >= limits.connections:
                self.transport = transport
                self._refuse(TOO_MANY)
                return
            super().connection_made(transport)
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

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
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
            body = to_json(problem.content())
            lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}", "content-type: application/json"]
            lines += [f"content-length: {len(body)}", "connection: close"]
            lines += [f"{name}: {value}" for name, value in problem.headers().items()]
            self.transport.write("\r\n".join([*lines, "", ""]).encode("ascii") + body)
            self.transport.close()

    return BoundedProtocol
