"""Conversations as token ids; only what the assistant says is asked for.

A conversation is cut into tokens up to where each of the assistant's turns begins, and only then goes on. So what is
learnt of a turn stands behind the very tokens that it will be written from; where the tokens of the whole text begin
with those, which is the rule, they are the tokens of the whole text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tunesmith.contracts import IGNORED, Context, Encoded
from tunesmith.errors import ModelError
from tunesmith.guessing import find_asked
from tunesmith.model import Model, evaluating
from tunesmith.packing import pack, sorted_runs
from tunesmith.projection import guess_tokens
from tunesmith.tasks.chat_rows import ASSISTANT, USER, awaits_reply, drop_oldest
from tunesmith.tasks.chat_templates import Written, write_conversation

PROMPT = "prompt_tokens"
"""Key of `Encoded.meta`: how many tokens a reply is written from; 0 where none is to be written."""
UNREAD = "unread_tokens"
"""Key of `Encoded.meta`: tokens of an answer whose question the model cannot read."""
BATCH_TOKENS = 8192

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Tokens:
    """A conversation as tokens.

    Attributes:
        ids: all of them.
        turns: first and last but one of the tokens of each of the assistant's turns.
    """

    ids: list[int]
    turns: tuple[tuple[int, int], ...]

    @property
    def said(self) -> int:
        """How many tokens are the assistant's."""
        return sum(end - start for start, end in self.turns)


def tokenise(tokenizer: Any, written: Sequence[Written]) -> list[Tokens]:
    """Cut conversations into tokens, as the head of this file says."""
    if not written:
        return []
    texts = [one.text[:end] for one in written for end in (*one.starts, len(one.text))]
    found = iter(zip(*_cut(tokenizer, texts), strict=True))
    return [_join(tokenizer, one, [next(found) for _ in range(len(one.starts) + 1)]) for one in written]


def _cut(tokenizer: Any, texts: Sequence[str]) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of texts, and the first character of each token."""
    found = tokenizer(
        list(texts),
        add_special_tokens=False,
        return_attention_mask=False,
        return_offsets_mapping=True,
        verbose=False,
    )
    return found["input_ids"], [[start for start, _ in offsets] for offsets in found["offset_mapping"]]


def _join(tokenizer: Any, written: Written, found: Sequence[tuple[list[int], list[int]]]) -> Tokens:
    ids, places, begins, done = list[int](), list[int](), list[int](), 0
    for end, (whole, starts) in zip((*written.starts, len(written.text)), found, strict=True):
        if whole[: len(ids)] == ids:
            more, at = whole[len(ids) :], starts[len(ids) :]
        else:  # a token reaches over the place where a reply begins
            ((more,), (at,)) = _cut(tokenizer, [written.text[done:end]])
            at = [done + start for start in at]
        ids, places, done = [*ids, *more], [*places, *at], end
        begins.append(len(ids))
    turns = [
        (first, next((k for k in range(first, len(ids)) if places[k] >= end), len(ids)))
        for first, end in zip(begins, written.ends, strict=False)
    ]
    return Tokens(ids, tuple(turns))


def encode_chats(chats: Sequence[Messages], context: Context, most_new: int, first_row: int) -> list[Encoded]:
    """Encode conversations; one that is too long loses its oldest exchanges, then the end of its last answer.

    Args:
        chats: conversations.
        context: tokenizer with a template, longest sequence.
        most_new: longest reply, which room is kept for where one is awaited.
        first_row: index of the first row.

    Raises:
        ModelError: the template cannot write a conversation.
    """
    tokenizer = context.tokenizer
    written = []
    for place, messages in enumerate(chats):
        try:
            written.append(write_conversation(tokenizer, messages))
        except ModelError as error:
            raise ModelError(f"conversation {first_row + place + 1}: {error.message}", fix=error.fix) from error
    return [
        _fit(messages, tokens, context, most_new, first_row + place)
        for place, (messages, tokens) in enumerate(zip(chats, tokenise(tokenizer, written), strict=True))
    ]


def _fit(messages: Messages, tokens: Tokens, context: Context, most_new: int, row: int) -> Encoded:
    is_open = awaits_reply(messages)
    limit = context.max_tokens - (min(most_new, context.max_tokens // 2) if is_open else 0)
    whole, kept, left = len(tokens.ids), tokens, list(messages)
    while len(kept.ids) > limit and (fewer := drop_oldest(left)) is not None:
        left = list(fewer)
        (kept,) = tokenise(context.tokenizer, [write_conversation(context.tokenizer, left)])
    ids = kept.ids[:limit]
    cut = whole - len(ids)
    needed = len(kept.ids) if is_open else kept.turns[-1][0] + 1
    asked = None if not tokens.turns else tuple(_ask(ids, kept.turns))
    if needed <= limit:
        return Encoded((ids,), asked, row, meta={PROMPT: len(ids) if is_open else 0, UNREAD: 0}, cut_tokens=cut)
    question = next(turn["content"] for turn in reversed(left) if turn["role"] == USER)
    lost = f"to conversation {row + 1}, whose last question alone is too long ({question[:30]!r} …)"
    nothing = None if asked is None else (IGNORED,) * len(ids)
    meta = {PROMPT: 0, UNREAD: kept.said}
    return Encoded((ids,), nothing, row, meta=meta, cut_tokens=cut, lost=(lost,))


def _ask(ids: Sequence[int], turns: Sequence[tuple[int, int]]) -> list[int]:
    """What is asked for at each token: the next one, where that is the assistant's."""
    asked = [IGNORED] * len(ids)
    for start, end in turns:
        for place in range(max(1, start), min(end, len(ids))):
            asked[place - 1] = ids[place]
    return asked


def measure_turns(model: Model, items: Sequence[Encoded]) -> list[tuple[float, int, int]]:
    """How well the assistant's turns of each item are foreseen: summed loss, tokens, likeliest ones among them."""
    found = [(0.0, 0, 0)] * len(items)
    places = [place for place, item in enumerate(items) if any(t != IGNORED for t in item.target or ())]
    with evaluating(model), torch.inference_mode():
        for run in sorted_runs([items[place].length_tokens for place in places], BATCH_TOKENS):
            chosen = [places[index] for index in run]
            batch = pack([[items[place]] for place in chosen], model.device)
            asked, targets = find_asked(batch, model.device)
            hidden = model.trunk(batch).index_select(0, asked)
            losses, hits = guess_tokens(model.token_logits, hidden, targets, vocabulary=model.vocabulary_size)
            counts = [sum(t != IGNORED for t in items[place].target) for place in chosen]
            parts = zip(chosen, losses.double().split(counts), hits.split(counts), strict=True)
            for place, own, right in parts:
                found[place] = (float(own.sum()), len(own), int(right.sum()))
    return found


def find_end(tokenizer: Any) -> int:
    """The token that ends the assistant's turns.

    Raises:
        ModelError: the template ends them with no special token, so that a reply would never end.
    """
    probe = [{"role": USER, "content": "a"}, {"role": ASSISTANT, "content": "b"}]
    (tokens,) = tokenise(tokenizer, [write_conversation(tokenizer, probe)])
    last = tokens.ids[tokens.turns[-1][1] - 1]
    if last in tokenizer.all_special_ids or last in tokenizer.added_tokens_decoder:
        return int(last)
    raise ModelError(
        "the chat template ends what the assistant says with no token of its own, so that a reply would never end",
        fix="write {{ eos_token }} behind the assistant's content in task.template",
    )
