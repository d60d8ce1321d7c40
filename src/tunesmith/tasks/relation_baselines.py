"""Cheap competitors of a relation model: those of classification, on what stands around and between the entities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.contracts import Baseline, Encoded, Features
from tunesmith.tasks import classification_baselines
from tunesmith.tasks.classification_prediction import make_answer


def make_baselines(target_of: Callable[[Any], str]) -> list[Baseline]:
    """Majority, TF-IDF + linear model, frozen trunk + probe.

    Args:
        target_of: labelled row → its label.
    """
    shared = ("single", parts_of, target_of, make_answer)
    probe = classification_baselines.FrozenProbe(*shared)
    return [classification_baselines.Majority(*shared), classification_baselines.TfidfLogistic(*shared), _Probe(probe)]


def parts_of(row: Any) -> tuple[str, ...]:
    """The text before, between and behind the entities and the entities themselves, each a feature set of its own.

    The part between begins and ends with a word for the entity on that side, so that its order is seen.

    Example:
        >>> from tunesmith.tasks.relation_rows import RelationRow
        >>> parts_of(RelationRow(text="Today Ada met Bo.", head="Bo", tail="Ada"))
        ('Today ', 'TAIL met HEAD', '.', 'Bo', 'Ada')
    """
    (first, one), (second, other) = sorted(zip(row.places, ("HEAD", "TAIL"), strict=True))
    between = f"{one} {row.text[first[1] : second[0]].strip()} {other}"
    return row.text[: first[0]], between, row.text[second[1] :], row.head, row.tail


@dataclass(frozen=True)
class _Probe:
    """The probe of classification, on the vectors at the four markers instead of the mean of all tokens."""

    probe: classification_baselines.FrozenProbe

    name = classification_baselines.FrozenProbe.name
    title = classification_baselines.FrozenProbe.title

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Learn from `train` and answer each of `rows`. Raises DataError when there is no training row."""
        return self.probe.predict(train, rows, _AtMarkers(features))


@dataclass(frozen=True)
class _AtMarkers:
    """Features of rows that are those at their places, side by side."""

    features: Features

    def rows(self, rows: Sequence[Any]) -> Any:
        """Return (B, 4D)."""
        return np.stack([np.asarray(states).ravel() for _, states in self.features.places(rows)])

    def places(self, rows: Sequence[Any]) -> list[tuple[list[Encoded], Any]]:
        """As they are."""
        return self.features.places(rows)

    def texts(self, texts: Sequence[str]) -> Any:
        """As they are."""
        return self.features.texts(texts)

    def answers(self, rows: Sequence[Any]) -> list[Any]:
        """As they are."""
        return self.features.answers(rows)
