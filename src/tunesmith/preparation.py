"""Everything before the first step: rows, labels, base model, token ids, method, plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from tunesmith import base_models, engine, few_shot, inference, ledger, vocabulary
from tunesmith.base_models import BaseModelFolder
from tunesmith.config import RunConfig
from tunesmith.contracts import (
    BringsRows,
    Encoded,
    FindsHead,
    GroupedObjective,
    JudgedTogether,
    Labels,
    Method,
    Prepares,
    RatesApart,
    Task,
    Way,
)
from tunesmith.errors import MethodError, ModelError
from tunesmith.evaluation.scoring import find_judged
from tunesmith.labelled_rows import Splits, find_answers
from tunesmith.ledger import Ledger
from tunesmith.methods import make_method
from tunesmith.model import Model
from tunesmith.model_loading import ModelOptions, load_model
from tunesmith.notices import say_before, say_losses, say_own_rows
from tunesmith.optimization import LearningRate, choose_learning_rate
from tunesmith.packing import Schedule, Sizes, group_items, group_lengths, schedule_run
from tunesmith.tasks import make_task

FOUR_BITS = "the base model is held in four bits while it is tuned; the finished model reads its whole weights"
FROM_FILE = "template"
"""Option of tasks that may name a file; the task's own config holds what the file says."""


@dataclass(frozen=True)
class Setup:
    """A run, ready to start.

    Attributes:
        config: the resolved configuration.
        task: what is learnt.
        method: how.
        way: how with few rows; None: by the task's own loss.
        objective: what the steps go by: the task, or what the way makes of it.
        splits: on what.
        labels: the answers of all splits, counted in the training rows.
        base: the base model's checked folder.
        model: with the method applied, its vocabulary compacted where that helps, on its device.
        compaction: what was put away of the vocabulary, or None.
        train_items: encoded training rows.
        dev_items: encoded development rows.
        own_items: encoded rows of the way's own, numbered behind the training rows.
        groups: what is trained on, as items that belong together.
        schedule: all steps.
        learning_rate: the highest one and why.
        precision: of the arithmetic in training.
        ledgers: what of the texts and answers never reaches the model, by split.
        notices: what the user should know.
    """

    config: RunConfig
    task: Task
    method: Method
    way: Way | None
    objective: GroupedObjective
    splits: Splits
    labels: Labels
    base: BaseModelFolder
    model: Model
    compaction: vocabulary.Compaction | None
    train_items: list[Encoded]
    dev_items: list[Encoded]
    own_items: list[Encoded]
    groups: list[list[Encoded]]
    schedule: Schedule
    learning_rate: LearningRate
    precision: torch.dtype
    ledgers: Mapping[str, Ledger]
    notices: list[str]


def make_parts(config: RunConfig) -> tuple[Task, Method]:
    """The task and the method that a configuration names, with their options checked."""
    task = make_task(config.task.name, config.task.options)
    return task, make_method(config.method.name, config.method.options)


def write_in_files(config: RunConfig, task: Task) -> RunConfig:
    """The configuration with what a file says in place of the file, so that the finished folder needs no other."""
    named = getattr(task.config, FROM_FILE, "")
    if not named or config.task.options.get(FROM_FILE) == named:
        return config
    options = {**config.task.options, FROM_FILE: named}
    section = type(config.task).model_validate({"name": config.task.name, **options})
    return config.model_copy(update={"task": section})


def prepare(config: RunConfig, splits: Splits, task: Task, method: Method) -> Setup:
    """Load the base model, encode the rows, apply the method and plan the steps.

    Raises:
        TunesmithError: the model, the method or the data do not fit together.
    """
    labels = find_answers(task, splits)
    way = few_shot.make_way(config)
    if way is not None:
        way.check(task, labels)
        _refuse_still_trunk(way, method)
    own_rows: list[Any] = way.own_rows(task, labels, splits.train) if isinstance(way, BringsRows) else []
    base = base_models.resolve(config.model.name, revision=config.model.revision)
    device = engine.choose_device(config.train.device)
    precision = engine.choose_precision(config.train.precision, device)
    _refuse_four_bits(config, method, device)
    options = ModelOptions(config.train.seed, config.model.max_tokens, config.model.dropout, config.model.load_in)
    model = load_model(base, task.head(labels), options)
    context = inference.make_context(model, labels)
    train_items, dev_items = (task.encode(rows, context) for rows in (splits.train, splits.dev))
    own_items = task.encode(own_rows, context, len(splits.train))
    task.prepare_head(model, labels)
    if isinstance(task, Prepares):
        with engine.fixed_order(device):
            train_items, dev_items, own_items = (
                inference.prepare_items(model.to(device), task, items, config.evaluate.batch_tokens, precision)
                for items in (train_items, dev_items, own_items)
            )
        model.cpu()  # where what a method adds is drawn
    with torch.random.fork_rng(devices=[]):  # what a method adds depends on the seed alone
        torch.manual_seed(config.train.seed)
        method.apply(model)
    model.to(device)
    compaction = _compact(config, model, [*train_items, *own_items, *dev_items])
    learnt = [*train_items, *own_items]
    objective = task if way is None else way.objective(task, learnt)
    groups = group_items(learnt, objective.groups(learnt))
    ledgers = _count_losses(task, splits, labels, train_items, dev_items)
    return Setup(
        config=config,
        task=task,
        method=method,
        way=way,
        objective=objective,
        splits=splits,
        labels=labels,
        base=base,
        model=model,
        compaction=compaction,
        train_items=train_items,
        dev_items=dev_items,
        own_items=own_items,
        groups=groups,
        schedule=_plan_steps(config, objective, groups),
        learning_rate=choose_learning_rate(
            config.train.learning_rate,
            model.width,
            method.learning_rate_factor if isinstance(method, RatesApart) else method.tags.learning_rate_factor,
            task.tags.learning_rate_limit if way is None else way.learning_rate_limit,
        ),
        precision=precision,
        ledgers=ledgers,
        notices=[
            *([FOUR_BITS] if config.model.load_in == "4bit" else []),
            *say_before(splits, task, labels, model, train_items),
            *say_own_rows(way, task, own_rows),
            *say_losses(ledgers, model.max_tokens, task),
        ],
    )


