"""Which columns of a source hold lists of tokens and of their tags, and what is left to look for without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.contracts import Column
from tunesmith.data.columns import find_alias, find_named, no_spans
from tunesmith.data.options import ReadOptions, Record, Table
from tunesmith.data.tagging import is_tag

TOKENS, TAGS = "tokens", "tags"
"""What `data.columns` may name beside the task's own fields."""
TOKEN_NAMES = (TOKENS, "words", "词", "字")
TAG_NAMES = (TAGS, "ner_tags", "labels", "bio", "标签", "ner", "label")


@dataclass(frozen=True)
class TaskFields:
    """A task's fields: the text, the bounds of its words if the task takes them, the spans."""

    text: Column
    words: Column | None
    spans: Column


def find_fields(columns: Sequence[Column]) -> TaskFields:
    """The columns of a task that wants spans, by their part."""
    text = next(column for column in columns if column.role == "text" and column.required)
    words = next((column for column in columns if column.role == "text" and not column.required), None)
    return TaskFields(text, words, next(column for column in columns if column.holds == "spans"))


def without_lists(
    names: Sequence[str], sample: Sequence[Record], columns: Sequence[Column], options: ReadOptions
) -> tuple[Sequence[Column], ReadOptions]:
    """What is left to look for where texts stand in a column of their own.

    A list of words gives no bounds. When predicting, labels that are no lists are of another task.
    """
    fields = find_fields(columns)
    left = [*columns]
    if fields.words and (words := _find(fields.words, names)) and _hold_lists(words, sample, {str}):
        left.remove(fields.words)
    spans = _find(fields.spans, names)
    is_said = fields.spans.name in options.mapping or options.labels_required
    if spans and not is_said and not any(as_list(record.get(spans)) is not None for record in sample):
        left.remove(fields.spans)
    mapping = {field: name for field, name in options.mapping.items() if field not in (TOKENS, TAGS)}
    return left, replace(options, mapping=mapping)


def _find(column: Column, names: Sequence[str]) -> str | None:
    return find_alias((column.name, *column.aliases), names)


def find_lists(
    table: Table, sample: Sequence[Record], fields: TaskFields, options: ReadOptions
) -> tuple[str | None, str | None]:
    """The columns of tokens and tags: as the user says, as in training, by name.

    Tokens that are found by name give way to a text, unless they have tags.

    Raises:
        DataError: one was named and is not there, or tags without tokens.
    """
    names, mapping = table.columns or [], options.mapping
    if table.token_lines:
        return (TOKENS if sample else None), (TAGS if TAGS in names else None)
    lists = [name for name in names if _hold_lists(name, sample, {str})]
    named = {key: _find_named(key, names, mapping, table.name) for key in (TOKENS, TAGS)}
    said = [mapping.get(column.name) for column in (fields.text, fields.words) if column]
    tokens = named[TOKENS] or _first([*said, options.remembered.get(TOKENS)], lists)
    is_certain = tokens is not None
    if not is_certain and fields.text.name not in mapping:
        tokens = find_alias(TOKEN_NAMES, lists) or _find(fields.text, lists)
    tagged = [name for name in names if name != tokens and _hold_lists(name, sample, {str, int, type(None)})]
    tags = named[TAGS] or _first([mapping.get(fields.spans.name), options.remembered.get(TAGS)], tagged)
    tags = tags or find_alias(TAG_NAMES, tagged)
    plain = [name for name in names if name not in lists]
    if not is_certain and not tags and _find(fields.text, plain):
        tokens = None
    if tokens is None and named[TAGS]:
        raise no_spans(fields.text, names, table.name)
    return tokens, tags


def _find_named(key: str, names: Sequence[str], mapping: Mapping[str, str], source: str) -> str | None:
    """The column named for tokens or tags; a place in CoNLL lines means nothing here."""
    wanted = mapping.get(key, "last")
    is_place = wanted not in names and (wanted in ("first", "last") or wanted.isdigit())
    return None if is_place else find_named(wanted, key, names, source)


def _first(wanted: Sequence[str | None], names: Sequence[str]) -> str | None:
    return next((name for name in wanted if name in names), None)


def as_list(value: Any) -> list[Any] | None:
    """A copy of a list, tuple or array as a list; None for anything else."""
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    return list(value) if isinstance(value, (list, tuple)) else None


def _hold_lists(name: str, sample: Sequence[Record], kinds: set[type]) -> bool:
    """Whether a column has lists, and most of them hold nothing but these."""
    lists = [values for record in sample if (values := as_list(record.get(name)))]
    return sum(set(map(type, values)) <= kinds for values in lists) * 2 > len(lists)


def are_tags(name: str, sample: Sequence[Record]) -> bool:
    """Whether a column holds tags, for the most part."""
    values = [value for record in sample for value in as_list(record.get(name)) or []]
    return sum(map(is_tag, values)) * 2 > len(values)
