"""What PEFT wants to know of changed layers, in its adapter_config.json."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tunesmith.model import Model

TASK_TYPES = {
    "sequence": "SEQ_CLS",
    "token": "TOKEN_CLS",
    "question_answering": "QUESTION_ANS",
    "vectors": "FEATURE_EXTRACTION",
}
"""What PEFT calls the kinds of heads; it has no name for the others."""


def describe_layers(model: Model, changed: Iterable[str], *, transposed: bool) -> dict[str, Any]:
    """The entries that all of PEFT's methods have which change linear layers.

    Args:
        model: with the change.
        changed: names of the layers beneath it in the Hugging Face model.
        transposed: whether one of these keeps its weight as (in, out).
    """
    return {
        "task_type": TASK_TYPES.get(model.head_spec.kind),
        "target_modules": sorted(changed),
        "modules_to_save": _head_modules(model),
        "fan_in_fan_out": transposed,
        "inference_mode": True,
    }


def _head_modules(model: Model) -> list[str]:
    """Names of the modules that the head is made of, as PEFT saves them whole."""
    head = {id(p) for p in model.head_parameters()}
    names = [name for name, p in model.hf.named_parameters() if id(p) in head]
    trunk = f"{model.hf.base_model_prefix}."
    return sorted({".".join(name.split(".")[: 2 if name.startswith(trunk) else 1]) for name in names})
