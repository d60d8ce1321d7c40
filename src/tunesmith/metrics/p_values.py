"""P-values: below which one a difference is called one, and how they are shown."""

from __future__ import annotations

import math

ALPHA = 0.05
"""Below this p, a difference is called one."""


def format_p(p: float) -> str:
    """A p-value for people; one below 0.05 is never shown as 0.050.

    Example:
        >>> format_p(0.0321), format_p(0.00002), format_p(0.0496)
        ('p = 0.032', 'p < 0.001', 'p = 0.0496')
    """
    if p < 0.001:
        return "p < 0.001"
    shown = f"{p:.3f}"
    return f"p = {math.floor(p * 1e4) / 1e4:.4f}" if p < ALPHA and shown == f"{ALPHA:.3f}" else f"p = {shown}"
