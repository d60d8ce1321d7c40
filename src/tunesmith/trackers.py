"""Curves for TensorBoard, MLflow and Weights & Biases: the events of a run are written as they pass by.

Each package is imported when it is asked for and only then. Nothing leaves the machine unless the user set
the package up for it: W&B writes offline unless WANDB_MODE says otherwise, MLflow writes where
MLFLOW_TRACKING_URI says. Settings are written too, without what looks like a secret; texts are not.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module, util
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tunesmith.config import RunConfig
from tunesmith.contracts import StepReport
from tunesmith.errors import MissingPackageError
from tunesmith.events import Evaluated, Finished, Plan

Item = TypeVar("Item")
PROJECT = "tunesmith"
HIDDEN = "***"
SECRET_KEY = re.compile(r"(?:^|_)(?:token|password|passwd|secret|credentials?|api_?key|access_?key)$", re.IGNORECASE)
SECRET_VALUE = re.compile(r"(?<=://)[^/@\s]+@|(?:hf|sk|ghp|AKIA|wandb)[_-]?[A-Za-z0-9_-]{20,}")


class Tracker(Protocol):
    """Where curves are drawn."""

    def write(self, scores: Mapping[str, float], step: int) -> None:
        """Write scores by name; only finite ones come."""
        ...

    def close(self, complete: bool) -> None:
        """End the run; `complete` is False when it was stopped or failed."""
        ...


def track(events: Iterable[Item], config: RunConfig) -> Iterator[Item]:
    """Hand on the events of a run, writing their numbers to the trackers of `output.trackers`.

    Args:
        events: what `fitting.run` yields.
        config: the run's; names the trackers.

    Raises:
        MissingPackageError: a tracker's package is not installed; nothing was done then.
    """
    for name in config.output.trackers:
        _require(name)
    return _tracked(events, config) if config.output.trackers else iter(events)


def _tracked(events: Iterable[Item], config: RunConfig) -> Iterator[Item]:
    opened: list[Tracker] = []
    is_complete = False
    try:
        for event in events:
            if isinstance(event, Plan):
                for name in config.output.trackers:
                    opened.append(OPENERS[name](event.folder, plain_settings(config), event.start_step))
            found = numbers_of(event)
            if found is not None:
                for tracker in opened:
                    tracker.write(*found)
            is_complete = is_complete or isinstance(event, Finished)
            yield event
    finally:
        for tracker in opened:
            tracker.close(is_complete)


def numbers_of(event: object) -> tuple[dict[str, float], int] | None:
    """The finite numbers of an event and their step; None where it has none."""
    if isinstance(event, StepReport):
        scores = {
            "train/loss": event.loss,
            "train/learning_rate": event.learning_rate,
            "train/gradient_norm": event.gradient_norm,
            "train/epoch": event.epoch,
            "train/tokens_per_second": event.tokens / max(event.seconds, 1e-9),
        }
        step = event.step
    elif isinstance(event, Evaluated):
        scores, step = {f"dev/{name}": value for name, value in event.scores.items()}, event.step
    elif isinstance(event, Finished) and not event.already_complete:
        scores = {f"best/{name}": score["value"] for name, score in event.metrics["scores"].items()}
        step = int(event.metrics["steps"])
    else:
        return None
    return {name: float(value) for name, value in scores.items() if math.isfinite(value)}, step


def plain_settings(config: RunConfig) -> dict[str, str]:
    """The settings as dotted key → text; what looks like a secret is hidden.

    Example:
        >>> plain_settings(RunConfig())["train.batch_size"]
        '16'
    """
    return dict(_flatten(json.loads(config.model_dump_json())))


def _flatten(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{path}{key}.")
        elif SECRET_KEY.search(key):
            yield f"{path}{key}", HIDDEN
        else:
            yield f"{path}{key}", SECRET_VALUE.sub(HIDDEN, str(value))


def _require(name: str) -> None:
    if util.find_spec(name) is None:
        raise MissingPackageError(name, purpose=f"output.trackers={name}", extra=name)


class TensorBoard:
    """Event files in `<folder>/tensorboard`; `tensorboard --logdir <folder>` shows them."""

    def __init__(self, folder: Path, settings: Mapping[str, str], start_step: int) -> None:
        writer = import_module("torch.utils.tensorboard").SummaryWriter
        self.writer = writer(str(folder / "tensorboard"), purge_step=start_step + 1 if start_step else None)
        self.writer.add_text("settings", "\n".join(f"    {key}: {value}" for key, value in settings.items()))

    def write(self, scores: Mapping[str, float], step: int) -> None:
        """Add one point to each curve."""
        for name, value in scores.items():
            self.writer.add_scalar(name, value, step)

    def close(self, complete: bool) -> None:
        """Flush to the disk."""
        self.writer.close()


class MLflow:
    """A run named after the folder; its experiment is `tunesmith`, or what MLFLOW_EXPERIMENT_NAME says."""

    def __init__(self, folder: Path, settings: Mapping[str, str], start_step: int) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when it is imported
        self.mlflow = import_module("mlflow")
        self.client = self.mlflow.MlflowClient()  # not the module's own functions: the user may have a run open there
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self.client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else self.client.create_experiment(experiment)
        self.run_id = self.client.create_run(number, run_name=folder.name).info.run_id
        for key, value in {**settings, "start_step": str(start_step)}.items():
            self.client.log_param(self.run_id, key, value[:500])

    def write(self, scores: Mapping[str, float], step: int) -> None:
        """Add one point to each curve, in one request."""
        now_ms = int(time.time() * 1000)
        metric = self.mlflow.entities.Metric
        self.client.log_batch(
            self.run_id, metrics=[metric(name, value, now_ms, step) for name, value in scores.items()]
        )

    def close(self, complete: bool) -> None:
        """Mark the run as finished, or as killed."""
        self.client.set_terminated(self.run_id, "FINISHED" if complete else "KILLED")


class WeightsAndBiases:
    """A run of the project `tunesmith`, kept in the folder; `wandb sync` sends it when that is wanted."""

    def __init__(self, folder: Path, settings: Mapping[str, str], start_step: int) -> None:
        wandb = import_module("wandb")
        quiet = wandb.Settings(console="off", save_code=False, disable_git=True, silent=True)
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=folder.name,
            dir=str(folder),
            config={**settings, "start_step": start_step},
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=quiet,
        )

    def write(self, scores: Mapping[str, float], step: int) -> None:
        """Add one point to each curve."""
        self.run.log(dict(scores), step=step)

    def close(self, complete: bool) -> None:
        """End the run; W&B marks it as failed when it was not complete."""
        self.run.finish(exit_code=0 if complete else 1)


OPENERS: dict[str, Callable[[Path, Mapping[str, str], int], Tracker]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WeightsAndBiases,
}
