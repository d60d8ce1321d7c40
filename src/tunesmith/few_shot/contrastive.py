"""Contrastive: pairs of texts teach the vectors, then a linear head is found on them (Tunstall et al. 2022, SetFit).

Eight rows a class make hundreds of pairs, alike where their class is the same. They are never listed: a step takes a
group of rows, draws another row of its class beside each, and compares all texts of the group with each other.
"""

from __future__ import annotations

import random
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, Field
from torch import Tensor
from torch.nn import functional

from tunesmith.config import Section
from tunesmith.contracts import Batch, Encoded, Groups, Labels, Outputs, Tags, Task
from tunesmith.errors import ConfigError, DataError
from tunesmith.few_shot.class_names import describing_rows
from tunesmith.model import Model
from tunesmith.packing import deal

HEAD = "unit"
"""The form of head that is found: linear, on vectors of length 1."""
LEARNING_RATE_LIMIT = 2e-5
"""Of full tuning: what the vectors of a base model know already is soon forgotten."""
PASSES, MOST_STEPS = 40, 1000
"""The rule of how long is trained: so many passes over the rows, of 16 each step, and no more than so many steps."""
Sentence = Annotated[str, Field(min_length=1)]
NEVER = -30.0
"""Bias of a class that stands in no training row."""


class ContrastiveConfig(Section):
    """Options of the contrastive way."""

    group_size: int = Field(default=16, ge=2)
    """Rows of a step; another one of its class is drawn beside each, and all of these texts are compared."""
    head_strength: float = Field(default=1.0, gt=0)
    """The C of the head's logistic regression: the larger, the closer it follows the rows."""
    class_names: bool = True
    """Whether each class gets one row more, which says its name: "This text is about NAME."."""
    descriptions: dict[str, Sentence | Annotated[list[Sentence], Field(min_length=1)]] = Field(default_factory=dict)
    """Class → sentence or sentences that say what it is about; each is a row of its own, in place of the name's."""


