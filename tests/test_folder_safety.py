"""A run writes into its own folder only: what somebody else has there is neither replaced nor removed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import api, checkpoint, fitting
from tunesmith.config import RunConfig, resolve_config
from tunesmith.errors import CheckpointError, ConfigError, TunesmithError, UserError
from tunesmith.events import Finished, Plan, Saved

ROWS = make_rows(24)
QUICK: dict[str, Any] = {
    "train": {"precision": "fp32", "max_steps": 2, "checkpoint_steps": 1},
    "evaluate": {"baselines": False, "resamples": 100},
}
FOREIGN = ("README.md", "config.json", "config.yaml", "labels.json", "metrics.jsonl", "checkpoints/my_other_model.bin")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_config(trunk: Path | str, out: Path | str | None, *settings: str) -> RunConfig:
    places = {"model": {"name": str(trunk)}, "output": {"folder": out and str(out)}}
    return resolve_config(QUICK, places, settings=settings)


def fit(config: RunConfig) -> list[fitting.Event]:
    return list(fitting.run(config, ROWS[:16], ROWS[16:]))


def stop_at(config: RunConfig, kind: type[Any]) -> None:
    """Let go of a run after the first event of a kind, as a crash would."""
    events: Any = fitting.run(config, ROWS[:16], ROWS[16:])
    next(event for event in events if isinstance(event, kind))
    events.close()


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    return path


@pytest.mark.parametrize("settings", [(), ("output.overwrite=true",)], ids=["plain", "overwrite"])
@pytest.mark.parametrize("name", [*FOREIGN, "notes/plan.txt"])
def test_a_folder_of_somebody_else_is_refused_and_left_alone(
    tiny_bert: Path, tmp_path: Path, name: str, settings: tuple[str, ...]
) -> None:
    write(tmp_path / name)
    with pytest.raises(UserError, match="holds files that no run of Tunesmith wrote") as caught:
        fit(make_config(tiny_bert, tmp_path, *settings))
    assert name.split("/")[0] in caught.value.message
    assert "--out" in str(caught.value.fix)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("settings", [(), ("output.overwrite=true",)], ids=["plain", "overwrite"])
@pytest.mark.parametrize("spelling", ["{}", "{}/", "{}/../trunk"])
def test_the_base_model_is_no_place_for_the_result(tmp_path: Path, spelling: str, settings: tuple[str, ...]) -> None:
    trunk = make_tiny_trunk(tmp_path / "trunk")
    before = snapshot(trunk)
    with pytest.raises(UserError, match="is the base model"):
        fit(make_config(spelling.format(trunk), trunk, *settings))
    assert snapshot(trunk) == before


def test_a_model_of_ours_is_no_place_for_what_is_tuned_from_it(tiny_bert: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    fit(make_config(tiny_bert, first))
    before = snapshot(first)
    with pytest.raises(UserError, match="is the base model"):
        fit(make_config(first, first, "output.overwrite=true"))
    assert snapshot(first) == before


def test_an_empty_folder_and_what_systems_leave_in_one_will_do(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "a" / "lost+found").mkdir(parents=True)
    write(tmp_path / "a" / ".gitignore")
    assert isinstance(fit(make_config(tiny_bert, tmp_path / "a"))[-1], Finished)
    (tmp_path / "b").mkdir()
    assert isinstance(fit(make_config(tiny_bert, tmp_path / "b"))[-1], Finished)


@pytest.mark.parametrize("kind", [Plan, Saved])
def test_a_run_of_ours_that_was_stopped_goes_on(tiny_bert: Path, tmp_path: Path, kind: type[Any]) -> None:
    """Before its first state there are a lock, curves, bad rows, and what a tracker wrote."""
    config = make_config(tiny_bert, tmp_path)
    stop_at(config, kind)
    write(tmp_path / ".lock")
    write(tmp_path / "rejected.jsonl")
    write(tmp_path / "tensorboard" / "events")
    (tmp_path / f"tmp-{'0' * 32}").mkdir()
    assert isinstance(fit(config)[-1], Finished)
    assert (tmp_path / "tensorboard" / "events").read_text() == "mine"


def test_what_the_user_put_into_a_run_of_ours_stays(tiny_bert: Path, tmp_path: Path) -> None:
    config = make_config(tiny_bert, tmp_path)
    stop_at(config, Saved)
    mine = [write(tmp_path / name) for name in ("notes.txt", "checkpoints/mine.bin", "checkpoints/sub/mine.bin")]
    fit(config)
    assert not list((tmp_path / "checkpoints").glob("step-*"))
    fit(make_config(tiny_bert, tmp_path, "train.seed=1", "output.overwrite=true"))
    assert [path.read_text() for path in mine] == ["mine"] * 3
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["mine.bin", "sub"]


def test_overwriting_never_replaces_a_file_that_is_not_the_models(tiny_bert: Path, tmp_path: Path) -> None:
    fit(make_config(tiny_bert, tmp_path, "method.name=head"))
    answers = api.load(tmp_path).predict(["good"])
    write(tmp_path / "model.safetensors")
    other = make_config(tiny_bert, tmp_path, "output.overwrite=true")
    with pytest.raises(UserError, match=r"model\.safetensors is no file of the model"):
        fit(other)
    assert (tmp_path / "model.safetensors").read_text() == "mine"
    assert api.load(tmp_path).predict(["good"]) == answers, "the old model is whole"
    (tmp_path / "model.safetensors").unlink()
    events = fit(other)
    assert any(isinstance(event, Plan) and event.start_step == 2 for event in events), "no step is done again"


def test_only_states_and_curves_are_cleared(tmp_path: Path) -> None:
    states = tmp_path / "checkpoints"
    for name in ("step-00000003/state.json", "step-00000002-replaced/a", "metrics.jsonl", "step-one/mine", "mine"):
        write(states / name)
    checkpoint.clear(states)
    assert sorted(path.name for path in states.iterdir()) == ["mine", "step-one"]
    shutil.rmtree(states)
    write(states / "step-00000003" / "state.json")
    checkpoint.clear(states)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["data.csv", "data.csv/deep/er"])
def test_a_file_is_no_folder(tiny_bert: Path, tmp_path: Path, place: str) -> None:
    write(tmp_path / "data.csv")
    with pytest.raises(UserError, match=r"data\.csv is a file, wanted a folder") as caught:
        fit(make_config(tiny_bert, tmp_path / place))
    assert "continues" not in str(caught.value)
    assert (tmp_path / "data.csv").read_text() == "mine"


@pytest.mark.parametrize("setting", ["evaluate.metric=acuracy", "model.name=nowhere/at.all"])
def test_a_run_that_never_began_leaves_nothing(tiny_bert: Path, tmp_path: Path, setting: str) -> None:
    with pytest.raises(TunesmithError):
        fit(make_config(tiny_bert, tmp_path / "new", setting))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with pytest.raises(TunesmithError):
        fit(make_config(tiny_bert, tmp_path / "mine", setting))
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"], "the user's own empty folder stays"
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_finished_folder_may_be_called_as_an_alias_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = make_tiny_trunk(tmp_path / "trunk")
    fit(make_config(trunk, tmp_path / "plain"))
    monkeypatch.chdir(tmp_path)
    fit(make_config(trunk, "minilm"))
    wanted = api.load("plain").predict(["the film was good"])
    assert api.load("minilm").predict(["the film was good"]) == wanted
    assert api.load("./minilm").predict(["the film was good"]) == wanted


def test_without_a_folder_the_same_call_goes_on(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = make_config(tiny_bert, None)
    stop_at(config, Saved)
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("text-classification-")
    events = fit(make_config(tiny_bert, None, "train.checkpoint_steps=5", "evaluate.resamples=200"))
    assert any(isinstance(event, Plan) and event.start_step == 1 for event in events)
    (again,) = fit(config)
    assert isinstance(again, Finished)
    assert again.already_complete
    assert list((tmp_path / "runs").iterdir()) == [folder]
    fit(make_config(tiny_bert, None, "train.seed=5"))
    list(fitting.run(config, ROWS[:15], ROWS[16:]))
    assert len(list((tmp_path / "runs").iterdir())) == 3, "other arguments and other rows are other runs"


def test_overwriting_keeps_the_curves_of_before_until_the_new_model_is_there(tiny_bert: Path, tmp_path: Path) -> None:
    fit(make_config(tiny_bert, tmp_path))
    before = snapshot(tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 4
    other = make_config(tiny_bert, tmp_path, "train.seed=3", "train.max_steps=1", "output.overwrite=true")
    stop_at(other, Saved)
    after = snapshot(tmp_path)
    assert {name: after.get(name) for name in before} == before
    fit(other)
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 2


def test_a_finished_run_is_not_that_of_other_base_weights(tmp_path: Path) -> None:
    trunk = make_tiny_trunk(tmp_path / "trunk")
    config = make_config(trunk, tmp_path / "out")
    fit(config)
    make_tiny_trunk(trunk, seed=1)
    with pytest.raises(CheckpointError, match="base_model_sha256 was"):
        fit(config)
    shutil.rmtree(trunk)
    (found,) = fit(config)
    assert isinstance(found, Finished), "a base model that is gone does not make the finished one unfinished"


def test_a_metric_called_loss_picks_the_weights(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'loss'"):
        fit(make_config(tiny_bert, tmp_path / "a", "evaluate.metric=los"))
    events = fit(make_config(tiny_bert, tmp_path / "b", "evaluate.metric=loss", "evaluate.steps=1"))
    looks = [event for event in events if isinstance(event, fitting.Evaluated)]
    losses = [look.scores["loss"] for look in looks]
    assert [look.is_best for look in looks] == [True, losses[1] < losses[0]]
