"""Replies in a conversation, piece by piece, as text that is whole: no half characters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tunesmith import generation
from tunesmith.contracts import Converses, Task
from tunesmith.errors import ModelError
from tunesmith.generation import Decoding
from tunesmith.model import Model

BROKEN = "\ufffd"
"""What decoders write for bytes that are no character."""


def reply(
    model: Model, task: Task, messages: Sequence[Mapping[str, str]], decoding: Decoding | None = None
) -> Iterator[str]:
    """Write the next turn of a conversation; the first piece comes as soon as it is known.

    The pieces together are what `Task.write` gives as the answer: without white space at either end, without bytes
    that are no character.

    Args:
        model: a finished model, such as `Predictor.model`.
        task: its task, such as `Predictor.task`.
        messages: the conversation, each message with a "role" (system, user, assistant) and a "content"; the user has
            the last word.
        decoding: how tokens are chosen, with 1 beam; default: as the model was fitted.

    Raises:
        ModelError: the model is of a task that does not converse.
        DataError: the last message is longer than the model can read.
    """
    prompt = read_conversation(model, task, messages)
    how = decoding or task.config.decoding()
    return pieces(model, generation.stream(model, prompt, how))


def read_conversation(model: Model, task: Task, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """Token ids that the reply is written from.

    Raises:
        ModelError: the model is of a task that does not converse.
        DataError: the last message is longer than the model can read.
    """
    if not isinstance(task, Converses):
        raise ModelError(
            f"this model is for {task.title}, wanted one that converses", fix="fit one: tunesmith fit FILE --task chat"
        )
    with model.tokenizer_turn:
        return task.prompt(model, messages)


def pieces(model: Model, tokens: Iterator[int]) -> Iterator[str]:
    """Text of tokens as they come, a piece whenever whole characters are there.

    Args:
        model: whose tokenizer.
        tokens: ids.
    """
    ids, done, held = list[int](), 0, ""
    said = False
    before = ""
    for token in tokens:
        ids.append(token)
        text = _decode(model, ids[done:])
        if text.endswith(BROKEN):
            continue  # bytes of a character are missing, or nothing can be made of them
        held += text[len(before) :].replace(BROKEN, "")
        done, before = _move_on(model, ids, done, text)
        piece = held if said else held.lstrip()
        shown = piece.rstrip()
        if shown:
            said, held = True, piece[len(shown) :]
            yield shown
    rest = (held + _decode(model, ids[done:])[len(before) :]).replace(BROKEN, "")
    if rest := (rest.rstrip() if said else rest.strip()):
        yield rest


CONTEXT_TOKENS = 8
"""Tokens in front of a new one that it is decoded with: what a token looks like can depend on the one before."""


def _move_on(model: Model, ids: Sequence[int], done: int, text: str) -> tuple[int, str]:
    """Where decoding begins from now on, and what stands there already; so that long replies stay as fast as short."""
    start = len(ids) - CONTEXT_TOKENS
    if start < done + CONTEXT_TOKENS:
        return done, text
    tail = _decode(model, ids[start:])
    return (start, tail) if text.endswith(tail) else (done, text)


def _decode(model: Model, ids: Sequence[int]) -> Any:
    with model.tokenizer_turn:
        return model.tokenizer.decode(list(ids), skip_special_tokens=True)
