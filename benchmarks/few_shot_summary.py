"""What the few-shot cells say together: means over draws, and ours beside SetFit on the same draws and rows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

OURS, PEER = ("texts_alone", "contrastive"), "setfit"
RESAMPLES = 2000
Cells = Mapping[str, Mapping[str, Any]]


def summarize(cells: Cells) -> dict[str, Any]:
    """Return `{"ag_news 8": {arm: {mean, deviation, draws, cpu_s …}, "differences": …}}` of all cells measured.

    Args:
        cells: "data shots draw arm" → what one arm gave on one draw.
    """
    found: dict[str, Any] = {}
    for place in dict.fromkeys(_place(key) for key in cells):
        by_arm = {arm: _draws(cells, place, arm) for arm in dict.fromkeys(key.split()[3] for key in cells)}
        found[place] = {arm: _describe(draws) for arm, draws in by_arm.items() if draws}
        gains = {arm: gain for arm in OURS if (gain := _beside_peer(by_arm, arm)) is not None}
        found[place] |= {"differences": gains} if gains else {}
    return found


def _beside_peer(by_arm: Mapping[str, Mapping[int, Mapping[str, Any]]], arm: str) -> dict[str, float] | None:
    """What an arm of ours gains over SetFit on the draws that both have; None where there are none."""
    shared = sorted(by_arm.get(arm, {}).keys() & by_arm.get(PEER, {}).keys())
    if not shared:
        return None
    ours, theirs = (np.stack([_rights(by_arm[one][draw]) for draw in shared]) for one in (arm, PEER))
    return {**difference(ours, theirs), "draws": len(shared)}


def _place(key: str) -> str:
    """The data set and the rows a class."""
    return " ".join(key.split()[:2])


def _draws(cells: Cells, place: str, arm: str) -> dict[int, Mapping[str, Any]]:
    return {int(key.split()[2]): cell for key, cell in cells.items() if key.split()[3] == arm and _place(key) == place}


def _describe(draws: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    scores = [cell["accuracy"] for cell in draws.values()]
    seconds = {
        name: statistics.median(values)
        for name in ("cpu_s", "command_s")
        if (values := [cell[name] for cell in draws.values() if name in cell])
    }
    spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
    return {"mean": statistics.fmean(scores), "deviation": spread, "draws": len(scores), **seconds}


def _rights(cell: Mapping[str, Any]) -> NDArray[np.float64]:
    """(N,) 1 where a test row was answered rightly."""
    return np.array([digit == "1" for digit in f"{int(cell['right'], 16):0{cell['rows']}b}"], dtype=np.float64)


def difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean difference of (K, N) right answers of K draws to N rows, with its 95 % interval.

    Draws and rows are both resampled, crossed as they are: all draws answer the same rows.

    >>> found = difference(np.ones((3, 8)), np.zeros((3, 8)))
    >>> found["value"], found["low"], found["high"]
    (1.0, 1.0, 1.0)
    """
    gains = ours - theirs  # (K, N)
    draw = np.random.default_rng(13)
    count, rows = gains.shape
    weights = draw.multinomial(rows, np.full(rows, 1 / rows), size=RESAMPLES) / rows  # (R, N)
    means = weights @ gains.T  # (R, K)
    chosen = draw.integers(0, count, size=(RESAMPLES, count))
    values = np.take_along_axis(means, chosen, axis=1).mean(axis=1)
    low, high = np.quantile(values, (0.025, 0.975))
    return {"value": float(gains.mean()), "low": float(low), "high": float(high)}
