"""The paths of the server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from tunesmith import __version__
from tunesmith.errors import nearest
from tunesmith.serving import asking, bodies, feedback, meters, openai_description, openai_paths, openapi, page
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.openai import shape_for
from tunesmith.serving.problems import FAULT, Problem, to_json
from tunesmith.serving.security import SANDBOX
from tunesmith.serving.service import Service

JSON = "application/json"
LISTEN_S, LISTEN_BYTES = 1.0, 1 << 28


def build_app(service: Service) -> FastAPI:
    """Lay out all paths. What guards them is put around by `guarding.guard`."""
    app = FastAPI(title="Tunesmith", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.router.redirect_slashes = False  # a redirect names the server as it sees itself, without a proxy's path and TLS
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_unknown)
    app.add_exception_handler(bodies.ClientGone, _answer_nobody)
    app.add_exception_handler(Exception, _answer_fault)
    _add_health(app, service)
    _add_models(app, service)
    openai_paths.add_paths(app, service)
    _add_feedback(app, service)
    _add_description(app, service)
    page.add_page(app)
    return app


def respond(content: Any, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(to_json(content), status_code=status, media_type=JSON)


def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    kind = LastAnswer if error.status in (408, 413) else Response
    status, content = shape_for(request.scope["path"])(error)
    return kind(to_json(content), status, error.headers(), JSON)


def _answer_unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    fixes = {404: "see /openapi.json for what is there", 405: "see the header Allow"}
    problem = Problem(error.status_code, str(error.detail), fix=fixes.get(error.status_code, "see /openapi.json"))
    status, content = shape_for(request.scope["path"])(problem)
    answer = respond(content, status)
    answer.headers.update(error.headers or {})
    return answer


def _answer_nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


def _answer_fault(request: Request, error: Exception) -> Response:
    status, content = shape_for(request.scope["path"])(FAULT)
    return respond(content, status)


class LastAnswer(Response):
    """An answer to a client that is still sending: what comes is thrown away for a moment, then the connection ends.

    If it ended at once, the client's system would throw the answer away (RFC 9112, 9.6).
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the answer, listen, end."""
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_S):
                await _listen(receive)
        await send({"type": "http.response.body", "body": b""})


async def _listen(receive: Any) -> None:
    left_bytes = LISTEN_BYTES
    while left_bytes > 0:
        message = await receive()
        left_bytes -= len(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/health/live", openapi_extra=openapi.describe_get("It is", failing=503))
    async def live() -> Response:
        """Whether the process works at all."""
        alive = service.alive
        return respond({"live": alive}, 200 if alive else 503)

    @app.get("/health/ready", openapi_extra=openapi.describe_get("They should", failing=503))
    async def ready() -> Response:
        """Whether new requests should be sent here."""
        good = service.alive and not service.state.draining
        return respond({"ready": good}, 200 if good else 503)

    @app.get("/metrics", openapi_extra=openapi.describe_get("The figures", "text/plain"))
    async def metrics() -> Response:
        """Figures for Prometheus."""
        service.meters.queue_rows.set(service.waiting_rows)
        service.meters.writing.set(service.writers.running)
        service.meters.writing_line.set(service.writers.waiting)
        service.meters.remembered.set(len(service.memory))
        return Response(service.meters.render(), headers={"content-type": meters.CONTENT_TYPE})


def _add_models(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models", openapi_extra=openapi.describe_get("The models"))
    async def models() -> Response:
        """The models, their labels, what a row holds, and how much may be asked at once."""
        found = [_describe(service, hosted) for hosted in service.models.values()]
        return respond(
            {"object": "list", "data": [_as_entry(hosted) for hosted in service.models.values()], "models": found}
        )

    for hosted in service.models.values():
        _add_model(app, service, hosted)

    @app.get("/v1/models/{name}", include_in_schema=False)
    @app.post("/v1/models/{name}/predict", include_in_schema=False)
    async def unknown(name: str) -> Response:
        raise _no_model(name, service)


def _no_model(name: str, service: Service) -> Problem:
    return Problem(404, "there is no such model", fix=nearest(name[:64], service.models))


def _as_entry(hosted: Hosted) -> dict[str, Any]:
    """A model as clients of OpenAI's API read it; nothing tells when it was made."""
    return {"id": hosted.name, "object": "model", "created": 0, "owned_by": "tunesmith"}


