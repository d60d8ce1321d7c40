"""A chart with its heading, legend and note; and the small line that a legend shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tunesmith.pages.svg import element


@dataclass(frozen=True)
class Figure:
    """What the template `figure` draws.

    Attributes:
        title: heading.
        chart: SVG.
        legend: name and swatch of each curve; () where there is one.
        note: how it is read.
    """

    title: str
    chart: Markup
    legend: Sequence[tuple[str, Markup]] = ()
    note: str = ""


def swatch(color: int, *, dots: bool = False) -> Markup:
    """What a curve looks like.

    Args:
        color: 1 to 6, a class of style.css.
        dots: with a dot on it.
    """
    line = element("line", x1=1, x2=23, y1=6, y2=6, class_=f"curve series-{color}")
    dot = element("circle", cx=12, cy=6, r=3.5, class_=f"series-{color}") if dots else Markup("")
    return _swatch(line, dot)


def guide_swatch() -> Markup:
    """What a guide looks like: dashes."""
    return _swatch(element("line", x1=1, x2=23, y1=6, y2=6, class_="guide"))


def _swatch(*parts: Markup) -> Markup:
    return element("svg", *parts, width=24, height=12, class_="chart swatch", aria_hidden="true")
