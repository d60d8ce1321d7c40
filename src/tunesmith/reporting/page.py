"""Puts the page together, in every language at once, and writes it over nothing but an older page of ours.

report.html is not among the files whose SHA-256 tunesmith.json lists, like README.md: it only shows what those files
say, and can be made again at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tunesmith import __version__, durable
from tunesmith.errors import UserError
from tunesmith.pages import GENERATOR, is_ours, make_environment, make_policy, read_style
from tunesmith.reporting import curves, provenance, scores
from tunesmith.reporting.examples import MOST_CHARACTERS, MOST_EXAMPLES, find_mistakes
from tunesmith.reporting.language import LANGUAGES, Words, read_table
from tunesmith.reporting.material import Material
from tunesmith.reporting.slices import FEWEST_ROWS, Slices, describe_slices, find_slices
from tunesmith.reporting.trust import describe_trust

LANGUAGE_TAGS: Mapping[str, str] = {"en": "en", "zh": "zh-Hans"}


def render_report(material: Material, language: str = "en", *, with_texts: bool = True) -> str:
    """Write the page.

    Args:
        material: what it says.
        language: the one that is shown first, "en" or "zh"; the reader can switch.
        with_texts: show wrongly answered texts; otherwise no text of a row, nor an answer that holds one, is shown.

    Returns:
        One HTML document that loads nothing.

    Raises:
        ConfigError: there is no such language.
    """
    read_table(language)
    judged = material.judged
    shared: dict[str, Any] = {
        "material": material,
        "with_texts": with_texts,
        "examples": [],
        "mistakes": 0,
        "most_examples": MOST_EXAMPLES,
        "most_characters": MOST_CHARACTERS,
        "fewest_rows": FEWEST_ROWS,
    }
    if judged is not None:
        examples, shared["mistakes"] = find_mistakes(judged)
        shared["examples"] = examples if with_texts else []
    slices = None if judged is None else find_slices(judged)
    ordered = sorted(LANGUAGES, key=lambda one: one != language)
    editions = [{**shared, **_edition(material, slices, Words(one), with_texts=with_texts)} for one in ordered]
    style, first = read_style(), Words(language)
    environment = make_environment()
    environment.filters["score"] = scores.format_score
    return environment.get_template("report.html").render(
        language=LANGUAGE_TAGS[language],
        policy=make_policy(style),
        generator=f"{GENERATOR} {__version__}",
        style=Markup(style),
        title=first("title", name=material.name),
        skip=first("skip"),
        version=__version__,
        choices=[(one, Words(one)("language")) for one in LANGUAGES],
        first=language,
        editions=editions,
    )


def _edition(material: Material, slices: Slices | None, words: Words, *, with_texts: bool) -> dict[str, Any]:
    """What the page says in one language."""
    metrics = material.metrics
    systems, axis = scores.compare_systems(metrics, words)
    return {
        "t": words,
        "tag": LANGUAGE_TAGS[words.language],
        "summary": scores.summarize(metrics, words),
        "remarks": scores.list_remarks(metrics, words),
        "systems": systems,
        "axis": axis,
        "other_scores": scores.list_scores(metrics, words),
        "tables": scores.list_tables(metrics, words),
        "confusion": scores.read_confusion(metrics, words),
        "samples": metrics.get("samples", []) if with_texts else [],
        "slices": None if slices is None else describe_slices(slices, words),
        "trust": describe_trust(metrics, words),
        "training": curves.training_figures(_told(material), material.trained["headline"], words),
        "data": provenance.describe_data(material, words),
        "ledger": provenance.describe_ledger(material, words, with_texts=with_texts),
        "cost": provenance.describe_cost(material),
        "making": provenance.describe_making(material),
    }


def _told(material: Material) -> Sequence[Mapping[str, Any]]:
    """The curves; looks at rows that are trained on would be taken for others."""
    if material.trained.get("split") != "training":
        return material.curves
    return [entry for entry in material.curves if "dev" not in entry]


def write_report(path: Path, page: str, *, overwrite: bool = False) -> None:
    """Write the page; an older page of ours is replaced.

    Args:
        path: of the page.
        page: what `render_report` gave.
        overwrite: also replace what is no page of ours.

    Raises:
        UserError: something else is there.
        TrainingError: the disk is full or bad; the older page is intact then.
    """
    check_target(path, overwrite=overwrite)
    durable.write_file_atomic(path, page.encode("utf-8", "backslashreplace"))


def check_target(path: Path, *, overwrite: bool = False) -> None:
    """Raise UserError where a page must not be written, before any work is done for it."""
    if path.is_dir():
        raise UserError(f"{path} is a folder, wanted a file", fix=f"--out {path / 'report.html'}")
    if path.exists() and not overwrite and not is_ours(path):
        raise UserError(f"{path} was not written by Tunesmith", fix="give another --out, or --overwrite to replace it")
