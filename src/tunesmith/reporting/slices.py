"""Parts of the judged rows, worst first: by length, class, script and further columns of the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.contracts import Counts
from tunesmith.evaluation.intervals import Interval, bootstrap_intervals
from tunesmith.evaluation.scoring import find_judged, tally_rows
from tunesmith.metrics import OF_ANY_ROWS, SMALLER_IS_BETTER, sum_counts
from tunesmith.pages import visible
from tunesmith.pages.charts import Score, axis_track, interval_track
from tunesmith.reporting.language import Words
from tunesmith.reporting.material import JudgedRows
from tunesmith.reporting.scores import scale_of

FEWEST_ROWS = 20
"""A part with fewer says too little to be shown."""
MOST_SHOWN = 24
MOST_CLASSES = 30
_SCRIPT_SHARE = 0.1
"""From this share of letters on, a script counts as one of the text's."""
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")


@dataclass(frozen=True)
class Slice:
    """A part of the rows and how they were answered.

    Attributes:
        kind: "length", "class", "script" or "column".
        column: name of the column, "" otherwise.
        value: class, script or value; of a length "low–high".
        score: of these rows.
        differs: the score of all rows lies outside the interval.
    """

    kind: str
    column: str
    value: str
    score: Interval
    differs: bool


@dataclass(frozen=True)
class Slices:
    """The parts, worst first.

    Attributes:
        name: of the score.
        overall: score of all rows.
        shown: the worst parts.
        compared: parts that were large enough.
    """

    name: str
    overall: float
    shown: Sequence[Slice]
    compared: int


def find_slices(judged: JudgedRows) -> Slices | None:
    """Score every part that is large enough; None where no score means the same on any rows, or no part is."""
    task, labels = judged.task, judged.labels
    counts = tally_rows(task, judged.predictions, judged.golds, labels)
    scores, counted = task.score(sum_counts(counts), labels), set(find_judged(task, judged.golds, labels))
    name = next((one for one in OF_ANY_ROWS if one in scores), None)
    if name is None:
        return None

    def score(total: Counts) -> Mapping[str, float]:
        return {name: task.score(total, labels)[name]}

    resamples = max(100, min(500, 20_000 // max(1, len(labels.names))))
    found = []
    for kind, column, value, part in _parts(judged):
        rows = [row for row in part if row in counted]
        if FEWEST_ROWS <= len(rows) < len(counted):
            interval = bootstrap_intervals([counts[row] for row in rows], score, resamples=resamples)[name]
            differs = not interval.low <= scores[name] <= interval.high
            found.append(Slice(kind, column, value, interval, differs))
    sign = -1 if name in SMALLER_IS_BETTER else 1
    found.sort(key=lambda one: sign * one.score.value)
    return Slices(name, scores[name], found[:MOST_SHOWN], len(found)) if found else None


def describe_slices(slices: Slices, words: Words) -> dict[str, Any]:
    """The parts with their names and tracks, as the page shows them."""
    bounds = [bound for one in slices.shown for bound in (one.score.low, one.score.high)]
    scale = scale_of([*bounds, slices.overall])
    rows = [
        {
            "title": _title(one, words),
            "score": one.score,
            "track": interval_track(
                Score(one.score.value, one.score.low, one.score.high), scale, strong=one.differs, guide=slices.overall
            ),
            "differs": _verdict(one, slices) if one.differs else "",
        }
        for one in slices.shown
    ]
    return {
        "metric": words.name("metric", slices.name),
        "overall": slices.overall,
        "rows": rows,
        "axis": axis_track(scale),
        "compared": slices.compared,
    }


def _verdict(one: Slice, slices: Slices) -> str:
    """ "worse" or "better" than all rows."""
    is_lower = one.score.value < slices.overall
    return "worse" if is_lower != (slices.name in SMALLER_IS_BETTER) else "better"


def _title(one: Slice, words: Words) -> str:
    value = words.name("script", one.value) if one.kind == "script" else visible(one.value)
    shown = value or words("slice.empty")
    return words(f"slice.{one.kind}", value=shown, column=visible(one.column))


def _parts(judged: JudgedRows) -> Iterator[tuple[str, str, str, list[int]]]:
    """Yield kind, column, value and rows of each part."""
    yield from (("length", "", value, rows) for value, rows in _by_length(judged.lengths_tokens))
    answers = [set(judged.task.answers(row, judged.labels)) for row in judged.rows]
    classes = Counter(name for named in answers for name in named)
    for name, _ in classes.most_common(MOST_CLASSES):
        yield "class", "", name, [row for row, named in enumerate(answers) if name in named]
    scripts = [script_of(" ".join(judged.task.texts(row))) for row in judged.rows]
    for name in sorted(set(scripts)):
        yield "script", "", name, [row for row, script in enumerate(scripts) if script == name]
    for column, values in judged.groups.items():
        for value in sorted(set(values)):
            yield "column", column, value, [row for row, other in enumerate(values) if other == value]


def _by_length(lengths: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """Quarters of the rows by length; fewer where many are equally long."""
    if not lengths:
        return
    bounds = sorted({int(bound) for bound in np.quantile(lengths, [0.25, 0.5, 0.75, 1.0], method="lower")})
    low = min(lengths)
    for high in bounds:
        rows = [row for row, length in enumerate(lengths) if low <= length <= high]
        yield (f"{low}–{high}" if low < high else f"{high}"), rows
        low = high + 1


def script_of(text: str) -> str:
    """The script a text is written in: "han", "latin", "mixed" of the two, or "other".

    Example:
        >>> script_of("利润上升了"), script_of("profit rose"), script_of("公司的 revenue 上升"), script_of("42 %")
        ('han', 'latin', 'mixed', 'other')
    """
    han, latin = len(_HAN.findall(text)), len(_LATIN.findall(text))
    if not han + latin:
        return "other"
    share = han / (han + latin)
    if _SCRIPT_SHARE <= share <= 1 - _SCRIPT_SHARE:
        return "mixed"
    return "han" if share > 0.5 else "latin"
