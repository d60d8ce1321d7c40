"""Relation extraction: which relation holds between two entities of a text, its direction included.

The entities are marked by added tokens; the vectors at the two opening markers, side by side, are what the head reads
(Baldini Soares et al. 2019). Judged as SemEval-2010 Task 8 is, and by accuracy.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field

from tunesmith import metrics
from tunesmith.config import Section
from tunesmith.contracts import (
    Baseline,
    Batch,
    Beliefs,
    Column,
    Comparison,
    Context,
    Counts,
    Editable,
    Encoded,
    Groups,
    HeadSpec,
    Labels,
    Outputs,
    Samples,
    Tags,
)
from tunesmith.errors import ConfigError, DataError, nearest
from tunesmith.losses import classification_loss
from tunesmith.model import Model
from tunesmith.tasks import (
    classification_beliefs,
    classification_labels,
    classification_prediction,
    relation_baselines,
    relation_markers,
    relation_rows,
)
from tunesmith.tasks.answer_words import name_some
from tunesmith.tasks.classification_prediction import ClassificationPrediction

NO_RELATION = ("other", "no_relation", "unknown", "none", "na", "无", "无关系", "未知")
"""What data sets call the class that means no relation, in lower case, most telling first."""


class RelationConfig(Section):
    """Options of relation extraction."""

    pooling: Literal["entities", "standard"] = "entities"
    """entities: the vectors at both opening markers, loads with tunesmith only; standard: what Hugging Face reads."""
    head: Literal["standard", "mlp"] = "standard"
    """standard: one linear layer; mlp: one hidden layer, loads with tunesmith only."""
    no_relation: str = Field(default="auto", min_length=1)
    """The label that means no relation; auto: Other, no_relation, unknown, none or NA, if there is one; off: none."""
    masked: Literal["names", "kept"] = "names"
    """Of an entity that the text masks (###): names: its name is put back; kept: the model reads the mask."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target spread over all classes."""
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]] = "none"
    """balanced: rare classes count more, by rows / (classes · rows of the class); or a weight a class."""


