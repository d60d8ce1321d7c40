"""The cheapest of several systems whose score is not below the best one's, by a paired test on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunesmith.contracts import Labels, Task
from tunesmith.evaluation.paired import Difference, difference
from tunesmith.evaluation.scoring import Evaluation
from tunesmith.metrics import ALPHA, SMALLER_IS_BETTER


@dataclass(frozen=True)
class Choice:
    """Which system to take, and what that rests on.

    Attributes:
        best: the one with the best score.
        chosen: the cheapest that is not shown to be worse.
        differences: name → its score minus the best one's; the best itself is missing.
    """

    best: str
    chosen: str
    differences: Mapping[str, Difference]


def sort_by_score(systems: Mapping[str, Evaluation], metric: str) -> list[str]:
    """Names of systems, the best score first; equal ones stay in their order."""
    sign = 1 if metric in SMALLER_IS_BETTER else -1
    return sorted(systems, key=lambda name: sign * systems[name].scores[metric].value)


def choose_cheapest(
    systems: Mapping[str, Evaluation],
    costs: Mapping[str, Sequence[float]],
    task: Task,
    labels: Labels,
    *,
    metric: str,
    resamples: int = 1000,
) -> Choice:
    """Find the cheapest system that is not worse than the best.

    Args:
        systems: name → its scores, all on the same rows; at least one.
        costs: name → what it costs, compared number by number.
        task: says what is right.
        labels: the answers that can be given.
        metric: the score that decides.
        resamples: bootstrap resamples and shuffles behind each difference.

    Raises:
        DataError: they were not judged on the same rows.
    """
    best, *others = sort_by_score(systems, metric)
    found = {
        name: difference(
            systems[best], systems[name], task, labels, metric=metric, resamples=resamples, shuffles=resamples
        )
        for name in others
    }
    level = [best, *(name for name in others if not is_worse(found[name], metric))]
    return Choice(best, min(level, key=lambda name: tuple(costs[name])), found)


def is_worse(found: Difference, metric: str) -> bool:
    """Whether a difference from the best is shown to be a loss.

    Example:
        >>> is_worse(Difference(-0.05, -0.08, -0.02, 500, 0.01, "randomisation"), "accuracy")
        True
    """
    return found.p < ALPHA and (found.value > 0) == (metric in SMALLER_IS_BETTER) and found.value != 0
