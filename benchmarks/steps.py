"""One timed stretch of training steps: the job of every way, the clock it ticks, the result it gives."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class StepJob:
    """The same work for every way.

    `texts` and `labels` are the whole training set in a fixed order. Step i trains on the rows
    `[i * batch_size, (i + 1) * batch_size)`; only the first `warmup_steps + steps` batches are run. The other
    rows are there because some ways prepare something from the whole set (a compact vocabulary, say), and a
    shorter set would flatter them. `timed_tokens` counts the real tokens, special ones included, of the timed
    rows.
    """

    texts: list[str]
    labels: list[int]
    classes: int
    model: str
    batch_size: int
    warmup_steps: int
    steps: int
    max_tokens: int
    learning_rate: float
    seed: int
    device: str
    timed_tokens: int

    @property
    def total_steps(self) -> int:
        """Warm-up steps and timed steps together."""
        return self.warmup_steps + self.steps

    @property
    def used_rows(self) -> int:
        """How many rows the steps train on."""
        return self.total_steps * self.batch_size

    def save(self, path: Path) -> None:
        """Write the job as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> StepJob:
        """Read a job that `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class StepResult:
    """Seconds of the timed steps and the rates that follow."""

    seconds: float
    steps_per_s: float
    sentences_per_s: float
    tokens_per_s: float

    def save(self, path: Path) -> None:
        """Write the result as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> StepResult:
        """Read a result that `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


class StepClock:
    """Times whole steps: `tick()` once at the end of each optimizer step, `result()` after the last.

    The clock starts when the last warm-up step ends and stops when the last timed step ends, so that a step's
    own data loading is in it and setting up is not.
    """

    def __init__(self, job: StepJob) -> None:
        if job.warmup_steps < 1 or job.steps < 1:
            raise SystemExit(f"{job.warmup_steps} warm-up and {job.steps} timed steps: both must be at least 1")
        self._job = job
        self._ticks = 0
        self._marks: list[float] = []

    def tick(self) -> None:
        """Note the end of one optimizer step."""
        self._ticks += 1
        if self._ticks in (self._job.warmup_steps, self._job.total_steps):
            self._marks.append(_finished_time(self._job.device))

    def result(self) -> StepResult:
        """Return the rates; raises SystemExit when another number of steps was run than the job asks for."""
        if self._ticks != self._job.total_steps:
            raise SystemExit(f"{self._ticks} steps were run, the job asks for {self._job.total_steps}")
        seconds = self._marks[1] - self._marks[0]
        steps = self._job.steps
        sentences = steps * self._job.batch_size
        return StepResult(seconds, steps / seconds, sentences / seconds, self._job.timed_tokens / seconds)


def _finished_time(device: str) -> float:
    """Return the time once the device has finished what was queued: a GPU runs behind its caller."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()
