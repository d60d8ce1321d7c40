"""The second pass over a split: a few bytes a row that duplicates, leaks and label faults are found in."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.checking.findings import MOST_EXAMPLES
from tunesmith.checking.splits import Split
from tunesmith.checking.texts import find_faults
from tunesmith.contracts import Labels, Task
from tunesmith.errors import DataError
from tunesmith.text_keys import exact_key, loose_key

MOST_LABELS = 100_000
"""Label names told apart; beyond that it is no column of labels."""
LABEL_CHARACTERS = 60
"""Texts longer than this are not compared with labels."""


@dataclass
class Facts:
    """What is kept of the rows of a split; arrays hold one item a row.

    Attributes:
        name: of the split.
        characters: length of the texts.
        exact: hashes of the texts, white space aside.
        loose: hashes of their letters and digits alone.
        answers: hashes of what the labels say.
        numbers: labels that are numbers; empty where they are not.
        labels: how often each label stands there.
        label_rows: the first rows of each label.
        no_answer: rows that hold no answer.
        faults: rows at fault by kind, all counted and the first ones named.
    """

    name: str
    characters: array[int] = field(default_factory=lambda: array("I"))
    exact: array[int] = field(default_factory=lambda: array("q"))
    loose: array[int] = field(default_factory=lambda: array("q"))
    answers: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[float] = field(default_factory=lambda: array("d"))
    labels: Counter[str] = field(default_factory=Counter)
    label_rows: dict[str, list[int]] = field(default_factory=dict)
    no_answer: int = 0
    faults: dict[str, tuple[int, list[int]]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Accepted rows."""
        return len(self.exact)

    def add_fault(self, kind: str, rows: Sequence[int]) -> None:
        """Count rows of one kind of fault; the first ones are kept."""
        count, first = self.faults.get(kind, (0, []))
        if rows:
            self.faults[kind] = (count + len(rows), first + list(rows[: MOST_EXAMPLES - len(first)]))


def as_numpy(values: array[int]) -> NDArray[np.int64]:
    """The items of an array of 8 bytes each, (N,), without copying."""
    return np.frombuffer(values, dtype=np.int64) if values else np.empty(0, np.int64)


def gather_facts(split: Split, task: Task, labels: Labels) -> Facts:
    """Read a split once more, with its labels known."""
    facts = Facts(split.name)
    stream = split.open(task)
    text_field = next((column.name for column in task.columns if column.role == "text"), "")
    header = stream.mapping.get(text_field)
    for chunk in stream:
        if chunk.rows:
            _add_rows(facts, chunk.rows, task, labels, header)
    return facts


def _add_rows(facts: Facts, rows: Sequence[Any], task: Task, labels: Labels, header: str | None) -> None:
    start = facts.rows
    parts = [task.texts(row) for row in rows]
    texts = [part[0] if len(part) == 1 else "\n".join(part) for part in parts]
    exact = [exact_key(part[0]) if len(part) == 1 else _join(map(exact_key, part)) for part in parts]
    loose = [loose_key(part[0]) if len(part) == 1 else _join(map(loose_key, part)) for part in parts]
    facts.characters.extend(map(len, texts))
    facts.exact.extend(map(hash, exact))
    facts.loose.extend([hash(key or plain) for key, plain in zip(loose, exact, strict=True)])
    answers = _add_answers(facts, rows, task, labels)
    _add_text_faults(facts, start, texts, loose)
    _add_row_faults(facts, start, parts, answers, header)


def _join(keys: Iterable[str]) -> str:
    """The joint of a pair must be seen: "a b" + "c" is not "a" + "b c"."""
    joined = "\0".join(keys)
    return joined if joined.strip("\0") else ""


def _add_text_faults(facts: Facts, start: int, texts: Sequence[str], loose: Sequence[str]) -> None:
    for kind, places in find_faults(texts).items():
        facts.add_fault(kind, [start + place for place in places])
    short = [place for place, key in enumerate(loose) if len(key) <= 1]
    single = [place for place in short if len(texts[place].strip()) == 1]
    facts.add_fault("one_character", [start + place for place in single])
    facts.add_fault("no_letters", [start + place for place in short if not loose[place] and place not in single])


def _add_row_faults(
    facts: Facts,
    start: int,
    parts: Sequence[tuple[str, ...]],
    answers: Sequence[tuple[str, ...]],
    header: str | None,
) -> None:
    named = [
        start + place
        for place, (part, names) in enumerate(zip(parts, answers, strict=True))
        if names and len(part[0]) <= LABEL_CHARACTERS and _is_label(part[0], names)
    ]
    facts.add_fault("text_is_label", named)
    facts.add_fault("header_rows", [start + place for place, part in enumerate(parts) if part[0] == header])
    twins = [start + place for place, part in enumerate(parts) if len(part) == 2 and part[0] == part[1]]
    facts.add_fault("equal_pair", twins)


def _is_label(text: str, names: Sequence[str]) -> bool:
    plain = text.strip().casefold()
    return any(plain == name.casefold() for name in names)


def _add_answers(facts: Facts, rows: Sequence[Any], task: Task, labels: Labels) -> list[tuple[str, ...]]:
    """Count the labels of a chunk; gives the names of each row."""
    start = len(facts.answers)
    try:
        answers = [task.answers(row, labels) for row in rows]
        facts.answers.extend(_answer_hashes(facts, rows, answers, task, labels))
    except DataError:
        answers = [_one_by_one(facts, start + place, row, task, labels) for place, row in enumerate(rows)]
    facts.no_answer += answers.count(())
    facts.labels.update(chain.from_iterable(answers))
    _keep_first(facts, start, answers)
    return answers


def _one_by_one(facts: Facts, index: int, row: Any, task: Task, labels: Labels) -> tuple[str, ...]:
    """The same for a row of a chunk in which some label does not fit the others."""
    try:
        names = task.answers(row, labels)
        facts.answers.extend(_answer_hashes(facts, [row], [names], task, labels))
    except DataError:
        facts.add_fault("misfit_labels", [index])
        facts.answers.append(hash("no answer"))
        return ()
    return names


def _answer_hashes(
    facts: Facts, rows: Sequence[Any], answers: Sequence[tuple[str, ...]], task: Task, labels: Labels
) -> list[int]:
    """Equal for rows whose labels say the same, in whatever order."""
    if labels.kind == "number":
        numbers = [float(task.gold(row, labels)) for row in rows]
        facts.numbers.extend(numbers)
        return [hash(repr(number)) for number in numbers]  # hash(-1.0) is hash(-2.0)
    fields = [column.name for column in task.columns if column.holds == "spans"]
    if not fields:
        return [hash(tuple(sorted(names))) for names in answers]
    return [hash(tuple(sorted(repr(span) for field in fields for span in getattr(row, field) or ()))) for row in rows]


def _keep_first(facts: Facts, start: int, answers: Sequence[tuple[str, ...]]) -> None:
    known = facts.label_rows
    for place, names in enumerate(answers):
        for name in names:
            first = known.get(name)
            if first is None:
                if len(known) < MOST_LABELS:
                    known[name] = [start + place]
            elif len(first) < MOST_EXAMPLES and first[-1] != start + place:
                first.append(start + place)
