"""Rows that are nearly the same: MinHash with locality-sensitive hashing, then compared one by one.

Broder 1997 (resemblance of sets of shingles), Indyk & Motwani 1998 (banding). Compared are letters and digits
alone, in pieces of 5 bytes of UTF-8, which are 5 Latin letters or about 2 Chinese characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.minhash import (
    BANDS,
    FEWEST_PIECES,
    PIECE_BYTES,
    Hashes,
    band_keys,
    cut_pieces,
    sign_texts,
    similarity,
)

MOST_BYTES = 2_000
"""Of each text, only the beginning is compared."""
SIMILARITY = 0.75
"""Share of pieces in common (Jaccard) from which two texts are nearly the same."""
LOWEST_ESTIMATE = 0.55
"""Three standard deviations of the estimate below SIMILARITY."""
MOST_CANDIDATES = 3
"""Rows that each row is compared with, in its own split and in earlier ones."""
NEIGHBOURS = 2
"""Rows before it in a bucket that each row is paired with."""
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


def _candidates(signatures: Hashes) -> tuple[Ints, Ints]:
    """Pairs (later, earlier) that share a band: neighbours in its bucket, and each with the bucket's first."""
    count = len(signatures)
    pairs = [np.empty(0, np.int64)]
    keys = band_keys(signatures)
    for band in range(BANDS):
        key = keys[:, band]
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
