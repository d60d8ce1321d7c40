"""SQuAD's JSON (1.1 and 2.0, and what is written like it): articles, their paragraphs, questions on each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tunesmith.data.options import ENCODING_FIX, RawChunk, Record, Table
from tunesmith.data.rejects import BadRow, display, shorten
from tunesmith.data.streams import OpenSource
from tunesmith.errors import DataError

LAYOUT = "SQuAD"
NAMED_BY = "id"
IMPOSSIBLE = "is_impossible"
"""The mark of version 2.0 on a question that its text does not answer."""
CHUNK_ROWS = 8192
_START = re.compile(rb'^\s*\{[^\[\]{}]*"data"\s*:\s*\[')
_PARAGRAPHS = re.compile(rb'"paragraphs"\s*:\s*\[')
_OF_QUESTIONS = ("question", "answers", IMPOSSIBLE)
_FIX = 'write {"data": [{"paragraphs": [{"context": "…", "qas": [{"id": "…", "question": "…", "answers": […]}]}]}]}'


def is_squad(head: bytes) -> bool:
    r"""Whether the first bytes of a JSON file are those of this layout.

    Example:
        >>> is_squad(b'{"version": "1.1", "data": [{"title": "Oslo", "paragraphs": [')
        True
    """
    return bool(_START.match(head) and _PARAGRAPHS.search(head))


def read_squad(opened: OpenSource) -> Table:
    """Read all questions; the "line" of a row is the question's number, from 1, and its id is named beside it.

    Raises:
        DataError: it is no JSON, or an article or a paragraph lacks what it must have.
    """
    return Table(opened.name, None, _read(opened), layout=LAYOUT, named_by=NAMED_BY)


def _read(opened: OpenSource) -> Iterator[RawChunk]:
    chunk, lines = RawChunk([], [], []), list[int]()
    for number, (place, found) in enumerate(_questions(opened.name, _parse(opened)), start=1):
        if isinstance(found, dict):
            chunk.records.append(found)
            lines.append(number)
        else:
            problem = f"{place} is no object with a question"
            chunk.faults.append(BadRow(opened.name, number, None, shorten(found), problem, _FIX))
        if number % CHUNK_ROWS == 0:
            yield RawChunk(chunk.records, lines, chunk.faults)
            chunk, lines = RawChunk([], [], []), []
    yield RawChunk(chunk.records, lines, chunk.faults)


def _parse(opened: OpenSource) -> Any:
    try:
        return json.loads(opened.stream.read().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{display(opened.name)} is not UTF-8", fix=ENCODING_FIX) from error
    except (ValueError, RecursionError) as error:
        message = f"{display(opened.name)} is written like SQuAD, but is no valid JSON: {error}"
        raise DataError(message, fix="mend it there, or copy the file anew") from error


def _questions(name: str, content: Any) -> Iterator[tuple[str, Any]]:
    """Place and record of each question; what is no question as it stands there."""
    for number, article in enumerate(_list(name, content, "data", "the file"), start=1):
        title = article.get("title") if isinstance(article, Mapping) else None
        for inner, paragraph in enumerate(_list(name, article, "paragraphs", f"article {number}"), start=1):
            where = f"paragraph {inner} of article {number}"
            questions = _list(name, paragraph, "qas", where)
            if not isinstance(paragraph.get("context"), str):
                raise DataError(f"{display(name)}: {where} has no context", fix=_FIX)
            for place, question in enumerate(questions, start=1):
                yield f"question {place} of {where}", _record(question, paragraph["context"], title)


def _list(name: str, parent: Any, key: str, where: str) -> Sequence[Any]:
    found = parent.get(key) if isinstance(parent, Mapping) else None
    if not isinstance(found, list):
        raise DataError(f"{display(name)}: {where} has no list of {key}", fix=_FIX)
    return found


def _record(question: Any, context: str, title: Any) -> Any:
    if not isinstance(question, dict) or "question" not in question:
        return question if not isinstance(question, dict) else str(question)
    own = {key: question[key] for key in (NAMED_BY, *_OF_QUESTIONS) if key in question}
    record: Record = {**own, "context": context}
    return record if not isinstance(title, str) else {**record, "title": title}
