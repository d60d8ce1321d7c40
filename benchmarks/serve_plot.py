"""Latency over load as an SVG file: logarithmic both ways, without a plotting library. Dots are what was measured.

python -m benchmarks.serve_plot docs/serve_load.svg     draws results/serve_load.json anew
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from benchmarks import common

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 380, 60, 50, 56, 16
COLOURS = ("#1b6ca8", "#2f8f5b", "#c8553d", "#b08a2e")
TALLEST_MS = 2_000.0
SHORTEST_MS = 10.0
RATES = (5, 10, 20, 50, 100, 200, 500)


def draw_latencies(result: Mapping[str, Any]) -> str:
    """Return an SVG of the 99th percentile of each way over the rate.

    Args:
        result: what serve_load.py found. Several rounds at one rate are drawn as their median.
    """
    curves = {entry["title"]: merge_rates(entry["points"]) for entry in result["ways"].values()}
    highest = max(rate for points in curves.values() for rate, _ in points)
    lowest = min(rate for points in curves.values() for rate, _ in points)

    def place(rate: float, ms: float) -> tuple[float, float]:
        across = math.log(rate / lowest) / math.log(highest / lowest)
        up = math.log(min(max(ms, SHORTEST_MS), TALLEST_MS) / SHORTEST_MS) / math.log(TALLEST_MS / SHORTEST_MS)
        return LEFT + (WIDTH - LEFT - RIGHT) * across, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * up

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"',
        ' aria-labelledby="title" font-family="sans-serif" font-size="12">',
        '<title id="title">99th percentile of the latency over requests a second</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for ms in (10, 20, 50, 100, 200, 500, 1000, 2000):
        x, y = place(lowest, ms)
        style = 'stroke="#888" stroke-dasharray="5 4"' if ms == result["bound_ms"] else 'stroke="#ddd"'
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - RIGHT}" {style}/>')
        parts.append(f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{ms:,}</text>')
    for rate in (rate for rate in RATES if lowest <= rate <= highest):
        x, y = place(rate, SHORTEST_MS)
        parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{rate}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">requests a second</text>')
    parts.append(f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">p99, ms</text>')
    for number, (name, points) in enumerate(curves.items()):
        parts += _draw(name, [place(*point) for point in points], number)
    return "\n".join([*parts, "</svg>"]) + "\n"


def merge_rates(points: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """(rate, p99 in ms) in order; the median of equal rates, what failed as endless.

    >>> merge_rates([{"rate_per_s": 10, "p99_ms": 5.0, "failed": 0}, {"rate_per_s": 10, "p99_ms": 9.0, "failed": 0}])
    [(10.0, 9.0)]
    """
    found: dict[float, list[float]] = {}
    for point in points:
        good = point["failed"] == 0 and point["p99_ms"] is not None
        found.setdefault(float(point["rate_per_s"]), []).append(point["p99_ms"] if good else math.inf)
    return [(rate, sorted(values)[len(values) // 2]) for rate, values in sorted(found.items())]


def smooth(spots: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each height as the median of itself and its neighbours, so that one busy second of the machine makes no peak.

    >>> smooth([(0, 1.0), (1, 9.0), (2, 2.0), (3, 3.0)])
    [(0, 1.0), (1, 2.0), (2, 3.0), (3, 3.0)]
    """
    heights = [y for _, y in spots]
    middle = [sorted(heights[place - 1 : place + 2])[1] for place in range(1, len(heights) - 1)]
    return [(x, y) for (x, _), y in zip(spots, [heights[0], *middle, *heights[1:][-1:]], strict=True)]


def _draw(name: str, spots: Sequence[tuple[float, float]], number: int) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in smooth(spots))
    parts = [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>']
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
    x, y = LEFT + 290 * (number % 2), 14 + 20 * (number // 2)
    parts.append(f'<path d="M{x} {y}h20" stroke="{colour}" stroke-width="2"/>')
    parts.append(f'<text x="{x + 26}" y="{y + 4}">{escape(name)}</text>')
    return parts


if __name__ == "__main__":
    stored = common.read_result("serve_load")
    if stored is None:
        raise SystemExit("there is no results/serve_load.json yet; run python -m benchmarks.serve_load first")
    Path(sys.argv[1]).write_text(draw_latencies(stored), encoding="utf-8")
