"""Answers for rows: length-sorted batches by token budget, input order kept, logits never hoarded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.contracts import Batch, Context, Encoded, Labels, Outputs, Prepares, Task, Writes
from tunesmith.model import Model, evaluating
from tunesmith.packing import pack, sorted_runs
from tunesmith.segments import make_segments, spread

BATCH_TOKENS = 8192


@dataclass(frozen=True)
class Answers:
    """Predictions of rows in their order, and the mean loss where targets were known."""

    predictions: list[Any]
    loss: float | None


def predict_rows(
    model: Model,
    task: Task,
    rows: Sequence[Any],
    labels: Labels,
    batch_tokens: int = BATCH_TOKENS,
    precision: torch.dtype = torch.float32,
) -> list[Any]:
    """Answer rows, labelled or not; labels are not looked at.

    Args:
        model: trunk and head.
        task: the model's task.
        rows: instances of the task's Row.
        labels: the answers.
        batch_tokens: tokens in one forward pass.
        precision: torch.float32, or torch.bfloat16 for autocast.

    Returns:
        One of the task's Predictions a row, in order.
    """
    with model.tokenizer_turn:
        items = task.encode(without_labels(task, rows), make_context(model, labels))
    return predict_items(model, task, items, labels, batch_tokens, precision).predictions


def without_labels(task: Task, rows: Sequence[Any]) -> list[Any]:
    """The rows as if nobody knew their answers: what is to be answered may hold labels that were never learnt."""
    unlabelled = {column.name: None for column in task.columns if column.role == "label"}
    return [row.model_copy(update=unlabelled) for row in rows]


def make_context(model: Model, labels: Labels) -> Context:
    """What the task's `encode` needs of a model."""
    return Context(model.tokenizer, model.target_tokenizer, labels, model.max_tokens, model.trunk_kind)


def predict_items(
    model: Model,
    task: Task,
    items: Sequence[Encoded],
    labels: Labels,
    batch_tokens: int = BATCH_TOKENS,
    precision: torch.dtype = torch.float32,
) -> Answers:
    """Answer encoded rows; items of one row stand together, rows in order.

    Returns:
        One Prediction a row, and the mean loss when every item has a target.
    """
    if isinstance(task, Writes):
        mean = measure_loss(model, task, items, labels, batch_tokens, precision)
        return Answers(_join(task, items, task.write(model, items), labels), mean)
    parts: list[Any] = [None] * len(items)
    has_targets = _have_targets(items)
    total, units = 0.0, 0.0
    for places, outputs, batch in forward_items(model, task, items, batch_tokens, precision):
        with torch.inference_mode():
            for place, part in zip(places, task.decode(outputs, batch, labels), strict=True):
                parts[place] = part
            if has_targets:
                loss, count = task.loss(outputs, batch, labels)
                total, units = total + float(loss), units + count
    return Answers(_join(task, items, parts, labels), total / units if units else None)


def measure_loss(
    model: Model,
    task: Task,
    items: Sequence[Encoded],
    labels: Labels,
    batch_tokens: int = BATCH_TOKENS,
    precision: torch.dtype = torch.float32,
) -> float | None:
    """The mean loss of encoded rows; None where a target is missing."""
    if not _have_targets(items):
        return None
    total, units = 0.0, 0.0
    for _, outputs, batch in forward_items(model, task, items, batch_tokens, precision):
        with torch.inference_mode():
            loss, count = task.loss(outputs, batch, labels)
        total, units = total + float(loss), units + count
    return total / units


def _have_targets(items: Sequence[Encoded]) -> bool:
    return bool(items) and all(item.target is not None for item in items)


