"""Scores of entities in a text: strict, by the rules of seqeval, and word by word.

An entity is right when its type and both its bounds are (Tjong Kim Sang and De Meulder 2003, CoNLL-2003's `conlleval`;
the strict F1 of `seqeval`). Keys of a row's counts: `tp:TYPE`, `predicted:TYPE`, `gold:TYPE` of entities, and with
`word/` in front those of `classification_counts` over the BIO tags of the row's words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from tunesmith.contracts import Counts
from tunesmith.metrics.classification import AVERAGES, classification_scores, per_class_scores

Span = tuple[int, int, str]
"""First character, the one behind the last, and the type."""

WORD = "word/"


def entity_counts(
    predicted: Collection[Span], gold: Collection[Span], predicted_tags: Sequence[str], gold_tags: Sequence[str]
) -> dict[str, float]:
    """Count one row.

    Args:
        predicted: predicted entities.
        gold: the right ones.
        predicted_tags: (W,) tags of the row's words that the prediction amounts to.
        gold_tags: (W,) the right ones.

    Example:
        >>> counts = entity_counts({(0, 5, "PER")}, {(0, 5, "PER"), (9, 12, "LOC")}, ["B-PER", "O"], ["B-PER", "B-LOC"])
        >>> counts["tp:PER"], counts["gold:LOC"], counts["word/correct"], counts["word/rows"]
        (1.0, 1.0, 1.0, 2.0)
    """
    answers, truth = set(predicted), set(gold)
    counts: Counter[str] = Counter()
    for kind, spans in (("tp", answers & truth), ("predicted", answers), ("gold", truth)):
        counts.update(f"{kind}:{name}" for _, _, name in spans)
    for answer, right in zip(predicted_tags, gold_tags, strict=True):
        counts.update([f"{WORD}rows", f"{WORD}predicted:{answer}", f"{WORD}gold:{right}"])
        if answer == right:
            counts.update([f"{WORD}correct", f"{WORD}tp:{right}"])
    return {key: float(count) for key, count in sorted(counts.items())}


def entity_scores(counts: Counts, types: Sequence[str], tags: Sequence[str]) -> dict[str, float]:
    """Summed counts → entity_f1, entity_precision, entity_recall, entity_macro_f1, word_accuracy, word_macro_f1.

    Args:
        counts: sums of `entity_counts`.
        types: types of entities; one that is not among them counts all the same.
        tags: BIO tags of words.
    """
    table = per_class_scores(counts, _seen(counts, types), "multi")
    micro, macro = (row for row in list(table.values())[-AVERAGES:][:2])
    words = classification_scores(_of_words(counts), tags, "single")
    return {
        "entity_f1": micro["f1"],
        "entity_precision": micro["precision"],
        "entity_recall": micro["recall"],
        "entity_macro_f1": macro["f1"],
        "word_accuracy": words["accuracy"],
        "word_macro_f1": words["macro_f1"],
    }


def entity_tables(counts: Counts, types: Sequence[str], tags: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Summed counts → `per_class` over types of entities, strict, and `per_word_tag` over the tags of words."""
    return {
        "per_class": per_class_scores(counts, _seen(counts, types), "multi"),
        "per_word_tag": per_class_scores(_of_words(counts), tags, "single"),
    }


def _seen(counts: Counts, types: Sequence[str]) -> list[str]:
    """The types, and behind them those that only right answers hold."""
    asked = {key.removeprefix("gold:") for key in counts if key.startswith("gold:")}
    return [*types, *sorted(asked - set(types))]


def _of_words(counts: Counts) -> dict[str, float]:
    return {key.removeprefix(WORD): count for key, count in counts.items() if key.startswith(WORD)}
