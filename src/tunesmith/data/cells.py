"""Single cells: as a field holds them, or what is wrong with them."""

from __future__ import annotations

import math
from types import NoneType
from typing import Any

from tunesmith.contracts import Column
from tunesmith.data.answers import is_marked, read_answers
from tunesmith.data.options import ENCODING_FIX, Record, Unfit
from tunesmith.data.spans import read_spans
from tunesmith.data.text_lists import read_texts

MISSING_FIX = "fill it in, or remove the row"
_PLAIN_TEXTS = frozenset({str})
_PLAIN_LABELS = frozenset({str, int, float})


def are_plain(cells: list[Any], role: str, needed: bool) -> bool:
    """Whether every cell can be used as it stands: the usual case, seen without a step of Python a cell."""
    kinds = set(map(type, cells))
    if not needed:
        kinds.discard(NoneType)
    if not kinds <= (_PLAIN_TEXTS if role == "text" else _PLAIN_LABELS):
        return False
    distinct = cells if kinds == {str} and role == "text" and needed else set(cells)
    texts = [cell for cell in distinct if type(cell) is str]
    numbers = [cell for cell in distinct if type(cell) is float] if float in kinds else []
    return all(map(str.strip, texts)) and all(map(math.isfinite, numbers)) and not _text_problem("".join(texts))


def _text_problem(text: str) -> tuple[str, str] | None:
    if "\0" in text:
        return "holds a NUL character", "remove it"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character", "write the whole character"
    return None


def missing(column: Column, cell: Any) -> Unfit:
    """What is said of a cell that a row must have."""
    if column.holds == "answers":
        return Unfit("the answers are missing", "fill them in, [] where the text holds none")
    if column.holds == "spans":
        return Unfit("the spans are missing", "fill them in, [] where the text has none")
    if column.holds == "texts":
        return Unfit("the list of texts is missing", MISSING_FIX)
    what = "the text" if column.role == "text" else "the label"
    if isinstance(cell, str):
        return Unfit(f"{what} holds nothing but white space" if cell else f"{what} is empty", MISSING_FIX)
    return Unfit(f"{what} is missing", MISSING_FIX)


def _text(cell: Any) -> Any:
    value = _plain(cell)
    if isinstance(value, (bool, int, float)):
        raise Unfit("is a number, wanted a text", "write it as a text, or name another column as the text")
    return value


def read_cell(column: Column, cell: Any, record: Record) -> Any:
    """A cell as a field of this kind holds it; None where it is missing."""
    if column.holds == "messages":
        return cell
    if column.holds == "texts":
        texts = read_texts(cell)
        return texts if texts is None else [_checked(text) for text in texts]
    if column.holds == "spans":
        spans = read_spans(cell)
        for span in spans or []:
            _checked(span["label"])
        return spans
    if column.holds == "answers":
        answers = read_answers(cell, column.none_mark if is_marked(record.get(column.none_mark)) else "")
        for answer in answers or []:
            _checked(answer["text"])
        return answers
    return _text(cell) if column.role == "text" else _label(cell)


def _label(cell: Any) -> Any:
    """Numbers and texts stay what they are; true and false become words, as CSV would hold them."""
    value = _plain(cell)
    if isinstance(value, list):
        return [_word(inner) for inner in value]
    return _word(value)


def _word(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        raise Unfit("is no finite number", "write a finite number")
    return value


def _plain(value: Any) -> Any:
    """Plain Python value; None for a missing one.

    Raises:
        Unfit: a text, also inside a list, that no file can hold.
    """
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, str):
        return _checked(str(value)) if value.strip() else None
    if isinstance(value, bytes):
        raise Unfit("is no text in UTF-8", ENCODING_FIX)
    if isinstance(value, (list, tuple)):
        return [_checked(inner) if isinstance(inner, str) else _plain(inner) for inner in value]
    return None if type(value).__name__ in ("NAType", "NaTType") else value


def _checked(text: str) -> str:
    problem = _text_problem(text)
    if problem is not None:
        raise Unfit(*problem)
    return text
