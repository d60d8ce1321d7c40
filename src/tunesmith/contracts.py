"""The contracts everything else is written against: Encoded, Batch, Task, Method, StepReport.

A task says what a row is, how it becomes token sequences, what the loss is and how answers are judged. A method says
which parameters of a model are trained. The engine, the checkpoints and the artefact know these protocols only, never
the name of a task or a method.

Letters in shapes: T tokens of a packed batch, S sequences in it, D hidden width, C classes, B rows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic import BaseModel
    from torch import Tensor

    from tunesmith.model import Model

Samples = Mapping[str, Mapping[str, Any]]
"""Language ("en", "zh") → a row to ask about: all its texts, no label, made up."""
Counts = Mapping[str, float]
"""Additive counts of one row: the counts of a data set are the sum of its rows', so a bootstrap is a resampled sum."""

IGNORED = -100
"""Target of a token that is not asked for."""

Outputs = Mapping[str, "Tensor"]
"""What `Task.forward` computes, by name. `loss`, `decode` and penalties read it.

"vectors" (S, D), where it is there, is what the head reads: one vector a sequence, which says what texts are alike;
with `HeadSpec.vectors` above 1 that many side by side.
"""


@dataclass(frozen=True)
class Encoded:
    """One part of one row as token ids; plain integers, no tensors.

    Attributes:
        sequences: token ids of each sequence: one for most tasks; several for choices, triplets, source and target.
        target: what the task learns from it (a class id, a tuple of class ids, a number); None when only predicting.
        row: index of the row it was made from, 0-based.
        part: 0 for the whole row or its first window, 1, 2 … for further windows of a long row.
        meta: for decoding only (character offsets and the like).
        places: places in the sequence whose hidden states answers are read from; () where one vector stands for all.
        cut_tokens: tokens of the row that no part holds, because the text was longer than the model allows.
        lost: answers of the row that no prediction can express, as people read them; each counts as a miss.
        segment_ids: token types of each sequence (0 first text, 1 second), or () where the trunk has none.
    """

    sequences: tuple[list[int], ...]
    target: Any
    row: int
    part: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[int, ...] = ()
    cut_tokens: int = 0
    lost: tuple[str, ...] = ()
    segment_ids: tuple[list[int], ...] = ()

    @property
    def length_tokens(self) -> int:
        """Number of tokens over all sequences."""
        return sum(len(sequence) for sequence in self.sequences)


@dataclass
class Batch:
    """Packed sequences: T tokens of S sequences in one row, no padding.

    Attributes:
        input_ids: (T,) int64 token ids; a negative id is a slot that a prompt method fills.
        positions: (T,) int64, restarting at 0 with each sequence.
        segment_ids: (T,) int64 token types.
        bounds: (S+1,) int32; sequence s stands at bounds[s]:bounds[s+1].
        items: the parts the sequences belong to, in order; an item with k sequences owns k neighbouring ones.
        group_sizes: number of neighbouring items of each group.
    """

    input_ids: Tensor
    positions: Tensor
    segment_ids: Tensor
    bounds: Tensor
    items: list[Encoded]
    group_sizes: list[int]


Groups = Sequence[Sequence[int]]
"""Item indices that must stand in one micro-batch, because their loss couples them; [[0], [1], …] by default."""


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


PretrainingHead = Literal["masked_lm", "causal_lm", "text_to_text", "replaced_tokens"]


@dataclass(frozen=True)
class HeadSpec:
    """What stands on top of the trunk.

    Attributes:
        kind: which Hugging Face task class is built: "sequence", "token", "multiple_choice" (one score a sequence,
            several sequences a row) or "question_answering" (scores of each token as the first and as the last of the
            answer); "vectors": the trunk alone, whose token vectors are pooled; of pretraining "masked_lm", "causal_lm"
            or "text_to_text" (a score of each entry of the vocabulary for each token), "replaced_tokens" (one score).
        names: class names in id order; () for a single number.
        problem: Hugging Face's `problem_type`, which also picks the activation in its pipelines.
        pooling: "standard" (what that class does), "first", "last", "mean", "max", or "places" (the task reads the
            vectors at the places of its items).
        form: "standard" (that class's own head), "mlp" (one hidden layer) or "crf" (scores of neighbouring tags);
            the latter two load with tunesmith only. Of vectors also "normalized": they have length 1.
        vectors: vectors of the trunk that the head reads side by side; above 1 it is a linear layer of our own.
        added_tokens: tokens that the tokenizer gets, and the words whose mean vector each starts from.
    """

    kind: Literal["sequence", "token", "multiple_choice", "question_answering", "vectors"] | PretrainingHead
    names: tuple[str, ...]
    problem: str | None = None
    pooling: str = "standard"
    form: str = "standard"
    vectors: int = 1
    added_tokens: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """Width of the head; a number has one."""
        return max(1, len(self.names))

    @property
    def is_standard(self) -> bool:
        """Whether Hugging Face's own class computes the same."""
        return self.pooling == "standard" and self.form == "standard"


