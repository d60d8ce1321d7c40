"""What the writing threads do for a request: read a text, write another one, token by token."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel

from tunesmith import chatting, generation, inference
from tunesmith.contracts import Encoded, Writes
from tunesmith.errors import DataError
from tunesmith.generation import Decoding
from tunesmith.model import Model
from tunesmith.output_filter import Sieve
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.incremental import GrowingText
from tunesmith.serving.limits import Limits
from tunesmith.serving.problems import Problem
from tunesmith.serving.writing import Finish, Piece, Script
from tunesmith.tasks.writing_sequences import prompt_of

CLEANED_CHARACTERS = 8
"""Some tokenizers close up " n ' t" and the like once all of it is there: as far back as that a text may change."""


@dataclass(frozen=True)
class Wish:
    """How a client wants a text to be written; None: as the model's own settings have it.

    Attributes:
        new_tokens: most tokens.
        temperature: 0 takes the likeliest token each time; above it they are drawn.
        top_p: drawn among the likeliest that together have this probability; 0 is the likeliest alone.
        stops: a text ends in front of the first of them.
        seed: of what is drawn; None: another one each time.
    """

    new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stops: tuple[str, ...] = ()
    seed: int | None = None


def writes_texts(hosted: Hosted) -> bool:
    """Whether a model writes a text from a text."""
    return isinstance(hosted.task, Writes) and "text" in hosted.task.Row.model_fields


def write_texts(hosted: Hosted, rows: Sequence[BaseModel], wish: Wish, limits: Limits) -> Script:
    """A script that answers rows one after the other.

    Args:
        hosted: a model that writes.
        rows: checked.
        wish: how.
        limits: most tokens.

    Returns:
        The script; it raises Problem (400) where a text is too long for the model, (503) where time is up before a row
        was begun.
    """

    def script(is_over: Callable[[], bool]) -> Iterator[Piece | Finish]:
        how = choose_decoding(hosted.task.config.decoding(), wish, limits)
        for index, item in enumerate(encode_whole(hosted, rows)):
            if is_over():
                fix = "send fewer texts at a time"
                raise Problem(503, "there was no time left to write all texts", fix=fix, retry_after_s=1.0)
            yield from _write_one(hosted, prompt_of(item), index, how, wish.stops, is_over)

    return script


def write_reply(hosted: Hosted, messages: Sequence[Mapping[str, str]], wish: Wish, limits: Limits) -> Script:
    """A script that writes the next turn of a conversation.

    Args:
        hosted: a model that converses.
        messages: each with a role (system, user, assistant) and a content; the user has the last word.
        wish: how.
        limits: most tokens.

    Returns:
        The script; it raises Problem (400) where the last message is too long for the model.
    """

    def script(is_over: Callable[[], bool]) -> Iterator[Piece | Finish]:
        model = hosted.predictor.model
        try:
            prompt = chatting.read_conversation(model, hosted.task, messages)
        except DataError as error:
            fix = error.fix or "send a shorter message"
            raise Problem(400, error.message, fix=fix, field="messages", code="context_length_exceeded") from None
        how = choose_decoding(hosted.task.config.decoding(), wish, limits)
        yield from _write_one(hosted, prompt, 0, how, wish.stops, is_over)

    return script


def choose_decoding(own: Decoding, wish: Wish, limits: Limits) -> Decoding:
    """The model's own way, changed to what the client wishes.

    Example:
        >>> choose_decoding(Decoding(beams=4), Wish(temperature=0.7, seed=1), Limits()).beams
        1
    """
    how = replace(own, max_new_tokens=min(wish.new_tokens or own.max_new_tokens, limits.new_tokens))
    if wish.temperature == 0 or wish.top_p == 0:
        how = replace(how, sample=False)
    elif wish.temperature is not None or (wish.top_p is not None and wish.top_p < 1):
        temperature = own.temperature if wish.temperature is None else max(wish.temperature, 1e-3)
        top_p = own.top_p if wish.top_p is None else wish.top_p
        how = replace(how, sample=True, beams=1, temperature=temperature, top_p=top_p)
    if not how.sample:
        return how
    return replace(how, seed=secrets.randbits(32) if wish.seed is None else wish.seed)


def encode_whole(hosted: Hosted, rows: Sequence[BaseModel]) -> list[Encoded]:
    """Rows as the model reads them.

    Raises:
        Problem: a row is too long (400).
    """
    model, task = hosted.predictor.model, hosted.task
    with model.tokenizer_turn:
        items = task.encode(inference.without_labels(task, rows), inference.make_context(model, hosted.labels))
    for place, item in enumerate(items):
        if item.cut_tokens:
            message = f"text {place:,} has {item.cut_tokens:,} tokens more than {hosted.name} can read"
            raise Problem(400, message, fix="send shorter texts", code="context_length_exceeded")
    return items


def _write_one(
    hosted: Hosted, prompt: list[int], index: int, how: Decoding, stops: Sequence[str], is_over: Callable[[], bool]
) -> Iterator[Piece | Finish]:
    model = hosted.predictor.model
    how = replace(how, max_new_tokens=min(how.max_new_tokens, generation.room(model, prompt)))
    text = make_growing(model, stops)
    sieve = None if hosted.output_filter is None else Sieve(hosted.output_filter)
    written, reason = 0, None
    with contextlib.closing(_tokens(model, prompt, how, index)) as tokens:
        for token in tokens:
            written += 1
            piece = text.add(token)
            yield Piece(index, piece if sieve is None else sieve.add(piece))
            if text.stopped or is_over() or (sieve is not None and sieve.caught):
                reason = "stop" if text.stopped else "length"
                break
    piece = text.end()
    yield Piece(index, piece if sieve is None else sieve.add(piece) + sieve.end())
    reason = reason or ("length" if written >= how.max_new_tokens else "stop")
    if sieve is not None and sieve.caught:
        reason = "content_filter"
    yield Finish(index, reason, len(prompt), written)


def _tokens(model: Model, prompt: list[int], how: Decoding, row: int) -> Generator[int, None, None]:
    """Tokens as they are written; beam search knows them in the end only."""
    if how.beams > 1:
        yield from generation.write(model, [prompt], how, [row])[0]
    else:
        yield from generation.stream(model, prompt, how, row)


def make_growing(model: Model, stops: Sequence[str] = ()) -> GrowingText:
    """An answer's text, as the model's tokenizer reads it."""
    tokenizer = model.target_tokenizer

    def decode(ids: Sequence[int]) -> str:
        with model.tokenizer_turn:
            return str(tokenizer.decode(list(ids), skip_special_tokens=True))

    cleans = getattr(tokenizer, "clean_up_tokenization_spaces", False)
    return GrowingText(decode, stops, CLEANED_CHARACTERS if cleans else 0)
