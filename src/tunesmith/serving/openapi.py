"""The description of the paths as OpenAPI: each model with its own rows, answers and an example."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from tunesmith.serving.hosting import Hosted
from tunesmith.serving.limits import Limits

REFERENCE = "#/components/schemas/{model}"
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "fix"],
            "properties": {
                "message": {"type": "string", "description": "what came and what was wanted"},
                "fix": {"type": "string", "description": "what to do"},
                "field": {"type": "string", "description": "the part of the body at fault"},
            },
        }
    },
}
REASONS = {
    400: "The body is no JSON",
    401: "An API key is missing",
    403: "The request comes from another site",
    404: "There is no such thing, or not any more",
    408: "The body came too slowly",
    413: "The body has too many bytes",
    415: "The body is not said to be JSON",
    421: "The server has another name",
    422: "A row does not fit",
    429: "Too many rows wait; Retry-After says when to try again",
    503: "There is no time left or the server is about to end; Retry-After says when to try again",
}
COMMON = (401, 403, 421)


def shared_schemas() -> dict[str, Any]:
    """Components that all models share."""
    feedback = {
        "type": "object",
        "required": ["id", "right"],
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "minLength": 1, "maxLength": 128, "description": "of the answer"},
            "right": {
                "description": "the right answer, as a labelled row holds it: a label, a list of labels, a number, "
                "a list of entities, or texts among those of the row",
                "anyOf": [{"type": "string"}, {"type": "number"}, {"type": "array"}],
            },
            "comment": {"type": "string"},
            "row": {"type": "object", "description": "what was asked; needed when it is not remembered any more"},
        },
    }
    stored = {
        "type": "object",
        "required": ["id", "stored"],
        "properties": {"id": {"type": "string"}, "stored": {"type": "boolean"}},
    }
    return {"Error": ERROR, "Feedback": feedback, "Stored": stored}


def model_schemas(hosted: Hosted) -> dict[str, Any]:
    """Components of one model: its rows and answers, named after it."""
    kinds = [(hosted.task.Row, "validation"), (hosted.task.Prediction, "serialization")]
    _, found = models_json_schema(kinds, ref_template=f"#/components/schemas/{hosted.name}.{{model}}")  # type: ignore[arg-type]
    return {f"{hosted.name}.{name}": _closed(name, schema, hosted) for name, schema in found["$defs"].items()}


def _closed(name: str, schema: dict[str, Any], hosted: Hosted) -> dict[str, Any]:
    """Unknown fields of a row are refused; an answer has an id as well."""
    if name == hosted.task.Row.__name__:
        return {**schema, "additionalProperties": False, "examples": [hosted.sample_row()]}
    if name == hosted.task.Prediction.__name__:
        properties = {**schema["properties"], "id": {"type": "string", "description": "names the answer in feedback"}}
        return {**schema, "properties": properties, "required": [*schema.get("required", ()), "id"]}
    return schema


def describe_predict(hosted: Hosted, limits: Limits) -> dict[str, Any]:
    """The path of one model's predictions, for `openapi_extra`."""
    row, answer = (
        {"$ref": f"#/components/schemas/{hosted.name}.{kind.__name__}"}
        for kind in (hosted.task.Row, hosted.task.Prediction)
    )
    sample = hosted.sample_row()
    several = {"type": "array", "items": row, "minItems": 1, "maxItems": limits.rows}
    return {
        "operationId": f"predict_{hosted.name}",
        "summary": f"Answer rows with {hosted.name}: {hosted.task.title}",
        "requestBody": _body(
            {"anyOf": [row, several]}, {"one": {"value": sample}, "several": {"value": [sample, sample]}}
        ),
        "responses": {
            "200": _answer({"anyOf": [answer, {"type": "array", "items": answer}]}, "An answer, or one a row"),
            **_errors(400, 408, 413, 415, 422, 429, 503),
        },
    }


def describe_feedback(models: dict[str, Hosted]) -> dict[str, Any]:
    """The path of feedback, for `openapi_extra`."""
    hosted = next((one for one in models.values() if one.label_field is not None), next(iter(models.values())))
    sample = {
        "id": f"{hosted.name}.0123456789abcdef01234567",
        "right": _sample_right(hosted),
        "comment": "",
        "row": hosted.sample_row(),
    }
    return {
        "operationId": "feedback",
        "summary": "Say what the right answer is; what is acknowledged is on the disk",
        "requestBody": _body({"$ref": "#/components/schemas/Feedback"}, {"one": {"value": sample}}),
        "responses": {
            "201": _answer({"$ref": "#/components/schemas/Stored"}, "Stored"),
            **_errors(400, 404, 408, 413, 415, 422, 503),
        },
    }


def _sample_right(hosted: Hosted) -> Any:
    """Something that might be right for the sample row."""
    labels, listed = hosted.labels, [value for value in hosted.sample_row().values() if isinstance(value, list)]
    if labels.kind == "number":
        return 1.0
    if labels.names and labels.kind == "single":
        return labels.names[0]
    field = hosted.task.Row.model_json_schema()["properties"].get(hosted.label_field, {})
    takes_list = any(option.get("type") == "array" for option in (field, *field.get("anyOf", ())))
    if listed:
        return listed[0][:1] if takes_list else listed[0][0]
    return []


def describe_get(description: str, kind: str = "application/json", failing: int | None = None) -> dict[str, Any]:
    """A path that is only read, for `openapi_extra`."""
    schema = {"type": "object"} if kind == "application/json" else {"type": "string"}
    found = {"200": {"description": description, "content": {kind: {"schema": schema}}}, **_errors()}
    if failing is not None:
        found[str(failing)] = {"description": "It is not", "content": {kind: {"schema": schema}}}
    return {"responses": found}


def _body(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}


def _answer(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors(*codes: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {str(code): _answer(schema, REASONS[code]) for code in sorted({*codes, *COMMON})}
