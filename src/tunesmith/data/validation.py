"""From a chunk of records to instances of the task's row schema, and a word about each that does not fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from tunesmith.contracts import Column
from tunesmith.data.answers import IMPOSSIBLE, place_answers, read_answers
from tunesmith.data.columns import is_needed, wants_spans
from tunesmith.data.options import ENCODING_FIX, ReadOptions, Record, Unfit
from tunesmith.data.rejects import BadRow, Remark, shorten
from tunesmith.data.spans import Oddity, check_spans, check_words, read_spans
from tunesmith.data.text_lists import read_texts

MISSING_FIX = "fill it in, or remove the row"
_PLAIN_TEXTS = frozenset({str})
_PLAIN_LABELS = frozenset({str, int, float})


@dataclass(frozen=True)
class Validator:
    """Checks chunks of one source.

    Attributes:
        source: name of the source.
        adapter: of a list of the task's row schema.
        columns: the task's columns.
        mapping: field → column.
        options: whether labels are required.
        made: the fields were made of tokens, so that the bounds of words are right.
        named_by: the column that tells rows apart better than their lines do.
    """

    source: str
    adapter: TypeAdapter[list[BaseModel]]
    columns: Sequence[Column]
    mapping: Mapping[str, str]
    options: ReadOptions
    made: bool = False
    named_by: str | None = None

    def check(
        self, records: Sequence[Record], lines: Sequence[int]
    ) -> tuple[list[BaseModel], Sequence[int], list[BadRow], list[Remark]]:
        """Validate a chunk.

        Args:
            records: rows as they stand in the source.
            lines: line of each.

        Returns:
            The accepted rows, the index of the record each was made from, the bad rows, and what is doubtful
            about rows that are not bad.
        """
        bad: dict[int, BadRow] = {}
        found = [column for column in self.columns if column.name in self.mapping]
        cells = {column.name: self._clean(column, records, lines, bad) for column in found}
        odd = self._check_spans(cells, records, lines, bad) if wants_spans(self.columns) else {}
        odd |= self._place_answers(cells, records, lines, bad)
        kept: Sequence[int] = [i for i in range(len(records)) if i not in bad] if bad else range(len(records))
        inputs = _inputs(cells, kept, len(records))
        try:
            rows = self.adapter.validate_python(inputs)
            return rows, kept, list(bad.values()), self._remark(odd, records, lines)
        except ValidationError as error:
            refused = self._explain(error)
        for position, fault in refused.items():
            bad[kept[position]] = self._bad_row(fault, records[kept[position]], lines[kept[position]])
        left = [position for position in range(len(kept)) if position not in refused]
        rows = self.adapter.validate_python([inputs[position] for position in left])
        doubtful = {index: found for index, found in odd.items() if index not in bad}
        return rows, [kept[position] for position in left], list(bad.values()), self._remark(doubtful, records, lines)

    def _clean(
        self, column: Column, records: Sequence[Record], lines: Sequence[int], bad: dict[int, BadRow]
    ) -> list[Any]:
        """Plain values of one field, None where it is missing; what cannot be used goes into `bad`."""
        name = self.mapping[column.name]
        cells = [record.get(name) for record in records]
        if column.holds == "answers":
            return self._clean_answers(column, cells, records, lines, bad)
        needed = is_needed(column, self.options)
        is_made = self.made and column.role == "text" and not column.required
        if is_made or (column.holds == "plain" and _are_plain(cells, column.role, needed)):
            return cells
        by_role = _text if column.role == "text" else _label
        clean = {"spans": _spans, "texts": _texts}.get(column.holds, by_role)
        for index, cell in enumerate(cells):
            try:
                cells[index] = clean(cell)
                if needed and cells[index] is None:
                    raise _missing(column, cell)
            except Unfit as fault:
                bad.setdefault(index, self._unfit(fault, column.name, records[index], lines[index]))
        return cells

    def _clean_answers(
        self, column: Column, cells: list[Any], records: Sequence[Record], lines: Sequence[int], bad: dict[int, BadRow]
    ) -> list[Any]:
        """Answers in one form, None where nothing is said of them."""
        for index, record in enumerate(records):
            try:
                found = read_answers(cells[index], record.get(IMPOSSIBLE))
                for answer in found or ():
                    _checked(answer["text"])
                if found is None and is_needed(column, self.options):
                    raise _missing(column, cells[index])
                cells[index] = found
            except Unfit as fault:
                bad.setdefault(index, self._unfit(fault, column.name, record, lines[index]))
        return cells

    def _place_answers(
        self, cells: Mapping[str, list[Any]], records: Sequence[Record], lines: Sequence[int], bad: dict[int, BadRow]
    ) -> dict[int, list[Oddity]]:
        """Find answers in the last text that a row must have; index → what is doubtful there."""
        fields = [column.name for column in self.columns if column.holds == "answers" and column.name in cells]
        odd: dict[int, list[Oddity]] = {}
        for field in fields:
            texts = [column.name for column in self.columns if column.role == "text" and column.required]
            for index, (text, answers) in enumerate(zip(cells[texts[-1]], cells[field], strict=True)):
                if not answers or not isinstance(text, str) or index in bad:
                    continue
                try:
                    cells[field][index], found = place_answers(text, answers)
                except Unfit as fault:
                    bad[index] = self._unfit(fault, field, records[index], lines[index])
                    continue
                if found:
                    odd[index] = found
        return odd

    def _unfit(self, fault: Unfit, field: str, record: Record, line: int) -> BadRow:
        got = shorten(record.get(self.mapping[field]))
        return BadRow(self.source, line, field, got, self._name(record) + self._place(field) + fault.problem, fault.fix)

    def _name(self, record: Record) -> str:
        """What the row is called in its file, where that is more than a line."""
        name = None if self.named_by is None else record.get(self.named_by)
        return "" if name is None else f"({self.named_by} {shorten(name)}) "

    def _check_spans(
        self, cells: Mapping[str, list[Any]], records: Sequence[Record], lines: Sequence[int], bad: dict[int, BadRow]
    ) -> dict[int, list[Oddity]]:
        """Hold spans and the bounds of words against their texts; index → what is doubtful there."""
        checks: list[tuple[str, Callable[[str, Any], list[Oddity]]]]
        checks = [(column.name, check_spans) for column in self.columns if column.holds == "spans"]
        if not self.made:
            optional = [column for column in self.columns if column.role == "text" and not column.required]
            checks += [(column.name, check_words) for column in optional]
        checks = [(field, check) for field, check in checks if field in cells]
        odd: dict[int, list[Oddity]] = {}
        for index, text in enumerate(cells.get(next(c.name for c in self.columns if c.role == "text"), [])):
            for field, check in checks if isinstance(text, str) and index not in bad else []:
                try:
                    if (value := cells[field][index]) and (found := check(text, value)):
                        odd.setdefault(index, []).extend(found)
                except Unfit as fault:
                    bad.setdefault(index, self._unfit(fault, field, records[index], lines[index]))
        return odd

    def _remark(
        self, odd: Mapping[int, Sequence[Oddity]], records: Sequence[Record], lines: Sequence[int]
    ) -> list[Remark]:
        return [
            Remark(self.source, lines[index], kind, self._name(records[index]) + problem, fix)
            for index, found in odd.items()
            for kind, problem, fix in found
        ]

    def _explain(self, error: ValidationError) -> dict[int, tuple[str | None, str]]:
        """Position → field and problem, of every row that the schema refused."""
        messages: dict[int, tuple[str | None, list[str]]] = {}
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            position, *place = fault["loc"]
            field = str(place[0]) if place else None
            known_field, said = messages.setdefault(int(position), (field, []))
            if known_field == field:
                said.append(fault["msg"].removeprefix("Value error, "))
        return {position: (field, " or ".join(dict.fromkeys(said))) for position, (field, said) in messages.items()}

    def _bad_row(self, fault: tuple[str | None, str], record: Record, line: int) -> BadRow:
        field, problem = fault
        got = record if field is None else record.get(self.mapping.get(field, field))
        fix = "correct the row" if field is None else "correct the value"
        problem = self._name(record) + self._place(field) + problem[:1].lower() + problem[1:]
        return BadRow(self.source, line, field, shorten(got), problem, fix)

    def _place(self, field: str | None) -> str:
        """The column, where the user knows the field by another name."""
        name = self.mapping.get(field, field) if field is not None else None
        return "" if name == field else f"(column {shorten(name)}) "


def _inputs(cells: Mapping[str, list[Any]], kept: Sequence[int], total: int) -> list[dict[str, Any]]:
    """Fields of the kept rows; a missing value leaves its field out, so that the schema's default holds."""
    names = list(cells)
    columns = list(cells.values())
    if len(kept) < total:
        columns = [[column[i] for i in kept] for column in columns]
    if not names:
        return [{} for _ in kept]
    rows = zip(*columns, strict=True)
    if any(None in column for column in columns):
        return [{name: v for name, v in zip(names, row, strict=True) if v is not None} for row in rows]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _are_plain(cells: list[Any], role: str, needed: bool) -> bool:
    """Whether every cell can be used as it stands: the usual case, seen without a step of Python a cell."""
    kinds = set(map(type, cells))
    if not needed:
        kinds.discard(NoneType)
    if not kinds <= (_PLAIN_TEXTS if role == "text" else _PLAIN_LABELS):
        return False
    distinct = cells if kinds == {str} and role == "text" and needed else set(cells)
    texts = [cell for cell in distinct if type(cell) is str]
    numbers = [cell for cell in distinct if type(cell) is float] if float in kinds else []
    return all(map(str.strip, texts)) and all(map(math.isfinite, numbers)) and not _text_problem("".join(texts))


