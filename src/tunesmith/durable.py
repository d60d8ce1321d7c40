"""Files and folders that are wholly there or not at all, also after kill -9, power loss or on a full disk.

A folder is written as `tmp-<id>/` beside its final place: every file, fsync of each, a manifest with the
size and SHA-256 of every file last, then one rename. A folder without a matching manifest is not read.
Training states and finished models are both written this way.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from tunesmith.errors import TrainingError, TunesmithError, UserError
from tunesmith.file_lock import try_lock
from tunesmith.manifests import SEAL, is_plain, read_back, sealed, sha256

Content = Callable[[Path], None] | bytes
"""A file's bytes, or a function that writes the file at the path it is given."""

_TEMPORARY = re.compile(r"tmp-[0-9a-f]{32}")
_ABANDONED_AFTER_S = 3600.0

_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space there"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or ask for a larger quota"),
    errno.EFBIG: ("a file became larger than this process may write", "raise the limit (ulimit -f)"),
    errno.EIO: ("the disk reports an input/output error", "check the disk, or choose another one with --out"),
    errno.EROFS: ("the disk is read-only", "choose another place with --out"),
    errno.EACCES: (
        "there is no permission to write",
        "change the permissions, or choose another place with --out",
    ),
}


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn what the operating system says about writing `target` into a TrainingError with a remedy.

    Raises:
        TrainingError: an OSError came, or a library written in Rust (safetensors, tokenizers) met one.
    """
    try:
        yield
    except TunesmithError:
        raise
    except Exception as error:
        if not isinstance(error, (OSError, SafetensorError)) and not _error_number(error):
            raise
        reason, remedy = _REASONS.get(_error_number(error), (str(error), "see to what it says"))
        message = f"cannot write {target}: {reason}; what was saved before is intact"
        raise TrainingError(message, fix=f"{remedy}, then run the same command again: it continues") from error


def _error_number(error: Exception) -> int:
    if isinstance(error, OSError):
        return error.errno or 0
    told = re.search(r"\(os error (\d+)\)", str(error))  # these libraries have no other way of telling
    return int(told[1]) if told else 0


def write_folder(
    final: Path, files: Mapping[str, Content], *, manifest_name: str, manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a whole folder or nothing.

    Args:
        final: the folder; must not exist. Its parents are made.
        files: plain file names, or one of a folder and one of a file with "/" between → content.
        manifest_name: file that is written last and proves that the others are whole.
        manifest: facts to put into it, JSON values; "files" is added.

    Returns:
        The manifest, as `manifests.verify_folder` returns it.

    Raises:
        UserError: `final` exists.
        TrainingError: the disk is full or bad; nothing of this folder is left then.

    Example:
        >>> import tempfile
        >>> from tunesmith.manifests import verify_folder
        >>> folder = Path(tempfile.mkdtemp()) / "a"
        >>> written = write_folder(folder, {"x.txt": b"hi"}, manifest_name="MANIFEST.json", manifest={"step": 3})
        >>> verify_folder(folder, "MANIFEST.json") == written, written["files"]["x.txt"]["bytes"]
        (True, 2)
    """
    if any(not is_plain(name) or name == manifest_name for name in files) or {"files", SEAL} & set(manifest):
        raise ValueError(f"wanted plain file names other than {manifest_name}, and no fact named files or {SEAL}")
    inner = sorted({name.partition("/")[0] for name in files if "/" in name})
    with staged_folder(final) as temporary, disk_errors(final):
        for folder in inner:
            os.mkdir(temporary / folder)
        listed = {name: _write_entry(temporary / name, content) for name, content in files.items()}
        for folder in inner:
            sync(temporary / folder)
        content = read_back({**manifest, "files": listed})
        _write_bytes(temporary / manifest_name, sealed(content))
    return content


