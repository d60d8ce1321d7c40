"""Which column of a table is which field of a row: as the user says, by name, or by what it holds."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.contracts import Column
from tunesmith.data.options import ReadOptions, Record
from tunesmith.data.rejects import display, listed, printable
from tunesmith.errors import DataError, nearest

LABEL_CHARACTERS = 80
"""Values longer than this on average are no labels."""
SMALL_TABLE_ROWS = 20
HEADER_CHARACTERS = 60
SENTENCE_ENDS = (".", "!", "?", "。", "！", "？", "…")
SPANS_EXAMPLE = '{"text": "Ada met Bo", "entities": [{"start": 0, "end": 3, "label": "PER"}]}'
TAGS_EXAMPLE = '{"tokens": ["Ada", "met", "Bo"], "tags": ["B-PER", "O", "O"]}'


@dataclass(frozen=True)
class ColumnMap:
    """Where each field stands.

    Attributes:
        mapping: field → column.
        guessed_fields: the fields that were guessed by what the column holds, not by its name.
    """

    mapping: dict[str, str]
    guessed_fields: tuple[str, ...]


def resolve_columns(
    names: Sequence[str],
    sample: Sequence[Record],
    columns: Sequence[Column],
    options: ReadOptions,
    source: str,
) -> ColumnMap:
    """Find the column of each field.

    The user's mapping wins; then a column remembered from training; then a column named like the field, then
    one of its aliases (case, spaces, hyphens and underscores do not count); then, for one required text and one
    required label, what the columns hold.

    Args:
        names: columns of the table.
        sample: its first rows.
        columns: fields wanted.
        options: `mapping`, `remembered` and `labels_required` are used.
        source: name of the table.

    Raises:
        DataError: a required field cannot be found, or the user's mapping names what is not there.

    Example:
        >>> text, label = Column("text", "text", ("review",)), Column("label", "label", ("sentiment",))
        >>> found = resolve_columns(["Review", "kind"], [{"Review": "good", "kind": "a"}] * 2, [text, label],
        ...                         ReadOptions(mapping={"label": "kind"}), "data.csv")
        >>> found.mapping
        {'text': 'Review', 'label': 'kind'}
    """
    mapping = _by_user(names, columns, options, source)
    _by_memory(names, columns, options, mapping)
    _by_name(names, columns, mapping)
    guessed: list[str] = []
    for column in columns:
        if column.name in mapping or not is_needed(column, options):
            continue
        free = [name for name in names if name not in mapping.values()]
        candidates = _guess(column, columns, free, sample)
        if not candidates and wants_spans(columns):
            raise no_spans(column, names, source)
        if len(candidates) != 1:
            raise _not_found(column, candidates, names, source)
        mapping[column.name] = candidates[0]
        guessed.append(column.name)
    ordered = {column.name: mapping[column.name] for column in columns if column.name in mapping}
    return ColumnMap(ordered, tuple(guessed))


def wants_spans(columns: Sequence[Column]) -> bool:
    """Whether a task with these columns takes spans, and so tagged tokens."""
    return any(column.holds == "spans" for column in columns)


def is_needed(column: Column, options: ReadOptions) -> bool:
    """Whether a row without this field is bad."""
    return column.required and (column.role == "text" or options.labels_required)


def _by_user(names: Sequence[str], columns: Sequence[Column], options: ReadOptions, source: str) -> dict[str, str]:
    mapping = {}
    check_fields(options.mapping, [column.name for column in columns])
    for field, wanted in options.mapping.items():
        mapping[field] = find_named(wanted, field, names, source)
    return mapping


def check_fields(given: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a column named for a field that is none.

    Raises:
        DataError: it is none.
    """
    for field in given:
        if field not in known:
            raise DataError(f"data.columns.{field} is no field of this task", fix=nearest(field, known))


def find_named(wanted: str, field: str, names: Sequence[str], source: str) -> str:
    """The column that the user named, letter by letter or as the only one alike.

    Raises:
        DataError: there is none.
    """
    alike = [name for name in names if _plain(name) == _plain(wanted)]
    if wanted in names or len(alike) == 1:
        return wanted if wanted in names else alike[0]
    message = f"{display(source)} has no column {wanted!r} (data.columns.{field})"
    close = difflib.get_close_matches(wanted, names, n=1)
    fix = f"did you mean {close[0]!r}?" if close else "name one of these columns"
    raise DataError(f"{message}; columns: {listed(names)}", fix=fix)


def find_alias(aliases: Sequence[str], names: Sequence[str]) -> str | None:
    """The first column that is called by one of the names."""
    free = {_plain(name): name for name in reversed(names)}
    return next((free[_plain(alias)] for alias in aliases if _plain(alias) in free), None)


def _by_memory(names: Sequence[str], columns: Sequence[Column], options: ReadOptions, mapping: dict[str, str]) -> None:
    for column in columns:
        wanted = options.remembered.get(column.name)
        if wanted is not None and wanted in names and wanted not in mapping.values():
            mapping.setdefault(column.name, wanted)


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c not in " _-\u3000\ufeff\t")


