"""Text classification: one label, several labels or a number, for one text or a pair.

Sentiment, topic, intent, matching, natural-language inference, similarity.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

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
from tunesmith.errors import DataError
from tunesmith.losses import classification_loss, multi_label_loss, squared_error
from tunesmith.model import Model
from tunesmith.tasks import (
    classification_baselines,
    classification_beliefs,
    classification_cloze,
    classification_labels,
)
from tunesmith.tasks.answer_words import name_range, name_some
from tunesmith.tasks.classification_prediction import ClassificationPrediction, confusion, make_answer
from tunesmith.tasks.token_sequences import encode_texts, encode_windows


class ClassificationRow(BaseModel):
    """A text or a pair of texts, with its label where it is known."""

    model_config = ConfigDict(frozen=True)
    text: str = Field(min_length=1)
    text_b: str | None = None
    label: str | bool | int | float | list[str] | None = None


class ClassificationConfig(Section):
    """Options of text classification."""

    kind: Literal["auto", "single", "multi", "number"] = "auto"
    """One label a row, several, or a number; auto looks at the labels."""
    separator: str = Field(default="|", min_length=1)
    """Stands between the labels of a row with several, where a file cannot hold lists (CSV)."""
    pooling: Literal["standard", "first", "mean", "max"] = "standard"
    """How token vectors become one; anything but standard loads with tunesmith only."""
    long_texts: Literal["cut", "windows"] = "cut"
    """cut: the end of a text that is too long is lost; windows: all of it is read, the mean over windows answers."""
    head: Literal["standard", "mlp", "unit", "cloze"] = "standard"
    """standard: the Hugging Face head; mlp: one hidden layer; unit: a linear layer on vectors of length 1; cloze: a
    masked language model's own head finds the word of the class in a template. All but the first load with tunesmith
    only."""
    template: str = ""
    """Of head cloze: the wording, with {text} and {mask}, of pairs also {text_b}; default: a sentence on the topic."""
    words: dict[str, str | list[str]] = Field(default_factory=dict)
    """Of head cloze: class → the word or words that stand for it; default: its name."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target spread over all classes."""
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]] = "none"
    """balanced: rare classes count more, by rows / (classes · rows of the class); or a weight a class."""
    focal_gamma: float = Field(default=0.0, ge=0)
    """Focal loss (Lin et al. 2017): above 0 easy rows count less."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which one of several labels is given, after calibration."""


