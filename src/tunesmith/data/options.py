"""How a source is read, and the pieces that the readers of each format hand on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tunesmith.data.rejects import BadRow, Remark

Format = Literal["csv", "tsv", "jsonl", "parquet", "conll"]
Record = dict[str, Any]
"""One row of a source as it stands there: column → value."""

GUESS_ROWS = 1000
"""Rows that the guess of the columns looks at."""


@dataclass(frozen=True)
class ReadOptions:
    """How a source is read.

    Attributes:
        mapping: field → column, where the user says so; wins over every guess. `tokens` and `tags` may be named,
            too, where a task wants spans: in .conll by their number from 1, or as first and last.
        remembered: field → column of the file that a model was trained on; used where such a column is there.
        format: format of the source; None: by its name, for standard input by its first byte.
        skip_bad: return bad rows instead of raising.
        labels_required: a row without a label is bad; False when only predicting.
        max_row_bytes: the longest row in bytes of UTF-8; a longer one is bad.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    remembered: Mapping[str, str] = field(default_factory=dict)
    format: Format | None = None
    skip_bad: bool = False
    labels_required: bool = True
    max_row_bytes: int = 9_999_999


@dataclass(frozen=True)
class RawChunk:
    """Neighbouring rows of a source before the task's schema was applied.

    Attributes:
        records: the rows that could be parsed.
        lines: line of each record, from 1.
        faults: the rows that could not be parsed.
        remarks: what is doubtful about rows that could.
        fields: field → value of each record, where they were made from it; None: they are its columns.
    """

    records: list[Record]
    lines: Sequence[int]
    faults: list[BadRow]
    remarks: Sequence[Remark] = ()
    fields: list[Record] | None = None


@dataclass(frozen=True)
class Table:
    """A source being read.

    Attributes:
        name: the source as the user named it.
        columns: its columns in order, or None where only the rows tell.
        chunks: its rows; closing the iterator closes the file.
        has_header: the columns were read from a first line, which might be data by mistake.
        token_lines: each token of a row has a line of its own, its first token the row's line.
        made_from: the columns that the fields of its chunks were made from, as `ReadOptions.mapping` names them;
            None: the fields are columns.
        layout: what people call the way it is written, where that was recognised; "" for plain rows.
        named_by: the column that tells its rows apart better than their lines do.
    """

    name: str
    columns: list[str] | None
    chunks: Iterator[RawChunk]
    has_header: bool = False
    token_lines: bool = False
    made_from: Mapping[str, str] | None = None
    layout: str = ""
    named_by: str | None = None


def take_sample(chunks: Iterator[RawChunk]) -> list[RawChunk]:
    """The first chunks, until there are enough rows to guess from."""
    head: list[RawChunk] = []
    for chunk in chunks:
        head.append(chunk)
        if sum(len(part.records) for part in head) >= GUESS_ROWS:
            break
    return head


class Unfit(Exception):
    """A cell that cannot be used: what is wrong and what to do."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


ENCODING_FIX = (
    "save the file as UTF-8; Chinese files are often GB18030 or GBK, western ones Latin-1: "
    "iconv -f GB18030 -t UTF-8 FILE > NEW"
)


def unique_names(names: Sequence[Any]) -> list[str]:
    """Column names as distinct, non-empty strings.

    Example:
        >>> unique_names(["", "text", "text", 3])
        ['column 1', 'text', 'text (2)', '3']
    """
    taken: dict[str, None] = {}
    for position, given in enumerate(names, start=1):
        base = name = str(given) or f"column {position}"
        count = 1
        while name in taken:
            count += 1
            name = f"{base} ({count})"
        taken[name] = None
    return list(taken)
