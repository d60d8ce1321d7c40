"""Multiple choice: which one of the texts offered answers a question. Exams, common sense, endings of stories.

Each choice is read as a pair with the question, a context in front of it; each gets one score, and a softmax over the
choices of a row says how likely each is. Rows may have different numbers of choices.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from tunesmith.config import Section
from tunesmith.contracts import (
    Baseline,
    Batch,
    Beliefs,
    Column,
    Comparison,
    Context,
    Counts,
    Encoded,
    Groups,
    HeadSpec,
    Labels,
    Outputs,
    Samples,
    Tags,
)
from tunesmith.losses import choice_loss
from tunesmith.metrics import ratio
from tunesmith.model import Model
from tunesmith.tasks import choice_baselines, choice_beliefs
from tunesmith.tasks.choice_labels import ONE, find_kind, letter_of, read_as, read_one
from tunesmith.tasks.choice_sequences import count_choices, encode_choices, scores_by_item

Text = Annotated[str, Field(min_length=1)]
_LABEL = (
    *("label", "answer", "answerkey", "correct", "correct_answer", "correct_option", "gold", "key", "target", "cop"),
    *("答案", "正确答案", "标签"),
)


class ChoiceRow(BaseModel):
    """A question and its choices, with the right one where it is known."""

    model_config = ConfigDict(frozen=True)
    question: Text
    choices: list[Text] = Field(min_length=2)
    context: str | None = None
    label: str | int | float | None = None


class ChoicePrediction(BaseModel):
    """The answer for one row.

    Attributes:
        choice: place of the choice, from 0.
        text: the choice.
        probability: that it is the right one.
        probabilities: of every choice, in their order.
        abstained: the model is less sure than was asked for; None where nothing was asked.
    """

    model_config = ConfigDict(frozen=True)
    choice: int
    text: str
    probability: float | None = None
    probabilities: list[float] | None = None
    abstained: bool | None = None


class ChoiceConfig(Section):
    """Options of multiple choice."""

    kind: Literal["auto", "letters", "indices", "numbers", "texts"] = "auto"
    """How a label names a choice: A, B …; a place from 0 on; a place from 1 on; its text. auto looks at the labels."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target spread over all choices of a row."""


@dataclass(frozen=True)
class RightChoice:
    """The right answer of a row: place and text."""

    choice: int
    text: str


