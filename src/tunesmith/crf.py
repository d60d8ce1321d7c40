"""A linear-chain conditional random field over the tags of a sequence (Lafferty, McCallum and Pereira 2001).

The score of tags y for emissions e is start[y₁] + Σ e[t, y_t] + Σ transition[y_{t−1}, y_t]. All functions take several
sequences padded to one length; computed in float32, whatever precision the emissions come in.

Letters in shapes: S sequences, L longest sequence, C tags.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FORBIDDEN = -1e4
"""Score of a transition that cannot be; finite, so that a sequence with no way through still has a best one."""


class TransitionScores(nn.Module):
    """What a CRF learns beside the emissions.

    Args:
        tags: C, number of tags.

    Attributes:
        start: (C,) score of a tag that begins a sequence.
        transitions: (C, C) score of going from one tag (row) to the next (column).
    """

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(tags))
        self.transitions = nn.Parameter(torch.zeros(tags, tags))


def negative_log_likelihood(
    emissions: Tensor, targets: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor
) -> Tensor:
    """−log p(targets | emissions) of each sequence.

    Args:
        emissions: (S, L, C).
        targets: (S, L) int64; what stands behind a sequence's end is ignored.
        lengths: (S,) tokens of each sequence, 1 … L.
        start: (C,).
        transitions: (C, C).

    Returns:
        (S,) float32.

    Example:
        >>> flat = negative_log_likelihood(torch.zeros(1, 2, 3), torch.tensor([[0, 1]]), torch.tensor([2]),
        ...                                torch.zeros(3), torch.zeros(3, 3))
        >>> round(float(flat), 4)  # log of 3 · 3 tag sequences
        2.1972
    """
    emissions = emissions.float()
    valid = _valid(emissions, lengths)
    chosen = emissions.gather(2, targets[..., None])[..., 0]  # (S, L)
    score = start[targets[:, 0]] + (chosen * valid).sum(1)
    score = score + (transitions[targets[:, :-1], targets[:, 1:]] * valid[:, 1:]).sum(1)
    return _forward(emissions, valid, start, transitions)[-1].logsumexp(1) - score


def best_tags(emissions: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor) -> Tensor:
    """The tag sequence with the highest score (Viterbi 1967).

    Args:
        emissions: (S, L, C).
        lengths: (S,) tokens of each sequence, 1 … L.
        start: (C,).
        transitions: (C, C).

    Returns:
        (S, L) int64; what stands behind a sequence's end means nothing.

    Example:
        >>> emissions = torch.tensor([[[0.0, 1.0], [0.6, 0.0]]])
        >>> stay = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> best_tags(emissions, torch.tensor([2]), torch.zeros(2), stay).tolist()
        [[1, 1]]
    """
    emissions = emissions.float()
    valid = _valid(emissions, lengths)
    stay = torch.arange(emissions.shape[2], device=emissions.device).expand(len(emissions), -1)
    score = start + emissions[:, 0]  # (S, C)
    back = []
    for place in range(1, emissions.shape[1]):
        best, came_from = (score[:, :, None] + transitions).max(1)  # (S, C)
        inside = valid[:, place, None]
        score = torch.where(inside, best + emissions[:, place], score)
        back.append(torch.where(inside, came_from, stay))
    tag = score.argmax(1)
    tags = [tag]
    for came_from in reversed(back):
        tag = came_from.gather(1, tag[:, None])[:, 0]
        tags.append(tag)
    return torch.stack(tags[::-1], 1)


def marginals(emissions: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor) -> Tensor:
    """p(tag at each place | emissions), by the forward–backward algorithm (Rabiner 1989).

    Args:
        emissions: (S, L, C).
        lengths: (S,) tokens of each sequence, 1 … L.
        start: (C,).
        transitions: (C, C).

    Returns:
        (S, L, C) float32; each row within a sequence sums to 1.

    Example:
        >>> marginals(torch.zeros(1, 2, 2), torch.tensor([2]), torch.zeros(2), torch.zeros(2, 2)).tolist()
        [[[0.5, 0.5], [0.5, 0.5]]]
    """
    emissions = emissions.float()
    valid = _valid(emissions, lengths)
    forward = _forward(emissions, valid, start, transitions)
    behind = [torch.zeros_like(emissions[:, 0])]
    for place in range(emissions.shape[1] - 1, 0, -1):
        following = (behind[-1] + emissions[:, place])[:, None, :] + transitions
        behind.append(torch.where(valid[:, place, None], following.logsumexp(2), behind[-1]))
    return (torch.stack(forward, 1) + torch.stack(behind[::-1], 1)).softmax(2)


def _valid(emissions: Tensor, lengths: Tensor) -> Tensor:
    return torch.arange(emissions.shape[1], device=emissions.device) < lengths[:, None].to(emissions.device)


def _forward(emissions: Tensor, valid: Tensor, start: Tensor, transitions: Tensor) -> list[Tensor]:
    """L tensors (S, C): log of the summed scores of all ways to each tag; carried on behind a sequence's end."""
    scores = [start + emissions[:, 0]]
    for place in range(1, emissions.shape[1]):
        step = (scores[-1][:, :, None] + transitions).logsumexp(1) + emissions[:, place]
        scores.append(torch.where(valid[:, place, None], step, scores[-1]))
    return scores
