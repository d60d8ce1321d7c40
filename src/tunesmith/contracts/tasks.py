"""What an objective, a task and a baseline must offer.

Letters in shapes: T tokens of a packed batch, S sequences in it, D hidden width, C classes, B rows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from tunesmith.contracts.answers import Beliefs, Column, Comparison, Counts, Labels, Samples
from tunesmith.contracts.batches import Batch, Encoded, Groups, Outputs
from tunesmith.contracts.models import Context, HeadSpec, Tags

if TYPE_CHECKING:
    from pydantic import BaseModel
    from torch import Tensor

    from tunesmith.model import Model


class Features(Protocol):
    """Vectors of the untouched base model for rows, computed when first asked for; numpy arrays in float32."""

    def rows(self, rows: Sequence[Any]) -> Any:
        """Return (B, D): the mean hidden state of each row."""
        ...

    def places(self, rows: Sequence[Any]) -> list[tuple[list[Encoded], Any]]:
        """Return for each row its parts and (P, D): the hidden states at their P places, in order."""
        ...

    def texts(self, texts: Sequence[str]) -> Any:
        """Return (N, D): the mean hidden state of each text by itself."""
        ...

    def answers(self, rows: Sequence[Any]) -> list[Any]:
        """Return what the untouched base model itself answers, as the task's Predictions; of models that write."""
        ...


class Baseline(Protocol):
    """A cheap competitor whose score stands beside the model's.

    Attributes:
        name: key in metrics.json, such as "majority".
        title: what people read, such as "majority class".
    """

    name: str
    title: str

    def predict(self, train: Sequence[Any], rows: Sequence[Any], features: Features) -> list[Any]:
        """Learn from labelled `train` rows and answer each of `rows` with the task's Prediction."""
        ...


class Objective(Protocol):
    """What is learnt from items: all that the engine knows. Tasks are objectives, and so is what pretraining does."""

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Masking and the like at training time; rng depends on (seed, epoch, row) only. Identity by default."""
        ...

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """Run trunk and head."""
        ...

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[Tensor, float]:
        """SUM of the loss over the batch's groups, shape (), and the number of units it stands for."""
        ...


