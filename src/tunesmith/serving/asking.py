"""From checked rows to answers: wait in line, follow the client, give up what nobody waits for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from pydantic import BaseModel

from tunesmith.serving.batching import Batcher
from tunesmith.serving.bodies import ClientGone, Receive
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.problems import Problem
from tunesmith.serving.waiting import LineFull, Request


async def ask(
    batcher: Batcher, hosted: Hosted, rows: Sequence[BaseModel], receive: Receive, patience_s: float
) -> Request:
    """Have rows answered.

    Args:
        batcher: who answers.
        hosted: the model.
        rows: checked.
        receive: says when the client has gone.
        patience_s: an answer that takes longer is of no use.

    Returns:
        The request with all its answers.

    Raises:
        Problem: there is no room (429), no time (503), or a row cannot be answered.
        ClientGone: nobody waits any more; the rows have left the line.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()

    def finish() -> None:
        if not answered.done():
            answered.set_result(None)

    def tell(_: Request) -> None:
        loop.call_soon_threadsafe(finish)

    request = Request(hosted, rows, time.monotonic() + patience_s, done=tell)
    try:
        batcher.line.join(request)
    except LineFull as full:
        raise no_room(full) from None
    watcher = loop.create_task(watch(receive))
    try:
        await asyncio.wait((answered, watcher), return_when=asyncio.FIRST_COMPLETED, timeout=patience_s + 5.0)
    finally:
        watcher.cancel()
        batcher.line.leave(request)
    if request.error is not None:
        raise request.error
    if not answered.done():
        if watcher.done():
            raise ClientGone
        raise Problem(503, "there was no time left to answer", fix="try again later", retry_after_s=1.0)
    return request


async def watch(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def no_room(full: LineFull) -> Problem:
    """What a client is told who found no room."""
    if full.late:
        message = "so much is waiting that this request could not be answered in time"
        return Problem(503, message, fix="try again later, or send fewer rows", retry_after_s=full.wait_s)
    message = "too many rows are waiting"
    return Problem(429, message, fix="try again later, or send fewer rows", retry_after_s=full.wait_s)
