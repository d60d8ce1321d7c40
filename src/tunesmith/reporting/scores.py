"""What the scores say: the summary in words, the model beside its competitors, classes and who is taken for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tunesmith.metrics import ALPHA, SMALLER_IS_BETTER, format_p
from tunesmith.pages import visible
from tunesmith.pages.charts import (
    Caption,
    Score,
    axis_track,
    bar_track,
    heat_level,
    heat_map,
    interval_track,
)
from tunesmith.pages.svg import Scale, make_scale
from tunesmith.reporting.language import Words
from tunesmith.reporting.material import bare_name

AVERAGES = 3
"""Rows of averages at the end of a table of classes."""
MOST_CELLS = 25
"""Classes up to which every cell of the confusion matrix is written."""
MOST_PAIRS = 20
MOST_ROWS = 30
"""Classes shown at once; the rest is folded away."""


@dataclass(frozen=True)
class System:
    """A row of the comparison."""

    title: str
    value: float
    low: float
    high: float
    track: Markup
    is_model: bool


OWN_ROWS = ("dev", "training")
"""Splits that are rows of the run itself: "training" where none were held out."""


def format_score(value: float, *, signed: bool = False) -> str:
    """Three decimals, of larger numbers four digits; a true minus sign.

    Example:
        >>> format_score(0.83), format_score(-0.05, signed=True), format_score(1234.5)
        ('0.830', '−0.050', '1,234')
    """
    text = f"{value:{'+' if signed else ''},.{3 if abs(value) < 100 else 0}f}"
    return text.replace("-", "−")


def summarize(metrics: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """The headline with its interval, the gain in words, and what should be said beside it."""
    name = metrics["headline"]
    after, gain = metrics["scores"][name], metrics.get("gain")
    split = str(metrics["split"])
    file = Markup("<bdi>{}</bdi>").format(visible(bare_name(metrics["split"])))
    n = f"{after['n']:,}"
    return {
        "metric": words.name("metric", name),
        "explained": words.name("explained", name, ""),
        "value": format_score(after["value"]),
        "low": format_score(after["low"]),
        "high": format_score(after["high"]),
        "rows": words(f"rows.{split}", n=n) if split in OWN_ROWS else words.rich("rows.file", n=n, file=file),
        "before": None if gain is None else format_score(after["value"] - gain["value"]),
        "gain": None if gain is None else format_score(gain["value"], signed=True),
        "gain_is": None if gain is None else _verdict(name, gain),
        "sentence": _sentence(name, after, gain, words),
        "rivals": [_title(metrics, key, words) for key in _rivals(metrics)],
        "note": f"summary.{split}" if split in OWN_ROWS else None,
    }


def _sentence(name: str, after: Mapping[str, float], gain: Mapping[str, float] | None, words: Words) -> str:
    shown = {"metric": words.name("metric", name), "after": format_score(after["value"])}
    if gain is None:
        interval = {"low": format_score(after["low"]), "high": format_score(after["high"])}
        return words("summary.alone", **shown, **interval)
    p = f"; {format_p(gain['p'])}" if "p" in gain else ""  # folders of early versions have none
    return words(
        f"summary.{_verdict(name, gain)}",
        p=p.replace("p ", "p\u00a0").replace("= ", "=\u00a0").replace("< ", "<\u00a0"),
        before=format_score(after["value"] - gain["value"]),
        gain=format_score(gain["value"], signed=True),
        low=format_score(gain["low"], signed=True),
        high=format_score(gain["high"], signed=True),
        **shown,
    )


def _verdict(name: str, gain: Mapping[str, float]) -> str:
    """ "better", "worse" or "unsure"; by the p-value where there is one, as on the terminal."""
    is_sure = gain["p"] < ALPHA if "p" in gain else not gain["low"] <= 0 <= gain["high"]
    if not is_sure:
        return "unsure"
    return "better" if (gain["value"] > 0) != (name in SMALLER_IS_BETTER) else "worse"


def _rivals(metrics: Mapping[str, Any]) -> list[str]:
    """Competitors that score at least as well as the model."""
    name = metrics["headline"]
    sign = -1 if name in SMALLER_IS_BETTER else 1
    reached = sign * metrics["scores"][name]["value"]
    return [key for key, scores in metrics["baselines"].items() if sign * scores[name]["value"] >= reached]


def _title(metrics: Mapping[str, Any], key: str, words: Words) -> str:
    """What a competitor is called: by its own title, or as most tasks mean its name."""
    title = metrics.get("baseline_titles", {}).get(key, key)
    return words.name("baseline_title", title, words.name("baseline", key, title))


def compare_systems(metrics: Mapping[str, Any], words: Words) -> tuple[list[System], Markup]:
    """The model below its competitors, each with its dot and interval on one axis; and the axis."""
    name = metrics["headline"]
    found = [(_title(metrics, key, words), scores[name], False) for key, scores in metrics["baselines"].items()]
    found.append((words("model.this"), metrics["scores"][name], True))
    scale = scale_of([bound for _, score, _ in found for bound in (score["low"], score["high"])])
    reached = metrics["scores"][name]["value"]
    systems = []
    for title, score, is_model in found:
        drawn = Score(score["value"], score["low"], score["high"])
        track = interval_track(drawn, scale, strong=is_model, guide=reached)
        systems.append(System(title, drawn.value, drawn.low, drawn.high, track, is_model))
    return systems, axis_track(scale)


def scale_of(values: Sequence[float]) -> Scale:
    """An axis of scores; where all are the same, below them, for many a score ends at 1.

    Example:
        >>> scale_of([1.0, 1.0]).ticks
        (0.8, 0.85, 0.9, 0.95, 1.0)
    """
    low, high = min(values), max(values)
    return make_scale(values if low < high else [low - max(0.2, abs(low) / 5), high])


def list_remarks(metrics: Mapping[str, Any], words: Words) -> list[str]:
    """What should be known beside the scores of a file: rows not counted, labels never learnt, why no competitor."""
    remarks = []
    if metrics.get("rejected"):
        remarks.append(words("remark.rejected", n=f"{metrics['rejected']:,}"))
    if metrics.get("unseen_labels"):
        listed = ", ".join(f"{visible(name)} ({count:,})" for name, count in metrics["unseen_labels"].items())
        remarks.append(words("remark.unseen", labels=listed))
    if metrics.get("baselines_missing"):
        remarks.append(words("systems.missing", why=visible(metrics["baselines_missing"])))
    return remarks


def list_scores(metrics: Mapping[str, Any], words: Words) -> list[dict[str, Any]]:
    """Every other score of the model."""
    return [
        {"name": words.name("metric", name), "key": name, **score}
        for name, score in metrics["scores"].items()
        if name != metrics["headline"]
    ]


def list_tables(metrics: Mapping[str, Any], words: Words) -> list[dict[str, Any]]:
    """The tables of classes: rows with a bar of F1, and averages."""
    tables = []
    for name, table in metrics.items():
        if not name.startswith("per_") or not table:
            continue
        rows = [{"label": label, "track": bar_track(row["f1"]), **row} for label, row in table.items()]
        classes, averages = rows[:-AVERAGES], rows[-AVERAGES:]
        for row in averages:
            row["track"] = bar_track(row["f1"], quiet=True)
            row["label"] = words.name("average", row["label"].removesuffix(" (all)"), row["label"])
        folded = classes[MOST_ROWS:] if len(classes) > MOST_ROWS else []
        tables.append(
            {
                "title": words.name("table", name),
                "classes": classes[: len(classes) - len(folded)],
                "folded": folded,
                "averages": averages,
            }
        )
    return tables


def read_confusion(metrics: Mapping[str, Any], words: Words) -> dict[str, Any] | None:
    """The matrix cell by cell where classes are few; else the most confused pairs and a small map."""
    found = metrics.get("confusion")
    if not found or not any(map(any, found["matrix"])):
        return None
    labels, matrix = found["labels"], found["matrix"]
    totals = [sum(row) for row in matrix]
    shares = [[n / total if total else 0.0 for n in row] for row, total in zip(matrix, totals, strict=True)]
    if len(labels) <= MOST_CELLS:
        rows = [
            (label, [(n, heat_level(share)) for n, share in zip(counts, row, strict=True)])
            for label, counts, row in zip(labels, matrix, shares, strict=True)
        ]
        return {"labels": labels, "rows": rows, "pairs": _pairs(labels, matrix, totals)[:5], "map": None}
    caption = Caption(
        words.anchor("confusion-map"),
        words("confusion.map"),
        words("confusion.map.text", n=len(labels)),
        "",
        "",
    )
    pairs = _pairs(labels, matrix, totals)[:MOST_PAIRS]
    return {"labels": labels, "rows": [], "pairs": pairs, "map": heat_map(caption, shares)}


def _pairs(
    labels: Sequence[str], matrix: Sequence[Sequence[int]], totals: Sequence[int]
) -> list[tuple[str, str, int, float]]:
    """(right, given, rows, share of the right class), most rows first."""
    pairs = [
        (labels[row], labels[column], n, n / totals[row])
        for row, counts in enumerate(matrix)
        for column, n in enumerate(counts)
        if n and row != column
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], -pair[3], pair[:2]))
