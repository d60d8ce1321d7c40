"""Rows that are nearly the same: MinHash with locality-sensitive hashing, then compared one by one.

Broder 1997 (resemblance of sets of shingles), Indyk & Motwani 1998 (banding). Compared are letters and digits
alone, in pieces of 5 bytes of UTF-8, which are 5 Latin letters or about 2 Chinese characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.checking.sampling import hash_indices, mix

PIECE_BYTES = 5
MOST_BYTES = 2_000
"""Of each text, only the beginning is compared."""
FEWEST_PIECES = 16
"""Shorter texts resemble each other by chance."""
SIMILARITY = 0.75
"""Share of pieces in common (Jaccard) from which two texts are nearly the same."""
BANDS, BAND_ROWS = 12, 4
"""A pair at 0.75 shares a band with probability 1 - (1 - 0.75**4)**12 = 0.99."""
LOWEST_ESTIMATE = 0.55
"""Three standard deviations of the estimate below SIMILARITY."""
MOST_CANDIDATES = 3
"""Rows that each row is compared with, in its own split and in earlier ones."""
NEIGHBOURS = 2
"""Rows before it in a bucket that each row is paired with."""
_BLOCK_BYTES = 500_000
_SEED = 13

Hashes = NDArray[np.uint32]
Ints = NDArray[np.int64]


def find_near_twins(keys: Sequence[str], split_of: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (row, earlier row) of nearly equal texts, one for each row in its own split and one across splits.

    Args:
        keys: letters and digits of each text, all different.
        split_of: index of each row's split, ascending.

    Example:
        >>> find_near_twins(["thequickbrownfoxjumpsoverthedog", "thequickbrownfoxjumpsoverthedogs"], [0, 0])
        [(1, 0)]
    """
    data = [key.encode("utf-8", "replace")[:MOST_BYTES] for key in keys]
    long = np.array([len(text) >= FEWEST_PIECES + PIECE_BYTES - 1 for text in data], dtype=bool)
    rows = np.flatnonzero(long)
    if len(rows) < 2:
        return []
    signatures = sign_texts([data[row] for row in rows.tolist()])
    later, earlier = _candidates(signatures)
    estimates = _estimate(signatures, later, earlier)
    likely = estimates >= LOWEST_ESTIMATE
    later, earlier, estimates = rows[later[likely]], rows[earlier[likely]], estimates[likely]
    splits = np.asarray(split_of, dtype=np.int64)
    is_across = splits[later] != splits[earlier]
    chosen = _best(later, is_across, estimates)
    return list(_verify(data, later[chosen], earlier[chosen], is_across[chosen]))


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
    signed = np.empty((len(data), len(factors)), np.uint32)
    for column, factor in enumerate(factors):
        with np.errstate(over="ignore"):
            values = ((hashed * factor) >> np.uint64(32)).astype(np.uint32)
        signed[:, column] = np.minimum.reduceat(values, starts)
    return signed


def _candidates(signatures: Hashes) -> tuple[Ints, Ints]:
    """Pairs (later, earlier) that share a band: neighbours in its bucket, and each with the bucket's first."""
    count = len(signatures)
    pairs = [np.empty(0, np.int64)]
    for band in range(BANDS):
        columns = signatures[:, band * BAND_ROWS : (band + 1) * BAND_ROWS].astype(np.uint64)
        key = mix(
            mix(columns[:, 0] << np.uint64(32) | columns[:, 1]) ^ (columns[:, 2] << np.uint64(32) | columns[:, 3])
        )
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        for offset in range(1, NEIGHBOURS + 1):
            same = np.flatnonzero(ordered[offset:] == ordered[:-offset])
            pairs.append(order[same + offset] * count + order[same])
        is_new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        first = order[is_new][np.cumsum(is_new) - 1]
        pairs.append((order * count + first)[~is_new])
    unique = np.unique(np.concatenate(pairs))
    return unique // count, unique % count


def _estimate(signatures: Hashes, later: Ints, earlier: Ints, block: int = 100_000) -> NDArray[np.float64]:
    """Share of equal hashes of each pair, which estimates the share of pieces in common."""
    found = np.empty(len(later))
    for start in range(0, len(later), block):
        end = start + block
        found[start:end] = (signatures[later[start:end]] == signatures[earlier[start:end]]).mean(axis=1)
    return found


def _best(later: Ints, is_across: NDArray[np.bool_], estimates: NDArray[np.float64]) -> Ints:
    """The likeliest pairs of each row in its own split, and across splits, in the order of the rows."""
    order = np.lexsort((-estimates, is_across, later))
    group = later[order] * 2 + is_across[order]
    is_new = np.concatenate([[True], group[1:] != group[:-1]]) if len(group) else np.empty(0, bool)
    rank = np.arange(len(group)) - np.maximum.accumulate(np.where(is_new, np.arange(len(group)), 0))
    return order[rank < MOST_CANDIDATES]


def _verify(
    data: Sequence[bytes], later: Ints, earlier: Ints, is_across: NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Compare the pieces themselves; a row that has found its twin is done."""
    done: set[tuple[int, bool]] = set()
    known, pieces = -1, set[bytes]()
    for row, other, across in zip(later.tolist(), earlier.tolist(), is_across.tolist(), strict=True):
        if (row, across) in done:
            continue
        if row != known:  # the pairs come in the order of their rows
            known, pieces = row, cut_pieces(data[row])
        if similarity(pieces, cut_pieces(data[other])) >= SIMILARITY:
            done.add((row, across))
            yield row, other


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
