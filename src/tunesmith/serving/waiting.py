"""Rows that wait for a model: bounded, the most urgent first, those that nobody waits for any more left out.

How urgent a row is depends on when it came and how long it is: its key is the time at which it would have been
answered had it been alone, stretched. So a short text overtakes long ones that came a little earlier, and no text
waits for ever.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from tunesmith.serving.hosting import Hosted

CHARACTERS_PER_TOKEN = 4.0
SPECIAL_TOKENS = 2
STRETCH = 8.0
"""How many times its own computing time a row may be overtaken for."""
FIRST_TOKENS_PER_S = 2_000.0
"""What is assumed before anything was measured."""


@dataclass(eq=False)
class Request:
    """The rows of one client that are answered together.

    Attributes:
        hosted: whom they are for.
        rows: checked rows.
        deadline_s: on the monotonic clock; an answer after it is of no use.
        done: called once, from any thread, with the request, when all is answered or one row failed.
        arrived_s: on the monotonic clock.
        answers: one a row, in order; None while it is open.
        error: what went wrong.
        closed: finished, failed or given up.
        started_s: when its first row was taken.
        open_rows: how many have no answer yet.
    """

    hosted: Hosted
    rows: Sequence[BaseModel]
    deadline_s: float
    done: Callable[[Request], None]
    arrived_s: float = field(default_factory=time.monotonic)
    answers: list[Any] = field(default_factory=list)
    error: Exception | None = None
    closed: bool = False
    started_s: float | None = None
    open_rows: int = 0

    def __post_init__(self) -> None:
        self.answers = [None] * len(self.rows)
        self.open_rows = len(self.rows)


@dataclass(frozen=True, eq=False)
class Place:
    """One row of a request, in line.

    Attributes:
        request: whose it is.
        index: which row.
        tokens: roughly.
    """

    request: Request
    index: int
    tokens: int

    @property
    def row(self) -> BaseModel:
        """The row itself."""
        return self.request.rows[self.index]


class LineFull(Exception):
    """No room, or no hope to be in time.

    Attributes:
        wait_s: after which it looks better.
        late: the deadline could not be kept; otherwise there is no room.
    """

    def __init__(self, wait_s: float, *, late: bool) -> None:
        super().__init__()
        self.wait_s = wait_s
        self.late = late


def estimate_tokens(hosted: Hosted, row: BaseModel) -> int:
    """Roughly how many tokens of a row the model reads."""
    characters = sum(
        len(text) if text.isascii() else CHARACTERS_PER_TOKEN * len(text) for text in hosted.task.texts(row)
    )
    tokens = SPECIAL_TOKENS + int(characters / CHARACTERS_PER_TOKEN)
    return tokens if hosted.most_tokens is None else min(tokens, hosted.most_tokens)


class Line:
    """The rows that wait; safe to use from any thread.

    Args:
        most_rows: bound.
        workers: how many take from it at once.
    """

    def __init__(self, most_rows: int, workers: int = 1) -> None:
        self.most_rows = most_rows
        self.workers = workers
        self.rows = 0
        self.tokens = 0
        self.tokens_per_s = FIRST_TOKENS_PER_S  # of one worker
        self._heap: list[tuple[float, int, Place]] = []
        self._counter = itertools.count()
        self._changed = threading.Condition()
        self._ended = False

    def join(self, request: Request) -> None:
        """Let all rows of a request wait.

        Raises:
            LineFull: there is no room, or the deadline would pass first.
        """
        places = [Place(request, i, estimate_tokens(request.hosted, row)) for i, row in enumerate(request.rows)]
        tokens = sum(place.tokens for place in places)
        with self._changed:
            wait_s = (self.tokens + tokens) / (self.tokens_per_s * self.workers)
            if self.rows and self.rows + len(places) > self.most_rows:
                raise LineFull(wait_s / 2, late=False)
            if self.rows and request.arrived_s + wait_s > request.deadline_s:
                raise LineFull(wait_s / 2, late=True)
            for place in places:
                key = request.arrived_s + STRETCH * place.tokens / self.tokens_per_s
                heapq.heappush(self._heap, (min(key, request.deadline_s), next(self._counter), place))
            self.rows += len(places)
            self.tokens += tokens
            self._changed.notify_all()

    def leave(self, request: Request) -> None:
        """Give up a request: its rows free their room at once."""
        with self._changed:
            if not request.closed:
                request.closed = True
                self._drop(request)

    def hand_over(self, place: Place, answer: Any) -> None:
        """Answer a row; with the last one its request is done. Rows of one request come from several threads."""
        request = place.request
        with self._changed:
            request.answers[place.index] = answer
            request.open_rows -= 1
            if request.closed or request.open_rows:
                return
            request.closed = True
        request.done(request)

    def fail(self, request: Request, error: Exception) -> None:
        """Give up a request that is still open, and say why."""
        with self._changed:
            if request.closed:
                return
            request.closed = True
            request.error = error
            self._drop(request)
        request.done(request)

    def _drop(self, request: Request) -> None:
        kept = [entry for entry in self._heap if entry[2].request is not request]
        dropped = [entry[2] for entry in self._heap if entry[2].request is request]
        if dropped:
            heapq.heapify(kept)
            self._heap = kept
            self._uncount(dropped)

    def _uncount(self, places: Sequence[Place]) -> None:
        self.rows -= len(places)
        self.tokens -= sum(place.tokens for place in places)

    def take(self, budget_tokens: int) -> list[Place]:
        """Wait for rows, then take the most urgent ones of one model, up to a number of tokens and at least one.

        Returns:
            [] after `end`, when nothing is left.
        """
        with self._changed:
            while not self._heap and not self._ended:
                self._changed.wait()
            taken: list[Place] = []
            others: list[tuple[float, int, Place]] = []
            room = budget_tokens
            while self._heap and room > 0:
                entry = heapq.heappop(self._heap)
                place = entry[2]
                if taken and (place.request.hosted is not taken[0].request.hosted or place.tokens > room):
                    others.append(entry)
                    if len(others) > 32:  # enough was looked at
                        break
                    continue
                taken.append(place)
                room -= place.tokens
            for entry in others:
                heapq.heappush(self._heap, entry)
            self._uncount(taken)
            return taken

    def learn_speed(self, tokens: int, seconds: float) -> None:
        """Note how long a pass took; waiting times are reckoned from it."""
        if seconds > 0:
            with self._changed:
                self.tokens_per_s += 0.1 * (tokens / seconds - self.tokens_per_s)

    def end(self) -> None:
        """No more requests come: `take` gives what is left, then nothing."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