class MultipleChoice:
    """The task; see `contracts.Task` for what each method promises."""

    name: ClassVar[str] = "multiple-choice"
    title: ClassVar[str] = "multiple choice"
    Row: ClassVar[type[BaseModel]] = ChoiceRow
    Prediction: ClassVar[type[BaseModel]] = ChoicePrediction
    samples: ClassVar[Samples] = {
        "en": {"question": "What do bees make?", "choices": ["honey", "milk", "wool"]},
        "zh": {"question": "蜜蜂酿什么？", "choices": ["蜂蜜", "牛奶", "羊毛"]},
    }
    Config: ClassVar[type[BaseModel]] = ChoiceConfig
    better: ClassVar[Literal["max", "min"]] = "max"
    tags: ClassVar[Tags] = Tags(trunk=frozenset({"encoder"}))
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "question",
            "text",
            (
                "question",
                "query",
                "prompt",
                "stem",
                "sentence",
                "sent2",
                "ctx",
                "goal",
                "premise",
                "问题",
                "题目",
                "题干",
            ),
        ),
        Column(
            "choices",
            "text",
            ("choices", "options", "answers", "endings", "candidates", "alternatives", "选项"),
            holds="texts",
            stems=("choice", "option", "answer", "ending", "candidate", "alternative", "sol", "op", "选项", "答案", ""),
        ),
        Column(
            "context",
            "text",
            ("context", "passage", "article", "paragraph", "story", "background", "sent1", "文章", "背景", "材料"),
            required=False,
        ),
        Column("label", "label", _LABEL),
    )

    def __init__(self, config: ChoiceConfig) -> None:
        self.config = config

    def headline(self, labels: Labels) -> str:
        """The share of rows whose right choice is given."""
        return "accuracy"

    def labels(self, rows: Sequence[Any]) -> Labels:
        """Find how labels name a choice; places are no names, so there are none."""
        readings = [read_one(row.label, row.choices) for row in rows if row.label is not None]
        return Labels((), (), find_kind(readings, ONE, self.config.kind, setting="task.kind"))

    def describe_labels(self, labels: Labels) -> str:
        """The answers, for the plan."""
        return f"right answers given as {labels.kind}"

    def head(self, labels: Labels) -> HeadSpec:
        """Hugging Face's multiple choice: one score a sequence."""
        return HeadSpec(kind="multiple_choice", names=())

    def encode(self, rows: Sequence[Any], context: Context, first_row: int = 0) -> list[Encoded]:
        """One sequence a choice; the row is their group."""
        asked = [(row.context or "", row.question) for row in rows]
        targets = [None if row.label is None else self._place(row, context.labels) for row in rows]
        return encode_choices(asked, [row.choices for row in rows], targets, context, first_row)

    def _place(self, row: Any, labels: Labels) -> int:
        readings = read_one(row.label, row.choices)
        return int(read_as(readings, ONE, labels.kind, row.label, len(row.choices)))

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Nothing is masked."""
        return item

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Each row alone: its choices stand in one item."""
        return [[index] for index in range(len(items))]

    def prepare_head(self, model: Model, labels: Labels) -> None:
        """Nothing: a softmax does not feel where scores start."""

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """logits (S, 1), one a choice."""
        return {"logits": model.sequence_logits(model.pool(model.trunk(batch), batch))}

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[torch.Tensor, float]:
        """Cross-entropy of the right choice, summed over rows."""
        rights = [(item.target,) for item in batch.items]
        scores = outputs["logits"][:, 0]
        return choice_loss(scores, count_choices(batch), rights, smoothing=self.config.label_smoothing)

    def decode(self, outputs: Outputs, batch: Batch, labels: Labels) -> list[Any]:
        """The choices of each row and their probabilities."""
        scores = scores_by_item(outputs["logits"], batch)
        return [(item.meta["choices"], own.softmax(0).tolist()) for item, own in zip(batch.items, scores, strict=True)]

    def join(self, parts: Sequence[Any], labels: Labels) -> ChoicePrediction:
        """The likeliest choice."""
        choices, shares = parts[0]
        return _prediction(choices, shares)

    def beliefs(self, predictions: Sequence[Any], golds: Sequence[Any] | None, labels: Labels) -> Beliefs | None:
        """Choices of which exactly one is right."""
        shares, chosen = [p.probabilities for p in predictions], [p.choice for p in predictions]
        if golds is None:
            return choice_beliefs.find_beliefs(shares, chosen, None, None)
        rights = [_is_right(p, gold) for p, gold in zip(predictions, golds, strict=True)]
        return choice_beliefs.find_beliefs(shares, chosen, [gold.choice for gold in golds], rights)

    def revise(self, predictions: Sequence[Any], probabilities: Any, labels: Labels) -> list[Any]:
        """The same choices with other probabilities."""
        shares = choice_beliefs.shares_of(probabilities, [len(p.probabilities) for p in predictions])
        return [
            prediction.model_copy(update={"probability": own[prediction.choice], "probabilities": own})
            for prediction, own in zip(predictions, shares, strict=True)
        ]

    def withhold(self, prediction: Any, threshold: float) -> Any:
        """`abstained` says whether the answer is less sure."""
        return prediction.model_copy(update={"abstained": prediction.probability < threshold})

    def texts(self, row: Any) -> tuple[str, ...]:
        """Context, question and choices."""
        return (*((row.context,) if row.context else ()), row.question, *row.choices)

    def shared_texts(self, row: Any) -> tuple[str, ...]:
        """The context, or the question where there is none."""
        return (row.context or row.question,)

    def answers(self, row: Any, labels: Labels) -> tuple[str, ...]:
        """None: what is right is a text of the row. Raises DataError for a label that names no choice."""
        if row.label is not None:
            self._place(row, labels)
        return ()

    def stratum(self, row: Any, labels: Labels) -> str:
        """The letter of the right choice."""
        return letter_of(self._place(row, labels))

    def gold(self, row: Any, labels: Labels) -> RightChoice:
        """The right choice."""
        place = self._place(row, labels)
        return RightChoice(place, row.choices[place])

    def compare(self, prediction: Any, gold: Any, labels: Labels) -> Comparison:
        """Right or wrong; see `contracts.Task`."""
        wrong = not _is_right(prediction, gold)
        given, right = ((f"{letter_of(one.choice)}. {one.text}",) for one in (prediction, gold))
        return Comparison(float(wrong), prediction.probability if wrong else None, given, right)

    def tally(self, prediction: Any, gold: Any, labels: Labels) -> Counts:
        """Rows, and those that are right."""
        return {"rows": 1.0, "correct": float(_is_right(prediction, gold))}

    def score(self, counts: Counts, labels: Labels) -> dict[str, float]:
        """The accuracy."""
        return {"accuracy": ratio(counts.get("correct", 0.0), counts.get("rows", 0.0))}

    def score_rows(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> dict[str, float]:
        """None: the score is made of sums."""
        return {}

    def tables(self, counts: Counts, labels: Labels) -> dict[str, dict[str, dict[str, float]]]:
        """None: places are no classes."""
        return {}

    def confusion(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[list[int]] | None:
        """None: places are no classes."""
        return None

    def baselines(self, labels: Labels) -> list[Baseline]:
        """The usual place, the longest choice, shared words, and the untouched trunk."""
        parts = choice_baselines.Parts(
            lambda row: f"{row.context} {row.question}" if row.context else row.question,
            lambda row: row.choices,
            lambda row: (self._place(row, labels),),
            lambda row, scores: ChoicePrediction(choice=_best(scores), text=row.choices[_best(scores)]),
        )
        return [kind(parts) for kind in choice_baselines.BASELINES]


def _prediction(choices: Sequence[str], shares: list[float]) -> ChoicePrediction:
    best = _best(shares)
    return ChoicePrediction(choice=best, text=choices[best], probability=shares[best], probabilities=shares)


def _best(scores: Sequence[float]) -> int:
    """The place of the highest score; of equal ones the first."""
    return max(range(len(scores)), key=scores.__getitem__)


def _is_right(prediction: Any, gold: Any) -> bool:
    return bool(prediction.choice == gold.choice and prediction.text == gold.text)
