"""The text that a conversation is written as: the model's own chat template, the user's, or a plain one of ours.

Templates are Jinja; transformers renders them in a sandbox that cannot reach files, imports or Python's internals.
The assistant's turns are found by writing the conversation up to each of them and comparing, so that no template has
to say where they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from tunesmith.errors import ConfigError, ModelError
from tunesmith.tasks.chat_rows import ASSISTANT, awaits_reply

_OWN = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- 'Assistant: ' + message['content'] | trim + eos_token -}}"
    "{%- else -%}"
    "{{- message['role'] | capitalize + ': ' + message['content'] | trim -}}"
    "{%- endif -%}"
    "{{- SEPARATOR -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- 'Assistant:' -}}{%- endif -%}"
)
_OTHER_FIX = "give a template of your own: --set task.template=FILE.jinja"


@dataclass(frozen=True)
class Written:
    """A conversation as text.

    Attributes:
        text: the whole; where somebody else than the assistant has the last word, up to where the reply begins.
        starts: where each of the assistant's turns begins, in characters.
        ends: where it ends, behind what tells its end.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]


def read_template(given: str) -> str:
    """The template that a setting names or is.

    Args:
        given: a file, or the template itself, which has a `{{` or `{%`.

    Raises:
        ConfigError: there is no such file, or it is no text.
    """
    if "{{" in given or "{%" in given:
        return given
    try:
        return Path(given).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"task.template is {given!r}, which is neither a Jinja template nor a file that can be read: {error}",
            fix="give a file such as template.jinja",
        ) from error


def settle_template(tokenizer: Any, own: str) -> None:
    """Give the tokenizer the template that holds, so that it is stored with it: `own`, the one it has, or ours.

    Raises:
        ModelError: the tokenizer has no token that could end a turn.
    """
    if own:
        tokenizer.chat_template = own
    elif not tokenizer.chat_template:
        tokenizer.chat_template = make_template(tokenizer)


def make_template(tokenizer: Any) -> str:
    """Our own template: each turn on a line of its own with the role in front, the assistant's ended by a token.

    The token in front of all texts comes first where the tokenizer puts one there; a tokenizer that knows no line end
    gets a blank in its place.

    Raises:
        ModelError: the tokenizer has no token that could end a turn.
    """
    ending = "eos_token" if tokenizer.eos_token is not None else "sep_token"  # the latter of encoders, whose texts
    if getattr(tokenizer, ending) is None:  # are only counted, as `tunesmith check` does
        message = "this model's tokenizer has neither a chat template nor a token that ends a text"
        raise ModelError(message, fix=_OTHER_FIX)
    unknown = tokenizer.unk_token_id
    knows_lines = unknown is None or unknown not in tokenizer("a\nb", add_special_tokens=False)["input_ids"]
    front = tokenizer("a")["input_ids"][:1]
    begin = "{{- bos_token -}}" if front == [tokenizer.bos_token_id] else ""
    return begin + _OWN.replace("eos_token", ending).replace("SEPARATOR", "'\\n'" if knows_lines else "' '")


def write_conversation(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> Written:
    """Write a conversation and find the assistant's turns in it.

    Args:
        tokenizer: with a template.
        messages: at least one.

    Raises:
        ModelError: the template refuses the conversation, or writes earlier turns otherwise once more are there.
    """
    whole = _render(tokenizer, messages, prompt=awaits_reply(messages))
    starts, ends = list[int](), list[int]()
    for place, message in enumerate(messages):
        if message["role"] != ASSISTANT:
            continue
        before = _render(tokenizer, messages[:place], prompt=True)
        after = whole if place == len(messages) - 1 else _render(tokenizer, messages[: place + 1], prompt=False)
        if not after.startswith(before) or not whole.startswith(after):
            raise ModelError(
                "the chat template writes earlier turns otherwise once more are there, so that what was learnt of them "
                f"would not be what is read later (turn {place + 1} of {len(messages)})",
                fix=_OTHER_FIX,
            )
        said = after[len(before) :]
        starts.append(len(before))
        ends.append(len(before) + (len(said.rstrip()) or len(said)))
    return Written(whole, tuple(starts), tuple(ends))


def _render(tokenizer: Any, messages: Sequence[Mapping[str, str]], *, prompt: bool) -> str:
    try:
        return str(
            tokenizer.apply_chat_template(
                [dict(message) for message in messages], tokenize=False, add_generation_prompt=prompt
            )
        )
    except (TemplateError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        roles = ", ".join(message["role"] for message in messages) or "no turn before the assistant's first"
        raise ModelError(
            f"the chat template cannot write a conversation of {roles}: {error}", fix=_OTHER_FIX
        ) from error
