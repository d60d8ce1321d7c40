"""What a conversation looks like: the messages that are read, what is said of them and of the reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tunesmith.contracts import Column

ASSISTANT, USER, SYSTEM = "assistant", "user", "system"
COLUMNS = (
    Column(
        "messages",
        "text",
        ("messages", "conversations", "instruction"),
        holds="messages",
        telling=("messages", "conversations"),
    ),
)


class Message(BaseModel):
    """One turn."""

    model_config = ConfigDict(frozen=True)
    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1)


class ChatRow(BaseModel):
    """A conversation: what the assistant says in it is learnt; where the user has the last word, it is to be answered.

    A plain text stands for a conversation in which the user has said that.
    """

    model_config = ConfigDict(frozen=True)
    messages: tuple[Message, ...] = Field(min_length=1)

    @field_validator("messages", mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        return [{"role": USER, "content": given}] if isinstance(given, str) else given


class ChatPrediction(BaseModel):
    """The reply, and how well the assistant's turns that stand there were foreseen.

    Attributes:
        answer: the reply to a user who has the last word; None where the assistant has it.
        finished: whether the reply came to its end, and was not cut at `task.max_new_tokens`; None without a reply.
        nll: summed negative log probabilities of the assistant's tokens that stand there, in nats.
        tokens: how many they are, the one that ends each turn among them.
        right_tokens: how many of them were the likeliest.
    """

    model_config = ConfigDict(frozen=True)
    answer: str | None = None
    finished: bool | None = None
    nll: float = Field(default=0.0, ge=0)
    tokens: int = Field(default=0, ge=0)
    right_tokens: int = Field(default=0, ge=0)


def as_messages(row: Any) -> list[dict[str, str]]:
    """The messages of a row as chat templates take them."""
    return [{"role": message.role, "content": message.content} for message in row.messages]


def contents(row: Any, role: str) -> tuple[str, ...]:
    """What one side says, in order."""
    return tuple(message.content for message in row.messages if message.role == role)


def awaits_reply(messages: Sequence[Mapping[str, str]]) -> bool:
    """Whether somebody else than the assistant has the last word."""
    return messages[-1]["role"] != ASSISTANT


def drop_oldest(messages: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]] | None:
    """The conversation without its oldest exchange, what the system says kept; None where there is only one.

    Example:
        >>> turns = [{"role": role, "content": str(place)} for place, role in enumerate(["system", *["user",
        ...          "assistant"] * 2])]
        >>> [turn["content"] for turn in drop_oldest(turns)], drop_oldest(turns[:3])
        (['0', '3', '4'], None)
    """
    start = next((place for place, turn in enumerate(messages) if turn["role"] != SYSTEM), len(messages))
    for place in range(start + 1, len(messages)):
        if messages[place]["role"] == USER and messages[place - 1]["role"] == ASSISTANT:
            return [*messages[:start], *messages[place:]]
    return None