def _by_name(names: Sequence[str], columns: Sequence[Column], mapping: dict[str, str]) -> None:
    """Fields under their own names first, so that no alias of another field takes them."""
    for aliases in ([(column.name,) for column in columns], [column.aliases for column in columns]):
        for column, wanted in zip(columns, aliases, strict=True):
            if column.name in mapping:
                continue
            found = find_alias(wanted, [name for name in names if name not in mapping.values()])
            if found is not None:
                mapping[column.name] = found


def _guess(column: Column, columns: Sequence[Column], free: Sequence[str], sample: Sequence[Record]) -> list[str]:
    """Columns that may hold the field; exactly one is a guess. A pair is never guessed by what it holds."""
    same_role = [other for other in columns if other.role == column.role and other.required]
    if len(same_role) > 1:
        return []
    held = {name: [row[name] for row in sample if not _is_missing(row.get(name))] for name in free}
    if column.holds == "answers":
        return []
    if column.holds == "spans":
        return [name for name, values in held.items() if values and all(isinstance(v, (list, tuple)) for v in values)]
    if column.role == "label":
        return _guess_label(held)
    return _guess_text(held, in_words_only=wants_spans(columns))


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return not value
    return value is None or (isinstance(value, float) and value != value)


def _guess_text(held: Mapping[str, Sequence[Any]], *, in_words_only: bool) -> list[str]:
    """The longest column of strings; words before codes, dates and addresses."""
    scores = {}
    for name, values in held.items():
        texts = [value for value in values if isinstance(value, str)]
        if not texts or len(texts) < len(values) * 0.9 or sum(map(_is_number, texts)) > len(texts) * 0.5:
            continue
        in_words = sum(map(_has_words, texts)) >= len(texts) * 0.5
        if in_words_only and not in_words:
            continue
        scores[name] = (in_words, sum(map(len, texts)) / len(texts))
    return [max(scores, key=lambda name: scores[name])] if scores else []


def _has_words(text: str) -> bool:
    """Letters with spaces between them, or in a script that is written without spaces."""
    return any(c.isalpha() for c in text) and (" " in text.strip() or any(ord(c) > 0x2E7F for c in text))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _guess_label(held: Mapping[str, Sequence[Any]]) -> list[str]:
    """Columns with few distinct values; words before numbers. An index, whose values all differ, is none."""
    words: list[str] = []
    numbers: list[str] = []
    for name, values in held.items():
        texts = [str(value) for value in values]
        distinct = len(set(texts))
        most = len(texts) - 1 if len(texts) <= SMALL_TABLE_ROWS else len(texts) // 2
        if not 2 <= distinct <= most or sum(map(len, texts)) > LABEL_CHARACTERS * len(texts):
            continue
        (numbers if all(map(_is_number, texts)) else words).append(name)
    return words or numbers


def _not_found(column: Column, candidates: Sequence[str], names: Sequence[str], source: str) -> DataError:
    option = f"data.columns.{column.name}="
    if candidates:
        message = f"{display(source)} has several columns that could be the {column.name}: {listed(candidates)}"
        setting = shlex.quote(printable(f"{option}{candidates[0]}"))
        return DataError(message, fix=f"name the right one: --set {setting}")
    message = f"{display(source)} has no column that looks like the {column.name}; columns: {listed(names)}"
    return DataError(message, fix=f"name it: --set {option}NAME")


def no_spans(column: Column, names: Sequence[str], source: str) -> DataError:
    """The error of a source that a task which wants spans cannot use."""
    what = "neither a text nor tokens" if column.role == "text" else "neither spans nor tags"
    fix = f"give rows such as {SPANS_EXAMPLE} or {TAGS_EXAMPLE}, or name it: --set data.columns.{column.name}=NAME"
    return DataError(f"{display(source)} has {what}; columns: {listed(names)}", fix=fix)


def check_header(
    names: Sequence[str],
    sample: Sequence[Record],
    columns: Sequence[Column],
    options: ReadOptions,
    source: str,
) -> None:
    """Refuse a table whose first line is a row and not the names of the columns.

    It is taken for a row when it has none of the names known and holds a number, a sentence, or a value that
    its column repeats below.

    Raises:
        DataError: the table seems to have no header.
    """
    known = {_plain(alias) for column in columns for alias in (column.name, *column.aliases)}
    known |= {_plain(name) for name in (*options.mapping.values(), *options.remembered.values())}
    if any(_plain(name) in known for name in names):
        return
    if any(_looks_like_data(name, [row.get(name) for row in sample]) for name in names):
        message = f"the first line of {display(source)} looks like a row, not like column names"
        example = ",".join(column.name for column in columns if is_needed(column, options))
        raise DataError(f"{message}: {listed(names, 5)}", fix=f"put a header on top, such as the line {example}")


def _looks_like_data(name: str, values: Sequence[Any]) -> bool:
    plain = name.strip()
    if _is_number(plain) or len(plain) > HEADER_CHARACTERS or plain.endswith(SENTENCE_ENDS):
        return True
    return name in values
