"""The only training loop: a generator that yields a report after each optimizer step.

It evaluates, logs and saves nothing; whoever iterates decides that. It has no memory of its own either: the order of
rows is a function of (seed, epoch), the randomness of a step a function of (seed, step).
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tunesmith.allocator import keep_freed_memory
from tunesmith.config import TrainSection
from tunesmith.contracts import Batch, Encoded, Labels, Objective, Penalty, StepReport
from tunesmith.dropout import MaskPool
from tunesmith.errors import ConfigError, TrainingError
from tunesmith.model import Model
from tunesmith.optimization import forget_still, gradient_norm, schedule_factor, set_learning_rate, step_clipped
from tunesmith.packing import Schedule, deal, fill, group_lengths, pack


@dataclass(frozen=True)
class Job:
    """What is trained on what.

    Attributes:
        model: in training mode while a step runs.
        task: gives corruption, forward and loss.
        labels: passed to the loss.
        groups: items that belong together; one entry of the plan each.
        schedule: which groups stand in which step.
        settings: schedule shape, clipping, precision.
        precision: torch.bfloat16 for autocast, torch.float32 for none.
        penalty: added to the loss of each micro-batch, or None.
        regroup: deal the items into groups of the same sizes anew in each epoch.
    """

    model: Model
    task: Objective
    labels: Labels
    groups: Sequence[Sequence[Encoded]]
    schedule: Schedule
    settings: TrainSection
    precision: torch.dtype = torch.float32
    penalty: Penalty | None = None
    regroup: bool = False


def steps(
    job: Job, optimizer: torch.optim.Optimizer, start: int = 0, micro_batch_tokens: int | None = None
) -> Iterator[StepReport]:
    """Train from step `start` on, yielding after each optimizer step.

    Args:
        job: what is trained on what.
        optimizer: over the model's trainable parameters, its state that of step `start`.
        start: optimizer steps already done.
        micro_batch_tokens: most tokens in one forward–backward pass; default: the settings'.

    Raises:
        TrainingError: the loss is no finite number, or one group alone does not fit into memory.
    """
    budget_tokens = micro_batch_tokens or job.settings.micro_batch_tokens
    parameters = [p for p in job.model.parameters() if p.requires_grad]
    keep_freed_memory()
    job.model.train()
    dealt_for, dealt, lengths_tokens = -1, job.groups, job.schedule.lengths_tokens
    with _pooled_masks(job), fixed_order(job.model.device):
        for step, epoch, epochs_done, chosen in job.schedule.steps_from(start):
            began = time.perf_counter()
            factor = schedule_factor(step, job.schedule.total_steps, job.settings.warmup, job.settings.schedule)
            learning_rate = set_learning_rate(optimizer, factor, (step - 1) / job.schedule.total_steps)
            if job.regroup and epoch != dealt_for:
                dealt_for, dealt = epoch, deal_anew(job.groups, job.settings.seed, epoch)
                lengths_tokens = tuple(group_lengths(dealt))
            chosen = sorted(chosen, key=lengths_tokens.__getitem__)  # attention then pads little
            groups = [corrupt_group(job.task, dealt[index], job.settings.seed, epoch) for index in chosen]
            lengths = [sum(item.length_tokens for item in group) for group in groups]
            while True:
                runs = fill(range(len(groups)), lengths, budget_tokens)
                try:
                    loss, units = accumulate(job, [[groups[i] for i in run] for run in runs], step)
                    break
                except (torch.OutOfMemoryError, RuntimeError) as error:
                    budget_tokens = _halved(error, budget_tokens, groups, runs)
            forget_still(optimizer)
            norm = gradient_norm(parameters)
            if not math.isfinite(norm):
                rows = [item.row for group in groups for item in group]
                message = f"the gradient of step {step} is {norm}; {_say_rows(rows)}"
                raise TrainingError(message, fix=_NOT_FINITE_FIX, rows=rows)
            step_clipped(optimizer, norm, job.settings.clip)
            optimizer.zero_grad(set_to_none=True)
            yield StepReport(
                step=step,
                epoch=epochs_done,
                loss=loss / units,
                units=units,
                learning_rate=learning_rate,
                gradient_norm=norm,
                tokens=sum(lengths),
                seconds=time.perf_counter() - began,
                micro_batches=len(runs),
                micro_batch_tokens=budget_tokens,
            )


def accumulate(job: Job, micro_batches: Sequence[Sequence[Sequence[Encoded]]], step: int) -> tuple[float, float]:
    """Leave the gradient of the mean loss of a step in the parameters, whatever the split into micro-batches.

    Args:
        job: what is trained on what.
        micro_batches: groups of items, split between groups.
        step: sets the randomness.

    Returns:
        The summed loss and the units it stands for.
    """
    model = job.model
    if (
        not model.training
    ):  # a look at the development rows came between; the walk through all modules takes milliseconds
        model.train()
    model.zero_grad(set_to_none=True)
    seed_step(job.settings.seed, step, model.device)
    if model.masks is not None:
        model.masks.begin_step(step)
    sums: list[torch.Tensor] = []
    units = 0.0
    alone = len(micro_batches) == 1  # then the loss is divided, not every gradient
    for groups in micro_batches:
        batch = pack(groups, model.device)
        with autocast(model.device, job.precision):
            outputs = job.task.forward(model, batch)
            loss, count = job.task.loss(outputs, batch, job.labels)
            if job.penalty is not None:
                loss = loss + job.penalty(model, outputs, batch)
        (loss / count if alone else loss).backward()
        sums.append(loss.detach())
        units += count
        if not bool(torch.isfinite(sums[-1])):
            rows = _find_bad_rows(job, batch)
            message = f"the loss of step {step} is no finite number; {_say_rows(rows)}"
            raise TrainingError(message, fix=_NOT_FINITE_FIX, rows=rows)
    for parameter in () if alone else model.parameters():
        if parameter.grad is not None:
            parameter.grad.div_(units)
    return float(torch.stack(sums).sum()), units


_NOT_FINITE_FIX = "look at these rows; lower train.learning_rate, or set train.precision=fp32"


def seed_step(seed: int, step: int, device: torch.device) -> None:
    """Set torch's generators to a state that depends on (seed, step) only."""
    digest = hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "little") >> 1
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)


