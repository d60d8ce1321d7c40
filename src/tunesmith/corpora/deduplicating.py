"""Documents that were there before: the same but for white space, or nearly the same.

What is remembered of a kept document is stored with the tokens, so a run that goes on remembers the same. Memory: 16
bytes a document for exact duplicates, about 360 for near ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.corpora.text_hash import DIGEST_BYTES
from tunesmith.minhash import BAND_ROWS, BANDS, FEWEST_PIECES, PIECE_BYTES, Hashes, band_keys, sign_texts
from tunesmith.text_keys import loose_key

Duplicates = Literal["none", "exact", "near"]
SIMILARITY = 0.8
"""Share of equal MinHash values from which a document counts as nearly the same as an earlier one.

It estimates the share of pieces that both have in common, with a standard deviation of 0.06.
"""
SIGNATURE_WIDTH = BANDS * BAND_ROWS
_CANDIDATES = 3
_RECENT = 50_000
_BLOCK_BYTES = 400_000


class ExactSeen:
    """Digests of the documents that were kept."""

    def __init__(self) -> None:
        self._recent: set[bytes] = set()
        self._sorted: NDArray[np.bytes_] = np.empty(0, f"S{DIGEST_BYTES}")

    def add_stored(self, digests: bytes) -> None:
        """Remember digests of earlier shards, end to end."""
        self._merge(np.frombuffer(digests, f"S{DIGEST_BYTES}"))

    def contains(self, digest: bytes) -> bool:
        """Whether it was added before."""
        if digest in self._recent:
            return True
        if not len(self._sorted):
            return False
        wanted = np.frombuffer(digest, self._sorted.dtype)
        place = int(np.searchsorted(self._sorted, wanted)[0])
        return place < len(self._sorted) and bool(self._sorted[place] == wanted[0])

    def add(self, digest: bytes) -> None:
        """Remember a kept document."""
        self._recent.add(digest)
        if len(self._recent) >= _RECENT * 10:
            self._merge(np.frombuffer(b"".join(self._recent), self._sorted.dtype))
            self._recent = set()

    def _merge(self, more: NDArray[np.bytes_]) -> None:
        joined = np.concatenate([self._sorted, more])
        joined.sort()
        self._sorted = joined


@dataclass
class _Band:
    """Rows by the key of one band: older ones sorted, recent ones in a dict."""

    keys: NDArray[np.uint64]
    rows: NDArray[np.uint32]
    recent: dict[int, list[int]]

    def find(self, key: int) -> list[int]:
        """The first few rows with the key."""
        start = int(np.searchsorted(self.keys, np.uint64(key)))
        found: list[int] = []
        while start < len(self.keys) and len(found) < _CANDIDATES and self.keys[start] == key:
            found.append(int(self.rows[start]))
            start += 1
        return (found + self.recent.get(key, []))[:_CANDIDATES]

    def settle(self, keys: NDArray[np.uint64], rows: NDArray[np.uint32]) -> None:
        """Sort further rows in; equal keys stay in the order of the rows."""
        joined = np.concatenate([self.keys, keys])
        order = np.argsort(joined, kind="stable")
        self.keys, self.rows = joined[order], np.concatenate([self.rows, rows])[order]
        self.recent = {}


class NearSeen:
    """MinHash signatures of the documents that were kept.

    Compared are letters and digits alone. A document that shares a band with earlier ones is compared with the first
    three of each band; texts with fewer than 16 pieces are never nearly the same as others.
    """

    def __init__(self) -> None:
        self._signatures: Hashes = np.empty((1024, SIGNATURE_WIDTH), np.uint32)
        self._count = self._settled = 0
        self._bands = [_Band(np.empty(0, np.uint64), np.empty(0, np.uint32), {}) for _ in range(BANDS)]

    def add_stored(self, signatures: bytes) -> None:
        """Remember signatures of earlier shards, end to end."""
        rows = np.frombuffer(signatures, np.uint32).reshape(-1, SIGNATURE_WIDTH)
        self._append(rows)
        self._settle()

    def contains(self, signature: Hashes) -> bool:
        """Whether an earlier document is nearly the same."""
        keys = band_keys(signature[None])[0].tolist()
        rows = sorted({row for band, key in zip(self._bands, keys, strict=True) for row in band.find(key)})
        if not rows:
            return False
        equal: NDArray[np.float64] = (self._signatures[rows] == signature).mean(axis=1)
        return bool(equal.max() >= SIMILARITY)

    def add(self, signature: Hashes) -> None:
        """Remember a kept document."""
        row = self._count
        self._append(signature[None])
        for band, key in zip(self._bands, band_keys(signature[None])[0].tolist(), strict=True):
            band.recent.setdefault(key, []).append(row)
        if self._count - self._settled >= _RECENT:
            self._settle()

    def _append(self, rows: Hashes) -> None:
        wanted = self._count + len(rows)
        if wanted > len(self._signatures):
            grown = np.empty((max(wanted, len(self._signatures) * 3 // 2), SIGNATURE_WIDTH), np.uint32)
            grown[: self._count] = self._signatures[: self._count]
            self._signatures = grown
        self._signatures[self._count : wanted] = rows
        self._count = wanted

    def _settle(self) -> None:
        keys = band_keys(self._signatures[self._settled : self._count])
        rows = np.arange(self._settled, self._count, dtype=np.uint32)
        for number, band in enumerate(self._bands):
            band.settle(keys[:, number], rows)
        self._settled = self._count


def sign_parts(parts: Iterable[str]) -> Hashes | None:
    """MinHash signature (48,) of a text in parts; None where it is too short to be compared."""
    found: Hashes | None = None
    pieces = 0
    for part in parts:
        data = loose_key(part).encode("utf-8", "replace")
        # Neighbouring blocks share the bytes that a piece across them needs.
        for start in range(0, max(1, len(data) - PIECE_BYTES + 1), _BLOCK_BYTES):
            block = data[start : start + _BLOCK_BYTES + PIECE_BYTES - 1]
            if len(block) >= PIECE_BYTES:
                pieces += len(block) - PIECE_BYTES + 1
                signed = sign_texts([block])[0]
                found = signed if found is None else np.minimum(found, signed)
    return found if pieces >= FEWEST_PIECES else None


class Memory:
    """What is known of kept documents, for one way of dropping duplicates.

    Args:
        duplicates: "none" remembers nothing; "near" finds exact ones, too.
    """

    def __init__(self, duplicates: Duplicates) -> None:
        self._exact = ExactSeen() if duplicates != "none" else None
        self._near = NearSeen() if duplicates == "near" else None
        self.digests = bytearray()
        """Of documents kept since the last `take_stored`."""
        self.signatures = bytearray()

    def is_new(self, digest: bytes, parts: Iterable[str]) -> bool:
        """Whether a document was not there before; if so, it is remembered.

        Args:
            digest: `digest_text` of it.
            parts: its text.
        """
        if self._exact is None:
            return True
        if self._exact.contains(digest):
            return False
        if self._near is not None:
            signature = sign_parts(parts)
            if signature is not None:
                if self._near.contains(signature):
                    return False
                self._near.add(signature)
                self.signatures += signature.tobytes()
        self._exact.add(digest)
        self.digests += digest
        return True

    def take_stored(self) -> dict[str, bytes]:
        """File name → content of what was remembered since the last call."""
        stored = {}
        if self._exact is not None:
            stored["digests"] = bytes(self.digests)
        if self._near is not None:
            stored["signatures"] = bytes(self.signatures)
        self.digests, self.signatures = bytearray(), bytearray()
        return stored

    def add_stored(self, stored: dict[str, bytes]) -> None:
        """Remember what `take_stored` gave in an earlier run."""
        if self._exact is not None:
            self._exact.add_stored(stored["digests"])
        if self._near is not None:
            self._near.add_stored(stored["signatures"])
