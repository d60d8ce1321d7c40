"""Puts the page together and writes it beside the model, over nothing but an older page of ours.

report.html is not among the files whose SHA-256 tunesmith.json lists, like README.md: it only shows what those files
say, can be made again at any time, and a run that is cut short while it is written leaves the model whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from tunesmith import __version__, durable
from tunesmith.errors import UserError
from tunesmith.pages import make_environment, make_policy, read_style
from tunesmith.reporting import curves, provenance, scores
from tunesmith.reporting.examples import MOST_CHARACTERS, MOST_EXAMPLES, find_mistakes
from tunesmith.reporting.language import Words
from tunesmith.reporting.material import Material
from tunesmith.reporting.slices import FEWEST_ROWS, find_slices

REPORT = "report.html"
GENERATOR = "Tunesmith"
_MARK = '<meta name="generator" content="Tunesmith '
"""What every page of ours holds near its beginning."""
_LOOKED_AT = 4096
"""Bytes in which it stands."""


def render_report(material: Material, language: str = "en", *, with_texts: bool = True) -> str:
    """Write the page.

    Args:
        material: what it says.
        language: "en" or "zh".
        with_texts: show wrongly answered texts; otherwise no text of a row, nor an answer that holds one, is shown.

    Returns:
        One HTML document that loads nothing.

    Raises:
        ConfigError: there is no such language.
    """
    words, metrics, judged = Words(language), material.metrics, material.judged
    style = read_style()
    systems, axis = scores.compare_systems(metrics, words)
    examples, mistakes = ([], 0) if judged is None else find_mistakes(judged)
    context: dict[str, Any] = {
        "language": {"en": "en", "zh": "zh-Hans"}[language],
        "policy": make_policy(style),
        "generator": f"{GENERATOR} {__version__}",
        "style": Markup(style),
        "t": words,
        "material": material,
        "summary": scores.summarize(metrics, words),
        "systems": systems,
        "axis": axis,
        "other_scores": scores.list_scores(metrics, words),
        "tables": scores.list_tables(metrics, words),
        "confusion": scores.read_confusion(metrics, words),
        "examples": examples if with_texts else [],
        "mistakes": mistakes,
        "with_texts": with_texts,
        "most_examples": MOST_EXAMPLES,
        "most_characters": MOST_CHARACTERS,
        "slices": None if judged is None else find_slices(judged),
        "fewest_rows": FEWEST_ROWS,
        "calibration": _calibration(material, words),
        "training": curves.training_figures(material.curves, material.trained["headline"], words),
        "data": provenance.describe_data(material, words),
        "ledger": provenance.describe_ledger(material, words),
        "cost": provenance.describe_cost(material),
        "making": provenance.describe_making(material),
    }
    environment = make_environment()
    environment.filters["score"] = scores.format_score
    return environment.get_template("report.html").render(context)


def _calibration(material: Material, words: Words) -> dict[str, Any] | None:
    found = material.metrics.get("calibration")
    return curves.calibration_figures(found, words) if found else None


def write_report(folder: Path, page: str) -> Path:
    """Write the page into a finished folder; an older page of ours is replaced.

    Raises:
        UserError: report.html is there and is none of ours.
        TrainingError: the disk is full or bad; the older page is intact then.
    """
    path = folder / REPORT
    if path.exists() and not _is_ours(path):
        raise UserError(f"{path} was not written by Tunesmith", fix="move it away, then: tunesmith report DIR")
    durable.write_file_atomic(path, page.encode("utf-8", "backslashreplace"))
    return path


def discard_report(folder: Path) -> None:
    """Remove the page of an older model; what is not ours stays."""
    path = folder / REPORT
    if path.is_file() and _is_ours(path):
        path.unlink()


def _is_ours(path: Path) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        return _MARK.encode() in file.read(_LOOKED_AT)
