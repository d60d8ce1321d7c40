"""What a method, and a way to learn from few rows, must offer.

Letters in shapes: N items, D hidden width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from tunesmith.contracts.answers import Labels
from tunesmith.contracts.batches import Encoded
from tunesmith.contracts.models import Tags
from tunesmith.contracts.tasks import GroupedObjective, Task

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tunesmith.model import Model


class Method(Protocol):
    """Which parameters are trained. One file each in `methods/`. An instance holds its validated config."""

    name: str
    title: str
    Config: type[BaseModel]
    config: Any
    tags: Tags

    def apply(self, model: Model) -> None:
        """Freeze and inject; afterwards `requires_grad` is the truth. Raises MethodError where it cannot work."""
        ...

    def merge(self, model: Model) -> None:
        """Fold the change into the trunk's own weights, or raise MethodError."""
        ...

    def adapter_config(self, model: Model) -> Mapping[str, Any]:
        """What PEFT's adapter_config.json says, without the base model; {} where PEFT knows no such method."""
        ...


class Way(Protocol):
    """How a task is learnt from few labelled rows, in place of its own loss. One file each in `few_shot/`.

    An instance holds its validated config.

    Attributes:
        tasks: the tasks that it can teach.
        defaults: settings that a run has where the user leaves them open, as nested mappings.
        learning_rate_limit: the default of full tuning is no higher.
    """

    name: str
    title: str
    Config: type[BaseModel]
    config: Any
    tasks: frozenset[str]
    defaults: Mapping[str, Mapping[str, Any]]
    learning_rate_limit: float

    def check(self, task: Task, labels: Labels) -> None:
        """Raise DataError where these answers, ConfigError where options of the task, do not go with it."""
        ...

    def objective(self, task: Task, items: Sequence[Encoded]) -> GroupedObjective:
        """What the training items are learnt by."""
        ...


@runtime_checkable
class BringsRows(Protocol):
    """What a way offers besides that learns from rows of its own, beside those of the user.

    Attributes:
        without_own_rows: the setting that leaves them out, for the notice that names them.
    """

    without_own_rows: str

    def own_rows(self, task: Task, labels: Labels, rows: Sequence[Any]) -> list[Any]:
        """Labelled rows to learn from.

        Args:
            task: makes them.
            labels: the answers.
            rows: the user's training rows.

        Raises:
            ConfigError: the options do not fit these answers or rows.
        """
        ...


@runtime_checkable
class FindsHead(Protocol):
    """What a way offers besides whose steps leave the head alone: it is found whenever the model is looked at."""

    def find_head(self, model: Model, vectors: Any, targets: Sequence[Any]) -> None:
        """Set the head's weights.

        Args:
            model: its trunk is left as it is.
            vectors: (N, D) numpy array: what the head reads of each training item.
            targets: (N,) what the items are to be answered with.
        """
        ...


@runtime_checkable
class RatesApart(Protocol):
    """A method whose parameters do not all learn at one rate."""

    @property
    def learning_rate_factor(self) -> float:
        """With these options, in place of that of the tags: multiplies the default learning rate of full tuning."""
        ...

    def rate_factor(self, name: str) -> float:
        """How many times the run's learning rate the parameter of this name in the model gets."""
        ...
