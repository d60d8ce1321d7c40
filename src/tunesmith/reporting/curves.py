"""How training went: loss, score of the development rows and learning rate over the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.pages.charts import Caption, Series, curves
from tunesmith.pages.svg import Scale, make_scale
from tunesmith.reporting.figures import Figure, swatch
from tunesmith.reporting.language import Words
from tunesmith.reporting.scores import scale_of

Points = list[tuple[float, float]]
Entries = Sequence[Mapping[str, Any]]


def training_figures(entries: Entries, headline: str, words: Words) -> list[Figure]:
    """The curves of metrics.jsonl; [] where there are none.

    Args:
        entries: its lines, in order.
        headline: name of the score that picked the best weights.
        words: of the page.
    """
    loss, rate = _points(entries, "loss"), _points(entries, "learning_rate")
    looks = [{"step": entry["step"], **entry["dev"]} for entry in entries if isinstance(entry.get("dev"), Mapping)]
    dev_loss, score = _points(looks, "loss"), _points(looks, headline)
    steps = make_scale([0.0, *(step for step, _ in loss)], most_ticks=6)
    figures = []
    if loss:
        figures.append(_draw_loss(loss, dev_loss, steps, words))
    if score:
        figures.append(_draw_score(score, headline, steps, words))
    if rate:
        facts = {"high": f"{max(value for _, value in rate):.3g}", "last": f"{rate[-1][1]:.3g}"}
        y = make_scale([value for _, value in rate], low=0.0)
        figures.append(_figure("rate", [Series(rate)], (steps, y), words, facts))
    return figures


def _points(entries: Entries, key: str) -> Points:
    found = ((entry["step"], entry.get(key)) for entry in entries)
    return [(step, value) for step, value in found if isinstance(value, (int, float)) and math.isfinite(value)]


def _draw_loss(loss: Points, dev_loss: Points, steps: Scale, words: Words) -> Figure:
    series, legend = [Series(loss, 1)], [(words("curve.train"), swatch(1))]
    if dev_loss:
        series.append(Series(dev_loss, 2, "dotted-line"))
        legend.append((words("curve.dev"), swatch(2, dots=True)))
    facts = {"first": f"{loss[0][1]:.3g}", "last": f"{loss[-1][1]:.3g}", "steps": f"{loss[-1][0]:,}"}
    y = make_scale([value for _, value in [*loss, *dev_loss]], low=min(0.0, *(value for _, value in loss)))
    return _figure("loss", series, (steps, y), words, facts, legend)


def _draw_score(score: Points, headline: str, steps: Scale, words: Words) -> Figure:
    values = [value for _, value in score]
    facts = {
        "metric": words.name("metric", headline),
        "first": f"{values[0]:.3f}",
        "last": f"{values[-1]:.3f}",
        "low": f"{min(values):.3f}",
        "high": f"{max(values):.3f}",
    }
    return _figure("score", [Series(score, 1, "dotted-line")], (steps, scale_of(values)), words, facts)


def _figure(
    key: str,
    series: Sequence[Series],
    axes: tuple[Scale, Scale],
    words: Words,
    facts: Mapping[str, str],
    legend: Sequence[tuple[str, Any]] = (),
) -> Figure:
    title, text = words(f"curve.{key}", **facts), words(f"curve.{key}.text", **facts)
    caption = Caption(words.anchor(f"curve-{key}"), title, text, words("curve.steps"), title)
    return Figure(title, curves(caption, series, x=axes[0], y=axes[1]), legend)
