"""From what the user names to files: folders, patterns, formats, fingerprints, unpacked bytes."""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from tunesmith.data.rejects import display, listed
from tunesmith.data.streams import BLOCK_BYTES, missing_error, reading, refuse_foreign
from tunesmith.errors import DataError, MissingPackageError

Kind = Literal["text", "jsonl", "parquet"]
KINDS: dict[str, Kind] = {
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""Suffixes that are looked for in folders. A file that is named outright is text if it has none of them."""
_LEFT_IN_FOLDERS = {".json"}  # in folders of data, these describe the data
READABLE = "plain text, .jsonl or .parquet, text and .jsonl also as .gz or .zst"
_PACKED = {".gz", ".zst"}
_FOREIGN = {".pdf", ".doc", ".docx", ".epub", ".html", ".htm", ".csv", ".tsv", ".xml", ".arrow", ".bin"}
_FED_BYTES = 4096
"""Packed bytes that zstd is given at once: it makes at most 128 MB of them, whoever wrote them."""


@dataclass(frozen=True)
class CorpusFile:
    """A file that documents are read from.

    Attributes:
        path: where it is.
        kind: what it holds.
    """

    path: Path
    kind: Kind

    @property
    def name(self) -> str:
        """As messages show it."""
        return display(str(self.path))


def list_files(sources: Sequence[str]) -> list[CorpusFile]:
    """The files behind files, folders and patterns, each once, in the order of the sources.

    Args:
        sources: paths of files; folders, of which all files of known suffix are taken, sorted by path, hidden ones
            left out; patterns with *, ? or ** of `glob`, sorted.

    Raises:
        DataError: a source does not exist, holds no such file, or is of a kind that is not read.
    """
    found: dict[Path, CorpusFile] = {}
    for source in sources:
        for path in _expand(source):
            found.setdefault(path, CorpusFile(path, _kind(path)))
    if not found:
        raise DataError("no source of texts was named", fix=f"give files or folders: {READABLE}")
    return list(found.values())


def _expand(source: str) -> list[Path]:
    path = Path(source)
    try:
        if path.is_file():
            return [path]
        if path.is_dir():
            return _files_of(path)
    except ValueError:  # a NUL in the name
        raise missing_error(path) from None
    if glob.has_magic(source):
        matches = sorted(Path(name) for name in glob.glob(source, recursive=True))
        if files := [match for match in matches if match.is_file()]:
            return files
        raise DataError(f"no file fits {display(source)}", fix="check the pattern, and quote it for the shell")
    raise missing_error(path)


def _files_of(folder: Path) -> list[Path]:
    every = sorted(path for path in folder.rglob("*") if path.is_file())
    seen = [path for path in every if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    suffixes = {path: _suffix(path)[0] for path in seen}
    files = [path for path in seen if suffixes[path] in KINDS and suffixes[path] not in _LEFT_IN_FOLDERS]
    if not files:
        there = f"; there are {listed([path.name for path in seen], 5)}" if seen else ""
        known = ", ".join(sorted(set(KINDS) - _LEFT_IN_FOLDERS))
        message = f"the folder {display(str(folder))} holds no file of texts ({known}, also .gz and .zst){there}"
        raise DataError(message, fix="name the files themselves: a file of any other name is read as plain text")
    return files


def _suffix(path: Path) -> tuple[str, str]:
    """Suffix in lower case without the packing, and that of the packing."""
    name = Path(path.name.lower())
    return (Path(name.stem).suffix, name.suffix) if name.suffix in _PACKED else (name.suffix, "")


def _kind(path: Path) -> Kind:
    suffix, packing = _suffix(path)
    kind = KINDS.get(suffix, "text")
    if suffix in _FOREIGN or (kind == "parquet" and packing):
        fix = "turn it into plain text or JSON lines" if suffix in _FOREIGN else "unpack it: Parquet packs by itself"
        raise DataError(f"{display(str(path))} is a {suffix}{packing} file, wanted {READABLE}", fix=fix)
    return kind


def fingerprint(sources: Sequence[str]) -> list[dict[str, Any]]:
    """Name, size and SHA-256 of every file, in reading order.

    The whole content is hashed: that takes a hundredth of the time that tokenizing takes, and misses no change.
    A date would change with every copy, and a hash of head and tail misses a corrected line in the middle.
    """
    return [_fingerprint(file) for file in list_files(sources)]


def _fingerprint(file: CorpusFile) -> dict[str, Any]:
    with reading(str(file.path)), open(file.path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"name": file.path.name, "bytes": stream.tell(), "sha256": digest}


@contextmanager
def open_unpacked(file: CorpusFile, start_byte: int = 0) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file of text or JSON lines for reading on from a byte of its unpacked content.

    Yields:
        The stream, and the byte it stands at: `start_byte`, or 3 where the file starts with a UTF-8 mark.

    Raises:
        DataError: it is missing, damaged, UTF-16, or of a kind that is not read.
        MissingPackageError: .zst without zstandard.
    """
    with reading(str(file.path)), open(file.path, "rb", buffering=BLOCK_BYTES) as raw:
        stream = _unpack(file, raw)
        if start_byte:
            _skip(stream, start_byte, is_plain=stream is raw)
            yield stream, start_byte
            return
        head = _peek(stream)
        refuse_foreign(str(file.path), "", head, READABLE)
        if head[:4] == b"PAR1":
            raise DataError(f"{file.name} is a Parquet file by its content", fix="name it .parquet")
        mark = 3 if head[:3] == b"\xef\xbb\xbf" else 0
        stream.read(mark)
        yield stream, mark


def _unpack(file: CorpusFile, raw: BinaryIO) -> BinaryIO:
    head = _peek(raw)
    packing = _suffix(file.path)[1]
    if head[:2] == b"\x1f\x8b":
        return cast(BinaryIO, io.BufferedReader(cast(Any, gzip.GzipFile(fileobj=raw)), BLOCK_BYTES))
    if head[:4] == b"\x28\xb5\x2f\xfd":
        return cast(BinaryIO, io.BufferedReader(_Zstd(file.name, raw), BLOCK_BYTES))
    if packing and head:
        raise DataError(f"{file.name} is named {packing} but is not packed so", fix="rename it after what it holds")
    return raw


def _peek(stream: Any) -> bytes:
    return bytes(stream.peek(64)[:64])


def _skip(stream: BinaryIO, count: int, *, is_plain: bool) -> None:
    if is_plain:
        stream.seek(count)
        return
    while count > 0 and (piece := stream.read(min(count, BLOCK_BYTES))):
        count -= len(piece)


class _Zstd(io.RawIOBase):
    """Unpacks zstd, several frames too, and notices a file that ends too early."""

    def __init__(self, name: str, raw: BinaryIO) -> None:
        try:
            import zstandard
        except ImportError as error:
            raise MissingPackageError("zstandard", purpose="reading .zst files", extra="zstd") from error
        self._name, self._raw = name, raw
        self._module = zstandard
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._is_inside = False
        self._packed = self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and self._fill():
            pass
        part = self._ready[: len(buffer)]
        self._ready = self._ready[len(part) :]
        buffer[: len(part)] = part
        return len(part)

    def _fill(self) -> bool:
        """Unpack a little more; False at the end."""
        packed = self._packed or self._raw.read(_FED_BYTES)
        self._packed = b""
        if not packed:
            if self._is_inside:
                raise self._damaged("it ends too early")
            return False
        try:
            self._ready = self._frame.decompress(packed)
        except self._module.ZstdError as error:
            raise self._damaged(str(error)) from error
        self._is_inside = not self._frame.eof
        if self._frame.eof:
            self._packed = self._frame.unused_data
            self._frame = self._module.ZstdDecompressor().decompressobj()
        return True

    def _damaged(self, what: str) -> DataError:
        return DataError(f"{self._name} is a damaged zstd file: {what}", fix="copy or download it again")
