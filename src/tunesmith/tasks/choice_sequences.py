"""A question and its choices as token ids: one sequence a choice, and what a model gives for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tunesmith.contracts import Batch, Context, Encoded
from tunesmith.tasks.token_sequences import encode_texts

_TRIES = 3
"""Tokens of a text that was cut need not be those it had before: so often the cut is mended."""


def encode_choices(
    asked: Sequence[tuple[str, str]],
    choices: Sequence[Sequence[str]],
    targets: Sequence[Any],
    context: Context,
    first_row: int,
) -> list[Encoded]:
    """Encode rows, each choice as a pair with what is asked.

    What is too long loses the end of its context, then the end of its question; a choice is cut only where it does not
    fit by itself. What is lost is counted once for each sequence it is missing in, as tokens are.

    Args:
        asked: context ("" for none) and question of each row.
        choices: one or more of each row.
        targets: what the task learns from each row.
        context: tokenizer and longest sequence.
        first_row: index of the first row.
    """
    pairs = [(first, choice) for first, row in zip(asked, choices, strict=True) for choice in row]
    parts = encode_texts([(_joined(*first), choice) for first, choice in pairs], [None] * len(pairs), context, 0)
    parts = [_mend(part, *pair, context) if part.cut_tokens else part for part, pair in zip(parts, pairs, strict=True)]
    items, start = [], 0
    for place, (row, target) in enumerate(zip(choices, targets, strict=True)):
        own = parts[start : start + len(row)]
        start += len(row)
        items.append(
            Encoded(
                sequences=tuple(part.sequences[0] for part in own),
                target=target,
                row=first_row + place,
                meta={"choices": tuple(row)},
                cut_tokens=sum(part.cut_tokens for part in own),
                segment_ids=tuple(part.segment_ids[0] for part in own if part.segment_ids),
            )
        )
    return items


def _joined(background: str, question: str) -> str:
    return f"{background} {question}" if background else question


def _mend(part: Encoded, asked: tuple[str, str], choice: str, context: Context) -> Encoded:
    """A pair that was cut anywhere, cut anew where it may be."""
    excess = part.cut_tokens
    whole = part.length_tokens + excess
    found = part
    for _ in range(_TRIES):
        first = _joined(*_shorten(asked, excess, context.tokenizer))
        found = encode_texts([(first, choice)], [None], context, 0)[0]
        if not found.cut_tokens:
            break
        excess += found.cut_tokens
    kept = found.length_tokens
    return Encoded(found.sequences, None, 0, cut_tokens=whole - kept, segment_ids=found.segment_ids)


def _shorten(asked: tuple[str, str], excess: int, tokenizer: Any) -> tuple[str, str]:
    """Context and question without so many tokens: of the context's end first; a token of the question stays."""
    background, question = asked
    ends = _ends(background, tokenizer)
    if excess < len(ends):
        return background[: ends[len(ends) - excess - 1]], question
    left = excess - len(ends)
    ends = _ends(question, tokenizer)
    if not left or not ends:
        return "", question
    return "", question[: ends[max(0, len(ends) - left - 1)]]


def _ends(text: str, tokenizer: Any) -> list[int]:
    """Where each token of a text ends, in characters."""
    if not text:
        return []
    options = {"add_special_tokens": False, "return_offsets_mapping": True, "verbose": False}
    return [end for _, end in tokenizer(text, **options)["offset_mapping"]]


def scores_by_item(scores: Tensor, batch: Batch) -> tuple[Tensor, ...]:
    """Scores (S, 1) of sequences → those of each item, (K,) each, in float32."""
    return torch.split(scores[:, 0].float(), count_choices(batch))


def count_choices(batch: Batch) -> list[int]:
    """How many sequences each item has."""
    return [len(item.sequences) for item in batch.items]
