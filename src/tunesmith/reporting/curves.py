"""How training went and how far probabilities can be trusted, as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tunesmith.pages.charts import Caption, Series, curves
from tunesmith.pages.svg import Scale, element, make_scale
from tunesmith.reporting.language import Words
from tunesmith.reporting.scores import format_score


@dataclass(frozen=True)
class Figure:
    """A chart with its heading and the names of its curves."""

    title: str
    chart: Markup
    legend: Sequence[tuple[str, Markup]] = ()
    note: str = ""


Points = list[tuple[float, float]]
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def training_figures(entries: Sequence[Mapping[str, Any]], headline: str, words: Words) -> list[Figure]:
    """Loss, development score and learning rate over the steps."""
    loss, rate = _points(entries, "loss"), _points(entries, "learning_rate")
    looks = [(entry["step"], entry["dev"]) for entry in entries if isinstance(entry.get("dev"), Mapping)]
    dev_loss: Points = [(step, dev["loss"]) for step, dev in looks if _is_number(dev.get("loss"))]
    score: Points = [(step, dev[headline]) for step, dev in looks if _is_number(dev.get(headline))]
    steps = make_scale([0.0, *(point[0] for point in loss)], most_ticks=6)
    figures = []
    if loss:
        drawn = [Series(loss, 1), *([Series(dev_loss, 2, "dotted-line")] if dev_loss else [])]
        legend = [(str(words("curve.train")), swatch(1)), (str(words("curve.dev")), swatch(2, dots=True))]
        figures.append(_figure("loss", drawn, steps, words, legend=legend[: len(drawn)]))
    if score:
        names = {"metric": words.name("metric", headline)}
        figures.append(_figure("score", [Series(score, 1, "dotted-line")], steps, words, names=names))
    if rate:
        figures.append(_figure("rate", [Series(rate, 1)], steps, words))
    return figures


def _points(entries: Sequence[Mapping[str, Any]], key: str) -> Points:
    return [(entry["step"], entry[key]) for entry in entries if _is_number(entry.get(key))]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == value and abs(value) != float("inf")


def _figure(
    key: str,
    series: Sequence[Series],
    steps: Scale,
    words: Words,
    *,
    legend: Sequence[tuple[str, Markup]] = (),
    names: Mapping[str, str] | None = None,
) -> Figure:
    first, last = series[0].points[0], series[0].points[-1]
    best = max(point[1] for point in series[-1].points)
    facts = {
        "first": _short(first[1]),
        "last": _short(last[1]),
        "high": _short(max(point[1] for point in series[0].points)),
        "best": _short(best),
        "steps": f"{last[0]:,}",
        **(names or {}),
    }
    title = str(words(f"curve.{key}", **facts))
    caption = Caption(
        f"curve-{key}", title, str(words(f"curve.{key}.text", **facts)), str(words("curve.steps")), title
    )
    low = {"low": 0.0} if key in ("loss", "rate") else {}
    y = make_scale([point[1] for one in series for point in one.points], **low)
    return Figure(title, curves(caption, series, x=steps, y=y), legend)


def _short(value: float) -> str:
    return f"{value:.3g}"


def swatch(color: int, *, dots: bool = False, dashed: bool = False) -> Markup:
    """What a curve looks like, for its legend."""
    dashes = {"stroke_dasharray": "5 3"} if dashed else {}
    line = element("line", x1=1, x2=23, y1=6, y2=6, class_=f"curve series-{color}", **dashes)
    dot = element("circle", cx=12, cy=6, r=3.5, class_=f"series-{color}") if dots else Markup("")
    return element("svg", line, dot, width=24, height=12, class_="chart swatch", aria_hidden="true")


def calibration_figures(found: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Reliability diagram, risk–coverage curve and the table of before and after.

    Args:
        found: `calibration` of metrics.json.
        words: of the page.
    """
    axis = Scale(0.0, 1.0, SHARES)
    bins = [one for one in found.get("reliability", []) if one["n"]]
    points = [(one["confidence"], one["accuracy"]) for one in bins]
    diagonal = element("line", x1=0, y1="100%", x2="100%", y2=0, class_="guide")
    figures = []
    if points:
        worst = max(bins, key=lambda one: one["n"] * abs(one["confidence"] - one["accuracy"]))
        text = words(
            "reliability.text",
            confidence=f"{worst['confidence']:.2f}",
            accuracy=f"{worst['accuracy']:.2f}",
            n=f"{worst['n']:,}",
        )
        caption = Caption(
            "reliability", str(words("reliability")), str(text), str(words("reliability.x")), str(words("reliability.y"))
        )
        chart = curves(caption, [Series(points, 1, "dotted-line")], x=axis, y=axis, under=diagonal)
        legend = [(str(words("reliability.model")), swatch(1, dots=True)), (str(words("reliability.ideal")), _guide())]
        figures.append(Figure(caption.title, chart, legend, str(words("reliability.note"))))
    risks = sorted((one["coverage"], one["risk"]) for one in found.get("risk_coverage", []))
    if risks:
        text = words("risk.text", coverage=f"{risks[-1][0]:.0%}", risk=f"{risks[-1][1]:.1%}")
        caption = Caption("risk", str(words("risk")), str(text), str(words("risk.x")), str(words("risk.y")))
        y = make_scale([risk for _, risk in risks], low=0.0)
        figures.append(Figure(caption.title, curves(caption, [Series(risks, 1)], x=axis, y=y), (), str(words("risk.note"))))
    names = [name for name in ("ece", "brier", "nll") if name in found.get("after", {})]
    table = [
        (words.name("metric", name), format_score(found["before"][name]), format_score(found["after"][name]))
        for name in names
        if name in found.get("before", {})
    ]
    return {"method": found.get("method"), "rows": found.get("rows"), "figures": figures, "table": table}


def _guide() -> Markup:
    line = element("line", x1=1, x2=23, y1=6, y2=6, class_="guide")
    return element("svg", line, width=24, height=12, class_="chart swatch", aria_hidden="true")
