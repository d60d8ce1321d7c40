"""Raw texts to token ids on the disk: shard by shard, going on after a kill, the same bytes in the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tunesmith import durable
from tunesmith.corpora.deduplicating import Duplicates, Memory
from tunesmith.corpora.documents import START, DocumentOptions, Position
from tunesmith.corpora.files import fingerprint
from tunesmith.corpora.pieces import PARTS, Counts, Piece, Place, Reading, stream_pieces
from tunesmith.corpora.shard_files import (
    PREFIX,
    ShardBuilder,
    count_bytes,
    read_place,
    shard_name,
    token_type,
    verified_shards,
)
from tunesmith.corpora.splitting import Validation, settle_validation
from tunesmith.data.rejects import listed, shorten
from tunesmith.errors import DataError, UserError
from tunesmith.folder_lock import LOCK_NAME, lock_folder

PLAN, FINISHED = "plan.json", "corpus.json"
FORMAT = 1
BLOCK_BYTES = 1_000_000
"""Text that the tokenizer is given at once."""


@dataclass(frozen=True)
class ShardOptions:
    """How texts become token ids.

    Attributes:
        documents: how they are read.
        duplicates: which documents are dropped: "none", "exact" ones, or "near" ones, too.
        validation: "documents" holds whole documents out, "tail" the last part of each; "auto": "tail" where there
            are fewer than 100 documents.
        validation_fraction: of documents, or of the characters of each; 0 to below 1.
        seed: which documents are held out.
        prefix_ids: token ids in front of each document, such as that of [CLS].
        suffix_ids: token ids behind each document, such as that of [SEP] or </s>.
        shard_bytes: of text in a shard, about.
    """

    documents: DocumentOptions = field(default_factory=DocumentOptions)
    duplicates: Duplicates = "exact"
    validation: Validation = "auto"
    validation_fraction: float = 0.01
    seed: int = 13
    prefix_ids: tuple[int, ...] = ()
    suffix_ids: tuple[int, ...] = ()
    shard_bytes: int = 16_000_000


@dataclass(frozen=True)
class ShardProgress:
    """How far a corpus is, after each shard.

    Attributes:
        shards: that are done.
        resumed_shards: of them, those that an earlier run left.
        documents: in both parts; one that was cut counts in each.
        text_bytes: UTF-8 bytes of their text.
        tokens: in both parts.
        source_bytes: of all files as they lie on the disk.
        left_out: documents by reason: "duplicates", "empty", "bad".
    """

    shards: int
    resumed_shards: int
    documents: int
    text_bytes: int
    tokens: int
    source_bytes: int
    left_out: Mapping[str, int]


def build_shards(
    folder: str | Path, sources: Sequence[str], tokenizer: Any, options: ShardOptions, *, overwrite: bool = False
) -> Iterator[ShardProgress]:
    """Tokenize all texts into a folder that `open_corpus` reads; nothing is done where it is finished.

    A run that was killed goes on behind its last whole shard and ends with the same bytes. Memory stays below a
    gigabyte, duplicates aside: see `deduplicating`.

    Args:
        folder: is made.
        sources: see `files.list_files`.
        tokenizer: a `tokenizers.Tokenizer` or a fast one of `transformers`; its truncation and padding are not used.
        options: how.
        overwrite: make a corpus of other texts, another tokenizer or other options anew instead of refusing.

    Raises:
        DataError: a source cannot be read, or no text is left.
        UserError: the folder holds something else, or another process is writing in it.
        TrainingError: the disk is full or bad; what was written stays.
    """
    path = Path(folder)
    if not 0 <= options.validation_fraction < 1:
        message = f"validation_fraction is {options.validation_fraction}, wanted 0 or more and less than 1"
        raise UserError(message, fix="take 0.01, say")
    plain = plain_tokenizer(tokenizer)
    plan = _make_plan(sources, plain, options)
    with lock_folder(path):
        if overwrite and _changes(path, plan):
            _clear(path)
        if changes := _changes(path, plan):
            message = f"{path} holds another corpus; changed: {'; '.join(changes)}"
            raise UserError(message, fix="choose another folder, or have it overwritten (overwrite)")
        if (path / FINISHED).is_file():
            return
        _refuse_foreign(path)
        durable.clean_temporary(path, is_locked=True)
        if not (path / PLAN).is_file():
            _clear(path)  # shards that nobody knows the texts of
            plan["validation"] = settle_validation(options.validation, sources, options.documents)
            durable.write_file_atomic(path / PLAN, _json(plan))
        plan = read_json(path / PLAN)
        yield from _Run(path, sources, plain, options, plan).shards()


def plain_tokenizer(tokenizer: Any) -> Tokenizer:
    """A copy of a tokenizer's inside that neither cuts nor pads."""
    inside = getattr(tokenizer, "backend_tokenizer", tokenizer)
    plain = Tokenizer.from_str(inside.to_str())
    plain.no_truncation()
    plain.no_padding()
    return plain


