"""Conversations: the next turn, by a model that was made for them, or by one that writes a text from a text."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.contracts import Converses
from tunesmith.serving import bodies, scripts
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.limits import Limits
from tunesmith.serving.openai import Message
from tunesmith.serving.problems import Problem
from tunesmith.serving.scripts import Wish
from tunesmith.serving.writing import Script

ROLES = {"developer": "system"}
"""Newer names of roles."""


def can_reply(hosted: Hosted) -> bool:
    """Whether a model can be asked as in a conversation."""
    return isinstance(hosted.task, Converses) or scripts.writes_texts(hosted)


def write_reply(hosted: Hosted, messages: Sequence[Message], wish: Wish, limits: Limits) -> Script:
    """A script that writes the next turn.

    A model that writes a text from a text has learnt no conversation: it takes one message of the user, as its text.

    Raises:
        Problem: these messages are nothing that the model could answer (400).
    """
    if isinstance(hosted.task, Converses):
        _check_turns(messages, limits)
        turns = [{"role": ROLES.get(turn.role, turn.role), "content": turn.content} for turn in messages]
        return scripts.write_reply(hosted, turns, wish, limits)
    if [turn.role for turn in messages] != ["user"]:
        roles = ", ".join(turn.role for turn in messages[:8])
        message = f"{hosted.name} writes a text from one text and holds no conversation, but {roles} came"
        raise Problem(400, message, fix="send one message of the user", field="messages")
    row = bodies.make_row({"text": messages[0].content}, hosted, limits, "messages.0.")
    return scripts.write_texts(hosted, [row], wish, limits)


def _check_turns(messages: Sequence[Message], limits: Limits) -> None:
    last = len(messages) - 1
    if messages[last].role != "user":
        message = f"the last message is of the role {messages[last].role}, wanted user"
        raise Problem(400, message, fix="let the user have the last word", field=f"messages.{last}.role")
    for place, turn in enumerate(messages):
        if not turn.content.strip():
            fix = "send a text with something in it"
            raise Problem(400, "a message is empty", fix=fix, field=f"messages.{place}.content")
    characters = sum(len(turn.content) for turn in messages)
    if characters > limits.characters:
        message = f"the messages have {characters:,} characters, wanted at most {limits.characters:,}"
        raise Problem(400, message, fix="leave out the oldest", field="messages")
