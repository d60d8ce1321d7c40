"""What is wrong with a request, as the client reads it: what came, what was wanted, what to do."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


class Problem(Exception):
    """A request that is not answered as it wished.

    Args:
        status: HTTP status, 400 to 599.
        message: what came and what was wanted.
        fix: what the client can do, as an imperative sentence.
        field: the part of the body at fault, such as "text" or "3.text".
        retry_after_s: after how many seconds it is worth another try.
        code: a name for programs, where the status does not say enough.

    Example:
        >>> Problem(413, "the body is too large", fix="send fewer rows").content()
        {'error': {'message': 'the body is too large', 'fix': 'send fewer rows'}}
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        fix: str,
        field: str | None = None,
        retry_after_s: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.fix = fix
        self.field = field
        self.retry_after_s = retry_after_s
        self.code = code

    def content(self) -> dict[str, Any]:
        """The body of the answer."""
        error = {"message": self.message, "fix": self.fix}
        return {"error": error if self.field is None else {**error, "field": self.field}}

    def headers(self) -> Mapping[str, str]:
        """Headers of the answer beside those of its body."""
        if self.retry_after_s is None:
            return {}
        return {"retry-after": str(max(1, math.ceil(self.retry_after_s)))}


FAULT = Problem(500, "a fault of Tunesmith, not of yours", fix="see the server's log")


def to_json(content: Any) -> bytes:
    """JSON as UTF-8; lone surrogates, which UTF-8 cannot hold, as escapes.

    Raises:
        ValueError: it holds a number that JSON has not, such as NaN.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
