"""Texts → token ids, in bulk, with a count of what did not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunesmith.contracts import Context, Encoded


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
    short = _tokenize(texts, context, cut=False)
    long = [place for place, ids in enumerate(short["input_ids"]) if len(ids) > context.max_tokens]
    lengths = [len(ids) for ids in short["input_ids"]]
    if long:
        cut = _tokenize([texts[place] for place in long], context, cut=True)
        for key, rows in cut.items():
            for place, values in zip(long, rows, strict=True):
                short[key][place] = values
    types = short.get("token_type_ids")
    return [
        Encoded(
            sequences=(ids,),
            target=target,
            row=first_row + place,
            cut_tokens=lengths[place] - len(ids),
            segment_ids=() if types is None else (types[place],),
        )
        for place, (ids, target) in enumerate(zip(short["input_ids"], targets, strict=True))
    ]


def _tokenize(texts: Sequence[tuple[str, ...]], context: Context, cut: bool) -> dict[str, list[list[int]]]:
    """Call the tokenizer on texts and pairs; a batch that mixes them is done in two calls."""
    options: dict[str, Any] = {"return_attention_mask": False, "verbose": False}
    if cut:
        options |= {"truncation": "longest_first", "max_length": context.max_tokens}
    widths = {len(row) for row in texts}
    if len(widths) <= 1:
        columns = [list(column) for column in zip(*texts, strict=True)]
        return (
            {key: list(value) for key, value in context.tokenizer(*columns, **options).items()}
            if texts
            else {"input_ids": []}
        )
    singles = [place for place, row in enumerate(texts) if len(row) == 1]
    pairs = [place for place, row in enumerate(texts) if len(row) == 2]
    found = [(places, _tokenize([texts[p] for p in places], context, cut)) for places in (singles, pairs)]
    merged: dict[str, list[list[int]]] = {key: [[] for _ in texts] for key in found[0][1]}
    for places, part in found:
        for key, rows in part.items():
            for place, values in zip(places, rows, strict=True):
                merged[key][place] = values
    return merged
