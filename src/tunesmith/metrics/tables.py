"""Tables of precision, recall and F1 as text."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from tunesmith.metrics.classification import AVERAGES

PerClass = Mapping[str, Mapping[str, float]]


def report_table(per_class: PerClass, digits: int = 3) -> str:
    """Lay out `per_class_scores` as text, in the columns of scikit-learn's classification_report.

    Wide characters take two columns, so tables with Chinese labels line up in a terminal.

    Args:
        per_class: what `per_class_scores` returned, its order kept: the last three entries are averages.
        digits: decimals.
    """
    names = list(per_class)
    width = max(map(display_width, [*names, "weighted avg"]))
    lines = [_table_line("", ["precision", "recall", "f1-score", "support"], width), ""]
    for index, (name, row) in enumerate(per_class.items()):
        if index == len(names) - AVERAGES:
            lines.append("")
        only_f1 = index == len(names) - AVERAGES and name.startswith("accuracy")
        shown = ["", ""] if only_f1 else [f"{row['precision']:.{digits}f}", f"{row['recall']:.{digits}f}"]
        cells = [*shown, f"{row['f1']:.{digits}f}", f"{row['support']:.0f}"]
        lines.append(_table_line(name, cells, width))
    return "\n".join(lines)


def display_width(text: str) -> int:
    """Columns a text takes in a terminal: 2 for wide characters, 0 for combining and invisible ones.

    Example:
        >>> display_width("财经 news")
        9
    """
    seen = [character for character in text if unicodedata.category(character) not in ("Mn", "Me", "Cf")]
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in seen)


def _table_line(name: str, cells: Sequence[str], width: int) -> str:
    return " " * (width - display_width(name)) + name + " " + "".join(f" {cell:>9}" for cell in cells)
