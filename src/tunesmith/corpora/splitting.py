"""Which documents, or which part of each, are held out for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import Literal

from tunesmith.corpora.documents import DocumentOptions, stream_documents
from tunesmith.corpora.text_hash import digest_text

Validation = Literal["documents", "tail", "auto"]
FEWEST_DOCUMENTS = 100
"""With fewer, `auto` holds out the tail of each document."""


def is_validation(text: str, fraction: float, seed: int) -> bool:
    """Whether a document is held out: a function of its text, so equal texts fall on the same side.

    Args:
        text: white space is folded first.
        fraction: of documents that are held out, 0 to 1.
        seed: another one holds out others.

    Example:
        >>> is_validation("a text", 0.0, seed=1), is_validation("a  text", 1.0, seed=1)
        (False, True)
    """
    return is_held_out(digest_text(text), fraction, seed)


def is_held_out(digest: bytes, fraction: float, seed: int) -> bool:
    """The same from the digest of the text."""
    drawn = hashlib.blake2b(digest + f"/{seed}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") < fraction * 2.0**64


def tail_start(characters: int, fraction: float) -> int:
    """Character that the held-out tail of a document begins with: the first int(n · (1 − fraction)) are trained on.

    Example:
        >>> tail_start(1_115_394, 0.1)
        1003854
    """
    return int(characters * (1 - fraction))


def settle_validation(wished: Validation, sources: Sequence[str], options: DocumentOptions) -> Validation:
    """What `auto` means for these sources: "tail" where there are fewer than 100 documents, else "documents".

    Only the first 100 documents are read for it.
    """
    if wished != "auto":
        return wished
    documents = (document for _, document in stream_documents(sources, options) if document.is_last)
    return "tail" if len(list(islice((1 for _ in documents), FEWEST_DOCUMENTS))) < FEWEST_DOCUMENTS else "documents"
