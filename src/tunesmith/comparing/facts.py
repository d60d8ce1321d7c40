"""What stands beside the figures: rows as examples, size and speed, settings that differ, what to be wary of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel

from tunesmith.comparing.answering import answer_field
from tunesmith.comparing.bout import Bout, Side
from tunesmith.comparing.contestants import SEED, Contestant, find_differences
from tunesmith.contracts import Comparison
from tunesmith.evaluation.paired import find_changes
from tunesmith.evaluation.scoring import Evaluation, compare_rows

EXAMPLES = 10
"""Rows of each kind that are shown."""
TEXT_CHARACTERS = 300
ONE_RUN = (
    "one run on each side: this is about these two models and the choice of rows; other seeds may turn a small "
    "difference round. To compare settings, give several seeds: tunesmith compare 'runs/a-*' 'runs/b-*' --data FILE"
)


def describe_changes(bout: Bout) -> dict[str, Any]:
    """How many rows are answered better and worse, with the first of each kind."""
    found = asdict(find_changes(*bout.evaluations, bout.task, bout.labels))
    compared = _compare(bout)
    examples = {kind: [_example(bout, compared, p) for p in places[:EXAMPLES]] for kind, places in found.items()}
    return {**{kind: len(places) for kind, places in found.items()}, "examples": examples}


Compared = Sequence[Sequence[Sequence[Comparison]]]
"""Of each run of A and of B, every answer beside the right one; empty where answers are fields of predictions."""


def _compare(bout: Bout) -> Compared:
    """All rows at once: what is nearest among all texts is not what is nearest among those of one row."""
    if answer_field(bout.task) in bout.task.Prediction.model_fields:
        return []
    return [
        [compare_rows(bout.task, run.predictions, run.golds, bout.labels) for run in runs] for runs in bout.evaluations
    ]


def _example(bout: Bout, compared: Compared, place: int) -> dict[str, Any]:
    """A row: its line, its text, the right answer, and those of the runs of each side."""
    row, texts = bout.read.rows[place], bout.task.texts(bout.read.rows[place])
    shown = " | ".join(texts)
    if compared:  # answers are texts of rows
        right: Any = "; ".join(compared[0][0][place].right)
        answers: list[list[Any]] = [["; ".join(run[place].given) for run in runs] for runs in compared]
    else:
        field = answer_field(bout.task)
        right = _right(bout.evaluations[0][0], row, place, field)
        answers = [[getattr(run.predictions[place], field) for run in runs] for runs in bout.evaluations]
    return {
        "line": bout.read.lines[place],
        "text": shown if len(shown) <= TEXT_CHARACTERS else f"{shown[: TEXT_CHARACTERS - 1]}…",
        "right": _plain(right, texts[0]),
        **{side: [_plain(given, texts[0]) for given in found] for side, found in zip("ab", answers, strict=True)},
    }


def _right(run: Evaluation, row: Any, place: int, field: str) -> Any:
    gold = run.golds[place]
    return gold if isinstance(gold, (str, float, int, list)) else getattr(row, field)


def _plain(answer: Any, text: str) -> Any:
    """An answer as JSON; spans with the text they stand for."""
    if isinstance(answer, (list, tuple)):
        return [_plain(part, text) for part in answer]
    if isinstance(answer, BaseModel):
        held = answer.model_dump(exclude_none=True)
        return held | {"text": text[held["start"] : held["end"]]} if {"start", "end"} <= held.keys() else held
    return answer


def describe_system(side: Side) -> dict[str, Any]:
    """Size, speed and scores of one side."""
    found, rates = side[0].who.found, [one.evaluation.n / one.seconds for one in side if one.seconds]
    predictor = side[0].predictor
    size: dict[str, Any] = dict.fromkeys(("method", "parameters", "trained_parameters", "weights_bytes", "stores"))
    if found is not None and predictor is not None:
        files = found.facts["files"]
        size = {
            "method": found.facts["method"]["name"],
            "parameters": sum(parameter.numel() for parameter in predictor.model.parameters()),
            "trained_parameters": found.facts["trainable_parameters"],
            "weights_bytes": sum(file["bytes"] for name, file in files.items() if name.endswith(".safetensors")),
            "stores": found.facts["stores"],
        }
    runs = [
        {
            "path": str(one.who.path),
            "seed": one.who.seed,
            "scores": {name: asdict(score) for name, score in one.evaluation.scores.items()},
        }
        for one in side
    ]
    return {**size, "rows_per_s": sum(rates) / len(rates) if rates else None, "runs": runs}


def describe_settings(sides: Sequence[Sequence[Contestant]], *, is_pair: bool) -> dict[str, dict[str, str]]:
    """What the runs of A and of B were told differently."""
    first, second = (side[0].found for side in sides)
    if first is None or second is None:
        return {}
    found = find_differences(first, second)
    if not is_pair:
        found.pop(SEED, None)
    return {name: {"a": one, "b": other} for name, (one, other) in found.items()}


def find_warnings(bout: Bout) -> list[str]:
    """What a reader must know before believing the figures."""
    found = []
    for letter, side in zip("AB", bout.sides, strict=True):
        for one in side:
            known = one.who.found.facts["data"]["fingerprints"] if one.who.found is not None else {}
            if known.get("train") == bout.read.fingerprint:
                found.append(
                    f"{letter} ({one.who.path}) is scored on the rows it was trained on: its scores flatter it"
                )
            elif known.get("dev") == bout.read.fingerprint:
                found.append(
                    f"{letter} ({one.who.path}) is scored on its development rows, on which its weights were chosen"
                )
    counts = [len(side) for side in bout.sides]
    if counts == [1, 1]:
        found.append(ONE_RUN)
    elif 1 in counts:
        letter = "AB"[counts.index(1)]
        found.append(f"{letter} is one run: the luck of its seed is not covered by the interval and the p-value")
    unseen = sorted(
        {name for row in bout.read.rows for name in bout.task.answers(row, bout.labels)} - set(bout.labels.names)
    )
    if unseen:
        found.append(f"right answers that neither can give, counted as wrong: {', '.join(unseen)}")
    return found
