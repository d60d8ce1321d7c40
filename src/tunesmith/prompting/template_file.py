"""Template files: a wording, and labels with their words, as strict YAML in which every value is a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml

from tunesmith.data.rejects import shorten
from tunesmith.errors import ConfigError, nearest
from tunesmith.prompting.wordings import Kind
from tunesmith.strict_yaml import FAULTS, Located, read_texts

EXAMPLE = 'template: "{text} It was {mask}." and labels: {good: [great, fine], bad: [awful]}'
Words = Mapping[str, tuple[str, ...]]
"""Label → its words or descriptions; () where it has its name alone."""


@dataclass(frozen=True)
class Template:
    """What a template file says.

    Attributes:
        kind: of work.
        wording: the text with placeholders; None: the usual one.
        labels: and their words; {} where the file has none.
        temperature: divides scores before the softmax; None: the usual one.
        max_tokens: longest prompt; None: what the model takes.
        answer_tokens: longest written answer.
        places: where each key stands, such as "reviews.yaml, line 3"; for messages.
    """

    kind: Kind = "classification"
    wording: str | None = None
    labels: Words = field(default_factory=dict)
    temperature: float | None = None
    max_tokens: int | None = None
    answer_tokens: int = 64
    places: Mapping[str, str] = field(default_factory=dict)

    def where(self, key: str) -> str:
        """What a message about a key begins with."""
        return f"{self.places[key]}, {key}" if key in self.places else key


def read_template(path: str | Path) -> Template:
    """Read a template file.

    Raises:
        ConfigError: it is missing, no YAML, or says what makes no sense; the message names line and key.
    """
    content = _read(path)
    if content is None or not isinstance(content.value, dict):
        raise ConfigError(f"{path} holds no keys, wanted a template", fix=f"write {EXAMPLE}")
    known: dict[str, tuple[str, Callable[[Located, str], Any]]] = {
        "task": ("kind", _read_kind),
        "template": ("wording", _read_wording),
        "labels": ("labels", read_labels),
        "temperature": ("temperature", _read_temperature),
        "max_tokens": ("max_tokens", _read_count),
        "answer_tokens": ("answer_tokens", _read_count),
    }
    places = {key: f"{path}, line {part.line}" for key, part in content.value.items()}
    found = {}
    for key, part in content.value.items():
        if key not in known:
            raise ConfigError(f"{places[key]}: there is no key {shorten(key)}", fix=nearest(key, known))
        attribute, read = known[key]
        found[attribute] = read(part, f"{places[key]}, {key}")
    return Template(**found, places=places)


def read_label_file(path: str | Path) -> Words:
    """Read a file of labels alone: a list of names, or names with their words.

    Raises:
        ConfigError: it is missing, no YAML, or holds something else.
    """
    content = _read(path)
    if content is None:
        raise ConfigError(f"{path} is empty, wanted labels", fix="write a label a line: - name")
    if isinstance(content.value, dict) and "labels" in content.value:
        raise ConfigError(f"{path} has the key labels, so it is a template file", fix=f"give it with --template {path}")
    return read_labels(content, f"{path}, line {content.line}")


def read_labels(part: Located, where: str) -> Words:
    """Labels with their words.

    Args:
        part: a list of names, or names with a word, a list of words, or nothing.
        where: file, line and key, for messages.

    Raises:
        ConfigError: it is something else, or a name is empty or stands twice.
    """
    if isinstance(part.value, str):
        names = part.value or "a, b"
        raise ConfigError(
            f"{where}: the text {shorten(part.value)} came, wanted a list of names or names with their words",
            fix=f"put it in brackets: [{names}]",
        )
    if isinstance(part.value, dict):
        pairs = [
            (name, _read_words(words, f"{_with_line(where, words)}, label {name!r}"))
            for name, words in part.value.items()
        ]
    else:
        pairs = [(_read_text(name, _with_line(where, name)), ()) for name in part.value]
    return settle_words(pairs, where)


def settle_words(pairs: Sequence[tuple[str, Sequence[str]]], where: str) -> Words:
    """Labels and their words without white space around them.

    Raises:
        ConfigError: a name is empty or stands twice, or two labels share a word.
    """
    found: dict[str, tuple[str, ...]] = {}
    owners: dict[str, str] = {}
    for given, words in pairs:
        name = given.strip()
        if not name:
            raise ConfigError(f"{where}: a label has no name", fix="name it, or take it out")
        if name in found:
            raise ConfigError(f"{where}: the label {name!r} stands twice", fix="take one of them out")
        found[name] = tuple(dict.fromkeys(word.strip() for word in words))
        for word in found[name]:
            if not word:
                raise ConfigError(f"{where}: label {name!r} has an empty word", fix="fill it in, or take it out")
            if owners.setdefault(word, name) != name:
                message = f"{where}: the labels {owners[word]!r} and {name!r} both have {word!r}"
                raise ConfigError(message, fix="nothing could tell them apart: take it out of one of them")
    return found


def words_of(words: Words) -> dict[str, tuple[str, ...]]:
    """Labels and their words; a label without words has its name.

    Example:
        >>> words_of({"good": ("great", "fine"), "bad": ()})
        {'good': ('great', 'fine'), 'bad': ('bad',)}
    """
    return {name: some or (name,) for name, some in words.items()}


def _read(path: str | Path) -> Located | None:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", fix="give a YAML file in UTF-8") from error
    try:
        return read_texts(text)
    except FAULTS as error:
        raise ConfigError(f"{path}{_fault(error)}", fix=_hint(text)) from error


def _fault(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return " nests too deeply"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark is not None else ""
        return f"{line}: {error.problem or error.context}"
    return f" is no YAML: {error}"


def _hint(text: str) -> str:
    """The commonest fault is a wording without quotes."""
    if any(line.startswith("template: {") or line.startswith("template: [") for line in text.splitlines()):
        return f"put the wording in quotes: {EXAMPLE}"
    return f"mend that line; a template looks like this: {EXAMPLE}"


def _with_line(where: str, part: Located) -> str:
    """The same place with the line of a part of it."""
    head, mark, rest = where.partition(", line ")
    return f"{head}{mark}{part.line}{rest.lstrip('0123456789')}" if mark else where


def _read_text(part: Located, where: str) -> str:
    if not isinstance(part.value, str):
        kind = "a list" if isinstance(part.value, list) else "keys"
        raise ConfigError(f"{where}: {kind} came, wanted a text", fix="put it in quotes, on one line")
    return part.value


def _read_words(part: Located, where: str) -> tuple[str, ...]:
    if isinstance(part.value, list):
        words = tuple(_read_text(word, where) for word in part.value)
        if not words:
            raise ConfigError(f"{where} has no words", fix="give it a word, or nothing at all to take its name")
        return words
    text = _read_text(part, where)
    return (text,) if text else ()


def _read_wording(part: Located, where: str) -> str:
    text = _read_text(part, where)
    if not text.strip():
        raise ConfigError(f"{where}: it is empty", fix="write a wording, or take the key out for the usual one")
    return text


def _read_kind(part: Located, where: str) -> Any:
    text = _read_text(part, where)
    if text not in get_args(Kind):
        raise ConfigError(f"{where}: there is no task {shorten(text)} here", fix=nearest(text, get_args(Kind)))
    return text


def _read_count(part: Located, where: str) -> int:
    text = _read_text(part, where)
    if not text.isascii() or not text.isdigit() or not int(text[:9]) > 0:
        raise ConfigError(f"{where}: {shorten(text)} came, wanted a whole number above 0", fix="correct it")
    return int(text[:9])


def _read_temperature(part: Located, where: str) -> float:
    text = _read_text(part, where)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise ConfigError(f"{where}: {shorten(text)} came, wanted a number above 0", fix="correct it, such as 0.05")
    return value
