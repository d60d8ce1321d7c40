"""A finished model that answers rows, and is scored on them."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from tunesmith import (
    abstaining,
    artifact_loading,
    asking,
    calibrating,
    data,
    engine,
    inference,
    judging,
    labelled_rows,
)
from tunesmith.abstaining import Abstention
from tunesmith.artifact import Artifact
from tunesmith.config import resolve_config
from tunesmith.contracts import Labels, Task
from tunesmith.data.rejects import shorten
from tunesmith.errors import ConfigError, DataError, UserError
from tunesmith.evaluation.scoring import score_predictions, to_json
from tunesmith.model import Model
from tunesmith.tasks import TASKS, make_task


@dataclass(frozen=True)
class Judged:
    """Scores on labelled rows, and the rows behind them.

    Attributes:
        metrics: the object of metrics.json for these rows.
        read: what reading found; its rows are those that count.
        predictions: (B,) the answers.
        golds: (B,) the right ones.
    """

    metrics: dict[str, Any]
    read: data.Rows
    predictions: Sequence[Any]
    golds: Sequence[Any]


class Predictor:
    """A finished model that answers rows.

    Args:
        found: its folder.
        options: of its task, where answers are to be given in another way than in training, such as {"beams": 4}.

    Raises:
        ConfigError: an option says what was learnt, or does not fit.

    Attributes:
        artifact: its folder, facts, labels and metrics.
        task: its task.
        model: trunk and head.
        calibration: what is done to its probabilities; None in folders without one.
    """

    def __init__(self, found: Artifact, options: Mapping[str, Any] | None = None) -> None:
        self.artifact = found
        stored = dict(found.facts["task"])
        name = stored.pop("name")
        _refuse_learnt(name, options or {})
        self.task: Task = make_task(name, {**stored, **(options or {})})
        stored = found.calibration
        self.calibration = None if stored is None else calibrating.from_json(stored, found.labels)
        self.model: Model = artifact_loading.load_weights(found)

    def predict(self, source: Any, *, abstain: abstaining.Wish | None = None) -> list[Any]:
        """Answer texts, dicts, a DataFrame or a file; one Prediction a row, in order.

        Args:
            source: what is answered.
            abstain: mark answers that are not sure: "precision=0.95", "coverage=0.9" or a threshold such as 0.8.

        Raises:
            DataError: a row cannot be used.
            ConfigError: the wish of `abstain` cannot be kept.
        """
        threshold = None if abstain is None else self.abstention(abstain).threshold
        if isinstance(source, str) and source != "-" and not os.path.exists(source):
            raise DataError(f"there is no file {shorten(source)}", fix='put texts in brackets: predict(["a text"])')
        read = self.read(source, data.ReadOptions(labels_required=False))
        return self.predict_rows(read.rows, threshold=threshold)

    def abstention(self, wish: abstaining.Wish) -> Abstention:
        """From where on answers are given, so that the development rows kept a wish.

        Raises:
            ConfigError: it makes no sense or cannot be kept; the message says what can.
        """
        return abstaining.choose(wish, self.calibration, self.task, self.artifact.labels)

    def as_rows(self, texts: Sequence[str]) -> list[Any]:
        """Texts given one by one as what `read` takes: one a row, or several where a row needs them, in their order.

        Raises:
            DataError: some are left over.
        """
        return asking.rows_of(texts, self.task.columns)

    def read(self, source: Any, options: data.ReadOptions | None = None) -> data.Rows:
        """Read all rows of a source; columns called as in training are taken first.

        Raises:
            DataError: a row cannot be used.
        """
        return data.read_rows(source, self.task.Row, self.task.columns, self._recall(options))

    def stream(self, source: Any, options: data.ReadOptions | None = None) -> data.RowStream:
        """Read the rows of a source chunk by chunk, "-" being standard input; bad rows come with their chunk.

        Raises:
            DataError: the source cannot be read or lacks a column.
        """
        options = options or data.ReadOptions(labels_required=False)
        return data.stream_rows(source, self.task.Row, self.task.columns, self._recall(options))

    def evaluate(
        self,
        source: Any,
        *,
        options: data.ReadOptions | None = None,
        resamples: int = 1000,
        baselines: bool = True,
        abstain: abstaining.Wish | None = None,
    ) -> dict[str, Any]:
        """Score this model on labelled rows; see the function `evaluate`."""
        found = self.judge(source, options=options, resamples=resamples, baselines=baselines, abstain=abstain)
        return found.metrics

    def judge(
        self,
        source: Any,
        *,
        options: data.ReadOptions | None = None,
        resamples: int = 1000,
        baselines: bool = True,
        abstain: abstaining.Wish | None = None,
    ) -> Judged:
        """Score this model as `evaluate` does, and give back rows and answers too."""
        began = time.perf_counter()
        abstention = None if abstain is None else self.abstention(abstain)
        read = self.read(source, options)
        task, labels = self.task, self.artifact.labels
        read = labelled_rows.check_labels(read, task, labels, skip_bad=options is not None and options.skip_bad)
        golds = [task.gold(row, labels) for row in read.rows]
        plain = inference.predict_rows(self.model, task, read.rows, labels)
        predictions = calibrating.apply(self.calibration, task, plain, labels)
        judged = score_predictions(task, predictions, golds, labels, resamples=resamples)
        try:
            contest = self._find_contest(resamples, wanted=baselines)
        except UserError as error:
            report = {**to_json(judged, {}, time.perf_counter() - began), "baselines_missing": error.message}
        else:
            competitors = judging.compete(contest, read.rows, golds)
            report = judging.report_contest(judged, competitors, contest, began)
        report["calibration"] = calibrating.report_on(self.calibration, task, (plain, predictions), golds, labels)
        if abstention is not None:
            report["abstention"] = abstaining.report_on(abstention, task, (predictions, golds), labels, resamples)
        facts = {
            "split": read.source,
            "unseen_labels": _unseen(task, labels, read.rows),
            "fingerprint": read.fingerprint,
            "rejected": len(read.rejected),
            **judging.sign(task, golds, labels),
        }
        return Judged({**report, **facts}, read, predictions, golds)

    def read_splits(self) -> labelled_rows.Splits:
        """The training and development rows again.

        Raises:
            UserError: they are not to be had any more, or not as they were.
        """
        facts = self.artifact.facts
        config = resolve_config(facts["config"])
        if config.data.train in (None, "-"):
            raise DataError("the training rows are not in a file")
        splits = labelled_rows.read_splits(config, self.task)
        if dict(splits.fingerprints) != facts["data"]["fingerprints"]:
            raise DataError(f"{config.data.train} is not what it was when the model was trained")
        return splits

    def _find_contest(self, resamples: int, *, wanted: bool) -> judging.Contest:
        """The training rows and the base model again, for the competitors.

        Raises:
            UserError: they are not to be had any more, or not as they were.
        """
        if not wanted:
            raise DataError("they were not asked for")
        config, splits = resolve_config(self.artifact.facts["config"]), self.read_splits()
        return judging.Contest(
            task=self.task,
            labels=self.artifact.labels,
            train=splits.train,
            base=artifact_loading.same_base(self.artifact),
            max_tokens=self.model.max_tokens,
            settings=config.evaluate.model_copy(update={"resamples": resamples}),
            device=engine.choose_device(config.train.device),
        )

    def _recall(self, options: data.ReadOptions | None) -> data.ReadOptions:
        trained_on = self.artifact.facts["data"].get("columns", {})
        return replace(options or data.ReadOptions(), remembered=trained_on)

    def predict_rows(
        self, rows: Sequence[Any], precision: torch.dtype = torch.float32, *, threshold: float | None = None
    ) -> list[Any]:
        """Answer instances of the task's Row; answers less sure than `threshold` are marked."""
        labels = self.artifact.labels
        plain = inference.predict_rows(self.model, self.task, rows, labels, precision=precision)
        answers = calibrating.apply(self.calibration, self.task, plain, labels)
        return answers if threshold is None else [self.task.withhold(answer, threshold) for answer in answers]


def _unseen(task: Task, labels: Labels, rows: Sequence[Any]) -> dict[str, int]:
    """How often right answers stand in the rows that the model never learnt and so cannot give."""
    return dict(Counter(name for row in rows for name in task.answers(row, labels) if name not in labels.names))


def _refuse_learnt(name: str, options: Mapping[str, Any]) -> None:
    """Raise ConfigError for an option that is not about how answers are given."""
    free = TASKS[name].tags.free_options
    fixed = [option for option in options if option not in free]
    if fixed:
        may = f"of {name} these may be set: {', '.join(sorted(free))}" if free else f"{name} has nothing to set here"
        raise ConfigError(f"task.{fixed[0]} cannot be changed in a finished model", fix=may)
