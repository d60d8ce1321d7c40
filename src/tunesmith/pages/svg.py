"""SVG elements with everything escaped, and axes with sensible ticks.

Charts have no `viewBox`: places along x are percentages and along y pixels, so a chart is as wide as its box while its
texts keep their size, on a telephone and on paper too. Colours are classes of style.css, never attributes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Attribute = str | int | float


def element(name: str, *children: str, **attributes: Attribute) -> Markup:
    """An element; children and attributes are escaped unless they are Markup already.

    Args:
        name: of the element.
        children: texts or elements.
        attributes: `class_` is class, an underscore elsewhere a hyphen; numbers are shortened.

    Example:
        >>> element("text", "<b>", x=1.50, class_="title")
        Markup('<text x="1.5" class="title">&lt;b&gt;</text>')
    """
    listed = "".join(f' {_name(key)}="{escape(_shorten(value))}"' for key, value in attributes.items())
    inside = Markup("").join(children)
    return Markup(f"<{name}{listed}>{inside}</{name}>") if inside else Markup(f"<{name}{listed}/>")


def _name(key: str) -> str:
    kept = {"viewBox", "preserveAspectRatio"}
    return key if key in kept else key.rstrip("_").replace("_", "-")


def _shorten(value: Attribute) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def percent(share: float) -> str:
    """A share as a length of SVG.

    Example:
        >>> percent(0.125), percent(1)
        ('12.5%', '100%')
    """
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` as shares 0 to 1 of an axis.

    Attributes:
        low: value at 0.
        high: value at 1; above `low`.
        ticks: values that are written at the axis.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Where a value stands, held within the axis.

        Example:
            >>> Scale(0, 4, (0, 2, 4)).share(1)
            0.25
        """
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def make_scale(values: Sequence[float], *, most_ticks: int = 5, low: float | None = None) -> Scale:
    """An axis from one round number to another that holds all values.

    Steps are 1, 2, 2.5 or 5 times a power of ten (Heckbert 1990, "Nice numbers for graph labels").

    Args:
        values: finite numbers; none at all gives 0 to 1.
        most_ticks: about so many ticks, and at most one more.
        low: where the axis begins, if the values must not decide.

    Example:
        >>> make_scale([0.12, 0.87]).ticks
        (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
        >>> make_scale([3, 3]).ticks
        (2.0, 2.5, 3.0, 3.5, 4.0)
    """
    found = [*values, *([] if low is None else [low])] or [0.0, 1.0]
    bottom, top = min(found) if low is None else low, max(found)
    if top - bottom <= max(1e-9 * max(abs(top), abs(bottom)), 1e-12):  # as good as one value
        margin = abs(bottom) / 3 if abs(bottom) > 1e-9 else 0.5
        bottom, top = (bottom - margin if low is None else bottom), bottom + margin
    step = _round_step((top - bottom) / max(1, most_ticks - 1))
    first = math.floor(bottom / step + 1e-9)
    last = max(first + 1, math.ceil(top / step - 1e-9))
    ticks = tuple(float(f"{place * step:.12g}") for place in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))


def format_tick(value: float, scale: Scale) -> str:
    """A tick with as many decimals as the axis needs.

    Example:
        >>> axis = make_scale([0, 1])
        >>> [format_tick(tick, axis) for tick in axis.ticks], format_tick(12500, make_scale([0, 20000]))
        (['0', '0.25', '0.5', '0.75', '1'], '12,500')
    """
    if value == 0:
        return "0"
    step = scale.ticks[1] - scale.ticks[0]
    if abs(value) < 1e-3 or abs(value) >= 1e7:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{value:,.{decimals + 1}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
