"""How far probabilities can be trusted: reliability diagram, errors by share answered, before and after scaling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.pages.charts import Caption, Series, curves
from tunesmith.pages.svg import Scale, element, make_scale
from tunesmith.reporting.figures import Figure, guide_swatch, swatch
from tunesmith.reporting.language import Words
from tunesmith.reporting.scores import format_score

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
MEASURES = ("ece", "brier", "nll")


@dataclass(frozen=True)
class Measure:
    """A measure of probabilities; texts, "" where there is no value."""

    title: str
    before: str
    after: str
    interval: str


@dataclass(frozen=True)
class Trust:
    """The section of probabilities.

    Attributes:
        lead: what was done to them, in words.
        figures: charts.
        measures: before and after.
        is_scaled: whether the two differ.
        abstention: what withholding brings, in words; "" where that was not asked for.
    """

    lead: str
    figures: list[Figure]
    measures: list[Measure]
    is_scaled: bool
    abstention: str


def describe_trust(metrics: Mapping[str, Any], words: Words) -> Trust | None:
    """Lay out `calibration` and `abstention` of metrics.json; None where answers have no probability."""
    found = metrics.get("calibration")
    if not found or not found.get("after"):
        return None
    is_scaled = found["method"] != "none"
    counts = {"rows": f"{found['rows']:,}", "answers": f"{found['answers']:,}"}
    key = "calibration.text" if is_scaled else "calibration.plain"
    figures = [_draw_reliability(found["reliability"], words), _draw_risk(found["risk_coverage"], words)]
    return Trust(
        lead=words(key, method=words.name("scaling", found["method"]), **counts),
        figures=[figure for figure in figures if figure is not None],
        measures=[_measure(name, found, words) for name in MEASURES],
        is_scaled=is_scaled,
        abstention=_describe_abstention(metrics.get("abstention"), words),
    )


def _measure(name: str, found: Mapping[str, Any], words: Words) -> Measure:
    before, after = found["before"].get(name), found["after"].get(name)
    interval = found["intervals"].get(name, {})
    low, high = interval.get("low"), interval.get("high")
    return Measure(
        title=words.name("metric", name),
        before="" if before is None else format_score(before),
        after="" if after is None else format_score(after),
        interval="" if low is None or high is None else f"[{format_score(low)}, {format_score(high)}]",
    )


def _draw_reliability(bins: list[Mapping[str, Any]], words: Words) -> Figure | None:
    if not bins:
        return None
    worst = max(bins, key=lambda one: one["n"] * abs(one["confidence"] - one["accuracy"]))
    facts = {
        "confidence": f"{worst['confidence']:.2f}",
        "accuracy": f"{worst['accuracy']:.2f}",
        "n": f"{worst['n']:,}",
    }
    text, title = words("reliability.text", **facts), words("reliability")
    caption = Caption(words.anchor("reliability"), title, text, words("reliability.x"), words("reliability.y"))
    axis = Scale(0.0, 1.0, SHARES)
    points = [(one["confidence"], one["accuracy"]) for one in bins]
    diagonal = element("line", x1=0, y1="100%", x2="100%", y2=0, class_="guide")
    chart = curves(caption, [Series(points, 1, "dotted-line")], x=axis, y=axis, under=diagonal)
    legend = [
        (words("reliability.model"), swatch(1, dots=True)),
        (words("reliability.ideal"), guide_swatch()),
    ]
    return Figure(title, chart, legend, words("reliability.note") + words("space") + text)


def _draw_risk(points: list[Mapping[str, Any]], words: Words) -> Figure | None:
    risks = sorted((one["coverage"], one["risk"]) for one in points)
    if not risks:
        return None
    half = min(risks, key=lambda point: abs(point[0] - 0.5))
    facts = {"all": f"{risks[-1][1]:.1%}", "coverage": f"{half[0]:.0%}", "risk": f"{half[1]:.1%}"}
    text = words("risk.text", **{name: value.replace("%", "\u00a0%") for name, value in facts.items()})
    caption = Caption(words.anchor("risk"), words("risk"), text, words("risk.x"), words("risk.y"))
    y = make_scale([0.01, *(risk for _, risk in risks)], low=0.0)
    chart = curves(caption, [Series(risks)], x=Scale(0.0, 1.0, SHARES), y=y)
    return Figure(caption.title, chart, (), words("risk.note") + words("space") + text)


def _describe_abstention(found: Mapping[str, Any] | None, words: Words) -> str:
    if not found:
        return ""
    facts = {"wish": found["wish"], "threshold": f"{found['threshold']:.3f}"}
    if "coverage" not in found:
        return words("abstention.nothing", **facts)
    for name in ("coverage", "accuracy"):
        value, low, high = (f"{100 * found[name][key]:.1f}" for key in ("value", "low", "high"))
        facts[name] = f"{value}\u00a0% [{low}, {high}]"
    return words("abstention", **facts)
