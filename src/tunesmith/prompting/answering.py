"""A base model that answers rows by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from tunesmith import asking, data
from tunesmith.contracts import Task
from tunesmith.data.rejects import shorten
from tunesmith.errors import ConfigError, DataError
from tunesmith.model import Model
from tunesmith.prompting.base import load_base
from tunesmith.prompting.calibrated import Calibrated
from tunesmith.prompting.cloze import Cloze
from tunesmith.prompting.descriptions import Descriptions, describe_labels
from tunesmith.prompting.likelihood import Likelihood
from tunesmith.prompting.request import GivenLabels, choose_wording, settle_request
from tunesmith.prompting.shots import Shot, Shots, read_shots, texts_by_label
from tunesmith.prompting.template_file import Template
from tunesmith.prompting.wordings import TEMPERATURES, TITLES, WRITES_TITLE, Kind, Way
from tunesmith.prompting.written import Written
from tunesmith.tasks import make_task
from tunesmith.tasks.classification_prediction import make_answer
from tunesmith.tasks.prompt_texts import fields_of

TASKS_OF: dict[Kind, tuple[str, dict[str, Any]]] = {
    "classification": ("text-classification", {"kind": "single"}),
    "extraction": ("text-to-text", {}),
    "questions": ("question-answering", {}),
    "generation": ("text-to-text", {}),
}
"""Whose rows are read, and its options."""


class Judge(Protocol):
    """A way to find the label of a text."""

    def scores(self, fields: Sequence[Mapping[str, str]]) -> Tensor:
        """How well each label fits the texts of each row, by placeholder: (B, C); the higher, the better."""
        ...


def zero_shot(
    model: str | Path, labels: GivenLabels | None = None, *, template: str | Path | None = None, shots: Any = None
) -> ZeroShot:
    """Let a base model answer by itself; nothing is trained and nothing is written.

    Args:
        model: alias, folder or hub id; see the documentation for what it can do as what it is.
        labels: names, as a list or with commas between them; names with their words or descriptions; or a YAML file.
        template: a template file, or a wording; default: the usual one.
        shots: a few labelled rows, in anything `fit` takes; nothing is trained on them.

    Raises:
        ModelError: there is no such model, or it cannot answer by itself.
        ConfigError: labels or template make no sense; of a file line and key are named.
        DataError: a row of `shots` cannot be used, or has another label.

    Example:
        >>> zero_shot("minilm", ["sport", "business"]).predict(["They won the match in extra time."])[0].label
        'sport'
    """
    asked = settle_request(labels, template)
    if shots is not None and asked.kind != "classification":
        raise ConfigError(f"{asked.where('task')}: {asked.kind} takes no examples", fix="write them into the template")
    loaded, way = load_base(str(model), asked)
    return ZeroShot(loaded, way, asked, shots)


class ZeroShot:
    """A base model that answers rows; made by `zero_shot`.

    Args:
        model: with a head that fits the way.
        way: in which it answers.
        asked: labels and wording.
        shots: labelled rows; None: there are none.

    Attributes:
        task: whose rows and answers these are.
        title: how answers are found, for people.
        labels: the labels that can be given; () where something is written.
    """

    def __init__(self, model: Model, way: Way, asked: Template, shots: Any = None) -> None:
        self._answer: Callable[[Sequence[Any]], list[Any]]
        self.task: Task = make_task(*TASKS_OF[asked.kind])
        self.labels = tuple(asked.labels)
        self.title = _title(way, asked)
        wording = choose_wording(asked, way)
        if asked.kind != "classification":
            self._answer = Written(model, asked, self.task, wording).answer
        else:
            known = [] if shots is None else read_shots(shots, self.task, self.labels, wording)
            judge = _make_judge(model, way, asked, wording, known)
            temperature = asked.temperature or TEMPERATURES[way]
            self._answer = partial(_choose_labels, judge, self.task, wording, self.labels, temperature)

    def predict(self, source: Any) -> list[Any]:
        """Answer texts, dicts, a DataFrame or a file; one Prediction a row, in order.

        Raises:
            DataError: a row cannot be used.
        """
        if isinstance(source, str) and source != "-" and not os.path.exists(source):
            raise DataError(f"there is no file {shorten(source)}", fix='put texts in brackets: predict(["a text"])')
        return self.predict_rows(self.read(source).rows)

    def as_rows(self, texts: Sequence[str]) -> list[Any]:
        """Texts given one by one as what `read` takes."""
        return asking.rows_of(texts, self.task.columns)

    def read(self, source: Any, options: data.ReadOptions | None = None) -> data.Rows:
        """Read all rows of a source; labels are not needed. Raises DataError for a bad row."""
        options = options or data.ReadOptions(labels_required=False)
        return data.read_rows(source, self.task.Row, self.task.columns, options)

    def stream(self, source: Any, options: data.ReadOptions | None = None) -> data.RowStream:
        """Read the rows of a source chunk by chunk, "-" being standard input; bad rows come with their chunk."""
        options = options or data.ReadOptions(labels_required=False)
        return data.stream_rows(source, self.task.Row, self.task.columns, options)

    def predict_rows(self, rows: Sequence[Any]) -> list[Any]:
        """Answer instances of the task's Row."""
        if not rows:
            return []
        return self._answer(rows)


def _title(way: Way, asked: Template) -> str:
    if asked.kind != "classification":
        return f"{WRITES_TITLE}; nothing was trained"
    return f"{TITLES[way]}; nothing was trained, and probabilities are not calibrated"


def _choose_labels(
    judge: Judge, task: Task, wording: str, labels: Sequence[str], temperature: float, rows: Sequence[Any]
) -> list[Any]:
    """The likeliest label of each row, and the probabilities of all."""
    scores = judge.scores([fields_of(task.texts(row), wording) for row in rows])
    return [
        make_answer(labels[int(row.argmax())], dict(zip(labels, row.tolist(), strict=True)))
        for row in (scores.double() / temperature).softmax(dim=-1)
    ]


def _make_judge(model: Model, way: Way, asked: Template, wording: str, known: Sequence[Shot]) -> Judge:
    if way == "descriptions":
        return Descriptions(model, describe_labels(asked, wording, texts_by_label(known)))
    prompted = (Cloze if way == "cloze" else Likelihood)(model, wording, asked.labels)
    if not known:
        return Calibrated(prompted)
    return Calibrated(
        prompted, Shots(known, asked.labels, wording, prompted.between, model.tokenizer, model.max_tokens)
    )
