"""Answers that stand in a text, as files hold them: lists of objects, of texts, or SQuAD's lists side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.data.options import Unfit
from tunesmith.data.rejects import shorten
from tunesmith.data.spans import Oddity

Answer = dict[str, Any]
"""`text` and `answer_start` (characters from 0), as SQuAD names them."""

ANSWERS_FIX = 'write [{"text": "1912", "answer_start": 17}] or ["1912"] (JSON, in CSV too), or [] for no answer'
PLACE_FIX = "copy the answer from the context letter by letter, or remove it"
MOVED_FIX = "correct answer_start; it counts characters from 0"
MOVED, MISSING = "moved answer", "answer not in the text"
"""Kinds of what is doubtful."""
_TRUE = (True, 1, "true", "True", "TRUE", "1")


def read_answers(cell: Any, none_mark: str = "") -> list[Answer] | None:
    """Bring the answers of a row into one form; where they stand is looked for by `place_answers`.

    Args:
        cell: a list of {"text", "answer_start"} or of texts, {"text": […], "answer_start": […]}, or one text; a text
            may also be one of the others in JSON, as cells of CSV are.
        none_mark: what the row's mark that there is no answer is called, where it has one.

    Returns:
        `text` and `answer_start`, which is None where it is not given; [] where there is no answer; None where
        nothing is said.

    Raises:
        Unfit: it is something else.

    Example:
        >>> read_answers({"text": ["Oslo"], "answer_start": [4]}), read_answers('["Oslo"]')
        ([{'text': 'Oslo', 'answer_start': 4}], [{'text': 'Oslo', 'answer_start': None}])
        >>> read_answers("[]"), read_answers(None, "is_impossible"), read_answers(None)
        ([], [], None)
    """
    cell = _plain(cell)
    if isinstance(cell, str):
        cell = _from_json(cell)
    if _is_missing(cell):
        return [] if none_mark else None
    found = [_read_answer(answer, number) for number, answer in enumerate(_listed(cell), start=1)]
    if found and none_mark:
        raise Unfit(f"{none_mark} is true, but there are answers", "remove the answers, or the mark")
    return found


def is_marked(value: Any) -> bool:
    """Whether a mark such as `is_impossible` is set; in CSV it is a word.

    Example:
        >>> is_marked(True), is_marked("true"), is_marked("False"), is_marked(None)
        (True, True, False, False)
    """
    return value is not None and value in _TRUE


def _from_json(cell: str) -> Any:
    """What a cell holds; a text that is no answers in JSON is an answer itself."""
    if not cell.strip():
        return None
    if not cell.lstrip().startswith(("[", "{")):
        return cell
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    listed = found if isinstance(found, list) else [found]
    are_answers = all(isinstance(one, str) or (isinstance(one, dict) and "text" in one) for one in listed)
    return found if are_answers else cell


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
    return {"text": answer["text"], "answer_start": _read_start(_plain(answer.get("answer_start")), number)}


def _read_start(start: Any, number: int) -> int | None:
    """A whole number, also as 17.0, which columns with gaps have in pandas."""
    if _is_missing(start):
        return None
    if isinstance(start, float) and start.is_integer():
        return int(start)
    if type(start) is not int:
        fix = "count characters from 0, or leave answer_start out"
        raise Unfit(f"answer {number} starts at {shorten(start)}, which is no whole number", fix)
    return start


def place_answers(context: str, answers: Sequence[Answer]) -> tuple[list[Answer], list[Oddity]]:
    """Find where each answer stands.

    White space at the edges of an answer is left out. An answer that does not stand where it is said to is taken at
    its first place; of several, those that stand nowhere are left out.

    Args:
        context: the text.
        answers: what `read_answers` gave.

    Returns:
        The answers with their places, and what is doubtful: answers that stand elsewhere, or nowhere.

    Raises:
        Unfit: none of the answers stands in the text.

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
        if found >= 0:
            placed.append({"text": text, "answer_start": found})
        if found < 0 or start is not None:
            odd.append(_say_odd(number, text, start, found))
    if answers and not placed:
        raise Unfit(*odd[0][1:])
    return placed, odd


def _say_odd(number: int, text: str, start: int | None, found: int) -> Oddity:
    """What is said of an answer that stands elsewhere, or nowhere (found < 0)."""
    named = f"answer {number}, {shorten(text)}, does not stand"
    if found >= 0:
        return MOVED, f"{named} at {start}: its first place, {found}, is taken", MOVED_FIX
    is_like_list = text.startswith(("[", "{"))
    fix = f'{PLACE_FIX}; a list is written in JSON: ["1912"]' if is_like_list else PLACE_FIX
    return MISSING, f"{named} in the context", fix


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _plain(value: Any) -> Any:
    return value.tolist() if type(value).__module__ == "numpy" and hasattr(value, "tolist") else value
