"""What pages are made of: everything escaped, charts that no numbers break, texts whose hidden signs show."""

from __future__ import annotations

import doctest
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import pages
from tunesmith.pages import charts, environment, svg, texts
from tunesmith.pages.charts import Caption, Score, Series

CAPTION = Caption("a", "<title>", "what & is", "x <axis>", "y")
NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)


@pytest.mark.parametrize("module", [charts, environment, svg, texts])
def test_examples_run(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert found.failed == 0


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=500))
def test_any_points_make_a_chart(points: list[tuple[float, float]]) -> None:
    points.sort()
    for form in ("line", "dashed", "dotted-line", "dots"):
        drawn = charts.curves(CAPTION, [Series(points, 2, form)])
        root = ElementTree.fromstring(drawn)
        assert root.findtext("title") == "<title>"
        assert "nan" not in drawn
        assert "inf" not in drawn


@given(st.lists(NUMBERS, max_size=50), st.integers(2, 8))
def test_an_axis_holds_all_values_between_round_ticks(values: list[float], most: int) -> None:
    axis = svg.make_scale(values, most_ticks=most)
    assert axis.low < axis.high
    assert axis.ticks == tuple(sorted(set(axis.ticks)))
    assert 2 <= len(axis.ticks) <= 2 * most + 1
    slack = 1e-9 * max(abs(axis.low), abs(axis.high))
    assert all(axis.low - slack <= value <= axis.high + slack for value in values)
    written = [svg.format_tick(tick, axis) for tick in axis.ticks]
    assert len(set(written)) == len(written), "ticks can be told apart"


def test_places_are_where_the_values_are() -> None:
    drawn = charts.curves(CAPTION, [Series([(0, 1.0), (10, 3.0)], 1, "dots")], y=svg.Scale(0, 4, (0, 4)))
    assert re.findall(r'<circle cx="([\d.]+)%" cy="([\d.]+)%"', drawn) == [("0", "75"), ("100", "25")]
    track = charts.interval_track(Score(0.5, 0.25, 0.75), svg.Scale(0, 1, (0, 1)), guide=0.1)
    assert 'x1="25%" x2="75%"' in track
    assert 'cx="50%"' in track
    assert 'x1="10%"' in track
    heights = re.findall(r'height="([\d.]+)%"', charts.bars(CAPTION, [0, 1, 2], [4, 1]))
    assert float(heights[0]) == 4 * float(heights[1])


def test_a_map_of_150_classes_is_small() -> None:
    matrix = [[1.0 if row == column else 0.004 for column in range(150)] for row in range(150)]
    drawn = charts.heat_map(CAPTION, matrix)
    assert drawn.count("<path") == 2
    assert len(drawn) < 500_000


@given(st.text())
def test_hidden_signs_show_and_others_stay(text: str) -> None:
    shown = texts.visible(text)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0e-\x1f\ud800-\udfff]", shown)
    plain = "".join(c for c in text if c.isprintable() or c in "\n\t")
    assert texts.visible(plain) == plain
    shown.encode("utf-8")


def test_every_value_is_escaped_and_a_missing_one_is_an_error() -> None:
    made = pages.make_environment()
    shown = made.from_string("<a title='{{ x }}'>{{ x|visible }}</a>").render(x="<b>'\"&")
    assert shown == "<a title='&lt;b&gt;&#39;&#34;&amp;'>&lt;b&gt;&#39;&#34;&amp;</a>"
    with pytest.raises(jinja2.UndefinedError):
        made.from_string("{{ nothing }}").render()
    assert (
        svg.element("text", "<b>", fill_opacity=1 / 3, class_='"')
        == '<text fill-opacity="0.33" class="&#34;">&lt;b&gt;</text>'
    )


def test_templates_hold_no_script_and_no_style_of_their_own() -> None:
    folder = Path(pages.__file__).parent / "templates"
    files = sorted(folder.rglob("*.html"))
    assert len(files) > 5
    for file in files:
        text = file.read_text("utf-8")
        assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|\|\s*safe|autoescape|https?:", text), file.name


def test_the_style_sheet_loads_nothing_and_has_all_colours_in_each_scheme() -> None:
    style = pages.read_style()
    assert not re.search(r"url\(|@import|https?:|</", style)
    light = style.partition("@media (prefers-color-scheme: dark)")
    dark, printed = (
        re.search(pattern, style, re.DOTALL)
        for pattern in (r"scheme: dark\) \{(.*?)\n\}", r"@media print \{(.*?)\n  \}")
    )
    names = set(re.findall(r"(--[\w-]+): #", light[0]))
    assert len(names) > 20
    for part in (dark, printed):
        assert part
        found = set(re.findall(r"(--[\w-]+): #", part[1]))
        assert names - found <= {"--accent-hover"}
    used = set(re.findall(r"var\((--[\w-]+)\)", style))
    assert used <= set(re.findall(r"(--[\w-]+):", style))


def test_only_pages_of_ours_are_taken_for_ours(tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text('<meta name="generator" content="Hugo 0.1">Tunesmith')
    assert not pages.is_ours(mine)
    ours = tmp_path / "ours.html"
    ours.write_text(f'<meta name="generator" content="{pages.GENERATOR} 0.1.0">')
    assert pages.is_ours(ours)
    (tmp_path / "link.html").symlink_to(ours)
    assert not pages.is_ours(tmp_path / "link.html"), "what it points to would be replaced"
    assert not pages.is_ours(tmp_path)
    assert not pages.is_ours(tmp_path / "none.html")


def test_thinning_keeps_ends_and_means() -> None:
    points = [(float(place), math.sin(place)) for place in range(1001)]
    thin = charts.thin_out(points)
    assert len(thin) == charts.MOST_POINTS
    assert thin == sorted(thin)
    assert charts.thin_out(points[:50]) == points[:50]
