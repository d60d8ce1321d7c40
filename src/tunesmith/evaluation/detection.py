"""Telling texts that are unlike the training data from those that are like it: scores, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def area_under_roc(negatives: Floats, positives: Floats) -> float:
    """AUROC: how often a positive has a higher score than a negative, equal ones counting half (Mann and Whitney 1947).

    Args:
        negatives: (N,) scores of what is in scope, at least one.
        positives: (P,) scores of what is not, at least one.

    Example:
        >>> area_under_roc(np.array([0.1, 0.4]), np.array([0.4, 0.9]))
        0.875
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([negatives, positives]))
    rank_sum = float(ranks[len(negatives) :].sum())
    count = len(positives)
    return (rank_sum - count * (count + 1) / 2) / (count * len(negatives))


def false_alarms_at(negatives: Floats, positives: Floats, share: float = 0.95) -> float:
    """FPR at a true positive rate: of the negatives, the share that is flagged where `share` of the positives is.

    Example:
        >>> false_alarms_at(np.array([0.1, 0.6]), np.array([0.5, 0.9]), share=1.0)
        0.5
    """
    ordered = np.sort(positives)[::-1]
    threshold = ordered[max(0, int(np.ceil(share * len(ordered) - 1e-9)) - 1)]
    return float((negatives >= threshold).mean())


@dataclass(frozen=True)
class Scope:
    """Where the vectors of known texts lie: groups around their means, all with one covariance.

    Attributes:
        means: (G, D) mean vector of each group.
        whitening: (D, D); the covariance of known vectors times it, from both sides, is the identity.
        scores: (Q,) quantiles, from the lowest up, of the distances of held-out texts.
    """

    means: NDArray[np.float32]
    whitening: NDArray[np.float32]
    scores: NDArray[np.float32]


QUANTILES = 1001


def fit_scope(vectors: NDArray[np.float32], groups: NDArray[np.int64], held_out: NDArray[np.float32]) -> Scope:
    """Learn where known texts lie (Lee et al. 2018: one Gaussian a class, with a shared covariance).

    The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf 2004), so that it can be inverted
    where there are fewer texts than dimensions.

    Args:
        vectors: (N, D) of the training rows.
        groups: (N,) the group of each, from 0 without gaps.
        held_out: (H, D) of rows that were not trained on.
    """
    from sklearn.covariance import ledoit_wolf

    given = vectors.astype(np.float64)
    counts = np.bincount(groups).astype(np.float64)
    means = np.stack([given[groups == group].mean(axis=0) for group in range(len(counts))])
    covariance, _ = ledoit_wolf(given - means[groups], assume_centered=True)
    values, directions = np.linalg.eigh(covariance)
    smallest = max(float(values.max()) * 1e-9, float(np.finfo(np.float32).tiny))
    whitening = (directions / np.sqrt(np.maximum(values, smallest))).astype(np.float32)
    bare = Scope(means.astype(np.float32), whitening, np.zeros(1, dtype=np.float32))
    quantiles = np.quantile(distances(held_out, bare), np.linspace(0, 1, QUANTILES))
    return Scope(bare.means, whitening, quantiles.astype(np.float32))


def distances(vectors: NDArray[np.float32], scope: Scope) -> Floats:
    """(N,) Mahalanobis distance of each vector (N, D) to the nearest group."""
    points = vectors.astype(np.float64) @ scope.whitening
    centres = scope.means.astype(np.float64) @ scope.whitening
    squares = (points**2).sum(1)[:, None] - 2 * points @ centres.T + (centres**2).sum(1)
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0.0)), dtype=np.float64)


def out_of_scope_scores(vectors: NDArray[np.float32], scope: Scope) -> Floats:
    """(N,) share of the held-out texts that lie nearer to a known group: 0.99 is farther than 99 % of them."""
    found: Any = np.interp(distances(vectors, scope), scope.scores, np.linspace(0, 1, len(scope.scores)))
    return np.asarray(found, dtype=np.float64)
