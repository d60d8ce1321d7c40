"""The loss of guessed tokens: the vocabulary is scored only where something must be guessed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tunesmith.contracts import IGNORED, Batch, Outputs
from tunesmith.model import Model
from tunesmith.projection import projected_cross_entropy, projected_token_losses


def find_asked(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Places of the tokens that have a target, and their targets: (N,) twice."""
    targets = torch.tensor([target for item in batch.items for target in item.target], device=device)  # (T,)
    places = torch.nonzero(targets != IGNORED)[:, 0]
    return places, targets[places]


def guess(model: Model, batch: Batch) -> dict[str, Tensor]:
    """Hidden states of the trunk, and the summed loss of what is asked."""
    hidden = model.trunk(batch)
    return {"hidden": hidden, **guess_hidden(model, hidden, batch)}


def count_loss(outputs: Outputs) -> tuple[Tensor, float]:
    """Summed loss and number of guessed tokens; at least 1, so that a batch of special tokens alone divides by it."""
    return outputs["loss"], max(1.0, float(outputs["count"]))


def guess_hidden(model: Model, hidden: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Sum of the cross-entropies of the tokens that have a target, and how many they are.

    Args:
        model: with a head that scores the vocabulary.
        hidden: (T, D) states of the batch's tokens.
        batch: items whose targets are one id a token, IGNORED where nothing is asked.

    Returns:
        "loss" () and "count" ().
    """
    places, targets = find_asked(batch, hidden.device)
    return score_guesses(model, hidden.index_select(0, places), targets) if len(places) else _nothing(hidden)


def score_guesses(model: Model, hidden: Tensor, targets: Tensor, smoothing: float = 0.0) -> dict[str, Tensor]:
    """Sum of the cross-entropies of N targets (N,) at hidden states (N, D), and how many they are."""
    loss = projected_cross_entropy(
        model.token_logits,
        model.projection_parameters(),
        hidden,
        targets,
        vocabulary=model.vocabulary_size,
        smoothing=smoothing,
    )
    return {"loss": loss, "count": torch.tensor(float(len(targets)))}


def token_log_probabilities(model: Model, hidden: Tensor, targets: Tensor) -> Tensor:
    """The log-probability of each of N targets (N,) at hidden states (N, D), in nats: (N,), with gradients."""
    losses = projected_token_losses(
        model.token_logits, model.projection_parameters(), hidden, targets, vocabulary=model.vocabulary_size
    )
    return -losses


def sequence_log_probabilities(of_tokens: Tensor, lengths: Sequence[int]) -> Tensor:
    """Log-probabilities (N,) of tokens → those of the S sequences that they are, in order: (S,).

    Example:
        >>> sequence_log_probabilities(torch.tensor([-1.0, -2.0, -4.0]), [2, 1]).tolist()
        [-3.0, -4.0]
    """
    return torch.stack([piece.sum() for piece in of_tokens.split(list(lengths))])


def _nothing(hidden: Tensor) -> dict[str, Tensor]:
    return {"loss": hidden.float().sum() * 0.0, "count": torch.zeros(())}
