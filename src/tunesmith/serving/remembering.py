"""What was asked lately, in memory only, so that feedback can name an answer by its id."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tunesmith.serving.hosting import Hosted
from tunesmith.serving.limits import Limits
from tunesmith.serving.problems import to_json


@dataclass(frozen=True)
class Answered:
    """A row and its answer.

    Attributes:
        hosted: who answered.
        row: what was asked, as JSON: a tenth of the room of Python's objects.
        prediction: what was answered, likewise.
        at_s: when, on the clock of `Memory`.
    """

    hosted: Hosted
    row: bytes
    prediction: bytes
    at_s: float

    @property
    def size_bytes(self) -> int:
        """What it takes of `Limits.remembered_bytes`."""
        return len(self.row) + len(self.prediction)


class Memory:
    """The latest answers by id: the oldest are forgotten first, and each after a time. Safe to use from any thread.

    Args:
        limits: how many, how much, how long.
        clock: seconds that never go back.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.size_bytes = 0
        self._clock = clock
        self._found: OrderedDict[str, Answered] = OrderedDict()
        self._turn = threading.Lock()

    def __len__(self) -> int:
        return len(self._found)

    def keep(self, hosted: Hosted, row: BaseModel, prediction: Mapping[str, Any]) -> str:
        """Remember an answer.

        Returns:
            Its id: the model's name, a dot, 24 random hexadecimal digits.
        """
        name = f"{hosted.name}.{secrets.token_hex(12)}"
        asked = row.model_dump(mode="json", exclude_none=True, exclude={hosted.label_field or ""})
        both = to_json(asked), to_json(prediction)
        with self._turn:
            now = self._clock()
            self._found[name] = answered = Answered(hosted, *both, now)
            self.size_bytes += answered.size_bytes
            self._forget(now)
        return name

    def find(self, name: str) -> Answered | None:
        """The answer of that id, or None when it is gone or never was."""
        with self._turn:
            self._forget(self._clock())
            return self._found.get(name)

    def _forget(self, now: float) -> None:
        limits = self.limits
        while self._found:
            oldest = next(iter(self._found.values()))
            full = len(self._found) > limits.remembered_rows or self.size_bytes > limits.remembered_bytes
            if not full and now - oldest.at_s <= limits.remembered_s:
                return
            self._found.popitem(last=False)
            self.size_bytes -= oldest.size_bytes


def model_of(name: str) -> str:
    """The model that an id names.

    Example:
        >>> model_of("reviews.v2.0123456789abcdef01234567")
        'reviews.v2'
    """
    return name.rpartition(".")[0]
