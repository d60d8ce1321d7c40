"""Accuracy from few rows as an SVG file, without a plotting library: a dot a draw, a bar at the mean of an arm.

python -m benchmarks.few_shot_plot docs/few_shot.svg     draws results/few_shot.json anew
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from benchmarks import common
from benchmarks.few_shot_summary import summarize

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 395, 50, 71, 40, 16
ARMS = {
    "probe": "frozen probe",
    "setfit": "SetFit",
    "texts_alone": "Tunesmith, texts alone",
    "contrastive": "Tunesmith, with names",
}
COLOURS = {"probe": "#b08a2e", "setfit": "#c8553d", "texts_alone": "#7fb2d6", "contrastive": "#1b6ca8"}
LOWEST = 40
"""Percent at the foot of the figure."""


def draw(cells: Mapping[str, Mapping[str, Any]]) -> str:
    """Return an SVG of the accuracy of each arm by data set and rows a class."""
    summary = summarize(cells)
    room = (WIDTH - LEFT - RIGHT) / max(1, len(summary))

    def up(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * max(0.0, 100 * share - LOWEST) / (100 - LOWEST)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"',
        ' aria-labelledby="title" font-family="sans-serif" font-size="12">',
        '<title id="title">Accuracy from few labelled rows</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for percent in range(LOWEST, 101, 10):
        y = up(percent / 100)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent}</text>')
    for number, (place, arms) in enumerate(summary.items()):
        middle = LEFT + room * (number + 0.5)
        data, shots = place.split()
        for line, text in enumerate((f"{shots} a class", *data.split("_"))):
            y = HEIGHT - BOTTOM + 18 + 15 * line
            parts.append(f'<text x="{middle:.1f}" y="{y}" text-anchor="middle">{escape(text)}</text>')
        for place_of_arm, arm in enumerate(ARMS):
            if arm in arms:
                x = middle + room * 0.21 * (place_of_arm - 1.5)
                own = [cell["accuracy"] for key, cell in cells.items() if key.split()[::3] == [data, arm]
                       and key.split()[1] == shots]  # fmt: skip
                parts += _column(x, [up(value) for value in own], up(arms[arm]["mean"]), COLOURS[arm])
    for number, (arm, title) in enumerate(ARMS.items()):
        x = LEFT + 165 * number
        parts.append(f'<circle cx="{x + 6}" cy="16" r="4" fill="{COLOURS[arm]}"/>')
        parts.append(f'<text x="{x + 16}" y="20">{escape(title)}</text>')
    parts.append(f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">')
    return "\n".join([*parts, "accuracy, %</text>", "</svg>"]) + "\n"


def _column(x: float, heights: list[float], mean: float, colour: str) -> list[str]:
    """The dots of one arm's draws, and a bar at their mean."""
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}" fill-opacity="0.5"/>' for y in heights]
    return [*dots, f'<path d="M{x - 9:.1f} {mean:.1f}h18" stroke="{colour}" stroke-width="3"/>']


if __name__ == "__main__":
    stored = common.read_result("few_shot")
    if stored is None:
        raise SystemExit("there is no results/few_shot.json yet; run python -m benchmarks.few_shot first")
    Path(sys.argv[1]).write_text(draw(stored["cells"]), encoding="utf-8")
