"""From scores of tokens to answers: the best spans of a window, and of all windows of a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tunesmith.contracts import IGNORED, Batch
from tunesmith.tasks.question_rows import FoundAnswer, QuestionPrediction
from tunesmith.tasks.question_windows import Reading

Span = tuple[int, int]
"""First character of the context and the one behind the last."""


@dataclass(frozen=True)
class WindowAnswers:
    """What one window answers.

    Attributes:
        context: the text.
        spans: the best spans and their scores (logits of the first and the last token added), best first.
        no_answer: the score of no answer.
    """

    context: str
    spans: list[tuple[Span, float]]
    no_answer: float


def gather_slots(logits: Tensor, batch: Batch) -> Tensor:
    """Lay scores of tokens out one window a row.

    Args:
        logits: (T, 2) as the first and as the last token of the answer.
        batch: S windows.

    Returns:
        (S, P, 2) in float32: slot 0 for no answer, then the context, -inf behind its end.
    """
    items, device = batch.items, logits.device
    windows = [item.meta["reading"].window for item in items]
    counts = torch.tensor([1 + window.end - window.start for window in windows], device=device)
    first, null = (torch.tensor([item.meta[key] for item in items], device=device) for key in ("first", "null"))
    starts = batch.bounds[:-1].long().to(device)
    slots = torch.arange(int(counts.max()), device=device)
    places = (starts + first - 1)[:, None] + slots
    places = torch.where(slots == 0, (starts + null)[:, None], places).clamp_max(len(logits) - 1)
    outside = slots >= counts[:, None]  # (S, P)
    return logits[places].float().masked_fill(outside[..., None], -math.inf)


def span_loss(logits: Tensor, batch: Batch) -> tuple[Tensor, float]:
    """Cross-entropy of the first token and of the last, their mean, summed over windows (Devlin et al. 2019).

    Windows that are not asked (`UNASKED`) are counted with a loss of 0, so that a step of such alone stays finite.
    """
    slots = gather_slots(logits, batch)
    targets = torch.tensor([item.target for item in batch.items], dtype=torch.int64, device=logits.device)  # (S, 2)
    losses = nn.functional.cross_entropy(
        slots, targets, ignore_index=IGNORED, reduction="sum"
    )  # (S, P, 2): slots are the classes
    return losses / 2, float(len(batch.items))


def best_spans(logits: Tensor, batch: Batch, n_best: int, longest_tokens: int) -> list[WindowAnswers]:
    """The spans of each window that score best, found exactly.

    Args:
        logits: (T, 2) as the first and as the last token of the answer.
        batch: S windows.
        n_best: most spans a window.
        longest_tokens: longest span.
    """
    slots = gather_slots(logits.detach(), batch)
    nothing = slots[:, 0].sum(-1).tolist()
    pieces = slots.shape[1] - 1
    if pieces == 0:
        texts = [item.meta["reading"].context for item in batch.items]
        return [WindowAnswers(text, [], score) for text, score in zip(texts, nothing, strict=True)]
    longest = min(longest_tokens, pieces)
    ends = nn.functional.pad(slots[:, 1:, 1], (0, longest - 1), value=-math.inf).unfold(1, longest, 1)  # (S, P-1, L)
    scores = (slots[:, 1:, 0, None] + ends).flatten(1)
    best = scores.topk(min(n_best, scores.shape[1]), dim=1)
    found = zip(batch.items, best.values.tolist(), best.indices.tolist(), nothing, strict=True)
    return [
        WindowAnswers(item.meta["reading"].context, _spans(item.meta["reading"], values, places, longest), score)
        for item, values, places, score in found
    ]


def _spans(reading: Reading, values: Sequence[float], places: Sequence[int], longest: int) -> list[tuple[Span, float]]:
    found = []
    for value, place in zip(values, places, strict=True):
        if value == -math.inf:
            break
        first, more = divmod(place, longest)
        start, end = reading.span(first, first + more)
        if start < end:
            found.append(((start, end), value))
    return found


def join_windows(parts: Sequence[WindowAnswers], n_best: int, *, may_have_none: bool) -> QuestionPrediction:
    """The answers of one row's windows as one prediction.

    Scores of windows are compared as they are, and no answer scores what it does in the window that believes in it
    least (Devlin et al. 2018). Probabilities are a softmax over the best spans, and no answer where it may be one.

    Args:
        parts: the windows.
        n_best: most spans kept.
        may_have_none: whether the model learnt questions without an answer.
    """
    context = parts[0].context
    scores: dict[Span, float] = {}
    for part in parts:
        for span, score in part.spans:
            scores[span] = max(score, scores.get(span, -math.inf))
    ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:n_best]
    nothing = min(part.no_answer for part in parts)
    options: list[tuple[Span | None, float]] = [*ranked]
    if may_have_none or not ranked:
        options.append((None, nothing))
        options.sort(key=lambda pair: -pair[1])
    top = options[0][1]
    weights = [math.exp(score - top) for _, score in options]
    n_best_answers = [
        _found(context, span, weight / sum(weights)) for (span, _), weight in zip(options, weights, strict=True)
    ]
    gap = nothing - ranked[0][1] if may_have_none and ranked else None
    return choose(QuestionPrediction(answer="", no_answer_score=gap, n_best=n_best_answers), 0.0)


def _found(context: str, span: Span | None, probability: float) -> FoundAnswer:
    if span is None:
        return FoundAnswer(text="", probability=probability)
    return FoundAnswer(text=context[slice(*span)], start=span[0], end=span[1], probability=probability)


def choose(prediction: QuestionPrediction, threshold: float) -> QuestionPrediction:
    """Answer nothing where that scores better than the best span by more than the threshold, in logits."""
    gap = prediction.no_answer_score
    if gap is None:
        chosen = prediction.n_best[0]
    else:
        chosen = next(one for one in prediction.n_best if bool(one.text) != (gap > threshold))
    return prediction.model_copy(
        update={"answer": chosen.text, "start": chosen.start, "end": chosen.end, "probability": chosen.probability}
    )
