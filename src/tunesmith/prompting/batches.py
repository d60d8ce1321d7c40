"""Encoded items run in batches of about the same length, as answers are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tunesmith.contracts import Batch, Encoded
from tunesmith.inference import BATCH_TOKENS
from tunesmith.model import Model, evaluating
from tunesmith.packing import pack, sorted_runs


def run_batches(model: Model, items: Sequence[Encoded], compute: Callable[[Batch], Tensor]) -> Tensor:
    """What is computed of each item, in their order.

    Args:
        model: whose device and mode count.
        items: at least one.
        compute: a batch → one row an item, (I, …).

    Returns:
        (N, …) float32 on the CPU, without gradients.
    """
    found: list[Tensor] = [torch.empty(0)] * len(items)
    with evaluating(model), torch.inference_mode():
        for places in sorted_runs([item.length_tokens for item in items], BATCH_TOKENS):
            rows = compute(pack([[items[place]] for place in places], model.device)).float().cpu()
            for place, row in zip(places, rows, strict=True):
                found[place] = row
    return torch.stack(found)
