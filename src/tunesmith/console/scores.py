"""How good a model is, for people: one line that says it all, and tables for those who want to know more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunesmith.console.basics import show_notice
from tunesmith.data.rejects import printable
from tunesmith.metrics import ALPHA, SMALLER_IS_BETTER, format_p, report_table

MOST_CLASSES = 12
"""Largest confusion matrix that is printed."""
LABEL_COLUMN = 15


def describe_gain(metrics: Mapping[str, Any]) -> str:
    """The one line that says what fine-tuning brought.

    Example:
        >>> scores = {"accuracy": {"value": 0.83, "low": 0.77, "high": 0.89, "n": 131}}
        >>> describe_gain({"headline": "accuracy", "scores": scores, "split": "dev"})
        'accuracy 0.830 [0.770, 0.890] on 131 development rows'
    """
    name = metrics["headline"]
    after = metrics["scores"][name]
    split = str(metrics["split"])
    if split == "training":
        return f"{name} {after['value']:.3f} on the {after['n']:,} rows it learnt from, which says little of others"
    rows = f"on {after['n']:,} " + ("development rows" if split == "dev" else f"rows of {printable(split)}")
    gain = metrics.get("gain")
    if gain is None:
        return f"{name} {format_interval(after)} {rows}"
    before = after["value"] - gain["value"]
    return (
        f"before → after fine-tuning: {name} {before:.3f} → {after['value']:.3f} "
        f"({format_difference(gain)}) {rows}{_doubt(gain)}"
    )


def _doubt(gain: Mapping[str, Any]) -> str:
    """Why a gain is not certain; folders of early versions have no p."""
    if "p" in gain:
        return "" if gain["p"] < ALPHA else f"; p is not below {ALPHA}, so the gain is not certain"
    return "" if gain["low"] > 0 or gain["high"] < 0 else "; the interval holds 0, so the gain is not certain"


def format_difference(gain: Mapping[str, Any]) -> str:
    """A difference with its interval, and its p-value where there is one.

    Example:
        >>> format_difference({"value": 0.022, "low": 0.008, "high": 0.036, "p": 0.002})
        '+0.022 [+0.008, +0.036], p = 0.002'
    """
    shown = f"{gain['value']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
    return f"{shown}, {format_p(gain['p'])}" if "p" in gain else shown


def describe_certainty(metrics: Mapping[str, Any]) -> list[str]:
    """Lines that say how far probabilities can be trusted, and what it brings to withhold answers.

    Example:
        >>> sure = {"method": "temperature", "before": {"ece": 0.05}, "after": {"ece": 0.01}}
        >>> sure["intervals"] = {"ece": {"low": 0.0, "high": 0.02}}
        >>> describe_certainty({"calibration": sure})
        ['probabilities are off by 0.010 [0.000, 0.020] on average (0.050 without temperature scaling)']
    """
    lines = []
    calibration, abstention = metrics.get("calibration"), metrics.get("abstention")
    if calibration and calibration["after"]:
        error = format_interval({**calibration["intervals"]["ece"], "value": calibration["after"]["ece"]})
        line = f"probabilities are off by {error} on average"
        if calibration["method"] != "none":
            line += f" ({calibration['before']['ece']:.3f} without {calibration['method']} scaling)"
        lines.append(line)
    if abstention:
        line = f"with --abstain {printable(abstention['wish'])} (threshold {abstention['threshold']:.3f}): "
        if "coverage" in abstention:
            coverage, accuracy = format_interval(abstention["coverage"]), format_interval(abstention["accuracy"])
            line += f"coverage {coverage}, accuracy of what is answered {accuracy}"
        else:
            line += "nothing is answered"
        lines.append(line)
    return lines


def find_rivals(metrics: Mapping[str, Any]) -> list[str]:
    """Titles of the competitors that score at least as well as the model.

    Example:
        >>> scores = {"accuracy": {"value": 0.8}}
        >>> find_rivals({"headline": "accuracy", "scores": scores, "baselines": {"tfidf": scores}})
        ['tfidf']
    """
    name, titles = metrics["headline"], metrics.get("baseline_titles", {})
    sign = -1 if name in SMALLER_IS_BETTER else 1
    reached = sign * metrics["scores"][name]["value"]
    found = metrics["baselines"].items()
    return [titles.get(key, key) for key, scores in found if sign * scores[name]["value"] >= reached]


def format_interval(score: Mapping[str, float]) -> str:
    """A score and its 95 % interval.

    Example:
        >>> format_interval({"value": 0.5, "low": 0.4, "high": 0.6})
        '0.500 [0.400, 0.600]'
    """
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


def show_scores(console: Console, metrics: Mapping[str, Any], *, model: str = "this model") -> None:
    """Print the headline score of the model below those of its competitors."""
    name = metrics["headline"]
    titles = metrics.get("baseline_titles", {})
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column(name, justify="right")
    table.add_column("95 % interval", justify="right")
    for baseline, scores in metrics["baselines"].items():
        _add_score(table, titles.get(baseline, baseline), scores[name])
    _add_score(table, model, metrics["scores"][name], style="bold")
    console.print(table)


def _add_score(table: Table, title: str, score: Mapping[str, float], style: str = "") -> None:
    interval = f"[{score['low']:.3f}, {score['high']:.3f}]"
    table.add_row(Text(printable(title)), f"{score['value']:.3f}", Text(interval), style=style)


def show_classes(console: Console, metrics: Mapping[str, Any]) -> None:
    """Print precision, recall and F1 of each class, and who is taken for whom where classes are few."""
    tables = {name: table for name, table in metrics.items() if name.startswith("per_") and table}
    for name, table in tables.items():
        if len(tables) > 1:
            console.print(Text(name.replace("_", " "), "bold"))
        shown = {printable(label): row for label, row in table.items()}
        console.print(Text(report_table(shown)), soft_wrap=True)
        console.print()
    confusion = metrics.get("confusion")
    if confusion and len(confusion["labels"]) <= MOST_CLASSES:
        _show_confusion(console, confusion)
        console.print()


def _show_confusion(console: Console, confusion: Mapping[str, Any]) -> None:
    labels = [printable(label) for label in confusion["labels"]]
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("right answer ↓  predicted →", style="cyan", overflow="fold")
    for label in labels:
        table.add_column(Text(label), justify="right", overflow="ellipsis", max_width=LABEL_COLUMN, no_wrap=True)
    for place, (label, row) in enumerate(zip(labels, confusion["matrix"], strict=True)):
        cells = [Text(f"{n:,}", "bold" if column == place else "") for column, n in enumerate(row)]
        table.add_row(Text(label), *cells)
    console.print(table)


def show_details(console: Console, metrics: Mapping[str, Any]) -> None:
    """Print the tables of classes, the competitors, and how far probabilities can be trusted."""
    show_classes(console, metrics)
    if metrics["baselines"]:
        show_scores(console, metrics)
        console.print()
    for line in describe_certainty(metrics):
        console.print(Text(line), soft_wrap=not console.is_terminal)


def show_evaluation(
    console: Console, metrics: Mapping[str, Any], trained: Mapping[str, Any], *, verbose: bool = False
) -> None:
    """Print a finished model's scores on a file: a line, what qualifies it, and what was asked for.

    Args:
        console: where to print.
        metrics: of the file.
        trained: metrics.json of the model.
        verbose: also the tables, and below what it and its competitors had when it was made.
    """
    if verbose:
        show_details(console, metrics)
    if metrics.get("rejected"):
        show_notice(console, f"{metrics['rejected']:,} rows could not be used and are not counted")
    console.print(Text(describe_gain(metrics), "bold"), soft_wrap=not console.is_terminal)
    for title in find_rivals(metrics):
        show_notice(console, f"{title} is no worse on these rows")
    for line in () if verbose else describe_certainty(metrics):
        console.print(Text(line), soft_wrap=not console.is_terminal)
    if metrics.get("signature"):
        console.print(Text(f"scored as {metrics['signature']}", "dim"), soft_wrap=True)
    if metrics.get("unseen_labels"):
        listed = ", ".join(f"{printable(name)} ({count:,})" for name, count in metrics["unseen_labels"].items())
        console.print(Text(f"note: labels the model never learnt, counted as wrong: {listed}", "yellow"))
    if trained["baselines"] and not metrics["baselines"]:
        why = printable(metrics.get("baselines_missing", ""))
        console.print(Text(f"no competitors on these rows: {why}", "dim"), soft_wrap=True)
        if verbose:
            console.print(Text("on the development rows, back then:", "dim"))
            show_scores(console, trained)
