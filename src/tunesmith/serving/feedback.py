"""What is said about answers: checked, joined to what was asked, stored."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from pydantic import BaseModel

from tunesmith.data.rejects import listed, shorten
from tunesmith.errors import DataError, nearest
from tunesmith.serving import bodies
from tunesmith.serving.batching import log_fault
from tunesmith.serving.feedback_store import Feedback, FeedbackStore, StoreFull
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.limits import Limits
from tunesmith.serving.problems import Problem
from tunesmith.serving.remembering import Memory, model_of

FIELDS = ("id", "right", "comment", "row")
SAMPLE = 'send {"id": "…", "right": "…", "comment": "…"}'
ID_CHARACTERS = 128
SHOWN_LABELS = 20
MOST_WRITTEN = 20_000
"""Characters of a right answer that a model would have to write."""
MOST_COMPARED = 250_000
"""Parts of a right answer times texts of its row that are compared: about a tenth of a second."""


def make_feedback(content: Any, models: dict[str, Hosted], memory: Memory, limits: Limits) -> Feedback:
    """Check the body of a feedback and join it to what was asked.

    Raises:
        Problem: 404 where the answer is not remembered and no row came along; 422 where a field does not fit.
    """
    name, comment = _check_fields(content, limits)
    found = memory.find(name)
    prediction: dict[str, Any] | None = None
    if found is not None:
        hosted, row = found.hosted, json.loads(found.row)
        prediction = json.loads(found.prediction)
    else:
        hosted, asked = _from_body(content, name, models, limits)
        row = asked.model_dump(mode="json", exclude_none=True)
    if hosted.label_field is None:
        message = f"no feedback is taken on answers of {hosted.name}: its task is {hosted.task.name}"
        raise Problem(404, message, fix="change the conversation's file instead", field="id")
    corrected = _with_answer(content["right"], hosted, hosted.label_field, row)
    return Feedback(name, hosted.name, hosted.digest, hosted.task.name, corrected, prediction, comment)


def _check_fields(content: Any, limits: Limits) -> tuple[str, str]:
    """The id and the comment of a body."""
    if not isinstance(content, dict):
        raise Problem(422, "the body is no object", fix=SAMPLE)
    for name in content:
        if name not in FIELDS:
            raise Problem(
                422, f"feedback has no field {shorten(name)}", fix=nearest(name[:80], FIELDS), field=name[:80]
            )
    name, comment = content.get("id"), content.get("comment", "")
    if not isinstance(name, str) or not 0 < len(name) <= ID_CHARACTERS:
        raise Problem(422, "the id of the answer is missing", fix=SAMPLE, field="id")
    if comment is None:
        comment = ""
    if not isinstance(comment, str) or len(comment) > limits.comment_characters:
        message = f"the comment is no text of up to {limits.comment_characters:,} characters"
        raise Problem(422, message, fix="send a shorter text, or none", field="comment")
    bodies.check_encodable(name, "id")
    bodies.check_encodable(comment, "comment")
    if content.get("right") is None:
        raise Problem(422, "the right answer is missing", fix=SAMPLE, field="right")
    return name, comment


def _from_body(
    content: dict[str, Any], name: str, models: dict[str, Hosted], limits: Limits
) -> tuple[Hosted, BaseModel]:
    hosted = models.get(model_of(name))
    if hosted is None:
        raise Problem(404, "no model here gave an answer of this id", fix="send the id as it came", field="id")
    if content.get("row") is None:
        raise Problem(
            404,
            "this answer is not remembered any more",
            fix='send the row along: {"id": "…", "right": "…", "row": {"text": "…"}}',
            field="id",
        )
    return hosted, bodies.make_row(content["row"], hosted, limits, "row.")


def _with_answer(right: Any, hosted: Hosted, field: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row as `fit` reads it, with the right answer in it.

    Raises:
        Problem: the answer is none that the model can give (422).
    """
    _check_size(right, hosted, row)
    labelled = {**row, field: right}
    try:
        checked = bodies.validate(hosted.task.Row, labelled, {field: "right"})
    except Problem as problem:
        problem.field = problem.field or "right"  # the row was good without it
        raise
    try:
        hosted.task.gold(checked, hosted.labels)
        names = hosted.task.answers(checked, hosted.labels)
    except DataError as error:
        raise Problem(422, error.message, fix=error.fix or SAMPLE, field="right") from None
    unknown = [name for name in names if name not in hosted.labels.names]
    if unknown:
        fix = f"use one of: {listed(hosted.labels.names, SHOWN_LABELS)}"
        raise Problem(422, f"this model does not know the label {shorten(unknown[0])}", fix=fix, field="right")
    return checked.model_dump(mode="json", exclude_none=True)


def _check_size(right: Any, hosted: Hosted, row: dict[str, Any]) -> None:
    """Refuse what is longer than any right answer, before each part of it is compared with all labels."""
    names = hosted.labels.names
    texts = [text for value in row.values() if isinstance(value, list) for text in value]
    share = MOST_COMPARED // max(1, len(texts))  # each part of what is right is compared with each of them
    if isinstance(right, str) and hosted.labels.kind == "text":
        most = MOST_WRITTEN
    elif isinstance(right, str):
        most = 2 * sum(map(len, names)) + 1_000 + min(share, max(map(len, texts), default=0))
    elif isinstance(right, list) and hosted.labels.kind == "entities":
        most = sum(len(value) for value in row.values() if isinstance(value, str))
    elif isinstance(right, list):
        most = max(10, len(names), min(share, len(texts)))
    else:
        return
    if len(right) > most:
        message = f"the right answer has a length of {len(right):,}, wanted at most {most:,}"
        raise Problem(422, message, fix=SAMPLE, field="right")


async def store(store: FeedbackStore, feedback: Feedback) -> None:
    """Return when feedback is on the disk.

    Raises:
        Problem: it is not, and the client should try again (503).
    """
    try:
        await asyncio.shield(asyncio.wrap_future(store.put(feedback)))
    except StoreFull:
        message = "too much feedback waits for the disk"
        raise Problem(503, message, fix="try again later", retry_after_s=1.0) from None
    except Exception as error:
        log_fault(error)
        message = "the feedback could not be written to the disk and is not stored"
        raise Problem(503, message, fix="try again later; see the server's log", retry_after_s=10.0) from None