class TextClassification:
    """The task; see `contracts.Task` for what each method promises."""

    name: ClassVar[str] = "text-classification"
    title: ClassVar[str] = "text classification"
    Row: ClassVar[type[BaseModel]] = ClassificationRow
    Prediction: ClassVar[type[BaseModel]] = ClassificationPrediction
    samples: ClassVar[Samples] = {
        "en": {
            "text": "The room was clean, but breakfast came late and the coffee was cold.",
            "text_b": "Breakfast was late.",
        },
        "zh": {"text": "房间很干净，但是早餐来得晚，咖啡也凉了。", "text_b": "早餐晚了。"},
    }
    Config: ClassVar[type[BaseModel]] = ClassificationConfig
    better: ClassVar[Literal["max", "min"]] = "max"
    tags: ClassVar[Tags] = Tags()
    columns: ClassVar[tuple[Column, ...]] = classification_labels.COLUMNS

    def __init__(self, config: ClassificationConfig) -> None:
        self.config = config
        if self._is_cloze:
            classification_cloze.check_options(config)

    @property
    def _is_cloze(self) -> bool:
        return self.config.head == "cloze"

    def headline(self, labels: Labels) -> str:
        """accuracy for one label, macro_f1 for several, spearman for numbers."""
        return {"single": "accuracy", "multi": "macro_f1", "number": "spearman"}[labels.kind]

    moves_places: ClassVar[bool] = False

    def editable(self, row: Any) -> list[Editable]:
        """Its text, or both of a pair."""
        return [Editable(name, text) for name in ("text", "text_b") if (text := getattr(row, name))]

    def edited_fields(self, row: Any, changed: Sequence[Editable]) -> dict[str, Any]:
        """The texts."""
        return {text.field: text.text for text in changed}

    def labels(self, rows: Sequence[Any]) -> Labels:
        """Find the classes (in order) or the statistics of a number."""
        given = [row.label for row in rows]
        labels = classification_labels.find_labels(given, self.config.kind, self.config.separator)
        if self._is_cloze:
            classification_cloze.check_labels(labels, self.config.words)
        return labels

    def describe_labels(self, labels: Labels) -> str:
        """The answers, for the plan."""
        if labels.kind == "number":
            return name_range(labels)
        return name_some(labels, "labels, several a row" if labels.kind == "multi" else "classes")

    def head(self, labels: Labels) -> HeadSpec:
        """A sequence head with one output a class, or one for a number; of a cloze that of the language model."""
        if self._is_cloze:
            return classification_cloze.HEAD
        problem = {"single": "single_label", "multi": "multi_label"}.get(labels.kind)
        return HeadSpec(
            kind="sequence",
            names=labels.names,
            problem=f"{problem}_classification" if problem else "regression",
            pooling=self.config.pooling,
            form=self.config.head,
        )

    def encode(self, rows: Sequence[Any], context: Context, first_row: int = 0) -> list[Encoded]:
        """One sequence a row; a pair stands in one sequence with the tokenizer's separator."""
        texts = [self.texts(row) for row in rows]
        targets = [None if row.label is None else self._target(row.label, context.labels) for row in rows]
        if self._is_cloze:
            return classification_cloze.encode(texts, targets, context, first_row, self.config)
        encode = encode_windows if self.config.long_texts == "windows" else encode_texts
        return encode(texts, targets, context, first_row)

    def _target(self, label: Any, labels: Labels) -> Any:
        answer = self._answer(label, labels)
        if labels.kind == "number":
            return answer
        chosen = [answer] if labels.kind == "single" else answer
        unknown = [name for name in chosen if name not in labels.names]
        if unknown:
            raise DataError(
                f"label {unknown[0]!r} was not among the training labels",
                fix=f"use one of: {', '.join(labels.names[:20])}",
            )
        places = tuple(map(labels.names.index, chosen))
        return places[0] if labels.kind == "single" else places

    def _answer(self, label: Any, labels: Labels) -> Any:
        return classification_labels.answer_of(label, labels, self.config.separator)

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Nothing is masked."""
        return item

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Each row alone."""
        return [[index] for index in range(len(items))]

    def prepare_head(self, model: Model, labels: Labels) -> None:
        """Where the head starts.

        Numbers are learnt as differences from the mean of the training answers, in their standard deviations. Each of
        several labels starts at the log-odds of how often it is given (Lin et al. 2017, section 4.1): rare labels would
        cost many steps at a half.
        """
        if labels.kind == "number":
            model.set_units(_deviation(labels), labels.statistics["mean"])
        elif labels.kind == "multi" and "rows" in labels.statistics:
            model.start_from(classification_labels.log_odds(labels))

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """logits (S, C) and the pooled vectors (S, D); of a cloze the logits alone, one row an item."""
        if self._is_cloze:
            return classification_cloze.forward(model, batch)
        vectors = model.pool(model.trunk(batch), batch)
        return {"logits": model.sequence_logits(vectors), "vectors": vectors}

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[torch.Tensor, float]:
        """Cross-entropy, binary cross-entropy over the classes, or squared error; summed over rows.

        The error of a number is in standard deviations of the training answers: 1 is what their mean would cost.
        """
        logits, targets = outputs["logits"], [item.target for item in batch.items]
        if labels.kind == "number":
            deviation = _deviation(labels)
            wanted = torch.tensor(targets, device=logits.device) / deviation  # (S,)
            return squared_error(logits[:, 0].float() / deviation, wanted)
        weights = self._class_weights(labels, logits.device)
        smoothing, gamma = self.config.label_smoothing, self.config.focal_gamma
        if labels.kind == "single":
            wanted = torch.tensor(targets, dtype=torch.int64, device=logits.device)  # (S,)
            return classification_loss(logits, wanted, class_weights=weights, smoothing=smoothing, focal_gamma=gamma)
        several = torch.zeros(logits.shape, device=logits.device)  # (S, C)
        for place, chosen in enumerate(targets):
            several[place, list(chosen)] = 1.0
        return multi_label_loss(logits, several, class_weights=weights, smoothing=smoothing, focal_gamma=gamma)

    def _class_weights(self, labels: Labels, device: torch.device) -> torch.Tensor | None:
        wished = self.config.class_weights
        if wished == "none":
            return None
        weights = classification_labels.class_weights(wished, labels)
        return torch.tensor(weights, dtype=torch.float32, device=device)  # (C,)

    def decode(self, outputs: Outputs, batch: Batch, labels: Labels) -> list[Any]:
        """Probabilities (or the number) of each part."""
        logits = outputs["logits"].float()
        if labels.kind == "number":
            return list(logits.tolist())
        probabilities = logits.softmax(-1) if labels.kind == "single" else logits.sigmoid()
        return list(probabilities.tolist())

    def join(self, parts: Sequence[Any], labels: Labels) -> ClassificationPrediction:
        """The mean over a row's windows, as an answer."""
        values = [sum(column) / len(parts) for column in zip(*parts, strict=True)]
        if labels.kind == "number":
            return ClassificationPrediction(label=values[0])
        return self._prediction(dict(zip(labels.names, values, strict=True)), labels.kind)

    def _prediction(self, probabilities: dict[str, float], kind: str) -> ClassificationPrediction:
        if kind == "multi":
            chosen = [name for name, value in probabilities.items() if value >= self.config.threshold]
            return ClassificationPrediction(label=chosen, probabilities=probabilities)
        best = max(probabilities, key=probabilities.__getitem__)
        return ClassificationPrediction(label=best, probability=probabilities[best], probabilities=probabilities)

    def beliefs(self, predictions: Sequence[Any], golds: Sequence[Any] | None, labels: Labels) -> Beliefs | None:
        """Classes of which one is right, or labels that each may be; None for numbers."""
        return classification_beliefs.find_beliefs(predictions, golds, labels)

    def revise(self, predictions: Sequence[Any], probabilities: Any, labels: Labels) -> list[Any]:
        """The likeliest class, of equals the one that was given; or the labels that reach `task.threshold`."""
        if labels.kind == "multi":
            rows = probabilities.reshape(len(predictions), -1).tolist()
            return [self._prediction(dict(zip(labels.names, row, strict=True)), "multi") for row in rows]
        return classification_beliefs.revise_classes(predictions, probabilities, labels)

    def withhold(self, prediction: Any, threshold: float) -> Any:
        """`abstained` says whether the answer is less sure."""
        if prediction.probabilities is None:
            return prediction
        confidence = classification_beliefs.confidence_of(prediction)
        return prediction.model_copy(update={"abstained": confidence < threshold})

    def gold(self, row: Any, labels: Labels) -> Any:
        """Class name, list of names, or number."""
        return self._answer(row.label, labels)

    def texts(self, row: Any) -> tuple[str, ...]:
        """The text or the pair."""
        return (row.text,) if row.text_b is None else (row.text, row.text_b)

    def shared_texts(self, row: Any) -> tuple[str, ...]:
        """All texts of the row."""
        return self.texts(row)

    def answers(self, row: Any, labels: Labels) -> tuple[str, ...]:
        """The class or classes of a row; a number has no name. Raises DataError for a label of another kind."""
        if row.label is None:
            return ()
        answer = self._answer(row.label, labels)
        if labels.kind == "number":
            return ()
        return tuple(answer) if labels.kind == "multi" else (answer,)

    def stratum(self, row: Any, labels: Labels) -> str:
        """The label, of several the rarest; for numbers the tenth of their range."""
        answer = self._answer(row.label, labels)
        if labels.kind == "number":
            low, high = labels.statistics["low"], labels.statistics["high"]
            return str(int(10 * (answer - low) / ((high - low) or 1.0)))
        if labels.kind == "single":
            return str(answer)
        counts = dict(zip(labels.names, labels.counts, strict=True))
        return min(answer, key=lambda name: (counts.get(name, 0), name), default="")

    def compare(self, prediction: Any, gold: Any, labels: Labels) -> Comparison:
        """Wrong names are counted, of a number the distance; see `contracts.Task`."""
        return classification_labels.compare(prediction.label, prediction.probabilities, gold, labels)

    def tally(self, prediction: Any, gold: Any, labels: Labels) -> Counts:
        """Counts of one row; see `metrics`."""
        if labels.kind == "number":
            return metrics.number_counts(prediction.label, gold, center=labels.statistics["mean"])
        return metrics.classification_counts(prediction.label, gold)

    def score(self, counts: Counts, labels: Labels) -> dict[str, float]:
        """accuracy, macro_f1, matthews … or pearson, rmse …"""
        if labels.kind == "number":
            return metrics.number_scores(counts)
        return metrics.classification_scores(counts, labels.names, "multi" if labels.kind == "multi" else "single")

    def score_rows(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> dict[str, float]:
        """spearman, for numbers."""
        if labels.kind != "number":
            return {}
        return {"spearman": metrics.spearman([prediction.label for prediction in predictions], golds)}

    def tables(self, counts: Counts, labels: Labels) -> dict[str, dict[str, dict[str, float]]]:
        """Precision, recall, F1 and support of each class."""
        if labels.kind == "number":
            return {}
        kind: Literal["multi", "single"] = "multi" if labels.kind == "multi" else "single"
        return {"per_class": metrics.per_class_scores(counts, labels.names, kind)}

    def confusion(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[list[int]] | None:
        """Rows = right answer, columns = prediction; only for one label a row.

        A right answer that the model never learnt has no row; it counts as wrong in every score.
        """
        return confusion(predictions, golds, labels) if labels.kind == "single" else None

    def baselines(self, labels: Labels) -> list[Baseline]:
        """Majority, TF-IDF + logistic regression, and a linear probe of the untouched trunk."""
        kinds = (
            classification_baselines.Majority,
            classification_baselines.TfidfLogistic,
            classification_baselines.FrozenProbe,
        )
        return [
            kind(labels.kind, self.texts, lambda row: self._answer(row.label, labels), make_answer) for kind in kinds
        ]


def _deviation(labels: Labels) -> float:
    return labels.statistics["deviation"] or 1.0
