"""Text written token by token: greedy, sampled or by beam search, in batches or as a stream.

What a row gets does not depend on its neighbours in a batch: padding is masked, and each row draws from a generator of
its own, a function of (seed, row). Beam search is that of Hugging Face.

Letters in shapes: B rows, L longest prompt, V vocabulary.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers.generation import logits_process

from tunesmith.errors import ModelError
from tunesmith.model import Model, evaluating
from tunesmith.packing import sorted_runs
from tunesmith.padding import fill_up
from tunesmith.slots import slot_ids

BATCH_TOKENS = 16_384
"""Most tokens of prompts and answers, each beam counted, that are written at the same time."""
_BEAMS = threading.Lock()
"""One thread at a time: beam search changes the model's settings and the random state meanwhile."""
FEWER = 0.75
"""Rows that are done leave the batch when no more than this share of it is left."""


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen.

    Attributes:
        max_new_tokens: where an answer ends at the latest, at least 1.
        beams: hypotheses that are followed; 1 is greedy or sampled.
        sample: draw tokens by their probability instead of taking the likeliest.
        temperature: divides the scores before drawing, above 0.
        top_k: draw among so many; 0: among all.
        top_p: draw among the likeliest that together have this probability (Holtzman et al. 2020).
        repetition_penalty: divides positive scores of tokens that were there before, multiplies negative ones (Keskar
            et al. 2019, section 4.1); 1.0 does nothing.
        no_repeat_ngram_tokens: no run of so many tokens is written twice; 0: any may be.
        length_penalty: of beams: scores are divided by length to this power (Wu et al. 2016 without their constant).
        seed: of what is drawn.
    """

    max_new_tokens: int = 128
    beams: int = 1
    sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_tokens: int = 0
    length_penalty: float = 1.0
    seed: int = 13


def write(
    model: Model, prompts: Sequence[Sequence[int]], how: Decoding, rows: Sequence[int] | None = None
) -> list[list[int]]:
    """Write an answer to each prompt: what an encoder reads, or what a decoder goes on from.

    Args:
        model: with a head over the vocabulary.
        prompts: token ids, at least one each.
        how: tokens are chosen.
        rows: number of each prompt, which its draws depend on; default: its place.

    Returns:
        Token ids of each answer in order, without the token that ends it.
    """
    rows = range(len(prompts)) if rows is None else rows
    answers: list[list[int]] = [[] for _ in prompts]
    costs = [(len(prompt) + how.max_new_tokens) * how.beams for prompt in prompts]
    with evaluating(model), _unpacked(model), torch.inference_mode():
        for run in sorted_runs(costs, BATCH_TOKENS):
            chosen = [list(prompts[place]) for place in run]
            if how.beams > 1:
                written = _search_beams(model, chosen, how)
            else:
                written = _collect(_steps(model, chosen, how, [rows[place] for place in run]), len(run))
            for place, ids in zip(run, written, strict=True):
                answers[place] = ids
    return answers


def stream(model: Model, prompt: Sequence[int], how: Decoding, row: int = 0) -> Iterator[int]:
    """Write one answer, yielding each token as soon as it is chosen; `how.beams` must be 1."""
    if how.beams > 1:
        raise ValueError("beam search knows its answer at the end only, so it cannot be streamed")
    with evaluating(model), _unpacked(model), torch.inference_mode():
        for step in _steps(model, [list(prompt)], how, [row]):
            yield from step.values()


def room(model: Model, prompt: Sequence[int]) -> int:
    """How many tokens the model has positions for behind a prompt, at least one; an encoder's own do not count."""
    positions = getattr(model.hf.config.get_text_config(), "max_position_embeddings", None)
    if positions is None:
        return sys.maxsize
    return max(1, int(positions) - model.position_offset - (0 if model.has_decoder else len(prompt)))


def end_ids(model: Model) -> frozenset[int]:
    """Ids of the tokens that end an answer."""
    told = [getattr(model.hf.generation_config, "eos_token_id", None), model.hf.config.eos_token_id]
    told.append(model.target_tokenizer.eos_token_id)
    flat = [token for entry in told for token in (entry if isinstance(entry, list) else [entry])]
    return frozenset(token for token in flat if token is not None)


def _collect(steps: Iterator[dict[int, int]], count: int) -> list[list[int]]:
    answers: list[list[int]] = [[] for _ in range(count)]
    for step in steps:
        for row, token in step.items():
            answers[row].append(token)
    return answers


