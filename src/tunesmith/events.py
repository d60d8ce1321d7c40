"""What a run tells whoever watches it: `fitting.run` yields these, together with `contracts.StepReport`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Notice:
    """Something the user should know but that stops nothing."""

    text: str


@dataclass(frozen=True)
class Plan:
    """What will be done, printed before it is.

    Attributes:
        facts: title → value, in the order people read them.
        command: the full equivalent command.
        total_steps: optimizer steps of the whole run.
        start_step: steps already done by an earlier, interrupted run.
        folder: where the model will be.
    """

    facts: Mapping[str, str]
    command: str
    total_steps: int
    start_step: int
    folder: Path


@dataclass(frozen=True)
class Evaluated:
    """A look at the development rows in the middle of training.

    Attributes:
        step: optimizer steps done.
        scores: every score by name; "loss" too.
        headline: the score that picks the best weights.
        is_best: whether this was the best so far.
        rows: "dev", or "training" where no rows are held out.
    """

    step: int
    scores: Mapping[str, float]
    headline: str
    is_best: bool
    rows: str = "dev"


@dataclass(frozen=True)
class Saved:
    """A training state stands on disk."""

    step: int
    folder: Path


@dataclass(frozen=True)
class Finished:
    """The model's folder is complete.

    Attributes:
        folder: where it is.
        metrics: what metrics.json holds.
        seconds: of this process, from the first read to the last write.
        already_complete: nothing was done, an earlier run had finished.
        asked: what follows `tunesmith predict FOLDER` in a first trial.
    """

    folder: Path
    metrics: Mapping[str, Any]
    seconds: float
    already_complete: bool = False
    asked: str = "'a text'"


@dataclass(frozen=True)
class Reading:
    """Text is being turned into tokens.

    Attributes:
        done_bytes: of text so far, in this part.
        total_bytes: of the files as they lie; None where that says nothing, as of compressed ones.
        documents: kept so far.
    """

    done_bytes: int
    total_bytes: int | None
    documents: int


@dataclass(frozen=True)
class Sample:
    """What a language model writes or fills in at this point of its training."""

    step: int
    text: str
