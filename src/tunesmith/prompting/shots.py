"""Labelled rows in front of a prompt: those most like the text, as many of each label, as long as they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith import data
from tunesmith.contracts import Task
from tunesmith.data.rejects import display
from tunesmith.errors import DataError, nearest
from tunesmith.prompting.template_file import Words, words_of
from tunesmith.tasks.classification_labels import class_name
from tunesmith.tasks.cosine_baselines import tfidf_vectors
from tunesmith.tasks.prompt_texts import MASK, count_tokens, fields_of, fill, shorten_fields

MOST_SHOTS = 32
LEAST_TOKENS = 8
"""An example is not cut to fewer: what is left would say nothing."""


@dataclass(frozen=True)
class Shot:
    """A labelled row: its texts by placeholder, and its label."""

    fields: Mapping[str, str]
    label: str


def read_shots(source: Any, task: Task, labels: Sequence[str], wording: str) -> list[Shot]:
    """Labelled rows of any source that `fit` reads.

    Raises:
        DataError: a row cannot be used, or has a label that is not among the labels.
    """
    read = data.read_rows(source, task.Row, task.columns)
    shots = []
    for line, row in zip(read.lines, read.rows, strict=True):
        name = class_name(row.label)
        if name not in labels:
            where = f"{display(read.source)}, line {line:,}, label"
            raise DataError(f"{where}: {name!r} is none of the labels", fix=nearest(name, labels))
        shots.append(Shot(fields_of(task.texts(row), wording), name))
    return shots


def texts_by_label(shots: Sequence[Shot]) -> dict[str, list[str]]:
    """The texts of each label.

    Example:
        >>> texts_by_label([Shot({"text": "a"}, "x"), Shot({"text": "b"}, "x")])
        {'x': ['a', 'b']}
    """
    found: dict[str, list[str]] = {}
    for shot in shots:
        found.setdefault(shot.label, []).append("\n".join(shot.fields.values()))
    return found


class Shots:
    """Chooses and writes the examples in front of prompts.

    Args:
        shots: at least one.
        words: of the labels; an example shows the first one of its label.
        wording: that examples are written in.
        between: stands behind each example.
        tokenizer: a fast tokenizer.
        most_tokens: of the whole prompt.
    """

    def __init__(
        self, shots: Sequence[Shot], words: Words, wording: str, between: str, tokenizer: Any, most_tokens: int
    ) -> None:
        self._shots, self._wording, self._between = shots, wording, between
        self._first_words = {label: some[0] for label, some in words_of(words).items()}
        self._longest = max(self._first_words.values(), key=len)
        self._tokenizer, self._most_tokens = tokenizer, most_tokens
        texts = [_whole(shot.fields) for shot in shots]
        self._vectors_of = tfidf_vectors(texts, longest=1)
        self._known: Any = self._vectors_of(texts) if self._vectors_of else None

    def fronts(self, fields: Sequence[Mapping[str, str]]) -> list[str]:
        """What stands in front of each row's prompt; "" where no example fits."""
        return [self._front(row, likeness) for row, likeness in zip(fields, self._likenesses(fields), strict=True)]

    def _likenesses(self, fields: Sequence[Mapping[str, str]]) -> Any:
        """Cosines of rows and examples: (B, N)."""
        if self._vectors_of is None:
            return np.zeros((len(fields), len(self._shots)))
        return (self._vectors_of([_whole(row) for row in fields]) @ self._known.T).toarray()

    def _front(self, fields: Mapping[str, str], likeness: Any) -> str:
        room = self._most_tokens - count_tokens(self._tokenizer, self._write(fields, self._longest))
        chosen: list[tuple[float, str]] = []
        for places in self._rounds(likeness):
            examples = [(float(likeness[place]), self._example(place, room // len(places))) for place in places]
            cost = sum(count_tokens(self._tokenizer, text) for _, text in examples)
            is_cut = any(text != self._example(place) for place, (_, text) in zip(places, examples, strict=True))
            if cost > room or len(chosen) + len(places) > MOST_SHOTS or (is_cut and chosen):
                break
            chosen, room = [*chosen, *examples], room - cost
        return "".join(text for _, text in sorted(chosen))  # the most alike stands last

    def _rounds(self, likeness: Any) -> list[list[int]]:
        """Places of examples, one of each label at a time, the most alike first."""
        of_label: dict[str, list[int]] = {}
        for place in np.argsort(-likeness, kind="stable").tolist():
            of_label.setdefault(self._shots[place].label, []).append(place)
        return [list(places) for places in zip(*of_label.values(), strict=False)]

    def _example(self, place: int, most_tokens: int | None = None) -> str:
        """An example, its texts cut where it would be too long."""
        shot = self._shots[place]
        word = self._first_words[shot.label]
        if most_tokens is None:
            return self._write(shot.fields, word) + self._between
        room = max(most_tokens, LEAST_TOKENS + count_tokens(self._tokenizer, self._write(_empty(shot.fields), word)))
        kept = shorten_fields(shot.fields, self._tokenizer, lambda some: self._write(some, word) + self._between, room)
        return self._write(kept, word) + self._between

    def _write(self, fields: Mapping[str, str], word: str) -> str:
        return fill(self._wording, {**fields, MASK: word}).text


def _whole(fields: Mapping[str, str]) -> str:
    return "\n".join(fields.values())


def _empty(fields: Mapping[str, str]) -> dict[str, str]:
    return dict.fromkeys(fields, "")
