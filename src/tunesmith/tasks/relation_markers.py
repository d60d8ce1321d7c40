"""Two entities in a text as the model reads them: marked by added tokens, and cut around them where it is too long.

Markers around both entities and the vectors at the two opening ones: Baldini Soares et al. 2019, "Matching the
Blanks", section 3.2 (entity markers, entity start).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tunesmith.contracts import Batch, Context, Encoded
from tunesmith.errors import ConfigError
from tunesmith.tasks.relation_rows import MASKS, Place
from tunesmith.tasks.token_windows import special_tokens

HEAD, HEAD_END, TAIL, TAIL_END = "[HEAD]", "[/HEAD]", "[TAIL]", "[/TAIL]"
MARKERS: Mapping[str, str] = {
    HEAD: "head subject first 主 头 甲",
    HEAD_END: "head subject first end 主 头 甲 末",
    TAIL: "tail object second 宾 尾 乙",
    TAIL_END: "tail object second end 宾 尾 乙 末",
}
"""Added tokens, and the words whose mean vector each starts from; those a tokenizer does not know are left out."""
_LITERAL = re.compile(r"\[(?=/?(?:HEAD|TAIL)\])")
"""The bracket of a marker that is written in a text."""


@dataclass(frozen=True)
class Marked:
    """A text with its markers.

    Attributes:
        text: what the tokenizer gets.
        places: where each marker begins in it: head, end of head, tail, end of tail.
    """

    text: str
    places: tuple[int, int, int, int]


def mark(row: Any, masked: str = "names") -> Marked:
    """Put the markers around both entities of a row.

    An opening marker stands in front of the space before its entity, so that tokenizers whose words begin with a
    space see the word that they know. A text that says `[HEAD]` itself means nothing by it: a blank behind the bracket
    keeps the tokenizer from taking it for the marker.

    Args:
        row: a RelationRow.
        masked: "names" puts the name of a masked entity back into the text, "kept" leaves the mask.

    Example:
        >>> from tunesmith.tasks.relation_rows import RelationRow
        >>> mark(RelationRow(text="Today Ada met Bo.", head="Bo", tail="Ada")).text
        'Today[TAIL] Ada[/TAIL] met[HEAD] Bo[/HEAD].'
        >>> mark(RelationRow(text="Ada's [HEAD] met Bo.", head="Ada", tail="Bo")).text
        "[HEAD]Ada[/HEAD]'s [ HEAD] met[TAIL] Bo[/TAIL]."
    """
    head, tail = row.places
    entities = [(head, row.head, HEAD, HEAD_END), (tail, row.tail, TAIL, TAIL_END)]
    text, done, places = "", 0, {}
    for (start, end), name, opening, closing in sorted(entities):
        before = _plain(row.text[done:start])
        kept = before.rstrip()
        inner = row.text[start:end]
        if masked == "names" and any(character in MASKS for character in inner):
            inner = name
        text += kept
        places[opening] = len(text)
        text += opening + before[len(kept) :] + _plain(inner)
        places[closing] = len(text)
        text += closing
        done = end
    return Marked(text + _plain(row.text[done:]), (places[HEAD], places[HEAD_END], places[TAIL], places[TAIL_END]))


def _plain(text: str) -> str:
    """A text in which no tokenizer finds a marker."""
    return _LITERAL.sub("[ ", text)


def encode_marked(marked: Sequence[Marked], targets: Sequence[Any], context: Context, first_row: int) -> list[Encoded]:
    """Encode marked texts, one sequence a row; one that is too long is cut around its two entities.

    `places` of an item are the tokens of the markers: head, end of head, tail, end of tail.

    Args:
        marked: the texts.
        targets: what is learnt from each.
        context: its tokenizer knows the markers.
        first_row: index of the first.

    Raises:
        ConfigError: the longest sequence has no room for the markers.
    """
    if not marked:
        return []
    before, behind = special_tokens(context.tokenizer)
    room = context.max_tokens - len(before) - len(behind)
    if room < 6:
        raise ConfigError(
            f"model.max_tokens is {context.max_tokens}, which leaves {max(0, room)} tokens for two marked entities",
            fix="set it to 16 or more",
        )
    found = context.tokenizer(
        [one.text for one in marked],
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    items = []
    rows = zip(marked, targets, found["input_ids"], found["offset_mapping"], strict=True)
    for index, (one, target, ids, offsets) in enumerate(rows):
        starts = [start for start, _ in offsets]
        places = [max(0, bisect_right(starts, place) - 1) for place in one.places]
        kept = keep_entities(len(ids), (places[0], places[1]), (places[2], places[3]), room)
        moved = {token: len(before) + place for place, token in enumerate(kept)}
        items.append(
            Encoded(
                sequences=([*before, *(ids[token] for token in kept), *behind],),
                target=target,
                row=first_row + index,
                places=tuple(moved[place] for place in places),
                cut_tokens=len(ids) - len(kept),
            )
        )
    return items


def keep_entities(length: int, head: Place, tail: Place, room: int) -> list[int]:
    """Which tokens of a marked text stay where it has no room for all.

    First the four markers, then the entities from their beginnings, then all that stands between them if that fits,
    then what is nearest to an entity.

    Args:
        length: tokens of the text.
        head: tokens of the head's markers.
        tail: tokens of the tail's.
        room: most tokens, at least 4.

    Returns:
        Their places, ascending.

    Example:
        >>> keep_entities(20, (5, 7), (10, 12), room=10)
        [4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
        >>> keep_entities(20, (2, 4), (15, 17), room=10)
        [1, 2, 3, 4, 5, 14, 15, 16, 17, 18]
    """
    if length <= room:
        return list(range(length))
    (_, first_end), (second, _) = sorted((head, tail))
    fits = max(head[1], tail[1]) - min(head[0], tail[0]) < room

    def rank(token: int) -> tuple[int, int, int]:
        if token in head or token in tail:
            return 0, 0, token
        for start, end in (head, tail):
            if start < token < end:
                return 1, token - start, token
        if fits and first_end < token < second:
            return 2, 0, token
        return 3, min(abs(token - edge) for edge in (*head, *tail)), token

    return sorted(sorted(range(length), key=rank)[:room])


def entity_vectors(hidden: Tensor, batch: Batch, *, is_causal: bool) -> Tensor:
    """The two vectors that stand for the entities, side by side.

    Those at the opening markers. Where attention is causal these have not read their entities: there it is the vector
    at the later closing marker, which has read both, and that at the last token.

    Args:
        hidden: (T, D).
        batch: items whose places are the four markers.
        is_causal: the trunk reads from left to right.

    Returns:
        (S, 2D).
    """
    places = torch.tensor([item.places for item in batch.items], dtype=torch.int64, device=hidden.device)  # (S, 4)
    bounds = batch.bounds.long().to(hidden.device)
    if is_causal:
        later = bounds[:-1] + places[:, (1, 3)].amax(dim=1)
        chosen = torch.stack([later, bounds[1:] - 1], dim=1)  # (S, 2)
    else:
        chosen = bounds[:-1, None] + places[:, (0, 2)]
    return hidden[chosen].flatten(1)