class _Run:
    """One call that writes the shards that are missing."""

    def __init__(
        self, folder: Path, sources: Sequence[str], tokenizer: Tokenizer, options: ShardOptions, plan: dict[str, Any]
    ) -> None:
        self.folder, self.options, self.plan = folder, options, plan
        is_tail = plan["validation"] == "tail"
        fraction, seed = options.validation_fraction, options.seed
        self.reading = Reading(sources, options.documents, is_tail, fraction, seed)
        self.memory, self.counts = Memory(options.duplicates), Counts()
        self.builder = ShardBuilder(
            tokenizer, options.prefix_ids, options.suffix_ids, segmented=options.documents.segmented
        )
        self.place = Place(START, 0)
        self.manifests: list[dict[str, Any]] = []
        self.resumed = 0

    def shards(self) -> Iterator[ShardProgress]:
        """Write what is missing, then the file that says that all is there."""
        self._take_up()
        if self.resumed:
            yield self._progress()
        for block in self._blocks():
            self.counts.empty += self.builder.add(block.pieces)
            if block.place is not None:
                self.place = block.place
                self._write()
                yield self._progress()
        if not self.builder.is_empty:
            self._write()
            yield self._progress()
        self._finish()

    def _take_up(self) -> None:
        self.manifests = verified_shards(self.folder)
        self.resumed = len(self.manifests)
        for path in sorted(self.folder.glob(f"{PREFIX}*"), reverse=True):
            if path.name >= shard_name(self.resumed):  # damaged, or behind a damaged one: made again
                durable.discard(path)
        for number, manifest in enumerate(self.manifests):
            names = [name for name in manifest["files"] if "." not in name]
            path = self.folder / shard_name(number)
            self.memory.add_stored({name: (path / name).read_bytes() for name in names})
        if self.manifests:
            self.place = read_place(self.manifests[-1])
            totals = {part: sum(m["parts"][part]["tokens"] for m in self.manifests) for part in PARTS}
            self.builder.skip(totals, self.manifests[-1]["inside"])

    def _blocks(self) -> Iterator[_Block]:
        """Pieces for one call of the tokenizer; the last of a shard says where it ends."""
        pieces: list[Piece] = []
        block_bytes = shard_bytes = 0
        for piece in stream_pieces(self.reading, self.place, self.memory, self.counts):
            pieces.append(piece)
            size = count_bytes(piece.text)
            block_bytes, shard_bytes = block_bytes + size, shard_bytes + size
            is_full = shard_bytes >= self.options.shard_bytes and piece.place is not None
            if is_full or block_bytes >= BLOCK_BYTES:
                yield _Block(pieces, piece.place if is_full else None)
                pieces, block_bytes = [], 0
                shard_bytes = 0 if is_full else shard_bytes
            if piece.place is not None:
                self.place = piece.place
        if pieces:
            yield _Block(pieces, None)
        # Behind the last file, so that what was left out at the end is not counted again.
        self.place = Place(Position(len(self.plan["sources"])), 0)

    def _write(self) -> None:
        path = self.folder / shard_name(len(self.manifests))
        self.manifests.append(self.builder.write(path, self.place, self.counts.take(), self.memory.take_stored()))

    def _progress(self) -> ShardProgress:
        totals = self._totals()
        both = {fact: sum(totals[part][fact] for part in PARTS) for fact in ("documents", "text_bytes", "tokens")}
        source_bytes = sum(source["bytes"] for source in self.plan["sources"])
        return ShardProgress(
            len(self.manifests), self.resumed, **both, source_bytes=source_bytes, left_out=totals["left_out"]
        )

    def _totals(self) -> dict[str, Any]:
        totals: dict[str, Any] = {
            part: {fact: sum(m["parts"][part][fact] for m in self.manifests) for fact in facts}
            for part in PARTS
            for facts in [("documents", "text_bytes", "tokens")]
        }
        here = {"duplicates": self.counts.duplicates, "empty": self.counts.empty, "bad": self.counts.bad}
        totals["left_out"] = {
            reason: count + sum(m["left_out"][reason] for m in self.manifests) for reason, count in here.items()
        }
        return totals

    def _finish(self) -> None:
        totals = self._totals()
        if not totals["train"]["tokens"]:
            why = ", ".join(f"{count:,} {reason}" for reason, count in totals["left_out"].items())
            raise DataError(f"no text is left to train on; left out: {why}", fix="check the files, or hold less out")
        shards = [{part: m["parts"][part] for part in PARTS} for m in self.manifests]
        content = {**self.plan, "totals": totals, "shards": shards}
        durable.write_file_atomic(self.folder / FINISHED, _json(content))


@dataclass(frozen=True)
class _Block:
    pieces: list[Piece]
    place: Place | None


def _make_plan(sources: Sequence[str], tokenizer: Tokenizer, options: ShardOptions) -> dict[str, Any]:
    vocabulary = tokenizer.get_vocab_size()
    plan = {
        "format": FORMAT,
        "sources": fingerprint(sources),
        "tokenizer_sha256": hashlib.sha256(tokenizer.to_str().encode()).hexdigest(),
        "vocabulary": vocabulary,
        "token_type": token_type(vocabulary),
        "options": asdict(options),
    }
    content: dict[str, Any] = json.loads(_json(plan))
    return content


def _changes(folder: Path, plan: dict[str, Any]) -> list[str]:
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


def _refuse_foreign(folder: Path) -> None:
    own = {PLAN, FINISHED, LOCK_NAME}
    names = [path.name for path in sorted(folder.iterdir())]
    other = [n for n in names if n not in own and not n.startswith(PREFIX) and not durable.is_temporary(n)]
    if other:
        raise UserError(f"{folder} holds other files: {listed(other, 3)}", fix="choose an empty folder")


def _clear(folder: Path) -> None:
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


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
