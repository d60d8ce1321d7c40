"""The same command again: continues after a stop or damage, is done when it was done, refuses what differs."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel
from typer.testing import CliRunner

from tests.kill import runs
from tunesmith import artifact, checkpoint, cli, durable, engine, fitting, judging
from tunesmith.config import RunConfig, resolve_config
from tunesmith.contracts import StepReport
from tunesmith.errors import CheckpointError, ConfigError, Interrupted, TrainingError, UserError
from tunesmith.events import Evaluated, Finished, Notice, Plan, Saved
from tunesmith.folder_lock import lock_folder
from tunesmith.same_run import HARMLESS_FIELDS
from tunesmith.settings import apply_settings
from tunesmith.tasks import text_classification

SHORT = {"train": {"max_steps": 6, "keep_checkpoints": 2, "patience": None}, "evaluate": {"steps": 2}}
OTHER = {"train": {"seed": 14}}
OVERWRITE = {"output": {"overwrite": True}}
STATE_FILES = ("trainable.safetensors", "optimizer.safetensors", "best.safetensors", "state.json", "MANIFEST.json")


class Case:
    """Inputs, and folders that were made from them once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inputs = runs.make_inputs(folder / "inputs")
        run(self.config(self.alone))
        stop_after(self.config(self.half), 4)
        self.wanted = runs.digest(self.alone)

    @property
    def alone(self) -> Path:
        """Finished without a stop."""
        return self.folder / "alone"

    @property
    def half(self) -> Path:
        """Stopped after step 4 of 6, with the states of 3 and 4."""
        return self.folder / "half"

    def config(self, out: Path, *changes: Mapping[str, Any]) -> RunConfig:
        return runs.make_config(self.inputs, out, SHORT, *changes)

    def copy(self, source: Path, out: Path) -> Path:
        shutil.copytree(source, out)
        return out


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with runs.one_thread():
        yield Case(tmp_path_factory.mktemp("resume"))


def run(config: RunConfig) -> list[fitting.Event]:
    return list(fitting.run(config))


def watch(config: RunConfig, act: Callable[[fitting.Event], None]) -> None:
    """Run in one go, as the command line does, and do something at each event."""
    for event in fitting.run(config, in_one_go=True):
        act(event)


def stop_after(config: RunConfig, step: int) -> None:
    """Let go of a run once the state of a step is saved, as a crash would."""
    stop_at(config, lambda event: isinstance(event, Saved) and event.step == step)


def stop_at(config: RunConfig, is_last: Callable[[fitting.Event], bool]) -> list[fitting.Event]:
    """Let go of a run after an event."""
    events, stream = [], fitting.run(config)
    for event in stream:
        events.append(event)
        if is_last(event):
            break
    stream.close()
    return events


