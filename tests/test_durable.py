"""Folders and files are wholly there or not at all, whatever fails and whenever."""

from __future__ import annotations

import errno
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from tunesmith import durable, manifests
from tunesmith.durable import clean_temporary, write_file_atomic
from tunesmith.errors import TrainingError, UserError
from tunesmith.folder_lock import lock_folder
from tunesmith.manifests import DamagedFolder, verify_folder

FILES: dict[str, durable.Content] = {
    "a.bin": bytes(range(256)) * 5,
    "空.txt": b"",
    "c.txt": lambda path: path.write_bytes(b"by a function") and None,
}
COUNTED = ("write", "fsync", "rename", "replace", "mkdir", "open")


class FailingOs:
    """The module os, whose k-th counted call (from 0) raises."""

    def __init__(self, fails_at: int, failure: BaseException) -> None:
        self.fails_at, self.failure, self.calls = fails_at, failure, 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return real if name not in COUNTED else lambda *given: self._count(real, given)

    def _count(self, real: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        self.calls += 1
        if self.calls - 1 == self.fails_at:
            raise self.failure
        return real(*given)


def write(final: Path, **facts: Any) -> None:
    durable.write_folder(final, FILES, manifest_name="M.json", manifest={"step": 3, **facts})


def refuse(folder: Path, name: str, what: str = "") -> None:
    with pytest.raises(DamagedFolder) as caught:
        verify_folder(folder, "M.json")
    assert caught.value.file == name
    assert what in caught.value.what


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_written_folder_reads_back(tmp_path: Path) -> None:
    write(tmp_path / "new" / "x", tags=("语", "é", "\udc80"), ids={2: 0.1, 10: 1e-7})
    manifest = verify_folder(tmp_path / "new" / "x", "M.json")
    assert manifest["step"] == 3
    assert manifest["tags"] == ["语", "é", "\udc80"]
    assert manifest["ids"] == {"2": 0.1, "10": 1e-7}
    assert manifest["files"]["a.bin"]["bytes"] == 1280
    assert names(tmp_path / "new" / "x") == {*FILES, "M.json"}
    assert names(tmp_path / "new") == {"x"}


def test_every_byte_is_synced_before_the_name_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    watched = FailingOs(-1, OSError())
    monkeypatch.setattr(durable, "os", watched)
    real = watched._count

    def count(function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        place = os.readlink(f"/proc/self/fd/{given[0]}") if function is os.fsync else str(given[0])
        order.append(f"{function.__name__} {Path(place).name[:4]}")
        return real(function, given)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to see what is synced")
    monkeypatch.setattr(watched, "_count", count)
    write(tmp_path / "x")
    steps = [step for step in order if step.split()[0] in ("fsync", "rename")]
    last = f"fsync {tmp_path.name[:4]}"
    assert steps == [
        "fsync a.bi",
        "fsync 空.tx",
        "fsync c.tx",
        "fsync M.js",
        "fsync tmp-",
        "rename tmp-",
        last,
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_failure_of_any_call_leaves_nothing_and_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write(tmp_path / "old")
    told: set[str] = set()
    for fails_at in range(100):
        shim = FailingOs(fails_at, OSError(number, os.strerror(number)))
        with monkeypatch.context() as patch:
            patch.setattr(durable, "os", shim)
            try:
                write(tmp_path / f"new{fails_at}")
                break
            except TrainingError as error:
                told.add(f"{error.exit_code} {error}".replace(str(tmp_path / f"new{fails_at}"), "X"))
        verify_folder(tmp_path / "old", "M.json")
        for path in tmp_path.iterdir():  # only a failure of the very last fsync leaves the folder, and it is whole
            verify_folder(path, "M.json")
    assert fails_at > 15
    reason, remedy = durable._REASONS[number]
    assert told == {
        f"2 cannot write X: {reason}; what was saved before is intact\n"
        f"  fix: {remedy}, then run the same command again: it continues"
    }
    assert names(tmp_path) == {"old", f"new{fails_at}", f"new{fails_at - 1}", f"new{fails_at - 2}"}


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), ValueError("bad tensor")])
def test_other_failures_pass_through_and_leave_nothing(tmp_path: Path, failure: BaseException) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise failure

    with pytest.raises(type(failure)):
        durable.write_folder(tmp_path / "x", {"f": fail}, manifest_name="M.json", manifest={})
    assert names(tmp_path) == set()


def test_full_disk_told_by_safetensors(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(TrainingError, match="the disk is full"):
        durable.write_folder(tmp_path / "x", {"f": fail}, manifest_name="M.json", manifest={})


def test_existing_folder_and_bad_names_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "x")
    with pytest.raises(UserError, match="exists already"):
        write(tmp_path / "x")
    for name in ("../a", "a/b/c", "a/..", "/a", "a/", "M.json", "..", "c:a", ""):
        with pytest.raises(ValueError, match="plain file names"):
            durable.write_folder(tmp_path / "y", {name: b""}, manifest_name="M.json", manifest={})
    with pytest.raises(ValueError, match="no fact named"):
        write(tmp_path / "y", files={})
    assert names(tmp_path) == {"x"}


