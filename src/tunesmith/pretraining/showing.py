"""What a model writes or fills in, shown while it is trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tunesmith import engine
from tunesmith.contracts import IGNORED, Encoded
from tunesmith.model import Model, evaluating
from tunesmith.packing import pack, split_sequences

PROMPT_TOKENS, NEW_TOKENS, SHOWN_TOKENS = 12, 40, 40
TEMPERATURE = 0.8


def show_sample(model: Model, item: Encoded, precision: torch.dtype, *, family: str) -> str:
    """One line: a prompt and what the model writes behind it, or a text with the tokens that it fills in.

    Args:
        model: with a head over the vocabulary.
        item: a held-out window, corrupted.
        precision: of the arithmetic.
        family: of the objective: decoders write, the others fill in.
    """
    with evaluating(model), torch.no_grad(), torch.random.fork_rng(devices=[]):
        engine.seed_step(0, item.row, model.device)
        with engine.autocast(model.device, precision):
            return SHOWS[family](model, item)


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
    asked = [place for place, target in enumerate(targets) if target != IGNORED]
    right = [token if target == IGNORED else target for token, target in zip(ids, targets, strict=True)]
    return _mark(model, right, guesses, asked)


def _restore(model: Model, item: Encoded) -> str:
    """The text with the tokens that were hidden, as the decoder writes them where all before is right."""
    place = max(range(len(item.target)), key=lambda index: len(item.target[index]))
    batch = pack([[Encoded((item.sequences[place],), None, 0)]], model.device)
    right = item.target[place][:SHOWN_TOKENS]
    states = model.written(split_sequences(batch), [torch.tensor(right, device=model.device)])
    guesses = model.token_logits(states).argmax(dim=1)
    return _mark(
        model, right, guesses.tolist(), [number for number in item.meta["hidden"][place] if number < len(right)]
    )


def _mark(model: Model, right: list[int], guesses: list[int], asked: list[int]) -> str:
    """Tokens as text; of those that were asked for, what was guessed, beside the right one where it is another."""
    tokenizer: Any = model.tokenizer
    words = [str(word) for word in tokenizer.convert_ids_to_tokens(right)]
    for place in asked:
        given = str(tokenizer.convert_ids_to_tokens(guesses[place]))
        words[place] = f"[{given}]" if given == words[place] else f"[{given} ≠ {words[place]}]"
    return str(tokenizer.convert_tokens_to_string(words)).strip()


def _states(model: Model, ids: list[int]) -> Tensor:
    return model.trunk(pack([[Encoded((ids,), None, 0)]], model.device))


def _read(model: Model, ids: list[int]) -> str:
    return " ".join(str(model.tokenizer.decode(ids)).split())


SHOWS = {"decoder": _complete, "encoder": _fill_in, "encoder-decoder": _restore}
