"""What the plan of a run says of the answers that a task has."""

from __future__ import annotations

from tunesmith.contracts import Labels

SHOWN_NAMES = 6


def name_some(labels: Labels, title: str) -> str:
    """How many names there are, and the first of them.

    Example:
        >>> name_some(Labels(("no", "yes"), (3, 4), "single"), "classes")
        '2 classes (no, yes)'
    """
    names = ", ".join(labels.names[:SHOWN_NAMES]) + (" …" if len(labels.names) > SHOWN_NAMES else "")
    return f"{len(labels.names)} {title} ({names})"


def name_range(labels: Labels) -> str:
    """From which number to which.

    Example:
        >>> name_range(Labels((), (), "number", {"low": 0.0, "high": 5.0}))
        'a number from 0 to 5'
    """
    return f"a number from {labels.statistics['low']:g} to {labels.statistics['high']:g}"
