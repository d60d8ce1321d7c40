"""Some of the texts, spread over all of them: enough to train and describe a tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunesmith.corpora.documents import DocumentOptions, stream_documents
from tunesmith.corpora.files import list_files
from tunesmith.corpora.shard_files import count_bytes
from tunesmith.corpora.splitting import is_held_out
from tunesmith.corpora.text_hash import digest_text

SAMPLE_BYTES = 64_000_000
_PACKED_TO = 4
"""What a packed byte is about, unpacked."""


def sample_texts(
    sources: Sequence[str], options: DocumentOptions, *, most_bytes: int = SAMPLE_BYTES, seed: int = 13
) -> Iterator[str]:
    """Documents drawn by their hash, the same for a seed, until there are `most_bytes` of them.

    All come where the files are smaller. The first always comes. Of documents of more than a million characters,
    parts are drawn.

    Args:
        sources: see `files.list_files`.
        options: how they are read.
        most_bytes: of UTF-8, about.
        seed: another one draws others.

    Raises:
        DataError: see `stream_documents`.
    """
    size = sum(_unpacked_bytes(file.path.stat().st_size, file.path.suffix.lower()) for file in list_files(sources))
    fraction, taken = most_bytes / max(1, size), 0
    for _, document in stream_documents(sources, options):
        if document.is_broken or not document.text.strip():
            continue
        if not taken or fraction >= 1 or is_held_out(digest_text(document.text), fraction, seed):
            yield document.text
            taken += count_bytes(document.text)
            if taken >= most_bytes:
                return


def _unpacked_bytes(size: int, suffix: str) -> int:
    return size * _PACKED_TO if suffix in (".gz", ".zst", ".parquet", ".pq") else size
