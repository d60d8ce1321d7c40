"""From start to end: the socket, the signals, and an end at which nothing that was accepted is lost.

At SIGTERM or Ctrl-C the server takes what is in the listening socket's queue and closes that socket. Every answer from
then on closes its connection; open connections may still bring a request for a moment. Then it ends, with exit code 0.
"""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

from tunesmith.errors import UserError
from tunesmith.serving.app import build_app
from tunesmith.serving.connections import make_protocol
from tunesmith.serving.guarding import guard
from tunesmith.serving.service import Service

BACKLOG = 1024
SWITCH_S = 0.0005
WRITING_SHARE = 0.8
"""Of `Limits.grace_s`, how much texts get that are being written at the end; what is cut then is sent in the rest."""


class RunningServer:
    """A server in a thread of its own.

    Args:
        service: what is served.
        listener: a bound socket; the server closes it.
    """

    def __init__(self, service: Service, listener: socket.socket) -> None:
        self.service = service
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._listener = listener
        limits = service.limits
        config = uvicorn.Config(
            guard(build_app(service), service),
            http=make_protocol(limits),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(limits.idle_s),
            timeout_graceful_shutdown=int(limits.grace_s),
            h11_max_incomplete_event_size=limits.head_bytes,
            backlog=BACKLOG,
        )
        self._server = uvicorn.Server(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def start(self) -> None:
        """Begin; returns when requests are answered.

        Raises:
            Exception: what ended the server before it began.
        """
        self.service.start()
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)
        self.check()

    def check(self) -> None:
        """Raise what ended the server, if anything did."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
                self._loop = runner.get_loop()
                runner.run(self._server.serve(sockets=[self._listener]))
        except BaseException as error:  # raised where somebody waits for the server: nobody sees what a thread raises
            self._error = error

    def stop(self) -> None:
        """End in order: what was accepted is answered."""
        assert self._loop is not None
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._drain(), self._loop).result()
        self._thread.join()
        self.service.stop()

    async def _drain(self) -> None:
        self.service.state.draining = True
        self.service.writers.finish_within(WRITING_SHARE * self.service.limits.grace_s)
        until = time.monotonic() + self.service.limits.linger_s
        while select.select([self._listener], [], [], 0)[0] and time.monotonic() < until:
            await asyncio.sleep(0)
        for server in self._server.servers:
            server.close()
        while self._server.server_state.connections and time.monotonic() < until:
            await asyncio.sleep(0.01)
        self._server.should_exit = True


def open_listener(host: str, port: int) -> socket.socket:
    """Bind a socket; port 0 is any free one.

    Raises:
        UserError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where it reads TCP here; with it, each answer waits 40 ms for the
    # client's delayed acknowledgement of its head
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        return listener
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot listen at {host}, port {port}: {reason}", fix="give another --host or --port"
        ) from None


def _tune_process() -> None:
    """Settings of Python for a process that does nothing but serve.

    A full garbage collection walks through all that the libraries made at import, a quarter of a second in which nobody
    is answered: what stands now is left out of it. And a computing thread gives way to a request after half a
    millisecond, not five.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)


def serve_until_signal(service: Service, listener: socket.socket, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        service: what is served.
        listener: a bound socket.
        announce: told the address once requests are answered.
    """
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    kept = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server = RunningServer(service, listener)
        server.start()
        _tune_process()
        host, port = server.address
        announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        while not ended.wait(1.0):
            server.check()
        server.stop()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
