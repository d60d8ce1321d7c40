"""Ctrl-C and SIGTERM as a request to stop after the step, not in the middle of it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

Item = TypeVar("Item")


@dataclass
class StopRequest:
    """Whether the user asked to stop."""

    is_set: bool = False


@contextlib.contextmanager
def stop_requests(request: StopRequest | None = None) -> Iterator[StopRequest]:
    """While open, the first Ctrl-C or SIGTERM only sets a flag; the second one interrupts at once.

    Outside the main thread signals cannot be caught, and the flag stays unset.

    Args:
        request: the flag; default: a new one.
    """
    flag = request or StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def remember(number: int, frame: FrameType | None) -> None:
        if flag.is_set:
            raise KeyboardInterrupt
        flag.is_set = True

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listen(items: Generator[Item], request: StopRequest) -> Iterator[Item]:
    """Hand on what a generator makes, with `stop_requests` open only while it is at work.

    Between two items the signals do what they do elsewhere: a run that somebody keeps and does not go on with must
    not swallow their Ctrl-C.
    """
    with contextlib.closing(items):
        while True:
            with stop_requests(request):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
