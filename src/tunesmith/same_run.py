"""What must be the same for a run to be the same run, and what two runs do not share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from tunesmith.errors import CheckpointError

HARMLESS_FIELDS = frozenset(
    {
        "data.train",  # the place; the content is held by its fingerprint
        "data.dev",
        "corpus.files",
        "corpus.general",
        "corpus.folder",
        "evaluate.samples",
        "train.checkpoint_seconds",
        "train.checkpoint_steps",
        "train.keep_checkpoints",
        "evaluate.baselines",
        "evaluate.probe_rows",
        "evaluate.resamples",
        "output.folder",
        "output.overwrite",
        "output.trackers",
        "output.report",
        "output.language",
    }
)
"""Settings that do not touch the weights; they may differ when a run is continued."""


@dataclass(frozen=True)
class Identity:
    """What must be the same for a run to be continued; JSON values.

    Attributes:
        config: the resolved configuration, nested.
        data_fingerprints: of each split.
        base_model_sha256: of the weights that training started from.
        versions: of the libraries that compute.
        trainable_sha256: what `hash_names` returns for the trainable parameters.
    """

    config: dict[str, Any]
    data_fingerprints: dict[str, Any]
    base_model_sha256: str
    versions: dict[str, str]
    trainable_sha256: str


def hash_names(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and dtypes, whatever the order and the values.

    Example:
        >>> hash_names({"a": torch.zeros(2)}) == hash_names({"a": torch.ones(2)})
        True
    """
    lines = [f"{name} {tuple(tensor.shape)} {tensor.dtype}" for name, tensor in sorted(tensors.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def hash_run(identity: Identity) -> str:
    """SHA-256 of everything that `differences` compares: the same for the same run."""
    return hashlib.sha256(json.dumps(_compared(identity), sort_keys=True).encode()).hexdigest()


def check_identity(saved: Identity, now: Identity) -> None:
    """Refuse to continue a run with other arguments, data, weights or versions.

    Raises:
        CheckpointError: names every difference outside `HARMLESS_FIELDS`, with the old and the new value.
    """
    found = differences(saved, now)
    if found:
        fix = "give the same arguments to continue, another --out, or --set output.overwrite=true to start over"
        raise CheckpointError(f"this folder holds another, unfinished run: {'; '.join(found)}", fix=fix)


def differences(saved: Identity, now: Identity) -> list[str]:
    """Everything outside `HARMLESS_FIELDS` that is not the same, each with the old and the new value."""
    old, new = _compared(saved), _compared(now)
    return [
        f"{path} was {old.get(path, 'not set')}, now {new.get(path, 'not set')}"
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _compared(identity: Identity) -> dict[str, str]:
    """{dotted path: value as JSON}; the configuration's own paths stand without a prefix."""
    content = asdict(identity)
    config = {path: value for path, value in leaves(content.pop("config")) if path not in HARMLESS_FIELDS}
    return config | dict(leaves(content))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each value of nested mappings as (dotted path, JSON); an empty mapping is a value.

    Example:
        >>> dict(leaves({"train": {"epochs": 3}, "data": {}}))
        {'train.epochs': '3', 'data': '{}'}
    """
    if isinstance(value, Mapping) and (value or not path):
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}" if path else str(key))
    else:
        yield path, json.dumps(value, sort_keys=True, ensure_ascii=False)
