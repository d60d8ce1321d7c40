"""Scalings that make probabilities mean what they say: fitted on development rows, pure functions on arrays.

Two kinds of probabilities: (B, C) of classes of which exactly one is right, and (E,) of events that each may come
true (labels of several, entities). A scaling works on their logarithms or log-odds:

- temperature: softmax(log p / T), or sigmoid(logit p / T) (Guo et al. 2017). For one window this is the softmax of
  logits / T, since the two differ by a constant that the softmax drops. The order of the classes stays.
- vector: softmax(w * log p + b), a weight and a bias a class (Guo et al. 2017, on log-probabilities as in Kull et al.
  2019). Answers may change.
- platt: sigmoid(a * logit p + b) of events (Platt 1999), a > 0.

Each fit minimizes the negative log-likelihood plus half the squared distance of (log T, log w, b …) from the
identity: a standard normal prior. It weighs as much as one row, so hundreds of rows do not feel it, and ten rows that
happen to be right do not make the model certain. At the optimum the likelihood is never below the identity's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]

FOLDS = 5
MIN_ROWS = 10
"""With fewer development rows nothing is fitted."""
MIN_ROWS_PER_CLASS = 20
"""`auto` tries vector scaling only where each class has so many rows."""
SMALLEST = float(np.finfo(np.float32).tiny)
LARGEST = 1 - 2.0**-24
"""Above, single precision rounds to 1, whose log-odds are infinite."""
MOST = 5.0
"""Bound of |log T|, |log w|: a factor of 150."""


@dataclass(frozen=True)
class Scaling:
    """A way to change probabilities.

    Attributes:
        method: none, temperature, vector or platt.
        parameters: temperature; weights and biases (C,); slope and intercept.
    """

    method: str = "none"
    parameters: Mapping[str, Any] = field(default_factory=dict)


IDENTITY = Scaling()
PARAMETERS = {
    "none": (),
    "temperature": ("temperature",),
    "vector": ("weights", "biases"),
    "platt": ("slope", "intercept"),
}
"""Method → names of its parameters."""


@dataclass(frozen=True)
class Fitted:
    """What was fitted on development rows.

    Attributes:
        scaling: fitted on all rows.
        held_out: the probabilities of each row under a scaling that was fitted without it.
        nll: candidate → its negative log-likelihood on held-out rows.
    """

    scaling: Scaling
    held_out: Floats
    nll: Mapping[str, float]


def scale(probabilities: Floats, scaling: Scaling) -> Floats:
    """Apply a scaling.

    Args:
        probabilities: (B, C) of classes that exclude each other, or (E,) of events.
        scaling: what to do; `none` gives the same array back.

    Example:
        >>> scale(np.array([[0.8, 0.2]]), Scaling("temperature", {"temperature": 2.0})).round(3).tolist()
        [[0.667, 0.333]]
    """
    if scaling.method == "none":
        return probabilities
    given = scaling.parameters
    if probabilities.ndim == 1:
        slope = given["slope"] if scaling.method == "platt" else 1 / given["temperature"]
        return _sigmoid(slope * log_odds(probabilities) + given.get("intercept", 0.0))
    logs = np.log(np.maximum(probabilities, SMALLEST))
    if scaling.method == "temperature":
        return _softmax(logs / given["temperature"])
    return _softmax(logs * np.asarray(given["weights"]) + np.asarray(given["biases"]))


def log_odds(probabilities: Floats) -> Floats:
    """log(p / (1 - p)) of any shape, finite also at 0 and 1."""
    inside = np.clip(probabilities, SMALLEST, LARGEST)
    odds: Floats = np.log(inside) - np.log1p(-inside)
    return odds


def negative_log_likelihood(probabilities: Floats, truths: Truths) -> float:
    """Mean of `losses_of`; NaN where there are none.

    Example:
        >>> round(negative_log_likelihood(np.array([0.5, 0.5]), np.array([True, False])), 3)
        0.693
    """
    losses = losses_of(probabilities, truths)
    return float(losses.mean()) if len(losses) else float("nan")


def losses_of(probabilities: Floats, truths: Truths) -> Floats:
    """-log p of what came true: of each row (B, C) that has a true class, or of each event (E,)."""
    given = probabilities[truths] if probabilities.ndim == 2 else np.where(truths, probabilities, 1 - probabilities)
    losses: Floats = -np.log(np.maximum(given, SMALLEST))
    return losses


def fit(method: str, probabilities: Floats, truths: Truths) -> Scaling:
    """Fit one scaling (L-BFGS).

    Args:
        method: none, temperature, vector (of classes) or platt (of events).
        probabilities: (B, C) or (E,), at least one.
        truths: same shape; what came true. Rows (B, C) without a true class are left out.
    """
    if method == "none":
        return IDENTITY
    objective, size = make_objective(method, probabilities, truths)
    bounds = [(-MOST, MOST) if _is_factor(method, place, size) else (None, None) for place in range(size)]
    from scipy.optimize import minimize

    found = minimize(objective, np.zeros(size), jac=True, method="L-BFGS-B", bounds=bounds)
    return _to_scaling(method, found.x)


def make_objective(
    method: str, probabilities: Floats, truths: Truths
) -> tuple[Callable[[Floats], tuple[float, Floats]], int]:
    """What `fit` minimizes, as a function of its free numbers, and how many those are.

    The free numbers are 0 at the identity: log T; log w (C,), then b (C,); or log a, then b. The function gives the
    summed negative log-likelihood plus half their squares, and the gradient.
    """
    if probabilities.ndim == 2:
        known = truths.any(axis=1)
        logs = np.log(np.maximum(probabilities[known], SMALLEST))
        by_class = _temperature_loss if method == "temperature" else _vector_loss
        return _with_prior(by_class, logs, truths[known]), 1 if method == "temperature" else 2 * logs.shape[1]
    by_event = _temperature_of_events_loss if method == "temperature" else _platt_loss
    return _with_prior(by_event, log_odds(probabilities), truths), 1 if method == "temperature" else 2


Loss = Callable[[Floats, Floats, Truths], tuple[float, Floats]]


def _with_prior(loss: Loss, scores: Floats, truths: Truths) -> Callable[[Floats], tuple[float, Floats]]:
    def objective(free: Floats) -> tuple[float, Floats]:
        value, gradient = loss(free, scores, truths)
        return value + 0.5 * float(free @ free), gradient + free

    return objective


def _temperature_loss(free: Floats, logs: Floats, truths: Truths) -> tuple[float, Floats]:
    scaled = logs * np.exp(-free[0])
    log_shares = _log_softmax(scaled)
    errors = np.exp(log_shares) - truths  # (B, C), the gradient by `scaled`
    return float(-log_shares[truths].sum()), np.array([-(errors * scaled).sum()])


def _vector_loss(free: Floats, logs: Floats, truths: Truths) -> tuple[float, Floats]:
    weights, biases = np.exp(free[: logs.shape[1]]), free[logs.shape[1] :]
    scaled = logs * weights
    log_shares = _log_softmax(scaled + biases)
    errors = np.exp(log_shares) - truths
    return float(-log_shares[truths].sum()), np.concatenate([(errors * scaled).sum(axis=0), errors.sum(axis=0)])


def _temperature_of_events_loss(free: Floats, odds: Floats, truths: Truths) -> tuple[float, Floats]:
    value, gradient = _platt_loss(np.array([-free[0], 0.0]), odds, truths)
    return value, -gradient[:1]


def _platt_loss(free: Floats, odds: Floats, truths: Truths) -> tuple[float, Floats]:
    scaled = odds * np.exp(free[0])
    shifted = scaled + free[1]
    value = np.logaddexp(0.0, np.where(truths, -shifted, shifted)).sum()
    errors = _sigmoid(shifted) - truths
    return float(value), np.array([(errors * scaled).sum(), errors.sum()])


def _is_factor(method: str, place: int, size: int) -> bool:
    """Whether a free number is the logarithm of a factor, and not a bias."""
    return method == "temperature" or place < size // 2


def _to_scaling(method: str, free: Floats) -> Scaling:
    if method == "temperature":
        return Scaling(method, {"temperature": float(np.exp(free[0]))})
    if method == "platt":
        return Scaling(method, {"slope": float(np.exp(free[0])), "intercept": float(free[1])})
    half = len(free) // 2
    return Scaling(method, {"weights": np.exp(free[:half]).tolist(), "biases": free[half:].tolist()})


def choose(
    methods: Sequence[str], probabilities: Floats, truths: Truths, rows: NDArray[np.int64], *, seed: int = 13
) -> Fitted:
    """Fit the scaling that does best on rows it did not see.

    Args:
        methods: candidates, simplest first; a later one must be strictly better.
        probabilities: (B, C) or (E,).
        truths: same shape; what came true.
        rows: (B,) or (E,) which row each belongs to; those of one row are held out together.
        seed: decides which rows are held out together.

    Returns:
        The scaling, and probabilities of each row under one that was fitted on four fifths of the other rows; with
        fewer than 10 rows the identity.
    """
    folds = make_folds(rows, seed)
    if folds is None:
        return Fitted(IDENTITY, probabilities, {})
    held_out = {method: _hold_out(method, probabilities, truths, folds) for method in methods}
    nll = {method: negative_log_likelihood(found, truths) for method, found in held_out.items()}
    best = min(methods, key=lambda method: nll[method])  # the first of equals
    return Fitted(fit(best, probabilities, truths), held_out[best], nll)


def make_folds(rows: NDArray[np.int64], seed: int, least: int = MIN_ROWS) -> NDArray[np.int64] | None:
    """Fold 0 … 4 of each entry, those of one row in the same; None with fewer than `least` rows."""
    distinct, places = np.unique(rows, return_inverse=True)
    if len(distinct) < least:
        return None
    numbers = np.random.default_rng(seed).permutation(len(distinct)) % FOLDS
    return numbers[places]


def _hold_out(method: str, probabilities: Floats, truths: Truths, folds: NDArray[np.int64]) -> Floats:
    if method == "none":
        return probabilities
    found = np.empty_like(probabilities)
    for fold in range(FOLDS):
        inside = folds == fold
        scaling = fit(method, probabilities[~inside], truths[~inside])
        found[inside] = scale(probabilities[inside], scaling)
    return found


def has_rows_for_vector(truths: Truths) -> bool:
    """Whether each class (B, C) has enough rows for a weight and a bias of its own."""
    return truths.ndim == 2 and int(truths.sum(axis=0).min(initial=0)) >= MIN_ROWS_PER_CLASS


def _log_softmax(scores: Floats) -> Floats:
    shifted: Floats = scores - scores.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def _softmax(scores: Floats) -> Floats:
    shares: Floats = np.exp(_log_softmax(scores))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _sigmoid(odds: Floats) -> Floats:
    from scipy.special import expit

    shares: Floats = expit(odds)
    return shares
