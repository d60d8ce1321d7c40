"""From the outputs of a batch to the tag of each place: the likeliest one that keeps the rules of BIO."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from tunesmith.contracts import Batch, Labels, Outputs
from tunesmith.crf import FORBIDDEN, best_tags, marginals
from tunesmith.tasks.words import OUTSIDE

Answer = tuple[list[int], list[float]]
"""Tag ids and their probabilities, one a place."""


def tag_names(labels: Labels) -> list[str]:
    """O, then B and I of each type; their order is the order of the head's outputs.

    Example:
        >>> tag_names(Labels(("LOC", "PER")))
        ['O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER']
    """
    return [OUTSIDE, *(f"{prefix}-{name}" for name in labels.names for prefix in "BI")]


def bio_rules(labels: Labels) -> Tensor:
    """(C, C) scores of neighbouring tags: 0, or FORBIDDEN where an I has no entity of its type in front.

    Any tag may come first: a window may begin inside an entity.
    """
    names = tag_names(labels)
    rules = torch.zeros(len(names), len(names))
    for column, name in enumerate(names):
        if name.startswith("I-"):
            rules[:, column] = FORBIDDEN
            rules[[names.index(f"B-{name[2:]}"), column], column] = 0.0
    return rules


def gather_places(values: Tensor, batch: Batch) -> Tensor:
    """Rows of (T, C) at the places of all items, in order: (N, C)."""
    starts = batch.bounds.tolist()
    places = [start + place for start, item in zip(starts, batch.items, strict=False) for place in item.places]
    return values[torch.tensor(places, dtype=torch.int64, device=values.device)]


def pad_places(values: Tensor, counts: list[int]) -> tuple[Tensor, Tensor]:
    """Lay (N, C) out one item a row: (S, L, C), and the lengths (S,)."""
    padded = nn.utils.rnn.pad_sequence(list(values.split(counts)), batch_first=True)
    return padded, torch.tensor(counts, device=values.device)


def decode_tags(outputs: Outputs, batch: Batch, rules: Tensor) -> list[Answer]:
    """Choose the tags of each item.

    Args:
        outputs: logits (T, C), and of a CRF start (S, C) and transitions (S, C, C).
        batch: whose places are answered.
        rules: (C, C) what is added to the score of neighbouring tags.
    """
    logits = gather_places(outputs["logits"].detach().float(), batch)  # (N, C)
    counts = [len(item.places) for item in batch.items]
    filled = [count for count in counts if count]
    if not filled:
        return [([], []) for _ in counts]
    rules = rules.to(logits.device)
    if "transitions" in outputs:
        learnt = outputs["start"][0].detach().float(), outputs["transitions"][0].detach().float()
        padded, lengths = pad_places(logits, filled)
        tags = best_tags(padded, lengths, learnt[0], rules + learnt[1])
        shares = marginals(padded, lengths, *learnt)
        inside = torch.arange(tags.shape[1], device=tags.device) < lengths[:, None]
        tags, shares = tags[inside], shares[inside]  # (N,), (N, C)
    else:
        tags, shares = _mended(logits, filled, rules), logits.softmax(1)
    probabilities = shares.gather(1, tags[:, None])[:, 0]
    found = iter(zip(tags.split(filled), probabilities.split(filled), strict=True))
    pairs = [next(found) if count else None for count in counts]
    return [([], []) if pair is None else (pair[0].tolist(), pair[1].tolist()) for pair in pairs]


def _mended(logits: Tensor, counts: list[int], rules: Tensor) -> Tensor:
    """(N,) the likeliest tags; items whose tags break a rule are decoded again, with the rules."""
    tags = logits.argmax(1)
    ends = torch.tensor(list(itertools.accumulate(counts)), device=tags.device)
    broken = rules[tags[:-1], tags[1:]] < 0
    broken[ends[:-1] - 1] = False  # between two items
    if not bool(broken.any()):
        return tags
    items = torch.bucketize(broken.nonzero()[:, 0], ends, right=True).unique().tolist()
    pieces, log_shares = list(tags.split(counts)), list(logits.log_softmax(1).split(counts))
    padded, lengths = pad_places(torch.cat([log_shares[item] for item in items]), [counts[item] for item in items])
    best = best_tags(padded, lengths, torch.zeros_like(rules[0]), rules)
    for row, item in enumerate(items):
        pieces[item] = best[row, : counts[item]]
    return torch.cat(pieces)
