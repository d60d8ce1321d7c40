"""Findings about single rows: broken characters, remnants of mark-up, texts that are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tunesmith.checking.findings import MOST_EXAMPLES, Finding, Place, Severity, say_rows, say_share
from tunesmith.checking.gathering import Facts

FEW_ROWS = 100
"""Fewer held-out rows give scores that are hardly worth printing."""


class Words(NamedTuple):
    """What is said about one kind of fault; the message goes on after "12 rows"."""

    severity: Severity
    message: str
    fix: str


WORDS = {
    "broken_encoding": Words(
        "warning", "with � (U+FFFD): characters got lost when the file was decoded", "export it again as UTF-8"
    ),
    "mojibake": Words(
        "warning",
        "whose characters were decoded wrongly (such as 'Ã©' for 'é', or '锟斤拷')",
        "read the original with its own encoding and save it as UTF-8",
    ),
    "html": Words(
        "warning", "with remnants of HTML (tags or entities such as &amp;)", "turn entities into characters, drop tags"
    ),
    "control_characters": Words("warning", "with control characters", "remove them"),
    "invisible_characters": Words(
        "warning",
        "with characters that nobody sees (zero-width space, soft hyphen, byte order mark, direction marks)",
        "remove them: equal words look different to a tokenizer",
    ),
    "no_letters": Words("note", "without any letter or digit", "take them out, unless emoji or marks carry the label"),
    "one_character": Words("note", "whose text is a single character", "look at them: is it the right column?"),
    "text_is_label": Words(
        "warning", "whose text is nothing but its own label", "take them out: there is nothing to learn from"
    ),
    "header_rows": Words("warning", "that repeat the name of the text column: a header in the middle", "take them out"),
    "equal_pair": Words("note", "whose two texts are the same", "look at them: were two columns mixed up?"),
}


def find_row_faults(facts: Sequence[Facts]) -> list[Finding]:
    """A finding for each kind of fault that a row can have by itself."""
    total = max(1, sum(split.rows for split in facts))
    found = []
    for kind, words in WORDS.items():
        faults = [(index, *split.faults.get(kind, (0, []))) for index, split in enumerate(facts)]
        count = sum(number for _, number, _ in faults)
        if count:
            found.append(
                Finding(
                    kind,
                    words.severity,
                    count,
                    count / total,
                    f"{say_rows(count)} {words.message}",
                    words.fix,
                    tuple((Place(index, row),) for index, _, rows in faults for row in rows)[:MOST_EXAMPLES],
                    splits={facts[index].name: number for index, number, _ in faults if number},
                )
            )
    return found


def find_small_splits(facts: Sequence[Facts]) -> list[Finding]:
    """A note for each held-out split that is too small to tell two models apart."""
    return [
        Finding(
            "small_split",
            "note",
            split.rows,
            1.0,
            f"{split.name} has {say_rows(split.rows)}: scores on it are uncertain by about "
            f"{say_share(2 * (0.16 / max(1, split.rows)) ** 0.5)}",  # two standard errors of an accuracy of 0.8
            f"hold out {FEW_ROWS} rows or more",
            splits={split.name: split.rows},
        )
        for split in facts[1:]
        if split.rows < FEW_ROWS
    ]
