"""WordPiece entries from texts, the same from run to run.

The trainer of `tokenizers` for WordPiece numbers the characters inside words in the order of a hash table, which
differs from run to run, and settles ties by these numbers. Its trainer for plain byte pair encoding does not when it is
given the whole alphabet. So each character that stands inside a word is written as another sign, pairs are
merged by the plain trainer, and the signs are read back as ## and the character.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

PREFIX = "##"
_FIRST_SIGN = 0xF0000
"""Private use: texts hold no such characters, and words that do are left out."""
_FED_CHARACTERS = 100_000


def learn_entries(
    tokenizer: Any,
    texts: Iterable[str],
    alphabet: Sequence[str],
    size: int,
    longest_characters: int,
    also_inside: Iterable[str] = (),
) -> list[str]:
    """The entries of a WordPiece vocabulary without special tokens: characters first, then pieces as they were merged.

    Args:
        tokenizer: its normalizer and pre-tokenizer make the words.
        texts: what is learnt from.
        alphabet: characters that are known; words with others teach nothing.
        size: most entries.
        longest_characters: of an entry.
        also_inside: characters of the alphabet that are known inside words though no text has them there.
    """
    words = _count_words(tokenizer, texts)
    known = set(alphabet)
    usable = {word: count for word, count in sorted(words.items()) if known.issuperset(word)}
    inside = sorted({character for word in usable for character in word[1:]} | set(also_inside))
    sign_of = {character: chr(_FIRST_SIGN + place) for place, character in enumerate(inside)}
    meaning = {sign: character for character, sign in sign_of.items()}
    single = [*alphabet, *(sign_of[character] for character in inside)]
    merger = Tokenizer(models.BPE())
    merger.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=max(size, len(single)),
        initial_alphabet=single,
        limit_alphabet=len(single),
        max_token_length=longest_characters,
        show_progress=False,
    )
    merger.train_from_iterator(_written(usable, sign_of), trainer)
    pieces = json.loads(merger.to_str())["model"]["vocab"]
    ordered = sorted(pieces, key=pieces.__getitem__)
    found = [_read(piece, meaning) for piece in (*single, *(p for p in ordered if len(p) > 1))]
    return list(dict.fromkeys(found))[:size]


def _count_words(tokenizer: Any, texts: Iterable[str]) -> Counter[str]:
    """Words as the model gets them; each stretch between blanks is cut once, however often it comes."""
    stretches: Counter[str] = Counter()
    for text in texts:
        stretches.update(tokenizer.normalizer.normalize_str(text).split())
    words: Counter[str] = Counter()
    for stretch, count in stretches.items():
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(stretch):
            words[word] += count
    return words


def _written(words: dict[str, int], sign_of: dict[str, str]) -> Iterator[str]:
    """Every word as often as it came, its later characters as signs."""
    for word, count in words.items():
        if len(word) == 1:
            continue  # nothing to merge
        written = word[0] + "".join(sign_of[character] for character in word[1:]) + " "
        most = max(1, _FED_CHARACTERS // len(written))
        while count > 0:
            yield written * min(count, most)
            count -= most


def _read(piece: str, meaning: dict[str, str]) -> str:
    is_inside = piece[0] in meaning
    plain = "".join(meaning.get(sign, sign) for sign in piece)
    return PREFIX + plain if is_inside else plain
