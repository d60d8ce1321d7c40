"""The report of `tunesmith compare` for people: the verdict, notes, classes, changed rows, size and speed.

It prints the object that `--json` gives and reads nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunesmith.console import format_difference, format_label, show_notice
from tunesmith.data.rejects import display, printable

SHOWN_CLASSES = 12
SHOWN_EXAMPLES = 3
SHOWN_SETTINGS = 6
SHOWN_CHARACTERS = 200
SAID = {"a_better": "A is better", "b_better": "B is better", "no_difference_shown": "no difference can be shown"}
KINDS = {
    "fixed": "fixed: A is wrong, B is right",
    "broken": "broken: A is right, B is wrong",
    "better": "B is nearer to the right answer",
    "worse": "B is further from the right answer",
}
MEGABYTE = 1e6


def show_comparison(console: Console, report: Mapping[str, Any]) -> None:
    """Print the report of a comparison.

    Args:
        console: where to print.
        report: what `tunesmith.compare` returns.
    """
    console.print(Text(say_verdict(report), "bold"), soft_wrap=not console.is_terminal)
    for side in "ab":
        console.print(_who(side, report["systems"][side]), soft_wrap=True)
    _show_settings(console, report["settings"])
    if report["rejected"]:
        show_notice(console, f"{report['rejected']:,} rows could not be used and are not counted")
    for warning in report["warnings"]:
        show_notice(console, warning)
    if report["per_class"]:
        console.print()
        _show_classes(console, report["per_class"])
    _show_changes(console, report["changes"])
    console.print()
    console.print(_systems_table(report["systems"]))


def say_verdict(report: Mapping[str, Any]) -> str:
    """The one line that says who is better.

    Example:
        >>> found = {"a": 0.812, "b": 0.834, "value": 0.022, "low": 0.008, "high": 0.036, "p": 0.002}
        >>> systems = {side: {"runs": [{}]} for side in "ab"}
        >>> report = {"verdict": "b_better", "headline": "accuracy", "difference": found, "rows": 1450}
        >>> say_verdict({**report, "source": "test.csv", "systems": systems})
        'B is better: accuracy 0.812 → 0.834 (+0.022 [+0.008, +0.036], p = 0.002) on 1,450 rows of test.csv'
    """
    found = report["difference"]
    counts = [len(report["systems"][side]["runs"]) for side in "ab"]
    runs = "" if counts == [1, 1] else f", means of {counts[0]} and {counts[1]} runs"
    return (
        f"{SAID[report['verdict']]}: {report['headline']} {found['a']:.3f} → {found['b']:.3f} "
        f"({format_difference(found)}) on {report['rows']:,} rows of {display(report['source'])}{runs}"
    )


def _who(side: str, system: Mapping[str, Any]) -> Text:
    paths = ", ".join(printable(run["path"]) for run in system["runs"])
    return Text.assemble((f"{side.upper()}  ", "cyan"), paths)


def _show_settings(console: Console, settings: Mapping[str, Mapping[str, str]]) -> None:
    if not settings:
        return
    shown = [f"{name} {pair['a']} → {pair['b']}" for name, pair in list(settings.items())[:SHOWN_SETTINGS]]
    more = f"; and {len(settings) - SHOWN_SETTINGS} more" if len(settings) > SHOWN_SETTINGS else ""
    console.print(Text(printable(f"they differ in {'; '.join(shown)}{more}"), "dim"), soft_wrap=True)


def _show_classes(console: Console, classes: Mapping[str, Mapping[str, float]]) -> None:
    """F1 of each class, what B loses most first; of many classes both ends."""
    names = list(classes)
    if len(names) > SHOWN_CLASSES:
        names = [*names[: SHOWN_CLASSES // 2], "", *names[-SHOWN_CLASSES // 2 :]]
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    table.add_column("F1 of each class", style="cyan", overflow="fold")
    for title in ("rows", "A", "B", "difference", "95 % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    for name in names:
        if not name:
            table.add_row(Text(f"… {len(classes) - len(names) + 1:,} more", "dim"))
            continue
        row = classes[name]
        style = "red" if row["high"] < 0 else "green" if row["low"] > 0 else ""
        interval = Text(f"[{row['low']:+.3f}, {row['high']:+.3f}]")
        cells = f"{row['support']:,.0f}", f"{row['a']:.3f}", f"{row['b']:.3f}"
        table.add_row(Text(printable(name)), *cells, Text(f"{row['value']:+.3f}", style), interval)
    console.print(table)


def _show_changes(console: Console, changes: Mapping[str, Any]) -> None:
    """How many rows changed, and examples of each kind."""
    console.print()
    for kind, title in KINDS.items():
        count = changes[kind]
        if not count and kind in ("better", "worse"):
            continue
        console.print(Text.assemble((f"{count:,} rows ", "bold"), title))
        for example in changes["examples"][kind][:SHOWN_EXAMPLES]:
            line = f"  line {example['line']:,}  {printable(_cut(example['text']))}"
            console.print(Text(line, no_wrap=True, overflow="ellipsis"))
            answers = [("right", [example["right"]]), ("A", example["a"]), ("B", example["b"])]
            shown = "    ".join(f"{name}: {_cut(' / '.join(map(format_answer, runs)))}" for name, runs in answers)
            console.print(Text(f"    {shown}", "dim"), soft_wrap=not console.is_terminal)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def format_answer(answer: Any) -> str:
    """An answer in one line.

    Example:
        >>> format_answer([{"text": "Oslo", "label": "LOC"}]), format_answer(["joy", "love"]), format_answer([])
        ('Oslo = LOC', 'joy, love', '(none)')
    """
    if isinstance(answer, Sequence) and answer and isinstance(answer[0], Mapping):
        return ", ".join(" = ".join(printable(span[k]) for k in ("text", "label") if k in span) for span in answer)
    return format_label(float(answer) if isinstance(answer, int) else answer)


def _systems_table(systems: Mapping[str, Mapping[str, Any]]) -> Table:
    """Speed and size side by side; a predictions file has none."""
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    table.add_column("")
    for side in "ab":
        table.add_column(side.upper(), justify="right")
    rows = (
        ("method", "method", str),
        ("trained parameters", "trained_parameters", "{:,}".format),
        ("all parameters", "parameters", "{:,}".format),
        ("weights in the folder", "weights_bytes", lambda size: f"{size / MEGABYTE:,.1f} MB"),
        ("rows/s, here, in turns", "rows_per_s", "{:,.0f}".format),
    )
    for title, key, form in rows:
        values = [systems[side][key] for side in "ab"]
        table.add_row(title, *("–" if value is None else form(value) for value in values))
    return table
