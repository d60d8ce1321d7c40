"""The report of `tunesmith check` for people: a verdict, what was found, then what is in the files.

It prints the object that `--json` gives and reads nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tunesmith.checking import say_share
from tunesmith.data.rejects import display, printable

STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}
SHOWN_EXAMPLES = {"error": 3, "warning": 2, "note": 1}
SHOWN_LABELS = 12
LABEL_WIDTH = 24
EXAMPLE_LABEL = 40
BAR_WIDTH = 10
NARROW = 72
"""Columns of a terminal below which bars are left out."""
LEVELS = "▁▂▃▄▅▆▇█"
EIGHTHS = "▏▎▍▌▋▊▉█"


def show_check(console: Console, report: Mapping[str, Any]) -> None:
    """Print the report of a check.

    Args:
        console: where to print.
        report: what `api.check` returns.
    """
    console.print(say_verdict(report))
    console.print()
    for found in report["findings"]:
        console.print(_finding(found))
        console.print()
    console.print(_rows_table(report))
    console.print()
    _show_labels(console, report)
    is_wide = console.width >= NARROW
    console.print(_lengths_table(report, "characters", is_wide=is_wide))
    if any("tokens" in split for split in report["splits"].values()):
        console.print()
        console.print(_lengths_table(report, "tokens", is_wide=is_wide))
        console.print(Text(say_model(report), "dim"))
    if sampled := say_sampling(report):
        console.print(Text(sampled, "dim"))


def say_verdict(report: Mapping[str, Any]) -> Text:
    """The verdict, each number in the colour of its severity."""
    counts = {severity: count for severity, count in report["severities"].items() if count}
    if not counts:
        return Text(report["verdict"], "bold green")
    _, _, rest = report["verdict"].rpartition(" in ")
    parts: list[tuple[str, str] | str] = []
    for severity, count in counts.items():
        parts += [", "] if parts else []
        parts.append((f"{count:,} {severity}{'s' if count > 1 else ''}", f"bold {STYLES[severity]}"))
    return Text.assemble(*parts, f" in {rest} of {_files(report)}")


def _files(report: Mapping[str, Any]) -> str:
    names = [display(split["source"]).replace("\\", "/").rpartition("/")[2] for split in report["splits"].values()]
    return ", ".join(names)


def _finding(found: Mapping[str, Any]) -> RenderableType:
    """Severity in a column of its own, beside it message, examples and fix."""
    severity = found["severity"]
    sampled = found.get("sampled")
    seen = f" (sampled: {sampled['rows']:,} of {sampled['of']:,} rows)" if sampled else ""
    message = Text.assemble((found["kind"].replace("_", " "), "bold"), "  ", printable(found["message"]), seen)
    shown = [line for example in found["examples"][: SHOWN_EXAMPLES[severity]] for line in _example(example)]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=STYLES[severity], width=len("warning"), no_wrap=True)
    grid.add_column()
    grid.add_row(severity, Group(message, *shown, Text.assemble(("→ ", "green"), printable(found["fix"]))))
    return grid


def _example(example: Mapping[str, Any]) -> list[Text]:
    """A row in one line, and the row it resembles in another."""
    lines = [_place(example, example["text"])]
    twin = example.get("twin")
    if twin is not None:
        is_same = twin["text"] == example["text"]
        lines.append(_place(twin, "" if is_same else twin["text"], "= " if is_same else "≈ "))
    return lines


def _place(row: Mapping[str, Any], text: str, sign: str = "") -> Text:
    # The label stands before the text, whose end may be cut off by the edge of the terminal.
    label = f" [{printable(_shorten(row['label']))}]" if "label" in row else ""
    place = f"{sign}{printable(row['split'])}, line {row['line']:,}"
    return Text(f"{place}{label} {printable(text)}", "dim", no_wrap=True, overflow="ellipsis")


def _shorten(label: str) -> str:
    return label if len(label) <= EXAMPLE_LABEL else f"{label[: EXAMPLE_LABEL - 1]}…"


def _table(title: str) -> Table:
    table = Table(box=None, padding=(0, 2), collapse_padding=True, pad_edge=False, header_style="dim")
    table.add_column(Text(title, "bold"), style="cyan", overflow="ellipsis", no_wrap=True, max_width=LABEL_WIDTH)
    return table


def _rows_table(report: Mapping[str, Any]) -> Table:
    table = _table("rows")
    for title in ("used", "unusable"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("columns", overflow="fold")
    for name, split in report["splits"].items():
        rows = split["rows"]
        columns = ", ".join(f"{field} = {column}" for field, column in split["mapping"].items())
        guessed = f"  (guessed: {', '.join(split['guessed_fields'])})" if split["guessed_fields"] else ""
        bad = Text(f"{rows['rejected']:,}", "red" if rows["rejected"] else "")
        table.add_row(Text(printable(name)), f"{rows['accepted']:,}", bad, Text(printable(columns + guessed)))
    return table


def _show_labels(console: Console, report: Mapping[str, Any]) -> None:
    splits = {name: split["labels"] for name, split in report["splits"].items()}
    if any("mean" in labels for labels in splits.values()):
        console.print(_numbers_table(splits))
        console.print()
    elif any(labels.get("counts") for labels in splits.values()):
        console.print(_labels_table(splits, with_bars=console.width >= NARROW))
        rest = max(labels["distinct"] for labels in splits.values()) - SHOWN_LABELS
        if rest > 0:
            console.print(Text(f"and {rest:,} more labels; --json lists their counts", "dim"))
        console.print()


def _numbers_table(splits: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("labels are numbers")
    titles = ("min", "median", "mean", "max")
    for title in titles:
        table.add_column(title, justify="right")
    for name, labels in splits.items():
        table.add_row(Text(printable(name)), *(f"{labels[title]:.4g}" if title in labels else "–" for title in titles))
    return table


def _labels_table(splits: Mapping[str, Mapping[str, Any]], *, with_bars: bool) -> Table:
    """Labels in the order of the first split, with their share of each split."""
    table = _table("labels")
    if with_bars:
        table.add_column("", no_wrap=True, min_width=BAR_WIDTH)
    for name in splits:
        table.add_column(Text(printable(name)), justify="right", no_wrap=True)
    counts = [labels["counts"] for labels in splits.values()]
    totals = [max(1, sum(count.values())) for count in counts]
    names = list(dict.fromkeys(name for count in counts for name in count))[:SHOWN_LABELS]
    most = max([counts[0].get(name, 0) for name in names], default=0)
    for name in names:
        cells = [_count(count.get(name, 0), total) for count, total in zip(counts, totals, strict=True)]
        bars = [Text(draw_bar(counts[0].get(name, 0), most), "cyan")] if with_bars else []
        table.add_row(Text(printable(name)), *bars, *cells)
    return table


def _count(count: int, total: int) -> str:
    return f"{count:,}{100 * count / total:5.0f} %"


def _lengths_table(report: Mapping[str, Any], key: str, *, is_wide: bool) -> Table:
    table = _table(key)
    for heading in ("median", "95 %", "longest"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("spread", no_wrap=True)
    if key == "tokens":
        for heading in ("cut", "unknown"):
            table.add_column(heading, justify="right", no_wrap=True)
    for name, split in report["splits"].items():
        found = split.get(key)
        if not found or "p50" not in found:
            continue
        cells: list[RenderableType] = [f"{found[point]:,}" for point in ("p50", "p95", "max")]
        cells.append(_spread(found["histogram"], is_wide=is_wide))
        if key == "tokens":
            cells += [say_share(found["truncated_rows"]), say_share(found["unknown"])]
        table.add_row(Text(printable(name)), *cells)
    return table


def _spread(histogram: Mapping[str, Any], *, is_wide: bool) -> Text:
    """The histogram, and where there is room, where it ends."""
    counts, width = histogram["counts"], histogram["width"]
    used = max((place for place, count in enumerate(counts, start=1) if count), default=0)
    if not is_wide:
        return Text(draw_histogram(counts[:used]), "cyan")
    end = f"{width * used - 1:,}" if used < len(counts) else f"{width * (used - 1):,}+"
    return Text.assemble(("0 ", "dim"), (draw_histogram(counts[:used]), "cyan"), (f" {end}", "dim"))


def draw_histogram(counts: Sequence[int]) -> str:
    """One character a bin; an empty bin is blank, and none that holds anything is.

    Example:
        >>> draw_histogram([0, 1, 50, 100])
        ' ▁▄█'
    """
    most = max(counts, default=0)
    return "".join(LEVELS[max(0, round(len(LEVELS) * count / most) - 1)] if count else " " for count in counts)


def draw_bar(count: int, most: int, width: int = BAR_WIDTH) -> str:
    """A bar of at most `width` characters; any count but 0 shows.

    Example:
        >>> draw_bar(100, 100, 4), draw_bar(30, 100, 4), draw_bar(1, 1000, 4)
        ('████', '█▎', '▏')
    """
    eighths = max(1, round(8 * width * count / most)) if count else 0
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (EIGHTHS[rest - 1] if rest else "")


def say_model(report: Mapping[str, Any]) -> str:
    """What the model takes, and how it cuts words."""
    pieces = [
        f"{split['tokens']['pieces_per_word']:.2f} ({printable(name)})"
        for name, split in report["splits"].items()
        if "tokens" in split
    ]
    model = report["model"]
    return f"{printable(model['name'])} takes {model['max_tokens']:,} tokens; pieces a word: {_join(pieces)}"


def say_sampling(report: Mapping[str, Any]) -> str:
    """What was looked for in a sample; "" where all rows were looked at."""
    names = {"near_duplicates": "near duplicates in", "tokens": "tokens of"}
    sampled = [
        f"{names[what]} {seen['rows']:,} of {seen['of']:,} rows"
        for what, seen in report["sampling"].items()
        if seen["rows"] < seen["of"]
    ]
    return f"sampled: {_join(sampled)}; all else was looked for in every row" if sampled else ""


def _join(parts: Iterable[str]) -> str:
    return ", ".join(parts)
