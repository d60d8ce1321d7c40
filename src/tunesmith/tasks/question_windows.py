"""Questions and contexts as token ids: one sequence for both, and windows over contexts that are too long for it."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.contracts import IGNORED, Context, Encoded
from tunesmith.errors import ConfigError
from tunesmith.tasks.token_windows import Pieces, Window, make_windows

USUAL_OVERLAP_TOKENS = 128
"""Tokens that neighbouring windows share (Devlin et al. 2019 move on by as many)."""
NO_ANSWER = (0, 0)
"""Target of a window that does not hold the answer."""
UNASKED = (IGNORED, IGNORED)
"""Target of the windows of a row whose answer stands whole in none of them: told neither a place nor none."""


@dataclass(frozen=True)
class Frame:
    """The special tokens around a pair, and their token types.

    Attributes:
        before: in front of the question.
        between: behind the question, in front of the context.
        behind: behind the context.
        types: token types of before, question, between, context, behind; () where the trunk has none.
        null: place in `before` that stands for no answer, or None for the last token of the sequence.
    """

    before: list[int]
    between: list[int]
    behind: list[int]
    types: tuple[int, ...]
    null: int | None

    @property
    def tokens(self) -> int:
        """How many there are."""
        return len(self.before) + len(self.between) + len(self.behind)


@dataclass(frozen=True)
class Reading:
    """What a window shows of a context: slot 0 stands for no answer, slot 1 + i for piece window.start + i.

    Attributes:
        context: the text.
        offsets: characters of all its pieces.
        window: the pieces in the window.
    """

    context: str
    offsets: list[tuple[int, int]]
    window: Window

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Characters of the pieces first … last of the window, from 0, without white space at the edges."""
        start, end = self.offsets[self.window.start + first][0], self.offsets[self.window.start + last][1]
        return trim(self.context, start, end)


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Bounds without the white space at either edge.

    Example:
        >>> trim("to Oslo ", 2, 8)
        (3, 7)
    """
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def find_frame(tokenizer: Any) -> Frame:
    """See how a tokenizer puts a pair together.

    Where nothing stands between the two texts, as with decoders, a line end is put there. No answer is the first
    token of encoders ([CLS]); of decoders it is the last token, which alone has read everything.
    """
    pair = tokenizer("a", "b", return_attention_mask=False)
    ids, owners = pair["input_ids"], pair.sequence_ids(0)
    question, context = owners.index(0), owners.index(1)
    behind_question = len(owners) - owners[::-1].index(0)
    behind_context = len(owners) - owners[::-1].index(1)
    before, between, behind = ids[:question], ids[behind_question:context], ids[behind_context:]
    types = pair.get("token_type_ids")
    null = before.index(tokenizer.cls_token_id) if tokenizer.cls_token_id in before else None
    if null is None and not behind:
        ends = (tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
        behind = [next(token for token in ends if token is not None)]
    kinds: tuple[int, ...] = ()
    if types is not None:
        kinds = (types[0], types[question], types[behind_question], types[context], types[-1])
    if not between:
        between = tokenizer("\n", add_special_tokens=False)["input_ids"]
    return Frame(before, between, behind, kinds, null)


def cut_into_pieces(texts: Sequence[str], tokenizer: Any) -> list[Pieces]:
    """Token pieces of texts, without special tokens; a text that comes again is the same object."""
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return []
    found = tokenizer(
        distinct,
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    pieces = [Pieces(ids, marks) for ids, marks in zip(found["input_ids"], found["offset_mapping"], strict=True)]
    known = dict(zip(distinct, pieces, strict=True))
    return [known[text] for text in texts]


def encode_rows(rows: Sequence[Any], context: Context, first_row: int, overlap: int | None) -> Iterator[Encoded]:
    """Windows of all rows in order, without targets.

    A question takes at most half of a sequence; what is cut off of it is counted with the first window.

    Args:
        rows: with `question` and `context`.
        context: tokenizer and longest sequence.
        first_row: index of the first row.
        overlap: tokens of the context that neighbouring windows share, or None for the usual number.

    Raises:
        ConfigError: the overlap leaves no room to go on.
    """
    frame = find_frame(context.tokenizer)
    questions = cut_into_pieces([row.question for row in rows], context.tokenizer)
    texts = cut_into_pieces([row.context for row in rows], context.tokenizer)
    free = context.max_tokens - frame.tokens
    if free < 2:
        raise ConfigError(
            f"model.max_tokens is {context.max_tokens}, which leaves no room for a question and a text",
            fix="raise model.max_tokens",
        )
    for place, (row, question, pieces) in enumerate(zip(rows, questions, texts, strict=True)):
        asked = question.ids[: free // 2]
        room = free - len(asked)
        shared = min(USUAL_OVERLAP_TOKENS, room // 2) if overlap is None else overlap
        if shared >= room:
            raise ConfigError(
                f"task.overlap_tokens is {shared}, but beside its question a window has room for {room} tokens",
                fix=f"set it below {room}, or raise model.max_tokens",
            )
        head = [*frame.before, *asked, *frame.between]
        for part, window in enumerate(make_windows(len(pieces.ids), room, shared)):
            inside = pieces.ids[window.start : window.end]
            sequence = [*head, *inside, *frame.behind]
            yield Encoded(
                sequences=(sequence,),
                target=None,
                row=first_row + place,
                part=part,
                meta={
                    "reading": Reading(row.context, pieces.offsets, window),
                    "first": len(head),
                    "null": len(sequence) - 1 if frame.null is None else frame.null,
                },
                cut_tokens=len(question.ids) - len(asked) if part == 0 else 0,
                segment_ids=_types(frame, len(asked), len(inside)),
            )


def _types(frame: Frame, asked: int, inside: int) -> tuple[list[int], ...]:
    if not frame.types:
        return ()
    counts = (len(frame.before), asked, len(frame.between), inside, len(frame.behind))
    runs = itertools.chain.from_iterable([kind] * count for kind, count in zip(frame.types, counts, strict=True))
    return (list(runs),)


def aim(parts: Sequence[Encoded], places: Sequence[tuple[int, int]]) -> list[Encoded]:
    """The windows of one labelled row with their targets.

    Args:
        parts: the windows.
        places: (A, 2) characters of the answers; () where there is none.
    """
    targets = [find_target(part.meta["reading"], places) for part in parts]
    if places and all(target == NO_ANSWER for target in targets):
        targets = [UNASKED] * len(parts)
    return [replace(part, target=target) for part, target in zip(parts, targets, strict=True)]


def find_target(reading: Reading, places: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Slots of the first answer that stands whole in the window; NO_ANSWER where none does.

    Args:
        reading: the window.
        places: (A, 2) characters of the answers.
    """
    for found in _inside(reading, places):
        return found[0] - reading.window.start + 1, found[-1] - reading.window.start + 1
    return NO_ANSWER


def spans_under(reading: Reading, places: Sequence[tuple[int, int]], longest_tokens: int) -> Iterator[str]:
    """What a prediction would give of the answers that stand whole in the window.

    Args:
        reading: the window.
        places: (A, 2) characters of the answers.
        longest_tokens: longest span that is given.
    """
    for found in _inside(reading, places):
        if len(found) <= longest_tokens:
            first, last = (piece - reading.window.start for piece in (found[0], found[-1]))
            yield reading.context[slice(*reading.span(first, last))]


def _inside(reading: Reading, places: Sequence[tuple[int, int]]) -> Iterator[range]:
    """The pieces of each answer that stands whole in the window."""
    for start, end in places:
        found = pieces_under(reading.offsets, start, end)
        if found and reading.window.start <= found[0] and found[-1] < reading.window.end:
            yield found


def pieces_under(offsets: Sequence[tuple[int, int]], start: int, end: int) -> range:
    """Pieces that share a character with start … end.

    Example:
        >>> pieces_under([(0, 4), (4, 9), (10, 12)], 5, 11)
        range(1, 3)
    """
    first = last = bisect_right(offsets, start, key=lambda piece: piece[1])
    while last < len(offsets) and offsets[last][0] < end:
        last += 1
    return range(first, last)
