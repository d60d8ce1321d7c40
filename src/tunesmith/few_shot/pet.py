"""PET: a masked language model's own head finds the word of the class in a wording (Schick & Schütze 2021).

The head that `task.head=cloze` reads was pretrained, so nothing has to be learnt from nothing. Of the paper's method
this is the heart: one wording, no ensemble, no texts without labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel

from tunesmith.config import Section
from tunesmith.contracts import Encoded, GroupedObjective, Labels, Task
from tunesmith.errors import ConfigError, DataError

HEAD = "cloze"
PASSES, MOST_STEPS = 40, 250
"""The rule of how long is trained: so many passes over the rows, and no more than the steps that the paper takes."""


class PetConfig(Section):
    """PET has no options of its own: the wording is task.template, the words are task.words."""


class Pet:
    """The way; see `contracts.Way`."""

    name: ClassVar[str] = "pet"
    title: ClassVar[str] = "pet: a masked language model's own head finds the word of the class"
    Config: ClassVar[type[BaseModel]] = PetConfig
    tasks: ClassVar[frozenset[str]] = frozenset({"text-classification"})
    learning_rate_limit: ClassVar[float] = math.inf
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "task": {"head": HEAD},
        "data": {"dev_fraction": 0.0},
        "train": {"epochs": float(PASSES), "max_steps": MOST_STEPS},
        "evaluate": {"steps": MOST_STEPS},
    }

    def __init__(self, config: PetConfig) -> None:
        self.config = config

    def check(self, task: Task, labels: Labels) -> None:
        """Refuse another head, and rows that are all of one class; the task refuses answers that are no classes."""
        if task.head(labels).form != HEAD:
            raise ConfigError(
                f"--few-shot pet is task.head={HEAD}, and another head was asked for", fix=f"--set task.head={HEAD}"
            )
        if sum(count > 0 for count in labels.counts) < 2:
            raise DataError("the training rows are all of one class", fix="add rows of another one")

    def objective(self, task: Task, items: Sequence[Encoded]) -> GroupedObjective:
        """The task's own: the right class among all classes."""
        return task
