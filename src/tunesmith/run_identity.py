"""Whether two runs are the same: what a run depends on, and what a finished folder says about it."""

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

from tunesmith import __version__, artifact, checkpoint, durable
from tunesmith.artifact import Artifact
from tunesmith.checkpoint import Identity
from tunesmith.config import RunConfig, merge
from tunesmith.errors import CheckpointError, UserError
from tunesmith.optimization import AS_SET
from tunesmith.preparation import Setup, Splits

CHECKPOINTS = "checkpoints"
"""Folder of the training states inside a run's folder."""


def make_identity(setup: Setup, trainable: Mapping[str, Tensor]) -> Identity:
    """What must be the same when the run is continued."""
    return Identity(
        config=settle(setup.config, setup.splits, setup.learning_rate.value),
        data_fingerprints=dict(setup.splits.fingerprints),
        base_model_sha256=setup.base.sha256,
        versions={
            **versions(),
            "torch_threads": str(torch.get_num_threads()),
            "precision": str(setup.precision).removeprefix("torch."),
            "device": setup.model.device.type,
        },
        trainable_sha256=checkpoint.hash_names(trainable),
    )


def settle(config: RunConfig, splits: Splits, learning_rate: float | None) -> dict[str, Any]:
    """The configuration with the columns and the learning rate found for the user written in.

    Naming them, as the command that the plan prints does, is then the same run as leaving them out.
    """
    found = {"data": {"columns": dict(splits.read["train"].mapping)}, "train": {"learning_rate": learning_rate}}
    return merge(json.loads(config.model_dump_json()), found)


def versions() -> dict[str, str]:
    """Versions of what computes."""
    return {
        "tunesmith": __version__,
        "torch": str(torch.__version__),
        "transformers": version("transformers"),
        "safetensors": version("safetensors"),
        "python": platform.python_version(),
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
        "trainable_parameters": sum(p.numel() for p in setup.model.parameters() if p.requires_grad),
        "base": {"name": setup.base.name, "revision": setup.base.revision, "sha256": setup.base.sha256},
        "data": {
            "fingerprints": dict(setup.splits.fingerprints),
            "train_rows": len(setup.splits.train),
            "dev_rows": len(setup.splits.dev),
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
        given = Identity(settle(config, splits, rate), dict(splits.fingerprints), "", {}, "")
        differences = _compare(found.facts["config"], found.facts["data"]["fingerprints"], given)
    except UserError as error:
        if config.output.overwrite:
            return None
        raise UserError(error.message, fix="--set output.overwrite=true makes it again") from error
    if not differences:
        _drop_leftovers(folder, given)
        return found
    if config.output.overwrite:
        return None
    raise CheckpointError(
        f"{folder} holds a finished model of another run: {'; '.join(differences)}",
        fix="give another --out, or --set output.overwrite=true to replace it",
    )


def _ruled_rate(facts: Mapping[str, Any]) -> float | None:
    """The learning rate of a finished run, where the rule chose it and not the user."""
    chosen = facts["learning_rate"]
    return None if chosen["reason"] == AS_SET else chosen["value"]


def _drop_leftovers(folder: Path, given: Identity) -> None:
    """Remove the states of the finished run where its process was killed just before it would have."""
    with suppress(CheckpointError, OSError):
        loaded, _ = checkpoint.newest(folder / CHECKPOINTS)
        if loaded and not _compare(loaded.identity.config, loaded.identity.data_fingerprints, given):
            durable.discard(folder / CHECKPOINTS)


def _compare(config: Mapping[str, Any], fingerprints: Mapping[str, Any], given: Identity) -> list[str]:
    """How a saved run differs from the given one in what a finished folder knows."""
    saved = replace(given, config=dict(config), data_fingerprints=dict(fingerprints))
    return checkpoint.differences(saved, given)
