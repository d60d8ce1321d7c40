"""Lists of texts: in one column, in a column for each text, or a text a line (see `text_lines`)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from tunesmith.contracts import Column
from tunesmith.data.columns import find_alias, find_named
from tunesmith.data.options import GUESS_ROWS, RawChunk, ReadOptions, Record, Table, Unfit, take_sample
from tunesmith.data.rejects import display
from tunesmith.data.text_lines import is_missing, merge_lines
from tunesmith.errors import DataError

SEPARATOR = "|"
"""Stands between the texts of a list in one cell, where the cell is no list in JSON."""
_SUFFIX = re.compile(r"[a-z]|\d{1,3}")
_ELLIPSIS = " … "
LIST_FIX = 'write a list of texts such as ["tea", "milk"], or give each text a column of its own'


def wants_texts(columns: Sequence[Column]) -> bool:
    """Whether a task with these columns takes a list of texts."""
    return any(column.holds == "texts" for column in columns)


@dataclass(frozen=True)
class Gathered:
    """A source whose lists of texts stand in one column each.

    Attributes:
        table: the source.
        columns: what can be looked for in it: its columns, those that hold one text each replaced by one name.
        options: with the columns that were found.
    """

    table: Table
    columns: list[str]
    options: ReadOptions


def gather_texts(table: Table, columns: Sequence[Column], options: ReadOptions) -> Gathered:
    """Find how a source holds its list of texts, and bring it into one column.

    The first 1,000 rows tell. A column that the user named or that is called as the list comes first, then columns
    for single texts (choice_a, choice_b …), then one text a line.

    Args:
        table: the source.
        columns: the task's columns; one of them holds texts.
        options: `mapping` may name the column, or what several columns share ("choice" of choice_a …).

    Raises:
        DataError: a column between two of them is missing (choice_a, choice_c).
    """
    head = take_sample(table.chunks)
    sample = [record for chunk in head for record in chunk.records][:GUESS_ROWS]
    names = table.columns if table.columns is not None else list(dict.fromkeys(chain.from_iterable(sample)))
    table = replace(table, columns=names if sample else table.columns, chunks=chain(head, table.chunks))
    column = next(column for column in columns if column.holds == "texts")
    wish = options.mapping.get(column.name)
    named = _named_column(wish, column, names, table.name)
    if named is None:
        parts = _find_parts(names, column, wish or options.remembered.get(column.name), table.name)
        if parts:
            joined = f"{parts[0]}{_ELLIPSIS}{parts[-1]}"
            chunks = (_join(chunk, parts, joined) for chunk in table.chunks)
            kept = [*(name for name in names if name not in parts), joined]
            mapping = {**options.mapping, column.name: joined}
            return Gathered(replace(table, chunks=chunks), kept, replace(options, mapping=mapping))
    if column.single and sample and _is_flat(named, column, names, sample):
        lines = [line for chunk in head for line in chunk.lines][:GUESS_ROWS]
        table, mapping = merge_lines(table, columns, options, list(zip(sample, lines, strict=True)))
        return Gathered(table, list(names), replace(options, mapping={**options.mapping, **mapping}))
    return Gathered(table, list(names), options)


def _named_column(wish: str | None, column: Column, names: Sequence[str], source: str) -> str | None:
    """The one column that holds the lists, or a text of them; None where it is to be looked for otherwise."""
    if wish is None:
        return find_alias((column.name, *column.aliases), names)
    is_shared = _ELLIPSIS in wish or len(_parts_of(_plain(wish), names)) > 1
    return None if is_shared and wish not in names else find_named(wish, column.name, names, source)


def _find_parts(names: Sequence[str], column: Column, wish: str | None, source: str) -> list[str]:
    """Columns that hold one text each, in their order; [] where there are none."""
    stems: Sequence[str] = column.stems
    if wish is not None:
        first = wish.partition(_ELLIPSIS)[0]
        stems = (_plain(first)[:-1], *stems) if _ELLIPSIS in wish else (_plain(wish), *stems)
    for stem in stems:
        found = _parts_of(stem, names)
        if len(found) < 2:
            continue
        places = sorted(found)
        missing = next((place for place in range(places[0], places[-1]) if place not in found), None)
        if missing is not None:
            after = found[min(place for place in places if place > missing)]
            raise DataError(
                f"{display(source)} has the columns {found[places[0]]!r} and {after!r}, but one in between is missing",
                fix=f"add it, or name one column that holds lists: --set data.columns.{column.name}=NAME",
            )
        return [found[place] for place in places]
    return []


def _parts_of(stem: str, names: Sequence[str]) -> dict[int, str]:
    """Place → column, of the columns called as the stem and a letter or number; {} where the first one is missing.

    Example:
        >>> _parts_of("choice", ["question", "choice_a", "Choice B", "choices"])
        {0: 'choice_a', 1: 'Choice B'}
        >>> _parts_of("", ["id", "A", "B", "y"])
        {0: 'A', 1: 'B'}
    """
    letters: dict[int, str] = {}
    numbers: dict[int, str] = {}
    for name in names:
        plain = _plain(name)
        suffix = plain.removeprefix(stem)
        if not plain.startswith(stem) or not _SUFFIX.fullmatch(suffix):
            continue
        if stem and name.casefold() == f"{stem}s":  # the plural, not the nineteenth
            continue
        if suffix.isdigit():
            numbers.setdefault(int(suffix), name)
        else:
            letters.setdefault(ord(suffix) - ord("a"), name)
    if not stem:  # a column called 1, or y, or x is no text of a list by itself
        letters = {place: name for place, name in letters.items() if all(p in letters for p in range(place))}
        numbers = {}
    if 0 in letters:
        return letters
    return numbers if numbers and min(numbers) in (0, 1) else {}


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c not in " _-\u3000\ufeff\t.")


def _join(chunk: RawChunk, parts: Sequence[str], joined: str) -> RawChunk:
    """The chunk with fields in which the texts of several columns are a list; its records stay what they are."""
    fields = [{**record, joined: _texts_of(record, parts)} for record in chunk.records]
    return replace(chunk, fields=fields)


def _texts_of(record: Record, parts: Sequence[str]) -> list[Any]:
    """The texts of a row; columns at the end that are empty make the list shorter."""
    texts = [record.get(name) for name in parts]
    while texts and is_missing(texts[-1]):
        texts.pop()
    return texts


def read_texts(cell: Any) -> list[str] | None:
    """A list of texts as a cell holds it; None for a missing one.

    Args:
        cell: a list; an object with the list as "text", as some exams have it; a text that is a list in JSON, or
            texts with | between them.

    Raises:
        Unfit: it is something else, or one of the texts is missing.

    Example:
        >>> read_texts('["tea", "milk"]'), read_texts("tea | milk"), read_texts({"text": ["tea"], "label": ["A"]})
        (['tea', 'milk'], ['tea', 'milk'], ['tea'])
    """
    if type(cell).__module__ == "numpy" and hasattr(cell, "tolist"):
        cell = cell.tolist()
    if is_missing(cell):
        return None
    if isinstance(cell, Mapping) and isinstance(cell.get("text"), (list, tuple)):
        cell = cell["text"]
    if isinstance(cell, str):
        cell = _split(cell)
    if not isinstance(cell, (list, tuple)):
        raise Unfit("is no list of texts", LIST_FIX)
    return [_text_of(value, number) for number, value in enumerate(cell, start=1)]


def _split(cell: str) -> list[Any]:
    if cell.lstrip().startswith("["):
        try:
            found = json.loads(cell)
        except (ValueError, RecursionError):
            raise Unfit("begins like a list in JSON, but is none", LIST_FIX) from None
        return list(found)
    return [part.strip() for part in cell.split(SEPARATOR)]


def _text_of(value: Any, number: int) -> str:
    if is_missing(value):
        raise Unfit(f"text {number:,} of the list is empty", "write it, or remove the row")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise Unfit(f"text {number:,} of the list is no text", LIST_FIX)
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _is_flat(named: str | None, column: Column, names: Sequence[str], sample: Sequence[Record]) -> bool:
    """Whether a column holds one text of a list a line."""
    found = named or find_alias(column.single, names)
    values = [record.get(found) for record in sample if found and not is_missing(record.get(found))]
    texts = [value for value in values if isinstance(value, str)]
    if not texts or len(texts) < len(values):
        return False
    return named is None or not any(text.lstrip().startswith("[") or SEPARATOR in text for text in texts)
