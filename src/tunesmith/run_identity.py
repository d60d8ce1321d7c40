"""Whether two runs are the same: what a run depends on, where it is kept, what a finished folder says about it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunesmith import __version__, artifact, base_models, checkpoint, durable
from tunesmith.artifact import Artifact
from tunesmith.config import RunConfig
from tunesmith.data.rejects import listed
from tunesmith.errors import CheckpointError, ModelError, UserError
from tunesmith.folder_lock import LOCK_NAME
from tunesmith.labelled_rows import Splits
from tunesmith.optimization import AS_SET
from tunesmith.preparation import Setup
from tunesmith.same_run import Identity, differences, hash_names, hash_run
from tunesmith.settings import merge
from tunesmith.stored_weights import describe_outputs

CHECKPOINTS = "checkpoints"
"""Folder of the training states inside a run's folder."""
HASH_DIGITS = 6
"""Of the name of a folder that the user does not name."""
_OF_A_RUN = frozenset({LOCK_NAME, "rejected.jsonl", checkpoint.CURVES, "tensorboard", "wandb"})
_OF_NOBODY = frozenset({".DS_Store", ".gitignore", ".gitkeep", "lost+found"})


def make_identity(setup: Setup, trainable: Mapping[str, Tensor]) -> Identity:
    """What must be the same when the run is continued."""
    return Identity(
        config=settle(setup.config, setup.splits, setup.learning_rate.value),
        data_fingerprints=dict(setup.splits.fingerprints),
        base_model_sha256=setup.base.sha256,
        versions=versions(setup.precision, setup.model.device),
        trainable_sha256=hash_names(trainable),
    )


def settle(config: RunConfig, splits: Splits, learning_rate: float | None) -> dict[str, Any]:
    """The configuration with the columns and the learning rate found for the user written in.

    Naming them, as the command that the plan prints does, is then the same run as leaving them out.
    """
    found = {"data": {"columns": dict(splits.read["train"].mapping)}, "train": {"learning_rate": learning_rate}}
    return merge(json.loads(config.model_dump_json()), found)


def choose_folder(config: RunConfig, splits: Splits) -> Path:
    """The folder that the user names; without one runs/<task>-<hash of the run>, which the same run finds again."""
    if config.output.folder is not None:
        return Path(config.output.folder)
    settled = settle(config, splits, config.train.learning_rate)
    which = hash_run(Identity(settled, dict(splits.fingerprints), "", {}, ""))
    return Path("runs") / f"{config.task.name}-{which[:HASH_DIGITS]}"


def check_folder(folder: Path, base: str | None, own: frozenset[str] = frozenset()) -> None:
    """Refuse a folder in which a run would write over, or remove, what is not its own. Nothing is written here.

    Its own is a finished model, a training state, and what a run leaves that was killed before its first state.

    Args:
        folder: of the run.
        base: the model that it starts from, as the user named it; None: from nothing.
        own: names of further files and folders that such a run leaves.

    Raises:
        UserError: the folder is somebody else's, is the base model's, or is no folder.
    """
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file, wanted a folder to write the model into", fix="give another --out")
    if not folder.is_dir():
        return
    if base not in (None, *base_models.ALIASES) and _is_same(folder, Path(str(base)).expanduser()):
        raise UserError(f"{folder} is the base model that training starts from", fix="give another --out")
    if artifact.is_complete(folder) or checkpoint.has_states(folder / CHECKPOINTS):
        return
    foreign = sorted(path.name for path in folder.iterdir() if not _is_left_over(path, own))
    if foreign:
        raise UserError(
            f"{folder} holds files that no run of Tunesmith wrote: {listed(foreign, 5)}", fix="give a new folder: --out"
        )


def _is_same(folder: Path, other: Path) -> bool:
    return other.is_dir() and folder.samefile(other)


def _is_left_over(path: Path, own: frozenset[str]) -> bool:
    """Whether something may lie in the folder of a run that has no state yet."""
    if path.name == CHECKPOINTS:
        return path.is_dir() and all(map(checkpoint.is_ours, path.iterdir()))
    if path.name in _OF_A_RUN | own:
        return (path.parent / LOCK_NAME).is_file()  # every run writes that first
    return path.name in _OF_NOBODY or durable.is_temporary(path.name)