def notices(events: list[fitting.Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything but the lock, with the time of each write."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
        if path.name != ".lock"
    }


@pytest.mark.parametrize("recipe", ["full", "top"])
def test_stopped_after_every_step(case: Case, tmp_path: Path, recipe: str) -> None:
    alone, stopped = (runs.make_config(case.inputs, tmp_path / name, recipe=recipe) for name in ("a", "b"))
    run(alone)
    starts, last = [], None
    while not isinstance(last, Finished):
        stream = fitting.run(stopped)
        for last in stream:
            if isinstance(last, Plan):
                starts.append(last.start_step)
            if isinstance(last, Saved):
                break
        stream.close()
    assert starts == sorted(set(starts)), "every call but the last one goes further"
    assert len(starts) > 4
    assert runs.digest(tmp_path / "b") == runs.digest(tmp_path / "a")


def test_same_command_in_two_folders(case: Case, tmp_path: Path) -> None:
    run(case.config(tmp_path / "again"))
    found = runs.digest(tmp_path / "again")
    assert found == case.wanted
    assert {"model.safetensors", "metrics.json", "metrics.jsonl", "tunesmith.json"} <= set(found)
    lines = [json.loads(line) for line in (tmp_path / "again" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 2, 3, 4, 4, 5, 6, 6]


def test_second_call_finds_it_complete_and_touches_nothing(case: Case) -> None:
    before = snapshot(case.alone)
    events = run(case.config(case.alone))
    assert [type(event) for event in events] == [Finished]
    (finished,) = events
    assert isinstance(finished, Finished)
    assert finished.already_complete
    assert finished.metrics == json.loads((case.alone / "metrics.json").read_text())
    assert snapshot(case.alone) == before


def test_printed_command_is_the_same_run(case: Case) -> None:
    plan = stop_at(case.config(case.half), lambda event: isinstance(event, Plan))[-1]
    assert isinstance(plan, Plan)
    command = [word.replace(str(case.half), str(case.alone)) for word in shlex.split(plan.command)]
    before = snapshot(case.alone)
    done = CliRunner().invoke(cli.app, command[1:])
    assert done.exit_code == 0, done.output
    assert "already complete" in done.output
    assert snapshot(case.alone) == before


CHANGES = {
    "model.name": None,  # its weights' SHA-256 is tested below
    "model.revision": "main",
    "model.max_tokens": 20,
    "model.dropout": 0.2,
    "model.load_in": "4bit",
    "task.name": None,  # the only one yet
    "method.name": "head",
    "few_shot.name": None,  # it changes other settings as well; tested in test_few_shot
    "method.train_layers": "top:1",
    "task.pooling": "max",
    "data.dev_fraction": 0.2,
    "data.columns": None,  # the fingerprint of what is read differs as well
    "data.format": None,
    "data.skip_bad": True,
    "train.epochs": 4,
    "train.max_steps": 7,
    "train.learning_rate": 1e-3,
    "train.batch_size": 9,
    "train.batch_tokens": 64,
    "train.micro_batch_tokens": 64,
    "train.optimizer": "adam",
    "train.weight_decay": 0.02,
    "train.momentum": 0.8,
    "train.beta2": 0.99,
    "train.schedule": "cosine",
    "train.warmup": 0.1,
    "train.layer_decay": 0.9,
    "train.unfreeze": 0.5,
    "train.clip": 0.5,
    "train.patience": 3,
    "train.seed": 14,
    "train.precision": "fp32",
    "train.device": "cpu",
    "evaluate.metric": "pearson",
    "evaluate.per_epoch": 2,
    "evaluate.steps": 3,
    "evaluate.batch_tokens": 64,
    "evaluate.calibration": "none",
    "cache.vocabulary": "off",
}
"""Every setting that a run depends on → a value that it does not have; None where it cannot be changed alone."""


def leaves(schema: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, one in schema.model_fields.items():
        below = one.annotation
        if isinstance(below, type) and issubclass(below, BaseModel):
            yield from leaves(below, f"{path}{name}.")
        else:
            yield path + name


def test_every_setting_is_either_harmless_or_in_the_table() -> None:
    missing = set(leaves(RunConfig)) - set(CHANGES) - HARMLESS_FIELDS
    assert not missing, "say in CHANGES how it differs, or in HARMLESS_FIELDS that it does not touch the weights"


@pytest.mark.parametrize("path", [path for path, value in CHANGES.items() if value is not None])
def test_changed_setting_of_a_finished_run_is_refused_by_name(case: Case, path: str) -> None:
    before = snapshot(case.alone)
    with pytest.raises(
        CheckpointError, match=rf"holds a finished model of another run: .*{path} was .*, now "
    ) as caught:
        run(case.config(case.alone, apply_settings({}, [f"{path}={CHANGES[path]}"])))
    assert "output.overwrite=true" in str(caught.value)
    assert snapshot(case.alone) == before


@pytest.mark.parametrize("path", ["model.dropout", "train.learning_rate", "train.seed", "evaluate.per_epoch"])
def test_changed_setting_of_an_unfinished_run_is_refused_by_name(case: Case, path: str) -> None:
    before = snapshot(case.half)
    with pytest.raises(CheckpointError, match=rf"another, unfinished run: {path} was .*, now ") as caught:
        run(case.config(case.half, apply_settings({}, [f"{path}={CHANGES[path]}"])))
    assert "output.overwrite=true" in str(caught.value)
    assert snapshot(case.half) == before


@pytest.mark.parametrize("split", ["train", "dev"])
@pytest.mark.parametrize("place", ["alone", "half"])
def test_changed_data_are_refused_by_name(case: Case, tmp_path: Path, split: str, place: str) -> None:
    source = (case.inputs / f"numbers-{split}.csv").read_text()
    (tmp_path / "data.csv").write_text(source.replace("the", "this", 1))
    folder = getattr(case, place)
    before = snapshot(folder)
    with pytest.raises(CheckpointError, match=f"data_fingerprints.{split} was "):
        run(case.config(folder, {"data": {split: str(tmp_path / "data.csv")}}))
    assert snapshot(folder) == before
    (tmp_path / "data.csv").write_text(source)  # the same rows elsewhere are the same data
    assert run(case.config(case.alone, {"data": {split: str(tmp_path / "data.csv")}}))


def test_changed_base_model_is_refused_by_name(case: Case, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    shutil.copytree(case.inputs, inputs)
    config = runs.make_config(inputs, tmp_path / "out", SHORT)
    stop_after(config, 2)
    weights = inputs / "trunk" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(CheckpointError, match="base_model_sha256 was "):
        run(config)


def test_thread_count_and_harmless_settings(case: Case, tmp_path: Path) -> None:
    out = case.copy(case.half, tmp_path / "out")
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        with pytest.raises(CheckpointError, match=rf'versions.torch_threads was "{threads}", now "{threads + 1}"'):
            run(case.config(out))
    finally:
        torch.set_num_threads(threads)
    events = run(case.config(out, {"train": {"checkpoint_steps": 3, "keep_checkpoints": 1}}))
    assert "continuing at step 4 of 6" in notices(events)
    assert runs.digest(out)["model.safetensors"] == case.wanted["model.safetensors"]


def test_overwriting_a_finished_run(case: Case, tmp_path: Path) -> None:
    out = case.copy(case.alone, tmp_path / "out")
    new = case.config(out, OTHER, OVERWRITE)
    stop_after(new, 3)
    assert artifact.read_artifact(out).facts["seed"] == 13, "the old model stays until the new one is there"
    (found,) = run(case.config(out))
    assert isinstance(found, Finished)
    assert found.already_complete, "and it still answers to its own command"
    with pytest.raises(CheckpointError, match=r"train\.seed was 13, now 14"):
        run(case.config(out, OTHER))
    events = run(new)
    assert "continuing at step 3 of 6" in notices(events), "not over again"
    run(case.config(tmp_path / "fresh", OTHER))
    assert runs.digest(out) == runs.digest(tmp_path / "fresh") != case.wanted


def test_overwriting_an_unfinished_run(case: Case, tmp_path: Path) -> None:
    out = case.copy(case.half, tmp_path / "out")
    events = run(case.config(out, OTHER, OVERWRITE))
    assert not any("continuing" in text for text in notices(events))
    run(case.config(tmp_path / "fresh", OTHER))
    assert runs.digest(out) == runs.digest(tmp_path / "fresh")


def test_overwriting_with_another_kind_of_weights(case: Case, tmp_path: Path) -> None:
    out = case.copy(case.alone, tmp_path / "out")
    (out / "mine.txt").write_text("the user's")
    head = {"method": {"name": "head"}}
    run(case.config(out, head, OVERWRITE))
    (out / "mine.txt").unlink()
    run(case.config(tmp_path / "fresh", head))
    assert runs.digest(out) == runs.digest(tmp_path / "fresh")
    assert not (out / "model.safetensors").exists()


@pytest.mark.parametrize("file", ["model.safetensors", "metrics.json", "tunesmith.json"])
def test_damaged_finished_model(case: Case, tmp_path: Path, file: str) -> None:
    out = case.copy(case.alone, tmp_path / "out")
    flip_bit(out / file)
    with pytest.raises(UserError, match=rf"damaged \({file}") as caught:
        run(case.config(out))
    assert "output.overwrite=true" in str(caught.value)
    run(case.config(out, OVERWRITE))
    assert runs.digest(out) == case.wanted


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("file", STATE_FILES)
@pytest.mark.parametrize("damage", [flip_bit, cut, Path.unlink])
def test_damaged_state_is_never_used_and_told(
    case: Case, tmp_path: Path, file: str, damage: Callable[[Path], None]
) -> None:
    out = case.copy(case.half, tmp_path / "out")
    assert {path.name for path in (out / "checkpoints" / "step-00000004").iterdir()} == set(STATE_FILES)
    damage(out / "checkpoints" / "step-00000004" / file)
    told = notices(run(case.config(out)))
    assert told[-2].startswith(f"step-00000004 is damaged ({file}: ")
    assert told[-2].endswith(", using step-00000003")
    assert told[-1] == "continuing at step 3 of 6"
    assert runs.digest(out) == case.wanted


def test_no_whole_state_left(case: Case, tmp_path: Path) -> None:
    out = case.copy(case.half, tmp_path / "out")
    for path in (out / "checkpoints").glob("step-*"):
        flip_bit(path / "optimizer.safetensors")
    events = run(case.config(out))
    assert sum("no older state is whole: starting from step 0" in text for text in notices(events)) == 2
    assert runs.digest(out) == case.wanted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", [StepReport, Evaluated, Saved])
def test_one_signal_saves_and_stops(
    case: Case, tmp_path: Path, number: signal.Signals, moment: type[fitting.Event]
) -> None:
    config = case.config(tmp_path / "out", {"train": {"checkpoint_steps": 4}})
    before, steps = signal.getsignal(number), [0]

    def act(event: fitting.Event) -> None:
        if isinstance(event, StepReport):
            steps.append(event.step)
        if isinstance(event, moment) and steps[-1] == 4:
            signal.raise_signal(number)

    with pytest.raises(Interrupted) as caught:
        watch(config, act)
    assert caught.value.exit_code == 130
    saved = 5 if moment is Saved else 4  # after the save of step 4 the next step ends first
    assert f"stopped after step {saved}; the training state is saved in {tmp_path / 'out'}" in caught.value.message
    loaded, _ = checkpoint.newest(tmp_path / "out" / "checkpoints")
    assert loaded is not None
    assert loaded.state.step == saved
    assert signal.getsignal(number) is before
    assert f"continuing at step {saved} of 6" in notices(run(config))
    assert runs.digest(tmp_path / "out") == case.wanted


@pytest.mark.parametrize("moment", [StepReport, Saved])
def test_signal_at_the_last_step_still_stops(
    case: Case, tmp_path: Path, moment: type[StepReport] | type[Saved]
) -> None:
    def act(event: fitting.Event) -> None:
        if isinstance(event, moment) and event.step == 6:
            signal.raise_signal(signal.SIGINT)

    config = case.config(tmp_path / "out")
    with pytest.raises(Interrupted, match="after step 6"):
        watch(config, act)
    assert not artifact.is_complete(tmp_path / "out")
    run(config)
    assert runs.digest(tmp_path / "out") == case.wanted


def test_second_signal_leaves_at_once(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = durable.sync

    def slow_disk(path: Path) -> None:
        real(path)
        if path.name == "optimizer.safetensors":
            signal.raise_signal(signal.SIGINT)

    def act(event: fitting.Event) -> None:
        if isinstance(event, StepReport) and event.step == 2:
            monkeypatch.setattr(durable, "sync", slow_disk)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        watch(case.config(tmp_path / "out"), act)
    monkeypatch.setattr(durable, "sync", real)
    assert [path.name for path in (tmp_path / "out" / "checkpoints").glob("*-*")] == ["step-00000001"]
    run(case.config(tmp_path / "out"))
    assert runs.digest(tmp_path / "out") == case.wanted


def test_interrupted_command_exits_130_and_says_how_to_go_on(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any, **named: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return real(*given, **named)

    real = engine.accumulate
    (tmp_path / "run.json").write_text(case.config(tmp_path / "out").model_dump_json())
    command = ["fit", "--config", str(tmp_path / "run.json")]
    with monkeypatch.context() as patch:
        patch.setattr(engine, "accumulate", interrupted)
        stopped = CliRunner().invoke(cli.app, command)
    assert stopped.exit_code == 130, stopped.output
    assert "to continue: tunesmith fit" in stopped.output
    assert "Traceback" not in stopped.output
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 0, done.output
    assert runs.digest(tmp_path / "out") == case.wanted
    refused = CliRunner().invoke(cli.app, [*command, "--set", "train.seed=99"])
    assert refused.exit_code == 2
    assert "train.seed was 13, now 99" in " ".join(refused.output.split())


def test_what_killed_writers_left_goes_and_the_rest_stays(case: Case, tmp_path: Path) -> None:
    out = case.copy(case.half, tmp_path / "out")
    for parent in (out, out / "checkpoints"):
        (parent / f"tmp-{'0' * 32}").mkdir()
        (parent / f"tmp-{'0' * 32}" / "model.safetensors").write_bytes(b"half")
        (parent / f"tmp-{'1' * 32}").write_bytes(b"half")
    (out / "tmp-mine").mkdir()
    stop_at(case.config(out), lambda event: isinstance(event, Plan))
    assert list(out.rglob("tmp-*")) == [out / "tmp-mine"]
    (out / "tmp-mine").rmdir()
    run(case.config(out))
    assert runs.digest(out) == case.wanted


class Killed(BaseException):
    """Stands for kill -9 at a place that time hardly hits."""


def test_killed_between_the_model_and_the_removal_of_states(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path) -> None:
        if path.name == "checkpoints":
            raise Killed
        real(path)

    real, config = durable.discard, case.config(tmp_path / "out")
    monkeypatch.setattr(durable, "discard", killed)
    with pytest.raises(Killed):
        run(config)
    monkeypatch.setattr(durable, "discard", real)
    assert (tmp_path / "out" / "checkpoints").is_dir()
    assert [type(event) for event in run(config)] == [Finished]
    assert runs.digest(tmp_path / "out") == case.wanted


def test_another_process_at_work_is_named(case: Case) -> None:
    before = snapshot(case.half)
    with lock_folder(case.half), pytest.raises(UserError, match=r"another process \(pid \d+\) is writing"):
        run(case.config(case.half))
    assert snapshot(case.half) == before


def test_bad_rows_of_a_refused_run_are_not_written(case: Case, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text((case.inputs / "numbers-train.csv").read_text() + "no label,\n")
    before = snapshot(case.half)
    with pytest.raises(CheckpointError, match="data"):
        run(case.config(case.half, {"data": {"train": str(tmp_path / "bad.csv"), "skip_bad": True}}))
    assert snapshot(case.half) == before


def test_score_that_is_no_number_is_never_the_best(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([0.0, float("nan"), 0.25, float("nan")])  # the first is of the two rows judged before step 1

    def scores(*given: Any) -> dict[str, float]:
        return {"spearman": next(values)}

    monkeypatch.setattr(judging, "quick_scores", scores)
    events = run(case.config(tmp_path / "out"))
    assert [event.is_best for event in events if isinstance(event, Evaluated)] == [False, True, False]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["best_step"] == 4
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=pytest.fail).get("dev", {}).get("spearman", 0) for line in lines] == [
        *(0, 0, None, 0, 0, 0.25, 0, 0, None)
    ]


def test_misspelt_metric_is_refused_before_the_first_step(case: Case, tmp_path: Path) -> None:
    config = resolve_config(case.config(tmp_path / "out").model_dump(), {"evaluate": {"metric": "spearmann"}})
    with pytest.raises(ConfigError, match=r"evaluate\.metric is 'spearmann': did you mean 'spearman'\?"):
        run(config)
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_no_score_is_a_number(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "quick_scores", lambda *given: {"spearman": float("nan")})
    with pytest.raises(TrainingError, match="spearman of the development rows was never a finite number"):
        run(case.config(tmp_path / "out"))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_loss_that_is_no_number_leaves_good_states(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    def poisoned(self: Any, outputs: Any, batch: Any, labels: Any) -> Any:
        loss, units = real(self, outputs, batch, labels)
        is_training = loss.requires_grad
        calls.append(is_training)
        return (loss * bad if is_training and sum(calls) == 4 else loss), units

    real, calls = text_classification.TextClassification.loss, list[bool]()
    monkeypatch.setattr(text_classification.TextClassification, "loss", poisoned)
    with pytest.raises(TrainingError, match=r"the loss of step 4 is no finite number.*\(lines of .+: \d"):
        run(case.config(tmp_path / "out"))
    monkeypatch.setattr(text_classification.TextClassification, "loss", real)
    loaded, _ = checkpoint.newest(tmp_path / "out" / "checkpoints")
    assert loaded is not None
    assert loaded.state.step == 3
    tensors = [*loaded.state.trainable.values(), *loaded.state.optimizer.values()]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors)
    run(case.config(tmp_path / "out"))
    assert runs.digest(tmp_path / "out") == case.wanted