@dataclass(frozen=True)
class Column:
    """A field of a task's row and how it is found in a user's table.

    Attributes:
        name: the field of `Task.Row`.
        role: "text" or "label" (a label may be missing when only predicting).
        aliases: lower-case column names that mean this field, most telling first.
        required: whether a row without it is bad.
        holds: "plain" values; "spans": entities with character offsets, which tagged tokens are turned into; or
            "texts": a list of texts, which several columns may hold together; or "answers": texts that stand in the
            last text of the row that is required.
        stems: lower-case names that such columns share, in front of a letter or number ("choice" of choice_a,
            choice_b …; "" of A, B …); of lists of texts.
        single: lower-case names of a column that holds one text of the list a line, the lines of one list standing
            together; of lists of texts.
    """

    name: str
    role: Literal["text", "label"]
    aliases: tuple[str, ...]
    required: bool = True
    holds: Literal["plain", "spans", "texts", "answers"] = "plain"
    stems: tuple[str, ...] = ()
    single: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tags:
    """Facts about a task or a method that tests and the api read instead of names.

    Attributes:
        head_only: the method trains nothing in the trunk.
        mergeable: the method's change can be folded into the trunk's own weights.
        needs_bias: the method needs biases in the trunk.
        trunk: the kinds of trunk it works on.
        learning_rate_factor: multiplies the default learning rate of full tuning.
        units: what the loss is averaged over ("rows", "tokens").
        stores: "whole" = the artefact is a whole Hugging Face folder, "delta" = the trained parameters alone,
            "adapter" = the trained parameters in the format of PEFT.
        kept_together: the text of a row, by its place, whose rows all go into the same split; None: all its texts.
        has_head: of a task: something stands on the trunk that a method can train by itself.
        regroups: of a task: its groups are dealt anew in each epoch, with as many items in each.
    """

    head_only: bool = False
    mergeable: bool = True
    needs_bias: bool = False
    trunk: frozenset[str] = frozenset({"encoder", "decoder"})
    learning_rate_factor: float = 1.0
    units: str = "rows"
    stores: Literal["whole", "delta", "adapter"] = "whole"
    kept_together: int | None = None
    has_head: bool = True
    regroups: bool = False


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


@dataclass(frozen=True)
class Context:
    """What encoding needs beside the row.

    Attributes:
        tokenizer: the source tokenizer (Hugging Face fast tokenizer).
        target_tokenizer: the one of targets; the same object except in some encoder–decoders.
        labels: the answers.
        max_tokens: longest sequence in tokens, special tokens included.
    """

    tokenizer: Any
    target_tokenizer: Any
    labels: Labels
    max_tokens: int


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
    """

    def tally_together(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[Counts]:
        """Additive counts of each row; in place of `Task.tally`."""
        ...

    def compare_together(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[Comparison]:
        """The answers of each row side by side; in place of `Task.compare`."""
        ...


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


@dataclass(frozen=True)
class StepReport:
    """What the engine yields after each optimizer step.

    Attributes:
        step: optimizer steps done, from 1.
        epoch: epochs done, as a fraction.
        loss: mean loss over the step's units.
        units: what the loss was averaged over, such as rows.
        learning_rate: of the top parameter group in this step.
        gradient_norm: before clipping.
        tokens: real tokens in the step.
        seconds: duration of the step.
        micro_batches: forward–backward passes the step was split into.
        micro_batch_tokens: most tokens in one pass; halved when memory ran out.
    """

    step: int
    epoch: float
    loss: float
    units: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    seconds: float
    micro_batches: int
    micro_batch_tokens: int


Penalty = Callable[["Model", Outputs, Batch], "Tensor"]
"""An addition to the summed loss of a micro-batch: shape (), in the units of the loss."""
