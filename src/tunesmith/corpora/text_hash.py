"""A 16-byte hash of a text with its white space folded, also of one that comes in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

DIGEST_BYTES = 16


class TextHash:
    """BLAKE2b of the text in UTF-8, runs of white space as one blank, none at the ends."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._has_words = self._is_apart = False

    def update(self, part: str) -> None:
        """Add a further part of the text."""
        words = part.split()
        if not words:
            self._is_apart = self._is_apart or bool(part)
            return
        if self._has_words and (self._is_apart or part[0].isspace()):
            self._hash.update(b" ")
        self._hash.update(" ".join(words).encode("utf-8", "surrogatepass"))
        self._has_words, self._is_apart = True, part[-1].isspace()

    def digest(self) -> bytes:
        """The 16 bytes."""
        return self._hash.digest()


def digest_text(text: str | Iterable[str]) -> bytes:
    """The hash of a text, or of the parts of one.

    Example:
        >>> digest_text(" a\\nb ") == digest_text("a b") == digest_text(["a", " ", "b"])
        True
    """
    found = TextHash()
    for part in (text,) if isinstance(text, str) else text:
        found.update(part)
    return found.digest()
