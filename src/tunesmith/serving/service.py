"""What all paths of the server share."""

from __future__ import annotations

from dataclasses import dataclass, field

from tunesmith.contracts import Writes
from tunesmith.serving.batching import Batcher, Crew, count_cores, share_cores
from tunesmith.serving.feedback_store import FeedbackStore
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.limits import Limits
from tunesmith.serving.meters import Meters
from tunesmith.serving.remembering import Memory
from tunesmith.serving.security import Gate
from tunesmith.serving.writing import Writers


@dataclass
class State:
    """What changes while the server runs.

    Attributes:
        draining: it is about to end: what comes is still answered, connections are closed behind it.
    """

    draining: bool = False


@dataclass(frozen=True)
class Service:
    """The models and what stands around them.

    Attributes:
        models: by name.
        batcher: computes.
        slow_batcher: likewise for models that write, which take seconds where others take milliseconds.
        writers: write texts token by token.
        memory: the latest answers.
        store: where feedback goes; None: none is taken.
        meters: figures.
        gate: who may ask.
        limits: how much.
        state: what changes.
    """

    models: dict[str, Hosted]
    batcher: Batcher
    slow_batcher: Batcher
    writers: Writers
    memory: Memory
    store: FeedbackStore | None
    meters: Meters
    gate: Gate
    limits: Limits
    state: State = field(default_factory=State)

    @property
    def alive(self) -> bool:
        """Whether all threads run."""
        return self.batcher.alive and self.slow_batcher.alive and self.writers.alive

    @property
    def waiting_rows(self) -> int:
        """Rows that wait for any model."""
        return self.batcher.line.rows + self.slow_batcher.line.rows

    def batcher_of(self, hosted: Hosted) -> Batcher:
        """Who computes for a model."""
        return self.slow_batcher if isinstance(hosted.task, Writes) else self.batcher

    def start(self) -> None:
        """Begin to compute."""
        for threads in (self.batcher, self.slow_batcher, self.writers):
            threads.start()

    def stop(self) -> None:
        """Answer what waits, then end."""
        for threads in (self.batcher, self.slow_batcher, self.writers):
            threads.stop(self.limits.grace_s)


def make_service(
    models: dict[str, Hosted],
    *,
    gate: Gate | None = None,
    store: FeedbackStore | None = None,
    limits: Limits | None = None,
    crew: Crew | None = None,
) -> Service:
    """Put a service together; nothing runs yet.

    Args:
        models: by name.
        gate: who may ask; default: anybody on this machine.
        store: where feedback goes.
        limits: how much may be asked.
        crew: who computes; default: one worker a core, up to four.
    """
    limits, meters, gate = limits or Limits(), Meters(), gate or Gate()
    crew = crew or share_cores(count_cores())
    batcher, slow = Batcher(limits, crew, meters.see_pass), Batcher(limits, Crew(1, crew.threads), meters.see_pass)
    return Service(models, batcher, slow, Writers(limits, crew), Memory(limits), store, meters, gate, limits)