def versions(precision: torch.dtype, device: torch.device) -> dict[str, str]:
    """What computes, and how: versions of the libraries, threads, precision, device."""
    return {
        "tunesmith": __version__,
        "torch": str(torch.__version__),
        "transformers": version("transformers"),
        "safetensors": version("safetensors"),
        "python": platform.python_version(),
        "torch_threads": str(torch.get_num_threads()),
        "precision": str(precision).removeprefix("torch."),
        "device": device.type,
    }


def make_facts(setup: Setup, identity: Identity) -> dict[str, Any]:
    """What tunesmith.json says about a finished run."""
    config = identity.config
    return {
        "task": config["task"],
        "method": config["method"],
        "stores": setup.method.tags.stores,
        "adapter": dict(setup.method.adapter_config(setup.model)),
        "head": {**vars(setup.model.head_spec), "names": list(setup.model.head_spec.names)},
        **describe_outputs(setup.model),
        "trainable_parameters": sum(p.numel() for p in setup.model.parameters() if p.requires_grad),
        "base": {"name": setup.base.name, "revision": setup.base.revision, "sha256": setup.base.sha256},
        "data": {
            "fingerprints": dict(setup.splits.fingerprints),
            "train_rows": len(setup.splits.train),
            "dev_rows": len(setup.splits.dev) if setup.splits.held_out else 0,
            "sources": {name: read.source for name, read in setup.splits.read.items()},
            "columns": dict(setup.splits.read["train"].mapping),
        },
        "learning_rate": asdict(setup.learning_rate),
        "seed": setup.config.train.seed,
        "config": config,
        "versions": identity.versions,
    }


def find_finished(folder: Path, config: RunConfig, splits: Splits) -> Artifact | None:
    """What an earlier run of the same command gave; None where another one's folder is to be overwritten.

    The old model stays until the new one is there, and so do the states of an overwriting that was cut short.

    Raises:
        UserError: another run's model, or a damaged one, stands there and is not to be overwritten.
    """
    try:
        found = artifact.read_artifact(folder)
        rate = config.train.learning_rate or _ruled_rate(found.facts)
        base = _base_sha256(config, found)
        given = Identity(settle(config, splits, rate), dict(splits.fingerprints), base, {}, "")
        facts = found.facts
        differences = _compare(facts["config"], facts["data"]["fingerprints"], facts["base"]["sha256"], given)
    except UserError as error:
        if config.output.overwrite:
            return None
        raise UserError(error.message, fix="--set output.overwrite=true makes it again") from error
    if not differences:
        drop_leftovers(folder, given)
        return found
    if config.output.overwrite:
        return None
    raise CheckpointError(
        f"{folder} holds a finished model of another run: {'; '.join(differences)}",
        fix="give another --out, or --set output.overwrite=true to replace it",
    )


def _base_sha256(config: RunConfig, found: Artifact) -> str:
    """Hash of the base weights as they are now; of those of then where they are not to be had any more."""
    try:
        return base_models.resolve(config.model.name, revision=config.model.revision).sha256
    except ModelError:
        return str(found.facts["base"]["sha256"])


def _ruled_rate(facts: Mapping[str, Any]) -> float | None:
    """The learning rate of a finished run, where the rule chose it and not the user."""
    chosen = facts["learning_rate"]
    return None if chosen["reason"] == AS_SET else chosen["value"]


def drop_leftovers(folder: Path, given: Identity) -> None:
    """Remove the states of the finished run where its process was killed just before it would have."""
    with suppress(CheckpointError, OSError):
        loaded, _ = checkpoint.newest(folder / CHECKPOINTS)
        saved = loaded.identity if loaded else None
        if saved and not _compare(saved.config, saved.data_fingerprints, saved.base_model_sha256, given):
            checkpoint.clear(folder / CHECKPOINTS)


def _compare(
    config: Mapping[str, Any], fingerprints: Mapping[str, Any], base_sha256: str, given: Identity
) -> list[str]:
    """How a saved run differs from the given one in what a finished folder knows."""
    saved = replace(given, config=dict(config), data_fingerprints=dict(fingerprints), base_model_sha256=base_sha256)
    return differences(saved, given)
