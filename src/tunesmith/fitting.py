"""A whole fine-tuning run as a generator of events: plan, steps, evaluations, saves, the finished folder.

Nothing here calls back; the command line prints what comes, Python users ignore it or draw their own curves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tunesmith import (
    artifact,
    calibrating,
    checkpoint,
    data,
    durable,
    engine,
    few_shot,
    inference,
    judging,
    preparation,
    reporting,
    vocabulary,
)
from tunesmith.asking import example_words
from tunesmith.checkpoint import CURVES
from tunesmith.config import RunConfig
from tunesmith.contracts import RatesApart, StepReport, Writes
from tunesmith.errors import TrainingError
from tunesmith.events import Evaluated, Finished, Notice, Plan, Saved
from tunesmith.folder_lock import lock_folder
from tunesmith.labelled_rows import Splits, read_splits
from tunesmith.model_card import render_card
from tunesmith.optimization import alike
from tunesmith.planning import describe_plan
from tunesmith.preparation import Setup, evaluation_interval, make_parts, prepare, write_in_files
from tunesmith.run_identity import CHECKPOINTS, check_folder, choose_folder, find_finished, make_facts, make_identity
from tunesmith.settings import to_yaml
from tunesmith.task_guess import settle_task
from tunesmith.training import Course, Training

Event = Plan | Notice | StepReport | Evaluated | Saved | Finished
LOSS = "loss"
"""Name of the mean loss among the scores of a look."""


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
    config = few_shot.with_defaults(settle_task(config, train))
    task, method = make_parts(config)
    config = write_in_files(config, task)
    splits = read_splits(config, task, train, dev)
    folder = choose_folder(config, splits)
    check_folder(folder, config.model.name)
    with lock_folder(folder):
        for parent in (folder, folder / CHECKPOINTS):
            durable.clean_temporary(parent, is_locked=True)
        if artifact.is_complete(folder):
            finished = find_finished(folder, config, splits)
            if finished is not None:
                yield Finished(folder, finished.metrics, 0.0, already_complete=True, asked=example_words(task))
                return
        if config.output.report != "none":
            artifact.refuse_foreign_report(folder)
        setup = prepare(config, splits, task, method)
        fitting = _Fitting(setup, folder)
        training = fitting.training
        _write_rejects(folder, splits.read)
        yield from (Notice(text) for text in [*setup.notices, *training.notices])
        yield Plan(*describe_plan(setup, folder), setup.schedule.total_steps, training.state.step, folder)
        try:
            yield from training.steps(in_one_go=in_one_go)
        except TrainingError as error:
            raise _with_lines(error, splits) from error
        try:
            metrics = fitting.finish(began)
        except KeyboardInterrupt:
            raise training.interrupted() from None
        yield Finished(folder, metrics, time.perf_counter() - began, asked=example_words(task))


class _Fitting:
    """A prepared run: its training, and what is made of the best weights."""

    def __init__(self, setup: Setup, folder: Path) -> None:
        self.setup = setup
        self.folder = folder
        self.golds = [setup.task.gold(row, setup.labels) for row in setup.splits.dev]
        self.headline = setup.config.evaluate.metric or self._chosen_by()
        calibrating.check_wish(setup.task, setup.labels, setup.config.evaluate.calibration)
        self._check_headline()
        trainable = {name: p for name, p in setup.model.named_parameters() if p.requires_grad}
        self.identity = make_identity(setup, trainable)
        course = Course(
            job=engine.Job(
                setup.model,
                setup.objective,
                setup.labels,
                setup.groups,
                setup.schedule,
                setup.config.train,
                setup.precision,
                regroup=preparation.regroups(setup),
            ),
            learning_rate=setup.learning_rate.value,
            identity=self.identity,
            folder=folder / CHECKPOINTS,
            headline=self.headline,
            every_steps=evaluation_interval(setup),
            overwrite=setup.config.output.overwrite,
            looks_at="dev" if setup.splits.held_out else "training",
            rate_factor=setup.method.rate_factor if isinstance(setup.method, RatesApart) else alike,
        )
        self.training = Training(course, self.look)

    def _chosen_by(self) -> str:
        """The score that picks the best weights; rows that are trained on tell nothing but their loss."""
        setup = self.setup
        return (setup.task.tags.chosen_by or setup.task.headline(setup.labels)) if setup.splits.held_out else LOSS

    def _check_headline(self) -> None:
        """Judge two rows before the first step: a misspelt evaluate.metric must not show after an hour."""
        items = [item for item in self.setup.dev_items if item.row < 2]
        answers = inference.predict_items(self.setup.model, self.setup.task, items, self.setup.labels)
        judging.pick(self._score(answers, self.golds[: len(answers.predictions)]), self.headline)

    def _score(self, answers: inference.Answers, golds: Sequence[Any]) -> dict[str, float]:
        """Every score of answers, the loss among them."""
        scores = judging.quick_scores(self.setup.task, answers.predictions, golds, self.setup.labels)
        return scores if answers.loss is None else {**scores, LOSS: answers.loss}

    def look(self) -> dict[str, float]:
        """Scores of the development rows with the weights as they are, and with the head found where a way finds it."""
        setup = self.setup
        preparation.find_head(setup)
        given = (
            setup.model, setup.task, setup.dev_items, setup.labels, setup.config.evaluate.batch_tokens, setup.precision
        )  # fmt: skip
        if isinstance(setup.task, Writes) and self.headline == LOSS:  # to write would take longer than to train
            loss = inference.measure_loss(*given)
            return {} if loss is None else {LOSS: loss}
        return self._score(inference.predict_items(*given), self.golds)

    def finish(self, began: float) -> Mapping[str, Any]:
        """Put the best weights back, calibrate and judge them, and write the finished folder."""
        setup, state = self.setup, self.training.state
        self.training.put_best_back()
        if setup.compaction is not None:
            vocabulary.expand(setup.model, setup.compaction)
        if setup.method.tags.stores == "whole":
            setup.method.merge(setup.model)
        setup.model.fold_outputs()
        judged = judging.judge(setup, self.golds)
        metrics = {
            **judged.report,
            "best_step": state.best_step,
            "steps": state.step,
            "ledger": {name: found.to_json() for name, found in setup.ledgers.items()},
            "seconds": time.perf_counter() - began,
        }
        facts = make_facts(setup, self.identity)
        texts = {
            "metrics.json": json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
            "config.yaml": to_yaml(setup.config),
            "README.md": render_card(facts, metrics, setup.labels),
            CURVES: self.training.curves.read_text("utf-8"),
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
    in_file = [row for row in error.rows if row < len(splits.lines)]  # a way's own rows stand in none
    if not in_file:
        return error
    lines = ", ".join(str(splits.lines[row]) for row in in_file[:20])
    message = f"{error.message} (lines of {splits.read['train'].source}: {lines})"
    return TrainingError(message, fix=error.fix, rows=error.rows)


def _write_rejects(folder: Path, read: Mapping[str, data.Rows]) -> None:
    rejected = [row for rows in read.values() for row in rows.rejected]
    if rejected:
        data.write_rejected(folder / "rejected.jsonl", rejected)