def _steps(model: Model, prompts: Sequence[list[int]], how: Decoding, rows: Sequence[int]) -> Iterator[dict[int, int]]:
    """Tokens by the place of their prompt, a step at a time; a prompt that is done is missing."""
    ends, live = end_ids(model), dict.fromkeys(range(len(prompts)))
    draws = [torch.Generator().manual_seed(_seed(how.seed, row)) for row in rows] if how.sample else []
    before = [list(prompt) if not model.has_decoder else [] for prompt in prompts]
    rooms = [room(model, prompt) for prompt in prompts]
    state = _start(model, prompts)
    for written in range(1, how.max_new_tokens + 1):
        scores = state.next_scores()  # (B, V)
        if _is_plain(how):
            picked = dict(zip(state.places, scores.argmax(dim=-1).tolist(), strict=True))
        else:
            picked = {
                place: _choose(row, before[place], how, draws[place] if draws else None)
                for place, row in zip(state.places, scores, strict=True)
                if place in live
            }
        step = {place: token for place, token in picked.items() if place in live and token not in ends}
        live = dict.fromkeys(place for place in step if written < rooms[place])
        yield step
        if not live:
            return
        for place in live:
            before[place].append(step[place])
        is_full = any(written >= rooms[place] for place in state.places)  # what is done must not outgrow the model
        if is_full or len(live) <= FEWER * len(state.places):
            state.keep(list(live))
        state.feed([step.get(place, state.pad_id) for place in state.places])


def _seed(seed: int, row: int) -> int:
    return (seed * 1_000_003 + row) % 2**63


def _is_plain(how: Decoding) -> bool:
    return not how.sample and how.repetition_penalty == 1.0 and not how.no_repeat_ngram_tokens


def _choose(scores: Tensor, before: list[int], how: Decoding, draws: torch.Generator | None) -> int:
    """The next token of one row: scores (V,), tokens that were there before."""
    row = scores[None].float()
    steps = list(_processors(how, bool(before)))
    if steps:
        ids = torch.tensor([before], dtype=torch.int64, device=row.device)
        for step in steps:
            row = step(ids, row)
    if draws is None:
        return int(row.argmax())
    return int(torch.multinomial(row.softmax(dim=-1).cpu(), 1, generator=draws))


def _processors(how: Decoding, is_begun: bool) -> Iterator[Any]:
    if how.repetition_penalty != 1.0 and is_begun:
        yield logits_process.RepetitionPenaltyLogitsProcessor(how.repetition_penalty)
    if how.no_repeat_ngram_tokens and is_begun:
        yield logits_process.NoRepeatNGramLogitsProcessor(how.no_repeat_ngram_tokens)
    if not how.sample:
        return
    if how.temperature != 1.0:
        yield logits_process.TemperatureLogitsWarper(how.temperature)
    if how.top_k:
        yield logits_process.TopKLogitsWarper(how.top_k)
    if how.top_p < 1.0:
        yield logits_process.TopPLogitsWarper(how.top_p)


class _Decoder:
    """A decoder that goes on from its prompts.

    Attributes:
        places: the prompt that each row of the batch belongs to.
        pad_id: what is fed to rows that are done.
    """

    def __init__(self, model: Model, prompts: Sequence[list[int]]) -> None:
        self.places = list(range(len(prompts)))
        self.pad_id = _pad_id(model)
        self._hf = model.hf
        known = inspect.signature(model.hf.forward).parameters
        self._knows_positions = "position_ids" in known
        self._shift = model.slots if not bool(model.slot_positions.any()) else 0  # the text begins at position 0
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in known else {}
        self._ids, self._mask = _filled_left(prompts, self.pad_id, model.device)  # (B, L) twice
        self._cache: Any = None

    def next_scores(self) -> Tensor:
        """Scores of the vocabulary for the next token of each row: (B, V)."""
        positions = (self._mask.cumsum(dim=1) - 1 - self._shift).clamp(min=0)[:, -self._ids.shape[1] :]
        options = {"position_ids": positions} if self._knows_positions else {}
        found = self._hf(
            input_ids=self._ids,
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
            **options,
            **self._last_only,
        )
        self._cache = found.past_key_values
        return torch.as_tensor(found.logits[:, -1])

    def feed(self, tokens: Sequence[int]) -> None:
        """The token that each row goes on with."""
        self._ids = torch.tensor(tokens, device=self._mask.device)[:, None]
        self._mask = torch.cat([self._mask, torch.ones_like(self._ids)], dim=1)

    def keep(self, places: Sequence[int]) -> None:
        """Let go of all other rows."""
        slots = torch.tensor([self.places.index(place) for place in places], device=self._mask.device)
        self._cache.batch_select_indices(slots)
        self._mask, self.places = self._mask[slots], list(places)


