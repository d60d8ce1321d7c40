"""Answers that stand in a text, as files hold them: lists of objects, of texts, or SQuAD's lists side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.data.options import Unfit
from tunesmith.data.rejects import shorten
from tunesmith.data.spans import Oddity

Answer = dict[str, Any]
"""`text` and `answer_start` (characters from 0), as SQuAD names them."""

IMPOSSIBLE = "is_impossible"
"""SQuAD 2.0's mark of a question that its text does not answer."""
ANSWERS_FIX = 'write [{"text": "1912", "answer_start": 17}] or ["1912"]; [] where the text holds no answer'
PLACE_FIX = "copy the answer from the context letter by letter, or remove it"
_TRUE = (True, 1, "true", "True", "TRUE", "1")


def read_answers(cell: Any, is_impossible: Any = None) -> list[Answer] | None:
    """Bring the answers of a row into one form; where they stand is looked for by `place_answers`.

    Args:
        cell: a list of {"text", "answer_start"} or of texts, {"text": […], "answer_start": […]}, or one text.
        is_impossible: the row's mark that there is no answer.

    Returns:
        `text` and `answer_start`, which is None where it is not given; [] where there is no answer; None where
        nothing is said.

    Raises:
        Unfit: it is something else.

    Example:
        >>> read_answers({"text": ["Oslo"], "answer_start": [4]}), read_answers(["Oslo"]), read_answers(None, True)
        ([{'text': 'Oslo', 'answer_start': 4}], [{'text': 'Oslo', 'answer_start': None}], [])
    """
    cell = _plain(cell)
    if is_impossible in _TRUE and is_impossible is not None:
        if cell is not None and _listed(cell):
            raise Unfit(f"{IMPOSSIBLE} is true, but there are answers", "remove the answers, or the mark")
        return []
    if cell is None or (isinstance(cell, float) and cell != cell):
        return None
    return [_read_answer(answer, number) for number, answer in enumerate(_listed(cell), start=1)]


def _listed(cell: Any) -> Sequence[Any]:
    """The answers one by one."""
    if isinstance(cell, str):
        return [cell]
    if isinstance(cell, Mapping):
        texts, starts = (_plain(cell.get(key)) for key in ("text", "answer_start"))
        if isinstance(texts, str):
            return [cell]
        if isinstance(texts, (list, tuple)):
            starts = [None] * len(texts) if starts is None else starts
            if isinstance(starts, (list, tuple)) and len(starts) == len(texts):
                return [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
            raise Unfit("text and answer_start are no lists of the same length", ANSWERS_FIX)
    if not isinstance(cell, (list, tuple)):
        raise Unfit(f"is no list of answers: {shorten(cell)}", ANSWERS_FIX)
    return cell


def _read_answer(answer: Any, number: int) -> Answer:
    if hasattr(answer, "model_dump"):
        answer = answer.model_dump()
    if isinstance(answer, str):
        answer = {"text": answer}
    if not isinstance(answer, Mapping) or not isinstance(answer.get("text"), str):
        raise Unfit(f"answer {number} has no text: {shorten(answer)}", ANSWERS_FIX)
    if not answer["text"].strip():
        raise Unfit(f"answer {number} is empty", "remove it; [] where the text holds no answer")
    start = _plain(answer.get("answer_start"))
    if start is not None and type(start) is not int:
        fix = "count characters from 0, or leave answer_start out"
        raise Unfit(f"answer {number} starts at {shorten(start)}, which is no whole number", fix)
    return {"text": answer["text"], "answer_start": start}


def place_answers(context: str, answers: Sequence[Answer]) -> tuple[list[Answer], list[Oddity]]:
    """Find where each answer stands.

    White space at the edges of an answer is left out. An answer that does not stand where it is said to is taken at
    its first place.

    Args:
        context: the text.
        answers: what `read_answers` gave.

    Returns:
        The answers with their places, and what is doubtful: answers that stand elsewhere.

    Raises:
        Unfit: an answer does not stand in the text.

    Example:
        >>> place_answers("from Oslo", [{"text": "Oslo", "answer_start": 4}])[0]
        [{'text': 'Oslo', 'answer_start': 5}]
    """
    placed: list[Answer] = []
    odd: list[Oddity] = []
    for number, answer in enumerate(answers, start=1):
        text, start = answer["text"].strip(), answer["answer_start"]
        if start is not None:
            start += len(answer["text"]) - len(answer["text"].lstrip())
        if start is not None and start >= 0 and context.startswith(text, start):
            placed.append({"text": text, "answer_start": start})
            continue
        found = context.find(text)
        if found < 0:
            raise Unfit(f"answer {number}, {shorten(text)}, does not stand in the context", PLACE_FIX)
        if start is not None:
            problem = f"answer {number}, {shorten(text)}, does not stand at {start}: its first place, {found}, is taken"
            odd.append(("moved answer", problem, "correct answer_start; it counts characters from 0"))
        placed.append({"text": text, "answer_start": found})
    return placed, odd


def _plain(value: Any) -> Any:
    return value.tolist() if type(value).__module__ == "numpy" and hasattr(value, "tolist") else value
