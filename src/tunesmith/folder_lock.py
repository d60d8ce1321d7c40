"""One process at a time in a run's folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tunesmith import durable, file_lock
from tunesmith.errors import UserError

LOCK_NAME = ".lock"
"""File of a run's folder that its process holds locked."""


@contextmanager
def lock_folder(path: Path) -> Iterator[None]:
    """Keep other processes from writing in a folder until the block or this process ends.

    The folder is made when missing, and taken away again when the block leaves nothing in it.

    Raises:
        UserError: another process holds it.
    """
    with durable.disk_errors(path):
        was_there = path.is_dir()
        descriptor = _take_lock(path)
    try:
        with suppress(OSError):  # the number only makes the message of others better
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        _leave_nothing(path, keep_folder=was_there)
        file_lock.unlock(descriptor)
        os.close(descriptor)


def _take_lock(path: Path) -> int:
    """Lock a folder's lock file; once more where the process before took it away between opening and locking."""
    for _ in range(100):
        durable.make_folder(path)
        try:
            descriptor = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue
        if not file_lock.try_lock(descriptor):
            holder = os.pread(descriptor, 20, 0) if hasattr(os, "pread") else os.read(descriptor, 20)
            os.close(descriptor)
            who = f"another process (pid {holder.decode(errors='replace').strip() or 'unknown'})"
            raise UserError(f"{who} is writing in {path}", fix="wait until it ends, or choose another --out")
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path / LOCK_NAME)):
                return descriptor
        os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, "it vanishes again and again", str(path))


def _leave_nothing(path: Path, *, keep_folder: bool) -> None:
    """Take away a lock that guards nothing, and the folder that was made for it."""
    with suppress(OSError):
        if os.listdir(path) == [LOCK_NAME]:
            os.unlink(path / LOCK_NAME)
            if not keep_folder:
                os.rmdir(path)