@pytest.mark.parametrize("name", ["a.bin", "c.txt", "M.json"])
def test_damage_is_found_and_named(tmp_path: Path, name: str) -> None:
    write(tmp_path / "x")
    path = tmp_path / "x" / name
    whole = path.read_bytes()
    for damaged in (
        whole[:0],
        whole[: len(whole) // 2],
        whole[: -2 if name == "M.json" else -1],
        whole + b"x",
    ):
        path.write_bytes(damaged)
        refuse(tmp_path / "x", name)
    path.write_bytes(whole)
    with path.open("r+b", buffering=0) as file:
        for i, bit in itertools.product(range(0, len(whole), 1 if name == "M.json" else 97), range(8)):
            os.pwrite(file.fileno(), bytes([whole[i] ^ 1 << bit]), i)
            refuse(tmp_path / "x", name)
            os.pwrite(file.fileno(), whole[i : i + 1], i)
    path.unlink()
    refuse(tmp_path / "x", name, "missing")
    path.mkdir()
    refuse(tmp_path / "x", name)
    path.rmdir()
    path.write_bytes(whole)
    assert verify_folder(tmp_path / "x", "M.json")["step"] == 3


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}", '{"files": 3}', "[" * 100_000, '"manifest_sha256"'])
def test_manifest_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "M.json").write_text(text)
    with pytest.raises(DamagedFolder, match="is not a manifest"):
        verify_folder(tmp_path, "M.json")


def test_manifest_cannot_point_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"")
    (tmp_path / "x").mkdir()
    manifest = {"files": {"../secret": {"sha256": "", "bytes": 0}}}
    (tmp_path / "x" / "M.json").write_bytes(manifests.sealed(manifest))
    with pytest.raises(DamagedFolder, match="is not a manifest"):
        verify_folder(tmp_path / "x", "M.json")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
def test_files_have_the_users_own_mode(tmp_path: Path) -> None:
    def private(path: Path) -> None:
        path.write_bytes(b"x")
        path.chmod(0o600)

    (tmp_path / "plain").write_bytes(b"")
    durable.write_folder(tmp_path / "x", {"f": private, "g": b""}, manifest_name="M.json", manifest={})
    modes = {path.stat().st_mode for path in [*(tmp_path / "x").iterdir(), tmp_path / "plain"]}
    assert len(modes) == 1


def test_file_is_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    write_file_atomic(path, "旧")
    assert path.read_bytes() == "旧".encode()
    for fails_at in range(100):
        with monkeypatch.context() as patch:
            patch.setattr(durable, "os", FailingOs(fails_at, OSError(errno.ENOSPC, "full")))
            try:
                write_file_atomic(path, b"new")
                break
            except TrainingError:
                pass
        assert path.read_bytes() in ("旧".encode(), b"new")
        assert names(tmp_path) == {"metrics.json"}
    assert fails_at > 4
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(sys.platform == "win32", reason="by age there")
def test_stale_temporary_goes_and_a_living_one_stays(tmp_path: Path) -> None:
    removed: list[str] = []

    def clean(path: Path) -> None:
        path.write_bytes(b"")
        removed.extend(clean_temporary(tmp_path))

    dead, old, fresh = (tmp_path / f"tmp-{digit * 32}" for digit in "abc")
    dead.mkdir()
    (dead / "half").write_bytes(b"half")
    (tmp_path / "tmp-mine").mkdir()
    old.write_bytes(b"")
    fresh.write_bytes(b"")
    os.utime(old, (0, 0))
    durable.write_folder(tmp_path / "x", {"f": clean}, manifest_name="M.json", manifest={})
    assert removed == [dead.name, old.name]
    assert names(tmp_path) == {"x", fresh.name, "tmp-mine"}


def test_discard_never_shows_a_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "x")
    monkeypatch.setattr(durable.shutil, "rmtree", lambda *given, **named: None)  # killed after the rename
    durable.discard(tmp_path / "x")
    assert all(name.startswith("tmp-") for name in names(tmp_path))


HOLD = """
import sys; from pathlib import Path; from tunesmith.folder_lock import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True); sys.stdin.read()
"""


def test_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        refused = pytest.raises(UserError, match=rf"another process \(pid {holder.pid}\) is writing")
        with refused, lock_folder(tmp_path / "run"):
            pass
        holder.kill()
    refused = pytest.raises(UserError, match=f"pid {os.getpid()}")
    with lock_folder(tmp_path / "run"), refused, lock_folder(tmp_path / "run"):
        pass
    with lock_folder(tmp_path / "run"):
        pass


LIMITED = """
import resource, sys; from pathlib import Path; from tunesmith.durable import write_folder
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_folder(Path(sys.argv[1]), {"f": bytes(5000)}, manifest_name="M", manifest={})
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_real_limit_on_file_size(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "x")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "TrainingError" in told
    assert "ulimit" in told
    assert names(tmp_path) == set()


def test_manifest_is_plain_json_for_others(tmp_path: Path) -> None:
    write(tmp_path / "x", 标签="正面")
    text = (tmp_path / "x" / "M.json").read_text(encoding="utf-8")
    assert "正面" in text
    assert list(json.loads(text)) == ["step", "标签", "files", "manifest_sha256"]
