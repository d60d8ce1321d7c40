"""What stands around all paths: the gate, the headers of every answer, and the last word when something breaks."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tunesmith.serving.batching import log_fault
from tunesmith.serving.bodies import ClientGone
from tunesmith.serving.meters import OTHER
from tunesmith.serving.openai import shape_for
from tunesmith.serving.problems import FAULT, Problem, to_json
from tunesmith.serving.security import HEADERS
from tunesmith.serving.service import Service

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def guard(app: App, service: Service) -> App:
    """Put the guard around an application."""
    fixed = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        started = False
        began, status = time.perf_counter(), 499

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            nonlocal started, status
            if message["type"] == "http.response.start":
                started, status = True, message["status"]
                own = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in fixed if pair[0] not in own)]
                if service.state.draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            service.gate.check(scope["method"], scope["path"], scope["query_string"], scope["headers"])
            await app(scope, receive, send_with_headers)
        except ClientGone:
            return
        except Problem as problem:
            await _send_problem(problem, scope["path"], send_with_headers)
        except Exception as error:
            log_fault(error)
            if not started:
                await _send_problem(FAULT, scope["path"], send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", OTHER)
            service.meters.see_request(route, status, time.perf_counter() - began)

    return guarded


async def _send_problem(problem: Problem, path: str, send: Send) -> None:
    status, content = shape_for(path)(problem)
    body = to_json(content)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in problem.headers().items()]
    if problem.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