def _describe(service: Service, hosted: Hosted) -> dict[str, Any]:
    limits = {"max_rows": service.limits.rows, "max_characters": service.limits.characters}
    links = {
        name: service.gate.make_link(f"/models/{hosted.name}/{name}") if content is not None else None
        for name, content in (("card", hosted.card), ("report", hosted.report))
    }
    return {**hosted.describe(), "limits": limits, "links": links}


def _add_model(app: FastAPI, service: Service, hosted: Hosted) -> None:
    extra = openapi.describe_predict(hosted, service.limits)

    @app.get(f"/v1/models/{hosted.name}", openapi_extra=openapi.describe_get("The model"))
    async def model() -> Response:
        """This model alone."""
        return respond({**_as_entry(hosted), **_describe(service, hosted)})

    @app.post(f"/v1/models/{hosted.name}/predict", openapi_extra=extra)
    async def predict(request: Request) -> Response:
        """Answer one row or a list of rows, in order."""
        limits = service.limits
        body = await bodies.read_body(request.headers, request.receive, limits)
        rows, several = bodies.make_rows(bodies.parse_json(body), hosted, limits)
        asked = await asking.ask(service.batcher_of(hosted), hosted, rows, request.receive, limits.answer_s)
        plain = [answer.model_dump(mode="json", exclude_none=True) for answer in asked.answers]
        answers = [
            {**answer, "id": service.memory.keep(hosted, row, answer)} for row, answer in zip(rows, plain, strict=True)
        ]
        service.meters.rows.labels(hosted.name).inc(len(rows))
        if asked.started_s is not None:
            service.meters.waiting.observe(asked.started_s - asked.arrived_s)
        return respond(answers if several else answers[0])

    for name, content, kind in (("card", hosted.card, "text/plain"), ("report", hosted.report, "text/html")):
        if content is not None:
            _add_document(app, f"/models/{hosted.name}/{name}", content, kind)


def _add_document(app: FastAPI, path: str, content: str, kind: str) -> None:
    @app.get(path, include_in_schema=False)
    async def document() -> Response:
        return Response(content, media_type=kind, headers={"content-security-policy": SANDBOX})


def _add_feedback(app: FastAPI, service: Service) -> None:
    @app.post("/v1/feedback", status_code=201, openapi_extra=openapi.describe_feedback(service.models))
    async def give(request: Request) -> Response:
        """Say what the right answer is."""
        body = await bodies.read_body(request.headers, request.receive, service.limits)
        content = bodies.parse_json(body)
        said = feedback.make_feedback(content, service.models, service.memory, service.limits)
        if service.store is None:
            raise Problem(404, "this server takes no feedback", fix="start it with --feedback FILE.db")
        await feedback.store(service.store, said)
        service.meters.feedback.labels(said.model).inc()
        return respond({"id": said.id, "stored": True}, 201)


def _add_description(app: FastAPI, service: Service) -> None:
    found: dict[str, Any] = get_openapi(title="Tunesmith", version=__version__, routes=app.routes)
    schemas = openapi.shared_schemas()
    for hosted in service.models.values():
        schemas |= openapi.model_schemas(hosted)
    schemas |= openai_description.schemas()
    found["components"] = {"schemas": schemas}
    if service.gate.key_hashes:
        found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"key": []}]
    text = to_json(found)

    @app.get("/openapi.json", include_in_schema=False)
    async def describe() -> Response:
        return Response(text, media_type=JSON)
