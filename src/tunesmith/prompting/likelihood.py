"""Models that write: the label whose words they would most likely go on with.

Letters in shapes: B rows, C labels, W words of all labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tunesmith.contracts import IGNORED, Batch, Encoded
from tunesmith.guessing import sequence_log_probabilities, token_log_probabilities
from tunesmith.model import Model
from tunesmith.prompting.batches import run_batches
from tunesmith.prompting.template_file import Words, words_of
from tunesmith.tasks.cloze_sequences import refuse_same_words, refuse_unknown_word
from tunesmith.tasks.prompt_texts import MASK, Filled, fill, places_in, shorten_fields
from tunesmith.tasks.writing_sequences import asked_states

WORD_TOKENS = "word_tokens"
"""Key of `Encoded.meta`: how many tokens the word has."""


class Likelihood:
    """Log-probabilities of labels' words behind a prompt.

    Args:
        model: a decoder, or an encoder with one, with the head that writes.
        wording: with `{mask}` at its end.
        words: of each label; () for its name.

    Raises:
        ConfigError: the vocabulary lacks a word, or two labels are the same to the model.
    """

    between = "\n\n"
    """Stands between examples."""

    def __init__(self, model: Model, wording: str, words: Words) -> None:
        self._model, self._wording = model, wording
        settled = words_of(words)
        _refuse_words(model, settled)
        self._words = [word for some in settled.values() for word in some]
        owners = [label for label, some in enumerate(settled.values()) for _ in some]
        weights = torch.zeros(len(self._words), len(settled))  # (W, C)
        for place, label in enumerate(owners):
            weights[place, label] = 1 / owners.count(label)
        self._weights = weights
        self._longest = max(self._words, key=lambda word: len(_bare_ids(model.tokenizer, word)))

    def scores(self, fields: Sequence[Mapping[str, str]], fronts: Sequence[str]) -> Tensor:
        """Of each label's words behind each text, of several their mean, in nats: (B, C).

        Args:
            fields: texts of each row by placeholder.
            fronts: what stands in front of each prompt.

        Raises:
            ConfigError: the wording leaves no room for a text.
        """
        with self._model.tokenizer_turn:
            items = [item for row, front in zip(fields, fronts, strict=True) for item in self._encode(row, front)]
        likely = run_batches(self._model, items, self._likelihoods)
        return likely.view(len(fields), len(self._words)) @ self._weights

    def _likelihoods(self, batch: Batch) -> Tensor:
        hidden, targets = asked_states(self._model, batch)
        of_tokens = token_log_probabilities(self._model, hidden, targets)
        return sequence_log_probabilities(of_tokens, [item.meta[WORD_TOKENS] for item in batch.items])

    def _encode(self, fields: Mapping[str, str], front: str) -> list[Encoded]:
        """An item for each word, the same prompt in front of all."""
        tokenizer = self._model.tokenizer

        def render(some: Mapping[str, str]) -> str:
            return front + fill(self._wording, {**some, MASK: self._longest}).text

        kept = shorten_fields(fields, tokenizer, render, self._model.max_tokens)
        encode = self._encode_apart if self._model.has_decoder else self._encode_in_a_row
        return [encode(front, fill(self._wording, {**kept, MASK: word}), word) for word in self._words]

    def _encode_in_a_row(self, front: str, filled: Filled, word: str) -> Encoded:
        """The tokens of the whole, of which those of the word are asked for."""
        text, (start, end) = front + filled.text.rstrip(), filled.slot or (0, 0)
        found = self._model.tokenizer(text, return_offsets_mapping=True, return_attention_mask=False, verbose=False)
        places = places_in(found["offset_mapping"], (len(front) + start, len(front) + end))
        ids = found["input_ids"][: places[-1] + 1]
        if not places[0]:  # nothing stands in front of it that it could be asked for at
            ids, places = [_start_id(self._model.tokenizer), *ids], [place + 1 for place in places]
        asked = [IGNORED] * len(ids)
        asked[places[0] - 1 : -1] = ids[places[0] :]
        return Encoded((ids,), tuple(asked), 0, meta={WORD_TOKENS: len(places)})

    def _encode_apart(self, front: str, filled: Filled, word: str) -> Encoded:
        """What the encoder reads, and the tokens that the decoder writes."""
        tokenizer, target = self._model.tokenizer, self._model.target_tokenizer
        assert filled.slot is not None
        prompt = front + filled.text[: filled.slot[0]].rstrip()
        read = tokenizer(prompt, return_attention_mask=False, verbose=False)["input_ids"]
        ids = _written_ids(target, word, self._model.hf.config.decoder_start_token_id)
        return Encoded((read, ids), tuple(ids), 0, meta={WORD_TOKENS: len(ids)})


def _refuse_words(model: Model, words: Mapping[str, Sequence[str]]) -> None:
    tokenizer = model.target_tokenizer
    found = {label: [tuple(_bare_ids(tokenizer, word)) for word in some] for label, some in words.items()}
    for label, some in words.items():
        for word, ids in zip(some, found[label], strict=True):
            refuse_unknown_word(tokenizer, ids, word, label)
    refuse_same_words(tokenizer, found)


def _bare_ids(tokenizer: Any, word: str) -> list[int]:
    return list(tokenizer(word, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"])


def _written_ids(tokenizer: Any, word: str, begin: int | None) -> list[int]:
    """A word as a decoder writes it, whole, to its end: so a word does not win as the start of another."""
    ids = list(tokenizer(word, return_attention_mask=False, verbose=False)["input_ids"])
    return ids[1:] if len(ids) > 1 and ids[0] == begin else ids


def _start_id(tokenizer: Any) -> int:
    return next(token for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, 0) if token is not None)
