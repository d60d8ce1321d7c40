"""What the page is made of: a finished folder, scores, and the judged rows where they are at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from tunesmith.artifact import Artifact
from tunesmith.contracts import Comparison, Encoded, Labels, Task
from tunesmith.evaluation.scoring import compare_rows

CURVES = "metrics.jsonl"


@dataclass(frozen=True)
class JudgedRows:
    """Rows, their right answers and the given ones, B of each.

    Attributes:
        task: of the model.
        labels: its answers.
        rows: labelled rows.
        predictions: the answers given.
        golds: the right answers.
        lengths_tokens: tokens of each row, as the model reads it.
        train_lengths_tokens: likewise of the training rows; () where they are not at hand.
        groups: further columns of few different values → the value of each row.
    """

    task: Task
    labels: Labels
    rows: Sequence[Any]
    predictions: Sequence[Any]
    golds: Sequence[Any]
    lengths_tokens: Sequence[int]
    train_lengths_tokens: Sequence[int] = ()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Each answer beside the right one."""
        return compare_rows(self.task, self.predictions, self.golds, self.labels)


@dataclass(frozen=True)
class Material:
    """Everything the page says.

    Attributes:
        name: of the folder.
        facts: what tunesmith.json holds.
        labels: the answers.
        trained: what metrics.json holds.
        metrics: the scores that are shown: the same, or those on other rows.
        curves: the lines of metrics.jsonl; [] where they are not there.
        bytes: size of the finished folder's files that tunesmith.json lists.
        judged: the rows behind `metrics`; None where they are not at hand.
    """

    name: str
    facts: Mapping[str, Any]
    labels: Labels
    trained: Mapping[str, Any]
    metrics: Mapping[str, Any]
    curves: Sequence[Mapping[str, Any]]
    bytes: int
    judged: JudgedRows | None


def row_lengths(items: Sequence[Encoded]) -> list[int]:
    """Tokens of each row, those that its windows share counted once for each.

    Example:
        >>> row_lengths([Encoded(([1, 2],), 0, row=0), Encoded(([3],), 0, row=0, part=1), Encoded(([4],), 0, row=1)])
        [3, 1]
    """
    lengths = [0] * (1 + max((item.row for item in items), default=-1))
    for item in items:
        lengths[item.row] += item.length_tokens
    return lengths


def gather_rows(
    task: Task, labels: Labels, judged: tuple[Sequence[Any], Sequence[Any], Sequence[Any]], items: Sequence[Encoded]
) -> JudgedRows:
    """The rows behind scores.

    Args:
        task: of the model.
        labels: its answers.
        judged: (B,) rows, (B,) predictions and (B,) right answers.
        items: the parts of the rows, encoded.
    """
    return JudgedRows(task, labels, *judged, row_lengths(items))


def collect(
    found: Artifact, judged: JudgedRows | None, metrics: Mapping[str, Any] | None = None, *, name: str = ""
) -> Material:
    """Gather what a finished folder says.

    Args:
        found: the folder, read and checked.
        judged: the rows behind the scores.
        metrics: scores on other rows than those of the run.
        name: of the folder where it is not yet in its place.
    """
    sizes = sum(entry["bytes"] for entry in found.facts["files"].values())
    return Material(
        name=name or found.folder.absolute().name,
        facts=found.facts,
        labels=found.labels,
        trained=found.metrics,
        metrics=found.metrics if metrics is None else metrics,
        curves=_read_curves(found.folder / CURVES),
        bytes=sizes,
        judged=judged,
    )


def _read_curves(path: Path) -> list[Mapping[str, Any]]:
    """The lines that can be read: a model's page does not depend on its curves."""
    if not path.is_file():
        return []
    found: list[Mapping[str, Any]] = []
    for line in path.read_text("utf-8", "replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            found.append(entry)
    return found


def bare_name(source: str) -> str:
    """A file's name without its folders, for pages get shared; of other sources what they are called.

    Example:
        >>> bare_name("data/reviews.csv"), bare_name("-")
        ('reviews.csv', '-')
    """
    return PurePath(source).name or source
