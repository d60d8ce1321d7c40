"""The state of an optimizer as tensors with names, and back, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tunesmith.errors import CheckpointError

_UNUSED = "unused"


def flatten_optimizer(optimizer: torch.optim.Optimizer, names: Mapping[Tensor, str]) -> dict[str, Tensor]:
    """The state of AdamW, Adam or SGD as tensors named `<kind>/<parameter>`, such as `exp_avg/head.weight`.

    Args:
        optimizer: the optimizer; fused, foreach and plain ones have the same state.
        names: the name of each of its parameters.

    Returns:
        The optimizer's own tensors, not copies. A parameter without a state yet is marked by an empty tensor
        `unused/<parameter>`, so that a lost one is never taken for it.
    """
    flat: dict[str, Tensor] = {}
    for parameter in _parameters(optimizer):
        held = {kind: value for kind, value in optimizer.state.get(parameter, {}).items() if value is not None}
        if held and set(held) != set(_kinds(optimizer)):
            raise ValueError(f"{names[parameter]} has the state {sorted(held)}, wanted {_kinds(optimizer)}")
        flat.update({f"{kind}/{names[parameter]}": value for kind, value in held.items()})
        if not held:
            flat[f"{_UNUSED}/{names[parameter]}"] = torch.empty(0, dtype=torch.uint8)
    return flat


def restore_optimizer(
    optimizer: torch.optim.Optimizer, flat: Mapping[str, Tensor], names: Mapping[Tensor, str]
) -> None:
    """Put a flattened state into a fresh optimizer over the same parameters; values are copied, bit for bit.

    Raises:
        CheckpointError: a tensor is missing, left over or of another shape or dtype; nothing is changed.
    """
    rest = dict(flat)
    states = [_take_state(rest, parameter, names[parameter], optimizer) for parameter in _parameters(optimizer)]
    if rest:
        raise CheckpointError(f"the optimizer state holds {sorted(rest)[:3]}, which no trainable parameter has")
    content = optimizer.state_dict()
    content["state"] = {index: state for index, state in enumerate(states) if state}
    optimizer.load_state_dict(content)


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """In the order of `Optimizer.state_dict`."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _kinds(optimizer: torch.optim.Optimizer) -> tuple[str, ...]:
    if isinstance(optimizer, torch.optim.Adam):  # AdamW is one
        largest = any(group["amsgrad"] for group in optimizer.param_groups)
        return ("step", "exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if largest else ()))
    if isinstance(optimizer, torch.optim.SGD):
        return ("momentum_buffer",)
    raise ValueError(f"wanted AdamW, Adam or SGD, got {type(optimizer).__name__}")


def _take_state(
    rest: dict[str, Tensor], parameter: Tensor, name: str, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    if rest.pop(f"{_UNUSED}/{name}", None) is not None:
        return {}
    state = {}
    for kind in _kinds(optimizer):
        value = rest.pop(f"{kind}/{name}", None)
        if value is None:
            raise CheckpointError(f"the optimizer state has no {kind}/{name}", fix="start over in another --out")
        if kind == "step":
            state[kind] = value.clone()
            continue
        if value.shape != parameter.shape or value.dtype != parameter.dtype:
            came, wanted = (f"{tuple(one.shape)} {one.dtype}" for one in (value, parameter))
            raise CheckpointError(f"{kind}/{name} is {came}, wanted {wanted}", fix="start over in another --out")
        state[kind] = torch.empty_like(parameter).copy_(value)  # the memory layout that the optimizer gives it
    return state
