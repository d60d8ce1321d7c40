"""Who is compared: folders found by name or pattern, runs of one configuration, models that answer the same question.

Everything here is decided from the small files of the folders; no weights are loaded.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith import artifact
from tunesmith.artifact import Artifact
from tunesmith.config import resolve_config
from tunesmith.data.rejects import listed, printable
from tunesmith.errors import ModelError, UserError
from tunesmith.same_run import HARMLESS_FIELDS, leaves

SEED = "train.seed"
Named = str | Path


@dataclass(frozen=True)
class Contestant:
    """One system.

    Attributes:
        path: its folder, or the file of its predictions.
        found: the finished folder; None of a predictions file.
    """

    path: Path
    found: Artifact | None

    @property
    def seed(self) -> int | None:
        """The seed of its run, where it is known."""
        return None if self.found is None else int(self.found.facts["seed"])


def find_side(given: Named | Sequence[Named], side: str) -> tuple[Contestant, ...]:
    """Find the systems of one side.

    Args:
        given: a folder, a predictions file, a pattern such as "runs/a-*", or a list of folders and patterns.
        side: "A" or "B", for messages.

    Raises:
        ModelError: a folder is missing, unfinished or damaged, or no finished one fits the pattern.
        UserError: there is none, or the runs are not of one configuration with different seeds.
    """
    names = [given] if isinstance(given, (str, Path)) else list(given)
    paths = [path for name in names for path in _expand(name)]
    if not paths:
        raise UserError(f"{side} is an empty list", fix="give a model's folder")
    found = tuple(Contestant(path, None if path.is_file() else artifact.read_artifact(path)) for path in paths)
    if len(found) > 1:
        _check_one_configuration(found, side)
    return found


def _expand(name: Named) -> list[Path]:
    """The folder or file of that name; of a pattern all finished folders that fit, in order."""
    if Path(name).exists() or not glob.has_magic(str(name)):
        return [Path(name)]
    found = sorted(path for path in map(Path, glob.glob(str(name))) if artifact.is_complete(path))
    if not found:
        raise ModelError(
            f"no finished model fits the pattern {printable(str(name))}", fix="give folders that fit wrote"
        )
    return found


def flatten_settings(found: Artifact) -> dict[str, str]:
    """What a run depends on: settings by their full name, its data by fingerprint, its base by hash."""
    config = json.loads(resolve_config(found.facts["config"]).model_dump_json())
    settings = {name: value for name, value in leaves(config) if name not in HARMLESS_FIELDS}
    settings |= {f"fingerprint of {name}": value for name, value in found.facts["data"]["fingerprints"].items()}
    return {**settings, "SHA-256 of the base model": found.facts["base"]["sha256"]}


def find_differences(first: Artifact, second: Artifact) -> dict[str, tuple[str, str]]:
    """Settings that two runs do not share: name → the two values."""
    one, other = flatten_settings(first), flatten_settings(second)
    names = sorted(one.keys() | other.keys())
    pairs = {name: (one.get(name, "not set"), other.get(name, "not set")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _check_one_configuration(runs: Sequence[Contestant], side: str) -> None:
    """Raise UserError unless the runs differ in their seed, and in nothing else."""
    first = runs[0]
    seeds: dict[int, Contestant] = {}
    for run in runs:
        if run.found is None or first.found is None:
            file = run if run.found is None else first
            raise UserError(f"{file.path} among the runs of {side} is a file", fix="give folders, or this file alone")
        differences = find_differences(first.found, run.found)
        differences.pop(SEED, None)
        if differences:
            name, (one, other) = next(iter(differences.items()))
            more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
            raise UserError(
                f"the runs of {side} are not of one configuration: {name} is {one} in {first.path} and {other} in "
                f"{run.path}{more}",
                fix=f"give runs that differ in {SEED} only",
            )
        twin = seeds.setdefault(int(run.found.facts["seed"]), run)
        if twin is not run:
            raise UserError(
                f"{twin.path} and {run.path} have the same seed, {run.seed}: one run, counted twice",
                fix=f"give runs that differ in {SEED}",
            )


def check_same_question(first: Sequence[Contestant], second: Sequence[Contestant]) -> Artifact:
    """Make sure that all systems answer the same question; gives the folder that says which.

    Raises:
        UserError: another task, other answers, or no folder at all.
    """
    found = [run for run in [*first, *second] if run.found is not None]
    if not found:
        raise UserError("A and B are both files of predictions", fix="give a model's folder for one of them")
    one = found[0]
    assert one.found is not None
    for other in found[1:]:
        assert other.found is not None
        _check_alike(one.path, one.found, other.path, other.found)
    return one.found


def _check_alike(path: Path, one: Artifact, other_path: Path, other: Artifact) -> None:
    facts = (
        ("task", one.facts["task"]["name"], other.facts["task"]["name"]),
        ("kind of answer", one.labels.kind, other.labels.kind),
    )
    for what, left, right in facts:
        if left != right:
            raise UserError(
                f"{path} and {other_path} cannot be compared: the {what} is {left} in the one and {right} in the other",
                fix="compare models of one task",
            )
    left_only = [name for name in one.labels.names if name not in other.labels.names]
    right_only = [name for name in other.labels.names if name not in one.labels.names]
    if left_only or right_only:
        parts = [f"only {path} knows {listed(left_only, 5)}"] if left_only else []
        parts += [f"only {other_path} knows {listed(right_only, 5)}"] if right_only else []
        raise UserError(
            f"{path} and {other_path} do not give the same answers: {'; '.join(parts)}",
            fix="train both on rows with the same labels",
        )
