"""Sample rows of every task, found by file name, and short runs on tiny trunks; names no task and no method.

A file `samples/<task>[.<variant>].jsonl` begins with a line of facts: "options" of the task, "best", the headline score
of perfect predictions, and "every_method" where each method meets each contract with it. Each further line is a
labelled "row" and the "prediction" that is right for it; where all answers exchanged are as good (they are judged among
each other, or judge themselves), also a "wrong" one.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import TEXTS, make_tiny_trunk
from tunesmith import engine, fitting, inference, judging, labelled_rows, preparation
from tunesmith.config import RunConfig, resolve_config
from tunesmith.contracts import Batch, Encoded, JudgedTogether, Labels, Outputs, Task
from tunesmith.methods import METHODS
from tunesmith.model import Model
from tunesmith.optimization import build_optimizer
from tunesmith.packing import pack
from tunesmith.preparation import Setup
from tunesmith.tasks import TASKS, make_task

FILES = sorted((Path(__file__).parent / "samples").glob("*.jsonl"))
FAMILY_OF_KIND = {"encoder": "bert", "decoder": "llama", "encoder-decoder": "bart", "decoder with biases": "gpt2"}
"""A family for each kind of trunk that tags speak of; the first kind is used where any will do."""
BIASED_DECODER = "decoder with biases"
"""Stands in for decoders where biases are needed; no tag names it."""
WITH_BIASES = {"encoder", "encoder-decoder", BIASED_DECODER}
"""The kinds of those families whose layers have biases."""
SEED = 1
"""Of the trunks' weights. With some draws two rows are too alike for biases alone to tell them apart."""
PLAIN_METHOD = next(name for name, method in METHODS.items() if not method.tags.head_only)
"""What contracts of a task alone are run with."""


@dataclass(frozen=True)
class Sample:
    """Labelled rows of one task in one configuration.

    Attributes:
        name: file name without its ending.
        task: name in TASKS.
        options: of the task.
        best: headline score of perfect predictions.
        every_method: whether all methods are tried on all contracts; otherwise the two that stand for their kind.
        rows: as a user's file has them.
        predictions: the right ones, as the task's Prediction has them.
        wrong: wrong ones, where the file has them.
    """

    name: str
    task: str
    options: Mapping[str, Any]
    best: float
    every_method: bool
    rows: list[dict[str, Any]]
    predictions: list[dict[str, Any]]
    wrong: list[dict[str, Any]] = field(default_factory=list)

    def make_task(self) -> Task:
        return make_task(self.task, self.options)

    def make_rows(self, task: Task) -> list[Any]:
        return [task.Row.model_validate(row) for row in self.rows]


def read_sample(path: Path) -> Sample:
    facts, *lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    name = path.name.removesuffix(".jsonl")
    rows, predictions = ([line[key] for line in lines] for key in ("row", "prediction"))
    wrong = [line["wrong"] for line in lines if "wrong" in line]
    every = facts.get("every_method", False)
    return Sample(name, name.split(".")[0], facts["options"], facts["best"], every, rows, predictions, wrong)


SAMPLES = [read_sample(path) for path in FILES]
EACH_SAMPLE = [pytest.param(sample, id=sample.name) for sample in SAMPLES]
ADAPTING_METHOD = next(name for name, method in METHODS.items() if method.tags.stores == "adapter")
"""Stands for the methods that leave the trunk as it was."""
PAIRS = [
    (sample, method)
    for sample in SAMPLES
    for method in METHODS
    if TASKS[sample.task].tags.has_head or not METHODS[method].tags.head_only
]
EACH_PAIR = [pytest.param((sample, method), id=f"{sample.name}+{method}") for sample, method in PAIRS]
"""Three steps are done, written and read back."""
PROVEN_PAIRS = [
    pytest.param((sample, method), id=f"{sample.name}+{method}")
    for sample, method in PAIRS
    if sample.every_method or method in (PLAIN_METHOD, ADAPTING_METHOD)
]
"""All contracts hold."""