class GroupedObjective(Objective, Protocol):
    """An objective that says which items belong together; a task is one."""

    tags: Tags

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Which items stand in one group."""
        ...


Penalty = Callable[["Model", Outputs, Batch], "Tensor"]
"""An addition to the summed loss of a micro-batch: shape (), in the units of the loss."""


class Task(Objective, Protocol):
    """What a row is, how it is learnt and how answers are judged. One file each in `tasks/`.

    An instance holds its validated config as `config`.
    """

    name: str
    title: str
    Row: type[BaseModel]
    Prediction: type[BaseModel]
    samples: Samples
    Config: type[BaseModel]
    config: Any
    better: Literal["max", "min"]
    tags: Tags
    columns: tuple[Column, ...]

    def headline(self, labels: Labels) -> str:
        """Name of the score that decides (`accuracy`, `macro_f1`, …)."""
        ...

    def labels(self, rows: Sequence[Any]) -> Labels:
        """The answers found in the rows of all splits together; raises DataError when they make no sense."""
        ...

    def describe_labels(self, labels: Labels) -> str:
        """The answers, in a few words of the plan."""
        ...

    def head(self, labels: Labels) -> HeadSpec:
        """What stands on top of the trunk."""
        ...

    def encode(self, rows: Sequence[Any], context: Context, first_row: int = 0) -> list[Encoded]:
        """Rows → parts, in row order; `first_row` is the index of rows[0]. Batched, for the tokenizer's speed."""
        ...

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Which items belong together; each alone unless the loss couples them."""
        ...

    def prepare_head(self, model: Model, labels: Labels) -> None:
        """Set up what the head starts from (such as the bias of a number); called once before step 0."""
        ...

    def decode(self, outputs: Outputs, batch: Batch, labels: Labels) -> list[Any]:
        """One plain answer a part, in the order of `batch.items`; what `join` takes."""
        ...

    def join(self, parts: Sequence[Any], labels: Labels) -> Any:
        """The answers of one row's parts → one Prediction."""
        ...

    def beliefs(self, predictions: Sequence[Any], golds: Sequence[Any] | None, labels: Labels) -> Beliefs | None:
        """How sure predictions are, and whether they were right where `golds` are given.

        None where answers have no probability, as numbers have not.
        """
        ...

    def revise(self, predictions: Sequence[Any], probabilities: Any, labels: Labels) -> list[Any]:
        """The predictions with other probabilities: those of `Beliefs.probabilities`, in its shape and order."""
        ...

    def withhold(self, prediction: Any, threshold: float) -> Any:
        """The prediction with answers marked whose confidence is below the threshold; the answers stay readable."""
        ...

    def texts(self, row: Any) -> tuple[str, ...]:
        """The texts of a row, as a person would read them."""
        ...

    def shared_texts(self, row: Any) -> tuple[str, ...]:
        """What several rows may ask about, such as the passage of questions: such rows stay on one side of a split."""
        ...

    def answers(self, row: Any, labels: Labels) -> tuple[str, ...]:
        """Names of the answers that a labelled row holds, known to `labels` or not; () for numbers and texts."""
        ...

    def stratum(self, row: Any, labels: Labels) -> str:
        """Rows of one stratum are spread evenly over splits."""
        ...

    def gold(self, row: Any, labels: Labels) -> Any:
        """The right answer of a row as `tally` takes it."""
        ...

    def compare(self, prediction: Any, gold: Any, labels: Labels) -> Comparison:
        """The two answers of one row side by side, as people read them; `error` is 0 only where all is right."""
        ...

    def tally(self, prediction: Any, gold: Any, labels: Labels) -> Counts:
        """Additive counts of one row."""
        ...

    def score(self, counts: Counts, labels: Labels) -> dict[str, float]:
        """Summed counts → metrics by name."""
        ...

    def score_rows(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> dict[str, float]:
        """Metrics that are no sums of rows (Spearman, AUROC); {} where there are none."""
        ...

    def tables(self, counts: Counts, labels: Labels) -> dict[str, dict[str, dict[str, float]]]:
        """Summed counts → tables by name, {label: {precision, recall, f1, support}} each, averages included.

        The first is called per_class; {} for numbers.
        """
        ...

    def confusion(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[list[int]] | None:
        """(C, C) rows = gold, columns = predicted, or None where it has no meaning."""
        ...

    def baselines(self, labels: Labels) -> list[Baseline]:
        """Competitors to show beside the model, weakest first."""
        ...


@runtime_checkable
class Deciding(Protocol):
    """A task with a threshold that development rows tell, such as when a question counts as not answered."""

    def find_threshold(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> float | None:
        """The threshold under which these answers score best; None where the rows cannot tell."""
        ...

    def decide(self, prediction: Any, threshold: float) -> Any:
        """The prediction as that threshold has it; what it says of other answers stays."""
        ...


@runtime_checkable
class JudgedTogether(Protocol):
    """What a task offers besides where an answer is right or wrong among the others only, as which text is nearest.

    Counts still add over rows: each is what one row found among all of them, so a bootstrap draws what is asked, not
    what is searched.

    Attributes:
        unjudged: why a row cannot be judged, after "they".
    """

    unjudged: str

    def can_judge(self, golds: Sequence[Any], labels: Labels) -> list[bool]:
        """Whether each row has something to find among the others; one that has not is answered, and not counted."""
        ...

    def tally_together(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[Counts]:
        """Additive counts of each row; in place of `Task.tally`."""
        ...

    def compare_together(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[Comparison]:
        """The answers of each row side by side; in place of `Task.compare`."""
        ...


@runtime_checkable
class Writes(Protocol):
    """What a task offers besides whose answers are written token by token."""

    def write(self, model: Model, items: Sequence[Encoded]) -> list[Any]:
        """One plain answer an item, in order, as `Task.join` takes it; in place of `Task.decode`."""
        ...

    def signature(self, golds: Sequence[Any], labels: Labels) -> str:
        """How the scores are computed, as is printed beside published ones; "" where nothing is to be said."""
        ...


@runtime_checkable
class Converses(Protocol):
    """What a task offers besides whose models go on with a conversation."""

    def prompt(self, model: Model, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Token ids that the reply is written from; each message has a "role" and a "content".

        Raises:
            DataError: what was said last is longer than the model can read.
        """
        ...

    def ask_again(self, row: Any) -> tuple[Any, list[dict[str, str]], str] | None:
        """The row before the assistant's last turn, its messages, and what the assistant says then."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """What a task offers besides whose loss compares the model with what it was before the first step."""

    def prepare_items(self, outputs: Outputs, batch: Batch) -> list[Encoded]:
        """The batch's items, holding what the loss needs of the untouched model's outputs.

        Called for all training and development items before the method changes anything, without dropout and
        gradients, in the run's precision. A run that goes on calls it again: it must depend on nothing else.
        """
        ...