def _plan_steps(config: RunConfig, objective: GroupedObjective, groups: Sequence[Sequence[Encoded]]) -> Schedule:
    section = config.train
    return schedule_run(
        group_lengths(groups),
        Sizes(max(1, section.batch_size // max(map(len, groups))), section.batch_tokens),
        section.seed,
        section.epochs,
        section.max_steps,
        partial(engine.dealt_lengths, objective, groups, section.seed) if _regroups(objective, groups) else None,
    )


def _count_losses(
    task: Task, splits: Splits, labels: Labels, train_items: Sequence[Encoded], dev_items: Sequence[Encoded]
) -> dict[str, Ledger]:
    """Ledgers of the user's rows, by split; development rows that are training rows are counted once."""
    dev = ledger.count(dev_items if splits.held_out else [])
    return {
        "train": ledger.count(train_items),
        "dev": replace(dev, not_judged=_count_unjudged(task, splits.dev, labels)),
    }


def _refuse_still_trunk(way: Way, method: Method) -> None:
    """A way that finds the head teaches the trunk, and nothing of it would move."""
    if isinstance(way, FindsHead) and method.tags.head_only:
        raise MethodError(
            f"--few-shot {way.name} teaches the trunk's vectors, and method {method.name} leaves them as they are",
            fix="--method lora, or leave out --method; a head alone is trained without --few-shot",
        )


def _refuse_four_bits(config: RunConfig, method: Method, device: torch.device) -> None:
    """Say before anything is loaded that a base model cannot be held in four bits."""
    if config.model.load_in != "4bit":
        return
    if not method.tags.takes_four_bits:
        raise MethodError(
            f"model.load_in=4bit holds weights that cannot be trained, and method {method.name} needs them whole",
            fix="--method lora, or leave out model.load_in",
        )
    if device.type != "cuda":
        raise ModelError(
            f"model.load_in=4bit needs an NVIDIA GPU, and this run computes on {device.type}",
            fix="leave out model.load_in, as lora trains beside whole weights as well; or take a smaller base model",
        )


def _compact(config: RunConfig, model: Model, items: Sequence[Encoded]) -> vocabulary.Compaction | None:
    if config.cache.vocabulary == "off" or not vocabulary.can_compact(model):
        return None
    pad = model.hf.config.get_text_config().pad_token_id or 0
    always = [token for token in (pad, *model.tokenizer.all_special_ids) if token < len(model.tokenizer)]
    return vocabulary.compact(model, vocabulary.used_ids(items, always))


def _count_unjudged(task: Task, rows: Sequence[Any], labels: Labels) -> int:
    """How many development rows say nothing about a model. Raises DataError where all of them do."""
    if not isinstance(task, JudgedTogether):
        return 0
    return len(rows) - len(find_judged(task, [task.gold(row, labels) for row in rows], labels))


def regroups(setup: Setup) -> bool:
    """Whether the training items are dealt into groups anew in each epoch; items that stand alone need it not."""
    return _regroups(setup.objective, setup.groups)


def _regroups(objective: GroupedObjective, groups: Sequence[Sequence[Encoded]]) -> bool:
    return objective.tags.regroups and any(len(group) > 1 for group in groups)


def find_head(setup: Setup) -> None:
    """Set the head to what the training rows say with the trunk as it is, where the way leaves that to each look."""
    way: object = setup.way
    if isinstance(way, FindsHead):
        items, batch_tokens = [*setup.train_items, *setup.own_items], setup.config.evaluate.batch_tokens
        vectors = inference.item_vectors(setup.model, setup.task, items, batch_tokens)
        way.find_head(setup.model, vectors, [item.target for item in items])


def evaluation_interval(setup: Setup) -> int:
    """Optimizer steps between two looks at the development rows."""
    section = setup.config.evaluate
    steps_in_epoch = math.ceil(setup.schedule.steps_in_epochs[0])
    every_steps = section.steps or max(1, round(steps_in_epoch / section.per_epoch))
    return every_steps if setup.way is None else min(every_steps, setup.schedule.total_steps)


def estimate_memory_bytes(setup: Setup) -> int:
    """A rough estimate of the most memory that training takes.

    Weights, gradients and two optimizer moments in fp32, and the activations of the largest pass: 34 bytes a token,
    layer and unit of width in 16 bit, and 5 a pair of tokens and head (Korthikanti et al. 2022, section 4.1).
    """
    model = setup.model
    text = model.hf.config.get_text_config()
    weights = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    longest = max(item.length_tokens for item in (*setup.train_items, *setup.own_items))
    sizes = setup.schedule.sizes
    in_step = sizes.batch_tokens or sizes.batch_size * longest
    tokens = max(longest, min(in_step, setup.config.train.micro_batch_tokens))
    wide = 1 if setup.precision == torch.bfloat16 else 2
    heads = getattr(text, "num_attention_heads", 12)
    layers = getattr(text, "num_hidden_layers", 12)
    per_token = layers * (34 * model.width + 5 * heads * longest) * wide
    put_away = setup.compaction.full.numel() if setup.compaction is not None else 0
    return 4 * (weights + put_away) + 12 * trained + tokens * per_token