@contextlib.contextmanager
def _pooled_masks(job: Job) -> Iterator[None]:
    """While open, dropout on a CPU takes its masks from a pool."""
    job.model.set_masks(MaskPool(job.settings.seed) if job.model.device.type == "cpu" else None)
    try:
        yield
    finally:
        job.model.set_masks(None)


@contextlib.contextmanager
def fixed_order(device: torch.device) -> Iterator[None]:
    """While open, a CUDA GPU adds in a fixed order, so that the same steps give the same bytes; nothing for others.

    The settings are the process's: they also hold for what the caller computes between two steps, as an evaluation that
    chooses the best weights.
    """
    if device.type != "cuda":
        yield
        return
    options: Any = torch.utils.deterministic
    enabled, only_warns, fills = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        options.fill_uninitialized_memory,
    )
    torch.use_deterministic_algorithms(True)
    options.fill_uninitialized_memory = False  # it costs a kernel for each new tensor; we read nothing unwritten
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=only_warns)
        options.fill_uninitialized_memory = fills


@contextlib.contextmanager
def autocast(device: torch.device, precision: torch.dtype) -> Iterator[None]:
    """bf16 autocast, or nothing for fp32."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        yield


def choose_precision(wished: str, device: torch.device) -> torch.dtype:
    """bf16 where it was asked for, or where it was left open and the processor computes in it."""
    if wished != "auto":
        return torch.bfloat16 if wished == "bf16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu":
        flags: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return torch.bfloat16 if flags.get("avx512_bf16") or flags.get("amx_bf16") else torch.float32
    return torch.float32


def choose_device(wished: str) -> torch.device:
    """The device that was asked for, or the best there is.

    Raises:
        ConfigError: this machine, or the PyTorch installed on it, does not have it.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(wished, True):
        raise ConfigError(
            f"train.device is {wished}, but PyTorch {torch.__version__} finds no such device here",
            fix="--set train.device=auto, or install a PyTorch made for it",
        )
    chosen = ("cuda" if there["cuda"] else "cpu") if wished == "auto" else wished
    if chosen == "cuda":  # what a fixed order of addition asks for; read at the process's first product on a GPU
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.device(chosen)


def deal_anew(groups: Sequence[Sequence[Encoded]], seed: int, epoch: int) -> list[list[Encoded]]:
    """The same items in other groups of the same sizes: those of one epoch."""
    items = [item for group in groups for item in group]
    places = deal([len(group) for group in groups], seed, epoch)
    return [[items[place] for place in group] for group in places]


def corrupt_group(task: Objective, group: Sequence[Encoded], seed: int, epoch: int) -> list[Encoded]:
    """The items of a group as one epoch trains on them: masked, or with what is drawn beside them."""
    return [task.corrupt(item, random.Random(f"corrupt/{seed}/{epoch}/{item.row}/{item.part}")) for item in group]


def dealt_lengths(task: Objective, groups: Sequence[Sequence[Encoded]], seed: int, epoch: int) -> list[int]:
    """Tokens of each group that one epoch trains on where groups are dealt anew, with what is drawn beside items."""
    return group_lengths([corrupt_group(task, group, seed, epoch) for group in deal_anew(groups, seed, epoch)])


def _halved(
    error: Exception, budget_tokens: int, groups: Sequence[Sequence[Encoded]], runs: Sequence[Sequence[int]]
) -> int:
    """The next smaller budget after running out of memory; any other error goes on."""
    message = str(error).lower()
    if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in message:
        raise error
    lengths = [sum(item.length_tokens for item in group) for group in groups]
    if all(len(run) == 1 for run in runs):
        longest = groups[lengths.index(max(lengths))]
        raise TrainingError(
            f"one group of {max(lengths)} tokens alone does not fit into memory; "
            + _say_rows(item.row for item in longest),
            fix="set model.max_tokens lower, choose a smaller model or method head",
            rows=[item.row for item in longest],
        ) from error
    largest = max(sum(lengths[i] for i in run) for run in runs if len(run) > 1)
    return max(1, min(budget_tokens, largest) // 2)


def _say_rows(rows: Iterable[int]) -> str:
    shown = sorted(set(rows))
    listed = ", ".join(str(row + 1) for row in shown[:20]) + (" …" if len(shown) > 20 else "")
    return f"training rows (counted from 1): {listed}"


def _find_bad_rows(job: Job, batch: Batch) -> list[int]:
    """Which rows alone give a loss that is no finite number; all of the batch where none does."""
    bad: list[int] = []
    with torch.no_grad():
        for item in batch.items:
            alone = pack([[item]], job.model.device)
            with contextlib.suppress(Exception):
                loss, _ = job.task.loss(job.task.forward(job.model, alone), alone, job.labels)
                if not bool(torch.isfinite(loss)):
                    bad.append(item.row)
    return bad or [item.row for item in batch.items]