class RelationExtraction:
    """The task; see `contracts.Task` for what each method promises."""

    name: ClassVar[str] = "relation-extraction"
    title: ClassVar[str] = "relation extraction"
    Row: ClassVar[type[BaseModel]] = relation_rows.RelationRow
    Prediction: ClassVar[type[BaseModel]] = ClassificationPrediction
    Config: ClassVar[type[BaseModel]] = RelationConfig
    better: ClassVar[Literal["max", "min"]] = "max"
    tags: ClassVar[Tags] = Tags()
    columns: ClassVar[tuple[Column, ...]] = relation_rows.COLUMNS
    samples: ClassVar[Samples] = {
        "en": {"text": "The <e1>storm</e1> caused a <e2>flood</e2>."},
        "zh": {"text": "<e1>暴雨</e1>引发了<e2>洪水</e2>。"},
    }

    def __init__(self, config: RelationConfig) -> None:
        self.config = config

    moves_places: ClassVar[bool] = True

    def editable(self, row: Any) -> list[Editable]:
        """Its text, but for the two entities."""
        return [Editable("text", row.text, row.places)]

    def edited_fields(self, row: Any, changed: Sequence[Editable]) -> dict[str, Any]:
        """The text, and where head and tail stand now."""
        (text,) = changed
        head, tail = text.kept
        return {"text": text.text, "head_span": list(head), "tail_span": list(tail)}

    def headline(self, labels: Labels) -> str:
        """relation_f1: the official score of SemEval-2010 Task 8."""
        return "relation_f1"

    def labels(self, rows: Sequence[Any]) -> Labels:
        """Find the relations."""
        found = classification_labels.find_labels([row.label for row in rows], "single", "|")
        self.no_relation(found)
        return found

    def no_relation(self, labels: Labels) -> str | None:
        """The label that means no relation; None where there is none.

        Raises:
            ConfigError: the one that was named is no label.
        """
        wished = self.config.no_relation
        if wished == "off":
            return None
        if wished != "auto":
            if wished not in labels.names:
                raise ConfigError(f"task.no_relation is {wished!r}, which is no label: {nearest(wished, labels.names)}")
            return wished
        known = {name.casefold(): name for name in labels.names}
        return next((known[name] for name in NO_RELATION if name in known), None)

    def describe_labels(self, labels: Labels) -> str:
        """The answers, for the plan."""
        return name_some(labels, "relations")

    def head(self, labels: Labels) -> HeadSpec:
        """A sequence head with one output a label, which reads two vectors or the standard one."""
        of_entities = self.config.pooling == "entities"
        return HeadSpec(
            kind="sequence",
            names=labels.names,
            problem="single_label_classification",
            pooling="places" if of_entities else "standard",
            form=self.config.head,
            vectors=2 if of_entities else 1,
            added_tokens=dict(relation_markers.MARKERS),
        )

    def encode(self, rows: Sequence[Any], context: Context, first_row: int = 0) -> list[Encoded]:
        """One sequence a row with four markers in it; what is too long is cut around the entities."""
        marked = [relation_markers.mark(row, self.config.masked) for row in rows]
        targets = [None if row.label is None else self._target(row.label, context.labels) for row in rows]
        return relation_markers.encode_marked(marked, targets, context, first_row)

    def _target(self, label: Any, labels: Labels) -> int:
        answer = self._answer(label, labels)
        if answer not in labels.names:
            known = ", ".join(labels.names[:20])
            raise DataError(f"label {answer!r} was not among the training labels", fix=f"use one of: {known}")
        return labels.names.index(answer)

    def _answer(self, label: Any, labels: Labels) -> str:
        return str(classification_labels.answer_of(label, labels, "|"))

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Nothing is masked."""
        return item

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Each row alone."""
        return [[index] for index in range(len(items))]

    def prepare_head(self, model: Model, labels: Labels) -> None:
        """Nothing to set up."""

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """logits (S, C) and what the head reads: (S, 2D), or (S, D) with standard pooling."""
        hidden = model.trunk(batch)
        if self.config.pooling == "standard":
            vectors = model.pool(hidden, batch)
        else:
            vectors = relation_markers.entity_vectors(hidden, batch, is_causal=model.trunk_kind == "decoder")
        return {"logits": model.sequence_logits(vectors), "vectors": vectors}

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[torch.Tensor, float]:
        """Cross-entropy, summed over rows."""
        logits = outputs["logits"]
        wanted = torch.tensor([item.target for item in batch.items], dtype=torch.int64, device=logits.device)  # (S,)
        weights = None
        if self.config.class_weights != "none":
            weights = torch.tensor(classification_labels.class_weights(self.config.class_weights, labels))  # (C,)
        return classification_loss(logits, wanted, class_weights=weights, smoothing=self.config.label_smoothing)

    def decode(self, outputs: Outputs, batch: Batch, labels: Labels) -> list[Any]:
        """Probabilities of each row."""
        return list(outputs["logits"].float().softmax(-1).tolist())

    def join(self, parts: Sequence[Any], labels: Labels) -> ClassificationPrediction:
        """The likeliest relation; a row has one part."""
        probabilities = dict(zip(labels.names, parts[0], strict=True))
        return classification_prediction.make_answer(max(probabilities, key=probabilities.__getitem__), probabilities)

    def beliefs(self, predictions: Sequence[Any], golds: Sequence[Any] | None, labels: Labels) -> Beliefs | None:
        """Labels of which one is right."""
        return classification_beliefs.find_beliefs(predictions, golds, labels)

    def revise(self, predictions: Sequence[Any], probabilities: Any, labels: Labels) -> list[Any]:
        """The likeliest label, of equals the one that was given."""
        return classification_beliefs.revise_classes(predictions, probabilities, labels)

    def withhold(self, prediction: Any, threshold: float) -> Any:
        """`abstained` says whether the answer is less sure."""
        confidence = classification_beliefs.confidence_of(prediction)
        return prediction.model_copy(update={"abstained": confidence < threshold})

    def texts(self, row: Any) -> tuple[str, ...]:
        """The text with its entities marked: two pairs of entities in one sentence are two different questions."""
        return (relation_markers.mark(row, self.config.masked).text,)

    def shared_texts(self, row: Any) -> tuple[str, ...]:
        """The text without its marks: every pair of its entities is a row."""
        return (row.text,)

    def answers(self, row: Any, labels: Labels) -> tuple[str, ...]:
        """The label of a row."""
        return () if row.label is None else (self._answer(row.label, labels),)

    def stratum(self, row: Any, labels: Labels) -> str:
        """The label."""
        return self._answer(row.label, labels)

    def gold(self, row: Any, labels: Labels) -> str:
        """The label."""
        return self._answer(row.label, labels)

    def compare(self, prediction: Any, gold: Any, labels: Labels) -> Comparison:
        """Right or wrong; see `contracts.Task`."""
        return classification_labels.compare(prediction.label, prediction.probabilities, gold, labels)

    def tally(self, prediction: Any, gold: Any, labels: Labels) -> Counts:
        """Counts of one row; see `metrics`."""
        return metrics.classification_counts(prediction.label, gold)

    def score(self, counts: Counts, labels: Labels) -> dict[str, float]:
        """relation_f1, relation_precision, relation_recall, relation_micro_f1, and those of classification."""
        of_relations = metrics.relation_scores(counts, labels.names, self.no_relation(labels))
        return {**of_relations, **metrics.classification_scores(counts, labels.names, "single")}

    def score_rows(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> dict[str, float]:
        """None: every score is made of sums."""
        return {}

    def tables(self, counts: Counts, labels: Labels) -> dict[str, dict[str, dict[str, float]]]:
        """Labels one by one, and relations over both directions without the class that means none."""
        return {
            "per_class": metrics.per_class_scores(counts, labels.names, "single"),
            "per_relation": metrics.relation_table(counts, labels.names, self.no_relation(labels)),
        }

    def confusion(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[list[int]] | None:
        """Rows = right answer, columns = prediction."""
        return classification_prediction.confusion(predictions, golds, labels)

    def baselines(self, labels: Labels) -> list[Baseline]:
        """Majority, TF-IDF + linear model of the parts of the text, and a linear probe of the untouched trunk."""
        return relation_baselines.make_baselines(lambda row: self._answer(row.label, labels))
