"""How well a model guesses held-out text: loss, perplexity, bits per byte."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tunesmith import engine
from tunesmith.contracts import Encoded, Labels, Objective
from tunesmith.model import Model, evaluating
from tunesmith.packing import pack

NOTHING = Labels(())
MOST_EXPONENT = 700.0


@dataclass(frozen=True)
class Guessed:
    """Losses of batches of windows.

    Attributes:
        sums: of the loss, one a batch.
        units: how many units each stands for.
    """

    sums: Sequence[float]
    units: Sequence[float]

    @property
    def loss(self) -> float:
        """The mean over all units."""
        return sum(self.sums) / sum(self.units)

    def interval(self, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
        """95 % interval of the loss: batches are resampled (Efron 1979), since neighbouring tokens are alike."""
        numbers = np.random.default_rng(seed)
        drawn = numbers.integers(len(self.sums), size=(resamples, len(self.sums)))
        losses = np.asarray(self.sums)[drawn].sum(axis=1) / np.asarray(self.units)[drawn].sum(axis=1)
        low, high = np.quantile(losses, [0.025, 0.975])
        return float(low), float(high)


def guess(
    model: Model, objective: Objective, items: Iterable[Encoded], batch_tokens: int, precision: torch.dtype
) -> Guessed:
    """Losses of held-out windows; draws of the objective depend on nothing that happened before.

    Args:
        model: in whichever mode.
        objective: gives the loss.
        items: with targets.
        batch_tokens: tokens in one forward pass.
        precision: of the arithmetic.
    """
    sums, units = [], []
    with evaluating(model), torch.random.fork_rng(devices=[]), torch.no_grad():
        for number, run in enumerate(_batches(items, batch_tokens)):
            engine.seed_step(0, number, model.device)
            batch = pack([[item] for item in run], model.device)
            with engine.autocast(model.device, precision):
                loss, count = objective.loss(objective.forward(model, batch), batch, NOTHING)
            sums.append(float(loss))
            units.append(count)
    return Guessed(sums, units)


def _batches(items: Iterable[Encoded], batch_tokens: int) -> Iterator[list[Encoded]]:
    run: list[Encoded] = []
    tokens = 0
    for item in items:
        if run and tokens + item.length_tokens > batch_tokens:
            yield run
            run, tokens = [], 0
        run.append(item)
        tokens += item.length_tokens
    if run:
        yield run


def as_scores(loss: float, tokens_per_byte: float | None) -> dict[str, float]:
    """The loss of a token in other units.

    Args:
        loss: in nats a token.
        tokens_per_byte: of the text in UTF-8; None where the loss is not one of guessed tokens.

    Example:
        >>> {name: round(value, 3) for name, value in as_scores(math.log(2), 0.25).items()}
        {'loss': 0.693, 'perplexity': 2.0, 'bits_per_byte': 0.25}
    """
    if tokens_per_byte is None:
        return {"loss": loss}
    bits = loss / math.log(2) * tokens_per_byte
    return {"loss": loss, "perplexity": math.exp(min(loss, MOST_EXPONENT)), "bits_per_byte": bits}
