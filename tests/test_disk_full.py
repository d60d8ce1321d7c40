"""A full disk is a clean error in any moment of a run; what was saved is intact, and with space it goes on."""

from __future__ import annotations

import errno
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.kill import runs
from tunesmith import artifact, checkpoint, cli, durable, fitting, training
from tunesmith.config import RunConfig
from tunesmith.errors import TrainingError
from tunesmith.events import Saved

SHORT = {"train": {"max_steps": 4, "patience": None}, "evaluate": {"steps": 2}}
REAL_OS = os
WRITING = ("write", "fsync", "rename", "replace", "mkdir", "chmod")
SAMPLED = 12


class Case:
    """Inputs, a run left alone, and one stopped after step 2."""

    def __init__(self, folder: Path) -> None:
        self.inputs = runs.make_inputs(folder / "inputs")
        self.half = folder / "half"
        for _ in fitting.run(self.config(folder / "alone")):
            pass
        self.wanted = runs.digest(folder / "alone")
        stream = fitting.run(self.config(self.half))
        next(event for event in stream if isinstance(event, Saved) and event.step == 2)
        stream.close()

    def config(self, out: Path) -> RunConfig:
        return runs.make_config(self.inputs, out, SHORT)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with runs.one_thread():
        yield Case(tmp_path_factory.mktemp("full"))


def check_it_goes_on(case: Case, out: Path, least: int) -> None:
    """What was saved is whole, nothing half lies about, and the same command ends as if nothing had happened."""
    loaded, damaged = checkpoint.newest(out / "checkpoints")
    assert damaged == []
    assert not artifact.is_complete(out)
    assert loaded is not None or not least
    assert loaded is None or loaded.state.step >= least
    assert not list(out.rglob("tmp-*"))
    for _ in fitting.run(case.config(out)):
        pass
    assert runs.digest(out) == case.wanted


@contextmanager
def largest_file(limit_bytes: int) -> Iterator[None]:
    """Let this process write no larger file, as on a disk with so much room."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


limited = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")


@limited
@pytest.mark.parametrize(("limit_bytes", "file"), [(700, "metrics.jsonl"), (20_000, "step-00000003")])
def test_no_room_while_training(case: Case, tmp_path: Path, limit_bytes: int, file: str) -> None:
    out = tmp_path / "out"
    shutil.copytree(case.half, out)
    with largest_file(limit_bytes), pytest.raises(TrainingError, match=f"cannot write .*{file}: a file became larger"):
        list(fitting.run(case.config(out)))
    check_it_goes_on(case, out, least=2)


@limited
@pytest.mark.parametrize("limit_bytes", [50, 500, 1_000, 3_000, 50_000])
def test_no_room_for_the_finished_folder(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_bytes: int
) -> None:
    """Each limit stops another writer: the labels, the configurations, the tokenizer, the weights."""

    def limited(*given: Any) -> None:
        with largest_file(limit_bytes):
            real(*given)

    real, out = artifact.write_artifact, tmp_path / "out"
    monkeypatch.setattr(artifact, "write_artifact", limited)
    with pytest.raises(TrainingError, match=r"cannot write .*: a file became larger"):
        list(fitting.run(case.config(out)))
    monkeypatch.setattr(artifact, "write_artifact", real)
    check_it_goes_on(case, out, least=4)


@limited
def test_command_exits_with_2_and_no_traceback(case: Case, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(case.half, out)
    (tmp_path / "run.json").write_text(case.config(out).model_dump_json())
    with largest_file(20_000):
        done = CliRunner().invoke(cli.app, ["fit", "--config", str(tmp_path / "run.json")])
    assert done.exit_code == TrainingError.exit_code == 2
    shown = " ".join(done.output.split())
    assert "what was saved before is intact" in shown
    assert "raise the limit (ulimit -f), then run the same command again: it continues" in shown
    assert "Traceback" not in shown
    check_it_goes_on(case, out, least=2)


class FaultyOs:
    """Stands for the module os; the k-th call that writes fails."""

    def __init__(self, fails_at: int = -1, number: int = 0) -> None:
        self.fails_at, self.number, self.calls = fails_at, number, 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(REAL_OS, name)
        return self.around(real) if name in WRITING else real

    def around(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls - 1 == self.fails_at:
                raise OSError(self.number, REAL_OS.strerror(self.number))
            return real(*given, **named)

        return call


@contextmanager
def faulty(patch: pytest.MonkeyPatch, shim: FaultyOs) -> Iterator[None]:
    """Have everything of ours that writes go through the shim, metrics.jsonl too."""
    with patch.context() as within:
        for module in (durable, checkpoint, training):
            within.setattr(module, "os", shim)
        within.setattr(training, "append", shim.around(training.append))
        yield


def test_error_at_any_call_that_writes(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = FaultyOs()
    with faulty(monkeypatch, counter):
        list(fitting.run(case.config(tmp_path / "count")))
    assert counter.calls > 5 * SAMPLED
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    raised = 0
    for fails_at in sorted(draw.sample(range(counter.calls), SAMPLED)):
        number, out = draw.choice([errno.ENOSPC, errno.EIO]), tmp_path / str(fails_at)
        print(f"call {fails_at} of {counter.calls}: {errno.errorcode[number]}")
        saved: list[int] = [0]
        error = None
        try:
            with faulty(monkeypatch, FaultyOs(fails_at, number)):
                for event in fitting.run(case.config(out)):
                    saved += [event.step] if isinstance(event, Saved) else []
        except TrainingError as one:
            error = one
        raised += error is not None
        assert error is None or "the disk " in error.message
        if artifact.is_complete(out):  # the removal of what nobody needs failed, or the very last call
            list(fitting.run(case.config(out)))
            assert runs.digest(out) == case.wanted
        else:
            check_it_goes_on(case, out, least=max(saved))
    assert raised > SAMPLED / 2
