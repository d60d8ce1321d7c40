"""From a script to its events, and from events to a stream of them (server-sent events, WHATWG HTML 9.2)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from starlette.responses import Response

from tunesmith.serving.asking import no_room, watch
from tunesmith.serving.bodies import ClientGone, Receive
from tunesmith.serving.problems import Problem, to_json
from tunesmith.serving.waiting import LineFull
from tunesmith.serving.writing import Begun, Ended, Event, Finish, Piece, Script, Writers, Writing

EVENT_STREAM = "text/event-stream"
DONE = b"data: [DONE]\n\n"
LATE_S = 5.0
"""How much later than its deadline a text may come, since its last token takes its time."""


async def read_events(writers: Writers, script: Script, receive: Receive) -> AsyncGenerator[Piece | Finish, None]:
    """Have a script written; give what comes. When this ends or is closed, the writing ends, too.

    Raises:
        Problem: there is no room (429) or no time (503), or the script raised it.
        ClientGone: nobody reads on.
    """
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event | None] = asyncio.Queue()

    def tell(event: Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(events.put_nowait, event)

    writing = Writing(script, tell, time.monotonic() + writers.limits.write_s)
    try:
        writers.join(writing)
    except LineFull as full:
        raise no_room(full) from None
    watcher = loop.create_task(watch(receive))
    watcher.add_done_callback(lambda _: events.put_nowait(None))
    patience_s = writers.limits.answer_s
    try:
        while True:
            event = await _next(events, patience_s)
            match event:
                case Begun():
                    patience_s = writing.deadline_s - time.monotonic() + LATE_S
                case Ended(problem):
                    if problem is not None:
                        raise problem
                    return
                case None:
                    raise ClientGone
                case _:
                    yield event
                    patience_s = max(LATE_S, writing.deadline_s - time.monotonic() + LATE_S)
    finally:
        writers.leave(writing)
        watcher.cancel()


async def _next(events: asyncio.Queue[Event | None], patience_s: float) -> Event | None:
    try:
        async with asyncio.timeout(patience_s):
            return await events.get()
    except TimeoutError:
        message = "there was no time left to write"
        raise Problem(503, message, fix="try again later", retry_after_s=1.0) from None


class EventStream(Response):
    """Events as they come. It ends with [DONE], also after an error that came too late for a status.

    Args:
        messages: what is sent, each as JSON.
        shape: an error as the client reads it.
    """

    media_type = EVENT_STREAM

    def __init__(self, messages: AsyncGenerator[Iterable[dict[str, Any]], None], shape: Any) -> None:
        super().__init__(headers={"x-accel-buffering": "no"})  # proxies may not wait until they have more of it
        del self.headers["content-length"]
        self._messages = messages
        self._shape = shape

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send all messages, then the end."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with contextlib.aclosing(self._messages) as messages:
            try:
                async for several in messages:
                    await _send(send, b"".join(map(as_event, several)))
            except Problem as problem:
                await _send(send, as_event(self._shape(problem)[1]))
            except ClientGone:
                return
        await send({"type": "http.response.body", "body": DONE, "more_body": False})


async def _send(send: Any, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


def as_event(content: Any) -> bytes:
    """One event.

    Example:
        >>> as_event({"a": 1})
        b'data: {"a":1}\\n\\n'
    """
    return b"data: " + to_json(content) + b"\n\n"
