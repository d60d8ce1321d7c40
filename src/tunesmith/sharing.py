"""What lets threads share a model: a trunk that each of them can answer for, and turns at what cannot be shared."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any


class Answerable:
    """A trunk's forward that can be answered for, so that a task class computes its head only; each thread alone.

    Args:
        forward: what is called where there is no answer.
    """

    def __init__(self, forward: Callable[..., Any]) -> None:
        self._forward = forward
        self._ready = threading.local()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Give the answer laid ready in this thread, or run the trunk."""
        answer = getattr(self._ready, "answer", None)
        return self._forward(*arguments, **options) if answer is None else answer

    def __reduce__(self) -> tuple[type[Answerable], tuple[Callable[..., Any]]]:
        """Copies of a model run their own trunk, and have no answer."""
        return Answerable, (self._forward,)

    @contextlib.contextmanager
    def answering(self, answer: Any) -> Iterator[None]:
        """While open, give `answer` to calls from this thread."""
        self._ready.answer = answer
        try:
            yield
        finally:
            self._ready.answer = None


class Turn:
    """A lock, as a context manager; a copy of what has it gets one of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        """Locks cannot be copied."""
        return Turn, ()
