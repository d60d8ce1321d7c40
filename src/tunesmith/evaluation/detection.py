"""Telling texts that are unlike the training data from those that are like it: scores, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    means: Floats
    whitening: Floats


def fit_scope(vectors: Floats, groups: NDArray[np.int64]) -> Scope:
    """Learn where known texts lie (Lee et al. 2018: one Gaussian a class, with a shared covariance).

    The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf 2004), so that it can be inverted
    where there are fewer texts than dimensions.

    Args:
        vectors: (N, D) of the training rows.
        groups: (N,) the group of each, from 0 without gaps.
    """
    from sklearn.covariance import ledoit_wolf

    counts = np.bincount(groups)
    means = np.stack([vectors[groups == group].mean(axis=0) for group in range(len(counts))])
    covariance, _ = ledoit_wolf(vectors - means[groups], assume_centered=True)
    values, directions = np.linalg.eigh(covariance)
    smallest = max(float(values.max()) * 1e-9, float(np.finfo(np.float64).tiny))
    return Scope(means, directions / np.sqrt(np.maximum(values, smallest)))


def distances(vectors: Floats, scope: Scope) -> Floats:
    """(N,) Mahalanobis distance of each vector (N, D) to the nearest group.

    Example:
        >>> scope = Scope(means=np.array([[0.0, 0.0], [9.0, 0.0]]), whitening=np.eye(2))
        >>> distances(np.array([[3.0, 4.0], [9.0, 1.0]]), scope).tolist()
        [5.0, 1.0]
    """
    points, centres = vectors @ scope.whitening, scope.means @ scope.whitening
    squares = (points**2).sum(1)[:, None] - 2 * points @ centres.T + (centres**2).sum(1)
    found: Floats = np.sqrt(np.maximum(squares.min(axis=1), 0.0))
    return found


def neighbour_distances(vectors: Floats, known: Floats, neighbours: int = 10) -> Floats:
    """(N,) distance to the k-th nearest known vector, all at length 1 (Sun et al. 2022).

    Args:
        vectors: (N, D), none of them zero.
        known: (M, D) of the training rows.
        neighbours: k, at most M.

    Example:
        >>> neighbour_distances(np.array([[2.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]), 2).round(3).tolist()
        [1.414]
    """
    points, others = (array / np.linalg.norm(array, axis=1, keepdims=True) for array in (vectors, known))
    nearest = np.partition(-points @ others.T, neighbours - 1, axis=1)[:, neighbours - 1]
    return np.asarray(np.sqrt(np.maximum(2 + 2 * nearest, 0.0)), dtype=np.float64)
