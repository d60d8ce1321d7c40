"""Cross-entropy over a whole vocabulary, in pieces: the scores of all tokens never stand in memory together.

A batch of 8,192 tokens and a vocabulary of 30,000 words would take 1 GB for the scores and as much for their gradient.
Here each piece's gradient is computed along with its loss, so that nothing is kept but the gradients of the hidden
states and of the head. The sum is the same up to the order of additions; a test compares it with the plain way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    smoothing: float = 0.0,
    most_scores: int = MOST_SCORES,
) -> Tensor:
    """Sum of the cross-entropies of tokens, each over the whole vocabulary.

    Args:
        head: scores of the vocabulary for hidden states.
        parameters: all that the head computes with.
        hidden: (T, D).
        targets: (T,) int64 token ids, all of them counted.
        vocabulary: V.
        smoothing: share of each target that is spread over the vocabulary (Szegedy et al. 2016, section 7).
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
        return _plain_loss(head(hidden), targets, smoothing)
    if not torch.is_grad_enabled():
        pieces = zip(hidden.split(rows), targets.split(rows), strict=True)
        return torch.stack([_plain_loss(head(piece), wanted, smoothing) for piece, wanted in pieces]).sum()
    job = _Job(head, targets, smoothing, rows)
    loss: Tensor = _InPieces.apply(job, hidden, *parameters)  # type: ignore[no-untyped-call]
    return loss


