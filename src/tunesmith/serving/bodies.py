"""Bodies of requests: read within bounds of size and time, parsed as strict JSON, turned into checked rows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError

from tunesmith.data.rejects import shorten
from tunesmith.errors import nearest
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.limits import Limits
from tunesmith.serving.problems import Problem

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
SHOWN_CHARACTERS = 80


class ClientGone(Exception):
    """The client closed its connection; nobody reads an answer."""


async def read_body(headers: Mapping[str, str], receive: Receive, limits: Limits) -> bytes:
    """Read a request's body.

    Raises:
        Problem: it is no JSON by its type (415), too large (413) or too slow (408).
        ClientGone: the client has left.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = f"the content type is {shorten(kind) if kind else 'not given'}, wanted application/json"
        raise Problem(415, message, fix="send the header Content-Type: application/json")
    length = headers.get("content-length", "")
    if length.isdigit() and (len(length) > 18 or int(length) > limits.body_bytes):
        _too_large(limits)
    try:
        async with asyncio.timeout(limits.body_s):
            return await _collect(receive, limits)
    except TimeoutError:
        message = f"the body did not arrive within {limits.body_s:g} seconds"
        raise Problem(408, message, fix="send it at once") from None


async def _collect(receive: Receive, limits: Limits) -> bytes:
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size_bytes += len(part)
        if size_bytes > limits.body_bytes:
            _too_large(limits)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large(limits: Limits) -> NoReturn:
    message = f"the body has more than {limits.body_bytes:,} bytes"
    raise Problem(413, message, fix="send fewer rows at a time")


def parse_json(body: bytes) -> Any:
    """Parse strict JSON: UTF-8, no NaN, no key twice, not nested beyond reason.

    Raises:
        Problem: it is none (400).
    """
    fix = 'send JSON such as {"text": "…"}'
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem(400, f"the body is no UTF-8: byte {error.start:,}", fix="send UTF-8") from None
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno:,}, character {error.colno:,}"
        raise Problem(400, f"the body is no JSON: {error.msg} ({where})", fix=fix) from None
    except RecursionError:
        raise Problem(400, "the body is nested too deeply", fix=fix) from None
    except ValueError as error:
        raise Problem(400, f"the body is no JSON: {shorten(str(error))}", fix=fix) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object holds the same key twice")
    return found


def make_rows(content: Any, hosted: Hosted, limits: Limits) -> tuple[list[BaseModel], bool]:
    """Check one row object or a list of them.

    Returns:
        Instances of the task's Row, and whether a list came.

    Raises:
        Problem: something is missing, unknown, of the wrong kind or too much (422).
    """
    if isinstance(content, dict):
        return [make_row(content, hosted, limits)], False
    if not isinstance(content, list):
        came = f"the body is {_kind(content)}, wanted an object or a list of objects"
        raise Problem(422, came, fix='send {"text": "…"} or [{"text": "…"}]')
    if not content:
        raise Problem(422, "the list is empty, wanted 1 row or more", fix='send [{"text": "…"}]')
    if len(content) > limits.rows:
        message = f"{len(content):,} rows came, wanted at most {limits.rows:,}"
        raise Problem(422, message, fix="send them in several requests, or use tunesmith predict for files")
    return [make_row(row, hosted, limits, f"{place}.") for place, row in enumerate(content)], True


def make_row(content: Any, hosted: Hosted, limits: Limits, where: str = "") -> BaseModel:
    """Check one row.

    Args:
        content: the parsed JSON.
        hosted: whose rows are wanted.
        limits: most characters.
        where: put in front of the field's name.

    Raises:
        Problem: see `make_rows`.
    """
    if not isinstance(content, dict):
        field = where.rstrip(".") or None
        raise Problem(422, f"a row is {_kind(content)}, wanted an object", fix='send {"text": "…"}', field=field)
    task = hosted.task
    for name in content:
        if name not in task.Row.model_fields:
            fix = nearest(name[:SHOWN_CHARACTERS], task.Row.model_fields)
            raise Problem(422, f"a row has no field {shorten(name)}", fix=fix, field=where + _clip(name))
    row = validate(task.Row, content, {}, where)
    _check_texts(task.texts(row), limits, where + hosted.text_columns[0].name)
    for column in hosted.text_columns:
        if column.required and not str(getattr(row, column.name)).strip():
            fix = "send a text with something in it"
            raise Problem(422, "a text is empty", fix=fix, field=where + column.name)
    return row


def validate(kind: type[BaseModel], content: dict[str, Any], renamed: Mapping[str, str], where: str = "") -> BaseModel:
    """Check an object against a pydantic model.

    Args:
        kind: the model.
        content: the object.
        renamed: what clients call some of its fields.
        where: put in front of the field's name.

    Raises:
        Problem: the first thing that does not fit (422).
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = [renamed.get(str(part), str(part)) for part in first["loc"]]
        field = (where + ".".join(path))[:SHOWN_CHARACTERS].rstrip(".") or None
        message = f"{field or 'the row'}: {first['msg'][:300]}"
        raise Problem(422, message, fix="see /openapi.json for what is wanted", field=field) from None


def _check_texts(texts: Sequence[str], limits: Limits, field: str) -> None:
    characters = sum(map(len, texts))
    if characters > limits.characters:
        message = f"a row has {characters:,} characters, wanted at most {limits.characters:,}"
        raise Problem(422, message, fix="send shorter texts", field=field)
    for text in texts:
        check_encodable(text, field)


def check_encodable(text: str, field: str) -> None:
    """Refuse half a character, which no file and no tokenizer can hold.

    Raises:
        Problem: the text has a lone surrogate (422).
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        message = f"character {error.start:,} is half a character (a lone surrogate)"
        raise Problem(422, message, fix="send whole characters", field=field) from None


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _clip(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
