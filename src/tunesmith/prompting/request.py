"""What is asked of a base model: labels and a wording from wherever they were given, checked against each other."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tunesmith.errors import ConfigError
from tunesmith.prompting.template_file import EXAMPLE, Template, Words, read_label_file, read_template, settle_words
from tunesmith.prompting.wordings import Way, usual_wording
from tunesmith.tasks.prompt_texts import LABEL, MASK, check_wording, placeholders

GivenLabels = str | Path | Sequence[str] | Mapping[str, str | Sequence[str]]
"""Names with commas between them, a file, a list of names, or names with their words."""
LABEL_FILES = (".yaml", ".yml")
COMMAS = re.compile("[,，]")
FEWEST_LABELS = 2
NEEDED: dict[Way, tuple[list[str], list[str]]] = {
    "descriptions": ([LABEL], []),
    "cloze": (["text", MASK], ["text_b"]),
    "likelihood": (["text", MASK], ["text_b"]),
}
"""Placeholders that a wording must have, and those that it may have besides."""


WRITTEN = {"extraction": ["text"], "questions": ["text", "question"], "generation": ["text"]}
"""The same, where answers are written."""


def settle_request(labels: GivenLabels | None, template: str | Path | None) -> Template:
    """Labels and wording as one template.

    Args:
        labels: see `GivenLabels`; None: the template has them.
        template: a file, or a wording (it has a placeholder); None: the usual wording.

    Raises:
        ConfigError: labels are missing, too few, or given twice, or a file cannot be read.

    Example:
        >>> settle_request("good, bad", None).labels
        {'good': (), 'bad': ()}
    """
    if labels is None and template is None:
        raise ConfigError(
            "no labels came", fix="name them: --labels good,bad, or give a template file: --template FILE"
        )
    asked = Template() if template is None else _read_wording_or_file(template)
    if labels is not None and asked.labels:
        fix = "take them out of the file, or leave --labels out"
        raise ConfigError(f"{asked.where('labels')}: labels also came beside the template", fix=fix)
    if labels is not None and asked.kind != "classification":
        raise ConfigError(f"{asked.where('task')}: {asked.kind} has no labels", fix="leave --labels out")
    if labels is not None:
        asked = replace(asked, labels=read_given_labels(labels))
    if asked.kind != "classification" and (asked.wording is None or asked.labels):
        raise _not_for_labels(asked)
    if asked.kind == "classification" and len(asked.labels) < FEWEST_LABELS:
        raise _too_few(asked)
    return asked


def read_given_labels(given: GivenLabels) -> Words:
    """Labels and their words, from names, a mapping or a file.

    Raises:
        ConfigError: the file cannot be read, or a name is empty or stands twice.

    Example:
        >>> read_given_labels({"good": "a happy guest", "bad": ["a complaint", "never again"]})
        {'good': ('a happy guest',), 'bad': ('a complaint', 'never again')}
    """
    if isinstance(given, Path) or (isinstance(given, str) and given.lower().endswith(LABEL_FILES)):
        return read_label_file(given)
    if isinstance(given, str):
        return settle_words([(name, ()) for name in COMMAS.split(given)], "labels")
    if isinstance(given, Mapping):
        pairs = [(name, (words,) if isinstance(words, str) else words) for name, words in given.items()]
        return settle_words(pairs, "labels")
    return settle_words([(name, ()) for name in given], "labels")


def choose_wording(asked: Template, way: Way) -> str:
    """The wording for a way of answering: the one that was given, or the usual one.

    Raises:
        ConfigError: a placeholder is unknown, missing, or stands twice or in the wrong place.
    """
    if asked.wording is None:
        return usual_wording(way, asked.labels)
    where = asked.where("template")
    if asked.kind != "classification":
        check_wording(asked.wording, WRITTEN[asked.kind], [], where)
        return asked.wording
    check_wording(asked.wording, *NEEDED[way], where)
    if way == "likelihood" and not asked.wording.rstrip().endswith(f"{{{MASK}}}"):
        raise ConfigError(
            f"{where}: a model that writes finds the label at the end, but {{{MASK}}} stands before that",
            fix=f"end the wording with {{{MASK}}}",
        )
    return asked.wording


def wished_way(asked: Template) -> Way | None:
    """The way that a wording speaks of: {label} is for descriptions; None where it leaves the choice to the model."""
    found = placeholders(asked.wording or "")
    return "descriptions" if LABEL in found and MASK not in found else None


def needs_mask(asked: Template) -> bool:
    """Whether a wording asks for a word in a place of its own."""
    return MASK in placeholders(asked.wording or "")


def _read_wording_or_file(template: str | Path) -> Template:
    if isinstance(template, str) and placeholders(template):
        return Template(wording=template)
    return read_template(template)


def _not_for_labels(asked: Template) -> ConfigError:
    if asked.labels:
        return ConfigError(f"{asked.where('labels')}: {asked.kind} has no labels", fix="take the key labels out")
    wanted = " and ".join(f"{{{name}}}" for name in WRITTEN[asked.kind])
    message = f"{asked.where('task')}: {asked.kind} needs a wording, and the key template is missing"
    return ConfigError(message, fix=f"write one with {wanted}")


def _too_few(asked: Template) -> ConfigError:
    where = asked.where("labels") if asked.labels else next(iter(asked.places.values()), "").partition(",")[0]
    came = f"one label came, {next(iter(asked.labels))!r}" if asked.labels else "no labels came"
    if len(asked.labels) == 1 and os.path.isfile(next(iter(asked.labels))):
        return ConfigError(f"{came}, wanted {FEWEST_LABELS} or more", fix="a file of labels ends in .yaml: name it so")
    fix = f"name {FEWEST_LABELS} or more: --labels good,bad, or in the template file: {EXAMPLE}"
    return ConfigError(f"{where}: {came}, wanted {FEWEST_LABELS} or more" if where else came, fix=fix)
