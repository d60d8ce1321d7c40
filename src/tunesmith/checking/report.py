"""The report of a check as one JSON object: facts of each split, and what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.checking.findings import SEVERITIES, Example, Finding, Place, say_rows, to_json
from tunesmith.checking.gathering import Facts
from tunesmith.checking.lengths import describe_lengths
from tunesmith.checking.survey import Survey
from tunesmith.checking.tokens import Reader, TokenFacts, describe_tokens
from tunesmith.contracts import Labels

MOST_LABELS = 1_000
"""Labels whose counts are listed, the most frequent ones."""


@dataclass(frozen=True)
class SplitFacts:
    """All that was found out about one split; tokens are None without a model."""

    survey: Survey
    facts: Facts
    tokens: TokenFacts | None


def describe_split(found: SplitFacts, labels: Labels) -> dict[str, Any]:
    """The object of one split."""
    survey = found.survey
    content: dict[str, Any] = {
        "source": survey.source,
        "rows": {
            "read": survey.accepted + survey.rejected,
            "accepted": survey.accepted,
            "rejected": survey.rejected,
        },
        "rejected": [
            {"line": row.line, "field": row.field, "got": row.got, "problem": row.problem, "fix": row.fix}
            for row in survey.first_rejected
        ],
        "columns": survey.columns,
        "mapping": dict(survey.mapping),
        "guessed_fields": list(survey.guessed_fields),
        "labels": describe_labels(found.facts, labels),
        "characters": describe_lengths(found.facts.characters),
    }
    if found.tokens is not None:
        content["tokens"] = {**describe_lengths(found.tokens.lengths), **describe_tokens(found.tokens)}
    return content


def describe_labels(facts: Facts, labels: Labels) -> dict[str, Any]:
    """How often each label stands there, or the range of numbers."""
    if labels.kind == "number":
        values = np.frombuffer(facts.numbers, dtype=np.float64) if facts.numbers else np.empty(0)
        if not len(values):
            return {"kind": labels.kind}
        middle = {"mean": float(values.mean()), "median": float(np.median(values))}
        return {"kind": labels.kind, **middle, "min": float(values.min()), "max": float(values.max())}
    ranked = sorted(facts.labels.items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "kind": labels.kind,
        "distinct": len(ranked),
        "rows_without": facts.no_answer,
        "counts": dict(ranked[:MOST_LABELS]),
    }


def describe_model(name: str | None, reader: Reader | None) -> dict[str, Any] | None:
    """Whose tokens were counted; null where none was wanted."""
    if name is None:
        return None
    return {"name": name, "max_tokens": None if reader is None else reader.max_tokens, "available": reader is not None}


def describe_sampling(found: Sequence[SplitFacts]) -> dict[str, Any]:
    """How many rows near duplicates were looked for in, and how many were tokenised, of how many."""
    total = sum(split.survey.accepted for split in found)
    looked_at = sum(len(split.survey.sample.rows()) for split in found)
    sampling = {"near_duplicates": {"rows": looked_at, "of": total}}
    tokens = [split.tokens.rows for split in found if split.tokens is not None]
    return {**sampling, "tokens": {"rows": sum(tokens), "of": total}} if tokens else sampling


def count_severities(findings: Sequence[Finding]) -> dict[str, int]:
    """How many findings there are of each severity."""
    return {severity: sum(found.severity == severity for found in findings) for severity in SEVERITIES}


def say_verdict(findings: Sequence[Finding], rows: int) -> str:
    """The report in one line.

    Example:
        >>> say_verdict([], 1200)
        'nothing wrong was found in 1,200 rows'
    """
    counts = {severity: count for severity, count in count_severities(findings).items() if count}
    if not counts:
        return f"nothing wrong was found in {say_rows(rows)}"
    return f"{', '.join(say_rows(count, severity) for severity, count in counts.items())} in {say_rows(rows)}"


def describe_findings(findings: Sequence[Finding], rows: Mapping[Place, Example]) -> list[dict[str, Any]]:
    """The objects of all findings, gravest first."""
    return [to_json(found, rows) for found in findings]
