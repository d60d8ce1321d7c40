"""Requests as clients of OpenAI's API send them, checked: what changes an answer is obeyed or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from tunesmith.data.rejects import shorten
from tunesmith.errors import nearest
from tunesmith.serving.problems import Problem, to_json
from tunesmith.serving.scripts import Wish

COMPLETIONS, CHAT, EMBEDDINGS = "/v1/completions", "/v1/chat/completions", "/v1/embeddings"
PATHS = frozenset({COMPLETIONS, CHAT, EMBEDDINGS})
"""Paths whose errors have OpenAI's shape."""
HARMLESS = (
    *("user", "metadata", "store", "service_tier", "safety_identifier", "parallel_tool_calls"),
    *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
)
"""Fields that change no answer here: they are ignored."""
_PENALTIES: dict[str, tuple[Any, ...]] = {"presence_penalty": (0,), "frequency_penalty": (0,), "logit_bias": ({},)}
NEUTRAL: dict[str, dict[str, tuple[Any, ...]]] = {
    COMPLETIONS: {"n": (1,), "best_of": (1,), "echo": (False,), "suffix": ("",), "logprobs": (), **_PENALTIES},
    CHAT: {
        **{"n": (1,), "logprobs": (False,), "top_logprobs": (0,), "tools": ([],), "tool_choice": ("none", "auto")},
        **{"functions": ([],), "function_call": ("none", "auto"), "response_format": ({"type": "text"},)},
        **{"modalities": (["text"],), "audio": (), "prediction": (), "reasoning_effort": ("none",), "verbosity": ()},
        **{"web_search_options": (), "moderation": ()},
        **_PENALTIES,
    },
    EMBEDDINGS: {},
}
"""Fields that would change answers in ways not offered here, with the values, beside null, that change nothing."""
MESSAGE_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "tool_calls": ([],),
    "function_call": (),
    "refusal": (),
    "audio": (),
    "annotations": ([],),
}
"""Likewise of a message: a client sends answers back with all that they had."""
MOST_STOPS = 4
_MOST = 2**63 - 1


def _as_list(given: Any) -> Any:
    """One text as a list of one."""
    if isinstance(given, list) and given and all(isinstance(entry, (int, list)) for entry in given):
        raise ValueError("token ids of another model mean nothing here, wanted texts")
    return [given] if isinstance(given, str) else given


def _as_text(given: Any) -> Any:
    """Parts of a message put together."""
    if not isinstance(given, list):
        return given
    kinds = [part.get("type") if isinstance(part, dict) else None for part in given]
    if any(kind != "text" for kind in kinds) or not all(isinstance(part.get("text"), str) for part in given):
        raise ValueError('only text is understood, wanted a string or parts {"type": "text", "text": "…"}')
    return "".join(part["text"] for part in given)


_PART = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
}


def _one_or_several(**bounds: Any) -> Any:
    return WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, **bounds}]}
    )


