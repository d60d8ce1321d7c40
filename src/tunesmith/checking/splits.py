"""The files of a check: their names as splits, and reading them several times."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from tunesmith import data
from tunesmith.contracts import Task
from tunesmith.errors import DataError
from tunesmith.task_guess import guess_task

SPLIT_WORDS: Mapping[str, frozenset[str]] = {
    "train": frozenset({"train", "training"}),
    "dev": frozenset({"dev", "devel", "development", "valid", "validation", "val"}),
    "test": frozenset({"test", "testing"}),
}


@dataclass(frozen=True)
class Split:
    """A source that can be read from the start as often as needed.

    Attributes:
        name: "train", "dev" or "test" where the file's name says so, or the file's name without its suffix.
        source: what `data.stream_rows` takes.
        options: how it is read.
        copy: the bytes of standard input, which can be read only once.
    """

    name: str
    source: Any
    options: data.ReadOptions
    copy: BinaryIO | None = None

    def open(self, task: Task) -> data.RowStream:
        """Start reading from the first row.

        Raises:
            DataError: it cannot be read, or a column is not found.
        """
        self._rewind()
        return data.stream_rows(self.source, task.Row, task.columns, self.options, stdin=self.copy)

    def guess_task(self) -> str:
        """The task that it is for.

        Raises:
            DataError: it cannot be read.
        """
        self._rewind()
        return guess_task(self.source, self.options, self.copy)

    def _rewind(self) -> None:
        if self.copy is not None:
            self.copy.seek(0)


def name_splits(sources: Sequence[Any] | Mapping[str, Any], options: data.ReadOptions) -> list[Split]:
    """Name sources as splits, the training one first.

    Args:
        sources: paths, "-", or rows in memory; a mapping names them itself.
        options: how they are read.

    Raises:
        DataError: there is none.

    Example:
        >>> found = name_splits(["my-test.csv", "my-train.csv", "extra.jsonl.gz"], data.ReadOptions())
        >>> [split.name for split in found]
        ['train', 'test', 'extra']
    """
    named = dict(sources) if isinstance(sources, Mapping) else _unique_names(sources)
    if not named:
        raise DataError("there is no data to check", fix="tunesmith check FILE")
    order = [name for name in named if name == "train"] + [name for name in named if name != "train"]
    return [Split(name, _rereadable(named[name]), options) for name in order]


def _unique_names(sources: Sequence[Any]) -> dict[str, Any]:
    """Names of the roles where each stands once, else names of the files; numbered where these are equal, too."""
    roles = [_role(source) for source in sources]
    named: dict[str, Any] = {}
    for place, (source, role) in enumerate(zip(sources, roles, strict=True)):
        wanted = role if role and roles.count(role) == 1 else _stem(source, place)
        name, number = wanted, 1
        while name in named:
            number += 1
            name = f"{wanted} ({number})"
        named[name] = source
    return named


def _role(source: Any) -> str | None:
    if not isinstance(source, (str, Path)):
        return None
    words = set(re.split(r"[^a-z]+", Path(source).name.lower()))
    found = [role for role, known in SPLIT_WORDS.items() if words & known]
    return found[0] if len(found) == 1 else None


def _stem(source: Any, place: int) -> str:
    if not isinstance(source, (str, Path)):
        return "train" if place == 0 else f"split {place + 1}"
    name = "stdin" if str(source) == "-" else Path(source).name
    return name.split(".")[0] or name


def _rereadable(source: Any) -> Any:
    """A generator is read into a list: it would be empty the second time."""
    return list(source) if isinstance(source, Iterator) else source


@contextmanager
def keep_standard_input(splits: Sequence[Split], stdin: BinaryIO | None = None) -> Iterator[list[Split]]:
    """Copy standard input into a temporary file while the splits are used, where one of them reads it.

    Raises:
        DataError: two splits read it.
    """
    reading = [split for split in splits if isinstance(split.source, str) and split.source == "-"]
    if len(reading) > 1:
        raise DataError("standard input was named twice", fix="name it once, and the other splits as files")
    if not reading:
        yield list(splits)
        return
    with tempfile.TemporaryFile() as file:
        copy = cast(BinaryIO, file)
        shutil.copyfileobj(stdin if stdin is not None else sys.stdin.buffer, copy)
        yield [replace(split, copy=copy) if split in reading else split for split in splits]
