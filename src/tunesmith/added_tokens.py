"""Tokens that a task adds to a base model's vocabulary; each starts from the mean vector of words that describe it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from tokenizers import AddedToken


def add_tokens(hf: Any, tokenizer: Any, added: Mapping[str, str]) -> None:
    """Give a tokenizer further tokens and a model their vectors; those that the tokenizer has already are left alone.

    Args:
        hf: a Hugging Face model; its embedding grows where it has no row for them.
        tokenizer: its fast tokenizer.
        added: token → the words whose mean vector it starts from, with spaces between them. Words that are no single
            token are left out; where none is left the mean of all tokens is taken.
    """
    known = tokenizer.get_vocab()
    new = [token for token in added if token not in known]
    if not new:
        return
    starts = [known_words(tokenizer, added[token]) for token in new]
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in new])
    before = hf.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > before:
        hf.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    table = hf.get_input_embeddings().weight
    with torch.no_grad():
        means = [table[ids or slice(0, before)].mean(dim=0) for ids in starts]
        for token, mean in zip(new, means, strict=True):
            table[tokenizer.convert_tokens_to_ids(token)] = mean


def known_words(tokenizer: Any, words: str) -> list[int]:
    """The ids of those words that are one token each, alone or behind a space."""
    found: list[int] = []
    for word in words.split():
        for written in (f" {word}", word):
            ids = tokenizer(written, add_special_tokens=False, verbose=False)["input_ids"]
            if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
                found.append(ids[0])
                break
    return found


def added_rows(hf: Any, tokenizer: Any, added: Mapping[str, str]) -> torch.Tensor:
    """(A, D): the vectors of added tokens, in the order of their names there."""
    return torch.as_tensor(hf.get_input_embeddings().weight)[tokenizer.convert_tokens_to_ids(list(added))]


def set_added_rows(hf: Any, tokenizer: Any, added: Mapping[str, str], rows: torch.Tensor) -> None:
    """Set the vectors of added tokens: (A, D), in the order of their names there."""
    with torch.no_grad():
        hf.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(list(added))] = rows
