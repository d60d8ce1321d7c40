"""Trunks that cannot run packed: rows filled up to one length, in buckets of similar length so that little is filled.

Models with an encoder and a decoder are among them: the encoder reads one sequence, the decoder writes another.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import pad_sequence

from tunesmith.errors import ModelError
from tunesmith.packing import sorted_runs

BUCKET_TOKENS = 4096
"""Most tokens in one forward pass, filling not counted."""
SHORT_TOKENS = 256
"""Up to this length the scores of all pairs of tokens are cheap to keep."""


def in_buckets(
    lengths: Sequence[int], states_of: Callable[[list[int]], Tensor], sizes: Sequence[int] | None = None
) -> Tensor:
    """Run sequences in buckets; their states in order, without what was filled up.

    Args:
        lengths: tokens of each of the S sequences whose states are wanted, T in all.
        states_of: hidden states (B, L, D) of the B sequences with these numbers, filled up on the right.
        sizes: what buckets are made by, where it is not `lengths`.

    Returns:
        (T, D).
    """
    starts = [0, *itertools.accumulate(lengths)]
    kept: list[Tensor] = []
    places: list[int] = []
    for run in buckets(lengths if sizes is None else sizes):
        states = states_of(run)
        longest = states.shape[1]
        real = [row * longest + column for row, index in enumerate(run) for column in range(lengths[index])]
        # all rows at once: the gradient of a slice is a table of zeros as large as the whole bucket
        kept.append(states.flatten(0, 1).index_select(0, torch.tensor(real, device=states.device)))
        places += [place for index in run for place in range(starts[index], starts[index + 1])]
    order = torch.empty(len(places), dtype=torch.int64)
    order[torch.tensor(places)] = torch.arange(len(places))
    return torch.cat(kept).index_select(0, order.to(kept[0].device))


def buckets(lengths: Sequence[int], budget_tokens: int = BUCKET_TOKENS) -> list[list[int]]:
    """Runs of similar length, so that little is filled up."""
    runs: list[list[int]] = []
    for run in sorted_runs(lengths, budget_tokens):
        start = 0
        for place in range(1, len(run) + 1):
            if place == len(run) or lengths[run[place]] > 1.5 * lengths[run[start]] + 8:
                runs.append(run[start:place])
                start = place
    return runs


def fill_up(rows: Sequence[Tensor], value: int) -> Tensor:
    """Rows of different lengths as one block: (B, L)."""
    return pad_sequence(list(rows), batch_first=True, padding_value=value)


def written_states(hf: Any, read: Sequence[Tensor], written: Sequence[Tensor], pad_id: int) -> Tensor:
    """Hidden states of the decoder where it writes each token, having read a sequence and all written before.

    Args:
        hf: a model with an encoder and a decoder.
        read: S sequences of token ids.
        written: S sequences of token ids, T tokens in all.
        pad_id: fills up.

    Returns:
        (T, D), in order.

    Raises:
        ModelError: the config does not say what writing begins with.
    """
    begin = hf.config.decoder_start_token_id
    if begin is None:
        raise ModelError(
            f"the config of this {hf.config.model_type} has no decoder_start_token_id, which writing begins with",
            fix="add it to its config.json",
        )
    encoder, decoder = hf.get_encoder(), hf.get_decoder()
    before = [torch.cat([ids.new_tensor([begin]), ids[:-1]]) for ids in written]

    def states_of(run: list[int]) -> Tensor:
        source = fill_up([read[i] for i in run], pad_id)  # (B, L)
        mask = fill_up([torch.ones_like(read[i]) for i in run], 0)
        target = fill_up([before[i] for i in run], pad_id)
        with _plain_products(source, target):
            states = encoder(input_ids=source, attention_mask=mask).last_hidden_state  # (B, L, D)
            return torch.as_tensor(
                decoder(  # what is filled up on the right is never seen from the left: no mask
                    input_ids=target,
                    encoder_hidden_states=states,
                    encoder_attention_mask=mask,
                    use_cache=False,
                ).last_hidden_state
            )

    sizes = [max(len(one), len(other)) for one, other in zip(read, written, strict=True)]
    return in_buckets([len(ids) for ids in written], states_of, sizes)


@contextlib.contextmanager
def _plain_products(*blocks: Tensor) -> Iterator[None]:
    """While open, attention on a CPU between short sequences is computed by plain products.

    The kernel that PyTorch would take there keeps less in memory, but its way back took a fifth of a whole step.
    """
    if blocks[0].device.type != "cpu" or max(block.shape[1] for block in blocks) > SHORT_TOKENS:
        yield
        return
    with sdpa_kernel(SDPBackend.MATH):
        yield
