"""Optimizer, parameter groups and learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from tunesmith.config import TrainSection
from tunesmith.model import Model

BASE_LEARNING_RATE = 3e-4
BASE_WIDTH = 384
SLOPE = math.log(15) / math.log(2)
"""The rule passes through 3e-4 at 384 wide and 2e-5 at 768 wide (BERT-base; Devlin et al. 2019, appendix A.3)."""


AS_SET = "as set"
"""Reason of a learning rate that the user gave."""


@dataclass(frozen=True)
class LearningRate:
    """The highest learning rate of a run and where it comes from."""

    value: float
    reason: str


def choose_learning_rate(
    wished: float | None, width: int, method_factor: float, task_limit: float = math.inf
) -> LearningRate:
    """Take the user's learning rate, or the rule of trunk width and method.

    Args:
        wished: the user's, or None.
        width: hidden width of the trunk.
        method_factor: from the method's tags.
        task_limit: from the task's tags.

    Example:
        >>> choose_learning_rate(None, width=384, method_factor=1.0).value
        0.0003
    """
    if wished is not None:
        return LearningRate(wished, AS_SET)
    rule = BASE_LEARNING_RATE * (BASE_WIDTH / width) ** SLOPE
    rule = min(max(rule, 1e-5), 5e-4)
    said = [f"rule for a {width}-wide trunk"]
    said += [f"at most {task_limit:g} for the task"] if task_limit < rule else []
    said += [f"× {method_factor:g} for the method"] if method_factor != 1.0 else []
    return LearningRate(float(f"{min(rule, task_limit) * method_factor:.2g}"), ", ".join(said))


PRETRAINING_RATE, PRETRAINING_WIDTH = 1e-3, 256
CONTINUED_FACTOR = 0.25
"""Of the rule, for weights that are good already."""
NORMS_LAST_FACTOR = 0.3
"""Of the rule, for new weights of BERT and its kind."""


def choose_pretraining_rate(wished: float | None, model: Model, *, continued: bool) -> LearningRate:
    """Take the user's learning rate, or the rule for pretraining: falls with the square root of the width.

    New weights take less where layers normalise what they give: at the full rate such a model can stay where it knows
    how often each token comes, and nothing else (Xiong et al. 2020 on why).

    Args:
        wished: the user's, or None.
        model: its width, and where its norms stand.
        continued: whether the weights were pretrained before.
    """
    if wished is not None:
        return LearningRate(wished, AS_SET)
    factor, reason = 1.0, f"rule for pretraining a {model.width}-wide trunk"
    if continued:
        factor, reason = CONTINUED_FACTOR, f"{reason}, a quarter of it to continue"
    elif not model.norms_first:
        factor, reason = NORMS_LAST_FACTOR, f"{reason}, 0.3 of it as its norms stand behind its layers"
    rule = PRETRAINING_RATE * (PRETRAINING_WIDTH / model.width) ** 0.5
    return LearningRate(float(f"{rule * factor:.2g}"), reason)


def schedule_factor(step: int, total_steps: int, warmup: float, shape: str) -> float:
    """Factor of the learning rate in a step: rises linearly over the warm-up, then falls.

    Args:
        step: 1-based.
        total_steps: steps of the run.
        warmup: share of the steps that rise.
        shape: "linear", "cosine" or "constant".

    Example:
        >>> [schedule_factor(step, 4, 0.25, "linear") for step in (1, 2, 3, 4)]
        [1.0, 0.75, 0.5, 0.25]
    """
    warmup_steps = math.ceil(warmup * total_steps)
    if step <= warmup_steps:
        return step / warmup_steps
    done = (step - 1 - max(0, warmup_steps - 1)) / max(1, total_steps - max(0, warmup_steps - 1))
    if shape == "constant":
        return 1.0
    return 1 - done if shape == "linear" else (1 + math.cos(math.pi * done)) / 2


def decays(name: str, parameter: nn.Parameter, embedding_ids: set[int]) -> bool:
    """Whether weight decay applies: not to biases, norms (one-dimensional), scales (a column or row) and embeddings."""
    is_weight = name.endswith("weight") or (parameter.ndim > 1 and min(parameter.shape) > 1)
    return is_weight and parameter.ndim > 1 and id(parameter) not in embedding_ids and not name.endswith("bias")


def alike(name: str) -> float:
    """The factor of the learning rate where all parameters have the same."""
    return 1.0


def build_optimizer(
    model: Model, settings: TrainSection, learning_rate: float, rate_factor: Callable[[str], float] = alike
) -> torch.optim.Optimizer:
    """Make the optimizer over the trainable parameters.

    Each parameter group keeps its own highest rate as `peak` and the share of the run after which it moves as `begins`;
    `set_learning_rate` reads both.

    Args:
        model: after its method was applied.
        settings: optimizer, decay, and how rates and beginnings depend on depth.
        learning_rate: of the top, at its highest.
        rate_factor: multiplies it, by the name of a parameter.

    Raises:
        ValueError: nothing is trainable.
    """
    depths = model.depths()
    top = max(depths.values())
    embedding_ids = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    groups: dict[tuple[bool, int, float], list[nn.Parameter]] = {}
    by_depth = settings.layer_decay < 1 or settings.unfreeze > 0
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            depth = depths[name] if by_depth else top
            key = (decays(name, parameter, embedding_ids), depth, rate_factor(name))
            groups.setdefault(key, []).append(parameter)
    if not groups:
        raise ValueError("the method left nothing to train")
    options = [
        {
            "params": parameters,
            "weight_decay": settings.weight_decay if decayed else 0.0,
            "peak": learning_rate * factor * settings.layer_decay ** (top - depth),
            "begins": settings.unfreeze * (top - depth) / max(1, top),
            "lr": learning_rate,
        }
        for (decayed, depth, factor), parameters in sorted(groups.items(), key=lambda entry: entry[0])
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(options, momentum=settings.momentum)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(options, betas=(0.9, settings.beta2), fused=model.device.type in {"cpu", "cuda"})


def forget_still(optimizer: torch.optim.Optimizer) -> None:
    """Drop the gradients of groups that do not move yet: they must not count when the others' are clipped."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["lr"] == 0 else ():
            parameter.grad = None


def gradient_norm(parameters: Iterable[nn.Parameter]) -> float:
    """Euclidean norm of all gradients together."""
    return float(nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))


def step_clipped(optimizer: torch.optim.Optimizer, norm: float, limit: float) -> None:
    """Move the weights, by gradients scaled down to a norm of `limit` where theirs is larger (Pascanu et al. 2013).

    The fused optimizers scale while they read the gradients; for others they are scaled first. Afterwards the gradients
    are used up.

    Args:
        optimizer: with gradients in its parameters.
        norm: of these gradients.
        limit: largest norm; 0 switches clipping off.
    """
    if not 0 < limit < norm:
        optimizer.step()
        return
    if all(group.get("fused") for group in optimizer.param_groups):
        device = optimizer.param_groups[0]["params"][0].device
        vars(optimizer)["grad_scale"] = torch.tensor(norm / limit, device=device)  # the gradients are divided by it
        try:
            optimizer.step()
        finally:
            del vars(optimizer)["grad_scale"]
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad.mul_(limit / norm)
    optimizer.step()


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float, done: float = 1.0) -> float:
    """Set every group to its peak times `factor`, or to 0 where it does not move yet; returns the highest rate.

    Args:
        optimizer: of `build_optimizer`.
        factor: of the schedule.
        done: share of the run that is done.
    """
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor if done >= group.get("begins", 0.0) else 0.0
    return float(max(group["lr"] for group in optimizer.param_groups))
