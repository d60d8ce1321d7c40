"""Question answering: the piece of a text that answers a question on it, or that it holds no answer.

Question and text stand in one sequence; two scores of each token say how much it is the first of the answer and the
last (Devlin et al. 2019). Texts longer than the model are read in windows that overlap, all beside the question.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

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
from tunesmith.data.squad_format import IMPOSSIBLE
from tunesmith.errors import DataError
from tunesmith.model import Model
from tunesmith.tasks import question_beliefs, question_spans
from tunesmith.tasks.languages import is_chinese
from tunesmith.tasks.question_baselines import FirstSentence, NoAnswer, OverlappingSentence
from tunesmith.tasks.question_marks import compare_answers
from tunesmith.tasks.question_rows import QuestionPrediction, QuestionRow, RightAnswers, right_answers
from tunesmith.tasks.question_windows import aim, encode_rows, spans_under

LONGEST_ANSWER_TOKENS = {"en": 30, "zh": 80}
"""Unless the user says otherwise: 30 as in BERT's own recipe; Chinese answers are counted in characters."""
LOOKED_AT_CONTEXTS = 1_000


class QuestionConfig(Section):
    """Options of question answering."""

    language: Literal["auto", "en", "zh"] = "auto"
    """How answers are compared: en as SQuAD does, zh as CMRC 2018 does; auto looks at the letters of the texts."""
    overlap_tokens: int | None = Field(default=None, ge=0)
    """Tokens of the text that neighbouring windows share; 128 if not given, at most half a window."""
    longest_answer_tokens: int | None = Field(default=None, ge=1)
    """Longer answers are never given; 30 if not given, 80 for Chinese texts."""
    n_best: int = Field(default=5, ge=1, le=100)
    """Best answers that are weighed against each other and listed."""


