"""Findings about what a model would not see: unknown tokens, cut texts, answers that tokens cannot express."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunesmith.checking.findings import MOST_EXAMPLES, Finding, Place, Sampled, name_some, say_rows, say_share
from tunesmith.checking.tokens import UNKNOWN_SHARE, Reader, TokenFacts

CUT_SHARE = 0.01
"""Share of all tokens lost above which it is a warning."""
PIECES_A_WORD = 2.5
"""English models give 1.1 to 1.4 on English; twice that means another language or field."""
SHORTER_MODEL = "choose a base model that takes longer texts: --model ID"


def find_token_faults(reader: Reader, names: Sequence[str], facts: Sequence[TokenFacts]) -> list[Finding]:
    """What the model would not see.

    Args:
        reader: the tokenizer.
        names: of the splits.
        facts: of the splits.
    """
    kinds = (_unknown, _many_pieces, _cut, _windowed, _lost)
    return [found for kind in kinds for found in kind(reader, names, facts)]


def _sampled(facts: Sequence[TokenFacts]) -> Sampled | None:
    seen, all_rows = sum(split.rows for split in facts), sum(split.of for split in facts)
    return Sampled(seen, all_rows) if seen < all_rows else None


def _places(facts: Sequence[TokenFacts], kind: str) -> tuple[tuple[Place, ...], ...]:
    found = [Place(index, row) for index, split in enumerate(facts) for row in split.places.get(kind, ())]
    return tuple((place,) for place in found[:MOST_EXAMPLES])


def _by_split(names: Sequence[str], counts: Sequence[int]) -> dict[str, int]:
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def _unknown(reader: Reader, names: Sequence[str], facts: Sequence[TokenFacts]) -> Iterator[Finding]:
    counts = [split.unknown for split in facts]
    share = sum(counts) / max(1, sum(split.pieces for split in facts))
    if share > UNKNOWN_SHARE:
        yield Finding(
            "unknown_tokens",
            "warning",
            sum(counts),
            share,
            f"{say_share(share)} of the tokens are unknown to {reader.name}, which cannot read these texts",
            "choose a base model made for their language: --model ID, such as google-bert/bert-base-chinese for "
            "Chinese or FacebookAI/xlm-roberta-base for a hundred languages",
            _places(facts, "unknown_tokens"),
            splits=_by_split(names, counts),
            sampled=_sampled(facts),
        )


def _many_pieces(reader: Reader, names: Sequence[str], facts: Sequence[TokenFacts]) -> Iterator[Finding]:
    pieces, words = sum(split.pieces for split in facts), sum(split.words for split in facts)
    if pieces > PIECES_A_WORD * max(1, words):
        yield Finding(
            "many_pieces",
            "note",
            pieces,
            1.0,
            f"{reader.name} cuts a word into {pieces / max(1, words):.1f} pieces on average: it knows few words of "
            "these texts",
            "a base model made for their language or field is faster and mostly better",
            sampled=_sampled(facts),
        )


def _cut(reader: Reader, names: Sequence[str], facts: Sequence[TokenFacts]) -> Iterator[Finding]:
    counts = [split.cut_rows for split in facts]
    if sum(counts):
        rows = sum(split.rows for split in facts)
        lost = sum(split.cut_tokens for split in facts) / sum(sum(split.lengths) for split in facts)
        is_one = sum(counts) == 1
        yield Finding(
            "truncated",
            "warning" if lost > CUT_SHARE else "note",
            sum(counts),
            sum(counts) / rows,
            f"{say_rows(sum(counts))} {'is' if is_one else 'are'} longer than the {reader.max_tokens} tokens of "
            f"{reader.name} and would be cut: {say_share(lost)} of all tokens are lost",
            f"put what matters first, split long texts, or {SHORTER_MODEL}",
            _places(facts, "truncated"),
            splits=_by_split(names, counts),
            sampled=_sampled(facts),
        )


def _windowed(reader: Reader, names: Sequence[str], facts: Sequence[TokenFacts]) -> Iterator[Finding]:
    counts = [split.window_rows for split in facts]
    if sum(counts):
        is_one = sum(counts) == 1
        yield Finding(
            "windowed",
            "note",
            sum(counts),
            sum(counts) / sum(split.rows for split in facts),
            f"{say_rows(sum(counts))} {'is' if is_one else 'are'} longer than the {reader.max_tokens} tokens of "
            f"{reader.name} and would be read in windows that overlap",
            "nothing is lost; shorter texts, such as sentences, are faster",
            _places(facts, "windowed"),
            splits=_by_split(names, counts),
            sampled=_sampled(facts),
        )


def _lost(reader: Reader, names: Sequence[str], facts: Sequence[TokenFacts]) -> Iterator[Finding]:
    counts = [len(split.lost) for split in facts]
    lost = [text for split in facts for text in split.lost]
    if lost:
        yield Finding(
            "lost_answers",
            "warning",
            sum(counts),
            sum(counts) / sum(split.rows for split in facts),
            f"{say_rows(sum(counts), 'answer')} cannot be given back by any prediction (bounds inside a word, nested, "
            f"whole in no window, or unreadable for {reader.name}): {name_some(lost, 3)}",
            "correct the bounds, or keep the longer of two nested spans; each counts as a miss",
            _places(facts, "lost_answers"),
            splits=_by_split(names, counts),
            sampled=_sampled(facts),
        )
