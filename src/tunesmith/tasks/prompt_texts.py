"""Wordings with placeholders, filled with the texts of a row; texts that are too long lose their end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.errors import ConfigError, nearest

MASK = "mask"
"""Placeholder of the word that a model is to find."""
LABEL = "label"
"""Placeholder of a label's description."""
PLACEHOLDER = re.compile(r"\{(\w+)\}")
USUAL_DESCRIPTION = {"en": "This text is about {label}.", "zh": "这段文字是关于{label}的。"}
"""What is said of a label where nobody described it, by the language of the labels."""


@dataclass(frozen=True)
class Filled:
    """A wording with texts in it.

    Attributes:
        text: the whole.
        slot: first character of what stands in for `{mask}`, and the one behind its last; None without it.
    """

    text: str
    slot: tuple[int, int] | None


def placeholders(wording: str) -> list[str]:
    """Names of the placeholders in their order.

    Example:
        >>> placeholders("{text} It was {mask}.")
        ['text', 'mask']
    """
    return PLACEHOLDER.findall(wording)


def check_wording(wording: str, required: Sequence[str], allowed: Sequence[str], where: str) -> None:
    """Refuse a wording with an unknown placeholder, without one that is needed, or with one twice.

    Args:
        wording: the text.
        required: placeholders that it must have.
        allowed: those that it may have besides.
        where: what it is, for messages.

    Raises:
        ConfigError: see above.

    Example:
        >>> check_wording("{txt} was {mask}", ["text", "mask"], [], "template")
        Traceback (most recent call last):
        ...
        tunesmith.errors.ConfigError: template: there is no placeholder {txt} here
          fix: did you mean 'text'?
    """
    found = placeholders(wording)
    for name in found:
        if name not in (*required, *allowed):
            fix = nearest(name, [*required, *allowed])
            raise ConfigError(f"{where}: there is no placeholder {{{name}}} here", fix=fix)
        if found.count(name) > 1:
            raise ConfigError(f"{where}: {{{name}}} stands twice", fix="leave one of them out")
    for name in required:
        if name not in found:
            raise ConfigError(f"{where}: {{{name}}} is missing in {wording!r}", fix=f"put {{{name}}} where it belongs")


def fill(wording: str, fields: Mapping[str, str]) -> Filled:
    """Put texts in place of placeholders; what stands in the texts is left alone.

    Example:
        >>> fill("{text} It was {mask}.", {"text": "{mask}!", "mask": "great"})
        Filled(text='{mask}! It was great.', slot=(15, 20))
    """
    parts, slot, place, done = list[str](), None, 0, 0
    for found in PLACEHOLDER.finditer(wording):
        before = wording[done : found.start()]
        value = fields.get(found[1], found[0])
        place += len(before)
        if found[1] == MASK:
            slot = (place, place + len(value))
        place, done = place + len(value), found.end()
        parts += [before, value]
    return Filled("".join([*parts, wording[done:]]), slot)


def fields_of(texts: Sequence[str], wording: str) -> dict[str, str]:
    """The one or two texts of a row by placeholder; a second one that has no place of its own follows the first.

    Example:
        >>> fields_of(["a", "b"], "{text} {mask}"), fields_of(["a"], "{text} {text_b} {mask}")
        ({'text': 'a\\nb'}, {'text': 'a', 'text_b': ''})
    """
    if "text_b" not in placeholders(wording):
        return {"text": "\n".join(texts)}
    return {"text": texts[0], "text_b": texts[1] if len(texts) > 1 else ""}


def shorten_fields(
    fields: Mapping[str, str], tokenizer: Any, render: Callable[[Mapping[str, str]], str], most_tokens: int
) -> dict[str, str]:
    """Cut texts until what they are part of is short enough; the longest text loses its end first.

    Args:
        fields: texts by placeholder.
        tokenizer: a fast tokenizer.
        render: texts → the whole.
        most_tokens: of the whole, special tokens counted.

    Raises:
        ConfigError: it is too long without them.
    """
    kept = dict(fields)
    excess = count_tokens(tokenizer, render(kept)) - most_tokens
    if excess <= 0:
        return kept
    ends = {name: _ends(tokenizer, text) for name, text in kept.items()}
    while excess > 0:
        name = max(ends, key=lambda key: len(ends[key]), default="")
        if not name or not ends[name]:
            raise ConfigError(
                f"the template alone is {excess} tokens longer than the {most_tokens} that there is room for",
                fix="make it shorter, or take a model that reads longer texts",
            )
        sizes = sorted(map(len, ends.values()))
        ahead = sizes[-1] - sizes[-2] if len(sizes) > 1 else sizes[-1]
        cut = min(excess, ahead or max(1, excess // 2))
        ends[name] = ends[name][: max(0, len(ends[name]) - cut)]
        kept[name] = fields[name][: ends[name][-1]] if ends[name] else ""
        excess = count_tokens(tokenizer, render(kept)) - most_tokens
    return kept


def count_tokens(tokenizer: Any, text: str) -> int:
    """Tokens of a text, special ones counted."""
    return len(tokenizer(text, return_attention_mask=False, verbose=False)["input_ids"])


def _ends(tokenizer: Any, text: str) -> list[int]:
    """Where each token of a text ends, in characters."""
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return [end for _, end in found["offset_mapping"]]


def places_in(offsets: Sequence[tuple[int, int]], slot: tuple[int, int]) -> list[int]:
    """Numbers of the tokens that have a character of a slot."""
    return [place for place, (start, end) in enumerate(offsets) if start < slot[1] and end > slot[0]]
