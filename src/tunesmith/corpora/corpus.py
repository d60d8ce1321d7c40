"""A finished corpus: token ids of training and validation, read at random from the disk."""

from __future__ import annotations

import mmap
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith import manifests
from tunesmith.corpora.pieces import PARTS
from tunesmith.corpora.plan import FINISHED, FORMAT, PLAN, read_json
from tunesmith.corpora.shard_files import MANIFEST, shard_name
from tunesmith.errors import DataError

_OPEN_FILES = 200


class Stored:
    """Numbers that lie end to end in the files of all shards.

    Args:
        paths: one file a shard.
        counts: numbers in each.
        dtype: of a number.
    """

    def __init__(self, paths: Sequence[Path], counts: Sequence[int], dtype: str) -> None:
        self._paths = list(paths)
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        self._open: OrderedDict[int, NDArray[Any]] = OrderedDict()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, start: int, count: int) -> NDArray[Any]:
        """Numbers start … start + count, fewer at the end: (n,); not to be written to."""
        end = min(start + count, len(self))
        if not 0 <= start <= len(self):
            raise IndexError(f"{start} is not in 0 to {len(self)}")
        if end <= start:
            return np.empty(0, self._dtype)
        shard = int(np.searchsorted(self._starts, start, "right")) - 1
        pieces = []
        while start < end:
            first, behind = int(self._starts[shard]), int(self._starts[shard + 1])
            if behind > start:
                pieces.append(self._shard(shard)[start - first : min(end, behind) - first])
                start = min(end, behind)
            shard += 1
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _shard(self, number: int) -> NDArray[Any]:
        """The file as an array; the least used ones are closed, as a process may not have many open."""
        found = self._open.get(number)
        if found is None:
            with open(self._paths[number], "rb") as file:
                found = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), self._dtype)
            self._open[number] = found
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
        else:
            self._open.move_to_end(number)
        return found


@dataclass(frozen=True)
class CorpusPart:
    """Training or validation.

    Attributes:
        name: "train" or "validation".
        tokens: ids of all documents end to end; `tokens.read(start, count)`.
        words: 1 where a token begins a word, read likewise; None unless the texts were segmented.
        total_tokens: with those in front of and behind each document.
        total_bytes: UTF-8 bytes of the text.
        total_documents: how many.
    """

    name: str
    tokens: Stored
    words: Stored | None
    total_tokens: int
    total_bytes: int
    total_documents: int
    _ends: Stored

    @cached_property
    def documents(self) -> NDArray[np.int64]:
        """Token behind the last of each document: (total_documents,) ascending."""
        return self._ends.read(0, len(self._ends)).astype(np.int64, copy=False)


@dataclass(frozen=True)
class Corpus:
    """A finished folder.

    Attributes:
        folder: where it lies.
        facts: what corpus.json says: sources, tokenizer_sha256, vocabulary, options, validation, totals.
    """

    folder: Path
    facts: dict[str, Any]

    def part(self, name: str) -> CorpusPart:
        """ "train" or "validation".

        Raises:
            KeyError: another name.
        """
        if name not in PARTS:
            raise KeyError(f"{name}: wanted one of {', '.join(PARTS)}")
        shards, totals = self.facts["shards"], self.facts["totals"][name]
        tokens = [shard[name]["tokens"] for shard in shards]
        return CorpusPart(
            name,
            self._stored(name, "tokens", tokens, self.facts["token_type"]),
            self._stored(name, "words", tokens, "uint8") if self.facts["options"]["documents"]["segmented"] else None,
            totals["tokens"],
            totals["text_bytes"],
            totals["documents"],
            self._stored(name, "documents", [shard[name]["documents"] for shard in shards], "int64"),
        )

    def _stored(self, part: str, kind: str, counts: Sequence[int], dtype: str) -> Stored:
        paths = [self.folder / shard_name(number) / f"{part}.{kind}" for number in range(len(counts))]
        return Stored(paths, counts, dtype)


def open_corpus(folder: str | Path, *, verify: bool = False) -> Corpus:
    """Open a folder that `build_shards` has finished.

    Args:
        folder: the folder.
        verify: compare the SHA-256 of every file, not their sizes alone.

    Raises:
        DataError: it is not finished, or of another version.
        DamagedFolder: a file is missing, or not as it was written.
    """
    path = Path(folder)
    if not (path / FINISHED).is_file():
        what = "is not finished" if (path / PLAN).is_file() else "is no corpus"
        raise DataError(f"{path} {what}: there is no {FINISHED}", fix="run the command that makes it to its end")
    facts = read_json(path / FINISHED)
    if facts["format"] != FORMAT:
        raise DataError(f"{path} has format {facts['format']}, wanted {FORMAT}", fix="make the corpus again")
    sizes = {"tokens": np.dtype(facts["token_type"]).itemsize, "documents": 8}
    for number, shard in enumerate(facts["shards"]):
        inside = path / shard_name(number)
        if verify:
            manifests.verify_folder(inside, MANIFEST)
        for part in PARTS:
            for kind, width in sizes.items():
                _check_size(inside, f"{part}.{kind}", shard[part][kind] * width)
    return Corpus(path, facts)


def _check_size(folder: Path, name: str, wanted_bytes: int) -> None:
    file = folder / name
    size = file.stat().st_size if file.is_file() else None
    if size != wanted_bytes:
        what = "missing" if size is None else f"has {size:,} bytes, wanted {wanted_bytes:,}"
        raise manifests.DamagedFolder(folder, name, what)
