"""Trackers: TensorBoard for real, MLflow and W&B against stand-ins that record what they are told."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tiny import make_rows
from tunesmith import api, trackers
from tunesmith.config import RunConfig, resolve_config
from tunesmith.contracts import StepReport
from tunesmith.errors import MissingPackageError
from tunesmith.events import Evaluated, Finished, Plan

METRICS = {"steps": 2, "scores": {"accuracy": {"value": 0.75}, "odd": {"value": float("nan")}}}


def events(folder: Path, *, start: int = 0) -> Iterator[object]:
    yield Plan({}, "", 2, start, folder)
    yield StepReport(1, 0.5, 0.7, 16, 1e-4, 1.0, 320, 0.1, 1, 8192)
    yield Evaluated(1, {"accuracy": 0.5, "loss": float("inf")}, "accuracy", True)
    yield Finished(folder, METRICS, 1.0)


def config(*names: str, **model: Any) -> RunConfig:
    return resolve_config({"output": {"trackers": list(names)}, "model": model})


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A stand-in for the package mlflow; the list of what its client was told."""
    told: list[tuple[Any, ...]] = []

    class Client:
        def get_experiment_by_name(self, name: str) -> None:
            told.append(("experiment", name))

        def create_experiment(self, name: str) -> str:
            return "7"

        def create_run(self, experiment_id: str, run_name: str) -> Any:
            told.append(("run", experiment_id, run_name))
            return SimpleNamespace(info=SimpleNamespace(run_id="r"))

        def log_param(self, run_id: str, key: str, value: str) -> None:
            told.append(("param", key, value))

        def log_batch(self, run_id: str, metrics: list[Any]) -> None:
            told.extend(("metric", metric.key, metric.value, metric.step) for metric in metrics)

        def set_terminated(self, run_id: str, status: str) -> None:
            told.append(("end", status))

    def metric(key: str, value: float, timestamp: int, step: int) -> Any:
        return SimpleNamespace(key=key, value=value, step=step)

    install(monkeypatch, "mlflow", SimpleNamespace(MlflowClient=Client, entities=SimpleNamespace(Metric=metric)))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return told


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A stand-in for the package wandb; the list of what it was told."""
    told: list[tuple[Any, ...]] = []

    def init(**options: Any) -> Any:
        told.append(("init", options))
        return SimpleNamespace(
            log=lambda scores, step: told.append(("log", scores, step)),
            finish=lambda exit_code: told.append(("finish", exit_code)),
        )

    install(monkeypatch, "wandb", SimpleNamespace(init=init, Settings=lambda **options: options))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return told


def install(monkeypatch: pytest.MonkeyPatch, name: str, module: Any) -> None:
    monkeypatch.setitem(sys.modules, name, module)
    found = trackers.util.find_spec
    monkeypatch.setattr(
        trackers, "util", SimpleNamespace(find_spec=lambda wanted: module if wanted == name else found(wanted))
    )


def test_without_trackers_events_pass_untouched(tmp_path: Path) -> None:
    given = list(events(tmp_path))
    assert list(trackers.track(given, config())) == given


def test_mlflow_gets_curves_settings_and_an_end(mlflow: list[Any], tmp_path: Path) -> None:
    assert len(list(trackers.track(events(tmp_path), config("mlflow")))) == 4
    assert ("run", "7", tmp_path.name) in mlflow
    assert ("param", "train.batch_size", "16") in mlflow
    assert ("metric", "train/loss", 0.7, 1) in mlflow
    assert ("metric", "best/accuracy", 0.75, 2) in mlflow
    assert not [entry for entry in mlflow if entry[0] == "metric" and entry[1] in ("dev/loss", "best/odd")]
    assert mlflow[-1] == ("end", "FINISHED")


def test_a_run_that_fails_is_ended_as_such(wandb: list[Any], tmp_path: Path) -> None:
    def failing() -> Iterator[object]:
        yield from list(events(tmp_path))[:2]
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        list(trackers.track(failing(), config("wandb")))
    assert wandb[-1] == ("finish", 1)


def test_wandb_stays_offline_unless_told_otherwise(
    wandb: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(trackers.track(events(tmp_path), config("wandb")))
    options = wandb[0][1]
    assert options["mode"] == "offline"
    assert options["dir"] == str(tmp_path)
    assert options["settings"]["save_code"] is False
    assert ("log", {"dev/accuracy": 0.5}, 1) in wandb
    assert wandb[-1] == ("finish", 0)
    monkeypatch.setenv("WANDB_MODE", "online")
    wandb.clear()
    list(trackers.track(events(tmp_path), config("wandb")))
    assert wandb[0][1]["mode"] == "online"


def test_secrets_are_never_told(wandb: list[Any], tmp_path: Path) -> None:
    secret = "hf_" + "a1B2" * 8
    given = config("wandb", name=f"https://someone:{secret}@example.org/model", revision=secret)
    list(trackers.track(events(tmp_path), given))
    assert secret not in repr(wandb)
    assert wandb[0][1]["config"]["train.batch_size"] == "16"
    assert (
        trackers.plain_settings(resolve_config({"task": {"api_key": "x", "max_token": "y"}}))["task.api_key"] == "***"
    )


@pytest.mark.parametrize("name", ["mlflow", "wandb", "tensorboard"])
def test_a_missing_package_is_said_before_anything_happens(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "util", SimpleNamespace(find_spec=lambda wanted: None))
    with pytest.raises(MissingPackageError, match=name) as caught:
        trackers.track(iter(()), config(name))
    assert caught.value.fix == f"pip install 'tunesmith[{name}]'"


def test_tensorboard_writes_what_it_can_read(tiny_bert: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = {"output": {"trackers": ["tensorboard"]}, "evaluate": {"resamples": 100, "baselines": False}}
    result = api.fit(
        make_rows(40), out=tmp_path, config={**settings, "train": {"max_steps": 3}, "model": {"name": str(tiny_bert)}}
    )
    found = EventAccumulator(str(result.folder / "tensorboard")).Reload()
    assert [point.step for point in found.Scalars("train/loss")] == [1, 2, 3]
    assert found.Scalars("best/accuracy")[0].value == pytest.approx(result.headline)
