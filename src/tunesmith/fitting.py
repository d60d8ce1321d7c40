"""A whole fine-tuning run as a generator of events: plan, steps, evaluations, saves, the finished folder.

Nothing here calls back; the command line prints what comes, Python users ignore it or draw their own curves.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor

from tunesmith import (
    artifact,
    calibrating,
    checkpoint,
    data,
    durable,
    engine,
    inference,
    judging,
    reporting,
    vocabulary,
)
from tunesmith.checkpoint import CURVES, Identity, TrainingState
from tunesmith.config import RunConfig, to_yaml
from tunesmith.contracts import StepReport
from tunesmith.errors import CheckpointError, Interrupted, TrainingError
from tunesmith.events import Evaluated, Finished, Notice, Plan, Saved
from tunesmith.folder_lock import lock_folder
from tunesmith.interrupts import StopRequest, listen, stop_requests
from tunesmith.labelled_rows import Splits, read_splits
from tunesmith.metrics import SMALLER_IS_BETTER
from tunesmith.model_card import render_card
from tunesmith.optimization import build_optimizer
from tunesmith.optimizer_state import flatten_optimizer, restore_optimizer
from tunesmith.planning import describe_plan
from tunesmith.preparation import Setup, evaluation_interval, make_parts, prepare
from tunesmith.run_identity import CHECKPOINTS, check_folder, choose_folder, find_finished, make_facts, make_identity
from tunesmith.task_guess import settle_task

Event = Plan | Notice | StepReport | Evaluated | Saved | Finished


def run(config: RunConfig, train: Any = None, dev: Any = None, *, in_one_go: bool = False) -> Iterator[Event]:
    """Fine-tune, evaluate and write the finished folder; the same call again continues or finds it complete.

    Args:
        config: everything the run depends on.
        train: a source in place of data.train.
        dev: a source in place of data.dev.
        in_one_go: the caller goes through all events at once, so that Ctrl-C between two steps, too, is a request
            to save and stop. Otherwise it is one while something is computed, and the caller's own in between.

    Raises:
        TunesmithError: see `errors`; the training state saved last stays good.
        Interrupted: Ctrl-C or SIGTERM came; the state was saved.
    """
    began = time.perf_counter()
    config = settle_task(config, train)
    task, method = make_parts(config)
    splits = read_splits(config, task, train, dev)
    folder = choose_folder(config, splits)
    check_folder(folder, config)
    with lock_folder(folder):
        for parent in (folder, folder / CHECKPOINTS):
            durable.clean_temporary(parent, is_locked=True)
        if artifact.is_complete(folder):
            finished = find_finished(folder, config, splits)
            if finished is not None:
                yield Finished(folder, finished.metrics, 0.0, already_complete=True)
                return
        if config.output.report != "none":
            artifact.refuse_foreign_report(folder)
        setup = prepare(config, splits, task, method)
        training = _Training(setup, folder)
        _write_rejects(folder, splits.read)
        yield from (Notice(text) for text in [*setup.notices, *training.notices])
        yield Plan(*describe_plan(setup, folder), setup.schedule.total_steps, training.state.step, folder)
        try:
            yield from training.steps(in_one_go=in_one_go)
        except TrainingError as error:
            raise _with_lines(error, splits) from error
        try:
            metrics = training.finish(began)
        except KeyboardInterrupt:
            raise training.interrupted() from None
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
        calibrating.check_wish(setup.task, setup.labels, setup.config.evaluate.calibration)
        self._check_headline()
        loaded, self.notices = checkpoint.newest(folder / CHECKPOINTS)
        self.state = TrainingState(0, {}, {}, None, None, 0, 0, setup.config.train.micro_batch_tokens, [])
        if loaded is not None and self._may_continue(loaded.identity):
            self._restore(loaded.state)
            self.notices.append(f"continuing at step {loaded.state.step:,} of {setup.schedule.total_steps:,}")
        self.curves = folder / CHECKPOINTS / CURVES
        durable.make_folder(folder / CHECKPOINTS)
        checkpoint.trim_metrics(self.curves, self.state.step)

    def _check_headline(self) -> None:
        """Judge two rows before the first step: a misspelt evaluate.metric must not show after an hour."""
        items = [item for item in self.setup.dev_items if item.row < 2]
        answers = inference.predict_items(self.setup.model, self.setup.task, items, self.setup.labels)
        judging.pick(self._score(answers, self.golds[: len(answers.predictions)]), self.headline)

    def _score(self, answers: inference.Answers, golds: Sequence[Any]) -> dict[str, float]:
        """Every score of answers, the loss among them."""
        scores = judging.quick_scores(self.setup.task, answers.predictions, golds, self.setup.labels)
        return scores if answers.loss is None else {**scores, "loss": answers.loss}

    def _may_continue(self, saved: Identity) -> bool:
        """Whether the saved state is of this run; another one's is refused, or removed if that was asked."""
        try:
            checkpoint.check_identity(saved, self.identity)
        except CheckpointError:
            if not self.setup.config.output.overwrite:
                raise
            with durable.disk_errors(self.folder):
                checkpoint.clear(self.folder / CHECKPOINTS)
            return False
        return True

    def _restore(self, state: TrainingState) -> None:
        with torch.no_grad():
            for name, tensor in state.trainable.items():
                self.trainable[name].copy_(tensor)
        restore_optimizer(self.optimizer, state.optimizer, self.names)
        self.state = state

    @property
    def has_stopped_early(self) -> bool:
        """Whether patience ran out."""
        patience = self.setup.config.train.patience
        return patience is not None and self.state.evaluations_without_gain >= patience

    def steps(self, *, in_one_go: bool) -> Iterator[Event]:
        """Train to the end, or until patience or the user ends it."""
        stop = StopRequest()
        if not in_one_go:
            yield from listen(self._steps(stop), stop)
            return
        with stop_requests(stop):
            yield from self._steps(stop)

    def _steps(self, stop: StopRequest) -> Generator[Event]:
        setup, total = self.setup, self.setup.schedule.total_steps
        every = evaluation_interval(setup)
        job = engine.Job(
            setup.model, setup.task, setup.labels, setup.groups, setup.schedule, setup.config.train, setup.precision
        )
        saved_at = time.monotonic()
        with _open_curves(self.curves) as curves:
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

    def _evaluate(self) -> Evaluated:
        setup = self.setup
        answers = inference.predict_items(
            setup.model, setup.task, setup.dev_items, setup.labels, setup.config.evaluate.batch_tokens, setup.precision
        )
        scores = self._score(answers, self.golds)
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
            optimizer=flatten_optimizer(self.optimizer, self.names),
        )
        keep = self.setup.config.train.keep_checkpoints
        return Saved(state.step, checkpoint.save(self.folder / CHECKPOINTS, state, self.identity, keep))

    def interrupted(self) -> Interrupted:
        """What to raise once the user asked to stop and the state is saved."""
        return Interrupted(
            f"stopped after step {self.state.step:,}; the training state is saved in {self.folder}",
            fix="give the same command again to continue",
        )

    def finish(self, began: float) -> Mapping[str, Any]:
        """Put the best weights back, calibrate and judge them, and write the finished folder."""
        setup = self.setup
        if self.state.best is None:
            message = f"{self.headline} of the development rows was never a finite number"
            raise TrainingError(message, fix="lower train.learning_rate, or choose another evaluate.metric")
        with torch.no_grad():
            for name, tensor in self.state.best.items():
                self.trainable[name].copy_(tensor)
        if setup.compaction is not None:
            vocabulary.expand(setup.model, setup.compaction)
        if setup.method.tags.stores == "whole":
            setup.method.merge(setup.model)
        setup.model.fold_outputs()
        judged = judging.judge(setup, self.golds)
        metrics = {
            **judged.report,
            "best_step": self.state.best_step,
            "steps": self.state.step,
            "ledger": {name: found.to_json() for name, found in setup.ledgers.items()},
            "seconds": time.perf_counter() - began,
        }
        facts = make_facts(setup, self.identity)
        texts = {
            "metrics.json": json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
            "config.yaml": to_yaml(setup.config),
            "README.md": render_card(facts, metrics, setup.labels),
            CURVES: self.curves.read_text("utf-8"),
        }
        if judged.calibration is not None:
            texts[artifact.CALIBRATION] = json.dumps(calibrating.to_json(judged.calibration), allow_nan=False) + "\n"
        report = None if setup.config.output.report == "none" else partial(self._render_report, judged)
        artifact.write_artifact(self.folder, setup.model.cpu(), facts, setup.labels, texts, report)
        with suppress(OSError):  # the next call takes them away
            checkpoint.clear(self.folder / CHECKPOINTS)
        return metrics

    def _render_report(self, judged: judging.Judgement, staged: artifact.Artifact) -> str:
        """report.html of the folder that is about to be published."""
        setup, output = self.setup, self.setup.config.output
        rows = reporting.gather_rows(
            setup.task, setup.labels, (setup.splits.dev, judged.predictions, self.golds), setup.dev_items
        )
        rows = replace(
            rows, train_lengths_tokens=reporting.row_lengths(setup.train_items), groups=setup.splits.dev_groups
        )
        material = reporting.collect(staged, rows, name=self.folder.absolute().name)
        return reporting.render_report(material, output.language, with_texts=output.report == "full")


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
