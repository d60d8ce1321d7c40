"""The models that are served: found, loaded, named, described; rows in, answers out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from tunesmith import api, asking, calibrating, engine, inference
from tunesmith.artifact import CARD, FACTS
from tunesmith.contracts import Column, Labels, Task, Writes
from tunesmith.errors import UserError
from tunesmith.output_filter import OutputFilter, show_whole
from tunesmith.predictor import Predictor
from tunesmith.serving.prepacking import prepack

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
REPORT = "report.html"
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Hosted:
    """A model that is served.

    Attributes:
        name: what it is called in paths.
        predictor: the loaded model.
        card: text of its model card, or None.
        report: its report as one HTML page, or None.
        manifest_sha256: of the file that names all others with their SHA-256.
        precision: "fp32" or "bf16", of the large matrix products.
        autocast: whether PyTorch has to turn them to bf16 in each pass, because they are not laid out so.
        most_tokens: what it reads of a row that is too long; None where it reads all of it, in windows.
        output_filter: what it must not write; None: nothing is held back.
    """

    name: str
    predictor: Predictor
    card: str | None = None
    report: str | None = None
    manifest_sha256: str = ""
    precision: str = "fp32"
    autocast: bool = False
    most_tokens: int | None = None
    output_filter: OutputFilter | None = None

    @property
    def task(self) -> Task:
        """Its task."""
        return self.predictor.task

    @property
    def labels(self) -> Labels:
        """Its answers."""
        return self.predictor.artifact.labels

    @property
    def text_columns(self) -> tuple[Column, ...]:
        """Fields of a row that are asked about."""
        return tuple(column for column in self.task.columns if column.role == "text")

    @property
    def label_field(self) -> str | None:
        """Field of a row that holds the right answer; None where none does, as in conversations."""
        return next((column.name for column in self.task.columns if column.role == "label"), None)

    @property
    def digest(self) -> str:
        """Tells two models of one name apart: the start of the SHA-256 of its manifest."""
        return self.manifest_sha256[:12]

    def sample_row(self) -> dict[str, Any]:
        """A row that can be asked about, made up: no text of anybody's data is shown."""
        fields = self.task.Row.model_json_schema()["properties"]
        trained_on = self.predictor.artifact.facts["data"].get("columns", {})
        texts = [c.name for c in self.text_columns if c.name in trained_on and holds_text(fields, c)]
        return asking.sample_row(self.task, self.language, texts)

    @property
    def language(self) -> str:
        """In which it was made, as far as labels and settings tell: "zh" or "en"."""
        wished = self.predictor.artifact.facts["config"].get("output", {}).get("language")
        is_chinese = self.labels.statistics.get("chinese") or any(map(CHINESE.search, self.labels.names))
        return "zh" if wished == "zh" or is_chinese else "en"

    def describe(self) -> dict[str, Any]:
        """What GET /v1/models says, without limits and links."""
        fields = self.task.Row.model_json_schema()["properties"]
        return {
            "name": self.name,
            "task": self.task.name,
            "kind": self.labels.kind,
            "labels": list(self.labels.names),
            "columns": {
                column.name: {
                    "required": column.required,
                    "title": fields[column.name]["title"],
                    "type": type_of(fields, column),
                }
                for column in self.text_columns
            },
            "right": self.label_field,
            "version": self.digest,
            "precision": self.precision,
            "reads_tokens": self.most_tokens,
            "examples": [self.sample_row()],
        }

    def answer(self, rows: Sequence[BaseModel], batch_tokens: int) -> list[BaseModel]:
        """Answer checked rows, calibrated; in order."""
        predictor, task, labels = self.predictor, self.task, self.labels
        precision = torch.bfloat16 if self.autocast else torch.float32
        plain = inference.predict_rows(predictor.model, task, rows, labels, batch_tokens, precision)
        answers = calibrating.apply(predictor.calibration, task, plain, labels)
        if self.output_filter is None or not isinstance(task, Writes):
            return answers
        return [_shown(answer, self.output_filter) for answer in answers]