def kinds_of(sample: Sample, method: str | None = None) -> list[str]:
    """The kinds of trunk that a task, and a method with it, work on."""
    kinds = TASKS[sample.task].tags.trunk
    if method is not None:
        kinds = kinds & METHODS[method].tags.trunk
        kinds = (kinds & WITH_BIASES or {BIASED_DECODER}) if METHODS[method].tags.needs_bias else kinds
    return [kind for kind in FAMILY_OF_KIND if kind in kinds]


def make_trunks(folder: Path) -> dict[str, Path]:
    """A tiny trunk of each kind that knows the words of all samples."""
    texts = list(TEXTS)
    for sample in SAMPLES:
        task = sample.make_task()
        texts += [text for row in sample.make_rows(task) for text in task.texts(row)]
    return {kind: make_tiny_trunk(folder / family, family, texts, seed=SEED) for kind, family in FAMILY_OF_KIND.items()}


def make_config(sample: Sample, method: str, trunk: Path, *settings: str) -> RunConfig:
    """A run of a few steps in fp32."""
    base = {
        "model": {"name": str(trunk)},
        "task": {"name": sample.task, **sample.options},
        "method": {"name": method},
        "train": {
            "precision": "fp32",
            "device": "cpu",
            "batch_size": 8,
            "epochs": 1.0,
            "learning_rate": 1e-3,
        },
        "evaluate": {"baselines": False, "resamples": 100},
    }
    return resolve_config(base, settings=settings)


def make_setup(sample: Sample, method: str, trunk: Path, *settings: str) -> Setup:
    """All before the first step; the rows are trained on and judged on."""
    config = make_config(sample, method, trunk, *settings)
    task, how = preparation.make_parts(config)
    splits = labelled_rows.read_splits(config, task, sample.rows, sample.rows)
    return preparation.prepare(config, splits, task, how)


def make_job(setup: Setup) -> engine.Job:
    return engine.Job(
        setup.model,
        setup.task,
        setup.labels,
        setup.groups,
        setup.schedule,
        setup.config.train,
        setup.precision,
        regroup=preparation.regroups(setup),
    )


def optimizer_of(setup: Setup) -> torch.optim.Optimizer:
    return build_optimizer(setup.model, setup.config.train, setup.learning_rate.value)


def run_events(config: RunConfig, sample: Sample) -> Iterator[fitting.Event]:
    return fitting.run(config, sample.rows, sample.rows, in_one_go=True)


def headline(setup: Setup, items: Sequence[Encoded], rows: Sequence[Any]) -> float:
    """The headline score of the model as it stands."""
    answers = inference.predict_items(setup.model, setup.task, items, setup.labels)
    golds = [setup.task.gold(row, setup.labels) for row in rows]
    scores = judging.quick_scores(setup.task, answers.predictions, golds, setup.labels)
    return scores[setup.task.headline(setup.labels)]


def outputs_of(task: Task, model: Model, groups: Sequence[Sequence[Encoded]]) -> tuple[Outputs, Batch]:
    batch = pack(groups, model.device)
    with torch.no_grad():
        return task.forward(model, batch), batch


class Frozen:
    """A task whose corruption is the same in every epoch, so that what it asks for can be learnt by heart."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        return self._task.corrupt(item, random.Random(f"{item.row}/{item.part}"))


def is_judged_together(task: Task) -> bool:
    return isinstance(task, JudgedTogether)


def labels_of(sample: Sample, task: Task) -> Labels:
    return task.labels(sample.make_rows(task))


def assert_same(values: torch.Tensor, wanted: torch.Tensor) -> None:
    """Equal to 1e-5; sums over all rows, which have no axis, to that share of them."""
    torch.testing.assert_close(values, wanted, atol=1e-5, rtol=0.0 if values.ndim else 1e-5)
