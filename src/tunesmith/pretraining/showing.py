"""What a model writes or fills in, shown while it is trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tunesmith import engine
from tunesmith.contracts import IGNORED, Encoded
from tunesmith.model import Model, evaluating
from tunesmith.packing import pack

PROMPT_TOKENS, NEW_TOKENS, SHOWN_TOKENS = 12, 40, 40
TEMPERATURE = 0.8


def show_sample(model: Model, item: Encoded, precision: torch.dtype, *, causal: bool) -> str:
    """One line: a prompt and what the model writes behind it, or a text with the tokens that it fills in.

    Args:
        model: with a head over the vocabulary.
        item: a held-out window, corrupted.
        precision: of the arithmetic.
        causal: whether it writes.
    """
    with evaluating(model), torch.no_grad(), torch.random.fork_rng(devices=[]):
        engine.seed_step(0, item.row, model.device)
        with engine.autocast(model.device, precision):
            return _complete(model, item) if causal else _fill_in(model, item)


def _complete(model: Model, item: Encoded) -> str:
    ids = list(item.sequences[_longest(item)])[:PROMPT_TOKENS]
    prompt = len(ids)
    for _ in range(min(NEW_TOKENS, model.max_tokens - prompt)):
        scores = model.token_logits(_states(model, ids)[-1:])[0].float() / TEMPERATURE
        token = int(torch.multinomial(scores.softmax(dim=0), 1))
        if token == model.tokenizer.eos_token_id:
            break
        ids.append(token)
    return f"{_read(model, ids[:prompt])} → {_read(model, ids[prompt:])}"


def _longest(item: Encoded) -> int:
    lengths = [len(sequence) for sequence in item.sequences]
    return lengths.index(max(lengths))


def _fill_in(model: Model, item: Encoded) -> str:
    place = _longest(item)
    start = sum(len(sequence) for sequence in item.sequences[:place])
    ids = list(item.sequences[place])[:SHOWN_TOKENS]
    targets = list(item.target)[start : start + len(ids)]
    guesses = model.token_logits(_states(model, ids)).argmax(dim=1).tolist()
    tokenizer: Any = model.tokenizer
    words = []
    for token, target, guess in zip(ids, targets, guesses, strict=True):
        if target == IGNORED:
            words.append(str(tokenizer.convert_ids_to_tokens(token)))
        else:
            right = str(tokenizer.convert_ids_to_tokens(target))
            given = str(tokenizer.convert_ids_to_tokens(guess))
            words.append(f"[{given}]" if given == right else f"[{given} ≠ {right}]")
    return str(tokenizer.convert_tokens_to_string(words)).strip()


def _states(model: Model, ids: list[int]) -> Tensor:
    return model.trunk(pack([[Encoded((ids,), None, 0)]], model.device))


def _read(model: Model, ids: list[int]) -> str:
    return " ".join(str(model.tokenizer.decode(ids)).split())
