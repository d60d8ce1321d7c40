"""Perplexity of texts that a model foresees token by token.

| score | range | what it is |
| --- | --- | --- |
| loss | 0 and more | mean negative log probability of a token, in nats |
| perplexity | 1 and more | its exponential: among how many equally likely tokens the model wavers |
| token_accuracy | 0 to 1 | share of tokens that were the likeliest |

Perplexity is per token, so it compares models with the same tokenizer only (Jelinek et al. 1977).
"""

from __future__ import annotations

import math

from tunesmith.contracts import Counts
from tunesmith.metrics.counts import ratio

MOST_LOSS = 700.0
"""Its exponential is still a number."""


def perplexity_counts(nll: float, tokens: int, right_tokens: int) -> dict[str, float]:
    """Count one row: its summed negative log probabilities, its tokens, and how many of them were the likeliest."""
    return {"rows": 1.0, "nll": nll, "tokens": float(tokens), "right_tokens": float(right_tokens)}


def perplexity_scores(counts: Counts) -> dict[str, float]:
    """Summed counts → perplexity, loss, token_accuracy.

    Example:
        >>> round(perplexity_scores({"nll": math.log(8.0), "tokens": 3, "right_tokens": 1})["perplexity"], 6)
        2.0
    """
    loss = ratio(counts["nll"], counts["tokens"])
    return {
        "perplexity": math.exp(min(loss, MOST_LOSS)),
        "loss": loss,
        "token_accuracy": ratio(counts["right_tokens"], counts["tokens"]),
    }
