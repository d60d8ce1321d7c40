"""A finished model as a whole Hugging Face folder: merged, read back from the disk, compared, and only then named.

The folder is staged beside its final place. What another program would load from there answers the same rows as the
model before; where an output differs by more than `TOLERANCE`, nothing is left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunesmith import artifact, artifact_loading, data, durable, inference
from tunesmith.artifact import Artifact
from tunesmith.card_use import loads_elsewhere
from tunesmith.contracts import Encoded, Labels, Task, Writes
from tunesmith.errors import DataError, GateError, ModelError, UserError
from tunesmith.licences import licence_files, stated_licence
from tunesmith.model import Model
from tunesmith.model_card import render_card
from tunesmith.model_loading import load_published
from tunesmith.packing import pack
from tunesmith.predictor import Predictor
from tunesmith.projection import MOST_SCORES
from tunesmith.stored_weights import OUTPUTS

FORMATS = ("hf",)
TOLERANCE = 1e-5
"""Most that an output may differ by, in its own units."""
MOST_ROWS = 256
"""Rows that are compared; of more rows as many, spread evenly."""
_KEPT = ("metrics.json", "metrics.jsonl", "config.yaml")
_STAMPS = frozenset({"files", "format", "tunesmith_version"})
"""Facts that each folder gets anew."""

_FIX = "use the finished folder itself, which is as it was: tunesmith predict, or load() in Python"


@dataclass(frozen=True)
class Difference:
    """Where two models differ most.

    Attributes:
        value: of the output, as a distance; infinite where one is no number.
        row: the row, counted from 1 among those that were compared.
        output: name of the output, such as "logits".
    """

    value: float
    row: int
    output: str


@dataclass(frozen=True)
class Exported:
    """A folder that was written.

    Attributes:
        folder: where it is.
        merged: whether something was folded into the base model's weights, or their whole was stored already.
        rows: how many rows were compared.
        source: what they are.
        largest: where the two models differ most.
        licence: the base model's, as its card names it; None where it names none or is not to be had.
        bytes: size of the folder's files.
    """

    folder: Path
    merged: bool
    rows: int
    source: str
    largest: Difference
    licence: str | None
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """As `tunesmith export --json` prints it."""
        return {**asdict(self), "folder": str(self.folder), "tolerance": TOLERANCE}


@dataclass(frozen=True)
class _Rows:
    """What is compared: rows of the task, and how people find them."""

    rows: Sequence[Any]
    names: Sequence[str]
    source: str


def export(
    folder: str | Path, out: str | Path, *, rows: Any = None, options: data.ReadOptions | None = None
) -> Exported:
    """Write a finished model as a whole Hugging Face folder that answers as the model does.

    Args:
        folder: the finished model.
        out: the new folder; must not exist.
        rows: a file, DataFrame or list of dicts on which both are compared; default: the run's development rows.
        options: how it is read; labels are needed by tasks that write.

    Raises:
        MethodError: the method's change cannot be folded into weights.
        ModelError: the folder cannot be used, its base model is missing or another one, or Hugging Face has no class
            for its head.
        DataError: there are no rows to compare on.
        GateError: the new folder answers differently; nothing of it is left.

    Example:
        >>> export("runs/lora", "exported").largest.value  # doctest: +SKIP
        4.8e-07
    """
    target = Path(out)
    if target.exists():
        raise UserError(f"{target} exists already", fix="remove it, or give another --out")
    found = artifact.read_artifact(folder)
    _refuse_own_heads(found)
    model, method = artifact_loading.load_parts(found)
    if method is not None:
        method.merge(model)
    before = Predictor(found)
    before.model.set_packed(False)  # the very operations of the library: what differs is the merging alone
    chosen = _choose_rows(before, rows, options)
    licence, texts = _base_papers(found)
    facts = {
        **{key: value for key, value in found.facts.items() if key not in _STAMPS},
        "stores": "whole",
        "adapter": {},
        "base": {**found.facts["base"], "licence": licence},
        "exported": {"from": found.facts["stores"], "rows": len(chosen.rows), "tolerance": TOLERANCE},
    }
    with durable.staged_folder(target) as staged:
        texts = {**texts, **_kept(found), "README.md": render_card(facts, found.metrics, found.labels)}
        artifact.write_artifact(staged, model, facts, found.labels, texts)
        del model
        largest = _compare(before, _published(staged), chosen)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return Exported(target, method is not None, len(chosen.rows), chosen.source, largest, licence, size)


def _refuse_own_heads(found: Artifact) -> None:
    """A folder whose weights load and whose answers do not come out is worse than none."""
    head = found.head
    if loads_elsewhere({**found.facts, "stores": "whole"}):
        return
    described = f"pooling {head.pooling}, head {head.form}" + (f", {head.vectors} vectors" if head.vectors > 1 else "")
    raise ModelError(
        f"{found.folder} has a head that Hugging Face has no class for ({described})",
        fix="use it with Tunesmith, which stores such heads, or fit with --set task.pooling=standard "
        "--set task.head=standard where the task has them",
    )


def _choose_rows(predictor: Predictor, source: Any, options: data.ReadOptions | None) -> _Rows:
    """The user's rows, else the development rows of the run; at most `MOST_ROWS`."""
    if source is not None:
        needs_answers = isinstance(predictor.task, Writes)  # they are what is foreseen, token by token
        wanted = replace(options or data.ReadOptions(), labels_required=needs_answers)
        read = predictor.read(source, wanted)
        rows, names, named = read.rows, [f"line {line}" for line in read.lines], read.source
    else:
        try:
            splits = predictor.read_splits()
        except UserError as error:
            raise DataError(
                f"there are no rows to compare the models on: {error.message}",
                fix="--rows FILE, with rows such as the model answers",
            ) from error
        rows, named = splits.dev, "development rows" if splits.held_out else "training rows"
        names = [f"row {place + 1}" for place in range(len(rows))]
    count = min(len(rows), MOST_ROWS)
    places = [place * len(rows) // count for place in range(count)]
    picked = [rows[place] for place in places]
    if not isinstance(predictor.task, Writes):
        picked = inference.without_labels(predictor.task, picked)
    return _Rows(picked, [names[place] for place in places], named)


def _base_papers(found: Artifact) -> tuple[str | None, dict[str, str]]:
    """The base model's licence and the files that say it: its weights are in the new folder."""
    try:
        base = artifact_loading.same_base(found).folder
    except ModelError:
        if found.facts["stores"] != "whole":
            raise
        return None, {}
    return stated_licence(base), licence_files(base)


def _kept(found: Artifact) -> dict[str, str]:
    """What the finished folder says of the run, for the new one."""
    names = [*_KEPT, *([artifact.CALIBRATION] if found.calibration is not None else [])]
    paths = {name: found.folder / name for name in names}
    return {name: path.read_text("utf-8") for name, path in paths.items() if path.is_file()}


def _published(staged: Path) -> Model:
    """The staged folder as another program loads it."""
    written = artifact.read_artifact(staged)
    model, astray = load_published(staged, written.head, written.facts["max_tokens"])
    if astray:
        raise GateError(
            f"Hugging Face's class and the merged weights do not go together: {len(astray)} names, such as "
            f"{astray[0]}, stand on one side only; nothing was written",
            fix=_FIX,
        )
    model.set_units(**written.facts.get(OUTPUTS, {}))
    return model


def _compare(before: Predictor, after: Model, chosen: _Rows) -> Difference:
    """Have both answer each row.

    Raises:
        GateError: they differ by more than `TOLERANCE`, or read a text as other tokens.
    """
    task, labels = before.task, before.artifact.labels
    largest = Difference(0.0, 1, "none")
    for place, row in enumerate(chosen.rows):
        items, others = (_encode(model, task, row, labels) for model in (before.model, after))
        if [item.sequences for item in items] != [item.sequences for item in others]:
            _refuse(f"the tokens of {chosen.names[place]} of {chosen.source} are others")
        for output, value in _distances(task, (before.model, after), items):
            if not value <= largest.value:
                largest = Difference(value if value == value else math.inf, place + 1, output)
    if largest.value > TOLERANCE:
        _refuse(
            f"{largest.output} of {chosen.names[largest.row - 1]} of {chosen.source} differ by {largest.value:.3g}, "
            f"which is the largest difference; at most {TOLERANCE:g} is allowed"
        )
    return largest


def _refuse(what: str) -> None:
    raise GateError(
        f"the exported model would not answer as the model does: {what}; nothing was written",
        fix=_FIX,
    )


def _encode(model: Model, task: Task, row: Any, labels: Labels) -> list[Encoded]:
    return task.encode([row], inference.make_context(model, labels))


def _distances(task: Task, models: tuple[Model, Model], items: Sequence[Encoded]) -> Iterator[tuple[str, float]]:
    """Name of each output of one row, and the most by which two models differ in it."""
    batch = pack([items])
    with torch.inference_mode():
        one, other = (task.forward(model, batch) for model in models)
        for name, values in one.items():
            if values.ndim:  # sums over the row follow from the others
                yield name, _distance(values, other[name])
        if "logits" not in one and "hidden" in one and models[0].hf.get_output_embeddings() is not None:
            yield "logits", _vocabulary_distance(models, one, other)


def _vocabulary_distance(models: tuple[Model, Model], one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Of models that write: scores of the whole vocabulary, in pieces."""
    rows = max(1, MOST_SCORES // models[0].vocabulary_size)
    pieces = zip(one["hidden"].split(rows), other["hidden"].split(rows), strict=True)
    return max(
        (_distance(models[0].token_logits(left), models[1].token_logits(right)) for left, right in pieces), default=0.0
    )


def _distance(one: Tensor, other: Tensor) -> float:
    """The largest absolute difference; NaN where one of them is."""
    return float((one.float() - other.float()).abs().max()) if one.numel() else 0.0
