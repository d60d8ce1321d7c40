"""What a check finds: the kinds, how grave each is, which rows show it, and the JSON of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
MOST_EXAMPLES = 5
TEXT_CHARACTERS = 100
"""Longest text of an example."""
LABEL_CHARACTERS = 40


class Place(NamedTuple):
    """An accepted row: the index of its split and its own index there, from 0."""

    split: int
    row: int


class Sampled(NamedTuple):
    """How many rows were looked at, of how many."""

    rows: int
    of: int


@dataclass(frozen=True)
class Example:
    """A row that shows a finding.

    Attributes:
        split: name of its split.
        line: line in the file, or number of the row, from 1.
        text: its text, shortened.
        label: its answers as people read them; "" where it has none.
    """

    split: str
    line: int
    text: str
    label: str = ""


@dataclass(frozen=True)
class Finding:
    """One sort of fault or doubt.

    Attributes:
        kind: a word for programs, such as "label_variants".
        severity: "error" (training or scores go wrong), "warning" (quality suffers) or "note" (good to know).
        count: how many rows, labels or tokens; the message says which.
        share: `count` as a share of those that could have it, 0 to 1.
        message: what was found.
        fix: what to do, as an imperative sentence.
        places: rows that show it, each followed by the row it resembles where there is one.
        examples: rows that show it and that no place can name, because they were not accepted.
        splits: the count by split.
        sampled: how many rows were looked at, where these were not all.
    """

    kind: str
    severity: Severity
    count: int
    share: float
    message: str
    fix: str
    places: tuple[tuple[Place, ...], ...] = ()
    examples: tuple[Example, ...] = ()
    splits: Mapping[str, int] = field(default_factory=dict)
    sampled: Sampled | None = None


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Gravest first; among equals, the largest share first."""
    return sorted(findings, key=lambda found: (SEVERITIES.index(found.severity), -found.share, found.kind))


def wanted_places(findings: Iterable[Finding]) -> set[Place]:
    """All rows that examples are made of."""
    return {place for found in findings for places in found.places[:MOST_EXAMPLES] for place in places}


def to_json(found: Finding, rows: Mapping[Place, Example]) -> dict[str, Any]:
    """The object of one finding; an example's `twin` is the row it resembles."""
    examples = [_pair([rows[place] for place in places]) for places in found.places[:MOST_EXAMPLES]]
    examples += [_pair([example]) for example in found.examples[: MOST_EXAMPLES - len(examples)]]
    content: dict[str, Any] = {
        "kind": found.kind,
        "severity": found.severity,
        "count": found.count,
        "share": round(found.share, 6),
        "message": found.message,
        "fix": found.fix,
        "examples": examples,
    }
    if found.splits:
        content["splits"] = dict(found.splits)
    if found.sampled is not None:
        content["sampled"] = found.sampled._asdict()
    return content


def _pair(rows: Sequence[Example]) -> dict[str, Any]:
    first = _row(rows[0])
    return first if len(rows) == 1 else {**first, "twin": _row(rows[1])}


def _row(example: Example) -> dict[str, Any]:
    shown = {"split": example.split, "line": example.line, "text": example.text}
    return {**shown, "label": example.label} if example.label else shown


def shorten_text(text: str, limit: int = TEXT_CHARACTERS) -> str:
    """The beginning of a text, its blanks and line ends as single blanks.

    Example:
        >>> shorten_text("one\\n  two three", 10)
        'one two t…'
    """
    plain = " ".join(text[: 4 * limit].split())
    return plain if len(plain) <= limit and len(text) <= 4 * limit else plain[: limit - 1] + "…"


def name_some(names: Sequence[str], limit: int = 5) -> str:
    """Names for a message, the rest counted.

    Example:
        >>> name_some(["a", "b", "c"], 2)
        "'a', 'b' and 1 more"
    """
    shown = ", ".join(repr(name[:LABEL_CHARACTERS]) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit:,} more"


def say_rows(count: int, what: str = "row") -> str:
    """A number and its noun.

    Example:
        >>> say_rows(1), say_rows(2500, "label")
        ('1 row', '2,500 labels')
    """
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def say_share(share: float) -> str:
    """A share in percent; one that is not 0 does not look like it.

    Example:
        >>> say_share(0), say_share(0.00004), say_share(0.021), say_share(0.637)
        ('0 %', '< 0.1 %', '2.1 %', '64 %')
    """
    if share == 0:
        return "0 %"
    return "< 0.1 %" if share < 0.001 else f"{100 * share:.{0 if share >= 0.0995 else 1}f} %"
