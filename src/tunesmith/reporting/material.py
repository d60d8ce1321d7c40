"""What the page is made of: a finished folder, scores, and the judged rows where they are at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from tunesmith.artifact import FACTS, Artifact
from tunesmith.contracts import Comparison, Labels, Task

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
        pairs = zip(self.predictions, self.golds, strict=True)
        return [self.task.compare(prediction, gold, self.labels) for prediction, gold in pairs]


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
        command: the full command of the run.
        bytes: size of the finished folder's files.
        judged: the rows behind `metrics`; None where they are not at hand.
    """

    name: str
    facts: Mapping[str, Any]
    labels: Labels
    trained: Mapping[str, Any]
    metrics: Mapping[str, Any]
    curves: Sequence[Mapping[str, Any]]
    command: str
    bytes: int
    judged: JudgedRows | None


def collect(
    found: Artifact, command: str, judged: JudgedRows | None, metrics: Mapping[str, Any] | None = None
) -> Material:
    """Gather what a finished folder says.

    Args:
        found: the folder, read and checked.
        command: of the run.
        judged: the rows behind the scores.
        metrics: scores on other rows than those of the run.
    """
    sizes = sum(entry["bytes"] for entry in found.facts["files"].values())
    return Material(
        name=found.folder.absolute().name,
        facts=found.facts,
        labels=found.labels,
        trained=found.metrics,
        metrics=found.metrics if metrics is None else metrics,
        curves=_read_curves(found.folder / CURVES),
        command=command,
        bytes=sizes + (found.folder / FACTS).stat().st_size,
        judged=judged,
    )


def _read_curves(path: Path) -> list[Mapping[str, Any]]:
    """The lines that can be read: a model's page does not depend on its curves."""
    if not path.is_file():
        return []
    found = []
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
