"""The labelled rows of a run: read, those with unusable labels set aside, development rows held out, answers found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith import data
from tunesmith.config import RunConfig
from tunesmith.contracts import Labels, Task
from tunesmith.data.rejects import shorten
from tunesmith.errors import DataError


@dataclass(frozen=True)
class Splits:
    """Labelled rows and where they came from.

    Attributes:
        train: training rows.
        dev: development rows, never trained on; the training rows again where none are held out.
        read: what reading found, by split; "dev" is missing when it was split off.
        fingerprints: SHA-256 of the rows, by split.
        lines: line of each training row in its file.
        held_out: whether the development rows are others than the training rows.
        dev_groups: further columns of few different values → the value of each development row.
    """

    train: list[Any]
    dev: list[Any]
    read: Mapping[str, data.Rows]
    fingerprints: Mapping[str, str]
    lines: Sequence[int]
    dev_groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    held_out: bool = True


def read_splits(config: RunConfig, task: Task, train: Any = None, dev: Any = None) -> Splits:
    """Read the training rows and the development rows, or split the latter off where any are to be held out.

    Args:
        config: names the files, unless sources are given.
        task: says what a row is.
        train: a source in place of data.train: a path, DataFrame, list of dicts …
        dev: likewise; columns called as in the training source are taken first.

    Raises:
        DataError: a source is missing or has rows that cannot be used.
    """
    section = config.data
    options = data.ReadOptions(mapping=section.columns, format=section.format, skip_bad=section.skip_bad)
    source = section.train if train is None else train
    if source is None:
        raise DataError("there is no training data", fix="tunesmith fit --train FILE")
    read = {"train": data.read_rows(source, task.Row, task.columns, options)}
    source = section.dev if dev is None else dev
    if source is not None:
        alike = replace(options, remembered=read["train"].mapping)
        read["dev"] = data.read_rows(source, task.Row, task.columns, alike)
    labels = task.labels([row for part in read.values() for row in part.rows])
    read = {name: check_labels(part, task, labels, skip_bad=section.skip_bad) for name, part in read.items()}
    fingerprints = {name: part.fingerprint for name, part in read.items()}
    given, rows, lines = read.get("dev", read["train"]), read["train"].rows, read["train"].lines
    if "dev" not in read and section.dev_fraction == 0:
        own = [rows[place] for place in _originals(given)] if given.origins.ways else rows
        groups = given.groups if len(own) == len(rows) else {}
        return Splits(rows, own, read, fingerprints, lines, groups, held_out=False)
    if "dev" in read:
        kept, held = list(range(len(rows))), _originals(given)
        if not held:
            raise _no_original(given)
    else:
        kept, held = _hold_out(config, task, labels, read["train"])
    kept = _without_copies(kept, held, read["train"], given, task)
    groups = {name: [values[place] for place in held] for name, values in given.groups.items()}
    dev_rows = [given.rows[place] for place in held]
    return Splits([rows[i] for i in kept], dev_rows, read, fingerprints, [lines[i] for i in kept], groups)


def _originals(read: data.Rows) -> list[int]:
    """Places of the rows that were not made of others."""
    copies = read.origins.copies() or [False] * len(read.rows)
    return [place for place, is_copy in enumerate(copies) if not is_copy]


def _no_original(read: data.Rows) -> DataError:
    return DataError(
        f"{read.source} has no original row to judge by: by its columns {data.ORIGIN} and {data.WAY} all were made",
        fix="give rows that nobody made; or, if these columns are yours, rename one",
    )


def _without_copies(kept: list[int], held: list[int], read: data.Rows, given: data.Rows, task: Task) -> list[int]:
    """Training rows, less those made of a development row, and those made rows that have the texts of one."""
    copies = read.origins.copies()
    if not copies:
        return kept
    origins = {given.origins.origins[place] for place in held} if given.origins.origins else set()
    texts = {task.shared_texts(given.rows[place]) for place in held}
    return [
        place
        for place in kept
        if not copies[place]
        or (read.origins.origins[place] not in origins and task.shared_texts(read.rows[place]) not in texts)
    ]


def _hold_out(config: RunConfig, task: Task, labels: Labels, read: data.Rows) -> tuple[list[int], list[int]]:
    """Places of the training rows and of the development rows; of rows made of others none is among the latter.

    The originals are split as if the others were not there.
    """
    originals = _originals(read)
    if read.rows and not originals:
        raise _no_original(read)
    rows = [read.rows[place] for place in originals]
    kept, held = data.split_rows(
        rows,
        lambda row: task.stratum(row, labels),
        config.data.dev_fraction,
        config.train.seed,
        task.shared_texts,
    )
    if not held or not kept:
        different = len(set(map(task.shared_texts, rows)))
        raise DataError(
            f"{read.source} has {len(rows)} usable rows with {different} different texts, too few to hold "
            "some out for development",
            fix="give more different texts, or a development file with --dev",
        )
    held_places = [originals[place] for place in held]
    return sorted(set(range(len(read.rows))) - set(held_places)), held_places


def check_labels(read: data.Rows, task: Task, labels: Labels, *, skip_bad: bool) -> data.Rows:
    """Treat rows whose label does not go with the others as reading treats any bad row.

    Args:
        read: rows of one source.
        task: says what a label is.
        labels: the answers of all rows together.
        skip_bad: set such rows aside instead of raising.

    Raises:
        DataError: there are such rows, and they are not to be set aside or nothing else is left.
    """
    faults = {place: fault for place, row in enumerate(read.rows) if (fault := _fault(task, row, labels)) is not None}
    if not faults:
        return read
    column = next((column.name for column in task.columns if column.role == "label"), None)
    bad = [
        data.BadRow(
            file=read.source,
            line=read.lines[place],
            field=column,
            got=shorten(getattr(read.rows[place], column or "", None)),
            problem=fault.message,
            fix=fault.fix or "correct it",
        )
        for place, fault in faults.items()
    ]
    rejected = sorted([*read.rejected, *bad], key=lambda row: row.line)
    if not skip_bad or len(faults) == len(read.rows):
        raise data.bad_rows_error(rejected, read.read, read.source)
    kept = [place for place in range(len(read.rows)) if place not in faults]
    rows = [read.rows[place] for place in kept]
    return replace(
        read,
        rows=rows,
        lines=[read.lines[place] for place in kept],
        rejected=tuple(rejected),
        fingerprint=data.fingerprint(rows),
        groups={name: [values[place] for place in kept] for name, values in read.groups.items()},
        origins=read.origins.pick(kept),
    )


def _fault(task: Task, row: Any, labels: Labels) -> DataError | None:
    try:
        task.answers(row, labels)
    except DataError as fault:
        return fault
    return None


def find_answers(task: Task, splits: Splits) -> Labels:
    """The answers of all splits; how often each stands, and statistics, are those of the training rows alone.

    So a development row says that an answer exists and nothing else: what is trained does not depend on it.

    Raises:
        DataError: the labels make no sense, or mean something else in the training rows than in all rows.
    """
    found = task.labels([*splits.train, *(splits.dev if splits.held_out else [])])
    counted = Counter(name for row in splits.train for name in task.answers(row, found))
    counts = tuple(counted[name] for name in found.names)
    if not found.statistics:
        return replace(found, counts=counts, statistics={"rows": len(splits.train)})
    alone = task.labels(splits.train)
    if alone.kind != found.kind:
        raise DataError(
            f"the labels of the training rows look like kind {alone.kind!r}, with the development rows like "
            f"{found.kind!r}",
            fix=f"say which it is: --set task.kind={found.kind}",
        )
    return replace(found, counts=counts, statistics=alone.statistics)
