"""The first pass over a split: what is read and what is not, and a sample of the rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith import data
from tunesmith.checking.findings import MOST_EXAMPLES, Example, Finding, say_rows, shorten_text
from tunesmith.checking.sampling import Sample
from tunesmith.checking.splits import Split
from tunesmith.contracts import Task
from tunesmith.data.rejects import BadRow

SEED = 13
SAMPLE_ROWS = 50_000
SAMPLE_CHARACTERS = 20_000_000
"""Of long texts the sample holds fewer."""
MOST_GROUPS = 50
"""Sorts of problems that are told apart; the others are counted together."""
_PARTICULAR = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|0x[0-9a-f]+|\d[\d,]*")
OTHER = "other problems"


@dataclass
class Group:
    """Bad rows (or doubtful ones) of one sort."""

    count: int = 0
    first: list[Any] = field(default_factory=list)

    def add(self, item: Any) -> None:
        """Count one more; the first ones are kept."""
        self.count += 1
        if len(self.first) < MOST_EXAMPLES:
            self.first.append(item)


@dataclass(frozen=True)
class Survey:
    """What reading a split showed.

    Attributes:
        split: what was read.
        source: its source as the user named it.
        columns: columns of the source.
        mapping: field → column.
        guessed_fields: fields guessed by what their column holds.
        accepted: rows that can be used.
        rejected: rows that cannot.
        first_rejected: the first of them.
        bad: rows that cannot be used, by sort of problem.
        remarks: doubtful rows, by sort of remark.
        sample: some of the accepted rows.
    """

    split: Split
    source: str
    columns: list[str]
    mapping: Mapping[str, str]
    guessed_fields: tuple[str, ...]
    accepted: int
    rejected: int
    first_rejected: Sequence[BadRow]
    bad: Mapping[str, Group]
    remarks: Mapping[str, Group]
    sample: Sample


def survey_split(split: Split, task: Task) -> Survey:
    """Read a split once.

    Raises:
        DataError: it cannot be read, or a column is not found.
    """
    stream = split.open(task)
    sample = Sample(SEED, SAMPLE_ROWS, SAMPLE_CHARACTERS)
    bad: dict[str, Group] = {}
    remarks: dict[str, Group] = {}
    first: list[BadRow] = []
    for chunk in stream:
        sample.add(chunk.rows, [sum(map(len, task.texts(row))) for row in chunk.rows])
        first += chunk.rejected[: MOST_EXAMPLES - len(first)]
        _add_all(bad, ((_sort_of(row), row) for row in chunk.rejected))
        _add_all(remarks, ((remark.kind, remark) for remark in chunk.remarks))
    return Survey(
        split=split,
        source=stream.source,
        columns=stream.columns,
        mapping=stream.mapping,
        guessed_fields=stream.guessed_fields,
        accepted=sample.seen,
        rejected=sum(group.count for group in bad.values()),
        first_rejected=first,
        bad=bad,
        remarks=remarks,
        sample=sample,
    )


def _add_all(groups: dict[str, Group], items: Iterable[tuple[str, Any]]) -> None:
    for name, item in items:
        known = name if name in groups or len(groups) < MOST_GROUPS else OTHER
        groups.setdefault(known, Group()).add(item)


def _sort_of(row: BadRow) -> str:
    """The problem without what is particular to the row."""
    return _PARTICULAR.sub("…", row.problem)


def find_unusable(surveys: Sequence[Survey]) -> list[Finding]:
    """A finding for each sort of rows that cannot be used, and for each sort of remark."""
    read = sum(survey.accepted + survey.rejected for survey in surveys)
    found = [_unusable(sort, surveys, read) for sort in _names(survey.bad for survey in surveys)]
    return found + [_doubtful(kind, surveys, read) for kind in _names(survey.remarks for survey in surveys)]


def _names(groups: Iterable[Mapping[str, Group]]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group))


def _unusable(sort: str, surveys: Sequence[Survey], read: int) -> Finding:
    groups = [(survey.split.name, survey.bad[sort]) for survey in surveys if sort in survey.bad]
    count = sum(group.count for _, group in groups)
    example: BadRow = groups[0][1].first[0]
    is_named = example.field is None or example.field in example.problem
    field_name = "" if is_named or sort == OTHER else f"{example.field}: "
    return Finding(
        "unusable_rows",
        "error",
        count,
        count / read,
        f"{say_rows(count)} cannot be used: {field_name}{sort if sort == OTHER else example.problem}",
        f"{example.fix}; with --skip-bad, fit sets them aside",
        examples=tuple(Example(name, row.line, shorten_text(row.got)) for name, group in groups for row in group.first),
        splits={name: group.count for name, group in groups},
    )


def _doubtful(kind: str, surveys: Sequence[Survey], read: int) -> Finding:
    groups = [(survey.split.name, survey.remarks[kind]) for survey in surveys if kind in survey.remarks]
    count = sum(group.count for _, group in groups)
    example: data.Remark = groups[0][1].first[0]
    return Finding(
        re.sub(r"\W+", "_", kind.strip().lower()),
        "warning",
        count,
        count / read,
        f"{kind} {'once' if count == 1 else f'{count:,} times'}: {example.problem}",
        example.fix,
        examples=tuple(
            Example(name, remark.line, shorten_text(remark.problem)) for name, group in groups for remark in group.first
        ),
        splits={name: group.count for name, group in groups},
    )


def find_guesses(surveys: Sequence[Survey]) -> list[Finding]:
    """A note for each split whose columns were guessed by what they hold."""
    found = []
    for survey in surveys:
        if survey.guessed_fields:
            guessed = ", ".join(f"{field} = {survey.mapping[field]!r}" for field in survey.guessed_fields)
            message = f"columns of {survey.split.name} were guessed by what they hold: {guessed}"
            fix = "where that is wrong, name them: --set data.columns.FIELD=NAME"
            found.append(Finding("guessed_columns", "note", len(survey.guessed_fields), 1.0, message, fix))
    return found
