"""Answer selection: texts that may answer a question, ranked; several of them may be right, or none.

Each candidate is read as a pair with the question and gets one score (a cross-encoder). Learnt is a softmax over the
candidates of a row, or a yes or no a candidate.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
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
    Encoded,
    Groups,
    HeadSpec,
    Labels,
    Outputs,
    Samples,
    Tags,
)
from tunesmith.errors import DataError
from tunesmith.losses import choice_loss, multi_label_loss
from tunesmith.model import Model
from tunesmith.tasks import choice_baselines
from tunesmith.tasks.choice_labels import SEVERAL, find_kind, read_as, read_several
from tunesmith.tasks.choice_sequences import count_choices, encode_choices, scores_by_item

Text = Annotated[str, Field(min_length=1)]
OF_FIRST = ("none", "temperature", "platt")
"""How the probability that the first candidate is right may be changed; the ranking stays."""


class CandidatesRow(BaseModel):
    """A question and its candidates, with those that are right where they are known."""

    model_config = ConfigDict(frozen=True)
    question: Text
    candidates: list[Text] = Field(min_length=1)
    labels: list[bool | int | float | str] | bool | int | float | str | None = None


class RankedCandidate(BaseModel):
    """A candidate in its rank.

    Attributes:
        candidate: its place in the row, from 0.
        text: as it stands.
        score: its share of the softmax over the row's candidates, or (pointwise) its own probability.
    """

    model_config = ConfigDict(frozen=True)
    candidate: int
    text: str
    score: float | None = None


class RankingPrediction(BaseModel):
    """The answer for one row.

    Attributes:
        answer: the text of the first candidate.
        ranking: all candidates, best one first.
        probability: that the first candidate is right; None where a share of the softmax has nothing to say of it,
            since it is the only one.
        abstained: the model is less sure than was asked for; None where nothing was asked.
    """

    model_config = ConfigDict(frozen=True)
    answer: str
    ranking: list[RankedCandidate] = Field(min_length=1)
    probability: float | None = None
    abstained: bool | None = None


class SelectionConfig(Section):
    """Options of answer selection."""

    kind: Literal["auto", "flags", "indices", "texts"] = "auto"
    """How labels name candidates: a 0 or 1 for each; places from 0 on; their texts. auto looks at the labels."""
    loss: Literal["listwise", "pointwise"] = "listwise"
    """listwise: a softmax over the candidates of a question; pointwise: each is right or wrong by itself."""


@dataclass(frozen=True)
class RightCandidates:
    """The right answer of a row: places of the right candidates, and the texts of all."""

    places: tuple[int, ...]
    texts: tuple[str, ...]

    def holds(self, found: Any) -> bool:
        """Whether a ranked candidate is one of the right ones."""
        return found.candidate in self.places and self.texts[found.candidate] == found.text


class AnswerSelection:
    """The task; see `contracts.Task` for what each method promises."""

    name: ClassVar[str] = "answer-selection"
    title: ClassVar[str] = "answer selection"
    Row: ClassVar[type[BaseModel]] = CandidatesRow
    Prediction: ClassVar[type[BaseModel]] = RankingPrediction
    samples: ClassVar[Samples] = {
        "en": {"question": "What do bees make?", "candidates": ["Sheep give wool.", "Bees make honey."]},
        "zh": {"question": "蜜蜂酿什么？", "candidates": ["绵羊产羊毛。", "蜜蜂酿蜂蜜。"]},
    }
    Config: ClassVar[type[BaseModel]] = SelectionConfig
    better: ClassVar[Literal["max", "min"]] = "max"
    tags: ClassVar[Tags] = Tags()
    columns: ClassVar[tuple[Column, ...]] = (
        Column("question", "text", ("question", "query", "q", "prompt", "问题", "题目", "查询")),
        Column(
            "candidates",
            "text",
            ("candidates", "answers", "passages", "sentences", "documents", "choices", "候选", "候选答案"),
            holds="texts",
            stems=("candidate", "answer", "passage", "sentence", "document", "choice", "候选", "答案"),
            single=("candidate", "answer", "passage", "sentence", "document", "text", "答案", "回答", "句子"),
        ),
        Column(
            "labels",
            "label",
            (
                "labels",
                "label",
                "right",
                "correct",
                "relevant",
                "relevance",
                "gold",
                "target",
                "标签",
                "正确答案",
                "相关",
            ),
        ),
    )

    def __init__(self, config: SelectionConfig) -> None:
        self.config = config

    def headline(self, labels: Labels) -> str:
        """The mean reciprocal rank of the first right candidate."""
        return "mrr"

    def labels(self, rows: Sequence[Any]) -> Labels:
        """Find how labels name candidates.

        Raises:
            DataError: no row has a right candidate beside a wrong one.
        """
        labelled = [row for row in rows if row.labels is not None]
        readings = [read_several(row.labels, row.candidates) for row in labelled]
        kind = find_kind(readings, SEVERAL, self.config.kind, setting="task.kind")
        pairs = zip(readings, labelled, strict=True)
        if not any(0 < len(found.get(kind, ())) < len(row.candidates) for found, row in pairs):
            raise DataError(
                "no row has a right candidate beside a wrong one, so there is nothing to learn",
                fix="give questions with several candidates of which some are right",
            )
        return Labels((), (), kind)

    def describe_labels(self, labels: Labels) -> str:
        """The answers, for the plan."""
        return f"right answers given as {labels.kind}"

    def head(self, labels: Labels) -> HeadSpec:
        """A sequence head with one output, as cross-encoders have it."""
        return HeadSpec(kind="sequence", names=())

    def encode(self, rows: Sequence[Any], context: Context, first_row: int = 0) -> list[Encoded]:
        """One sequence a candidate; the row is their group."""
        targets = [None if row.labels is None else self._places(row, context.labels) for row in rows]
        asked = [("", row.question) for row in rows]
        return encode_choices(asked, [row.candidates for row in rows], targets, context, first_row)

    def _places(self, row: Any, labels: Labels) -> tuple[int, ...]:
        readings = read_several(row.labels, row.candidates)
        return tuple(read_as(readings, SEVERAL, labels.kind, row.labels, len(row.candidates)))

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Nothing is masked."""
        return item

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Each row alone: its candidates stand in one item."""
        return [[index] for index in range(len(items))]

    def prepare_head(self, model: Model, labels: Labels) -> None:
        """Nothing."""

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """logits (S, 1), one a candidate."""
        return {"logits": model.sequence_logits(model.pool(model.trunk(batch), batch))}

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[torch.Tensor, float]:
        """Listwise cross-entropy, or the mean of a row's yes-or-no cross-entropies; summed over rows."""
        scores, counts = outputs["logits"][:, 0], count_choices(batch)
        targets = [item.target for item in batch.items]
        if self.config.loss == "listwise":
            return choice_loss(scores, counts, targets)
        losses = []
        for own, right in zip(scores.split(counts), targets, strict=True):
            wanted = torch.zeros_like(own)
            wanted[list(right)] = 1.0
            losses.append(multi_label_loss(own[None], wanted[None])[0])
        return torch.stack(losses).sum(), float(len(losses))

    def decode(self, outputs: Outputs, batch: Batch, labels: Labels) -> list[Any]:
        """The candidates of each row and their scores."""
        is_listwise, scores = self.config.loss == "listwise", scores_by_item(outputs["logits"], batch)
        shares = [own.softmax(0) if is_listwise else own.sigmoid() for own in scores]
        return [(item.meta["choices"], own.tolist()) for item, own in zip(batch.items, shares, strict=True)]

    def join(self, parts: Sequence[Any], labels: Labels) -> RankingPrediction:
        """The candidates of a row by their score; of a lone one the softmax is 1, be it right or wrong."""
        texts, scores = parts[0]
        found = _rank(texts, scores)
        says_nothing = self.config.loss == "listwise" and len(texts) == 1
        return found if says_nothing else found.model_copy(update={"probability": found.ranking[0].score})

    def beliefs(self, predictions: Sequence[Any], golds: Sequence[Any] | None, labels: Labels) -> Beliefs | None:
        """One event a row that has a probability: its first candidate is right.

        So a row without a right one is one to withhold.
        """
        places = [place for place, prediction in enumerate(predictions) if prediction.probability is not None]
        shares = np.array([predictions[place].probability for place in places], dtype=np.float64)
        rights = None
        if golds is not None:
            found = [golds[place].holds(predictions[place].ranking[0]) for place in places]
            rights = np.array(found, dtype=bool)
        rows = np.array(places, dtype=np.int64)
        return Beliefs(shares, rights, rows, shares, rights, rows, OF_FIRST)

    def revise(self, predictions: Sequence[Any], probabilities: Any, labels: Labels) -> list[Any]:
        """The same rankings with other probabilities of the first candidate, where they have one."""
        shares = iter(probabilities.tolist())
        return [
            prediction
            if prediction.probability is None
            else prediction.model_copy(update={"probability": next(shares)})
            for prediction in predictions
        ]

    def withhold(self, prediction: Any, threshold: float) -> Any:
        """`abstained` says whether the first candidate is less sure, or nothing is known of it."""
        is_sure = prediction.probability is not None and prediction.probability >= threshold
        return prediction.model_copy(update={"abstained": not is_sure})

    def texts(self, row: Any) -> tuple[str, ...]:
        """Question and candidates."""
        return (row.question, *row.candidates)

    def shared_texts(self, row: Any) -> tuple[str, ...]:
        """The question."""
        return (row.question,)

    def answers(self, row: Any, labels: Labels) -> tuple[str, ...]:
        """None: what is right is a text of the row. Raises DataError for labels that name no candidate."""
        if row.labels is not None:
            self._places(row, labels)
        return ()

    def stratum(self, row: Any, labels: Labels) -> str:
        """How many candidates are right: none, one or several."""
        return ("none", "one", "several")[min(2, len(self._places(row, labels)))]

    def gold(self, row: Any, labels: Labels) -> RightCandidates:
        """The right candidates."""
        return RightCandidates(self._places(row, labels), tuple(row.candidates))

    def compare(self, prediction: Any, gold: Any, labels: Labels) -> Comparison:
        """Where n candidates are right, the first n are compared with them; the error counts those that are missing."""
        first = sorted(prediction.ranking[: len(gold.places)], key=lambda one: one.candidate)
        given = tuple(f"{one.candidate + 1}. {one.text}" for one in first)
        right = tuple(f"{place + 1}. {gold.texts[place]}" for place in gold.places)
        is_wrong = bool(gold.places) and not gold.holds(prediction.ranking[0])
        missed = len(set(right) - set(given))
        return Comparison(float(missed), prediction.probability if is_wrong else None, given, right)

    def tally(self, prediction: Any, gold: Any, labels: Labels) -> Counts:
        """Counts of one ranking; see `metrics.ranking`."""
        return metrics.ranking_counts(
            [gold.holds(one) for one in prediction.ranking], len(gold.places), len(gold.texts)
        )

    def score(self, counts: Counts, labels: Labels) -> dict[str, float]:
        """mrr, precision_at_1, map, and the share of rows that have a right candidate."""
        return metrics.ranking_scores(counts)

    def score_rows(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> dict[str, float]:
        """None: every score is made of sums."""
        return {}

    def tables(self, counts: Counts, labels: Labels) -> dict[str, dict[str, dict[str, float]]]:
        """None: there are no classes."""
        return {}

    def confusion(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[list[int]] | None:
        """None: there are no classes."""
        return None

    def baselines(self, labels: Labels) -> list[Baseline]:
        """The usual place, the longest candidate, shared words, and the untouched trunk."""
        parts = choice_baselines.Parts(
            lambda row: row.question,
            lambda row: row.candidates,
            lambda row: self._places(row, labels),
            lambda row, scores: _rank(row.candidates, scores),
        )
        return [kind(parts) for kind in choice_baselines.BASELINES]


def _rank(texts: Sequence[str], scores: Sequence[float]) -> RankingPrediction:
    """Best score first; of equal ones the one that stands first."""
    order = sorted(range(len(texts)), key=lambda place: (-scores[place], place))
    ranking = [RankedCandidate(candidate=place, text=texts[place], score=scores[place]) for place in order]
    return RankingPrediction(answer=ranking[0].text, ranking=ranking)
