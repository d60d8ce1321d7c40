"""API keys: made at random, shown once, stored as hashes.

A key has 256 random bits, so a plain SHA-256 is as good as a slow hash: nobody guesses it.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path

from tunesmith import durable
from tunesmith.errors import UserError

LINE = re.compile(r"sha256:([0-9a-f]{64})")
HEAD = "# SHA-256 of each API key, one a line; printf %s KEY | sha256sum gives one\n"


def read_keys(path: Path) -> tuple[bytes, ...]:
    """Hashes of the keys in a file.

    Raises:
        UserError: it cannot be read, holds none, or a line that is no hash.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}", fix="give another file with --api-key-file") from None
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = LINE.fullmatch(text)
        if match is None:
            raise UserError(
                f"{path}, line {number:,}: wanted sha256: and 64 hexadecimal digits; keys are stored as hashes only",
                fix="write what `printf %s KEY | sha256sum` gives behind sha256:, or give a file that is not there yet",
            )
        found.append(bytes.fromhex(match[1]))
    if not found:
        raise UserError(f"{path} holds no key", fix="delete it: tunesmith serve then makes one with a new key")
    return tuple(found)


def make_key_file(path: Path) -> str:
    """Write a file with the hash of a new key.

    Returns:
        The key, which is nowhere else.

    Raises:
        UserError: the file cannot be written, or is there already.
    """
    key = secrets.token_urlsafe(32)
    text = f"{HEAD}sha256:{hash_key(key)}\n"
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        durable.sync(path.absolute().parent)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path} cannot be written: {reason}", fix="give another file with --api-key-file") from None
    return key


def hash_key(key: str) -> str:
    """What is stored of a key.

    Example:
        >>> hash_key("a")[:8]
        'ca978112'
    """
    return hashlib.sha256(key.encode()).hexdigest()