class _EncoderDecoder:
    """An encoder that has read the prompts, and the decoder that writes; attributes as of `_Decoder`."""

    def __init__(self, model: Model, prompts: Sequence[list[int]]) -> None:
        self.places = list(range(len(prompts)))
        self.pad_id = _pad_id(model)
        self._hf = model.hf
        pieces = [torch.tensor(prompt, device=model.device) for prompt in prompts]
        self._mask = fill_up([torch.ones_like(piece) for piece in pieces], 0)  # (B, L)
        self._states = model.hf.get_encoder()(
            input_ids=fill_up(pieces, self.pad_id), attention_mask=self._mask
        ).last_hidden_state  # (B, L, D)
        begin = model.hf.config.decoder_start_token_id
        self._ids = torch.full((len(prompts), 1), begin, device=model.device)
        self._cache: Any = None

    def next_scores(self) -> Tensor:
        """Scores of the vocabulary for the next token of each row: (B, V)."""
        found = self._hf(
            encoder_outputs=(self._states,),
            attention_mask=self._mask,
            decoder_input_ids=self._ids,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._cache = found.past_key_values
        return torch.as_tensor(found.logits[:, -1])

    def feed(self, tokens: Sequence[int]) -> None:
        """The token that each row goes on with."""
        self._ids = torch.tensor(tokens, device=self._mask.device)[:, None]

    def keep(self, places: Sequence[int]) -> None:
        """Let go of all other rows."""
        slots = torch.tensor([self.places.index(place) for place in places], device=self._mask.device)
        self._cache.batch_select_indices(slots)
        self._mask, self._states, self.places = self._mask[slots], self._states[slots], list(places)


def _start(model: Model, prompts: Sequence[list[int]]) -> _Decoder | _EncoderDecoder:
    behind = [[*slot_ids(model.slots), *prompt] for prompt in prompts]
    return _EncoderDecoder(model, behind) if model.has_decoder else _Decoder(model, behind)


def _search_beams(model: Model, prompts: Sequence[list[int]], how: Decoding) -> list[list[int]]:
    """The best hypothesis of each prompt, by Hugging Face's beam search."""
    ends, pad = end_ids(model), _pad_id(model)
    if model.slots and not model.has_decoder:
        raise ModelError(
            "beam search cannot go on from learnt vectors, and this decoder has them in front of its texts",
            fix="--set task.beams=1",
        )
    if model.has_decoder:
        pieces = [torch.tensor([*slot_ids(model.slots), *prompt], device=model.device) for prompt in prompts]
        ids, mask = fill_up(pieces, pad), fill_up([torch.ones_like(piece) for piece in pieces], 0)
    else:
        ids, mask = _filled_left(prompts, pad, model.device)
    wanted = transformers.GenerationConfig(
        max_new_tokens=min(how.max_new_tokens, *(room(model, prompt) for prompt in prompts)),
        num_beams=how.beams,
        do_sample=how.sample,
        length_penalty=how.length_penalty,
        repetition_penalty=how.repetition_penalty,
        no_repeat_ngram_size=how.no_repeat_ngram_tokens,
        pad_token_id=pad,
        eos_token_id=sorted(ends),
        decoder_start_token_id=model.hf.config.decoder_start_token_id if model.has_decoder else None,
        **({"temperature": how.temperature, "top_k": how.top_k, "top_p": how.top_p} if how.sample else {}),
    )
    with _BEAMS:  # what a base model prefers, such as a first token that is forced, must not reach in
        own, model.hf.generation_config = model.hf.generation_config, transformers.GenerationConfig()
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(how.seed)
                found = model.hf.generate(inputs=ids, attention_mask=mask, generation_config=wanted)
        finally:
            model.hf.generation_config = own
    start = 1 if model.has_decoder else ids.shape[1]
    return [_until_end(row[start:].tolist(), ends) for row in found]


def _until_end(ids: list[int], ends: frozenset[int]) -> list[int]:
    return next((ids[:place] for place, token in enumerate(ids) if token in ends), ids)


def _filled_left(prompts: Sequence[list[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Prompts that all end in the last column, and where they are: (B, L) twice."""
    longest = max(map(len, prompts))
    rows = [[pad_id] * (longest - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(rows, device=device), torch.tensor(mask, device=device)


def _pad_id(model: Model) -> int:
    return int(model.hf.config.get_text_config().pad_token_id or 0)


@contextlib.contextmanager
def _unpacked(model: Model) -> Iterator[None]:
    """The plain trunk meanwhile: what is written needs a cache of what was before."""
    if not model.packed:
        yield
        return
    model.set_packed(False)
    try:
        yield
    finally:
        model.set_packed(True)
