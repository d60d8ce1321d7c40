"""Losses of classes, label sets, numbers and choices, as sums over rows. The mathematics: docs/maths.md.

Every function returns (sum, units): the loss summed over the rows of the batch, shape (), and the number of
units it stands for. Sums and units of two batches add, so the engine divides once per step and any split of a
step into micro-batches gives the same step. Computed in float32 at least, whatever precision the logits come
in.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def classification_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    class_weights: Tensor | None = None,
    smoothing: float = 0.0,
    focal_gamma: float = 0.0,
) -> tuple[Tensor, float]:
    """Sum the cross-entropy of one right class a row.

    A row with target distribution q (one-hot, or smoothed: 1 - s + s/C for the right class, s/C for the
    others) and predicted p = softmax(logits) costs the sum over classes of q_c w_c (1 - p_c)^gamma (-log
    p_c). Without smoothing this is the focal loss of Lin et al. 2017 (equations 4 and 5, with w as their
    alpha); with gamma 0 it is torch's `cross_entropy(weight=w, label_smoothing=s)`.

    Args:
        logits: (B, C) of any floating type.
        targets: (B,) int64 class ids.
        class_weights: (C,) weight of each class, or None for 1.
        smoothing: share of the target spread evenly over all classes, 0 ≤ smoothing < 1.
        focal_gamma: how much less a row counts the surer the model is of it; 0 or more.

    Returns:
        The sum, and the units: B, or with class weights the sum of the weights of the rows' right classes, so
        that sum / units is the weighted mean as torch defines it.

    Example:
        >>> loss, units = classification_loss(torch.zeros(2, 4), torch.tensor([0, 3]))
        >>> round(float(loss / units), 4)  # log 4
        1.3863
    """
    log_probabilities = _accurate(logits).log_softmax(dim=1)
    terms = -log_probabilities
    if focal_gamma:
        terms = terms * _focus(log_probabilities, focal_gamma)
    weights = None if class_weights is None else class_weights.to(terms)
    if weights is not None:
        terms = terms * weights
    loss = terms.gather(1, targets.unsqueeze(1)).sum()
    if smoothing:
        loss = (1 - smoothing) * loss + smoothing / logits.shape[1] * terms.sum()
    return loss, float(len(targets)) if weights is None else float(weights[targets].sum())


def multi_label_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    class_weights: Tensor | None = None,
    smoothing: float = 0.0,
    focal_gamma: float = 0.0,
) -> tuple[Tensor, float]:
    """Sum the binary cross-entropy of C yes/no decisions a row, averaged over the C labels of the row.

    Decision c of a row, with p = sigmoid(logit) and target y, costs
    w_c y (1 - p)^gamma (-log p) + (1 - y) p^gamma (-log(1 - p)). With C = 1 it is binary classification.

    Args:
        logits: (B, C) of any floating type.
        targets: (B, C) 1 where the label holds, else 0.
        class_weights: (C,) weight of a label where it holds (torch's `pos_weight`), or None for 1.
        smoothing: moves each target this share of the way to 1/2, 0 ≤ smoothing < 1.
        focal_gamma: how much less a decision counts the surer the model is of it; 0 or more.

    Returns:
        The sum over rows and B, with and without weights: what a row counts must not depend on how many
        labels hold.

    Example:
        >>> loss, units = multi_label_loss(torch.zeros(2, 3), torch.tensor([[1, 0, 0], [1, 1, 0]]))
        >>> round(float(loss / units), 4)  # log 2
        0.6931
    """
    logits = _accurate(logits)
    truth = targets.to(logits) * (1 - smoothing) + smoothing / 2
    log_yes, log_no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    yes, no = -log_yes, -log_no
    if focal_gamma:
        yes, no = yes * _focus(log_yes, focal_gamma), no * _focus(log_no, focal_gamma)
    if class_weights is not None:
        yes = yes * class_weights.to(logits)
    return (truth * yes + (1 - truth) * no).mean(dim=1).sum(), float(len(targets))


def squared_error(predictions: Tensor, targets: Tensor) -> tuple[Tensor, float]:
    """Sum the squared errors of predicted numbers.

    Args:
        predictions: (B,) of any floating type.
        targets: (B,) numbers.

    Returns:
        The sum and B; sum / units is the mean squared error.

    Example:
        >>> squared_error(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        (tensor(4.), 2.0)
    """
    predictions = _accurate(predictions)
    return (predictions - targets.to(predictions)).square().sum(), float(len(targets))


def choice_loss(
    scores: Tensor, counts: Sequence[int], rights: Sequence[Sequence[int]], *, smoothing: float = 0.0
) -> tuple[Tensor, float]:
    """Sum the cross-entropy of a softmax over the choices of each row, whose number may differ from row to row.

    A row with scores s costs -sum_j q_j log softmax(s)_j, where q is spread evenly over its right choices: the top-one
    loss of ListNet (Cao et al. 2007, equation 4) for relevances of 0 and 1. With one right choice it is the usual
    cross-entropy. A row without a right choice costs nothing, but is counted, so that a step of such rows has a mean.

    Args:
        scores: (S,) of any floating type, the choices of a row together.
        counts: choices of each row, 1 or more; they sum to S.
        rights: numbers of the right choices of each row, from 0.
        smoothing: share of q spread evenly over all choices of a row that has a right one, 0 ≤ smoothing < 1.

    Returns:
        The sum, and the number of rows.

    Example:
        >>> loss, units = choice_loss(torch.zeros(6), [2, 4], [[0], [1, 2]])
        >>> round(float(loss), 4), units  # log 2 + log 4
        (2.0794, 2.0)
    """
    pieces = _accurate(scores).split(list(counts))
    padded = torch.nn.utils.rnn.pad_sequence(list(pieces), batch_first=True, padding_value=float("-inf"))  # (B, K)
    wanted = torch.zeros_like(padded)
    for row, right in enumerate(rights):
        if right:
            wanted[row, : counts[row]] = smoothing / counts[row]
            wanted[row, list(right)] += (1 - smoothing) / len(right)
    logs = padded.log_softmax(dim=1).masked_fill(padded == float("-inf"), 0.0)
    return -(wanted * logs).sum(), float(len(counts))


def _accurate(values: Tensor) -> Tensor:
    """Return the values in float32 or better; half precision has too few digits for sums of logarithms."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _focus(log_probabilities: Tensor, gamma: float) -> Tensor:
    """Return (1 - p)^gamma, kept off 0: where p rounds to 1 the gradient for gamma < 1 would be infinite."""
    return (-torch.expm1(log_probabilities)).clamp_min(torch.finfo(log_probabilities.dtype).tiny).pow(gamma)
