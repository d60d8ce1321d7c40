"""A prompt with each of two answers as token ids, and how likely a model finds the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tunesmith.contracts import IGNORED, Batch, Context, Encoded, Outputs
from tunesmith.guessing import sequence_log_probabilities, token_log_probabilities
from tunesmith.model import Model
from tunesmith.tasks.writing_sequences import Layout, encode_writing, written_states

ASKED = "asked"
"""Key of `Encoded.meta`: of a decoder, the token that is asked for at each token of both sequences, or IGNORED."""
ANSWERS = "answers"
"""Key of `Encoded.meta`: the two answers as texts."""
PAIR = 2


def encode_pairs(rows: Sequence[Any], context: Context, layout: Layout, first_row: int) -> list[Encoded]:
    """One item a row: the prompt with the chosen answer, then with the rejected one; neither has a target yet.

    A prompt that is too long loses its end, and so does an answer. What a prompt loses is counted in both sequences.
    """
    prompts = [row.prompt for row in rows]
    halves = [
        encode_writing(prompts, answers, context, layout, first_row)
        for answers in ([row.chosen for row in rows], [row.rejected for row in rows])
    ]
    return [_joined(row, *pair) for row, pair in zip(rows, zip(*halves, strict=True), strict=True)]


def _joined(row: Any, chosen: Encoded, rejected: Encoded) -> Encoded:
    return Encoded(
        sequences=(*chosen.sequences, *rejected.sequences),
        target=None,
        row=chosen.row,
        meta={ASKED: (*chosen.target, *rejected.target), ANSWERS: (row.chosen, row.rejected)},
        cut_tokens=chosen.cut_tokens + rejected.cut_tokens,
    )


def answer_likelihoods(model: Model, batch: Batch) -> Outputs:
    """How likely each token of each answer is.

    Returns:
        "hidden" (N, D), "log_probabilities" (N,) of the N tokens of answers, and "answer_tokens" (A,) int64, how many
        of them each of the A answers has, two an item.
    """
    if model.has_decoder:
        hidden, written = written_states(model, batch)
        targets, lengths = torch.cat(written), torch.tensor([len(ids) for ids in written])
    else:
        hidden, targets, lengths = _states_in_a_row(model, batch)
    likely = token_log_probabilities(model, hidden, targets)
    return {"hidden": hidden, "log_probabilities": likely, "answer_tokens": lengths}


def _states_in_a_row(model: Model, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    asked = torch.tensor([token for item in batch.items for token in item.meta[ASKED]])  # (T,)
    places = torch.nonzero(asked != IGNORED)[:, 0]
    counts = [int((part != IGNORED).sum()) for part in asked.split(batch.bounds.diff().tolist())]
    hidden = model.trunk(batch).index_select(0, places.to(model.device))
    return hidden, asked[places].to(model.device), torch.tensor(counts)


def pair_likelihoods(outputs: Outputs, *, mean: bool) -> Tensor:
    """Log-probabilities of the chosen and the rejected answer of each item: (B, 2), in nats.

    Args:
        outputs: of `answer_likelihoods`.
        mean: of a token, not of the whole answer.
    """
    lengths = outputs["answer_tokens"]
    whole = sequence_log_probabilities(outputs["log_probabilities"], lengths.tolist())
    if mean:
        whole = whole / lengths.clamp(min=1).to(whole.device)
    return whole.view(-1, PAIR)
