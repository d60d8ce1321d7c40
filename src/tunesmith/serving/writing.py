"""Threads that write: texts token by token, several in turns, each stoppable between two tokens.

Writing takes seconds where other answers take milliseconds, so it has threads of its own: those of `batching` never
wait for it. A thread writes a moment at one text, then at the next one, so that a long text holds up no short one.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch

from tunesmith.errors import UserError
from tunesmith.serving.batching import Crew, as_problem, log_fault
from tunesmith.serving.limits import Limits
from tunesmith.serving.problems import Problem
from tunesmith.serving.waiting import LineFull

SLICE_S = 0.05
"""How long one text is written before others have their turn."""


@dataclass(frozen=True)
class Begun:
    """A text is being written from now on."""


@dataclass(frozen=True)
class Piece:
    """A part of an answer.

    Attributes:
        index: which of the answers.
        text: what is added to it; may be empty.
    """

    index: int
    text: str


@dataclass(frozen=True)
class Finish:
    """One answer is complete.

    Attributes:
        index: which of them.
        reason: "stop" where it came to its end, "length" where it was cut, "content_filter" where a filter held back
            the rest.
        prompt_tokens: how many were read.
        written_tokens: how many were written.
    """

    index: int
    reason: str
    prompt_tokens: int
    written_tokens: int


@dataclass(frozen=True)
class Ended:
    """All answers are complete, or an error came.

    Attributes:
        problem: the error.
    """

    problem: Problem | None = None


Event = Begun | Piece | Finish | Ended
Script = Callable[[Callable[[], bool]], Iterator[Piece | Finish]]
"""Writes all answers of a request, a token each time it is asked on; it is told how to see that its time is over."""


@dataclass(eq=False)
class Writing:
    """What is written for one client.

    Attributes:
        script: what is written.
        tell: called from a writing thread with each event, in order; the last one is `Ended`.
        deadline_s: on the monotonic clock: where it is cut.
        stopped: nobody reads on.
        steps: the script at work.
    """

    script: Script
    tell: Callable[[Event], None]
    deadline_s: float
    stopped: bool = False
    steps: Iterator[Piece | Finish] | None = field(default=None, repr=False)

    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.deadline_s


class Writers:
    """The writing threads and the line in front of them.

    Args:
        limits: how many texts are written and wait, and for how long.
        crew: of the other threads; half as many write, with as many cores each.
    """

    def __init__(self, limits: Limits, crew: Crew) -> None:
        self.limits = limits
        self.running = 0
        self._cores = crew.threads
        self._waiting: deque[Writing] = deque()
        self._begun: deque[Writing] = deque()  # those that no thread is at just now
        self._all: set[Writing] = set()
        self._changed = threading.Condition()
        self._ended = False
        self._latest_s = math.inf
        self._threads = [
            threading.Thread(target=self._run, name=f"writer-{place}", daemon=True)
            for place in range(max(1, crew.workers // 2))
        ]

    def start(self) -> None:
        """Begin to write."""
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether all threads run."""
        return all(thread.is_alive() for thread in self._threads)

    @property
    def waiting(self) -> int:
        """Requests whose text has not been begun."""
        return len(self._waiting)

    def join(self, writing: Writing) -> None:
        """Let a request wait.

        Raises:
            LineFull: there is no room.
        """
        with self._changed:
            if len(self._waiting) >= self.limits.waiting_texts:
                raise LineFull(self.limits.answer_s, late=False)
            writing.deadline_s = min(writing.deadline_s, self._latest_s)
            self._waiting.append(writing)
            self._all.add(writing)
            self._changed.notify()

    def leave(self, writing: Writing) -> None:
        """Nobody reads on: it ends before its next token."""
        with self._changed:
            writing.stopped = True
            if writing in self._waiting:
                self._waiting.remove(writing)
                self._all.discard(writing)

    def finish_within(self, seconds: float) -> None:
        """Cut all that would take longer, also what is still to come, so that the server can end."""
        with self._changed:
            self._latest_s = time.monotonic() + seconds
            for writing in self._all:
                writing.deadline_s = min(writing.deadline_s, self._latest_s)

    def stop(self, timeout_s: float) -> None:
        """Finish what there is, then end."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        torch.set_num_threads(self._cores)
        while (writing := self._take()) is not None:
            goes_on = self._write_on(writing)
            with self._changed:
                if goes_on:
                    self._begun.append(writing)
                else:
                    self.running -= 1
                    self._all.discard(writing)
                self._changed.notify()

    def _take(self) -> Writing | None:
        """What is written at next: a new text while there is room, else the one that has waited longest for its turn.

        None when all has ended.
        """
        with self._changed:
            while True:
                if self._waiting and self.running < self.limits.texts:
                    self.running += 1
                    return self._waiting.popleft()
                if self._begun:
                    return self._begun.popleft()
                if self._ended and not self._waiting:
                    return None
                self._changed.wait()

    def _write_on(self, writing: Writing) -> bool:
        """Write for a moment; whether there is more. No error ends the thread."""
        try:
            with torch.inference_mode():  # round each moment: a mode that a script set would stay for the next one
                return self._take_steps(writing)
        except BaseException as error:
            if not isinstance(error, Problem | UserError):
                log_fault(error)
            writing.tell(Ended(as_problem(error)))
            return False

    def _take_steps(self, writing: Writing) -> bool:
        if writing.steps is None:
            writing.tell(Begun())
            writing.steps = writing.script(writing.is_over)
        until = time.monotonic() + SLICE_S
        while not writing.stopped:
            step = next(writing.steps, None)
            if step is None:
                writing.tell(Ended())
                return False
            if isinstance(step, Finish) or step.text:
                writing.tell(step)
            if time.monotonic() > until and self._others_wait():
                return True
        close = getattr(writing.steps, "close", None)
        if close is not None:
            close()
        return False

    def _others_wait(self) -> bool:
        return bool(self._begun) or (bool(self._waiting) and self.running < self.limits.texts)
