"""Cross-entropy over a whole vocabulary, in pieces: the scores of all tokens never stand in memory together.

A batch of 8,192 tokens and a vocabulary of 30,000 words would take 1 GB for the scores and as much for their gradient.
Here each piece's gradient is computed along with its loss, so that nothing is kept but the gradients of the hidden
states and of the head. The sum is the same up to the order of additions; a test compares it with the plain way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

MOST_SCORES = 2**22
"""Scores that stand in memory at once: 16 MB in fp32."""

Head = Callable[[Tensor], Tensor]
"""(T, D) → (T, V)."""


def projected_cross_entropy(
    head: Head,
    parameters: Sequence[Tensor],
    hidden: Tensor,
    targets: Tensor,
    *,
    vocabulary: int,
    most_scores: int = MOST_SCORES,
) -> Tensor:
    """Sum of the cross-entropies of tokens, each over the whole vocabulary.

    Args:
        head: scores of the vocabulary for hidden states.
        parameters: all that the head computes with.
        hidden: (T, D).
        targets: (T,) int64 token ids, all of them counted.
        vocabulary: V.
        most_scores: scores that may stand in memory at once.

    Returns:
        Shape (), float32.

    Example:
        >>> layer = torch.nn.Linear(4, 10)
        >>> states, wanted = torch.randn(6, 4), torch.arange(6)
        >>> parameters = list(layer.parameters())
        >>> whole = projected_cross_entropy(layer, parameters, states, wanted, vocabulary=10)
        >>> pieces = projected_cross_entropy(layer, parameters, states, wanted, vocabulary=10, most_scores=20)
        >>> bool(torch.allclose(whole, pieces))
        True
    """
    rows = max(1, most_scores // vocabulary)
    if len(hidden) <= rows:
        return _sum(head(hidden), targets)
    if not torch.is_grad_enabled():
        pieces = zip(hidden.split(rows), targets.split(rows), strict=True)
        return torch.stack([_sum(head(piece), wanted) for piece, wanted in pieces]).sum()
    loss: Tensor = _InPieces.apply(hidden, targets, head, rows, *parameters)  # type: ignore[no-untyped-call]
    return loss


def _sum(scores: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(scores.float(), targets, reduction="sum")


class _InPieces(torch.autograd.Function):
    """The sum over pieces, whose gradients are computed at once and kept."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, targets: Tensor, head: Head, rows: int, *parameters: Tensor) -> Tensor:
        wanted = [parameter for parameter in parameters if parameter.requires_grad]
        of_hidden = torch.empty_like(hidden)
        of_parameters = [torch.zeros_like(parameter) for parameter in wanted]
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), rows):
            piece = hidden[start : start + rows].detach().requires_grad_()
            with torch.enable_grad():
                loss = _sum(head(piece), targets[start : start + rows])
            found = torch.autograd.grad(loss, [piece, *wanted], allow_unused=True)
            of_hidden[start : start + rows] = found[0]
            for gradient, more in zip(of_parameters, found[1:], strict=True):
                if more is not None:
                    gradient += more
            total += loss.detach()
        context.save_for_backward(of_hidden, *of_parameters)
        context.needed = [parameter.requires_grad for parameter in parameters]
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        of_hidden, *of_parameters = context.saved_tensors
        found = iter(of_parameters)
        return (
            of_hidden * gradient.to(of_hidden.dtype),
            None,
            None,
            None,
            *(next(found) * gradient if needed else None for needed in context.needed),
        )