Texts = Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1), _one_or_several()]
Stops = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    BeforeValidator(_as_list),
    Field(max_length=MOST_STOPS),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": MOST_STOPS},
            ]
        }
    ),
]
Content = Annotated[
    str,
    BeforeValidator(_as_text),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": _PART}]}),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StreamOptions(_Body):
    """How a stream ends."""

    include_usage: bool | None = None
    """Whether the last event counts the tokens."""
    include_obfuscation: bool | None = None
    """Ignored."""


class WritingBody(_Body):
    """What both paths that write understand."""

    model: str
    """Which model, by its name in `/v1/models`."""
    max_tokens: int | None = Field(default=None, ge=1, le=_MOST)
    """Longest answer in tokens; default: the model's own `task.max_new_tokens`."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """0: the likeliest token each time; above it tokens are drawn. Default: as the model was made."""
    top_p: float | None = Field(default=None, ge=0, le=1)
    """Drawn among the likeliest tokens that together have this probability."""
    stop: Stops | None = None
    """Texts in front of which an answer ends."""
    seed: int | None = Field(default=None, ge=-_MOST, le=_MOST)
    """Of what is drawn: the same seed draws the same."""
    stream: bool | None = None
    """Whether the answer comes piece by piece."""
    stream_options: StreamOptions | None = None

    @property
    def most_tokens(self) -> int | None:
        """Longest answer."""
        return self.max_tokens

    @property
    def counts_usage(self) -> bool:
        """Whether a stream ends with the counts."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def wish(self) -> Wish:
        """How a text is to be written."""
        return Wish(self.most_tokens, self.temperature, self.top_p, tuple(self.stop or ()), self.seed)


class CompletionBody(WritingBody):
    """A request for completions."""

    prompt: Texts
    """The text, or several."""


class Message(_Body):
    """A turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    name: str | None = None
    """Ignored."""


class ChatBody(WritingBody):
    """A request for the next turn of a conversation."""

    messages: Annotated[list[Message], Field(min_length=1)]
    """What was said so far."""
    max_completion_tokens: int | None = Field(default=None, ge=1, le=_MOST)
    """The newer name of `max_tokens`."""

    @property
    def most_tokens(self) -> int | None:
        """The newer name counts where both are given."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


class EmbeddingBody(_Body):
    """A request for vectors."""

    model: str
    """Which model, by its name in `/v1/models`."""
    input: Texts
    """The text, or several."""
    encoding_format: Literal["float", "base64"] | None = None
    """base64: float32, little-endian."""
    dimensions: int | None = Field(default=None, ge=1, le=_MOST)
    """Must be the model's own, which is the default."""


BODIES: Mapping[str, type[_Body]] = {COMPLETIONS: CompletionBody, CHAT: ChatBody, EMBEDDINGS: EmbeddingBody}


def read_request(content: Any, path: str) -> Any:
    """Check a request.

    Args:
        content: the parsed JSON.
        path: where it came to.

    Returns:
        The instance of `BODIES[path]`.

    Raises:
        Problem: something is missing, unknown, of the wrong kind or not offered (400).
    """
    if not isinstance(content, dict):
        raise Problem(400, "the body is no object", fix="see /openapi.json for what is wanted")
    kept = _without_neutral(content, NEUTRAL[path], "")
    kept = {name: value for name, value in kept.items() if name not in HARMLESS}
    if path == CHAT and isinstance(kept.get("messages"), list):
        kept["messages"] = [
            _without_neutral(message, MESSAGE_NEUTRAL, f"messages.{place}.") if isinstance(message, dict) else message
            for place, message in enumerate(kept["messages"])
        ]
    kind = BODIES[path]
    for name in kept:
        if name not in kind.model_fields:
            known = [*kind.model_fields, *NEUTRAL[path]]
            raise Problem(400, f"there is no field {shorten(name)}", fix=nearest(name[:64], known), field=name[:64])
    try:
        return kind.model_validate(kept)
    except ValidationError as error:
        raise _as_problem(error) from None


def _without_neutral(content: dict[str, Any], neutral: Mapping[str, tuple[Any, ...]], where: str) -> dict[str, Any]:
    """The fields that say something; one that asks for what is not offered is refused."""
    for name, values in neutral.items():
        given = content.get(name)
        if given is not None and not any(_is_same(given, value) for value in values):
            fix = f"leave it out{f', or send {_show(values[0])}' if values else ''}"
            message = f"{where}{name}={_show(given)} is not offered by this server, and would change the answer"
            raise Problem(400, message, fix=fix, field=where + name, code="unsupported_parameter")
    return {name: value for name, value in content.items() if name not in neutral}


def _show(value: Any) -> str:
    text = to_json(value).decode()
    return text if len(text) <= 60 else text[:59] + "…"


def _is_same(given: Any, value: Any) -> bool:
    """Equal in JSON, where true is not 1."""
    return isinstance(given, bool) == isinstance(value, bool) and bool(given == value)


def _as_problem(error: ValidationError) -> Problem:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])[:80] or None
    message = first["msg"].removeprefix("Value error, ")[:300]
    fix = "see /openapi.json for what is wanted"
    return Problem(400, f"{field}: {message}" if field else message, fix=fix, field=field)


def shape_error(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Status and body of an error as clients of OpenAI's API expect them."""
    status = 400 if problem.status == 422 else problem.status
    types = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    codes = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
    error = {
        "message": f"{problem.message}; {problem.fix}",
        "type": "server_error" if status >= 500 else types.get(status, "invalid_request_error"),
        "param": problem.field,
        "code": problem.code or codes.get(status),
    }
    return status, {"error": error}


def shape_for(path: str) -> Callable[[Problem], tuple[int, dict[str, Any]]]:
    """How errors of a path look."""
    return shape_error if path in PATHS else lambda problem: (problem.status, problem.content())
