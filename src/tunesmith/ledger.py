"""What of the texts and their answers never reaches the model: counted for every run, never silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tunesmith.contracts import Encoded

SHOWN = 5


@dataclass(frozen=True)
class Ledger:
    """What became of the rows of one split.

    Attributes:
        rows: rows.
        tokens: tokens that the model reads, those that windows share counted once for each.
        windowed_rows: rows read in several windows.
        cut_rows: rows whose end was cut off.
        cut_tokens: tokens cut off.
        lost_answers: right answers that no prediction can express; each counts as a miss.
        lost_examples: the first of them.
        not_judged: rows that are answered and say nothing about a model, as they have nothing to find.
    """

    rows: int
    tokens: int
    windowed_rows: int
    cut_rows: int
    cut_tokens: int
    lost_answers: int
    lost_examples: tuple[str, ...]
    not_judged: int = 0

    @property
    def cut_share(self) -> float:
        """Share of all tokens that were cut off."""
        return self.cut_tokens / max(1, self.tokens + self.cut_tokens)

    def to_json(self) -> dict[str, Any]:
        """As it stands in metrics.json."""
        return {**asdict(self), "lost_examples": list(self.lost_examples), "cut_share": self.cut_share}


def count(items: Sequence[Encoded]) -> Ledger:
    """Count what was cut and lost.

    Args:
        items: the parts of a split's rows.

    Example:
        >>> found = count([Encoded(([1, 2, 3],), None, row=0, cut_tokens=1, lost=("PER 'Li'",))])
        >>> found.cut_share, found.lost_answers
        (0.25, 1)
    """
    lost = [answer for item in items for answer in item.lost]
    return Ledger(
        rows=len({item.row for item in items}),
        tokens=sum(item.length_tokens for item in items),
        windowed_rows=sum(item.part == 1 for item in items),
        cut_rows=sum(item.cut_tokens > 0 for item in items),
        cut_tokens=sum(item.cut_tokens for item in items),
        lost_answers=len(lost),
        lost_examples=tuple(lost[:SHOWN]),
    )


def describe(split: str, ledger: Ledger, max_tokens: int) -> list[str]:
    """Sentences for people about what a split lost; none where nothing was.

    Example:
        >>> describe("training", count([Encoded(([1, 2, 3],), None, row=0, cut_tokens=1)]), 3)[0]
        '1 of 1 training texts are longer than 3 tokens and were cut (25.0% of all tokens lost)'
    """
    said = []
    if ledger.cut_rows:
        said.append(
            f"{ledger.cut_rows:,} of {ledger.rows:,} {split} texts are longer than {max_tokens} tokens and were cut "
            f"({ledger.cut_share:.1%} of all tokens lost)"
        )
    if ledger.windowed_rows:
        said.append(
            f"{ledger.windowed_rows:,} of {ledger.rows:,} {split} texts are longer than {max_tokens} tokens and are "
            "read in windows that overlap"
        )
    if ledger.lost_answers:
        listed = ", ".join(ledger.lost_examples) + (" …" if ledger.lost_answers > SHOWN else "")
        said.append(
            f"{ledger.lost_answers:,} answers of the {split} rows cannot be given by any model of this kind and count "
            f"as misses: {listed}"
        )
    return said
