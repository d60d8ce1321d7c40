"""From a file name or standard input to bytes: existence, compression, encoding, format, blocks of lines."""

from __future__ import annotations

import difflib
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from tunesmith.data.options import Format, ReadOptions
from tunesmith.data.rejects import display, listed
from tunesmith.errors import DataError

BLOCK_BYTES = 1 << 20
HEAD_BYTES = 65536
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
}
READABLE = ".csv, .tsv, .jsonl, .json or .parquet, each also .gz"
READABLE_SPANS = ".conll, .jsonl, .json or .parquet, each also .gz"
SPANS_FIX = "train on it with --task token-classification, or write one JSON object a line with text and label"
REMEDIES = {
    ".xlsx": "save the sheet as 'CSV UTF-8' and give that file",
    ".xls": "save the sheet as 'CSV UTF-8' and give that file",
    ".ods": "save the sheet as CSV in UTF-8 and give that file",
    ".zip": "unpack it first and give the file in it",
    ".7z": "unpack it first and give the file in it",
    ".rar": "unpack it first and give the file in it",
    ".tar": "unpack it first and give the file in it",
    ".tgz": "unpack it first and give the file in it",
    ".bz2": "unpack it first: bunzip2 FILE",
    ".xz": "unpack it first: unxz FILE",
    ".zst": "unpack it first: unzstd FILE",
    ".txt": "say what it holds with --set data.format=csv (or tsv, jsonl, conll)",
}
SIGNATURES = ((b"PK\x03\x04", ".zip"), (b"\xd0\xcf\x11\xe0", ".xls"), (b"BZh", ".bz2"), (b"\xfd7zXZ", ".xz"))
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class OpenSource:
    """Bytes that were looked at and can be read from the start.

    Attributes:
        name: the source as the user named it.
        format: what the bytes hold.
        head: the first bytes, without a UTF-8 mark.
        stream: all bytes, unpacked, without a UTF-8 mark.
        may_be_array: a file named .json, which may hold one list of objects.
    """

    name: str
    format: Format
    head: bytes
    stream: BinaryIO
    may_be_array: bool = False


