"""The public functions: fit, evaluate, predict, load."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tunesmith import artifact, data, fitting, inference
from tunesmith.artifact import Artifact
from tunesmith.config import resolve_config
from tunesmith.contracts import Task
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
        out: the folder; default: runs/<task>-<time>.
        config: nested settings, such as {"train": {"epochs": 3}}.
        settings: "section.key=value" strings laid over `config`.

    Raises:
        TunesmithError: see `tunesmith.errors`.

    Example:
        >>> result = fit("reviews.csv", out="runs/reviews", settings=["train.epochs=3"])  # doctest: +SKIP
    """
    named = {
        key: str(source)
        for key, source in (("train", train), ("dev", dev))
        if isinstance(source, (str, Path))
    }
    layers = [config or {}, {"data": named}]
    if out is not None:
        layers.append({"output": {"folder": str(out)}})
    resolved = resolve_config(*layers, settings=settings)
    sources = [None if isinstance(source, (str, Path)) else source for source in (train, dev)]
    for event in fitting.run(resolved, *sources):
        if isinstance(event, Finished):
            return Result(event.folder, event.metrics, event.seconds)
    raise RuntimeError("a run ended without its last event")


class Predictor:
    """A finished model that answers rows.

    Attributes:
        artifact: its folder, facts, labels and metrics.
        task: its task.
        model: trunk and head.
    """

    def __init__(self, found: Artifact) -> None:
        self.artifact = found
        stored = dict(found.facts["task"])
        self.task: Task = make_task(stored.pop("name"), stored)
        self.model: Model = artifact.load_weights(found)

    def predict(self, source: Any) -> list[Any]:
        """Answer texts, dicts, a DataFrame or a file; one Prediction a row, in order.

        Raises:
            DataError: a row cannot be used.
        """
        options = data.ReadOptions(labels_required=False)
        read = data.read_rows(source, self.task.Row, self.task.columns, options)
        return self.predict_rows(read.rows)

    def predict_rows(self, rows: Sequence[Any], precision: torch.dtype = torch.float32) -> list[Any]:
        """Answer instances of the task's Row."""
        return inference.predict_rows(self.model, self.task, rows, self.artifact.labels, precision=precision)


def load(folder: str | Path) -> Predictor:
    """Load a finished folder.

    Raises:
        ModelError: it is missing, unfinished or damaged.
    """
    return Predictor(artifact.read_artifact(folder))


def evaluate(
    folder: str | Path, source: Any, *, options: data.ReadOptions | None = None, resamples: int = 1000
) -> dict[str, Any]:
    """Score a finished model on labelled rows; competitors and the gain stand in its own metrics.json.

    Args:
        folder: the finished model.
        source: a labelled file, DataFrame or list of dicts.
        options: how it is read.
        resamples: bootstrap resamples behind each interval.

    Returns:
        The object of metrics.json for these rows.
    """
    began = time.perf_counter()
    predictor = load(folder)
    read = data.read_rows(source, predictor.task.Row, predictor.task.columns, options)
    task, labels = predictor.task, predictor.artifact.labels
    golds = [task.gold(row, labels) for row in read.rows]
    judged = score_predictions(task, predictor.predict_rows(read.rows), golds, labels, resamples=resamples)
    report = to_json(judged, {}, time.perf_counter() - began)
    return {**report, "split": read.source, "fingerprint": read.fingerprint, "rejected": len(read.rejected)}


def predict(
    folder: str | Path, source: Any, *, options: data.ReadOptions | None = None
) -> Iterator[tuple[data.Chunk, list[Any]]]:
    """Answer a file chunk by chunk, with memory that does not grow with its length.

    Args:
        folder: the finished model.
        source: a path, "-" for standard input, or anything `fit` takes.
        options: how it is read; labels are not needed.

    Yields:
        A chunk of rows (with the records as they stood in the file, and bad rows) and its predictions, in order.
    """
    predictor = load(folder)
    stream = data.stream_rows(
        source, predictor.task.Row, predictor.task.columns, options or data.ReadOptions(labels_required=False)
    )
    for chunk in stream:
        yield chunk, predictor.predict_rows(chunk.rows)
