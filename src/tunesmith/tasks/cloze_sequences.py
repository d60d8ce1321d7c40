"""Clozes: a wording hides the word of a label behind mask tokens, and a masked language model says how well it fits.

A word of several tokens gets as many masks, all hidden at once, and the log-probabilities of its tokens add up. So an
item has one sequence for each number of tokens that some word has.

Letters in shapes: I items, M masks of an item over all its sequences, P tokens of all words, C labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from tunesmith.contracts import Batch, Context, Encoded
from tunesmith.errors import ConfigError
from tunesmith.model import Model
from tunesmith.projection import MOST_SCORES
from tunesmith.tasks.languages import is_chinese
from tunesmith.tasks.prompt_texts import MASK, Filled, count_tokens, fill, places_in, shorten_fields

MASKS = "masks"
"""Key of `Encoded.meta`: places of the masks in each sequence."""

USUAL_CLOZE = {"en": "{text} This text is about {mask}.", "zh": "{text}这段文字是关于{mask}的。"}
"""The wording where nobody gave one, by the language of the labels."""


@dataclass(frozen=True)
class Verbaliser:
    """Words of labels as token ids.

    Attributes:
        words: token ids of each word of each label.
        sizes: numbers of tokens that some word has, ascending; an item has one sequence for each.
    """

    words: tuple[tuple[tuple[int, ...], ...], ...]
    sizes: tuple[int, ...]

    @property
    def masks(self) -> int:
        """M."""
        return sum(self.sizes)


def usual_cloze(labels: Iterable[str]) -> str:
    """The wording where nobody gave one.

    Example:
        >>> usual_cloze(["体育", "财经"])
        '{text}这段文字是关于{mask}的。'
    """
    return USUAL_CLOZE["zh" if is_chinese(labels) else "en"]


def make_verbaliser(tokenizer: Any, wording: str, words: Mapping[str, Sequence[str]]) -> Verbaliser:
    """Token ids of words as they stand in a wording.

    Args:
        tokenizer: a fast tokenizer.
        wording: with `{mask}`.
        words: of each label, at least one.

    Raises:
        ConfigError: the tokenizer hides nothing, lacks a word, or cannot tell two labels apart.
    """
    if tokenizer.mask_token is None:
        raise ConfigError("this model's tokenizer has no mask token", fix="take a masked language model such as BERT")
    found = {
        label: tuple(word_ids(tokenizer, wording, word, label) for word in chosen) for label, chosen in words.items()
    }
    refuse_same_words(tokenizer, found)
    sizes = sorted({len(word) for ids in found.values() for word in ids})
    return Verbaliser(tuple(found.values()), tuple(sizes))


def word_ids(tokenizer: Any, wording: str, word: str, label: str) -> tuple[int, ...]:
    """Token ids of a word where `{mask}` stands.

    Raises:
        ConfigError: the vocabulary lacks it.
    """
    filled = fill(wording, {"text": "", "text_b": "", MASK: word})
    found, places = slot_places(tokenizer, filled)
    chosen = tuple(found["input_ids"][place] for place in places)
    refuse_unknown_word(tokenizer, chosen, word, label)
    return chosen


def refuse_unknown_word(tokenizer: Any, ids: Sequence[int], word: str, label: str) -> None:
    """Raise ConfigError where a word has no tokens, or one that stands for anything unknown."""
    if not ids or (tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids):
        raise ConfigError(
            f"label {label!r}: the vocabulary of this model lacks the word {word!r}",
            fix=f"give other words for it in the template file: {label}: [word, word]",
        )


def refuse_same_words(tokenizer: Any, words: Mapping[str, Sequence[tuple[int, ...]]]) -> None:
    """Raise ConfigError where words of two labels have the same token ids."""
    owners: dict[tuple[int, ...], str] = {}
    for label, ids in words.items():
        for word in ids:
            if owners.setdefault(word, label) != label:
                said = tokenizer.decode(list(word))
                message = f"to this model the labels {owners[word]!r} and {label!r} have the same word, {said!r}"
                raise ConfigError(message, fix="give them different words")


def slot_places(tokenizer: Any, filled: Filled) -> tuple[dict[str, Any], list[int]]:
    """What the tokenizer makes of a filled wording, and the places of the tokens in its slot."""
    found = tokenizer(filled.text, return_offsets_mapping=True, return_attention_mask=False, verbose=False)
    assert filled.slot is not None
    return found, places_in(found["offset_mapping"], filled.slot)


def encode_clozes(
    texts: Sequence[Mapping[str, str]],
    wording: str,
    context: Context,
    verbaliser: Verbaliser,
    *,
    fronts: Sequence[str] = (),
    targets: Sequence[Any] = (),
    first_row: int = 0,
) -> list[Encoded]:
    """Fill texts into a wording, masks in place of words; what is too long loses the end of its texts.

    Args:
        texts: of each row by placeholder.
        wording: with `{mask}`.
        context: tokenizer and longest sequence.
        verbaliser: how many masks are wanted.
        fronts: what stands in front of each filled wording, such as examples; default: nothing.
        targets: what the task learns from each row; default: nothing.
        first_row: index of the first row.

    Raises:
        ConfigError: the wording leaves no room for a text.
    """
    items = []
    for place, fields in enumerate(texts):
        front = fronts[place] if fronts else ""
        kept = fit_cloze(fields, wording, context, verbaliser, front)
        parts = [_encode_one(front, kept, wording, context.tokenizer, size) for size in verbaliser.sizes]
        sequences, types, masks = zip(*parts, strict=True)
        items.append(
            Encoded(
                sequences=sequences,
                target=targets[place] if targets else None,
                row=first_row + place,
                meta={MASKS: masks},
                cut_tokens=0 if kept == dict(fields) else _lost_tokens(fields, kept, context.tokenizer),
                segment_ids=types if types[0] is not None else (),
            )
        )
    return items


def fit_cloze(
    fields: Mapping[str, str], wording: str, context: Context, verbaliser: Verbaliser, front: str = ""
) -> dict[str, str]:
    """The texts, cut so that the wording with the most masks fits behind what stands in front."""
    masks = context.tokenizer.mask_token * verbaliser.sizes[-1]

    def render(some: Mapping[str, str]) -> str:
        return front + fill(wording, {**some, MASK: masks}).text

    return shorten_fields(fields, context.tokenizer, render, context.max_tokens)


def _lost_tokens(fields: Mapping[str, str], kept: Mapping[str, str], tokenizer: Any) -> int:
    return sum(count_tokens(tokenizer, fields[name]) - count_tokens(tokenizer, kept[name]) for name in fields)


def _encode_one(front: str, fields: Mapping[str, str], wording: str, tokenizer: Any, size: int) -> tuple[Any, Any, Any]:
    """Token ids, token types or None, and places of the masks."""
    filled = fill(wording, {**fields, MASK: tokenizer.mask_token * size})
    assert filled.slot is not None
    start, end = filled.slot
    shifted = Filled(front + filled.text, (len(front) + start, len(front) + end))
    found, places = slot_places(tokenizer, shifted)
    return found["input_ids"], found.get("token_type_ids"), tuple(places)


def score_labels(model: Model, batch: Batch, verbaliser: Verbaliser) -> Tensor:
    """How likely the words of each label are behind the masks.

    Args:
        model: with a masked-LM head.
        batch: of items of `encode_clozes`.
        verbaliser: the same.

    Returns:
        (I, C), in nats: of each word the sum of the log-probabilities of its tokens, of several words their mean.
    """
    hidden = model.trunk(batch).index_select(0, _mask_places(batch).to(model.device))  # (I * M, D)
    table = _Table.of(verbaliser)
    tokens = torch.tensor(table.tokens, device=hidden.device)  # (P,)
    likely = torch.cat([_log_probabilities(model, piece, tokens) for piece in hidden.split(_rows_at_once(model))])
    likely = likely.view(-1, verbaliser.masks, len(tokens))  # (I, M, P)
    picked = likely[:, torch.tensor(table.masks), torch.arange(len(tokens))]  # (I, P)
    return picked @ torch.tensor(table.weights, device=hidden.device)  # (I, C)


def _rows_at_once(model: Model) -> int:
    return max(1, MOST_SCORES // model.vocabulary_size)


def _log_probabilities(model: Model, hidden: Tensor, tokens: Tensor) -> Tensor:
    """Of some tokens (P,) at hidden states (N, D): (N, P)."""
    scores = model.token_logits(hidden).float()
    return scores.index_select(1, tokens) - scores.logsumexp(dim=1, keepdim=True)


def _mask_places(batch: Batch) -> Tensor:
    """Places of all masks in the packed row, item by item: (I * M,)."""
    masks = [places for item in batch.items for places in item.meta[MASKS]]
    starts = batch.bounds[:-1].tolist()
    return torch.tensor([start + place for start, places in zip(starts, masks, strict=True) for place in places])


@dataclass(frozen=True)
class _Table:
    """Where the tokens of all words are found.

    Attributes:
        masks: (P,) number of the mask, among those of an item, that each token is read at.
        tokens: (P,) ids.
        weights: (P, C) what each token adds to the score of each label.
    """

    masks: list[int]
    tokens: list[int]
    weights: list[list[float]]

    @staticmethod
    def of(verbaliser: Verbaliser) -> _Table:
        starts = dict(zip(verbaliser.sizes, accumulate((0, *verbaliser.sizes)), strict=False))
        labels = range(len(verbaliser.words))
        entries = [
            (starts[len(word)] + place, token, [float(label == other) / len(words) for other in labels])
            for label, words in enumerate(verbaliser.words)
            for word in words
            for place, token in enumerate(word)
        ]
        return _Table(*(list(column) for column in zip(*entries, strict=True)))
