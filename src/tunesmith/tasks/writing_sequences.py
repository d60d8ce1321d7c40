"""A text and what is written from it as token ids: apart for an encoder with a decoder, in one row for a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tunesmith.contracts import IGNORED, Batch, Context, Encoded
from tunesmith.guessing import find_asked
from tunesmith.model import Model
from tunesmith.packing import split_sequences

PROMPT = "prompt_tokens"
"""Key of `Encoded.meta`: how many tokens are given; those behind them are written."""


@dataclass(frozen=True)
class Layout:
    """How a text becomes a prompt.

    Attributes:
        separator: between a prompt and its answer, where one decoder has both in a row.
        most_tokens: longest answer.
    """

    separator: str
    most_tokens: int


def encode_writing(
    texts: Sequence[str], targets: Sequence[str | None], context: Context, layout: Layout, first_row: int
) -> list[Encoded]:
    """Encode rows; a text that is too long loses its end, and so does an answer; both are counted.

    Args:
        texts: what is read.
        targets: what is to be written; None where it is not known.
        context: tokenizers, longest sequence, kind of trunk.
        layout: how a text becomes a prompt.
        first_row: index of the first row.
    """
    if not texts:
        return []
    encode = _encode_apart if context.trunk_kind == "encoder-decoder" else _encode_in_a_row
    return encode(texts, targets, context, layout, first_row)


def _encode_apart(
    texts: Sequence[str], targets: Sequence[str | None], context: Context, layout: Layout, first_row: int
) -> list[Encoded]:
    tokenizer = context.tokenizer
    limit = min(layout.most_tokens, context.max_tokens)
    items = []
    written = _written_ids(targets, context.target_tokenizer, whole=True)
    for place, (ids, target) in enumerate(zip(_ids(tokenizer, texts), written, strict=True)):
        ends = ids[-1:] if ids[-1] == tokenizer.eos_token_id else []
        read = ids if len(ids) <= context.max_tokens else [*ids[: context.max_tokens - len(ends)], *ends]
        cut = len(ids) - len(read)
        if target is None:
            items.append(Encoded((read,), None, first_row + place, meta={PROMPT: len(read)}, cut_tokens=cut))
            continue
        kept, lost = target[:limit], max(0, len(target) - limit)
        items.append(
            Encoded((read, kept), tuple(kept), first_row + place, meta={PROMPT: len(read)}, cut_tokens=cut + lost)
        )
    return items


def _encode_in_a_row(
    texts: Sequence[str], targets: Sequence[str | None], context: Context, layout: Layout, first_row: int
) -> list[Encoded]:
    tokenizer = context.tokenizer
    between = tokenizer(layout.separator, add_special_tokens=False)["input_ids"] if layout.separator else []
    room = context.max_tokens - min(layout.most_tokens, context.max_tokens // 2) - len(between)
    items = []
    for place, (ids, target) in enumerate(
        zip(_ids(tokenizer, texts), _written_ids(targets, tokenizer, whole=False), strict=True)
    ):
        bare = ids[:-1] if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id else ids
        prompt = [*bare[:room], *between]
        cut = max(0, len(bare) - room)
        if target is None:
            items.append(Encoded((prompt,), None, first_row + place, meta={PROMPT: len(prompt)}, cut_tokens=cut))
            continue
        limit = min(layout.most_tokens, context.max_tokens - len(prompt))
        kept, lost = target[:limit], max(0, len(target) - limit)
        asked = (*([IGNORED] * (len(prompt) - 1)), *kept, IGNORED)  # each token is asked for at the one before it
        items.append(
            Encoded(([*prompt, *kept],), asked, first_row + place, meta={PROMPT: len(prompt)}, cut_tokens=cut + lost)
        )
    return items


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    found = tokenizer(list(texts), return_attention_mask=False, verbose=False)["input_ids"]
    start = [token for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, 0) if token is not None][:1]
    return [list(ids) or start for ids in found]  # a text may have no token at all


def _written_ids(targets: Sequence[str | None], tokenizer: Any, *, whole: bool) -> list[list[int] | None]:
    """Ids of what is written, ended by the token that ends; `whole`: with what the tokenizer puts in front."""
    known = [target for target in targets if target is not None]
    if not known:
        return [None] * len(targets)
    end = tokenizer.eos_token_id
    found = iter(tokenizer(known, add_special_tokens=whole, return_attention_mask=False, verbose=False)["input_ids"])
    return [None if target is None else _ended(list(next(found)), end) for target in targets]


def _ended(ids: list[int], end: int | None) -> list[int]:
    return ids if end is None or ids[-1:] == [end] else [*ids, end]


def prompt_of(item: Encoded) -> list[int]:
    """Token ids that an answer is written from."""
    return item.sequences[0][: item.meta[PROMPT]]


def asked_states(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    """Hidden states where something is to be written, and the tokens that are right there: (N, D) and (N,)."""
    if not model.has_decoder:
        places, targets = find_asked(batch, model.device)
        return model.trunk(batch).index_select(0, places), targets
    hidden, written = written_states(model, batch)
    return hidden, torch.cat(written)


def written_states(model: Model, batch: Batch) -> tuple[Tensor, list[Tensor]]:
    """Of a model with encoder and decoder: hidden states (N, D) where something is written, and the ids of each text.

    Args:
        model: with encoder and decoder.
        batch: sequences that are read and written in turns.
    """
    sequences = split_sequences(batch)
    begin = model.hf.config.decoder_start_token_id
    written = [ids[1:] if len(ids) > 1 and int(ids[0]) == begin else ids for ids in sequences[1::2]]
    return model.written(sequences[0::2], written), written
