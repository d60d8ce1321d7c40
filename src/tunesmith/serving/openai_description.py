"""The description of OpenAI's paths for `/openapi.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from tunesmith.serving import openai
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.openapi import REASONS

PREFIX = "OpenAI."
SUMMARIES = {
    openai.COMPLETIONS: ("complete", "Write a text from each text, as clients of OpenAI's API ask for it"),
    openai.CHAT: ("chat", "Write the next turn of a conversation, as clients of OpenAI's API ask for it"),
    openai.EMBEDDINGS: ("embed", "Give the vector of each text, as clients of OpenAI's API ask for it"),
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "the part of the body at fault"},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_COUNTS = {
    "type": "object",
    "required": ["prompt_tokens", "total_tokens"],
    "properties": {name: {"type": "integer"} for name in ("prompt_tokens", "completion_tokens", "total_tokens")},
}
EVENT = {
    "type": "object",
    "description": "each event, with stream: true",
    "required": ["data"],
    "properties": {"data": {"type": "string", "description": "a chunk as JSON; of the last event [DONE]"}},
}
FITS_NOT = "The body is no JSON, or something in it is missing, unknown, of the wrong kind or not offered"
ERRORS = (400, 401, 403, 404, 408, 413, 415, 421, 429, 503)


def schemas() -> dict[str, Any]:
    """Components: the bodies, with all fields that are accepted, and the error."""
    kinds: Any = [(kind, "validation") for kind in openai.BODIES.values()]
    _, found = models_json_schema(kinds, ref_template=f"#/components/schemas/{PREFIX}{{model}}")
    bodies = {kind.__name__: path for path, kind in openai.BODIES.items()}
    named = {f"{PREFIX}{name}": _complete(schema, bodies.get(name), name) for name, schema in found["$defs"].items()}
    return {**named, f"{PREFIX}Error": ERROR}


def _complete(schema: dict[str, Any], path: str | None, name: str) -> dict[str, Any]:
    """The schema with what is accepted in one value only, and what is ignored."""
    neutral = openai.NEUTRAL[path] if path else openai.MESSAGE_NEUTRAL if name == openai.Message.__name__ else {}
    fixed = {field: {"enum": [*values, None]} for field, values in neutral.items()}
    ignored: dict[str, Any] = {field: {"description": "ignored"} for field in openai.HARMLESS} if path else {}
    return {**schema, "properties": {**schema["properties"], **fixed, **ignored}}


def describe(path: str, models: Mapping[str, Hosted]) -> dict[str, Any]:
    """One path, for `openapi_extra`."""
    name, summary = SUMMARIES[path]
    kind = openai.BODIES[path].__name__
    error = {"application/json": {"schema": {"$ref": f"#/components/schemas/{PREFIX}Error"}}}
    content: dict[str, Any] = {"application/json": {"schema": _answer(path)}}
    if path != openai.EMBEDDINGS:
        content["text/event-stream"] = {"schema": EVENT}
    body = {"schema": {"$ref": f"#/components/schemas/{PREFIX}{kind}"}, "example": _example(path, models)}
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": {"description": "The answer", "content": content},
            **{
                str(code): {"description": FITS_NOT if code == 400 else REASONS[code], "content": error}
                for code in ERRORS
            },
        },
    }


def _answer(path: str) -> dict[str, Any]:
    is_list = path == openai.EMBEDDINGS
    names = (
        ("object", "data", "model", "usage") if is_list else ("id", "object", "created", "model", "choices", "usage")
    )
    own: dict[str, Any] = {"data" if is_list else "choices": {"type": "array"}, "usage": _COUNTS}
    return {"type": "object", "required": list(names), "properties": own}


def _example(path: str, models: Mapping[str, Hosted]) -> dict[str, Any]:
    text = next(iter(models.values())).language if models else "en"
    said = "今天天气怎么样？" if text == "zh" else "What a day, is it not?"
    asked = {openai.COMPLETIONS: {"prompt": said}, openai.EMBEDDINGS: {"input": said}}
    return {"model": next(iter(models), "NAME"), **asked.get(path, {"messages": [{"role": "user", "content": said}]})}
