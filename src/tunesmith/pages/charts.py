"""Charts as inline SVG: curves, dots with intervals, bars, heat maps. Small pure functions of numbers and names.

Each whole chart has a title and a description for those who cannot see it; tracks inside a table have neither, for the
table says the same in figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from markupsafe import Markup

from tunesmith.pages.svg import Scale, element, format_tick, make_scale, percent

HEIGHT_PX = 240
TOP_PX, BOTTOM_PX = 14, 46
MOST_POINTS = 200
HEAT_LEVELS = 10


@dataclass(frozen=True)
class Caption:
    """What names a chart.

    Attributes:
        name: unique on the page; letters, digits and hyphens.
        title: what it shows.
        description: what is to be seen in it, in words and figures.
        x: title of the horizontal axis, with its unit.
        y: title of the vertical axis, with its unit.
    """

    name: str
    title: str
    description: str
    x: str
    y: str


@dataclass(frozen=True)
class Series:
    """Points in the order of x.

    Attributes:
        points: (x, y) pairs.
        color: 1 to 6, a class of style.css.
        form: a line, a dashed line, a line through dots, or dots alone.
    """

    points: Sequence[tuple[float, float]]
    color: int = 1
    form: Literal["line", "dashed", "dotted-line", "dots"] = "line"


@dataclass(frozen=True)
class Score:
    """A value and its interval."""

    value: float
    low: float
    high: float


def curves(
    caption: Caption,
    series: Sequence[Series],
    *,
    x: Scale | None = None,
    y: Scale | None = None,
    under: str = "",
) -> Markup:
    """Curves in a frame with two axes.

    Args:
        caption: titles.
        series: what is drawn; points that are many are thinned to their means.
        x: horizontal axis; default: made for the points.
        y: vertical axis; likewise.
        under: elements drawn first, such as a diagonal, in shares of the frame.

    Example:
        >>> drawn = curves(Caption("loss", "Loss", "It falls.", "step", "loss"), [Series([(1, 2.0), (2, 1.0)])])
        >>> drawn.count("<path"), drawn.count("<svg")
        (1, 3)
    """
    thin = [Series(thin_out(one.points), one.color, one.form) for one in series]
    points = [point for one in thin for point in one.points]
    x = x or make_scale([point[0] for point in points], most_ticks=6)
    y = y or make_scale([point[1] for point in points])
    parts = [_grid(x, y), under, *(_draw(one, x, y) for one in thin)]
    return _frame(caption, *parts)


def bars(caption: Caption, edges: Sequence[float], counts: Sequence[int]) -> Markup:
    """A histogram.

    Args:
        caption: titles.
        edges: (B+1,) bounds of the bins, equally wide.
        counts: (B,) how many stand in each.
    """
    y = make_scale([*counts, 1], low=0.0)
    x = Scale(edges[0], edges[-1], make_scale(edges, most_ticks=6).ticks)
    width = 1 / len(counts)
    drawn = [
        element(
            "rect",
            x=percent(place * width + width * 0.06),
            width=percent(width * 0.88),
            y=percent(1 - y.share(count)),
            height=percent(y.share(count)),
            rx=2,
            class_="bar",
        )
        for place, count in enumerate(counts)
        if count
    ]
    return _frame(caption, _grid(x, y), *drawn)


def interval_track(score: Score, scale: Scale, *, strong: bool = False, guide: float | None = None) -> Markup:
    """A dot and its interval on an axis, one row of a table.

    Args:
        score: value and interval.
        scale: the axis that all rows share.
        strong: the row that the others are compared with.
        guide: a value that a dashed line marks.
    """
    middle, color = "50%", "series-1" if strong else "series-6"
    parts = [_upright(scale.share(tick), "grid") for tick in scale.ticks]
    parts += [] if guide is None else [_upright(scale.share(guide), "guide")]
    ends = {"x1": percent(scale.share(score.low)), "x2": percent(scale.share(score.high))}
    parts.append(element("line", **ends, y1=middle, y2=middle, class_=f"interval {color}"))
    parts.append(element("circle", cx=percent(scale.share(score.value)), cy=middle, r=6 if strong else 5, class_=color))
    return _track(*parts)


def axis_track(scale: Scale) -> Markup:
    """The axis below such rows."""
    parts = [
        element("text", format_tick(tick, scale), x=percent(scale.share(tick)), y=16, text_anchor="middle")
        for tick in scale.ticks
    ]
    return _track(*parts)


def bar_track(share: float, *, quiet: bool = False) -> Markup:
    """A bar as long as `share` (0 to 1) of its row in a table."""
    kind = "bar quiet" if quiet else "bar"
    bar = element("rect", x=0, y=-6, width=percent(share), height=12, rx=3, class_=kind)
    return _track(element("svg", bar, y="50%", overflow="visible"))


def heat_level(share: float) -> int:
    """0 to 9, the class of a cell: 0 for none, 9 for more than nine tenths.

    Example:
        >>> heat_level(0), heat_level(0.01), heat_level(0.5), heat_level(1)
        (0, 1, 5, 9)
    """
    if share <= 0:
        return 0
    return max(1, min(HEAT_LEVELS - 1, int(share * HEAT_LEVELS)))


def heat_map(caption: Caption, matrix: Sequence[Sequence[float]]) -> Markup:
    """A square of shares (0 to 1), too many to be written: rows from above, columns from the left.

    Cells of one level are one path, so that 150 x 150 of them stay small.
    """
    size = len(matrix)
    levels: dict[int, list[str]] = {}
    for row, shares in enumerate(matrix):
        for column, share in enumerate(shares):
            if level := heat_level(share):
                levels.setdefault(level, []).append(f"M{column} {row}h1v1h-1z")
    ground = element("rect", x=0, y=0, width=size, height=size, class_="heat-ground")
    paths = [
        element("path", d="".join(levels[level]), class_="heat", fill_opacity=(level + 1) / HEAT_LEVELS)
        for level in sorted(levels)
    ]
    names = _names(caption)
    return element(
        "svg",
        *names,
        ground,
        *paths,
        viewBox=f"0 0 {size} {size}",
        class_="chart narrow",
        role="img",
        aria_labelledby=f"{caption.name}-title {caption.name}-text",
        shape_rendering="crispEdges",
    )


def thin_out(points: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """Many points as the means of neighbours, at most `most`.

    Example:
        >>> thin_out([(0, 1), (1, 3), (2, 5), (3, 7)], most=2)
        [(0.5, 2.0), (2.5, 6.0)]
    """
    if len(points) <= most:
        return list(points)
    bounds = [round(place * len(points) / most) for place in range(most + 1)]
    groups = [points[start:end] for start, end in pairwise(bounds)]
    return [(sum(p[0] for p in group) / len(group), sum(p[1] for p in group) / len(group)) for group in groups]


def _frame(caption: Caption, *parts: str) -> Markup:
    """Labels of the y axis stand left of the chart, in the padding of `.chart-box.framed`."""
    inner = HEIGHT_PX - TOP_PX - BOTTOM_PX
    plot = element("svg", *parts, x=0, y=TOP_PX, width="100%", height=inner, overflow="visible")
    title = element("text", caption.x, x="50%", y=HEIGHT_PX - 6, text_anchor="middle", class_="title")
    return element(
        "svg",
        *_names(caption),
        plot,
        title,
        width="100%",
        height=HEIGHT_PX,
        class_="chart framed",
        role="img",
        aria_labelledby=f"{caption.name}-title {caption.name}-text",
    )


def _names(caption: Caption) -> list[Markup]:
    title = element("title", caption.title, id=f"{caption.name}-title")
    return [title, element("desc", caption.description, id=f"{caption.name}-text")]


def _grid(x: Scale, y: Scale) -> Markup:
    parts = []
    for tick in y.ticks:
        place = percent(1 - y.share(tick))
        parts.append(element("line", x1=0, x2="100%", y1=place, y2=place, class_="grid"))
        parts.append(element("text", format_tick(tick, y), x=-8, y=place, dy="0.35em", text_anchor="end"))
    parts.append(element("line", x1=0, x2="100%", y1="100%", y2="100%", class_="axis"))
    for tick in x.ticks:
        if not x.low <= tick <= x.high:
            continue
        place = percent(x.share(tick))
        parts.append(element("text", format_tick(tick, x), x=place, y="100%", dy="1.5em", text_anchor="middle"))
    return Markup("").join(parts)


def _draw(series: Series, x: Scale, y: Scale) -> Markup:
    places = [(x.share(left), 1 - y.share(up)) for left, up in series.points]
    color, parts = f"series-{series.color}", []
    if series.form != "dots" and len(places) > 1:
        drawn = "M" + "L".join(f"{1000 * left:.1f} {1000 * down:.1f}" for left, down in places)
        dashes = {"stroke_dasharray": "6 4"} if series.form == "dashed" else {}
        path = element("path", d=drawn, class_=f"curve {color}", vector_effect="non-scaling-stroke", **dashes)
        parts.append(
            element("svg", path, viewBox="0 0 1000 1000", preserveAspectRatio="none", width="100%", height="100%",
                    overflow="visible")
        )  # fmt: skip
    if series.form in ("dots", "dotted-line") or len(places) == 1:
        parts += [element("circle", cx=percent(a), cy=percent(b), r=3.5, class_=color) for a, b in places]
    return Markup("").join(parts)


def _upright(share: float, kind: str) -> Markup:
    return element("line", x1=percent(share), x2=percent(share), y1=0, y2="100%", class_=kind)


def _track(*parts: str) -> Markup:
    """As high as its box, so that the lines of neighbouring rows meet."""
    return element("svg", *parts, width="100%", height="100%", class_="chart track", aria_hidden="true")
