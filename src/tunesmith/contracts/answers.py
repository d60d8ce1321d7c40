"""What tasks say of rows and answers: columns, labels, counts, comparisons, how sure answers are.

Letters in shapes: T tokens of a packed batch, S sequences in it, D hidden width, C classes, B rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Samples = Mapping[str, Mapping[str, Any]]
"""Language ("en", "zh") → a row to ask about: all its texts, no label, made up."""

Counts = Mapping[str, float]
"""Additive counts of one row: the counts of a data set are the sum of its rows', so a bootstrap is a resampled sum."""


@dataclass(frozen=True)
class Labels:
    """The answers a task can give.

    Attributes:
        names: class names in id order; () where the answer is a number or a text.
        counts: how often each name stands in the training rows; same order.
        kind: a word of the task's own for how they are used ("single", "multi", "number").
        statistics: facts about the training rows: how many ("rows"), or of numbers their mean, deviation, low and high.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...] = ()
    kind: str = "single"
    statistics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """A field of a task's row and how it is found in a user's table.

    Attributes:
        name: the field of `Task.Row`.
        role: "text" or "label" (a label may be missing when only predicting).
        aliases: lower-case column names that mean this field, most telling first.
        required: whether a row without it is bad.
        holds: "plain" values; "spans": entities with character offsets, which tagged tokens are turned into; or
            "texts": a list of texts, which several columns may hold together; "answers": texts that stand in the
            last text of the row that is required; or "messages": a conversation.
        stems: lower-case names that such columns share, in front of a letter or number ("choice" of choice_a,
            choice_b …; "" of A, B …); of lists of texts.
        single: lower-case names of a column that holds one text of the list a line, the lines of one list standing
            together; of lists of texts.
        none_mark: a column that says, where it is true, that a row has no answer; of answers.
        telling: lower-case column names that are used for this task alone; where each field that has some finds one,
            they tell the task.
    """

    name: str
    role: Literal["text", "label"]
    aliases: tuple[str, ...]
    required: bool = True
    holds: Literal["plain", "spans", "texts", "answers", "messages"] = "plain"
    stems: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    none_mark: str = ""
    telling: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mark:
    """A stretch of a row's text that the right answer or the given one names.

    Attributes:
        start: first character.
        end: the one behind the last.
        label: what the right answer calls it; of a spurious one, what the given answer calls it.
        kind: "right"; "missed" (not given), "spurious" (not asked for), "wrong_type" (right bounds, another label).
        given: of a wrong type, what the given answer calls it.
    """

    start: int
    end: int
    label: str
    kind: Literal["right", "missed", "spurious", "wrong_type"]
    given: str = ""


@dataclass(frozen=True)
class Comparison:
    """A given answer beside the right one, for people.

    Attributes:
        error: how wrong it is: 0 is wholly right, more is worse (wrong names, or the distance of a number).
        confidence: the model's probability of the surest wrong part, 0 to 1; None where it gives none.
        given: the given answer as names, or as one number.
        right: the right answer likewise.
        marks: where answers stand in one of the row's texts; () where they stand nowhere.
        marked_text: which text that is, by its place among `Task.texts`.
    """

    error: float
    confidence: float | None
    given: tuple[str, ...]
    right: tuple[str, ...]
    marks: tuple[Mark, ...] = ()
    marked_text: int = field(default=0, repr=False)


@dataclass(frozen=True)
class Beliefs:
    """How sure predictions are: events with their probabilities, and the answers that can be withheld.

    The events are what calibration is fitted on. Answers are what people get: a label, a set of labels, an entity.

    Attributes:
        probabilities: (B, C) of classes of which exactly one is right, or (E,) of events that each may come true.
        truths: what came true, same shape; None where that is not known.
        rows: (B,) or (E,) the row of each, in order.
        confidences: (N,) of each answer, the probability that it is right.
        rights: (N,) whether it is; None where that is not known.
        answer_rows: (N,) the row of each answer, in order.
        scalings: how probabilities may be changed (`evaluation.calibration`), simplest first.
    """

    probabilities: NDArray[np.float64]
    truths: NDArray[np.bool_] | None
    rows: NDArray[np.int64]
    confidences: NDArray[np.float64]
    rights: NDArray[np.bool_] | None
    answer_rows: NDArray[np.int64]
    scalings: tuple[str, ...]
