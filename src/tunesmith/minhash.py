"""MinHash signatures of texts and the keys of their bands.

Broder 1997 (resemblance of sets of shingles), Indyk & Motwani 1998 (banding). A text is the set of its pieces of
5 bytes of UTF-8, which are 5 Latin letters or about 2 Chinese characters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PIECE_BYTES = 5
FEWEST_PIECES = 16
"""Shorter texts resemble each other by chance."""
BANDS, BAND_ROWS = 12, 4
"""A pair at 0.75 shares a band with probability 1 - (1 - 0.75**4)**12 = 0.99."""
_BLOCK_BYTES = 500_000
_AT_ONCE = 5_000
"""Pieces of a single text whose products with all factors are made in one call."""
_SEED = 13

Hashes = NDArray[np.uint32]


def sign_texts(data: Sequence[bytes]) -> Hashes:
    """MinHash signatures (N, 48) of texts that have a piece at least."""
    factors = hash_indices(0, BANDS * BAND_ROWS, _SEED) | np.uint64(1)
    blocks = []
    start = 0
    while start < len(data):
        end, size = start, 0
        while end < len(data) and size < _BLOCK_BYTES:
            size += len(data[end])
            end += 1
        blocks.append(_sign_block(data[start:end], factors))
        start = end
    return np.concatenate(blocks)


def _sign_block(data: Sequence[bytes], factors: NDArray[np.uint64]) -> Hashes:
    joined = np.frombuffer(b"".join(data), dtype=np.uint8)
    lengths = np.array([len(text) for text in data])
    ends = np.cumsum(lengths)
    pieces = lengths - (PIECE_BYTES - 1)
    packed = np.zeros(len(joined) - (PIECE_BYTES - 1), np.uint64)
    for offset in range(PIECE_BYTES):
        packed |= joined[offset : len(packed) + offset].astype(np.uint64) << np.uint64(8 * offset)
    # Pieces that begin in one text and end in the next are none.
    inside = np.ones(len(packed), bool)
    for offset in range(1, PIECE_BYTES):
        inside[ends[:-1] - offset] = False
    hashed = mix(packed[inside])
    starts = np.concatenate([[0], np.cumsum(pieces)[:-1]])
    # The upper halves of the products are compared; the least product has the least upper half.
    if len(data) == 1 and len(hashed) <= _AT_ONCE:
        least: NDArray[np.uint64] = (hashed * factors[:, None]).min(axis=1)
        return (least >> np.uint64(32)).astype(np.uint32)[None]
    signed = np.empty((len(data), len(factors)), np.uint32)
    for column, factor in enumerate(factors):
        signed[:, column] = np.minimum.reduceat(hashed * factor, starts) >> np.uint64(32)
    return signed


def band_keys(signatures: Hashes) -> NDArray[np.uint64]:
    """Signatures (N, 48) to one key a band (N, 12); texts that are alike share one at least, most likely."""
    columns = signatures.astype(np.uint64).reshape(len(signatures), BANDS, BAND_ROWS)
    first, second, third, fourth = (columns[:, :, row] for row in range(BAND_ROWS))
    return mix(mix(first << np.uint64(32) | second) ^ (third << np.uint64(32) | fourth))


def similarity(one: set[bytes], other: set[bytes]) -> float:
    """Pieces in common of all pieces (Jaccard).

    Example:
        >>> similarity(cut_pieces(b"abcdefgh"), cut_pieces(b"abcdefghi"))
        0.8
    """
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def cut_pieces(text: bytes) -> set[bytes]:
    """All pieces of a text, one at each byte."""
    return {text[start : start + PIECE_BYTES] for start in range(len(text) - PIECE_BYTES + 1)}


def hash_indices(start: int, count: int, seed: int) -> NDArray[np.uint64]:
    """Hashes (count,) of start, start + 1, …: SplitMix64 (Steele, Lea & Flood 2014)."""
    with np.errstate(over="ignore"):
        mixed = np.arange(start, start + count, dtype=np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
        mixed = (mixed + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        return mix(mixed)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread each value over all 64 bits (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
