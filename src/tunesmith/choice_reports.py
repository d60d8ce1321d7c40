"""The tables of `tunesmith bench-methods` and `tunesmith models` for people: they print what --json gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tunesmith.console import format_seconds
from tunesmith.data.rejects import printable

NONE = "-"
_WIDEST = 500


def show_bench(console: Console, report: Mapping[str, Any]) -> None:
    """Print the table over methods and which one to take.

    Args:
        console: where to print.
        report: what `bench_methods` returns.
    """
    table = _table("method", (report["headline"], "95 % interval", "trained", "folder", "time", "peak memory"))
    for row in report["methods"]:
        if row["status"] == "done":
            taken = row["name"] == report["recommendation"]["method"]
            table.add_row(Text(row["name"], "bold green" if taken else ""), *_bench_cells(row))
    _print_table(console, table)
    for row in report["methods"]:
        if row["status"] != "done":
            _print(console, f"{row['name']} {row['status']}: {row['reason']}", "yellow")
    _print(console, f"take {report['recommendation']['why']}", "bold")


def _bench_cells(row: Mapping[str, Any]) -> list[str]:
    seconds, peak = row["seconds"], row["peak_memory_bytes"]
    return [
        *_score(row["score"]),
        f"{row['trainable_parameters']:,}",
        f"{row['artifact_bytes'] / 1e6:,.1f} MB",
        NONE if seconds is None else format_seconds(seconds),
        NONE if peak is None else f"{peak / 1e6:,.0f} MB",
    ]


def show_models(console: Console, report: Mapping[str, Any]) -> None:
    """Print the table over base models and which one to take.

    Args:
        console: where to print.
        report: what `compare_models` returns.
    """
    titles = ("unknown", "tokens a row", "cut", "tokens/s", "parameters", "size", "licence")
    table = _table("model", (report["headline"], "95 % interval", *titles))
    for row in report["candidates"]:
        if row["error"] is None:
            taken = row["name"] == report["recommendation"]["model"]
            table.add_row(Text(printable(row["name"]), "bold green" if taken else ""), *_model_cells(row))
    _print_table(console, table)
    for row in report["candidates"]:
        if row["error"] is not None:
            _print(console, f"{row['name']}: {row['error']}", "yellow")
    _print(console, report["recommendation"]["why"], "bold")


def _model_cells(row: Mapping[str, Any]) -> list[str]:
    return [
        *_score(row["score"]),
        NONE if row["unknown_share"] is None else f"{row['unknown_share']:.1%}",
        f"{row['tokens_per_row']:,.1f}",
        f"{row['cut_share']:.1%}",
        f"{row['tokens_per_second']:,.0f}",
        f"{row['parameters'] / 1e6:,.1f} M",
        f"{row['bytes'] / 1e6:,.0f} MB",
        printable(row["licence"]),
    ]


def _score(score: Mapping[str, float] | None) -> tuple[str, str]:
    if score is None:
        return NONE, NONE
    return f"{score['value']:.3f}", f"[{score['low']:.3f}, {score['high']:.3f}]"


def _table(first: str, titles: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    table.add_column(first, overflow="fold")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _print_table(console: Console, table: Table) -> None:
    """Wider than the console where it must be: a table without its names and with halves of figures says nothing."""
    if not table.row_count:
        return
    width = console.width
    needed = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    console.width = max(width, needed)  # what print itself is told, the console's width limits
    console.print(table, soft_wrap=True)
    console.width = width


def _print(console: Console, text: str, style: str) -> None:
    console.print(Text(printable(text), style), soft_wrap=not console.is_terminal)
