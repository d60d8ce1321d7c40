"""Two sides that have answered the same rows: what everything else is worked out from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith import data
from tunesmith.comparing.contestants import Contestant
from tunesmith.contracts import Labels, Task
from tunesmith.evaluation.scoring import Evaluation
from tunesmith.predictor import Predictor


@dataclass(frozen=True)
class Judged:
    """One system that has answered.

    Attributes:
        who: its folder or file.
        predictor: its model; None of a predictions file.
        evaluation: its scores on the rows.
        seconds: that it took for all rows; None of a predictions file.
    """

    who: Contestant
    predictor: Predictor | None
    evaluation: Evaluation
    seconds: float | None


Side = Sequence[Judged]


@dataclass(frozen=True)
class Bout:
    """Both sides and what they were judged by.

    Attributes:
        sides: the systems of A and of B.
        task: says what is right.
        labels: the answers.
        read: the labelled rows.
        resamples: behind the intervals.
        shuffles: behind a p-value of randomisation.
    """

    sides: tuple[Side, Side]
    task: Task
    labels: Labels
    read: data.Rows
    resamples: int
    shuffles: int

    @property
    def evaluations(self) -> tuple[list[Evaluation], list[Evaluation]]:
        """Scores of each run of A and of B."""
        first, second = ([one.evaluation for one in side] for side in self.sides)
        return first, second

    @property
    def is_pair(self) -> bool:
        """Whether it is one run against one."""
        return all(len(side) == 1 for side in self.sides)
