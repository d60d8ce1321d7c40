"""A whole fine-tuning run as a generator of events: plan, steps, evaluations, saves, the finished folder.

Nothing here calls back; the command line prints what comes, Python users ignore it or draw their own curves.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor

from tunesmith import artifact, checkpoint, data, durable, engine, inference, judging, vocabulary
from tunesmith.checkpoint import Identity, TrainingState
from tunesmith.config import RunConfig, to_yaml
from tunesmith.contracts import StepReport
from tunesmith.errors import CheckpointError, Interrupted, TrainingError
from tunesmith.events import Evaluated, Finished, Notice, Plan, Saved
from tunesmith.interrupts import stop_requests
from tunesmith.metrics import SMALLER_IS_BETTER
from tunesmith.model_card import render_card
from tunesmith.optimization import build_optimizer
from tunesmith.planning import describe_plan
from tunesmith.preparation import Setup, Splits, default_folder, evaluation_interval, make_parts, prepare, read_splits
from tunesmith.run_identity import CHECKPOINTS, find_finished, make_facts, make_identity

Event = Plan | Notice | StepReport | Evaluated | Saved | Finished
CURVES = "metrics.jsonl"


def run(config: RunConfig, train: Any = None, dev: Any = None) -> Iterator[Event]:
    """Fine-tune, evaluate and write the finished folder; the same call again continues or finds it complete.

    Args:
        config: everything the run depends on.
        train: a source in place of data.train.
        dev: a source in place of data.dev.

    Raises:
        TunesmithError: see `errors`; the training state saved last stays good.
        Interrupted: Ctrl-C or SIGTERM came; the state was saved.
    """
    began = time.perf_counter()
    task, method = make_parts(config)
    splits = read_splits(config, task, train, dev)
    folder = default_folder(config)
    with durable.lock_folder(folder):
        for parent in (folder, folder / CHECKPOINTS):
            durable.clean_temporary(parent, is_locked=True)
        if artifact.is_complete(folder):
            finished = find_finished(folder, config, splits)
            if finished is not None:
                yield Finished(folder, finished.metrics, 0.0, already_complete=True)
                return
        setup = prepare(config, splits, task, method)
        training = _Training(setup, folder)
        _write_rejects(folder, splits.read)
        yield from (Notice(text) for text in [*setup.notices, *training.notices])
        yield Plan(*describe_plan(setup, folder), setup.schedule.total_steps, training.state.step, folder)
        try:
            yield from training.steps()
        except TrainingError as error:
            raise _with_lines(error, splits) from error
        metrics = training.finish(began)
        yield Finished(folder, metrics, time.perf_counter() - began)


class _Training:
    """The state of a run between its events."""

    def __init__(self, setup: Setup, folder: Path) -> None:
        self.setup = setup
        self.folder = folder
        self.trainable = {n: p for n, p in setup.model.named_parameters() if p.requires_grad}
        self.names: dict[Tensor, str] = {p: n for n, p in self.trainable.items()}
        self.optimizer = build_optimizer(setup.model, setup.config.train, setup.learning_rate.value)
        self.identity = make_identity(setup, self.trainable)
        self.golds = [setup.task.gold(row, setup.labels) for row in setup.splits.dev]
        self.headline = setup.config.evaluate.metric or setup.task.headline(setup.labels)
        self._check_headline()
        loaded, self.notices = checkpoint.newest(folder / CHECKPOINTS)
        self.state = TrainingState(0, {}, {}, None, None, 0, 0, setup.config.train.micro_batch_tokens, [])
        if loaded is not None and self._may_continue(loaded.identity):
            self._restore(loaded.state)
            self.notices.append(f"continuing at step {loaded.state.step:,} of {setup.schedule.total_steps:,}")
        durable.make_folder(folder)
        checkpoint.trim_metrics(folder / CURVES, self.state.step)

    def _check_headline(self) -> None:
        """Judge two rows before the first step: a misspelt evaluate.metric must not show after an hour."""
        items = [item for item in self.setup.dev_items if item.row < 2]
        answers = inference.predict_items(self.setup.model, self.setup.task, items, self.setup.labels)
        golds = self.golds[: len(answers.predictions)]
        judging.pick(
            judging.quick_scores(self.setup.task, answers.predictions, golds, self.setup.labels), self.headline
        )

    def _may_continue(self, saved: Identity) -> bool:
        """Whether the saved state is of this run; another one's is refused, or removed if that was asked."""
        try:
            checkpoint.check_identity(saved, self.identity)
        except CheckpointError:
            if not self.setup.config.output.overwrite:
                raise
            with durable.disk_errors(self.folder):
                durable.discard(self.folder / CHECKPOINTS)
            return False
        return True

    def _restore(self, state: TrainingState) -> None:
        with torch.no_grad():
            for name, tensor in state.trainable.items():
                self.trainable[name].copy_(tensor)
        checkpoint.restore_optimizer(self.optimizer, state.optimizer, self.names)
        self.state = state

    @property
    def has_stopped_early(self) -> bool:
        """Whether patience ran out."""
        patience = self.setup.config.train.patience
        return patience is not None and self.state.evaluations_without_gain >= patience

    def steps(self) -> Iterator[Event]:
        """Train to the end, or until patience or the user ends it."""
        setup, total = self.setup, self.setup.schedule.total_steps
        every = evaluation_interval(setup)
        job = engine.Job(
            setup.model, setup.task, setup.labels, setup.groups, setup.schedule, setup.config.train, setup.precision
        )
        saved_at = time.monotonic()
        with stop_requests() as stop, _open_curves(self.folder / CURVES) as curves:
            if self.has_stopped_early:
                return
            for report in engine.steps(job, self.optimizer, self.state.step, self.state.micro_batch_tokens):
                self._count(report)
                _append(curves, asdict(report))
                yield report
                if report.step % every == 0 or report.step == total:
                    evaluated = self._evaluate()
                    _append(curves, {"step": report.step, "dev": _finite(evaluated.scores)})
                    yield evaluated
                is_last, is_asked = report.step == total or self.has_stopped_early, stop.is_set
                if is_last or is_asked or self._save_is_due(saved_at):
                    os.fsync(curves.fileno())  # the state must never be ahead of its curves
                    yield self._save()
                    saved_at = time.monotonic()
                if is_asked or (is_last and stop.is_set):
                    raise self._interrupted()
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

    def _evaluate(self) -> Evaluated:
        setup = self.setup
        answers = inference.predict_items(
            setup.model, setup.task, setup.dev_items, setup.labels, setup.config.evaluate.batch_tokens, setup.precision
        )
        scores = judging.quick_scores(setup.task, answers.predictions, self.golds, setup.labels)
        value = judging.pick(scores, self.headline)
        best = self.state.best_score
        is_better = best is None or (value < best if self.headline in SMALLER_IS_BETTER else value > best)
        is_best = is_better and math.isfinite(value)
        if is_best:
            weights = {name: parameter.detach().cpu().clone() for name, parameter in self.trainable.items()}
            self.state = replace(
                self.state, best=weights, best_score=value, best_step=self.state.step, evaluations_without_gain=0
            )
        else:
            self.state = replace(self.state, evaluations_without_gain=self.state.evaluations_without_gain + 1)
        if answers.loss is not None:
            scores["loss"] = answers.loss
        return Evaluated(self.state.step, scores, self.headline, is_best)

    def _save_is_due(self, saved_at: float) -> bool:
        section = self.setup.config.train
        if section.checkpoint_steps is not None:
            return self.state.step % section.checkpoint_steps == 0
        return time.monotonic() - saved_at >= section.checkpoint_seconds

    def _save(self) -> Saved:
        state = replace(
            self.state,
            trainable={name: parameter.detach() for name, parameter in self.trainable.items()},
            optimizer=checkpoint.flatten_optimizer(self.optimizer, self.names),
        )
        keep = self.setup.config.train.keep_checkpoints
        return Saved(state.step, checkpoint.save(self.folder / CHECKPOINTS, state, self.identity, keep))

    def _interrupted(self) -> Interrupted:
        place = "" if self.setup.config.output.folder else f", with --out {self.folder}"
        return Interrupted(
            f"stopped after step {self.state.step:,}; the training state is saved in {self.folder}",
            fix=f"give the same command again to continue{place}",
        )

    def finish(self, began: float) -> Mapping[str, Any]:
        """Put the best weights back, judge them, and write the finished folder."""
        setup = self.setup
        if self.state.best is None:
            message = f"{self.headline} of the development rows was never a finite number"
            raise TrainingError(message, fix="lower train.learning_rate, or choose another evaluate.metric")
        with torch.no_grad():
            for name, tensor in self.state.best.items():
                self.trainable[name].copy_(tensor)
        if setup.compaction is not None:
            vocabulary.expand(setup.model, setup.compaction)
        metrics = {
            **judging.judge(setup, self.golds),
            "best_step": self.state.best_step,
            "steps": self.state.step,
            "seconds": time.perf_counter() - began,
        }
        facts = make_facts(setup, self.identity)
        texts = {
            "metrics.json": json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
            "config.yaml": to_yaml(setup.config),
            "README.md": render_card(facts, metrics, setup.labels),
        }
        artifact.write_artifact(self.folder, setup.model.cpu(), facts, setup.labels, texts)
        with suppress(OSError):  # the next call takes them away
            durable.discard(self.folder / CHECKPOINTS)
        return metrics


def _with_lines(error: TrainingError, splits: Splits) -> TrainingError:
    """Name the rows at fault as the user's editor does."""
    if not error.rows or not splits.lines:
        return error
    lines = ", ".join(str(splits.lines[row]) for row in error.rows[:20])
    message = f"{error.message} (lines of {splits.read['train'].source}: {lines})"
    return TrainingError(message, fix=error.fix, rows=error.rows)


def _write_rejects(folder: Path, read: Mapping[str, data.Rows]) -> None:
    rejected = [row for rows in read.values() for row in rows.rejected]
    if rejected:
        data.write_rejected(folder / "rejected.jsonl", rejected)


@contextmanager
def _open_curves(path: Path) -> Iterator[TextIO]:
    """Open metrics.jsonl for appending; each line is written at once, and a full disk is a TrainingError."""
    with durable.disk_errors(path), path.open("a", encoding="utf-8", buffering=1) as curves:
        yield curves


def _append(curves: TextIO, entry: Mapping[str, Any]) -> None:
    curves.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _finite(scores: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN and no infinity."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
