"""The finished folder: written file by file, `tunesmith.json` last, so that its presence means complete.

A full or merged model is a plain Hugging Face folder; a method that leaves the trunk as it was stores the trained
parameters alone, in the format of PEFT (adapter_model.safetensors) where that knows the method, and names its base by
SHA-256.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tunesmith import __version__, durable, manifests, pages
from tunesmith.contracts import HeadSpec, Labels
from tunesmith.errors import ModelError, UserError
from tunesmith.model import Model
from tunesmith.sentence_folder import sentence_files
from tunesmith.stored_weights import describe_outputs, library_files

FACTS = "tunesmith.json"
CALIBRATION = "calibration.json"
FORMAT = 1
ADAPTER_CONFIG = "adapter_config.json"
CARD = "README.md"
REPORT = "report.html"
"""Shows what the other files say and names their SHA-256, so it is not among those that tunesmith.json lists."""
PRETRAINED = "pretrained"
"""Fact: the kind of a folder that pretraining wrote."""
UNLISTED = frozenset({CARD, "metrics.jsonl"})
"""Files of ours that the manifest may not name: the card may be edited, curves were not listed once."""


@dataclass(frozen=True)
class Artifact:
    """A finished folder, read and checked.

    Attributes:
        folder: where it is.
        facts: what tunesmith.json holds.
        labels: the answers.
        metrics: what metrics.json holds.
        calibration: what calibration.json holds; None in folders without one.
    """

    folder: Path
    facts: Mapping[str, Any]
    labels: Labels
    metrics: Mapping[str, Any]
    calibration: Any = None

    @property
    def head(self) -> HeadSpec:
        """What stands on the trunk."""
        stored = dict(self.facts["head"])
        return HeadSpec(**{**stored, "names": tuple(stored["names"])})


def is_complete(folder: Path) -> bool:
    """Whether a finished model stands in the folder."""
    return (folder / FACTS).is_file()


def write_artifact(
    folder: Path,
    model: Model,
    facts: Mapping[str, Any],
    labels: Labels,
    texts: Mapping[str, str],
    report: Callable[[Artifact], str] | None = None,
) -> None:
    """Write the finished folder; whatever else lies there stays.

    Args:
        folder: the run's folder.
        model: on the CPU, with its whole vocabulary.
        facts: task, method, base, data and so on; "stores" says "whole", "delta" or "adapter".
        labels: the answers.
        texts: further files by name, such as metrics.json and README.md.
        report: report.html as a function of all that, files and their SHA-256 included; None: an older one goes.

    Raises:
        TrainingError: the disk is full or bad; an older finished model is intact then.
        UserError: a file of somebody else has the name of one of these; nothing is written then.
    """
    described = {
        **facts,
        **describe_outputs(model),
        "head": {**vars(model.head_spec), "names": list(model.head_spec.names)},
        "max_tokens": model.max_tokens,
    }

    def render(ready: Path, written: Mapping[str, Any]) -> str | None:
        return None if report is None else report(Artifact(ready, written, labels, json.loads(texts["metrics.json"])))

    _write(folder, model, described, {"labels.json": _json(vars(labels)), **texts}, render)


def write_pretrained(folder: Path, model: Model, facts: Mapping[str, Any], texts: Mapping[str, str]) -> None:
    """Write the finished folder of a pretraining: a base model in Hugging Face format, which `fit --model` takes.

    Args:
        folder: the run's folder.
        model: on the CPU.
        facts: objective, data and so on.
        texts: further files by name; README.md is among them.

    Raises:
        TrainingError, UserError: see `write_artifact`.
    """
    _write(folder, model, {**facts, "kind": PRETRAINED, "stores": "whole"}, texts, lambda ready, written: None)


def _write(
    folder: Path,
    model: Model,
    facts: Mapping[str, Any],
    texts: Mapping[str, str],
    render: Callable[[Path, Mapping[str, Any]], str | None],
) -> None:
    """Weights, tokenizer and texts, staged and moved in; the report is made of the staged folder and its facts."""
    complete = {"format": FORMAT, "tunesmith_version": __version__, **facts}
    with durable.disk_errors(folder), _scratch(folder) as scratch:
        files: dict[str, durable.Content] = {
            path.relative_to(scratch).as_posix(): partial(_move, path)
            for path in library_files(scratch, model, facts["stores"])
        }
        if facts["stores"] == "adapter":
            adapter = {"base_model_name_or_path": facts["base"]["name"], **facts["adapter"]}
            files[ADAPTER_CONFIG] = _json(adapter).encode()
        if facts["stores"] != "delta":
            files |= sentence_files(model)
        files |= {name: text.encode() for name, text in texts.items() if name != CARD}
        ready = scratch / "ready"
        written = durable.write_folder(ready, files, manifest_name=FACTS, manifest=complete)
        _refuse_foreign(folder, files)
        page = render(ready, written)
        if page is not None:
            refuse_foreign_report(folder)
            durable.write_file_atomic(ready / REPORT, page)
        durable.write_file_atomic(folder / CARD, texts[CARD])
        _publish(ready, folder)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    path = folder / durable.temporary_name()
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _refuse_foreign(folder: Path, names: Iterable[str]) -> None:
    """What somebody put beside a finished model is not written over."""
    try:
        listed = manifests.verify_folder(folder, FACTS)["files"]
    except manifests.DamagedFolder:  # or none: then nothing tells its files from others
        return
    foreign = sorted(name for name in names if (folder / name).exists() and name not in {*listed, *UNLISTED})
    if foreign:
        raise UserError(
            f"{folder / foreign[0]} is no file of the model that stands there, and the new one would replace it",
            fix="move it away, then run the same command again: it continues",
        )


def refuse_foreign_report(folder: Path) -> None:
    """Raise UserError where report.html is somebody else's."""
    if (folder / REPORT).exists() and not pages.is_ours(folder / REPORT):
        raise UserError(
            f"{folder / REPORT} was not written by Tunesmith, and the report of this model would replace it",
            fix="move it away, or --set output.report=none",
        )


