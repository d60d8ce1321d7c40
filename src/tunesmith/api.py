"""The public functions: fit, evaluate, predict, load."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tunesmith import (
    abstaining,
    artifact,
    calibrating,
    checking,
    data,
    engine,
    fitting,
    inference,
    judging,
    labelled_rows,
    trackers,
)
from tunesmith.abstaining import Abstention
from tunesmith.artifact import Artifact
from tunesmith.config import RunConfig, resolve_config
from tunesmith.contracts import Labels, Task
from tunesmith.data.rejects import shorten
from tunesmith.errors import DataError, UserError
from tunesmith.evaluation.scoring import score_predictions, to_json
from tunesmith.events import Finished
from tunesmith.model import Model
from tunesmith.tasks import make_task


@dataclass(frozen=True)
class Result:
    """What a fit gave.

    Attributes:
        folder: the finished model.
        metrics: what metrics.json holds.
        seconds: the run took.
    """

    folder: Path
    metrics: Mapping[str, Any]
    seconds: float

    @property
    def headline(self) -> float:
        """The score that decides."""
        return float(self.metrics["scores"][self.metrics["headline"]]["value"])


def fit(
    train: Any = None,
    *,
    dev: Any = None,
    out: str | Path | None = None,
    config: Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
) -> Result:
    """Fine-tune a model and write it into a folder.

    Args:
        train: a path, a pandas DataFrame, a `datasets` object, or a list of dicts; default: data.train.
        dev: likewise; default: data.dev, or a part of train.
        out: the folder; default: runs/<task>-<hash of the run>, so that the same call goes on.
        config: nested settings, such as {"train": {"epochs": 3}}.
        settings: "section.key=value" strings laid over `config`.

    Raises:
        TunesmithError: see `tunesmith.errors`.

    Example:
        >>> result = fit("reviews.csv", out="runs/reviews", settings=["train.epochs=3"])  # doctest: +SKIP
    """
    named = {key: str(source) for key, source in (("train", train), ("dev", dev)) if isinstance(source, (str, Path))}
    layers = [config or {}, {"data": named}]
    if out is not None:
        layers.append({"output": {"folder": str(out)}})
    resolved = resolve_config(*layers, settings=settings)
    sources = [None if isinstance(source, (str, Path)) else source for source in (train, dev)]
    for event in fit_events(resolved, *sources, in_one_go=True):
        if isinstance(event, Finished):
            return Result(event.folder, event.metrics, event.seconds)
    raise RuntimeError("a run ended without its last event")


def fit_events(
    config: RunConfig, train: Any = None, dev: Any = None, *, in_one_go: bool = False
) -> Iterator[fitting.Event]:
    """Fine-tune as `fit` does, yielding what happens; the trackers of `output.trackers` are written to.

    Args:
        config: everything the run depends on.
        train: a source in place of data.train.
        dev: a source in place of data.dev.
        in_one_go: you go through all events at once, so that Ctrl-C between two of them also saves and stops;
            otherwise it does so while something is computed.

    Raises:
        TunesmithError: see `tunesmith.errors`.
    """
    return trackers.track(fitting.run(config, train, dev, in_one_go=in_one_go), config)


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

    Attributes:
        artifact: its folder, facts, labels and metrics.
        task: its task.
        model: trunk and head.
        calibration: what is done to its probabilities; None in folders without one.
    """

    def __init__(self, found: Artifact) -> None:
        self.artifact = found
        stored = dict(found.facts["task"])
        self.task: Task = make_task(stored.pop("name"), stored)
        stored = found.calibration
        self.calibration = None if stored is None else calibrating.from_json(stored, found.labels)
        self.model: Model = artifact.load_weights(found)

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
        fields = [column.name for column in self.task.columns if column.role == "text" and column.required]
        if len(fields) == 1:
            return list(texts)
        if len(texts) % len(fields):
            message = f"{len(texts)} texts came, wanted for each row {len(fields)}: {', '.join(fields)}"
            raise DataError(message, fix="give them in this order, each in quotes")
        starts = range(0, len(texts), len(fields))
        return [dict(zip(fields, texts[start : start + len(fields)], strict=True)) for start in starts]

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
            base=artifact.same_base(self.artifact),
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


def load(folder: str | Path) -> Predictor:
    """Load a finished folder.

    Raises:
        ModelError: it is missing, unfinished or damaged.
    """
    return Predictor(artifact.read_artifact(folder))


def evaluate(
    folder: str | Path,
    source: Any,
    *,
    options: data.ReadOptions | None = None,
    resamples: int = 1000,
    baselines: bool = True,
    abstain: abstaining.Wish | None = None,
) -> dict[str, Any]:
    """Score a finished model on labelled rows, beside its competitors where its training file is still there.

    Args:
        folder: the finished model.
        source: a labelled file, DataFrame or list of dicts.
        options: how it is read.
        resamples: bootstrap resamples behind each interval.
        baselines: let the competitors learn from the training file anew and answer these rows too.
        abstain: also say what it brings to withhold answers; as in `predict`.

    Returns:
        The object of metrics.json for these rows; "baselines_missing" says why there are none.
    """
    found = load(folder)
    return found.evaluate(source, options=options, resamples=resamples, baselines=baselines, abstain=abstain)


def _unseen(task: Task, labels: Labels, rows: Sequence[Any]) -> dict[str, int]:
    """How often right answers stand in the rows that the model never learnt and so cannot give."""
    return dict(Counter(name for row in rows for name in task.answers(row, labels) if name not in labels.names))


def predict(
    folder: str | Path,
    source: Any,
    *,
    options: data.ReadOptions | None = None,
    abstain: abstaining.Wish | None = None,
) -> Iterator[tuple[data.Chunk, list[Any]]]:
    """Answer a file chunk by chunk, with memory that does not grow with its length.

    Args:
        folder: the finished model.
        source: a path, "-" for standard input, or anything `fit` takes.
        options: how it is read; labels are not needed.
        abstain: mark answers that are not sure: "precision=0.95", "coverage=0.9" or a threshold such as 0.8.

    Yields:
        A chunk of rows (with the records as they stood in the file, and bad rows) and its predictions.
    """
    predictor = load(folder)
    threshold = None if abstain is None else predictor.abstention(abstain).threshold
    for chunk in predictor.stream(source, options):
        yield chunk, predictor.predict_rows(chunk.rows, threshold=threshold)


def check(
    *sources: Any, task: str | None = None, model: str | None = "minilm", options: data.ReadOptions | None = None
) -> dict[str, Any]:
    """Say what is in labelled data and what is wrong with it, before a model is trained on it.

    Args:
        sources: for each split a path, "-", DataFrame, `datasets` object or list of dicts, the training split first;
            or one mapping of names to them. Splits are named after their files.
        task: what the rows are for; default: told by what they hold.
        model: base model whose tokens are counted; None: none.
        options: how the sources are read. Bad rows are counted and never raise.

    Returns:
        The object that `tunesmith check --json` prints: "verdict", "findings" (gravest first), "splits" …

    Raises:
        DataError: a source cannot be read, or lacks a column.

    Example:
        >>> rows = [{"text": f"Parcel {n} came late.", "label": "bad"} for n in "abc"]
        >>> rows += [{"text": f"Parcel {n} came early.", "label": "Bad " if n == "f" else "good"} for n in "def"]
        >>> [found["kind"] for found in check(rows, model=None)["findings"]]
        ['rare_labels', 'label_variants']
    """
    given = sources[0] if len(sources) == 1 and isinstance(sources[0], Mapping) else sources
    return checking.check_sources(given, task=task, model=model, options=options)
