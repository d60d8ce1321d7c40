"""What a corpus is made from, written down: whether a folder holds this one, another one or something else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tunesmith import durable
from tunesmith.corpora.files import fingerprint
from tunesmith.corpora.shard_files import PREFIX, token_type
from tunesmith.data.rejects import listed, shorten
from tunesmith.errors import UserError
from tunesmith.folder_lock import LOCK_NAME

PLAN, FINISHED = "plan.json", "corpus.json"
FORMAT = 1


def make_plan(sources: Sequence[str], tokenizer: Tokenizer, options: Mapping[str, Any]) -> dict[str, Any]:
    """What decides about a corpus.

    Raises:
        DataError: a source cannot be read.
    """
    vocabulary = tokenizer.get_vocab_size()
    plan = {
        "format": FORMAT,
        "sources": fingerprint(sources),
        "tokenizer_sha256": hashlib.sha256(tokenizer.to_str().encode()).hexdigest(),
        "vocabulary": vocabulary,
        "token_type": token_type(vocabulary),
        "options": options,
    }
    content: dict[str, Any] = json.loads(to_json(plan))
    return content


def find_changes(folder: Path, plan: dict[str, Any]) -> list[str]:
    """What differs from the corpus that the folder holds, in words; [] where it holds none."""
    name = next((name for name in (FINISHED, PLAN) if (folder / name).is_file()), None)
    if name is None:
        return []
    stored = read_json(folder / name)
    if stored["format"] != plan["format"]:
        return [f"the format, {stored['format']} → {plan['format']}"]
    changes = []
    before, now = (_hashes(content) for content in (stored, plan))
    if before != now:
        names = [source["name"] for source in plan["sources"] if source["sha256"] not in before]
        changes.append(f"the texts ({listed(names, 3) if names else 'fewer files, or another order'})")
    if stored["tokenizer_sha256"] != plan["tokenizer_sha256"]:
        changes.append("the tokenizer")
    old, new = (_flat(content["options"]) for content in (stored, plan))
    changes += [f"{key}, {shorten(old.get(key))} → {shorten(new[key])}" for key in new if old.get(key) != new[key]]
    return changes


def _hashes(plan: Mapping[str, Any]) -> list[str]:
    return [source["sha256"] for source in plan["sources"]]


def _flat(options: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in options.items() if key != "documents"}, **options["documents"]}


def refuse_foreign_files(folder: Path) -> None:
    """Refuse a folder with files that are not ours.

    Raises:
        UserError: there is one.
    """
    own = {PLAN, FINISHED, LOCK_NAME}
    names = [path.name for path in sorted(folder.iterdir())]
    other = [n for n in names if n not in own and not n.startswith(PREFIX) and not durable.is_temporary(n)]
    if other:
        raise UserError(f"{folder} holds other files: {listed(other, 3)}", fix="choose an empty folder")


def clear_corpus(folder: Path) -> None:
    """Remove a corpus so that no half of it is taken for a whole one."""
    for path in [folder / FINISHED, *sorted(folder.glob(f"{PREFIX}*"), reverse=True), folder / PLAN]:
        if path.exists():
            durable.discard(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read plan.json or corpus.json.

    Raises:
        UserError: it is damaged.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        if isinstance(content, dict) and {"format", "sources", "tokenizer_sha256", "options"} <= set(content):
            return content
    except ValueError:
        pass
    raise UserError(f"{path} is damaged", fix="remove the folder and make the corpus again")


def to_json(content: Mapping[str, Any]) -> str:
    """As plan.json and corpus.json are written."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
