"""The whole check: three passes over each split, findings, and the report.

The first pass reads, counts what cannot be used and draws a sample; the sample tells what the labels are. The second
keeps a few bytes a row, in which duplicates, leaks and label faults are found. The third fetches the rows that
examples are made of. So memory hardly grows with the length of a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from tunesmith import data
from tunesmith.checking.duplicates import AllRows, find_conflicts, find_duplicates, find_leaks
from tunesmith.checking.fetching import fetch_rows
from tunesmith.checking.findings import Finding, sort_findings, wanted_places
from tunesmith.checking.gathering import Facts, gather_facts
from tunesmith.checking.labels import LabelFacts, find_label_faults
from tunesmith.checking.near_faults import find_near_faults
from tunesmith.checking.report import (
    SplitFacts,
    count_severities,
    describe_findings,
    describe_model,
    describe_sampling,
    describe_split,
    say_verdict,
)
from tunesmith.checking.row_faults import find_row_faults, find_small_splits
from tunesmith.checking.splits import Split, keep_standard_input, name_splits
from tunesmith.checking.survey import Survey, find_guesses, find_unusable, survey_split
from tunesmith.checking.token_faults import find_token_faults
from tunesmith.checking.tokens import TOKEN_CHARACTERS, TOKEN_ROWS, Reader, load_reader, read_tokens
from tunesmith.contracts import Labels, Task
from tunesmith.errors import DataError, ModelError
from tunesmith.tasks import make_task

KINDS_TRIED = ("single", "multi")


def check_sources(
    sources: Sequence[Any] | Mapping[str, Any],
    *,
    task: str | None = None,
    model: str | None = None,
    options: data.ReadOptions | None = None,
    stdin: BinaryIO | None = None,
) -> dict[str, Any]:
    """Look for what is wrong in labelled files, and say what is in them.

    Args:
        sources: a path, "-", or rows in memory for each split, the training split first; or splits by name.
        task: what they are for; default: guessed by their content.
        model: the base model whose tokens are counted; None: no tokens.
        options: how they are read.
        stdin: bytes to read for "-"; default: the process's standard input.

    Returns:
        The report; see docs/check.md for its keys.

    Raises:
        DataError: a source cannot be read, or lacks a column.
        ConfigError: the task is unknown.
    """
    with keep_standard_input(name_splits(sources, options or data.ReadOptions()), stdin) as splits:
        chosen = make_task(task or splits[0].guess_task(), {})
        report = _check(splits, chosen, model)
    return {**report, "task": {"name": chosen.name, "guessed": task is None}}


def _check(splits: Sequence[Split], chosen: Task, model: str | None) -> dict[str, Any]:
    surveys = _survey_all(splits, chosen)
    splits = [survey.split for survey in surveys]
    labels, refused = find_labels(chosen, surveys)
    facts = [gather_facts(split, chosen, labels) for split in splits]
    reader, unavailable = _find_reader(model)
    found = _read_splits(chosen, labels, surveys, facts, reader)
    findings = sort_findings([*unavailable, *_find_all(chosen, labels, found, reader, refused)])
    rows = fetch_rows(splits, wanted_places(findings), chosen, labels)
    return {
        "verdict": say_verdict(findings, sum(survey.accepted + survey.rejected for survey in surveys)),
        "severities": count_severities(findings),
        "task": {"name": chosen.name},
        "model": describe_model(model, reader),
        "sampling": describe_sampling(found),
        "splits": {split.survey.split.name: describe_split(split, labels) for split in found},
        "findings": describe_findings(findings, rows),
    }


def _survey_all(splits: Sequence[Split], task: Task) -> list[Survey]:
    """The columns of the first split are looked for first in the others."""
    first = survey_split(splits[0], task)
    others = [replace(split, options=replace(split.options, remembered=dict(first.mapping))) for split in splits[1:]]
    return [first, *(survey_split(split, task) for split in others)]


def find_labels(task: Task, surveys: Sequence[Survey]) -> tuple[Labels, DataError | None]:
    """The labels of the sampled rows, and what the task has against them, if it has.

    Refused labels are counted all the same, as classes.
    """
    rows = [drawn.value for survey in surveys for drawn in survey.sample.rows()]
    if not rows:
        return Labels(()), None
    try:
        return task.labels(rows), None
    except DataError as error:
        refused = error
    for kind in KINDS_TRIED:
        labels = Labels((), (), kind)
        try:
            _ = [task.answers(row, labels) for row in rows]
        except DataError:
            continue
        return labels, refused
    return Labels(()), refused


def _find_reader(model: str | None) -> tuple[Reader | None, list[Finding]]:
    """The tokenizer, or a note that it is not to be had."""
    if model is None:
        return None, []
    try:
        return load_reader(model), []
    except ModelError as error:
        message = f"nothing is said about tokens: {error.message}"
        return None, [Finding("model_unavailable", "note", 1, 1.0, message, error.fix or "name another with --model")]


def _read_splits(
    task: Task, labels: Labels, surveys: Sequence[Survey], facts: Sequence[Facts], reader: Reader | None
) -> list[SplitFacts]:
    found = []
    for survey, kept in zip(surveys, facts, strict=True):
        drawn = survey.sample.rows(TOKEN_ROWS, TOKEN_CHARACTERS)
        tokens = None if reader is None else read_tokens(reader, task, labels, drawn, survey.accepted)
        found.append(SplitFacts(survey, kept, tokens))
    return found


def _find_all(
    task: Task, labels: Labels, found: Sequence[SplitFacts], reader: Reader | None, refused: DataError | None
) -> list[Finding]:
    surveys, facts = [split.survey for split in found], [split.facts for split in found]
    findings = [*find_unusable(surveys), *find_guesses(surveys)]
    if not any(split.rows for split in facts):
        return findings
    names = [split.name for split in facts]
    rows = AllRows(facts)
    samples = [survey.sample.rows() for survey in surveys]
    tokens = [split.tokens for split in found if split.tokens is not None]
    return [
        *findings,
        *find_duplicates(rows),
        *find_leaks(rows),
        *(find_conflicts(rows) if any(split.labels or split.numbers for split in facts) else ()),
        *find_near_faults(task, names, samples, [split.rows for split in facts]),
        *find_label_faults(LabelFacts(labels, facts), refused),
        *find_row_faults(facts),
        *find_small_splits(facts),
        *(find_token_faults(reader, names, tokens) if reader is not None else ()),
    ]