class Contrastive:
    """The way; see `contracts.Way`."""

    name: ClassVar[str] = "contrastive"
    title: ClassVar[str] = "contrastive: vectors taught by pairs of rows, then a linear head found on them"
    Config: ClassVar[type[BaseModel]] = ContrastiveConfig
    tasks: ClassVar[frozenset[str]] = frozenset({"text-classification"})
    learning_rate_limit: ClassVar[float] = LEARNING_RATE_LIMIT
    without_own_rows: ClassVar[str] = "few_shot.class_names=false"
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "task": {"pooling": "mean", "head": HEAD},
        "data": {"dev_fraction": 0.0},
        "train": {"epochs": float(PASSES), "max_steps": MOST_STEPS},
        "evaluate": {"steps": MOST_STEPS},
    }

    def __init__(self, config: ContrastiveConfig) -> None:
        self.config = config

    def check(self, task: Task, labels: Labels) -> None:
        """Refuse numbers and several labels a row, rows that are all of one class, and heads that are not linear."""
        if labels.kind != "single":
            what = "several labels a row" if labels.kind == "multi" else "numbers"
            raise DataError(
                f"--few-shot contrastive needs one class a row, and these rows have {what}: two rows must be either "
                "alike or not",
                fix="leave --few-shot out, or --set task.kind=single where each value is a class of its own",
            )
        if task.head(labels).form != HEAD:
            raise ConfigError(
                f"--few-shot contrastive finds a head of its own, and task.head is {task.head(labels).form}",
                fix=f"--set task.head={HEAD}",
            )
        if sum(count > 0 for count in labels.counts) < 2:
            raise DataError("the training rows are all of one class", fix="add rows of another one")

    def own_rows(self, task: Task, labels: Labels, rows: Sequence[Any]) -> list[Any]:
        """Names or descriptions of the classes: for pairs and for the head."""
        return describing_rows(task, labels, rows, self.config.descriptions, with_names=self.config.class_names)

    def objective(self, task: Task, items: Sequence[Encoded]) -> Pairs:
        """Cosines of pairs."""
        return Pairs(task, items, self.config.group_size)

    def find_head(self, model: Model, vectors: Any, targets: Sequence[Any]) -> None:
        """Logistic regression by L-BFGS, on vectors of length 1 as the head reads them."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        found = LogisticRegression(C=self.config.head_strength, max_iter=1000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found.fit(units.astype(np.float64), np.asarray(targets))
        model.set_head(*_full_head(found.classes_, found.coef_, found.intercept_, model.head_spec.classes))


def _full_head(known: Any, weights: Any, biases: Any, classes: int) -> tuple[Any, Any]:
    """Weights (C, D) and biases (C,) of all classes: scikit-learn gives one row for two, and none for unseen ones."""
    if len(known) == 2:
        weights, biases = (np.concatenate([-half, half]) for half in (weights / 2, biases / 2))
    every, bias = np.zeros((classes, weights.shape[1])), np.full(classes, NEVER)
    every[known], bias[known] = weights, biases
    return every, bias


class Pairs:
    """The objective: cosines of texts of one class go to 1, those of different classes to 0.

    Args:
        task: whose forward gives the vectors.
        items: the training rows, of which others of the same class are drawn.
        group_size: rows that are compared with each other.
    """

    tags: ClassVar[Tags] = Tags(regroups=True)

    def __init__(self, task: Task, items: Sequence[Encoded], group_size: int) -> None:
        self.task = task
        self.group_size = group_size
        self.of_class: dict[Any, list[Encoded]] = defaultdict(list)
        self.places: dict[tuple[int, int], int] = {}
        for item in items:
            self.places[item.row, item.part] = len(self.of_class[item.target])
            self.of_class[item.target].append(item)

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Groups of about `group_size`, as even as can be; training deals them anew in each epoch."""
        count = max(1, round(len(items) / self.group_size))
        return deal([len(range(start, len(items), count)) for start in range(count)], 0, 0)

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """A row gets another one of its class beside it, drawn anew in each epoch; the only one gets itself."""
        alike, own = self.of_class[item.target], self.places[item.row, item.part]
        other = alike[(own + rng.randrange(1, len(alike))) % len(alike)] if len(alike) > 1 else item
        return replace(
            item,
            sequences=(*item.sequences, *other.sequences),
            segment_ids=(*item.segment_ids, *other.segment_ids),
            meta={},
        )

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """vectors (S, D), pooled as the head reads them."""
        return {"vectors": model.pool(model.trunk(batch), batch)}

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[Tensor, float]:
        """The mean cost of the pairs of each group, times its rows; summed over groups."""
        total, start = outputs["vectors"].new_zeros((), dtype=torch.float32), 0
        pieces = list(outputs["vectors"].split([len(item.sequences) for item in batch.items]))
        for size in batch.group_sizes:
            group = slice(start, start + size)
            total = total + size * balanced_cost(pieces[group], batch.items[group])
            start += size
        return total, float(len(batch.items))


def balanced_cost(vectors: Sequence[Tensor], items: Sequence[Encoded]) -> Tensor:
    """Squared error of the cosines of all pairs of texts of a group; those alike count as much as all others together.

    A text beside itself says nothing and is left out, whatever its classes; so a class with one row has no pair alike.

    Args:
        vectors: (K, D) of the K texts of each item.
        items: the group; targets are classes.

    Returns:
        The mean over both kinds, shape ().

    Example:
        >>> items = [Encoded(([1], [2]), target=0, row=0), Encoded(([3], [4]), target=1, row=1)]
        >>> one, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        >>> float(balanced_cost([torch.stack([one, one]), torch.stack([other, other])], items))
        0.0
        >>> float(balanced_cost([torch.stack([one, one]), torch.stack([one, one])], items))
        0.5
    """
    classes = _numbered(item.target for item in items for _ in item.sequences)
    texts = _numbered(tuple(sequence) for item in items for sequence in item.sequences)
    every = torch.cat(list(vectors))
    with torch.autocast(every.device.type, enabled=False):  # in 16 bits cosines are off by some thousandths
        units = functional.normalize(every.float(), dim=-1)
        cosines = units @ units.T  # (N, N)
    different = texts[:, None] != texts[None, :]
    alike = classes[:, None] == classes[None, :]
    costs = (cosines - alike.to(cosines)).square()
    kinds = [(different & kind).to(every.device) for kind in (alike, ~alike)]
    return torch.stack([(costs * kind).sum() / kind.sum().clamp_min(1) for kind in kinds]).mean()


def _numbered(values: Any) -> Tensor:
    """(N,) equal numbers for equal values."""
    numbers: dict[Any, int] = {}
    return torch.tensor([numbers.setdefault(value, len(numbers)) for value in values])
