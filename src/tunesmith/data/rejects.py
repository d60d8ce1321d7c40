"""Rows that cannot be used: what is said about each, the error that counts them, the file that keeps them."""

from __future__ import annotations

import json
import os
import reprlib
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import DataError

SHOWN_CHARACTERS = 80
SHOWN_ROWS = 5


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that cannot be used, and why.

    Attributes:
        file: the source as the user named it.
        line: physical line where the row starts, from 1; the row's number, from 1, where there are no lines.
        field: field of the task's row, or a column of the file; None where the whole row is at fault.
        got: what came, at most 80 characters, control characters escaped.
        problem: what is wrong with it.
        fix: what to do, as an imperative sentence.

    Example:
        >>> print(BadRow("data.csv", 7, "label", "None", "the label is missing", "fill it in"))
        data.csv, line 7, label: the label is missing; got None; fill it in
    """

    file: str
    line: int
    field: str | None
    got: str
    problem: str
    fix: str

    def __str__(self) -> str:
        place = "" if self.field is None else f", {printable(self.field)}"
        return f"{display(self.file)}, line {self.line:,}{place}: {self.problem}; got {self.got}; {self.fix}"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something doubtful about a row that can be used all the same.

    Attributes:
        file: the source as the user named it.
        line: physical line it stands in, from 1.
        kind: a word that remarks of the same sort share, such as "bad tag".
        problem: what is doubtful and what was made of it.
        fix: what to do, as an imperative sentence.
        of_all: it tells how the whole source was read, so `fit` says it in full and counts it among no rows.
    """

    file: str
    line: int
    kind: str
    problem: str
    fix: str
    of_all: bool = False

    def __str__(self) -> str:
        return f"{display(self.file)}, line {self.line:,}: {self.problem}; {self.fix}"


def printable(text: str) -> str:
    """Escape what a terminal would act on: control characters, direction marks, lone surrogates.

    Example:
        >>> printable("a\\x1b[31mb")
        'a\\\\x1b[31mb'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def display(source: str) -> str:
    """Name of a source in a message.

    Example:
        >>> display("-")
        'standard input'
    """
    return "standard input" if source == "-" else printable(source)


def shorten(value: Any) -> str:
    """Show a value in at most 80 printable characters, however large it is.

    Example:
        >>> shorten("a\\tb"), len(shorten("x" * 1000))
        ("'a\\\\tb'", 80)
    """
    if isinstance(value, str):
        shown = repr(value[: SHOWN_CHARACTERS + 1])
    else:
        short = reprlib.Repr()
        short.maxstring = short.maxother = short.maxlong = SHOWN_CHARACTERS + 1
        shown = printable(short.repr(value))
    return shown if len(shown) <= SHOWN_CHARACTERS else shown[: SHOWN_CHARACTERS - 1] + "…"


def listed(names: Sequence[str], limit: int = 30) -> str:
    """Names in quotes for a message, the rest counted.

    Example:
        >>> listed(["id", "text"])
        "'id', 'text'"
    """
    shown = ", ".join(shorten(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit:,} more"


def bad_rows_error(rejected: Sequence[BadRow], read: int, source: str) -> DataError:
    """Make the error of strict reading: all bad rows counted, the first five shown.

    Args:
        rejected: the bad rows, at least one.
        read: rows read in all.
        source: name of the source.
    """
    rows = "row" if read == 1 else "rows"
    lines = [f"{len(rejected):,} of {read:,} {rows} of {display(source)} cannot be used"]
    lines += [f"  {bad}" for bad in rejected[:SHOWN_ROWS]]
    if len(rejected) > SHOWN_ROWS:
        lines.append(f"  and {len(rejected) - SHOWN_ROWS:,} more")
    if len(rejected) == read:
        return DataError("\n".join(lines), fix="correct the file; no row of it can be used")
    return DataError(
        "\n".join(lines),
        fix="correct them, or add --skip-bad to set them aside in rejected.jsonl and use the others",
    )


def write_rejected(path: str | Path, rejected: Sequence[BadRow]) -> None:
    """Write bad rows as JSON lines, the whole file or nothing.

    Args:
        path: the file; an older one is replaced.
        rejected: the bad rows; none gives an empty file.

    Raises:
        DataError: the file cannot be written.
    """
    target = Path(path)
    content = "".join(json.dumps(asdict(bad), ensure_ascii=False) + "\n" for bad in rejected)
    try:
        # A name with lone surrogates (a path that is no UTF-8) must not stop the report of other rows.
        _replace(target, content.encode("utf-8", "backslashreplace"))
    except OSError as error:
        message = f"cannot write {display(str(target))}: {error.strerror}"
        raise DataError(message, fix="check the folder and the free space") from error


def _replace(target: Path, content: bytes) -> None:
    """Write beside the target, flush to the disk, then rename: a crash leaves the old file or the new one."""
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
