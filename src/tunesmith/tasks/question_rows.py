"""What a question on a text looks like: the row that is read, the answer that is given, the right answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from tunesmith.data.answers import MISSING, is_marked, place_answers, read_answers
from tunesmith.data.options import Unfit
from tunesmith.data.squad_format import IMPOSSIBLE


class Answer(BaseModel):
    """A right answer and its first character in the context."""

    model_config = ConfigDict(frozen=True)
    text: str = Field(min_length=1)
    answer_start: int = Field(ge=0)


class QuestionRow(BaseModel):
    """A question, the text that it is about, and the right answers where they are known; [] where it has none."""

    model_config = ConfigDict(frozen=True)
    question: str = Field(min_length=1)
    context: str = Field(min_length=1)
    answers: list[Answer] | None = None
    id: str | int | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_answer(cls, given: Any) -> Any:
        """SQuAD 2.0 marks questions without an answer."""
        if not isinstance(given, Mapping) or not is_marked(given.get(IMPOSSIBLE)):
            return given
        try:
            return {**given, "answers": read_answers(given.get("answers"), IMPOSSIBLE)}
        except Unfit as fault:
            raise ValueError(f"{fault.problem}: {fault.fix}") from None

    @field_validator("answers", mode="before")
    @classmethod
    def _stand_in_the_context(cls, given: Any, info: ValidationInfo) -> Any:
        try:
            answers = read_answers(given)
            context = info.data.get("context")
            if not answers or context is None:
                return answers
            placed, odd = place_answers(context, answers)
        except Unfit as fault:
            raise ValueError(f"{fault.problem}: {fault.fix}") from None
        for kind, problem, fix in odd:
            if kind == MISSING:
                raise ValueError(f"{problem}: {fix}")
        return placed


class FoundAnswer(BaseModel):
    """An answer that was thought of.

    Attributes:
        text: as it stands in the context; "" for none.
        start: its first character in the context; None for no answer.
        end: the one behind its last.
        probability: that it is the right one.
    """

    model_config = ConfigDict(frozen=True)
    text: str
    start: int | None = None
    end: int | None = None
    probability: float


class QuestionPrediction(BaseModel):
    """The answer to one question.

    Attributes:
        answer: as it stands in the context; "" for none.
        start: its first character in the context; None for no answer.
        end: the one behind its last.
        probability: that it is right.
        no_answer_score: by how much no answer scores better than the best one, in logits; None where the model never
            learnt of questions without an answer.
        n_best: the best answers, likeliest first; no answer is among them where it was thought of.
        abstained: the model is less sure than was asked for; None where nothing was asked.
    """

    model_config = ConfigDict(frozen=True)
    answer: str
    start: int | None = None
    end: int | None = None
    probability: float | None = None
    no_answer_score: float | None = None
    n_best: list[FoundAnswer] = []
    abstained: bool | None = None

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The answer as a row holds right ones."""
        return [{"text": self.answer, "answer_start": self.start}] if self.answer else []


@dataclass(frozen=True)
class RightAnswers:
    """The right answers of a row: their texts, and where they stand; () where there is none."""

    texts: tuple[str, ...]
    places: tuple[tuple[int, int], ...]


def right_answers(row: Any) -> RightAnswers:
    """The right answers of a labelled row."""
    answers = row.answers or ()
    places = tuple((answer.answer_start, answer.answer_start + len(answer.text)) for answer in answers)
    return RightAnswers(tuple(answer.text for answer in answers), places)