def _plain_loss(scores: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    return functional.cross_entropy(scores.float(), targets, reduction="sum", label_smoothing=smoothing)


def _loss_and_gradient(scores: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """The summed loss () of scores (T, V) and its gradient (T, V): probabilities less what they should be.

    By hand, since autograd would keep and fill three more tables of that size.
    """
    places = torch.arange(len(targets), device=targets.device)
    values = scores.float()
    total = torch.logsumexp(values, dim=-1)  # (T,)
    loss = (total - (1.0 - smoothing) * values[places, targets]).sum()
    if smoothing:
        loss = loss - smoothing * values.mean(dim=-1).sum()
    gradient = (values - total[:, None]).exp_()
    if smoothing:
        gradient -= smoothing / scores.shape[-1]
    gradient[places, targets] -= 1.0 - smoothing
    return loss, gradient.to(scores.dtype)


def guess_tokens(head: Head, hidden: Tensor, targets: Tensor, *, vocabulary: int) -> tuple[Tensor, Tensor]:
    """The cross-entropy of each token, without gradients, and whether it is the likeliest.

    Args:
        head: scores of the vocabulary for hidden states.
        hidden: (T, D).
        targets: (T,) int64 token ids.
        vocabulary: V.

    Returns:
        (T,) float32 and (T,) bool.
    """
    rows = max(1, MOST_SCORES // vocabulary)
    losses, hits = [hidden.new_zeros(0, dtype=torch.float32)], [targets.new_zeros(0, dtype=torch.bool)]
    with torch.no_grad():
        for piece, wanted in zip(hidden.split(rows), targets.split(rows), strict=True):
            scores = head(piece).float()
            losses.append(functional.cross_entropy(scores, wanted, reduction="none"))
            hits.append(scores.argmax(dim=-1) == wanted)
    return torch.cat(losses), torch.cat(hits)


def projected_token_losses(
    head: Head,
    parameters: Sequence[Tensor],
    hidden: Tensor,
    targets: Tensor,
    *,
    vocabulary: int,
    most_scores: int = MOST_SCORES,
) -> Tensor:
    """The cross-entropy of each token over the whole vocabulary, where each may get a gradient of its own.

    Those gradients are not known before the losses are used, so the scores of each piece are computed a second time on
    the way back: a fifth to a third more time than `projected_cross_entropy`, and as little memory.

    Args:
        head: scores of the vocabulary for hidden states.
        parameters: all that the head computes with.
        hidden: (T, D).
        targets: (T,) int64 token ids.
        vocabulary: V.
        most_scores: scores that may stand in memory at once.

    Returns:
        (T,) float32; float64 where the scores are.

    Example:
        >>> layer = torch.nn.Linear(4, 10)
        >>> states, wanted = torch.randn(6, 4), torch.arange(6)
        >>> parameters = list(layer.parameters())
        >>> each = projected_token_losses(layer, parameters, states, wanted, vocabulary=10, most_scores=20)
        >>> whole = projected_cross_entropy(layer, parameters, states, wanted, vocabulary=10)
        >>> each.shape, bool(torch.allclose(each.sum(), whole))
        (torch.Size([6]), True)
    """
    rows = max(1, most_scores // vocabulary)
    if len(hidden) <= rows:
        return _each_loss(head(hidden), targets)
    if not torch.is_grad_enabled():
        pieces = zip(hidden.split(rows), targets.split(rows), strict=True)
        return torch.cat([_each_loss(head(piece), wanted) for piece, wanted in pieces])
    losses: Tensor = _EachInPieces.apply(_Job(head, targets, 0.0, rows), hidden, *parameters)  # type: ignore[no-untyped-call]
    return losses


def _each_loss(scores: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(_wide(scores), targets, reduction="none")


def _wide(scores: Tensor) -> Tensor:
    return scores if scores.dtype == torch.float64 else scores.float()


@dataclass(frozen=True)
class _Job:
    """What is computed in pieces: the head, targets (T,), smoothing, tokens of a piece."""

    head: Head
    targets: Tensor
    smoothing: float
    rows: int


class _InPieces(torch.autograd.Function):
    """The sum over pieces, whose gradients are computed at once and kept."""

    @staticmethod
    def forward(context: Any, job: _Job, hidden: Tensor, *parameters: Tensor) -> Tensor:
        wanted = [parameter for parameter in parameters if parameter.requires_grad]
        of_hidden = torch.empty_like(hidden)
        of_parameters = [torch.zeros_like(parameter) for parameter in wanted]
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), job.rows):
            piece = hidden[start : start + job.rows].detach().requires_grad_()
            with torch.enable_grad():
                scores = job.head(piece)
            targets = job.targets[start : start + job.rows]
            loss, gradient = _loss_and_gradient(scores.detach(), targets, job.smoothing)
            found = torch.autograd.grad(scores, [piece, *wanted], gradient, allow_unused=True)
            of_hidden[start : start + job.rows] = found[0]
            for gradient, more in zip(of_parameters, found[1:], strict=True):
                if more is not None:
                    gradient += more
            total += loss
        context.save_for_backward(of_hidden, *of_parameters)
        context.needed = [parameter.requires_grad for parameter in parameters]
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        of_hidden, *of_parameters = context.saved_tensors
        found = iter(of_parameters)
        return (
            None,
            of_hidden * gradient.to(of_hidden.dtype),
            *(next(found) * gradient if needed else None for needed in context.needed),
        )


class _EachInPieces(torch.autograd.Function):
    """The loss of each token; the scores are computed again when its gradient is known."""

    @staticmethod
    def forward(context: Any, job: _Job, hidden: Tensor, *parameters: Tensor) -> Tensor:
        context.job = job
        context.parameters = parameters
        kind = hidden.device.type
        context.cast = (kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))
        context.save_for_backward(hidden)
        pieces = zip(hidden.split(job.rows), job.targets.split(job.rows), strict=True)
        return torch.cat([_each_loss(job.head(piece), wanted) for piece, wanted in pieces])

    @staticmethod
    def backward(context: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:
        (hidden,), job = context.saved_tensors, context.job
        wanted = [parameter for parameter in context.parameters if parameter.requires_grad]
        of_hidden = torch.empty_like(hidden)
        of_parameters = [torch.zeros_like(parameter) for parameter in wanted]
        for start in range(0, len(hidden), job.rows):
            here = slice(start, start + job.rows)
            piece = hidden[here].detach().requires_grad_()
            with torch.enable_grad(), torch.autocast(*context.cast):  # as it was on the way there
                scores = job.head(piece)
            gradient = _each_gradient(scores.detach(), job.targets[here], gradients[here])
            found = torch.autograd.grad(scores, [piece, *wanted], gradient, allow_unused=True)
            of_hidden[here] = found[0]
            for total, more in zip(of_parameters, found[1:], strict=True):
                if more is not None:
                    total += more
        given = iter(of_parameters)
        return (None, of_hidden, *(next(given) if p.requires_grad else None for p in context.parameters))


def _each_gradient(scores: Tensor, targets: Tensor, factors: Tensor) -> Tensor:
    """The gradient (T, V) of losses that count with factors (T,): probabilities less 1 at the target, times them."""
    gradient = _wide(scores).softmax(dim=-1)
    gradient[torch.arange(len(targets), device=targets.device), targets] -= 1.0
    return gradient.mul_(factors[:, None]).to(scores.dtype)
