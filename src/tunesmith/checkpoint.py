"""Training states on disk: everything a run needs to go on bit for bit, and nothing it does not need.

Randomness of a step is a function of (seed, step), so no generator state is kept. A state is a folder
`step-N` of safetensors and JSON with a manifest (see `durable`); a folder unlike its manifest does not exist.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tunesmith import durable
from tunesmith.durable import disk_errors, write_file_atomic, write_folder
from tunesmith.errors import CheckpointError, TrainingError
from tunesmith.manifests import DamagedFolder, verify_folder
from tunesmith.same_run import Identity

MANIFEST = "MANIFEST.json"
STATE = "state.json"
CURVES = "metrics.jsonl"
"""The curves of the run so far, beside its states."""
FORMAT = 1

_NAME = re.compile(r"step-(\d{8,})(-replaced)?")
_TENSOR_FILES = {
    "trainable": "trainable.safetensors",
    "optimizer": "optimizer.safetensors",
    "best": "best.safetensors",
}


@dataclass(frozen=True)
class TrainingState:
    """Where a run stands after an optimizer step.

    Attributes:
        step: optimizer steps done.
        trainable: values of the trainable parameters by name, any shape and dtype.
        optimizer: what `optimizer_state.flatten_optimizer` returns.
        best: the weights with the best score so far, by name; None before the first evaluation.
        best_score: the score of `best`; finite.
        best_step: the step of `best`.
        evaluations_without_gain: evaluations since then.
        micro_batch_tokens: tokens in a forward–backward pass, as it is now.
        out_of_memory_splits: [step, micro_batch_tokens from there on] for each time that memory ran out.
        facts: further JSON values.
    """

    step: int
    trainable: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    best: dict[str, Tensor] | None = None
    best_score: float | None = None
    best_step: int = 0
    evaluations_without_gain: int = 0
    micro_batch_tokens: int = 0
    out_of_memory_splits: list[list[int]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Loaded:
    """A training state read from disk; its tensors are on the CPU and independent of the files.

    Attributes:
        state: the state.
        identity: of the run that wrote it.
        folder: where it was read.
    """

    state: TrainingState
    identity: Identity
    folder: Path


def save(folder: Path, state: TrainingState, identity: Identity, keep: int) -> Path:
    """Write `folder`/step-N; once it is there and verified, remove all but the `keep` newest.

    States of later steps are removed too: they were damaged, or are those of a run that was started over.
    Call it with the run's folder locked.

    Raises:
        TrainingError: the disk is full or bad; the states that were there before are intact then.
        ValueError: `keep` is below 1, or a score or fact is no JSON value (NaN is none).

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> state = TrainingState(step=120, trainable={"w": torch.ones(2)}, optimizer={})
        >>> save(folder, state, Identity({}, {}, "", {}, ""), keep=2).name
        'step-00000120'
    """
    if keep < 1:
        raise ValueError(f"keep is {keep}, wanted 1 or more")
    final = folder / f"step-{state.step:08d}"
    manifest = {"kind": "training state", "format": FORMAT, "step": state.step, "identity": asdict(identity)}
    files = _files(state)
    _make_way(final)
    write_folder(final, files, manifest_name=MANIFEST, manifest=manifest)
    try:
        verify_folder(final, MANIFEST)
    except DamagedFolder as error:
        fix = "check the disk and the memory, then run the same command again: it uses the state before"
        raise TrainingError(f"{final} reads back otherwise than written ({error.file})", fix=fix) from error
    _rotate(folder, state.step, keep)
    return final


def newest(folder: Path) -> tuple[Loaded | None, list[str]]:
    """Read the newest training state that is whole.

    Returns:
        The state, None where there is none, and a sentence for the user about each damaged one passed over.

    Raises:
        CheckpointError: the newest whole one was written by another version of this package.
    """
    damaged: list[str] = []
    for path in reversed(_states(folder)):
        try:
            loaded = _load(path)
        except DamagedFolder as error:
            damaged.append(f"{path.name} is damaged ({error.file}: {error.what})")
        else:
            return loaded, [f"{note}, using {path.name}" for note in damaged]
    return None, [f"{note}, and no older state is whole: starting from step 0" for note in damaged]


def is_ours(path: Path) -> bool:
    """Whether something in the folder of states is a state, the curves, or half of one left by a killed process."""
    return _step(path) >= 0 or path.name == CURVES or durable.is_temporary(path.name)


def has_states(folder: Path) -> bool:
    """Whether a training state, whole or damaged, stands in a folder."""
    return any((path / MANIFEST).is_file() for path in _states(folder))


def clear(folder: Path) -> None:
    """Remove every state and the curves; whatever else lies in the folder stays.

    Raises:
        OSError: something cannot be renamed.
    """
    found = list(folder.iterdir())
    if all(map(is_ours, found)):
        durable.discard(folder)  # at once: no half of it is ever seen
        return
    for path in filter(is_ours, found):
        durable.discard(path)


def trim_metrics(path: Path, step: int) -> int:
    """Cut a metrics.jsonl back to the lines of steps up to `step`; a torn last line goes too.

    Returns:
        The number of lines removed; lines that name no step are among them.

    Raises:
        TrainingError: the disk is full or bad; the file is as it was then.
    """
    with disk_errors(path):
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if _is_upto(line, step)]
    if len(kept) < len(lines):
        write_file_atomic(path, b"".join(kept))
    return len(lines) - len(kept)


def _files(state: TrainingState) -> dict[str, durable.Content]:
    numbers = {one.name: getattr(state, one.name) for one in fields(state) if one.name not in _TENSOR_FILES}
    files: dict[str, durable.Content] = {}
    for part, file in _TENSOR_FILES.items():
        tensors = getattr(state, part)
        if tensors is not None:
            files[file] = partial(_save_tensors, tensors)
    files[STATE] = (json.dumps(numbers, indent=1, allow_nan=False) + "\n").encode()
    return files


def _save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    # with the hashing after it 0.9 s and 2 MB of memory for 270 MB; saving to bytes first: 2.6 s and 350 MB
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def _load(path: Path) -> Loaded:
    manifest = verify_folder(path, MANIFEST)
    if manifest.get("format") != FORMAT:
        message = f"{path} has format {manifest.get('format')}, this version of Tunesmith reads format {FORMAT}"
        raise CheckpointError(message, fix="finish the run with the version that began it, or use another --out")
    if manifest.get("step") != _step(path):
        raise DamagedFolder(path, MANIFEST, f"belongs to step {manifest.get('step')}")
    state = TrainingState(
        **json.loads((path / STATE).read_bytes()),
        trainable=_load_tensors(path, _TENSOR_FILES["trainable"]),
        optimizer=_load_tensors(path, _TENSOR_FILES["optimizer"]),
        best=_load_tensors(path, _TENSOR_FILES["best"]) if _TENSOR_FILES["best"] in manifest["files"] else None,
    )
    return Loaded(state, Identity(**manifest["identity"]), path)


def _load_tensors(folder: Path, file: str) -> dict[str, Tensor]:
    try:
        # copies: the library maps the file, which may vanish, to addresses that are not aligned
        return {name: tensor.clone() for name, tensor in load_file(folder / file).items()}
    except (SafetensorError, OSError) as error:
        raise DamagedFolder(folder, file, f"cannot be read, {error}") from error


def _step(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else -1


def _states(folder: Path) -> list[Path]:
    """The step folders, oldest first; one that is being replaced comes before the one that replaces it."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _step(path) >= 0 and path.is_dir()]
    return sorted(found, key=lambda path: (_step(path), not path.name.endswith("-replaced")))


def _make_way(final: Path) -> None:
    """Put a whole state of the same step aside, where `newest` still finds it until the new one stands."""
    if not final.exists():
        return
    aside = final.with_name(f"{final.name}-replaced")
    with disk_errors(final):
        try:
            verify_folder(final, MANIFEST)
        except DamagedFolder:
            durable.discard(final)
            return
        if aside.exists():
            durable.discard(aside)
        os.rename(final, aside)


def _rotate(folder: Path, step: int, keep: int) -> None:
    """Remove all but the state of `step`, which was just verified, and the newest before it."""
    final = folder / f"step-{step:08d}"
    others = [path for path in _states(folder) if path != final]
    older = [path for path in others if _step(path) < step]
    kept = older[len(older) - min(keep - 1, len(older)) :]
    for path in others:
        if path not in kept:
            with suppress(OSError):  # what cannot go now goes after the next save
                durable.discard(path)


def _is_upto(line: bytes, step: int) -> bool:
    try:
        return line.endswith(b"\n") and int(json.loads(line)["step"]) <= step
    except (ValueError, TypeError, KeyError):
        return False
