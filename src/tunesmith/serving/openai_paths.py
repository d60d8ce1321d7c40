"""The paths that clients of OpenAI's API call: completions, chat completions, embeddings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel

from tunesmith.errors import nearest
from tunesmith.serving import asking, bodies, openai, openai_description, replying, scripts
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.openai_answers import Form, embedding_list
from tunesmith.serving.problems import Problem, to_json
from tunesmith.serving.service import Service
from tunesmith.serving.streaming import EventStream, read_events
from tunesmith.serving.writing import Finish, Piece, Script

JSON = "application/json"


def add_paths(app: FastAPI, service: Service) -> None:
    """Lay out the paths."""

    @app.post(openai.COMPLETIONS, openapi_extra=openai_description.describe(openai.COMPLETIONS, service.models))
    async def complete(request: Request) -> Response:
        """Write a text from each text."""
        body = await _read(request, service)
        hosted = _find(service, body.model, scripts.writes_texts, "writes no text from a text")
        if len(body.prompt) > service.limits.prompts:
            message = f"{len(body.prompt):,} texts came, wanted at most {service.limits.prompts:,}"
            raise Problem(400, message, fix="send them in several requests", field="prompt")
        rows = _make_rows(body.prompt, "prompt", hosted, service)
        script = scripts.write_texts(hosted, rows, body.wish(), service.limits)
        return await _write(request, service, script, body, Form(hosted.name, False, body.counts_usage))

    @app.post(openai.CHAT, openapi_extra=openai_description.describe(openai.CHAT, service.models))
    async def chat(request: Request) -> Response:
        """Write the next turn of a conversation."""
        body = await _read(request, service)
        hosted = _find(service, body.model, replying.can_reply, "takes no part in conversations")
        script = replying.write_reply(hosted, body.messages, body.wish(), service.limits)
        return await _write(request, service, script, body, Form(hosted.name, True, body.counts_usage))

    @app.post(openai.EMBEDDINGS, openapi_extra=openai_description.describe(openai.EMBEDDINGS, service.models))
    async def embed(request: Request) -> Response:
        """Give the vector of each text."""
        body = await _read(request, service)
        hosted = _find(service, body.model, gives_vectors, "gives no vectors of texts")
        width = hosted.predictor.model.width
        if body.dimensions not in (None, width):
            message = f"dimensions is {body.dimensions:,}, but vectors of {hosted.name} have {width:,} numbers"
            raise Problem(400, message, fix=f"leave it out, or send {width}", field="dimensions")
        return await _embed(request, service, hosted, body)


def gives_vectors(hosted: Hosted) -> bool:
    """Whether a model's answers are vectors of texts."""
    return hosted.predictor.model.head_spec.kind == "vectors"


async def _read(request: Request, service: Service) -> Any:
    raw = await bodies.read_body(request.headers, request.receive, service.limits)
    return openai.read_request(bodies.parse_json(raw), request.scope["path"])


def _find(service: Service, name: str, fits: Any, otherwise: str) -> Hosted:
    hosted = service.models.get(name)
    fitting = [known for known, model in service.models.items() if fits(model)]
    if hosted is None:
        fix = nearest(name[:64], fitting) if fitting else "see /v1/models for those that are served"
        raise Problem(404, "there is no such model", fix=fix, field="model", code="model_not_found")
    if name not in fitting:
        message = f"{name} {otherwise}: its task is {hosted.task.name}"
        fix = f"ask {fitting[0]}" if fitting else f"use /v1/models/{name}/predict"
        raise Problem(404, message, fix=fix, field="model", code="model_not_found")
    return hosted


def _make_rows(texts: Sequence[str], field: str, hosted: Hosted, service: Service) -> list[BaseModel]:
    return [
        bodies.make_row({"text": text}, hosted, service.limits, f"{field}.{place}.") for place, text in enumerate(texts)
    ]


async def _write(request: Request, service: Service, script: Script, body: Any, form: Form) -> Response:
    events = _counted(read_events(service.writers, script, request.receive), service, form.model)
    if not body.stream:
        async with contextlib.aclosing(events):
            return Response(to_json(form.whole([event async for event in events])), media_type=JSON)
    first = await anext(events)  # an error up to here still has a status

    async def messages() -> AsyncGenerator[list[dict[str, Any]], None]:
        async with contextlib.aclosing(events):
            yield form.chunks(first)
            async for event in events:
                yield form.chunks(event)
            yield form.last_chunks()

    return EventStream(messages(), openai.shape_error)


async def _counted(
    events: AsyncGenerator[Piece | Finish, None], service: Service, model: str
) -> AsyncGenerator[Piece | Finish, None]:
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Finish):
                service.meters.rows.labels(model).inc()
                service.meters.written.labels(model).inc(event.written_tokens)
            yield event


async def _embed(request: Request, service: Service, hosted: Hosted, body: openai.EmbeddingBody) -> Response:
    limits = service.limits
    if len(body.input) > limits.rows:
        message = f"{len(body.input):,} texts came, wanted at most {limits.rows:,}"
        raise Problem(400, message, fix="send them in several requests", field="input")
    rows = _make_rows(body.input, "input", hosted, service)
    items = await asyncio.to_thread(scripts.encode_whole, hosted, rows)
    asked = await asking.ask(service.batcher_of(hosted), hosted, rows, request.receive, limits.answer_s)
    service.meters.rows.labels(hosted.name).inc(len(rows))
    vectors = [answer.vector for answer in asked.answers]
    tokens = sum(len(ids) for item in items for ids in item.sequences)
    found = embedding_list(hosted.name, vectors, tokens, in_base64=body.encoding_format == "base64")
    return Response(to_json(found), media_type=JSON)