def _text_problem(text: str) -> tuple[str, str] | None:
    if "\0" in text:
        return "holds a NUL character", "remove it"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character", "write the whole character"
    return None


def _missing(column: Column, cell: Any) -> Unfit:
    if column.holds == "answers":
        return Unfit("the answers are missing", "fill them in, [] where the text holds none")
    if column.holds == "spans":
        return Unfit("the spans are missing", "fill them in, [] where the text has none")
    if column.holds == "texts":
        return Unfit("the list of texts is missing", MISSING_FIX)
    what = "the text" if column.role == "text" else "the label"
    if isinstance(cell, str):
        return Unfit(f"{what} holds nothing but white space" if cell else f"{what} is empty", MISSING_FIX)
    return Unfit(f"{what} is missing", MISSING_FIX)


def _text(cell: Any) -> Any:
    value = _plain(cell)
    if isinstance(value, (bool, int, float)):
        raise Unfit("is a number, wanted a text", "write it as a text, or name another column as the text")
    return value


def _texts(cell: Any) -> Any:
    texts = read_texts(cell)
    return texts if texts is None else [_checked(text) for text in texts]


def _spans(cell: Any) -> Any:
    spans = read_spans(cell)
    for span in spans or []:
        _checked(span["label"])
    return spans


def _label(cell: Any) -> Any:
    """Numbers and texts stay what they are; true and false become words, as CSV would hold them."""
    value = _plain(cell)
    if isinstance(value, list):
        return [_word(inner) for inner in value]
    return _word(value)


def _word(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        raise Unfit("is no finite number", "write a finite number")
    return value


def _plain(value: Any) -> Any:
    """Plain Python value; None for a missing one.

    Raises:
        Unfit: a text, also inside a list, that no file can hold.
    """
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, str):
        return _checked(str(value)) if value.strip() else None
    if isinstance(value, bytes):
        raise Unfit("is no text in UTF-8", ENCODING_FIX)
    if isinstance(value, (list, tuple)):
        return [_checked(inner) if isinstance(inner, str) else _plain(inner) for inner in value]
    return None if type(value).__name__ in ("NAType", "NaTType") else value


def _checked(text: str) -> str:
    problem = _text_problem(text)
    if problem is not None:
        raise Unfit(*problem)
    return text
