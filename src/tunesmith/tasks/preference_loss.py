"""Direct preference optimisation: the loss of pairs of answers beside the model that training starts from."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def preference_loss(policy: Tensor, reference: Tensor, beta: float, smoothing: float = 0.0) -> Tensor:
    """Sum of −log σ(β (policy margin − reference margin)) over pairs.

    DPO: Rafailov et al. 2023, eq. 7, with −(1 − s) log σ(x) − s log σ(−x) where a share s of the pairs may be the wrong
    way round (conservative DPO: Mitchell 2023).

    Args:
        policy: (B, 2) log-probabilities of the chosen and of the rejected answer.
        reference: the same by the model before training, without gradients.
        beta: how far from it the model may go: the larger, the less far.
        smoothing: s, 0 up to 0.5.

    Returns:
        Shape ().

    Example:
        >>> import torch
        >>> same = torch.tensor([[-3.0, -5.0]])
        >>> round(float(preference_loss(same, same, beta=0.1)), 4)
        0.6931
    """
    moved = beta * ((policy[:, 0] - policy[:, 1]) - (reference[:, 0] - reference[:, 1]))  # (B,)
    losses = -(1.0 - smoothing) * functional.logsigmoid(moved) - smoothing * functional.logsigmoid(-moved)
    return losses.sum()
