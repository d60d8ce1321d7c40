"""Manifests: a file in a folder that names the size and SHA-256 of every other, and of itself."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunesmith.errors import UserError

SEAL = "manifest_sha256"


class DamagedFolder(UserError):
    """A folder whose files are not those of its manifest.

    Args:
        folder: the folder.
        file: name of the file at fault.
        what: what is wrong with it, such as "SHA-256 differs".
    """

    def __init__(self, folder: Path, file: str, what: str) -> None:
        super().__init__(f"{folder} is damaged ({file}: {what})", fix="use another copy, or make it again")
        self.folder = folder
        self.file = file
        self.what = what


def verify_folder(folder: Path, manifest_name: str) -> dict[str, Any]:
    """Check every file of a folder against its manifest; files that it does not name are not looked at.

    Returns:
        The manifest: the facts it was written with, and "files": {name: {"sha256", "bytes"}}.

    Raises:
        DamagedFolder: the first fault found: a file is missing, or its size or SHA-256 differs.
    """
    manifest = _read_manifest(folder, manifest_name)
    listed = manifest["files"]
    for name, entry in listed.items():
        if _look(folder, name, os.path.getsize) != entry["bytes"]:
            raise DamagedFolder(folder, name, f"size differs, wanted {entry['bytes']} bytes")
    for name, entry in listed.items():
        if _look(folder, name, sha256) != entry["sha256"]:
            raise DamagedFolder(folder, name, "SHA-256 differs")
    return manifest


def is_plain(name: str) -> bool:
    """Whether a name is one of a file in a folder, or in a folder of that, and leads nowhere else.

    Example:
        >>> is_plain("a.txt"), is_plain("1_Pooling/config.json"), is_plain("../a.txt"), is_plain("/a")
        (True, True, False, False)
    """
    parts = name.split("/")
    return len(parts) <= 2 and all(part not in ("", ".", "..") and not re.search(r"[\\:\0]", part) for part in parts)


def sealed(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as JSON with a hash of itself, so that a bit flipped in it is seen as well."""
    content = {**manifest, SEAL: _seal(manifest)}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode(errors="surrogatepass")


def read_back(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """As it will be read: lists for tuples, text keys."""
    content: dict[str, Any] = json.loads(json.dumps(manifest, allow_nan=False))
    return content


def _seal(manifest: Mapping[str, Any]) -> str:
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read_manifest(folder: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(_look(folder, name, Path.read_bytes))
        seal = content.pop(SEAL)
        if seal != _seal(content):
            raise DamagedFolder(folder, name, "its own SHA-256 differs: damaged, or edited by hand")
        if all(is_plain(file) and {"sha256", "bytes"} <= set(entry) for file, entry in content["files"].items()):
            return dict(content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise DamagedFolder(folder, name, "is not a manifest in JSON")


def _look(folder: Path, name: str, read: Callable[[Path], Any]) -> Any:
    try:
        return read(folder / name)
    except FileNotFoundError:
        raise DamagedFolder(folder, name, "missing") from None
    except OSError as error:
        raise DamagedFolder(folder, name, f"cannot be read, {error.strerror}") from error


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