def type_of(fields: dict[str, Any], column: Column) -> str:
    """What a request holds in that column: "string", "texts" (a list of strings) or "array"."""
    if column.holds == "texts":
        return "texts"
    return "string" if holds_text(fields, column) else "array"


def holds_text(fields: dict[str, Any], column: Column) -> bool:
    """Whether the field of that column in a JSON schema is a string."""
    field = fields[column.name]
    return any(option.get("type") == "string" for option in (field, *field.get("anyOf", ())))


def parse_specs(specs: Sequence[str]) -> dict[str, Path]:
    """Names and folders from `DIR` or `NAME=DIR`.

    Raises:
        UserError: a name cannot stand in a path, or came twice.

    Example:
        >>> {name: str(folder) for name, folder in parse_specs(["runs/reviews", "b=runs/x"]).items()}
        {'reviews': 'runs/reviews', 'b': 'runs/x'}
    """
    found: dict[str, Path] = {}
    for spec in specs:
        name, folder = _split(spec)
        if NAME.fullmatch(name) is None:
            wanted = "wanted up to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit"
            raise UserError(f"the model's name would be {name!r}; {wanted}", fix=f"give a name: good-name={folder}")
        if name in found:
            raise UserError(f"two models are called {name!r}", fix=f"give a name: {name}-2={folder}")
        found[name] = Path(folder)
    return found


def _split(spec: str) -> tuple[str, str]:
    if not Path(spec).is_dir():
        name, equals, folder = spec.partition("=")
        if equals:
            return name, folder
    return Path(spec).absolute().name, spec


def _shown(answer: Any, output_filter: OutputFilter) -> Any:
    """An answer with its text as far as it may be shown."""
    text = getattr(answer, "answer", None)
    return answer.model_copy(update={"answer": show_whole(text, output_filter)}) if isinstance(text, str) else answer


def load_hosted(
    specs: Sequence[str], precision: str = "fp32", output_filter: OutputFilter | None = None
) -> dict[str, Hosted]:
    """Load the folders that are to be served, card and report with them, so that no request reads a file.

    Args:
        specs: `DIR` or `NAME=DIR`.
        precision: "fp32" or "bf16".
        output_filter: what models that write must not write.

    Raises:
        UserError: a name or a folder cannot be used, or the processor does not compute in bf16.
    """
    loaded = {name: _load(name, folder, precision) for name, folder in parse_specs(specs).items()}
    return {name: replace(hosted, output_filter=output_filter) for name, hosted in loaded.items()}


def _load(name: str, folder: Path, precision: str) -> Hosted:
    predictor = api.load(folder)
    in_bf16 = precision == "bf16"
    if in_bf16 and engine.choose_precision("auto", predictor.model.device) != torch.bfloat16:
        message = "bf16 was asked for, but this processor has no instructions for it and would be slower"
        raise UserError(message, fix="leave --precision out")
    packed = prepack(predictor.model, torch.bfloat16 if in_bf16 else torch.float32)
    if isinstance(predictor.task, Writes):
        predictor.model.set_packed(False)  # once and for all: no thread may switch it while another one writes
    documents = _read(folder / CARD), _read(folder / REPORT)
    version, autocast = _digest(folder / FACTS), in_bf16 and not packed
    return Hosted(name, predictor, *documents, version, precision, autocast, find_most_tokens(predictor))


def find_most_tokens(predictor: Predictor) -> int | None:
    """What a model reads of a text that is too long for it; None where it reads all of it, in windows."""
    task, model = predictor.task, predictor.model
    long = "a " * (4 * model.max_tokens)
    sample = asking.sample_row(task, "en")
    row = task.Row(**{name: f"{text} {long}" if isinstance(text, str) else text for name, text in sample.items()})
    items = task.encode([row], inference.make_context(model, predictor.artifact.labels))
    return max(map(len, items[0].sequences)) if len(items) == 1 else None


def _read(path: Path) -> str | None:
    return path.read_text("utf-8", "replace") if path.is_file() else None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
