"""Rows of texts that belong together, in four layouts; answers as vectors; right answers."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema, computed_field

from tunesmith.contracts import Column, Labels
from tunesmith.errors import DataError
from tunesmith.tasks.classification_labels import COLUMNS as CLASSIFICATION_COLUMNS
from tunesmith.tasks.classification_labels import as_number, class_name

PAIRS, SCORED_PAIRS, TRIPLETS, LABELS = "pairs", "scored_pairs", "triplets", "labels"
WANTED = {
    PAIRS: "text and text_b",
    SCORED_PAIRS: "text, text_b and score",
    TRIPLETS: "text, positive and negative",
    LABELS: "text and label",
}
"""What the rows of each layout hold."""
_CLASSES = {column.name: column.aliases for column in CLASSIFICATION_COLUMNS}
_SCORES = ("score", "similarity", "sim", "relatedness", "relatedness_score", "相似度", "分数")
COLUMNS = (
    Column("text", "text", (*_CLASSES["text"], "anchor", "sentence_a", "查询")),
    Column(
        "text_b",
        "text",
        (*_CLASSES["text_b"], "sentence_b", "paraphrase", "passage", "answer", "response", "句子2", "回答", "段落"),
        required=False,
    ),
    Column("positive", "text", ("positive", "pos", "正例"), required=False),
    Column("negative", "text", ("negative", "neg", "hard_negative", "负例"), required=False),
    Column("score", "label", _SCORES, required=False),
    Column("label", "label", tuple(name for name in _CLASSES["label"] if name not in _SCORES), required=False),
)


class EmbeddingRow(BaseModel):
    """A text, with what belongs to it or how much, where that is known."""

    model_config = ConfigDict(frozen=True)
    text: str = Field(min_length=1)
    text_b: str | None = Field(default=None, min_length=1)
    positive: str | None = Field(default=None, min_length=1)
    negative: str | None = Field(default=None, min_length=1)
    score: float | None = Field(default=None, allow_inf_nan=False)
    label: str | bool | int | float | None = None


def _as_numbers(values: Any) -> Any:
    return array("f", values) if isinstance(values, (list, tuple)) else values


Vector = Annotated[
    Any,
    PlainValidator(_as_numbers),
    PlainSerializer(lambda values: values.tolist(), return_type=list[float]),
    WithJsonSchema({"type": "array", "items": {"type": "number"}}),
]
"""(D,) float32 as `array.array`, a twelfth of a list in memory; of the TF-IDF competitor a sparse array of SciPy."""


class EmbeddingPrediction(BaseModel):
    """The answer for one row.

    Attributes:
        vectors: of each text of the row, in order; not written.
        vector: of the row's only text; None where it has several.
        similarity: cosine of the first two texts, -1 to 1; None where there is one.
        negative_similarity: cosine of the first and the third; None where there is none.
    """

    model_config = ConfigDict(frozen=True)
    vectors: tuple[Vector, ...] = Field(exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def vector(self) -> Vector | None:
        """The numbers of the only text."""
        return self.vectors[0] if len(self.vectors) == 1 else None

    @computed_field  # type: ignore[prop-decorator]
    @cached_property  # a bootstrap asks a thousand times
    def similarity(self) -> float | None:
        """Cosine of the first text and the second."""
        return cosine(self.vectors[0], self.vectors[1]) if len(self.vectors) > 1 else None

    @computed_field  # type: ignore[prop-decorator]
    @cached_property
    def negative_similarity(self) -> float | None:
        """Cosine of the first text and the third."""
        return cosine(self.vectors[0], self.vectors[2]) if len(self.vectors) > 2 else None


def cosine(one: Any, other: Any) -> float:
    """The cosine of two vectors; 0 where one has no length.

    Example:
        >>> cosine(array("f", [2.0, 0.0]), array("f", [3.0, 4.0]))
        0.6
    """
    product = unit_matrix([one]) @ unit_matrix([other]).T
    value = product.toarray() if hasattr(product, "toarray") else product
    return max(-1.0, min(1.0, float(value[0, 0])))


def unit_matrix(vectors: Sequence[Any]) -> Any:
    """(N, D) float64 rows of length 1 (or 0); sparse where the vectors are."""
    if vectors and not isinstance(vectors[0], (array, list, tuple, np.ndarray)):
        from scipy.sparse import vstack

        return vstack(vectors, format="csr")  # made with length 1
    dense = np.array([np.asarray(vector) for vector in vectors], dtype=np.float64)
    lengths = np.linalg.norm(dense, axis=-1, keepdims=True)
    return np.divide(dense, lengths, out=np.zeros_like(dense), where=lengths > 0)


@dataclass(frozen=True)
class Together:
    """The right answer of a row: its texts, and how they or others belong together.

    Attributes:
        texts: as the row has them.
        score: of a scored pair.
        label: of a labelled text.
    """

    texts: tuple[str, ...]
    score: float | None = None
    label: str | None = None


def partner_of(row: Any) -> str | None:
    """The text that belongs to the first."""
    partner: str | None = row.text_b if row.text_b is not None else row.positive
    return partner


def score_of(row: Any) -> float | None:
    """The score of a pair, which may stand in the column of labels."""
    return as_number(row.label if row.score is None else row.score)


def layout_of(row: Any, wished: str = "auto") -> str:
    """Which layout a row has: the one wished for, or the most telling one that it holds.

    Raises:
        DataError: it lacks a part, or has a label that means nothing there.

    Example:
        >>> layout_of(EmbeddingRow(text="a", text_b="b", label="4.5")), layout_of(EmbeddingRow(text="a", label="x"))
        ('scored_pairs', 'labels')
    """
    partner = partner_of(row)
    holds = {
        TRIPLETS: partner is not None and row.negative is not None,
        SCORED_PAIRS: partner is not None and score_of(row) is not None,
        PAIRS: partner is not None,
        LABELS: row.label is not None and bool(class_name(row.label)),
    }
    if wished != "auto":
        if not holds[wished]:
            raise DataError(f"the row lacks a part of {wished}: wanted {WANTED[wished]}", fix="fill it in")
        return wished
    if holds[PAIRS] and not (holds[TRIPLETS] or holds[SCORED_PAIRS]) and row.label is not None:
        raise DataError(
            f"a pair with the label {row.label!r}, which is no number",
            fix="--set task.kind=pairs where all pairs belong together, task.kind=labels to learn from text and label",
        )
    found = next((layout for layout, is_there in holds.items() if is_there), None)
    if found is None:
        raise DataError("the row says of nothing that it belongs together", fix=f"give {'; or '.join(WANTED.values())}")
    return found


def find_layout(rows: Sequence[Any], wished: str) -> Labels:
    """The layout of most rows as `Labels.kind`; names of labels, or what scores there are.

    Raises:
        DataError: no row has any, or all labels are different.
    """
    counts: Counter[str] = Counter()
    fault: DataError | None = None
    for row in rows:
        try:
            counts[layout_of(row, wished)] += 1
        except DataError as error:
            fault = fault or error
    if not counts:
        raise fault or DataError("there is no row", fix=f"give rows of {'; or '.join(WANTED.values())}")
    kind = max(counts, key=lambda layout: (counts[layout], layout))
    if kind == LABELS:
        names = Counter(class_name(row.label) for row in rows if row.label is not None)
        if max(names.values()) < 2:
            raise DataError(
                "no two rows have the same label, so nothing belongs together",
                fix="name the right column: --set data.columns.label=NAME",
            )
        ordered = tuple(sorted(name for name in names if name))
        return Labels(ordered, tuple(names[name] for name in ordered), kind)
    if kind == SCORED_PAIRS:
        scores = [score for row in rows if (score := score_of(row)) is not None]
        return Labels((), (), kind, _scale(scores))
    return Labels((), (), kind)


def _scale(scores: Sequence[float]) -> dict[str, float]:
    """What stands for the cosines 0 and 1: the lowest and the highest score, where they are no cosines themselves."""
    low, high = min(scores), max(scores)
    if low == high:
        raise DataError(
            f"all scores are {low:g}",
            fix="--set task.kind=pairs where all pairs belong together, or --set data.columns.score=NAME",
        )
    if low >= -1 and high <= 1:
        low, high = 0.0, 1.0
    mean = math.fsum(scores) / len(scores)
    return {"rows": float(len(scores)), "low": low, "high": high, "mean": mean}