def forward_items(
    model: Model, task: Task, items: Sequence[Encoded], batch_tokens: int, precision: torch.dtype
) -> Iterator[tuple[list[int], Outputs, Batch]]:
    """Run items in length-sorted batches; yields their places in `items`, the outputs and the batch."""
    groups = task.groups(items)
    lengths = [sum(items[place].length_tokens for place in group) for group in groups]
    with evaluating(model):
        for run in sorted_runs(lengths, batch_tokens):
            places = [place for index in run for place in groups[index]]
            batch = pack([[items[place] for place in groups[index]] for index in run], model.device)
            autocast = torch.autocast(model.device.type, torch.bfloat16, precision == torch.bfloat16)
            with torch.inference_mode(), autocast:
                outputs = task.forward(model, batch)
            yield places, outputs, batch


def item_vectors(model: Model, task: Task, items: Sequence[Encoded], batch_tokens: int) -> NDArray[np.float32]:
    """What the head reads of each item, of a task whose outputs hold "vectors": (N, D), in float32 as answers are."""
    found = np.empty((len(items), model.width), dtype=np.float32)
    for places, outputs, _ in forward_items(model, task, items, batch_tokens, torch.float32):
        found[places] = outputs["vectors"].float().cpu().numpy()
    return found


def prepare_items(
    model: Model, task: Task, items: Sequence[Encoded], batch_tokens: int, precision: torch.dtype
) -> list[Encoded]:
    """The items with what the task, one that `Prepares`, needs of this model before it is trained."""
    assert isinstance(task, Prepares)
    prepared = list(items)
    for places, outputs, batch in forward_items(model, task, items, batch_tokens, precision):
        for place, item in zip(places, task.prepare_items(outputs, batch), strict=True):
            prepared[place] = item
    return prepared


def _join(task: Task, items: Sequence[Encoded], parts: Sequence[Any], labels: Labels) -> list[Any]:
    return [task.join([parts[place] for place in places], labels) for places in _rows_of(items)]


def _rows_of(items: Sequence[Encoded]) -> list[list[int]]:
    """Places of each row's parts; the parts of a row stand together."""
    return [list(places) for _, places in itertools.groupby(range(len(items)), key=lambda place: items[place].row)]


def row_features(model: Model, items: Sequence[Encoded], batch_tokens: int) -> NDArray[np.float32]:
    """The mean hidden state of each row's tokens: (B, D), computed in float32 as answers are; see `Features.rows`."""
    sums = np.empty((len(items), model.width), dtype=np.float32)
    for places, hidden, batch in _hidden_states(model, items, batch_tokens):
        rows = spread(hidden, make_segments(batch.bounds, hidden.device))  # (S, L, D)
        counts = np.array([len(items[place].sequences) for place in places])
        starts = np.cumsum(counts) - counts
        sums[places] = np.add.reduceat(rows.sum(dim=1).cpu().numpy(), starts, axis=0)
    found = [
        sums[places].sum(axis=0) / sum(items[place].length_tokens for place in places) for places in _rows_of(items)
    ]
    return np.stack(found)


def place_features(
    model: Model, items: Sequence[Encoded], batch_tokens: int
) -> list[tuple[list[Encoded], NDArray[np.float32]]]:
    """The parts of each row and the hidden states at their places: (P, D) float32, in the order of the parts."""
    found: list[Any] = [None] * len(items)
    for places, hidden, batch in _hidden_states(model, items, batch_tokens):
        states, starts = hidden.cpu().numpy(), batch.bounds.tolist()
        for place, start in zip(places, starts, strict=False):
            found[place] = states[start + np.asarray(items[place].places, dtype=np.int64)]
    return [
        ([items[place] for place in places], np.concatenate([found[place] for place in places]))
        for places in _rows_of(items)
    ]


def _hidden_states(
    model: Model, items: Sequence[Encoded], batch_tokens: int
) -> Iterator[tuple[list[int], torch.Tensor, Batch]]:
    """Run the trunk in length-sorted batches; yields places in `items`, hidden states (T, D) float32, the batch."""
    with evaluating(model):
        for places in sorted_runs([item.length_tokens for item in items], batch_tokens):
            batch = pack([[items[place]] for place in places], model.device)
            with torch.inference_mode():
                hidden = model.trunk(batch).float()
            yield places, hidden, batch
