"""From a chunk of records to instances of the task's row schema, and a word about each that does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from tunesmith.contracts import Column
from tunesmith.data.answers import place_answers
from tunesmith.data.cells import are_plain, missing, read_cell
from tunesmith.data.columns import is_needed, wants_spans
from tunesmith.data.options import ReadOptions, Record, Unfit
from tunesmith.data.rejects import BadRow, Remark, shorten
from tunesmith.data.spans import Oddity, check_spans, check_words

UNREAD = "unread label"
"""Kind of remark on a label that cannot be read and that nobody needs."""


Check = Callable[[str, Any], tuple[Any, list[Oddity]]]
"""Holds a value against its text: the value to go on with, and what is doubtful."""


@dataclass(frozen=True)
class _Chunk:
    """Rows being checked.

    Attributes:
        records: as they stand in the source.
        lines: line of each.
        bad: index → why the row cannot be used.
        odd: index → what is doubtful about it.
    """

    records: Sequence[Record]
    lines: Sequence[int]
    bad: dict[int, BadRow] = field(default_factory=dict)
    odd: dict[int, list[Oddity]] = field(default_factory=dict)


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
        chunk = _Chunk(records, lines)
        found = [column for column in self.columns if column.name in self.mapping]
        cells = {column.name: self._clean(column, chunk) for column in found}
        self._hold_against_text(cells, chunk)
        kept: Sequence[int] = range(len(records))
        if chunk.bad:
            kept = [i for i in kept if i not in chunk.bad]
        rows, kept = self._make_rows(_inputs(cells, kept, len(records)), kept, chunk)
        return rows, kept, list(chunk.bad.values()), self._remark(chunk)

    def _make_rows(
        self, inputs: list[dict[str, Any]], kept: Sequence[int], chunk: _Chunk
    ) -> tuple[list[BaseModel], Sequence[int]]:
        """The rows that the schema takes and their indices; a label that it refuses and nobody needs is left out."""
        try:
            return self.adapter.validate_python(inputs), kept
        except ValidationError as error:
            refused = self._explain(error)
        for position, (name, problem) in refused.items():
            index = kept[position]
            if name is not None and self._is_spare(name) and name in inputs[position]:
                del inputs[position][name]
                chunk.odd.setdefault(index, []).append(_spare(self._place(name) + problem, "correct it, or remove it"))
            else:
                chunk.bad[index] = self._bad_row((name, problem), chunk.records[index], chunk.lines[index])
        left = [position for position, index in enumerate(kept) if index not in chunk.bad]
        return self._make_rows([inputs[position] for position in left], [kept[position] for position in left], chunk)

    def _clean(self, column: Column, chunk: _Chunk) -> list[Any]:
        """Plain values of one field, None where it is missing; what cannot be used is refused."""
        name = self.mapping[column.name]
        cells = [record.get(name) for record in chunk.records]
        needed = is_needed(column, self.options)
        is_made = self.made and column.role == "text" and not column.required
        if is_made or (column.holds == "plain" and are_plain(cells, column.role, needed)):
            return cells
        for index, cell in enumerate(cells):
            try:
                cells[index] = read_cell(column, cell, chunk.records[index])
                if needed and cells[index] is None:
                    raise missing(column, cell)
            except Unfit as fault:
                self._refuse(fault, column, index, chunk)
                cells[index] = None
        return cells

    def _hold_against_text(self, cells: Mapping[str, list[Any]], chunk: _Chunk) -> None:
        """Spans, the bounds of words and answers belong to the last text that a row must have."""
        checks = [(column, _CHECKS[column.holds]) for column in self.columns if column.holds in _CHECKS]
        if not self.made and wants_spans(self.columns):
            checks += [(column, _words) for column in self.columns if column.role == "text" and not column.required]
        texts = [column.name for column in self.columns if column.role == "text" and column.required]
        for column, check in checks if texts and texts[-1] in cells else []:
            own = cells.get(column.name, ())
            for index, (text, value) in enumerate(zip(cells[texts[-1]], own, strict=bool(own))):
                if not value or not isinstance(text, str) or index in chunk.bad:
                    continue
                try:
                    cells[column.name][index], found = check(text, value)
                except Unfit as fault:
                    self._refuse(fault, column, index, chunk)
                    cells[column.name][index] = None
                    continue
                if found:
                    chunk.odd.setdefault(index, []).extend(found)

    def _is_spare(self, name: str) -> bool:
        """Whether a field is a label that nobody needs, as when predicting: it makes no row bad."""
        return not self.options.labels_required and any(c.name == name and c.role == "label" for c in self.columns)

    def _refuse(self, fault: Unfit, column: Column, index: int, chunk: _Chunk) -> None:
        """The row is bad, or goes on without a label that nobody needs."""
        if self._is_spare(column.name):
            chunk.odd.setdefault(index, []).append(_spare(self._place(column.name) + fault.problem, fault.fix))
        else:
            chunk.bad.setdefault(index, self._unfit(fault, column.name, chunk.records[index], chunk.lines[index]))

    def _unfit(self, fault: Unfit, field: str, record: Record, line: int) -> BadRow:
        got = shorten(record.get(self.mapping[field]))
        return BadRow(self.source, line, field, got, self._name(record) + self._place(field) + fault.problem, fault.fix)

    def _name(self, record: Record) -> str:
        """What the row is called in its file, where that is more than a line."""
        name = None if self.named_by is None else record.get(self.named_by)
        return "" if name is None else f"({self.named_by} {shorten(name)}) "

    def _remark(self, chunk: _Chunk) -> list[Remark]:
        return [
            Remark(self.source, chunk.lines[index], kind, self._name(chunk.records[index]) + problem, fix)
            for index, found in chunk.odd.items()
            if index not in chunk.bad
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


def _words(text: str, words: Any) -> tuple[Any, list[Oddity]]:
    return words, check_words(text, words)


def _spans(text: str, spans: Any) -> tuple[Any, list[Oddity]]:
    return spans, check_spans(text, spans)


_CHECKS: Mapping[str, Check] = {"spans": _spans, "answers": place_answers}
"""What a column holds → how it is held against its text."""


def _spare(problem: str, fix: str) -> Oddity:
    return UNREAD, f"the label is left out: {problem}", fix