class QuestionAnswering:
    """The task; see `contracts.Task` for what each method promises."""

    name: ClassVar[str] = "question-answering"
    title: ClassVar[str] = "question answering"
    Row: ClassVar[type[BaseModel]] = QuestionRow
    Prediction: ClassVar[type[BaseModel]] = QuestionPrediction
    samples: ClassVar[Samples] = {
        "en": {
            "question": "When did Marie Curie leave Warsaw?",
            "context": "Marie Curie left Warsaw for Paris in 1891.",
        },
        "zh": {"question": "居里夫人去了哪里？", "context": "居里夫人1891年离开华沙前往巴黎。"},
    }
    Config: ClassVar[type[BaseModel]] = QuestionConfig
    better: ClassVar[Literal["max", "min"]] = "max"
    tags: ClassVar[Tags] = Tags(units="windows")
    columns: ClassVar[tuple[Column, ...]] = (
        Column("question", "text", ("question", "query", "问题", "提问")),
        Column("context", "text", ("context", "passage", "paragraph", "text", "上下文", "文章", "段落", "文本")),
        Column("answers", "label", ("answers", "answer", "答案"), holds="answers", none_mark=IMPOSSIBLE),
    )

    def __init__(self, config: QuestionConfig) -> None:
        self.config = config

    moves_places: ClassVar[bool] = True

    def editable(self, row: Any) -> list[Editable]:
        """What is asked about, but for the right answers; the question stays."""
        return [Editable("context", row.context, right_answers(row).places)]

    def edited_fields(self, row: Any, changed: Sequence[Editable]) -> dict[str, Any]:
        """The context, and where the right answers stand now."""
        (text,) = changed
        moved = zip(text.kept, row.answers or (), strict=True)
        answers = [{"text": answer.text, "answer_start": start} for (start, _), answer in moved]
        return {"context": text.text, "answers": answers}

    def headline(self, labels: Labels) -> str:
        """f1: overlap of words with the best right answer."""
        return "f1"

    def labels(self, rows: Sequence[Any]) -> Labels:
        """No names; the statistics say whether some questions have no answer, and whether texts are Chinese."""
        labelled = [row for row in rows if row.answers is not None]
        unanswerable = sum(not row.answers for row in labelled)
        if unanswerable == len(labelled):
            raise DataError(
                "no question has an answer",
                fix="give rows with answers, or the right column: --set data.columns.answers=…",
            )
        facts = {"rows": len(labelled), "unanswerable": unanswerable, "chinese": self._is_chinese(rows)}
        return Labels((), (), "span", {name: float(value) for name, value in facts.items()})

    def _is_chinese(self, rows: Sequence[Any]) -> bool:
        if self.config.language != "auto":
            return self.config.language == "zh"
        return is_chinese(list(dict.fromkeys(row.context for row in rows))[:LOOKED_AT_CONTEXTS])

    def describe_labels(self, labels: Labels) -> str:
        """The answers, for the plan."""
        none = int(labels.statistics["unanswerable"])
        return "pieces of the text" + (f", {none:,} questions without an answer" if none else "")

    def head(self, labels: Labels) -> HeadSpec:
        """Two scores a token."""
        return HeadSpec(kind="question_answering", names=("start", "end"))

    def encode(self, rows: Sequence[Any], context: Context, first_row: int = 0) -> list[Encoded]:
        """One sequence of question and text a row; several, overlapping, where the text is too long."""
        items: list[Encoded] = []
        windows = encode_rows(rows, context, first_row, self.config.overlap_tokens)
        for place, found in itertools.groupby(windows, key=lambda item: item.row):
            parts, row = list(found), rows[place - first_row]
            if row.answers is not None:
                right = right_answers(row)
                first, *others = aim(parts, right.places)
                parts = [replace(first, lost=self._lost(parts, right, context.labels)), *others]
            items += parts
        return items

    def _lost(self, parts: Sequence[Encoded], right: RightAnswers, labels: Labels) -> tuple[str, ...]:
        """The right answer that no prediction can give: too long, whole in no window, or not at bounds of tokens."""
        can_be_given = any(
            metrics.is_exact_match(text, right.texts, _rule(labels))
            for part in parts
            for text in spans_under(part.meta["reading"], right.places, self._longest(labels))
        )
        return () if can_be_given else right.texts[:1]

    def _longest(self, labels: Labels) -> int:
        return self.config.longest_answer_tokens or LONGEST_ANSWER_TOKENS[_rule(labels)]

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Nothing is masked."""
        return item

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Each window alone."""
        return [[index] for index in range(len(items))]

    def prepare_head(self, model: Model, labels: Labels) -> None:
        """The head starts as it is."""

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """logits (T, 2): of each token as the first and as the last one of the answer."""
        return {"logits": model.span_logits(model.trunk(batch))}

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[torch.Tensor, float]:
        """Mean of two cross-entropies over the text's tokens and no answer; summed, the units are windows.

        Windows of a row whose answer stands whole in none of them add nothing to the sum.
        """
        return question_spans.span_loss(outputs["logits"], batch)

    def decode(self, outputs: Outputs, batch: Batch, labels: Labels) -> list[Any]:
        """The best spans of each window."""
        return question_spans.best_spans(outputs["logits"], batch, self.config.n_best, self._longest(labels))

    def join(self, parts: Sequence[Any], labels: Labels) -> QuestionPrediction:
        """The best span of all windows, or no answer where the model learnt such questions."""
        return question_spans.join_windows(parts, self.config.n_best, may_have_none=_may_have_none(labels))

    def find_threshold(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> float | None:
        """From which `no_answer_score` on no answer is given, for the best F1 on these rows."""
        gaps, scores, has_answer = [], [], []
        for prediction, gold in zip(predictions, golds, strict=True):
            if prediction.no_answer_score is None:
                continue
            span = next(one.text for one in prediction.n_best if one.text)
            gaps.append(prediction.no_answer_score)
            scores.append(metrics.answer_f1(span, gold.texts, _rule(labels)))
            has_answer.append(bool(gold.texts))
        return question_beliefs.find_threshold(gaps, scores, has_answer) if gaps else None

    def decide(self, prediction: Any, threshold: float) -> Any:
        """No answer where it scores better than the best span by more than the threshold."""
        return question_spans.choose(prediction, threshold)

    def beliefs(self, predictions: Sequence[Any], golds: Sequence[Any] | None, labels: Labels) -> Beliefs | None:
        """Each answer, and whether it matches a right one exactly."""
        return question_beliefs.find_beliefs(
            predictions, golds, lambda answer, gold: metrics.is_exact_match(answer, gold.texts, _rule(labels))
        )

    def revise(self, predictions: Sequence[Any], probabilities: Any, labels: Labels) -> list[Any]:
        """The same answers with other probabilities."""
        return question_beliefs.revise(predictions, probabilities)

    def withhold(self, prediction: Any, threshold: float) -> Any:
        """`abstained` says whether the answer is less sure."""
        return prediction.model_copy(update={"abstained": (prediction.probability or 0.0) < threshold})

    def texts(self, row: Any) -> tuple[str, ...]:
        """The question and the text."""
        return row.question, row.context

    def shared_texts(self, row: Any) -> tuple[str, ...]:
        """The text that is asked about."""
        return (row.context,)

    def answers(self, row: Any, labels: Labels) -> tuple[str, ...]:
        """None: answers are pieces of texts and have no names."""
        return ()

    def stratum(self, row: Any, labels: Labels) -> str:
        """One for all: rows of one text stay together, whether they have an answer or not."""
        return ""

    def gold(self, row: Any, labels: Labels) -> RightAnswers:
        """The right answers and their places."""
        return right_answers(row)

    def compare(self, prediction: Any, gold: Any, labels: Labels) -> Comparison:
        """A wrong answer that is given and a right one that is not count one each; see `contracts.Task`."""
        rule = _rule(labels)
        near = [metrics.answer_f1(prediction.answer, (text,), rule) for text in gold.texts]
        nearest = near.index(max(near)) if near else 0
        is_right = metrics.is_exact_match(prediction.answer, gold.texts, rule)
        return compare_answers(prediction, gold, nearest, is_right=is_right)

    def tally(self, prediction: Any, gold: Any, labels: Labels) -> Counts:
        """Counts of one row; see `metrics.questions`."""
        return metrics.question_counts(prediction.answer, gold.texts, _rule(labels))

    def score(self, counts: Counts, labels: Labels) -> dict[str, float]:
        """f1, exact_match, and both parts where some questions have no answer."""
        return metrics.question_scores(counts)

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
        """The first sentence, the one that shares most words with the question; no answer where there may be none."""
        sentences: list[Baseline] = [FirstSentence(), OverlappingSentence()]
        return [*sentences, NoAnswer()] if _may_have_none(labels) else sentences


def _rule(labels: Labels) -> Literal["en", "zh"]:
    return "zh" if labels.statistics.get("chinese") else "en"


def _may_have_none(labels: Labels) -> bool:
    return bool(labels.statistics.get("unanswerable"))
