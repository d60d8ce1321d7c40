"""Conversations: the next turn, by a model that was made for them, or by one that writes a text from a text."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.serving import bodies, scripts
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.limits import Limits
from tunesmith.serving.openai import Message
from tunesmith.serving.problems import Problem
from tunesmith.serving.scripts import Wish
from tunesmith.serving.writing import Script


def can_reply(hosted: Hosted) -> bool:
    """Whether a model can be asked as in a conversation."""
    return scripts.writes_texts(hosted)


def write_reply(hosted: Hosted, messages: Sequence[Message], wish: Wish, limits: Limits) -> Script:
    """A script that writes the next turn.

    A model that writes a text from a text has learnt no conversation: it takes one message of the user, as its text.

    Raises:
        Problem: these messages are nothing that the model could answer (400).
    """
    if [message.role for message in messages] != ["user"]:
        roles = ", ".join(message.role for message in messages[:8])
        message = f"{hosted.name} writes a text from one text and holds no conversation, but {roles} came"
        raise Problem(400, message, fix="send one message of the user", field="messages")
    row = bodies.make_row({"text": messages[0].content}, hosted, limits, "messages.0.")
    return scripts.write_texts(hosted, [row], wish, limits)
