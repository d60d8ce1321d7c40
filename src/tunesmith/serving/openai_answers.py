"""Answers as clients of OpenAI's API read them: whole, and as the chunks of a stream."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tunesmith.serving.writing import Finish, Piece


@dataclass
class Usage:
    """Tokens of a request, counted as its answers come to their end."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, finish: Finish) -> None:
        """Count one answer."""
        self.prompt_tokens += finish.prompt_tokens
        self.completion_tokens += finish.written_tokens

    def content(self) -> dict[str, int]:
        """As it is sent."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }


@dataclass
class Form:
    """What answers of one path look like.

    Attributes:
        model: its name.
        is_chat: whether turns of a conversation are written, or bare texts.
        counts_usage: whether a stream ends with the counts.
        name: names the answer.
        created: when, in seconds since 1970.
    """

    model: str
    is_chat: bool
    counts_usage: bool = False
    name: str = ""
    created: int = field(default_factory=lambda: int(time.time()))
    usage: Usage = field(default_factory=Usage)
    _opened: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.name = self.name or f"{'chatcmpl' if self.is_chat else 'cmpl'}-{secrets.token_hex(12)}"

    def whole(self, events: Iterable[Piece | Finish]) -> dict[str, Any]:
        """The answer to a request that did not ask for a stream."""
        texts: dict[int, list[str]] = {}
        choices = []
        for event in events:
            if isinstance(event, Piece):
                texts.setdefault(event.index, []).append(event.text)
                continue
            self.usage.add(event)
            text = "".join(texts.get(event.index, ()))
            said = {"role": "assistant", "content": text, "refusal": None}
            own = {"message": said} if self.is_chat else {"text": text}
            choices.append({"index": event.index, **own, "logprobs": None, "finish_reason": event.reason})
        kind = "chat.completion" if self.is_chat else "text_completion"
        return {**self._head(kind), "choices": choices, "usage": self.usage.content()}

    def chunks(self, event: Piece | Finish) -> list[dict[str, Any]]:
        """What is sent when something was written: usually one chunk."""
        begun = [] if event.index in self._opened or not self.is_chat else [{"role": "assistant", "content": ""}]
        self._opened.add(event.index)
        if isinstance(event, Finish):
            self.usage.add(event)
            deltas, reason = [*begun, {} if self.is_chat else {"content": ""}], event.reason
        else:
            deltas, reason = [*begun, {"content": event.text}], None
        ends = [*([None] * (len(deltas) - 1)), reason]
        return [self._chunk(event.index, delta, end) for delta, end in zip(deltas, ends, strict=True)]

    def last_chunks(self) -> list[dict[str, Any]]:
        """What is sent behind all answers: the counts, where they were asked for."""
        if not self.counts_usage:
            return []
        return [{**self._head(self._chunk_kind), "choices": [], "usage": self.usage.content()}]

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self.is_chat else "text_completion"

    def _chunk(self, index: int, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        own = {"delta": delta} if self.is_chat else {"text": delta["content"]}
        choice = {"index": index, **own, "logprobs": None, "finish_reason": reason}
        usage = {"usage": None} if self.counts_usage else {}
        return {**self._head(self._chunk_kind), "choices": [choice], **usage}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.name, "object": kind, "created": self.created, "model": self.model}


def embedding_list(model: str, vectors: Sequence[Any], tokens: int, *, in_base64: bool) -> dict[str, Any]:
    """Vectors in the order of their texts.

    Args:
        model: its name.
        vectors: (N, D).
        tokens: how many were read.
        in_base64: float32, little-endian, instead of lists of numbers.
    """
    numbers = [np.asarray(vector, dtype="<f4") for vector in vectors]
    data = [
        {
            "object": "embedding",
            "index": place,
            "embedding": base64.b64encode(one.tobytes()).decode() if in_base64 else one.tolist(),
        }
        for place, one in enumerate(numbers)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}
