"""Ctrl-C and SIGTERM as a request to stop after the step, not in the middle of it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether the user asked to stop."""

    is_set: bool = False


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """While open, the first Ctrl-C or SIGTERM only sets a flag; the second one interrupts at once.

    Outside the main thread signals cannot be caught, and the flag stays unset.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def remember(number: int, frame: FrameType | None) -> None:
        if request.is_set:
            raise KeyboardInterrupt
        request.is_set = True

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
