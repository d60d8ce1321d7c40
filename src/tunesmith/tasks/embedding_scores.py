"""How vectors are judged: by the texts that they find among all of the judged rows, or by a score of each pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith import metrics
from tunesmith.contracts import Comparison, Counts, Labels
from tunesmith.tasks.embedding_rows import LABELS, SCORED_PAIRS, TRIPLETS, Together, unit_matrix

_LONGEST = 200
"""Characters of a found text that people are shown."""
_EXACT = 1e-6
"""Of the range of scores: a smaller difference is rounding."""


@dataclass(frozen=True)
class Search:
    """What is searched for each row.

    Attributes:
        vectors: (N) of the candidates.
        names: (N) what people call them: their text, or their label.
        relevant: of each row, indices of the candidates that belong to it.
        ignored: of each row, indices of those that are left out.
    """

    vectors: Sequence[Any]
    names: Sequence[str]
    relevant: Sequence[Sequence[int]]
    ignored: Sequence[Sequence[int]]


def find_texts(predictions: Sequence[Any], golds: Sequence[Together], labels: Labels) -> list[metrics.Found]:
    """Search for each row what belongs to it, among the texts of all rows.

    Pairs: each first text is searched among all different second texts. Triplets: among all positives and negatives.
    Labelled texts: among all other rows; the same text again is left out, right or wrong.
    """
    search = _among_rows(predictions, golds) if labels.kind == LABELS else _among_partners(predictions, golds)
    queries = unit_matrix([prediction.vectors[0] for prediction in predictions])
    return metrics.rank_candidates(queries, unit_matrix(search.vectors), search.relevant, search.ignored)


def _among_rows(predictions: Sequence[Any], golds: Sequence[Together]) -> Search:
    of_label, of_text = _places(gold.label for gold in golds), _places(gold.texts[0] for gold in golds)
    return Search(
        [prediction.vectors[0] for prediction in predictions],
        [gold.label or "" for gold in golds],
        [of_label[gold.label] for gold in golds],
        [of_text[gold.texts[0]] for gold in golds],
    )


def _among_partners(predictions: Sequence[Any], golds: Sequence[Together]) -> Search:
    vectors: dict[str, Any] = {}
    partners: dict[str, list[str]] = {}
    for prediction, gold in zip(predictions, golds, strict=True):
        for text, vector in zip(gold.texts[1:], prediction.vectors[1:], strict=False):
            vectors.setdefault(text, vector)
        partners.setdefault(gold.texts[0], []).append(gold.texts[1])
    place = {text: index for index, text in enumerate(vectors)}
    relevant = [sorted({place[text] for text in partners[gold.texts[0]]}) for gold in golds]
    own = [place.get(gold.texts[0]) for gold in golds]
    ignored = [[] if one is None or one in right else [one] for one, right in zip(own, relevant, strict=True)]
    return Search(list(vectors.values()), list(vectors), relevant, ignored)


def _places(values: Any) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = {}
    for place, value in enumerate(values):
        found.setdefault(value, []).append(place)
    return found


def can_judge(golds: Sequence[Together], labels: Labels) -> list[bool]:
    """Whether each row has something to find: of labelled texts, another text of its label.

    Example:
        >>> rows = [Together((text,), label=label) for text, label in (("a", "x"), ("b", "x"), ("c", "y"), ("c", "y"))]
        >>> can_judge(rows, Labels(("x", "y"), (2, 2), LABELS))
        [True, True, False, False]
    """
    if labels.kind != LABELS:
        return [True] * len(golds)
    texts: dict[str | None, set[str]] = {}
    for gold in golds:
        texts.setdefault(gold.label, set()).add(gold.texts[0])
    return [len(texts[gold.label]) > 1 for gold in golds]


def tally_together(predictions: Sequence[Any], golds: Sequence[Together], labels: Labels) -> list[Counts]:
    """Counts of each row: of a search, or of a scored pair."""
    if not predictions:
        return []
    if labels.kind == SCORED_PAIRS:
        mean = labels.statistics["mean"]
        pairs = zip(predictions, golds, strict=True)
        return [
            metrics.number_counts(in_units(p.similarity, labels), gold.score or 0.0, center=mean) for p, gold in pairs
        ]
    counts: list[Counts] = [metrics.retrieval_counts(found) for found in find_texts(predictions, golds, labels)]
    if labels.kind != TRIPLETS:
        return counts
    return [
        {**count, "triplets": 1.0, "triplets_right": float(is_right(prediction))}
        for count, prediction in zip(counts, predictions, strict=True)
    ]


def is_right(prediction: Any) -> bool:
    """Whether the positive of a triplet is nearer than the negative; equally near is not."""
    return bool(prediction.similarity > prediction.negative_similarity + 1e-9)


def score(counts: Counts, labels: Labels) -> dict[str, float]:
    """Summed counts → scores by name."""
    if labels.kind == SCORED_PAIRS:
        return {"pearson": metrics.number_scores(counts)["pearson"]}
    found = metrics.retrieval_scores(counts)
    if labels.kind == TRIPLETS:
        found["triplet_accuracy"] = metrics.ratio(counts.get("triplets_right", 0.0), counts.get("triplets", 0.0))
    return found


def in_units(similarity: float, labels: Labels) -> float:
    """A cosine as a score: 0 and 1 stand for `low` and `high`."""
    low, high = labels.statistics["low"], labels.statistics["high"]
    return low + similarity * (high - low)


def compare_together(predictions: Sequence[Any], golds: Sequence[Together], labels: Labels) -> list[Comparison]:
    """What each row found first beside what it should have; of scored pairs the two scores.

    `error` is how many wrong texts stand before the first right one, or the difference of scores.
    """
    if not predictions:
        return []
    if labels.kind == SCORED_PAIRS:
        return [_compare_scores(p.similarity, gold, labels) for p, gold in zip(predictions, golds, strict=True)]
    search = _among_rows(predictions, golds) if labels.kind == LABELS else _among_partners(predictions, golds)
    names = list(map(shorten, search.names))
    found = find_texts(predictions, golds, labels)
    return [_compare_found(*one, names) for one in zip(found, search.relevant, golds, strict=True)]


def _compare_scores(similarity: float, gold: Together, labels: Labels) -> Comparison:
    given, right = in_units(similarity, labels), gold.score or 0.0
    error = abs(given - right)
    if error <= _EXACT * (labels.statistics["high"] - labels.statistics["low"]):
        error = 0.0
    return Comparison(error, None, (f"{given:.4g}",), (f"{right:.4g}",))


def _compare_found(found: metrics.Found, relevant: Sequence[int], gold: Together, names: Sequence[str]) -> Comparison:
    if not found.rank:  # nothing to find: it is not judged
        return Comparison(0.0, None, (), ())
    given = names[found.nearest]
    right = given if found.rank == 1 else gold.label if gold.label is not None else names[relevant[0]]
    return Comparison(found.rank - 1.0, max(0.0, min(1.0, found.nearness)), (given,), (right,))


def shorten(text: str) -> str:
    """A text as a table shows it."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
