"""What of a model's folder may be read: JSON strictly and without code in it, weights as safetensors alone."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from tunesmith.errors import ModelError

CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
INDEX_FILE: Final = "model.safetensors.index.json"
PICKLE_SUFFIXES: Final = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"})
SHARD_NAME: Final = re.compile(r"[\w.-]+\.safetensors", re.ASCII)
# Keys by which a config has made a loader run code that nobody asked for (CVE-2026-4372, CVE-2026-5241).
DROPPED_KEYS: Final = re.compile(r"_?(attn|experts)_implementation.*|trust_remote_code|_?use_kernels|kernel_config")
JSON_LIMIT_BYTES: Final = 32 * 2**20


def safe_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a config without what could make a loader fetch or run code, at every depth.

    Args:
        config: a parsed config.json.

    Returns:
        A copy without `attn_implementation`, `_attn_implementation*`, the same for experts,
        `trust_remote_code` and the kernel switches, and without any key whose value is a URL.

    Raises:
        ModelError: `auto_map` stands somewhere in it: such a model is code, not only weights.

    Example:
        >>> safe_config({"model_type": "bert", "_attn_implementation_internal": "someone/kernel"})
        {'model_type': 'bert'}
    """
    refuse_code(config, "config")
    return {key: _cleaned(value) for key, value in config.items() if _is_kept(key, value)}


def read_config(path: Path) -> dict[str, Any]:
    """Read a config.json and take out of it what `safe_config` does.

    Raises:
        ModelError: it is no strict JSON, names no architecture, or brings code.
    """
    config = read_json(path)
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise ModelError(
            f"{path}: field model_type is {model_type!r}, wanted a name such as 'bert'",
            fix="give a model that was saved with transformers' save_pretrained",
        )
    refuse_code(config, str(path))  # before it is copied, so that the file is named
    return safe_config(config)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object strictly: UTF-8, finite numbers, no key twice, bounded size and depth; else ModelError."""
    try:
        if path.stat().st_size > JSON_LIMIT_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes, wanted at most {JSON_LIMIT_BYTES}")
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_unique_keys)
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__} came, wanted an object in braces")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} cannot be read as strict JSON: {brief(error)}", fix="download or save the model again"
        ) from error
    return content


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"the number {text} came, wanted a finite one")
    return number


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} stands twice in one object")
    return dict(pairs)


def refuse_code(value: Any, where: str) -> None:
    """Raise ModelError when `auto_map` stands anywhere in parsed JSON; `where` grows with the path to it."""
    if isinstance(value, Mapping):
        if "auto_map" in value:
            raise ModelError(
                f"{where}: auto_map is {value['auto_map']!r}: this model brings Python code, which is never run",
                fix="use a model whose architecture is part of transformers; if this one's is, delete "
                "auto_map from the file",
            )
        for key, item in value.items():
            refuse_code(item, f"{where}: {key}")
    elif isinstance(value, list):
        for item in value:
            refuse_code(item, where)


def _is_kept(key: str, value: Any) -> bool:
    return not DROPPED_KEYS.fullmatch(key) and not (isinstance(value, str) and "://" in value)


def _cleaned(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _cleaned(item) for key, item in value.items() if _is_kept(key, item)}
    return [_cleaned(item) for item in value] if isinstance(value, list) else value


def weights_sha256(folder: Path) -> str:
    """SHA-256 of a folder's checked safetensors; of several, of the sorted lines "<hash>  <file name>".

    Raises:
        ModelError: there are none, or one is damaged.
    """
    if (folder / WEIGHTS_FILE).is_file():
        return _checked_sha256(folder / WEIGHTS_FILE)
    if not (folder / INDEX_FILE).is_file():
        refuse_weights(str(folder), [path.name for path in folder.iterdir()])
    lines = [f"{_checked_sha256(folder / name)}  {name}\n" for name in _shard_names(folder)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _shard_names(folder: Path) -> list[str]:
    """The weight files that an index names, sorted; each must be a file of the same folder."""
    weight_map = read_json(folder / INDEX_FILE).get("weight_map")
    named = sorted({str(name) for name in weight_map.values()}) if isinstance(weight_map, dict) else []
    wrong = [name for name in named if not SHARD_NAME.fullmatch(name) or not (folder / name).is_file()]
    if wrong or not named:
        raise ModelError(
            f"{folder / INDEX_FILE}: field weight_map names {', '.join(map(repr, wrong[:3])) or 'no file'}, "
            "wanted safetensors files of this folder",
            fix="download the model again, all files of it",
        )
    return named


def _checked_sha256(path: Path) -> str:
    """Hash a safetensors file whose header fits its size."""
    from safetensors import SafetensorError, safe_open

    with path.open("rb") as file:
        pointer = file.read(40).startswith(b"version https://git-lfs")
    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        kind = "a Git LFS pointer" if pointer else "damaged, cut short or of another format"
        raise ModelError(
            f"{path} is {kind}, wanted a safetensors file: {brief(error)}",
            fix="run `git lfs pull` in that folder" if pointer else "download the model again",
        ) from error
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_weights(where: str, files: Sequence[str]) -> NoReturn:
    """Raise ModelError: a place holds no weights that are read, pickled ones or none.

    Args:
        where: folder or hub id, for the message.
        files: names of what is there.
    """
    pickles = sorted(file for file in files if Path(file).suffix.lower() in PICKLE_SUFFIXES)
    if not pickles:
        raise ModelError(
            f"{where} holds no {WEIGHTS_FILE} and no {INDEX_FILE}",
            fix="give a model with safetensors weights",
        )
    raise ModelError(
        f"{where} holds weights only as {', '.join(pickles[:3])}, wanted {WEIGHTS_FILE}: a pickled file can "
        "run code when it is read",
        fix="convert it once where you trust it: load it with transformers and call save_pretrained(folder), "
        f"which writes {WEIGHTS_FILE}; then give that folder",
    )


def brief(error: BaseException) -> str:
    """The kind of an error and the first line of its text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
