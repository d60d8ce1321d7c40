"""A command in a process of its own: its exit code, what it cost, and Ctrl-C handed on to it once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.interrupts import StopRequest, stop_requests

_POLL_S = 0.05
_MAXRSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Ended:
    """A process that has ended.

    Attributes:
        exit_code: negative: the signal that ended it.
        seconds: from its start to its end.
        peak_memory_bytes: the most memory that it had at once; None where the system does not tell.
        was_asked_to_stop: Ctrl-C or SIGTERM came while it ran.
    """

    exit_code: int
    seconds: float
    peak_memory_bytes: int | None
    was_asked_to_stop: bool


def run_child(arguments: Sequence[str], log: Path) -> Ended:
    """Run a program to its end; what it prints goes into a file.

    It stands in a group of its own, so that Ctrl-C on the terminal reaches it once, from here, and it can save what it
    has; a second Ctrl-C ends it at once.

    Args:
        arguments: the program and its arguments; no shell is involved.
        log: what it prints on standard error is written there; standard output is dropped.

    Raises:
        KeyboardInterrupt: a second Ctrl-C came.
    """
    began = time.monotonic()
    with log.open("wb") as said, stop_requests() as request:
        process = subprocess.Popen(
            list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
        with _ended_with_us(process):
            peak_bytes = _wait(process, request)
    return Ended(process.returncode, time.monotonic() - began, peak_bytes, request.is_set)


@contextlib.contextmanager
def _ended_with_us(process: subprocess.Popen[Any]) -> Iterator[None]:
    """No child is left behind when waiting for it is given up."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        raise


def _wait(process: subprocess.Popen[Any], request: StopRequest) -> int | None:
    """Wait for a child, telling it once that it should stop; returns its peak of memory.

    `wait4` tells of this one child; what `getrusage` says of children is the most of any of them.
    """
    was_told = False
    while True:
        if request.is_set and not was_told:
            was_told = True
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        if not hasattr(os, "wait4"):
            if process.poll() is not None:
                return None
        else:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                process.returncode = os.waitstatus_to_exitcode(status)
                return int(usage.ru_maxrss) * _MAXRSS_UNIT_BYTES
        time.sleep(_POLL_S)
