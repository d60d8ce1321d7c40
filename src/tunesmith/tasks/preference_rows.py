"""What a preference looks like: the row that is read, the answer that is given, its columns, facts about pairs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tunesmith.contracts import Column

COLUMNS = (
    Column(
        "prompt",
        "text",
        (
            *("prompt", "question", "instruction", "input", "query", "text", "source", "context"),
            *("提示", "提问", "问题", "指令", "输入"),
        ),
    ),
    Column(
        "chosen",
        "text",
        (
            *("chosen", "response_chosen", "chosen_response", "answer_chosen", "preferred", "preferred_response"),
            *("accepted", "winner", "better", "选中", "偏好", "更好"),
        ),
        telling=("chosen", "response_chosen", "chosen_response", "选中"),
    ),
    Column(
        "rejected",
        "text",
        (
            *("rejected", "response_rejected", "rejected_response", "answer_rejected", "dispreferred"),
            *("dispreferred_response", "loser", "worse", "拒绝", "落选", "更差"),
        ),
        telling=("rejected", "response_rejected", "rejected_response", "拒绝"),
    ),
)


class PreferenceRow(BaseModel):
    """A prompt and two answers to it, of which people prefer the first."""

    model_config = ConfigDict(frozen=True)
    prompt: str = Field(min_length=1)
    chosen: str = Field(min_length=1)
    rejected: str = Field(min_length=1)


class PreferencePrediction(BaseModel):
    """Which of two answers a model finds likelier.

    Attributes:
        preferred: which one.
        answer: its text.
        margin: log-probability of the chosen answer less that of the rejected one, in nats (a token, where lengths are
            normalised); None where a rule decided that knows no probabilities.
        reward_margin: by how much fine-tuning moved the margin, times beta; None where the model before is not known.
    """

    model_config = ConfigDict(frozen=True)
    preferred: Literal["chosen", "rejected"]
    answer: str
    margin: float | None = None
    reward_margin: float | None = None


def prefer(
    chosen: str, rejected: str, *, first: bool, margin: float | None = None, reward_margin: float | None = None
) -> PreferencePrediction:
    """The prediction that prefers the chosen answer (`first`) or the rejected one."""
    return PreferencePrediction(
        preferred="chosen" if first else "rejected",
        answer=chosen if first else rejected,
        margin=margin,
        reward_margin=reward_margin,
    )


def pair_facts(rows: Sequence[Any]) -> dict[str, float]:
    """How many pairs there are, and in which share of them the chosen answer is the longer one.

    Example:
        >>> pair_facts([PreferenceRow(prompt="?", chosen="yes, please", rejected="no")])
        {'rows': 1, 'chosen_longer': 1.0}
    """
    return {"rows": len(rows), "chosen_longer": mean(float(len(row.chosen) > len(row.rejected)) for row in rows)}