@contextmanager
def staged_folder(final: Path) -> Iterator[Path]:
    """A new folder beside `final` that gets its name when the block ends well; else nothing of it is left.

    Args:
        final: the folder; must not exist. Its parents are made.

    Raises:
        UserError: `final` exists.
        TrainingError: the disk is full or bad when it is made or named; what the block meets is its own.

    Example:
        >>> import tempfile
        >>> final = Path(tempfile.mkdtemp()) / "a"
        >>> with staged_folder(final) as folder:
        ...     _ = (folder / "x.txt").write_text("hi")
        >>> [path.name for path in final.iterdir()]
        ['x.txt']
    """
    if final.exists():
        raise UserError(f"{final} exists already", fix="remove it or choose another folder")
    with ExitStack() as opened:
        with disk_errors(final):
            make_folder(final.parent)
            temporary = opened.enter_context(_temporary_beside(final))
            os.mkdir(temporary)
            opened.enter_context(_held(temporary))
        yield temporary
        with disk_errors(final):
            sync(temporary)
            os.rename(temporary, final)
            sync(final.parent)


def write_file_atomic(path: Path, data: bytes | str) -> None:
    """Replace a file by new content (text as UTF-8) in one step; a reader sees the old or the new one.

    Raises:
        TrainingError: the disk is full or bad; the old file is intact then.
    """
    content = data.encode() if isinstance(data, str) else data
    with disk_errors(path):
        make_folder(path.parent)
        with _temporary_beside(path) as temporary:
            _write_bytes(temporary, content)
            os.replace(temporary, path)
            sync(path.parent)


def temporary_name() -> str:
    """A new name of the kind that `clean_temporary` removes."""
    return f"tmp-{uuid.uuid4().hex}"


def is_temporary(name: str) -> bool:
    """Whether a name is of the kind that `clean_temporary` removes."""
    return _TEMPORARY.fullmatch(name) is not None


def clean_temporary(parent: Path, *, is_locked: bool = False) -> list[str]:
    """Remove what writers that were killed left in `parent`; those still at work keep theirs.

    Args:
        parent: where it lies.
        is_locked: this process holds the lock of the folder, so that young files belong to nobody either.

    Returns:
        The names that were removed.
    """
    removed = []
    for path in sorted(parent.glob("tmp-*")):
        if is_temporary(path.name) and _abandoned(path, is_locked):
            _remove(path)
            removed.append(path.name)
    return removed


def discard(path: Path) -> None:
    """Remove a folder or file so that no half of it is ever seen under its name.

    Raises:
        OSError: it cannot be renamed.
    """
    away = path.with_name(temporary_name())
    os.rename(path, away)
    _remove(away)


def make_folder(path: Path) -> None:
    """Make a folder and its parents, and have the disk remember them.

    Raises:
        TrainingError: the disk does not take it.
    """
    if not path.is_dir():
        make_folder(path.parent)
        with disk_errors(path):
            with suppress(FileExistsError):
                os.mkdir(path)
            sync(path.parent)


@contextmanager
def _temporary_beside(final: Path) -> Iterator[Path]:
    temporary = final.with_name(temporary_name())
    try:
        yield temporary
    except BaseException:  # Ctrl-C too
        _remove(temporary)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            os.unlink(path)


def _write_entry(path: Path, content: Content) -> dict[str, Any]:
    if isinstance(content, bytes):
        _write_bytes(path, content)
    else:
        content(path)
        os.chmod(path, os.stat(path.parent).st_mode & 0o666)  # libraries that write by renaming leave it at 0600
        sync(path)
    return {"sha256": sha256(path), "bytes": os.path.getsize(path)}


def _write_bytes(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Have the disk remember a file, or the names in a folder (which Windows does by itself)."""
    is_folder = path.is_dir()
    if is_folder and sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (is_folder and error.errno == errno.EINVAL):  # some network disks cannot do it for folders
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Show `clean_temporary` of other processes that the writer of this folder lives."""
    if sys.platform == "win32":  # an open folder could not be renamed there
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _abandoned(path: Path, is_locked: bool) -> bool:
    try:
        if sys.platform == "win32" or not path.is_dir():
            return is_locked or time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)
