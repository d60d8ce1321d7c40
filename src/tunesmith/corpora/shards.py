"""Raw texts to token ids on the disk: shard by shard, going on after a kill, the same bytes in the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tunesmith import durable
from tunesmith.corpora.deduplicating import Duplicates, Memory
from tunesmith.corpora.documents import START, DocumentOptions, Position
from tunesmith.corpora.pieces import PARTS, Counts, Piece, Place, Reading, stream_pieces
from tunesmith.corpora.plan import (
    FINISHED,
    PLAN,
    clear_corpus,
    find_changes,
    make_plan,
    read_json,
    refuse_foreign_files,
    to_json,
)
from tunesmith.corpora.shard_files import (
    PREFIX,
    ShardBuilder,
    count_bytes,
    read_place,
    shard_name,
    verified_shards,
)
from tunesmith.corpora.splitting import Validation, settle_validation
from tunesmith.corpora.tokenizer_facts import uncut_tokenizer
from tunesmith.errors import DataError, UserError
from tunesmith.folder_lock import lock_folder

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
    plan = make_plan(sources, plain, asdict(options))
    with lock_folder(path):
        if overwrite and find_changes(path, plan):
            clear_corpus(path)
        if changes := find_changes(path, plan):
            message = f"{path} holds another corpus; changed: {'; '.join(changes)}"
            raise UserError(message, fix="choose another folder, or have it overwritten (overwrite)")
        if (path / FINISHED).is_file():
            return
        refuse_foreign_files(path)
        durable.clean_temporary(path, is_locked=True)
        if not (path / PLAN).is_file():
            clear_corpus(path)  # shards that nobody knows the texts of
            plan["validation"] = settle_validation(options.validation, sources, options.documents)
            durable.write_file_atomic(path / PLAN, to_json(plan))
        plan = read_json(path / PLAN)
        yield from _Run(path, sources, plain, options, plan).shards()


def plain_tokenizer(tokenizer: Any) -> Tokenizer:
    """A copy of a tokenizer's inside that neither cuts nor pads nor puts anything around a text.

    So it is the same whether it comes from its trainer, from its file or from `transformers`, which adds a last step.
    """
    state = json.loads(uncut_tokenizer(tokenizer).to_str())
    return Tokenizer.from_str(json.dumps({**state, "post_processor": None}))


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
        durable.write_file_atomic(self.folder / FINISHED, to_json(content))


@dataclass(frozen=True)
class _Block:
    pieces: list[Piece]
    place: Place | None