class _Joined(io.RawIOBase):
    """A stream whose first bytes were already taken."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._head[: len(buffer)] if self._head else self._rest.read(len(buffer))
        self._head = self._head[len(part) :]
        buffer[: len(part)] = part
        return len(part)


def _join(head: bytes, rest: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Joined(head, rest), BLOCK_BYTES))


@contextmanager
def open_source(
    source: str | Path, options: ReadOptions, stdin: BinaryIO | None = None, *, spans: bool = False
) -> Iterator[OpenSource]:
    """Open a file or standard input and find out what it holds.

    Args:
        source: a path, or "-" for standard input.
        options: `format` wins over the name.
        stdin: bytes to read for "-"; default: the process's standard input.
        spans: whether the task takes tagged tokens.

    Raises:
        DataError: it is missing, a folder, damaged, empty, not UTF-8 or of a kind that is not read.
    """
    name = str(source)
    with reading(name):
        if name == "-":
            yield _examine(name, stdin if stdin is not None else sys.stdin.buffer, options, spans)
        else:
            _check_path(Path(source))
            with open(source, "rb", buffering=BLOCK_BYTES) as stream:
                yield _examine(name, stream, options, spans)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn the faults of reading bytes into errors that name the file."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        message = f"{display(name)} is a damaged gzip file: {error}"
        raise DataError(message, fix="copy or download it again") from error
    except OSError as error:
        message = f"cannot read {display(name)}: {error.strerror or error}"
        raise DataError(message, fix="check the path, the permissions and the disk") from error


def _check_path(path: Path) -> None:
    """A missing file, a folder or a kind that is never read is refused before it is opened."""
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except ValueError:  # a NUL in the name
        is_folder, exists = False, False
    if is_folder:
        files = sorted(entry.name for entry in path.iterdir() if _suffix(entry.name)[0] in SUFFIXES)
        fix = f"give one of its files: {listed(files, 5)}" if files else f"give a {READABLE} file"
        raise DataError(f"{display(str(path))} is a folder, wanted a file", fix=fix)
    if not exists:
        raise missing_error(path)


def missing_error(path: Path) -> DataError:
    """The error that a file does not exist, which names the nearest one that does."""
    return DataError(f"{display(str(path))} does not exist", fix=_find_similar(path))


def _find_similar(path: Path) -> str:
    if not path.parent.is_dir():
        return f"check the path: there is no folder {display(str(path.parent))}"
    names = [entry.name for entry in path.parent.iterdir()]
    close = difflib.get_close_matches(path.name, names, n=1)
    if close:
        return f"did you mean {display(str(path.with_name(close[0])))}?"
    return "check the path"


def _suffix(name: str) -> tuple[str, bool]:
    """Suffix in lower case without .gz, and whether .gz was there."""
    path = Path(name.lower())
    return (Path(path.stem).suffix, True) if path.suffix == ".gz" else (path.suffix, False)


def _examine(name: str, raw: BinaryIO, options: ReadOptions, spans: bool) -> OpenSource:
    head = raw.read(HEAD_BYTES)
    stream = _join(head, raw)
    suffix, packed = _suffix(name)
    if head[:2] == b"\x1f\x8b":
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream))
        head = stream.read(HEAD_BYTES)
        stream = _join(head, stream)
    elif packed and head:
        raise DataError(f"{display(name)} is named .gz but is not gzip", fix="rename it after what it holds")
    _check_head(name, suffix, head, options)
    if head[:3] == b"\xef\xbb\xbf":
        stream.read(3)
        head = head[3:]
    if not head.strip() and len(head) < HEAD_BYTES:
        raise DataError(f"{display(name)} is empty", fix="give a file with a header and rows")
    kind = options.format or _format(name, suffix, head, spans)
    if kind == "conll" and not spans:
        message = f"{display(name)} is a CoNLL file of tagged tokens, wanted {READABLE}"
        raise DataError(message, fix=SPANS_FIX)
    return OpenSource(name, kind, head, stream, may_be_array=suffix == ".json")


def _check_head(name: str, suffix: str, head: bytes, options: ReadOptions) -> None:
    """Refuse what the first bytes show to be no table of ours."""
    refuse_foreign(name, suffix, head, READABLE)
    if head[:4] == b"PAR1" and (options.format or SUFFIXES.get(suffix)) not in (None, "parquet"):
        fix = "add --set data.format=parquet"
        raise DataError(f"{display(name)} is a Parquet file by its content", fix=fix)


def refuse_foreign(name: str, suffix: str, head: bytes, wanted: str) -> None:
    """Refuse archives, spreadsheets and UTF-16, which their first bytes give away.

    Args:
        name: the source as the user named it.
        suffix: in lower case, without .gz.
        head: the first bytes, unpacked.
        wanted: what can be read, for the message.

    Raises:
        DataError: it is one of them.
    """
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            known = suffix if suffix in REMEDIES else kind
            raise DataError(f"{display(name)} is a {known} file, wanted {wanted}", fix=REMEDIES[known])
    if head[:2] in UTF16_MARKS:
        fix = "save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW"
        raise DataError(f"{display(name)} is UTF-16, wanted UTF-8", fix=fix)


def _format(name: str, suffix: str, head: bytes, spans: bool) -> Format:
    if head[:4] == b"PAR1":
        return "parquet"
    if name == "-":
        return "jsonl" if head.lstrip()[:1] == b"{" else "conll" if spans else "csv"
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    fix = REMEDIES.get(suffix, "say what it holds with --set data.format=csv (or tsv, jsonl, parquet, conll)")
    wanted = READABLE_SPANS if spans else READABLE
    raise DataError(f"{display(name)} is a {suffix or 'nameless'} file, wanted {wanted}", fix=fix)


def line_blocks(stream: BinaryIO, max_row_bytes: int) -> Iterator[bytes]:
    r"""Cut a stream into blocks of whole lines; \n, \r\n and \r end a line.

    A line longer than `max_row_bytes` is cut, but stays longer than that, so that whoever looks at it sees
    it: memory is bounded whatever comes.
    """
    rest = b""
    while piece := stream.read(BLOCK_BYTES):
        data = rest + piece
        # A \r at the very end may be the first half of \r\n.
        cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        if cut:
            yield data[:cut]
        rest = data[cut:]
        if len(rest) > max_row_bytes + 2:
            rest = rest[: max_row_bytes + 1] + (b"\r" if rest.endswith(b"\r") else b"")
    if rest:
        yield rest


def encoding_fault(data: bytes, what: str = "line") -> str:
    r"""Say where a line or cell is not UTF-8.

    Example:
        >>> encoding_fault(b"caf\xe9,x")
        'is not UTF-8 at byte 4 of the line (0xe9)'
    """
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"is not UTF-8 at byte {error.start + 1} of the {what} (0x{data[error.start]:02x})"
    return "is not UTF-8"
