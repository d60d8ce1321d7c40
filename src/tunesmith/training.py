"""The caller of the loop: counts steps, looks at held-out data, keeps the best weights, saves states and takes them up.

Fine-tuning and pretraining differ in what is looked at and in what is written at the end, not in this.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor

from tunesmith import checkpoint, durable, engine
from tunesmith.checkpoint import CURVES, TrainingState
from tunesmith.contracts import StepReport
from tunesmith.errors import CheckpointError, Interrupted, TrainingError
from tunesmith.events import Evaluated, Saved
from tunesmith.interrupts import StopRequest, listen, stop_requests
from tunesmith.metrics import SMALLER_IS_BETTER
from tunesmith.optimization import alike, build_optimizer
from tunesmith.optimizer_state import flatten_optimizer, restore_optimizer
from tunesmith.same_run import Identity, check_identity

Event = StepReport | Evaluated | Saved
Look = Callable[[], Mapping[str, float]]
"""Scores of held-out data with the weights as they are."""


@dataclass(frozen=True)
class Course:
    """A training from its first step to its last.

    Attributes:
        job: what is trained on what.
        learning_rate: the highest one.
        identity: what must be the same when it is taken up again.
        folder: of its states and curves.
        headline: the score that picks the best weights.
        every_steps: steps between two looks.
        overwrite: whether the states of another run go.
        looks_at: what the rows are that are looked at, in a word.
        rate_factor: multiplies the learning rate, by the name of a parameter.
    """

    job: engine.Job
    learning_rate: float
    identity: Identity
    folder: Path
    headline: str
    every_steps: int
    overwrite: bool = False
    looks_at: str = "dev"
    rate_factor: Callable[[str], float] = alike


class Training:
    """A course and where it stands.

    Args:
        course: what is done; a state of it that lies in its folder is taken up.
        look: scores held-out data.

    Raises:
        CheckpointError: the folder holds states of another run.
    """

    def __init__(self, course: Course, look: Look) -> None:
        self.course = course
        self.look = look
        model, settings = course.job.model, course.job.settings
        self.trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.names: dict[Tensor, str] = {p: n for n, p in self.trainable.items()}
        self.optimizer = build_optimizer(model, settings, course.learning_rate, course.rate_factor)
        loaded, self.notices = checkpoint.newest(course.folder)
        self.state = TrainingState(0, {}, {}, None, None, 0, 0, settings.micro_batch_tokens, [])
        if loaded is not None and self._may_continue(loaded.identity):
            self._restore(loaded.state)
            total = course.job.schedule.total_steps
            self.notices.append(f"continuing at step {loaded.state.step:,} of {total:,}")
        self.curves = course.folder / CURVES
        durable.make_folder(course.folder)
        checkpoint.trim_metrics(self.curves, self.state.step)

    def _may_continue(self, saved: Identity) -> bool:
        """Whether the saved state is of this run; another one's is refused, or removed if that was asked."""
        try:
            check_identity(saved, self.course.identity)
        except CheckpointError:
            if not self.course.overwrite:
                raise
            with durable.disk_errors(self.course.folder):
                checkpoint.clear(self.course.folder)
            return False
        return True

    def _restore(self, state: TrainingState) -> None:
        self._put(state.trainable)
        restore_optimizer(self.optimizer, state.optimizer, self.names)
        self.state = state

    def _put(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in weights.items():
                self.trainable[name].copy_(tensor)

    @property
    def has_stopped_early(self) -> bool:
        """Whether patience ran out."""
        patience = self.course.job.settings.patience
        return patience is not None and self.state.evaluations_without_gain >= patience

    def steps(self, *, in_one_go: bool) -> Iterator[Event]:
        """Train to the end, or until patience or the user ends it.

        Args:
            in_one_go: the caller goes through all events at once, so that Ctrl-C between two steps, too, is a request
                to save and stop.

        Raises:
            Interrupted: Ctrl-C or SIGTERM came; the state was saved.
            TrainingError: see `engine.steps`.
        """
        stop = StopRequest()
        if not in_one_go:
            yield from listen(self._steps(stop), stop)
            return
        with stop_requests(stop):
            yield from self._steps(stop)

    def _steps(self, stop: StopRequest) -> Generator[Event]:
        job, total = self.course.job, self.course.job.schedule.total_steps
        saved_at = time.monotonic()
        with _open_curves(self.curves) as curves:
            if self.has_stopped_early:
                return
            for report in engine.steps(job, self.optimizer, self.state.step, self.state.micro_batch_tokens):
                self._count(report)
                append(curves, asdict(report))
                yield report
                if report.step % self.course.every_steps == 0 or report.step == total:
                    evaluated = self.evaluate()
                    append(curves, {"step": report.step, "dev": _finite(evaluated.scores)})
                    yield evaluated
                is_last, is_asked = report.step == total or self.has_stopped_early, stop.is_set
                if is_last or is_asked or self._save_is_due(saved_at):
                    os.fsync(curves.fileno())  # the state must never be ahead of its curves
                    yield self._save()
                    saved_at = time.monotonic()
                if is_asked or (is_last and stop.is_set):
                    raise self.interrupted()
                if is_last:
                    return

    def _count(self, report: StepReport) -> None:
        splits = self.state.out_of_memory_splits
        if report.micro_batch_tokens != self.state.micro_batch_tokens:
            splits = [*splits, [report.step, report.micro_batch_tokens]]
        self.state = replace(
            self.state,
            step=report.step,
            micro_batch_tokens=report.micro_batch_tokens,
            out_of_memory_splits=splits,
        )

    def evaluate(self) -> Evaluated:
        """Look at held-out data; the best weights so far are kept."""
        scores, headline = self.look(), self.course.headline
        value, best = scores[headline], self.state.best_score
        is_better = best is None or (value < best if headline in SMALLER_IS_BETTER else value > best)
        is_best = is_better and math.isfinite(value)
        if is_best:
            weights = {name: parameter.detach().cpu().clone() for name, parameter in self.trainable.items()}
            self.state = replace(
                self.state, best=weights, best_score=value, best_step=self.state.step, evaluations_without_gain=0
            )
        else:
            self.state = replace(self.state, evaluations_without_gain=self.state.evaluations_without_gain + 1)
        return Evaluated(self.state.step, scores, headline, is_best, self.course.looks_at)

    def _save_is_due(self, saved_at: float) -> bool:
        settings = self.course.job.settings
        if settings.checkpoint_steps is not None:
            return self.state.step % settings.checkpoint_steps == 0
        return time.monotonic() - saved_at >= settings.checkpoint_seconds

    def _save(self) -> Saved:
        state = replace(
            self.state,
            trainable={name: parameter.detach() for name, parameter in self.trainable.items()},
            optimizer=flatten_optimizer(self.optimizer, self.names),
        )
        keep = self.course.job.settings.keep_checkpoints
        return Saved(state.step, checkpoint.save(self.course.folder, state, self.course.identity, keep))

    def interrupted(self) -> Interrupted:
        """What to raise once the user asked to stop and the state is saved."""
        return Interrupted(
            f"stopped after step {self.state.step:,}; the training state is saved in {self.course.folder.parent}",
            fix="give the same command again to continue",
        )

    def put_best_back(self) -> None:
        """Give the model its best weights.

        Raises:
            TrainingError: no look ever gave a finite number.
        """
        if self.state.best is None:
            message = f"{self.course.headline} of the development rows was never a finite number"
            raise TrainingError(message, fix="lower train.learning_rate, or choose another evaluate.metric")
        self._put(self.state.best)


@contextmanager
def _open_curves(path: Path) -> Iterator[TextIO]:
    """Open metrics.jsonl for appending; each line is written at once, and a full disk is a TrainingError."""
    with durable.disk_errors(path), path.open("a", encoding="utf-8", buffering=1) as curves:
        yield curves


def append(curves: TextIO, entry: Mapping[str, object]) -> None:
    """Write one line of the curves."""
    curves.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _finite(scores: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN and no infinity."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
