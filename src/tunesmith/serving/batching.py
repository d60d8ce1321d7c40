"""Threads that compute: each takes rows of many clients at once, packs them without padding, and answers each.

While they compute, others queue up, so batches grow with the load and nobody waits for a batch to fill. What cannot be
answered spoils its own request only: rows that fail together are tried one by one. No request can end a thread.

Several threads with few cores each beat one thread with all cores: matrix products this small gain little from a second
core, and wait for it whenever that core has other work, such as the requests themselves.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from tunesmith.errors import UserError
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.limits import Limits
from tunesmith.serving.problems import Problem
from tunesmith.serving.waiting import Line, Place, Request

LOG = logging.getLogger("tunesmith.serving")
Watch = Callable[[int, int, float], None]
"""Told of each pass: rows, tokens (roughly), seconds."""


MOST_WORKERS = 4


@dataclass(frozen=True)
class Crew:
    """How the cores are shared out.

    Attributes:
        workers: passes that are computed side by side.
        threads: cores of each.
    """

    workers: int
    threads: int


def share_cores(cores: int) -> Crew:
    """One core a worker, up to four workers; then more cores for each.

    Example:
        >>> share_cores(2), share_cores(16)
        (Crew(workers=2, threads=1), Crew(workers=4, threads=4))
    """
    workers = max(1, min(MOST_WORKERS, cores))
    return Crew(workers, max(1, cores // workers))


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Batcher:
    """The computing threads and the line in front of them.

    Args:
        limits: bounds of the line and of a pass.
        crew: how many there are.
        watch: told of each pass.
    """

    def __init__(self, limits: Limits, crew: Crew, watch: Watch = lambda rows, tokens, seconds: None) -> None:
        self.limits = limits
        self.crew = crew
        self.line = Line(limits.waiting_rows, crew.workers)
        self._watch = watch
        self._threads = [
            threading.Thread(target=self._run, name=f"batcher-{place}", daemon=True) for place in range(crew.workers)
        ]

    def start(self) -> None:
        """Begin to compute."""
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether all threads run."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self, timeout_s: float) -> None:
        """Answer what waits, then end."""
        self.line.end()
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        torch.set_num_threads(self.crew.threads)
        while True:
            places = self.line.take(self.limits.batch_tokens)
            if not places:
                return
            try:
                self._serve(places)
            except BaseException as error:  # a fault of ours: these requests fail, the next ones do not
                log_fault(error)
                for place in places:
                    self.line.fail(place.request, as_problem(error))

    def _serve(self, places: Sequence[Place]) -> None:
        now = time.monotonic()
        wanted = [place for place in places if self._is_wanted(place.request, now)]
        if not wanted:
            return
        for place in wanted:
            place.request.started_s = place.request.started_s or now
        self._answer_or_split(wanted)
        seconds, tokens = time.monotonic() - now, sum(place.tokens for place in wanted)
        self.line.learn_speed(tokens, seconds)
        self._watch(len(wanted), tokens, seconds)

    def _is_wanted(self, request: Request, now: float) -> bool:
        if request.closed:
            return False
        if now > request.deadline_s:
            fix = "try again later, or send fewer rows"
            self.line.fail(request, Problem(503, "there was no time left to answer", fix=fix, retry_after_s=1.0))
            return False
        return True

    def _answer_or_split(self, places: Sequence[Place]) -> None:
        hosted: Hosted = places[0].request.hosted
        try:
            answers = hosted.answer([place.row for place in places], self.limits.batch_tokens)
        except Exception as error:
            if len(places) == 1:
                if not isinstance(error, UserError):
                    log_fault(error)
                self.line.fail(places[0].request, as_problem(error))
                return
            for place in places:
                if not place.request.closed:
                    self._answer_or_split([place])
            return
        for place, answer in zip(places, answers, strict=True):
            self.line.hand_over(place, answer)


def as_problem(error: BaseException) -> Problem:
    """What the client is told: of a mistake of theirs all, of a fault of ours nothing."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, UserError):
        return Problem(422, error.message, fix=error.fix or "send another row")
    return Problem(500, "this row could not be answered: a fault of Tunesmith", fix="see the server's log")


def log_fault(error: BaseException) -> None:
    """Log kind and place of an error, without its words: those may quote a text."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-6:]))
    LOG.error("%s in %s", type(error).__name__, where)
