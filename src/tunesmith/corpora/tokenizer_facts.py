"""What a tokenizer makes of texts, and which of its tokens begin words."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, pre_tokenizers

from tunesmith.corpora.cutting import cut_text
from tunesmith.corpora.shard_files import count_bytes

LONGEST_SHOWN = 20
_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_BLOCK = 64


@dataclass(frozen=True)
class TokenizerReport:
    """How a tokenizer cuts texts; special tokens are not counted.

    Attributes:
        vocabulary: entries, special tokens included.
        wished_vocabulary: entries that were asked for; None where nobody did.
        tokens: in the texts.
        bytes_per_token: UTF-8 bytes of text a token; more is shorter.
        characters_per_token: likewise.
        tokens_per_word: None where fewer than one character in 20 is a blank, as in Chinese.
        unknown_rate: share of the tokens that are unknown.
        longest: the longest entries as text.
    """

    vocabulary: int
    wished_vocabulary: int | None
    tokens: int
    bytes_per_token: float
    characters_per_token: float
    tokens_per_word: float | None
    unknown_rate: float
    longest: tuple[str, ...]


def describe_tokenizer(
    tokenizer: Any, texts: Iterable[str], *, wished_vocabulary: int | None = None
) -> TokenizerReport:
    """Measure a tokenizer on texts.

    Args:
        tokenizer: a `tokenizers.Tokenizer` or a fast one of `transformers`.
        texts: a sample; not those that it was trained on, where there are others.
        wished_vocabulary: is reported beside what came of it.
    """
    inside = uncut_tokenizer(tokenizer)
    unknown = unknown_id(inside)
    tokens = unknowns = characters = size_bytes = words = blanks = 0
    pieces = [piece for text in texts for piece in cut_text(text)]
    for start in range(0, len(pieces), _BLOCK):
        block = pieces[start : start + _BLOCK]
        for piece, encoding in zip(block, inside.encode_batch(block, add_special_tokens=False), strict=True):
            ids = encoding.ids
            tokens += len(ids)
            unknowns += ids.count(unknown) if unknown is not None else 0
            characters, size_bytes = characters + len(piece), size_bytes + count_bytes(piece)
            words, blanks = words + len(piece.split()), blanks + piece.count(" ")
    is_spaced = blanks * 20 >= characters > 0
    return TokenizerReport(
        vocabulary=inside.get_vocab_size(),
        wished_vocabulary=wished_vocabulary,
        tokens=tokens,
        bytes_per_token=size_bytes / max(1, tokens),
        characters_per_token=characters / max(1, tokens),
        tokens_per_word=tokens / words if is_spaced and words else None,
        unknown_rate=unknowns / max(1, tokens),
        longest=_longest(inside),
    )


def uncut_tokenizer(tokenizer: Any) -> Tokenizer:
    """A copy of a tokenizer's inside that neither cuts nor pads, which files of some models have switched on."""
    inside = Tokenizer.from_str(getattr(tokenizer, "backend_tokenizer", tokenizer).to_str())
    inside.no_truncation()
    inside.no_padding()
    return inside


_ENDS = ("</s>", "<|endoftext|>", "<|end_of_text|>", "[SEP]")


def unknown_id(tokenizer: Any) -> int | None:
    """Id that unknown characters get; None where none are unknown."""
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    found = tokenizer.token_to_id(model.get("unk_token") or "")
    return None if found is None else int(found)


def special_ids(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Token ids to put in front of and behind each document of a corpus.

    What the tokenizer puts around a text itself; where it puts nothing behind, the token that ends a text, so that
    documents are told apart: [CLS] and [SEP] of encoders, nothing and </s> of most decoders.
    """
    inside = uncut_tokenizer(tokenizer)
    found = inside.encode("a")
    inner = [place for place, special in enumerate(found.special_tokens_mask) if not special]
    first, last = (inner[0], inner[-1]) if inner else (len(found.ids), len(found.ids))
    front, behind = tuple(found.ids[:first]), tuple(found.ids[last + 1 :])
    ends = (inside.token_to_id(name) for name in _ENDS)
    return front, behind or tuple(itertools.islice((end for end in ends if end is not None), 1))


def word_start_table(tokenizer: Any) -> NDArray[np.bool_]:
    """(V,) True where a token begins a word, for masking whole words.

    Every Chinese character begins one, and so do signs and special tokens. Otherwise WordPiece marks the tokens that
    go on (##), byte pair encoding and unigram the blank in front of a word (Ġ, ▁). Where no blank stands in front,
    as at the start of a line, such a token looks like one that goes on: the first token of a sequence always
    begins a word, whatever the table says.
    """
    inside = getattr(tokenizer, "backend_tokenizer", tokenizer)
    state = json.loads(inside.to_str())
    special = {entry["id"] for entry in state["added_tokens"] if entry["special"]}
    prefix = state["model"].get("continuing_subword_prefix") or ""
    is_byte_level = "ByteLevel" in json.dumps([state["pre_tokenizer"], state["decoder"]])
    vocabulary = inside.get_vocab()
    table = np.zeros(max(vocabulary.values()) + 1, bool)
    is_characters = state["model"]["type"] == "WordLevel"
    for token, number in vocabulary.items():
        if number in special or (is_characters and not token.isalnum()):
            table[number] = True
        elif is_byte_level:
            table[number] = _begins_bytes(_token_bytes(token))
        elif prefix and state["model"]["type"] == "WordPiece":
            table[number] = not token.startswith(prefix) or _CHINESE.match(token[len(prefix) :]) is not None
        else:
            table[number] = _begins(token.replace("▁", " "))
    return table


def _begins(text: str) -> bool:
    return bool(text) and (not (text[0].isalnum() or text[0] in "'’_") or _CHINESE.match(text) is not None)


def _begins_bytes(data: bytes) -> bool:
    """A lead byte of a Chinese character begins a word, the bytes that follow it do not."""
    if not data or 0x80 <= data[0] < 0xC0:
        return False
    text = data.decode("utf-8", "ignore")
    return _begins(text) if text else 0xE3 <= data[0] <= 0xE9 or data[0] == 0xF0


def _byte_alphabet() -> dict[str, int]:
    """Sign → byte, as GPT-2 writes bytes: printable ones as themselves, the others from U+0100 on."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    table = {chr(byte): byte for byte in shown} | {chr(256 + place): byte for place, byte in enumerate(hidden)}
    assert set(table) == set(pre_tokenizers.ByteLevel.alphabet())
    return table


_BYTE_OF = _byte_alphabet()


def _token_bytes(token: str) -> bytes:
    return bytes(_BYTE_OF[sign] for sign in token if sign in _BYTE_OF)


def _longest(tokenizer: Any) -> tuple[str, ...]:
    state = json.loads(tokenizer.to_str())
    special = {entry["content"] for entry in state["added_tokens"]}
    is_byte_level = "ByteLevel" in json.dumps([state["pre_tokenizer"], state["decoder"]])
    prefix = state["model"].get("continuing_subword_prefix") or "##"
    texts = []
    for token in tokenizer.get_vocab():
        if token not in special:
            plain = _token_bytes(token).decode("utf-8", "replace") if is_byte_level else token.removeprefix(prefix)
            texts.append(plain.replace("▁", " "))
    return tuple(sorted(texts, key=lambda text: (-len(text), text))[:LONGEST_SHOWN])
