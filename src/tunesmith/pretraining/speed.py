"""How fast a processor multiplies, and how much of that a training reaches."""

from __future__ import annotations

import time

import torch

from tunesmith.model import Model

SIDE, ROUNDS = 1024, 5


def measure_product_rate(device: torch.device, precision: torch.dtype) -> float:
    """FLOP/s of large matrix products on this machine: the best of a few rounds, about a tenth of a second.

    Args:
        device: where.
        precision: torch.float32 or torch.bfloat16.
    """
    one = torch.ones(SIDE, SIDE, dtype=precision, device=device)
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        float((one @ one)[0, 0])  # reading a value waits for a GPU
        seconds.append(time.perf_counter() - began)
    return 2.0 * SIDE**3 / min(seconds)


def flops_per_token(model: Model, context_tokens: int, projected_share: float) -> float:
    """Multiply-adds of training on one token, counted as two operations: three times those of the forward pass.

    6 for each weight of a matrix that the token meets, 12 for each layer, unit of width and token that it attends to
    (Kaplan et al. 2020, section 2.1; Chowdhery et al. 2022, appendix B).

    Args:
        model: trunk, head, companion.
        context_tokens: tokens of a window.
        projected_share: share of the tokens for which the vocabulary is scored.
    """
    text = model.hf.config.get_text_config()
    trunk = sum(p.numel() for layer in model.layers() for p in layer.parameters() if p.ndim == 2)
    head = sum(p.numel() for p in model.projection_parameters() if p.ndim == 2)
    attention = 12 * (len(model.layers()) or text.num_hidden_layers) * model.width * context_tokens
    own = float(6 * (trunk + head * projected_share) + attention)
    return own if model.companion is None else own + flops_per_token(model.companion, context_tokens, projected_share)
