"""Texts → token ids, in bulk: cut to what the model takes, with a count of what did not fit, or in windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tunesmith.contracts import Context, Encoded

OVERLAP_SHARE = 0.25
"""Of a window, what it shares with its neighbour unless the user says otherwise."""


def encode_texts(
    texts: Sequence[tuple[str, ...]], targets: Sequence[Any], context: Context, first_row: int
) -> list[Encoded]:
    """Encode one text or a pair a row as one sequence, cut to the longest the model takes.

    Args:
        texts: one or two texts a row.
        targets: what the task learns from each row.
        context: tokenizer and longest sequence.
        first_row: index of the first row.
    """
    whole = _tokenize(texts, context)
    lengths = [len(ids) for ids in whole["input_ids"]]
    long = [place for place, length in enumerate(lengths) if length > context.max_tokens]
    if long:
        cut = _tokenize(
            [texts[place] for place in long], context, truncation="longest_first", max_length=context.max_tokens
        )
        for key, rows in cut.items():
            for place, values in zip(long, rows, strict=True):
                whole[key][place] = values
    return [
        Encoded(
            sequences=(ids,),
            target=target,
            row=first_row + place,
            cut_tokens=lengths[place] - len(ids),
            segment_ids=_types(whole, place),
        )
        for place, (ids, target) in enumerate(zip(whole["input_ids"], targets, strict=True))
    ]


def encode_windows(
    texts: Sequence[tuple[str, ...]], targets: Sequence[Any], context: Context, first_row: int
) -> list[Encoded]:
    """Encode as `encode_texts` does, but a text that is too long as several windows that overlap by a quarter.

    Each window is a part of its row and learns the row's target. Of a pair, the longer text is cut into windows and
    the other stands in each of them; a pair whose shorter text leaves no room is cut.
    """
    items: list[Encoded] = []
    for item, row in zip(encode_texts(texts, targets, context, first_row), texts, strict=True):
        items += _windows_of(item, row, context) if item.cut_tokens else [item]
    return items


def _windows_of(item: Encoded, row: tuple[str, ...], context: Context) -> Iterator[Encoded]:
    bare = [len(ids) for ids in context.tokenizer(list(row), add_special_tokens=False, verbose=False)["input_ids"]]
    long = bare.index(max(bare))
    special = len(item.sequences[0]) + item.cut_tokens - sum(bare)
    room = context.max_tokens - special - (sum(bare) - bare[long])
    if room < 8:  # windows of a few tokens would cut the text to shreds
        yield item
        return
    found = context.tokenizer(
        *row,
        truncation=("only_first", "only_second")[long],
        max_length=context.max_tokens,
        stride=int(room * OVERLAP_SHARE),
        return_overflowing_tokens=True,
        return_attention_mask=False,
        verbose=False,
    )
    for part, ids in enumerate(found["input_ids"]):
        yield Encoded((ids,), item.target, item.row, part, segment_ids=_types(found, part))


def _types(encoded: Any, place: int) -> tuple[list[int], ...]:
    return (encoded["token_type_ids"][place],) if "token_type_ids" in encoded else ()


def _tokenize(texts: Sequence[tuple[str, ...]], context: Context, **options: Any) -> dict[str, list[list[int]]]:
    """Call the tokenizer on texts and pairs; a batch that mixes them is done in two calls."""
    widths = {len(row) for row in texts}
    if len(widths) <= 1:
        if not texts:
            return {"input_ids": []}
        columns = [list(column) for column in zip(*texts, strict=True)]
        found = context.tokenizer(*columns, return_attention_mask=False, verbose=False, **options)
        return {key: list(value) for key, value in found.items()}
    singles = [place for place, row in enumerate(texts) if len(row) == 1]
    pairs = [place for place, row in enumerate(texts) if len(row) == 2]
    parts = [(places, _tokenize([texts[p] for p in places], context, **options)) for places in (singles, pairs)]
    merged: dict[str, list[list[int]]] = {key: [[] for _ in texts] for key in parts[0][1]}
    for places, part in parts:
        for key, rows in part.items():
            for place, values in zip(places, rows, strict=True):
                merged[key][place] = values
    return merged
