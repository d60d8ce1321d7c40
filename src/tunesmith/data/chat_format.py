"""Conversations as files hold them: lists of messages, Alpaca's instructions, ShareGPT's turns; all become messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from tunesmith.contracts import Column
from tunesmith.data.cells import read_cell
from tunesmith.data.columns import check_fields, find_alias, find_named
from tunesmith.data.options import GUESS_ROWS, RawChunk, ReadOptions, Record, Table, Unfit, take_sample
from tunesmith.data.rejects import BadRow, display, listed, shorten
from tunesmith.errors import DataError

MESSAGES, ALPACA, SHAREGPT = "OpenAI's messages", "Alpaca", "ShareGPT"
"""What people call the layouts."""
ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
"""Who speaks, as files say it → as models are told."""
EXAMPLE = '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'
_FIX = f"write {EXAMPLE}"
_KNOWN = ("messages", "conversations", "instruction")
_TEXT = Column("content", "text", ())
_INPUT, _OUTPUT, _SYSTEM = ("input",), ("output", "response"), ("system", "system_prompt")


def wants_messages(columns: Sequence[Column]) -> bool:
    """Whether a task with these columns takes conversations."""
    return any(column.holds == "messages" for column in columns)


def gather_messages(table: Table, columns: Sequence[Column], options: ReadOptions) -> Table:
    """Find how a source holds its conversations, and bring each into one list of messages.

    The first 1,000 rows tell the layout; the source is named by it from then on.

    Args:
        table: the source.
        columns: the task's columns; one of them holds messages.
        options: `mapping` may name the column of the conversations.

    Raises:
        DataError: it holds none, or holds them in two layouts.

    Example:
        >>> rows = iter([RawChunk([{"instruction": "Add.", "input": "1 1", "output": "2"}], [1], [])])
        >>> wanted = [Column("messages", "text", (), holds="messages")]
        >>> found = gather_messages(Table("a", None, rows), wanted, ReadOptions())
        >>> found.layout, next(found.chunks).fields[0]["messages"][0]
        ('Alpaca', {'role': 'user', 'content': 'Add.\\n\\n1 1'})
    """
    head = take_sample(table.chunks)
    sample = [record for chunk in head for record in chunk.records][:GUESS_ROWS]
    names = table.columns if table.columns is not None else list(dict.fromkeys(chain.from_iterable(sample)))
    table = replace(table, columns=names if sample else table.columns, chunks=chain(head, table.chunks))
    if not sample:
        return table
    field = next(column for column in columns if column.holds == "messages").name
    check_fields(options.mapping, [column.name for column in columns])
    place = _find(field, names, options, table.name)
    used = [name for name in (place, *_beside(place, names)) if name is not None]
    layout = _name(place, sample)
    chunks = (_convert(chunk, place, field, table.name, options) for chunk in table.chunks)
    return replace(table, chunks=chunks, made_from={field: ", ".join(used)}, layout=layout)


def _find(field: str, names: Sequence[str], options: ReadOptions, source: str) -> str:
    """The column that conversations stand in, or that of their instructions."""
    wish = options.mapping.get(field)
    if wish is not None:
        return find_named(wish, field, names, source)
    remembered = options.remembered.get(field, "")
    if remembered in names:
        return remembered
    found = [name for known in _KNOWN if (name := find_alias((known,), names)) is not None]
    if not found:
        fix = f"{_FIX}, or name the column: --set data.columns.{field}=NAME"
        raise DataError(f"{display(source)} has no conversations; columns: {listed(names)}", fix=fix)
    if len(found) > 1:
        message = f"{display(source)} holds conversations in two layouts at once: {listed(found)}"
        raise DataError(message, fix=f"name the right one: --set data.columns.{field}={found[0]}")
    return found[0]


def _is_instruction(place: str) -> bool:
    return find_alias(("instruction",), [place]) is not None


def _beside(place: str, names: Sequence[str]) -> tuple[str | None, ...]:
    """Further columns of a conversation: what goes with an instruction, what the system says."""
    system = find_alias(_SYSTEM, names)
    return (find_alias(_INPUT, names), find_alias(_OUTPUT, names), system) if _is_instruction(place) else (system,)


def _name(place: str, sample: Sequence[Record]) -> str:
    if _is_instruction(place):
        return ALPACA
    turns = (turn for record in sample for turn in _listed(record.get(place)) if isinstance(turn, Mapping))
    return SHAREGPT if "from" in next(turns, {}) else MESSAGES


def _listed(cell: Any) -> Sequence[Any]:
    return cell if isinstance(cell, (list, tuple)) else ()


def _convert(chunk: RawChunk, place: str, field: str, source: str, options: ReadOptions) -> RawChunk:
    records, fields, lines, faults = list[Record](), list[Record](), list[int](), list(chunk.faults)
    for record, line in zip(chunk.records, chunk.lines, strict=True):
        try:
            messages = list(_read(record, place))
            _check(messages, options)
        except Unfit as fault:
            faults.append(BadRow(source, line, field, shorten(record.get(place)), fault.problem, fault.fix))
            continue
        records.append(record)
        fields.append({field: messages})
        lines.append(line)
    return RawChunk(records, lines, faults, chunk.remarks, fields)


def _read(record: Record, place: str) -> Iterator[dict[str, str]]:
    """The messages of a row, in order."""
    names = list(record)
    system = find_alias(_SYSTEM, names)
    if system is not None and system != place and (said := _text(record[system], f"{system}: ", needed=False)):
        yield {"role": "system", "content": said}
    if _is_instruction(place):
        yield from _read_instruction(record, place, names)
        return
    cell = _parse(record.get(place))
    if isinstance(cell, str):  # what somebody types is what a user says
        yield {"role": "user", "content": _text(cell, "")}
        return
    if not isinstance(cell, (list, tuple)):
        came = "the conversation is missing" if cell is None else f"is a {type(cell).__name__}, wanted a list"
        raise Unfit(came, _FIX)
    if not cell:
        raise Unfit("the conversation has no message", _FIX)
    for number, turn in enumerate(cell, start=1):
        yield _message(turn, number)


def _parse(cell: Any) -> Any:
    """Lists that stand in a cell as JSON, as in CSV; what NumPy holds as lists."""
    if type(cell).__module__ == "numpy" and hasattr(cell, "tolist"):
        cell = cell.tolist()
    if isinstance(cell, str) and cell.lstrip()[:2] in ("[{", "[]"):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError) as error:
            raise Unfit(f"begins like a list of messages, but is no valid JSON: {error}", _FIX) from error
    return cell


def _read_instruction(record: Record, place: str, names: Sequence[str]) -> Iterator[dict[str, str]]:
    given, written = find_alias(_INPUT, names), find_alias(_OUTPUT, names)
    asked = _text(record.get(place), "")
    more = _text(record[given], f"{given}: ", needed=False) if given is not None else ""
    yield {"role": "user", "content": f"{asked}\n\n{more}" if more else asked}
    if written is not None and (answer := _text(record[written], f"{written}: ", needed=False)):
        yield {"role": "assistant", "content": answer}


def _message(turn: Any, number: int) -> dict[str, str]:
    where = f"message {number}: "
    if isinstance(turn, Mapping) and {"from", "value"} <= turn.keys():
        told, content = turn["from"], turn["value"]
    elif isinstance(turn, Mapping) and {"role", "content"} <= turn.keys():
        told, content = turn["role"], turn["content"]
    else:
        raise Unfit(f"{where}is no object with role and content", _FIX)
    role = ROLES.get(told.strip().lower()) if isinstance(told, str) else None
    if role is None:
        raise Unfit(f"{where}the role {shorten(told)} is unknown", "write system, user or assistant")
    return {"role": role, "content": _text(content, where)}


def _text(cell: Any, where: str, *, needed: bool = True) -> str:
    try:
        found = read_cell(_TEXT, cell, {})
    except Unfit as fault:
        raise Unfit(where + fault.problem, fault.fix) from fault
    if isinstance(found, (list, Mapping)):
        raise Unfit(f"{where}is a {type(found).__name__}, wanted a text", "write the content as one text")
    if found is None and needed:
        what = "is missing" if cell is None else "is empty"
        raise Unfit(f"{where}the content {what}", "fill it in, or remove the message")
    return "" if found is None else str(found)


def _check(messages: Sequence[Mapping[str, str]], options: ReadOptions) -> None:
    roles = [message["role"] for message in messages]
    if options.labels_required and "assistant" not in roles:
        raise Unfit("no message is the assistant's, so there is nothing to learn", "add its answer, or remove the row")
    if roles[-1] == "system":
        raise Unfit("the last message is the system's, which asks nothing", "add what the user says")