def _publish(ready: Path, folder: Path) -> None:
    """Move the staged files in; the old description goes first and the new one comes last."""
    files = [path.relative_to(ready).as_posix() for path in ready.rglob("*") if path.is_file()]
    new = sorted(name for name in files if name != FACTS)
    old = _listed(folder) | ({REPORT} if pages.is_ours(folder / REPORT) else set())
    for name in sorted(old - set(new)):  # weights of another method would be loaded beside ours
        (folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # its folder goes when nothing is left in it
            if "/" in name:
                (folder / name).parent.rmdir()
    (folder / FACTS).unlink(missing_ok=True)
    for name in new:
        durable.make_folder((folder / name).parent)
        (ready / name).replace(folder / name)
        if "/" in name:
            durable.sync((folder / name).parent)
    durable.sync(folder)
    (ready / FACTS).replace(folder / FACTS)
    durable.sync(folder)


def _listed(folder: Path) -> set[str]:
    """Names of the files of an older finished model, whole or damaged."""
    try:
        names = json.loads((folder / FACTS).read_bytes())["files"]
        return {name for name in names if manifests.is_plain(name)}
    except (OSError, ValueError, TypeError, KeyError):
        return set()


def _move(source: Path, target: Path) -> None:
    source.replace(target)


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_facts(folder: str | Path) -> dict[str, Any]:
    """Check a finished folder, fine-tuned or pretrained, and read what its tunesmith.json says.

    Raises:
        ModelError: it is missing, unfinished, damaged or of a newer format.
    """
    path = Path(folder)
    if not path.is_dir():
        raise ModelError(f"there is no folder {folder}", fix="give the folder that tunesmith fit wrote")
    if not is_complete(path):
        state = "holds an unfinished run" if (path / "checkpoints").is_dir() else "is no Tunesmith model"
        fix = "run the same tunesmith fit or pretrain command again"
        raise ModelError(f"{folder} {state}: it has no {FACTS}", fix=fix)
    try:
        facts = manifests.verify_folder(path, FACTS)
    except manifests.DamagedFolder as error:
        raise ModelError(error.message, fix=error.fix) from error
    if facts["format"] > FORMAT:
        raise ModelError(
            f"{folder} has format {facts['format']}, this version reads up to {FORMAT}",
            fix="pip install -U tunesmith",
        )
    return facts


def read_artifact(folder: str | Path) -> Artifact:
    """Read and check the finished folder of a fine-tuning.

    Raises:
        ModelError: it is missing, unfinished, damaged, of a newer format, or a pretrained model.
    """
    path, facts = Path(folder), read_facts(folder)
    if facts.get("kind") == PRETRAINED:
        raise ModelError(
            f"{folder} is a pretrained model, which answers nothing yet",
            fix=f"fine-tune it: tunesmith fit data.csv --model {folder}",
        )
    stored, metrics = (_read_json(path / name) for name in ("labels.json", "metrics.json"))
    labels = Labels(tuple(stored["names"]), tuple(stored["counts"]), stored["kind"], stored["statistics"])
    listed = CALIBRATION in facts["files"]  # a file that somebody put there is none of this model
    return Artifact(path, facts, labels, metrics, _read_json(path / CALIBRATION) if listed else None)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is no JSON: {error}", fix="copy the folder anew, or fit again") from error
