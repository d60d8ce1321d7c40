"""Losses of vectors: near what belongs together, far from the rest. Sums over the rows of a batch.

All are computed in float32 and outside autocast: a product of 16 bits is off by some thousandths, which a temperature
of 0.05 makes twenty times as much.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tunesmith.contracts import Encoded


def contrastive_loss(
    anchors: Tensor, candidates: Tensor, positive: Tensor, ignored: Tensor, temperature: float
) -> Tensor:
    """The cost of telling each anchor's positives from all other candidates.

    With s the cosines divided by the temperature, anchor i costs the mean over its positives p of
    -s_ip + log Σ_c exp(s_ic), c running over all candidates that are not ignored. With one positive this is
    multiple-negatives ranking (Henderson et al. 2017), or InfoNCE (van den Oord et al. 2018); with several, L_out of
    supervised contrastive learning (Khosla et al. 2020, equation 2).

    Args:
        anchors: (A, D).
        candidates: (C, D).
        positive: (A, C) which candidates belong to which anchor.
        ignored: (A, C) what is no candidate for an anchor: itself, and what might belong to it.
        temperature: above 0; the smaller, the more the nearest wrong candidates count.

    Returns:
        (A,) costs; 0 for an anchor without a positive.

    Example:
        >>> same = torch.ones(1, 2)
        >>> loss = contrastive_loss(same, same.repeat(4, 1), torch.tensor([[True, False, False, False]]),
        ...                         torch.zeros(1, 4, dtype=torch.bool), 0.05)
        >>> round(float(loss), 4)  # log 4
        1.3863
    """
    with torch.autocast(anchors.device.type, enabled=False):
        units = functional.normalize(anchors.float(), dim=-1), functional.normalize(candidates.float(), dim=-1)
        scores = (units[0] @ units[1].T / temperature).masked_fill(ignored, float("-inf"))  # (A, C)
        wanted = positive & ~ignored
        costs = torch.where(wanted, -scores, 0.0).sum(dim=1)
        counts = wanted.sum(dim=1)
        has_any = counts > 0
        # an anchor whose candidates are all ignored would give -inf here and NaN in its gradient
        total = scores.masked_fill(~has_any[:, None], 0.0).logsumexp(dim=1)
        return torch.where(has_any, costs / counts.clamp_min(1) + total, 0.0)


def margin_loss(anchors: Tensor, positives: Tensor, negatives: Tensor, margin: float) -> Tensor:
    """The triplet loss on cosines: max(0, margin + cos(a, n) - cos(a, p)) (Schroff et al. 2015, equation 2).

    Args:
        anchors: (B, D); positives and negatives likewise.
        positives: what belongs to each.
        negatives: what does not.
        margin: how much nearer the positive must be, in cosine.

    Returns:
        (B,) costs.
    """
    return (margin + cosines(anchors, negatives) - cosines(anchors, positives)).clamp_min(0.0)


def cosines(ones: Tensor, others: Tensor) -> Tensor:
    """The cosine of each pair: (B, D), (B, D) → (B,) float32."""
    with torch.autocast(ones.device.type, enabled=False):
        return (functional.normalize(ones.float(), dim=-1) * functional.normalize(others.float(), dim=-1)).sum(dim=-1)


def in_batch_loss(vectors: Sequence[Tensor], items: Sequence[Encoded], temperature: float) -> Tensor:
    """The summed cost of one group of pairs or triplets: each first text against all second and third texts.

    Pairs are directed, from the first text to the second. A second or third text of another row is left out for a row
    where it is the row's own first text, or belongs to that text in any training row (`meta["known"]`) or row here.

    Args:
        vectors: (2, D) or (3, D) of each item.
        items: the group.
        temperature: see `contrastive_loss`.

    Returns:
        The sum, shape ().
    """
    asked = [tuple(item.sequences[0]) for item in items]
    partners = [tuple(item.sequences[1]) for item in items]
    wrong = [(row, tuple(item.sequences[2])) for row, item in enumerate(items) if len(item.sequences) > 2]
    texts = [*partners, *(text for _, text in wrong)]
    count, device = len(items), vectors[0].device
    positive = torch.eye(count, len(texts), dtype=torch.bool)
    known = [
        {
            asked[row],
            *items[row].meta.get("known", ()),
            *(partners[other] for other in range(count) if asked[other] == asked[row]),
        }
        for row in range(count)
    ]
    ignored = torch.tensor([[text in known[row] for text in texts] for row in range(count)]) & ~positive
    anchors = torch.stack([one[0] for one in vectors])
    candidates = torch.stack([*(one[1] for one in vectors), *(vectors[row][2] for row, _ in wrong)])
    return contrastive_loss(anchors, candidates, positive.to(device), ignored.to(device), temperature).sum()


def labelled_loss(vectors: Sequence[Tensor], items: Sequence[Encoded], temperature: float) -> Tensor:
    """The summed cost of one group of labelled texts: each against all others, those of its label being right.

    A row is the mean over its texts: itself and, in training, another one of its label. The same text under another
    label is left out.

    Args:
        vectors: (1, D) or (2, D) of each item.
        items: the group; targets are labels.
        temperature: see `contrastive_loss`.

    Returns:
        The sum, shape ().
    """
    texts = [tuple(sequence) for item in items for sequence in item.sequences]
    labels = [item.target for item in items for _ in item.sequences]
    shares = torch.tensor([1.0 / len(item.sequences) for item in items for _ in item.sequences])
    alike, same = _equal(labels), _equal(texts)
    itself = torch.eye(len(texts), dtype=torch.bool)
    every = torch.cat(list(vectors))
    ignored = (itself | (same & ~alike)).to(every.device)
    costs = contrastive_loss(every, every, (alike & ~itself).to(every.device), ignored, temperature)
    return (costs * shares.to(every.device)).sum()


def _equal(values: Sequence[object]) -> Tensor:
    """(N, N) which values are the same."""
    numbers: dict[object, int] = {}
    found = torch.tensor([numbers.setdefault(value, len(numbers)) for value in values])
    return found[:, None] == found[None, :]
