"""Training states come back bit for bit, or not at all, or as the one before."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from tunesmith import checkpoint, durable
from tunesmith.checkpoint import TrainingState, newest, save, trim_metrics
from tunesmith.config import RunConfig
from tunesmith.errors import CheckpointError, TrainingError
from tunesmith.optimizer_state import flatten_optimizer, restore_optimizer
from tunesmith.pretraining.config import PretrainConfig
from tunesmith.same_run import HARMLESS_FIELDS, Identity, check_identity, hash_names

CONFIG = {
    "train": {"learning_rate": 3e-4, "epochs": 5.0, "max_steps": None, "keep_checkpoints": 2},
    "method": {"name": "full", "train_layers": "top:2"},
    "output": {"trackers": [], "overwrite": False, "folder": "a"},
    "evaluate": {"resamples": 1000},
    "data": {"train": "a.csv", "columns": {}},
}
IDENTITY = Identity(
    CONFIG, {"train": "12ab", "dev": {"rows": 7, "sha256": "34cd"}}, "56ef", {"torch": "2.13.0"}, "78aa"
)
FILES = ("trainable.safetensors", "optimizer.safetensors", "best.safetensors", "state.json", "MANIFEST.json")


def make_state(step: int, best: bool = True) -> TrainingState:
    generator = torch.Generator().manual_seed(step)
    weights = {
        "half": torch.randn(3, 4, generator=generator).bfloat16(),
        "full": torch.tensor([step, float("nan"), -0.0, float("inf"), 1e-45]),
        "ids": torch.tensor([2**62 + step, -1]),
        "bools": torch.tensor([True, False]),
        "turned": torch.randn(4, 3, generator=generator).t(),
        "point": torch.tensor(1.5 + step),
        "empty": torch.empty(0, 3),
    }
    shared = torch.randn(6, generator=generator)
    moments = {"exp_avg/half": shared[:3], "exp_avg/full": shared[3:], "step/half": torch.tensor(float(step))}
    return TrainingState(
        step,
        weights,
        moments,
        best={"w": torch.full((5,), step / 3)} if best else None,
        best_score=0.1 + step / 7 if best else None,
        best_step=step,
        evaluations_without_gain=1,
        micro_batch_tokens=4096,
        out_of_memory_splits=[[1, 8192], [step, 4096]],
        facts={"labels": ["好", "坏"], "x": {"y": 0.1}},
    )


def same(one: dict[str, Tensor] | None, two: dict[str, Tensor] | None) -> bool:
    if one is None or two is None:
        return one is two
    return one.keys() == two.keys() and all(
        a.dtype == two[name].dtype
        and a.shape == two[name].shape
        and a.contiguous().reshape(-1).view(torch.uint8).equal(two[name].contiguous().reshape(-1).view(torch.uint8))
        for name, a in one.items()
    )


def equal(one: TrainingState, two: TrainingState) -> bool:
    tensors = ("trainable", "optimizer", "best")
    bare = {name: {} for name in tensors}
    return replace(one, **bare) == replace(two, **bare) and all(
        same(getattr(one, name), getattr(two, name)) for name in tensors
    )


def steps(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(folder: Path) -> tuple[TrainingState, list[str]]:
    loaded, notes = newest(folder)
    assert loaded is not None
    return loaded.state, notes


@pytest.mark.parametrize("best", [True, False])
def test_state_comes_back_bit_for_bit(tmp_path: Path, best: bool) -> None:
    path = save(tmp_path, make_state(120, best), IDENTITY, keep=2)
    assert path.name == "step-00000120"
    assert {file.name for file in path.iterdir()} == set(FILES if best else FILES[:2] + FILES[3:])
    loaded, notes = newest(tmp_path)
    assert loaded is not None
    assert equal(loaded.state, make_state(120, best))
    assert loaded.identity == IDENTITY
    assert loaded.folder == path
    assert notes == []


def test_loaded_tensors_do_not_need_the_files(tmp_path: Path) -> None:
    path = save(tmp_path, make_state(1), IDENTITY, keep=1)
    state, _ = read(tmp_path)
    for file in path.iterdir():
        file.write_bytes(b"")
    assert equal(state, make_state(1))
    assert all(t.data_ptr() % 64 == 0 for t in state.trainable.values())


def test_nothing_there(tmp_path: Path) -> None:
    assert newest(tmp_path / "none") == (None, [])
    for name in ("step-1", "tmp-00000003", "step-00000001x", "step-abcdefgh"):
        (tmp_path / name).mkdir()
    (tmp_path / "step-00000009").write_bytes(b"a file")
    assert newest(tmp_path) == (None, [])


def damage(path: Path) -> Iterator[str]:
    """Put a file through every kind of damage."""
    whole = path.read_bytes()
    middle = len(whole) // 2
    for kind, content in {
        "emptied": b"",
        "halved": whole[:middle],
        "one byte short": whole[:-1] if path.suffix != ".json" else whole[:-2],
        "first bit": bytes([whole[0] ^ 1]) + whole[1:],
        "middle bit": whole[:middle] + bytes([whole[middle] ^ 16]) + whole[middle + 1 :],
        "last bit": whole[:-1] + bytes([whole[-1] ^ 128]),
    }.items():
        path.write_bytes(content)
        yield kind
    path.unlink()
    yield "deleted"
    path.write_bytes(whole)


@pytest.mark.parametrize("file", FILES)
def test_damaged_state_is_passed_over_and_told(tmp_path: Path, file: str) -> None:
    for step in (100, 120):
        save(tmp_path, make_state(step), IDENTITY, keep=2)
    kinds = 0
    for kind in damage(tmp_path / "step-00000120" / file):
        state, notes = read(tmp_path)
        assert equal(state, make_state(100)), kind
        assert len(notes) == 1
        assert notes[0].startswith(f"step-00000120 is damaged ({file}: ")
        assert notes[0].endswith("), using step-00000100")
        kinds += 1
    assert kinds == 7
    assert equal(read(tmp_path)[0], make_state(120))


@pytest.mark.parametrize("file", FILES)
def test_files_of_two_states_swapped(tmp_path: Path, file: str) -> None:
    for step in (80, 100, 120):
        save(tmp_path, make_state(step), IDENTITY, keep=3)
    one, two = (tmp_path / f"step-00000{step}" / file for step in (100, 120))
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    state, notes = read(tmp_path)
    assert equal(state, make_state(80))
    assert [note.split()[0] for note in notes] == ["step-00000120", "step-00000100"]


def test_whole_folder_under_another_name_and_no_state_left(tmp_path: Path) -> None:
    save(tmp_path, make_state(100), IDENTITY, keep=1)
    shutil.copytree(tmp_path / "step-00000100", tmp_path / "step-00000300")
    state, notes = read(tmp_path)
    assert state.step == 100
    assert notes == ["step-00000300 is damaged (MANIFEST.json: belongs to step 100), using step-00000100"]
    (tmp_path / "step-00000100" / "state.json").unlink()
    loaded, notes = newest(tmp_path)
    assert loaded is None
    assert "state.json: missing), and no older state is whole: starting from step 0" in notes[1]


def test_another_format_is_refused_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", 2)
        save(tmp_path, make_state(1), IDENTITY, keep=1)
    with pytest.raises(CheckpointError, match="has format 2, this version of Tunesmith reads format 1"):
        newest(tmp_path)


@pytest.mark.parametrize(("keep", "left"), [(1, [50]), (2, [40, 50]), (9, [10, 20, 30, 40, 50])])
def test_rotation_keeps_the_newest(tmp_path: Path, keep: int, left: list[int]) -> None:
    (tmp_path / "mine.txt").write_text("the user's")
    for step in (10, 20, 30, 40, 50):
        save(tmp_path, make_state(step), IDENTITY, keep)
    assert steps(tmp_path) == ["mine.txt", *(f"step-{step:08d}" for step in left)]
    with pytest.raises(ValueError, match="keep is 0"):
        save(tmp_path, make_state(60), IDENTITY, keep=0)


def test_states_of_a_void_future_go_and_the_new_one_stays(tmp_path: Path) -> None:
    for step in (100, 120):
        save(tmp_path, make_state(step), IDENTITY, keep=2)
    (tmp_path / "step-00000120" / "state.json").unlink()
    save(tmp_path, make_state(110), IDENTITY, keep=2)
    assert steps(tmp_path) == ["step-00000100", "step-00000110"]


def test_unverified_state_never_costs_an_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, make_state(1), IDENTITY, keep=1)

    def decay(final: Path, *given: Any, **named: Any) -> None:
        durable.write_folder(final, *given, **named)
        (final / "optimizer.safetensors").write_bytes(b"rotten")

    monkeypatch.setattr(checkpoint, "write_folder", decay)
    with pytest.raises(TrainingError, match=r"reads back otherwise than written \(optimizer"):
        save(tmp_path, make_state(2), IDENTITY, keep=1)
    assert equal(read(tmp_path)[0], make_state(1))


class Shim:
    """Stands for the modules and functions that write; the k-th call fails, or the process dies there."""

    def __init__(self, patch: pytest.MonkeyPatch, fails_at: int, failure: BaseException, dies: bool) -> None:
        self.fails_at, self.failure, self.dies, self.calls = fails_at, failure, dies, 0
        for module, name, real in ((durable, "os", os), (durable, "shutil", shutil), (checkpoint, "os", os)):
            patch.setattr(module, name, _Proxy(self, real))
        patch.setattr(checkpoint, "save_file", self.around(save_file))

    def around(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls - 1 == self.fails_at or (self.dies and self.calls > self.fails_at):
                if real.__name__ == "save_file":
                    given[1].write_bytes(b"torn")
                    if isinstance(self.failure, OSError):
                        raise SafetensorError(f"I/O error: (os error {self.failure.errno})")
                raise self.failure
            return real(*given, **named)

        call.__name__ = real.__name__
        return call


def fsync(descriptor: int) -> None:
    """Waiting for the disk would only make the hundreds of saves slow."""


class _Proxy:
    def __init__(self, shim: Shim, real: Any) -> None:
        self.shim, self.real = shim, real

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.real, name) if name != "fsync" else fsync
        counted = ("write", "fsync", "rename", "replace", "mkdir", "open", "unlink", "rmtree", "chmod")
        return self.shim.around(found) if name in counted else found


class Killed(BaseException):
    """Stands for kill -9: whatever the process still tries fails as well."""


FAILURES = [OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "bad"), Killed()]


@pytest.mark.parametrize("failure", FAILURES, ids=["full", "bad", "killed"])
@pytest.mark.parametrize("again", [False, True], ids=["next step", "same step again"])
def test_failure_at_every_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, again: bool
) -> None:
    Shim(monkeypatch, 10**9, failure, dies=False)
    before, after = make_state(1), replace(make_state(1 if again else 2), evaluations_without_gain=9)
    for fails_at in range(200):
        folder = tmp_path / str(fails_at)
        save(folder, before, IDENTITY, keep=1)
        raised = False
        with monkeypatch.context() as patch:
            Shim(patch, fails_at, failure, dies=isinstance(failure, Killed))
            try:
                save(folder, after, IDENTITY, keep=1)
            except (TrainingError, Killed):
                raised = True
        state, notes = read(folder)
        assert equal(state, before) or equal(state, after)
        assert raised or equal(state, after)
        assert notes == []
        if not isinstance(failure, Killed):
            assert not [name for name in steps(folder) if name.startswith("tmp-") and raised]
        durable.clean_temporary(folder)
        save(folder, replace(after, step=3), IDENTITY, keep=1)  # and it goes on from there
        assert steps(folder) == ["step-00000003"]
        if not raised and fails_at > 35:
            break
    assert not raised


@pytest.mark.parametrize("again", [False, True], ids=["next step", "same step again"])
def test_killed_between_the_new_one_and_the_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    new = replace(make_state(1 if again else 2), evaluations_without_gain=9)
    save(tmp_path, make_state(1), IDENTITY, keep=1)

    def killed(*given: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_rotate", killed)
        with pytest.raises(Killed):
            save(tmp_path, new, IDENTITY, keep=1)
    assert len(steps(tmp_path)) == 2
    assert equal(read(tmp_path)[0], new)
    save(tmp_path, new, IDENTITY, keep=1)
    assert steps(tmp_path) == [f"step-{new.step:08d}"]
    assert equal(read(tmp_path)[0], new)


def test_damaged_state_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    save(tmp_path, make_state(1), IDENTITY, keep=2)
    path = save(tmp_path, make_state(2), IDENTITY, keep=2)
    (path / "MANIFEST.json").unlink()
    save(tmp_path, make_state(2), IDENTITY, keep=2)
    assert steps(tmp_path) == ["step-00000001", "step-00000002"]
    assert equal(read(tmp_path)[0], make_state(2))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_real_limit_on_file_size(tmp_path: Path) -> None:
    import resource

    save(tmp_path, make_state(1), IDENTITY, keep=1)
    large = replace(make_state(2), best={"w": torch.ones(100_000)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(TrainingError, match="a file became larger than this process may write"):
            save(tmp_path, large, IDENTITY, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert steps(tmp_path) == ["step-00000001"]
    assert equal(read(tmp_path)[0], make_state(1))


def test_nan_score_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save(tmp_path, replace(make_state(1), best_score=float("nan")), IDENTITY, keep=1)
    assert steps(tmp_path) == []


def change(content: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    return {**content, path[0]: change(content[path[0]], path[1:], value)}


def paths(content: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(content, dict) and content:
        return [found for key, below in content.items() for found in paths(below, (*path, key))]
    return [path]


PATHS = paths(asdict(IDENTITY))
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5))


@given(st.sampled_from(PATHS), VALUES)
def test_any_changed_field_is_named(path: tuple[str, ...], value: Any) -> None:
    changed = Identity(**change(asdict(IDENTITY), path, value))
    old: Any = asdict(IDENTITY)
    for key in path:
        old = old[key]
    told = ".".join(path).removeprefix("config.")
    if json.dumps(old) == json.dumps(value) or (path[0] == "config" and told in HARMLESS_FIELDS):
        check_identity(IDENTITY, changed)
        return
    with pytest.raises(CheckpointError) as caught:
        check_identity(IDENTITY, changed)
    was, now = (json.dumps(one, ensure_ascii=False) for one in (old, value))
    assert caught.value.message.endswith(f"run: {told} was {was}, now {now}")
    assert "output.overwrite=true" in str(caught.value)


def test_all_differences_are_named_and_harmless_ones_pass() -> None:
    config = {
        **CONFIG,
        "train": {"learning_rate": 1e-4, "epochs": 5.0, "seed": 1, "keep_checkpoints": 7},
        "output": {"trackers": ["wandb"], "overwrite": True, "folder": "b"},
        "evaluate": {"resamples": 100},
        "data": {"train": "moved/a.csv", "columns": {}},
    }
    with pytest.raises(CheckpointError) as caught:
        check_identity(IDENTITY, replace(IDENTITY, config=config, versions={"torch": "2.14.0"}))
    assert caught.value.message.split(": ", 1)[1].split("; ") == [
        "train.learning_rate was 0.0003, now 0.0001",
        "train.max_steps was null, now not set",
        "train.seed was not set, now 1",
        'versions.torch was "2.13.0", now "2.14.0"',
    ]
    check_identity(IDENTITY, Identity(**json.loads(json.dumps(asdict(IDENTITY)))))


def test_harmless_fields_exist() -> None:
    known = {".".join(path) for config in (RunConfig(), PretrainConfig()) for path in paths(config.model_dump())}
    assert set(HARMLESS_FIELDS) <= known


def test_metrics_are_cut_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert trim_metrics(path, 3) == 0
    assert not path.exists()
    good = b"".join(b'{"step": %d, "loss": 0.5}\n' % step for step in (1, 2, 3))
    for rest, lines in (
        (b'{"step": 4}\n', 1),
        (b'{"step": 3, "lo', 1),
        (b'{"step": 3}', 1),
        (b"7\n[]\n\xff\n{}\n", 4),
    ):
        path.write_bytes(good + rest)
        assert trim_metrics(path, 3) == lines
        assert path.read_bytes() == good
    assert trim_metrics(path, 3) == 0
    assert trim_metrics(path, 0) == 3
    assert path.read_bytes() == b""


Maker = Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Maker] = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, foreach=False),
    "adamw foreach": lambda p: torch.optim.AdamW(p, lr=0.01, foreach=True),
    "adamw fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "adamw amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "adam": lambda p: torch.optim.Adam([{"params": p[1:]}, {"params": p[:1], "lr": 0.1}], weight_decay=0.1),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1),
    "sgd plain": lambda p: torch.optim.SGD(p, lr=0.01),
}


class Little:
    """Three parameters, one bf16, one not contiguous, one that never gets a gradient, and an optimizer."""

    def __init__(self, make: Maker) -> None:
        generator = torch.Generator().manual_seed(0)
        values = [
            torch.randn(37, 5, generator=generator),
            torch.randn(3, 7, generator=generator).bfloat16(),
            torch.randn(5, 9, generator=generator).t(),
            torch.ones(4),
        ]
        self.named = {f"layer/{i}.w": torch.nn.Parameter(value) for i, value in enumerate(values)}
        self.names: dict[Tensor, str] = {parameter: name for name, parameter in self.named.items()}
        self.optimizer = make(list(self.named.values()))

    def train(self, steps: range) -> None:
        for step in steps:
            generator = torch.Generator().manual_seed(step)
            for parameter in list(self.named.values())[:3]:
                parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
            self.optimizer.step()

    def flat(self) -> dict[str, Tensor]:
        return {name: t.detach().clone() for name, t in flatten_optimizer(self.optimizer, self.names).items()}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("stop", [0, 1, 3])
def test_optimizer_goes_on_bit_for_bit(tmp_path: Path, make: Maker, stop: int) -> None:
    whole, first, second = Little(make), Little(make), Little(make)
    whole.train(range(6))
    first.train(range(stop))
    values = {name: parameter.detach().clone() for name, parameter in first.named.items()}
    save(tmp_path, TrainingState(stop, values, first.flat()), IDENTITY, keep=1)
    state, _ = read(tmp_path)
    with torch.no_grad():
        for name, parameter in second.named.items():
            parameter.copy_(state.trainable[name])
    restore_optimizer(second.optimizer, state.optimizer, second.names)
    assert same(second.flat(), first.flat())
    second.train(range(stop, 6))
    assert same(second.flat(), whole.flat())
    assert same({n: p.detach() for n, p in second.named.items()}, {n: p.detach() for n, p in whole.named.items()})
    assert same(state.optimizer, first.flat())  # copied, not shared


def test_names_of_a_flat_state() -> None:
    little = Little(OPTIMIZERS["adamw"])
    little.train(range(1))
    trained = [f"{kind}/layer/{i}.w" for kind in ("exp_avg", "exp_avg_sq", "step") for i in range(3)]
    assert sorted(little.flat()) == sorted([*trained, "unused/layer/3.w"])


@pytest.mark.parametrize("name", ["adamw", "sgd", "sgd plain"])
def test_no_tensor_may_be_lost_added_or_changed(name: str) -> None:
    little = Little(OPTIMIZERS[name])
    little.train(range(2))
    flat = little.flat()
    cases = [({k: v for k, v in flat.items() if k != lost}, lost.split("/", 1)[1]) for lost in flat]
    cases.append(({**flat, "exp_avg/layer/9.w": torch.ones(1)}, "exp_avg/layer/9.w"))
    moments = [key for key in flat if key.split("/")[0] in ("exp_avg", "momentum_buffer")]
    cases += [({**flat, key: flat[key].double()}, "float64") for key in moments]
    cases += [({**flat, key: flat[key][:1]}, "wanted") for key in moments]
    for wrong, told in cases:
        fresh = Little(OPTIMIZERS[name])
        with pytest.raises(CheckpointError) as caught:
            restore_optimizer(fresh.optimizer, wrong, fresh.names)
        assert told in str(caught.value)
        assert not fresh.optimizer.state


def test_optimizer_that_is_not_known() -> None:
    little = Little(lambda p: torch.optim.Adagrad(p))
    with pytest.raises(ValueError, match="wanted AdamW, Adam or SGD, got Adagrad"):
        flatten_optimizer(little.optimizer, little.names)


def test_names_and_shapes_are_hashed_not_values() -> None:
    tensors = {"a": torch.zeros(2), "b": torch.zeros(3)}
    known = hash_names(tensors)
    assert hash_names({"b": torch.ones(3), "a": torch.ones(2)}) == known
    for name, value in (("a", torch.zeros(1, 2)), ("b", torch.zeros(3).half()), ("c", torch.zeros(1))):
        assert hash_names({**tensors, name: value}) != known
