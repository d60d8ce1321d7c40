"""Small things that all printing shares: the console, notes, errors, facts, durations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunesmith.data.rejects import printable
from tunesmith.errors import Interrupted


def make_console(file: TextIO | None = None) -> Console:
    """A console on standard error (or `file`) that takes texts as they are: no markup, no emoji codes."""
    return Console(file=file, stderr=file is None, highlight=False, markup=False, emoji=False)


@contextmanager
def working(console: Console, what: str) -> Iterator[None]:
    """Show that something is being done, on a terminal only."""
    if not console.is_terminal:
        yield
        return
    with console.status(Text(what, "dim")):
        yield


def format_seconds(seconds: float) -> str:
    """A duration as people say it.

    Example:
        >>> format_seconds(7.4), format_seconds(83), format_seconds(7322)
        ('7 s', '1:23 min', '2:02 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02} h"


def show_notice(console: Console, text: str) -> None:
    """Print something the user should know."""
    console.print(Text.assemble(("note: ", "yellow"), printable(text)))


def show_error(console: Console, error: object) -> None:
    """Print an error's message and its fix; a stop that was asked for is no error."""
    lines = [printable(line) for line in str(error).splitlines()] or [type(error).__name__]
    fix = lines.pop() if len(lines) > 1 and lines[-1].startswith("  fix: ") else None
    title, style = ("", "yellow") if isinstance(error, Interrupted) else ("error: ", "red")
    console.print(Text.assemble((title, f"bold {style}"), ("\n".join(lines), style)), soft_wrap=True)
    if fix is not None:
        console.print(Text(fix), soft_wrap=True)


def show_facts(console: Console, facts: Mapping[str, str]) -> None:
    """Print title → value in two columns."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for title, value in facts.items():
        grid.add_row(title, Text(printable(value)))
    console.print(grid)


def show_next(console: Console, commands: Sequence[str]) -> None:
    """Print the commands that make sense now, whole, so that they can be copied."""
    for place, command in enumerate(commands):
        console.print(Text.assemble((("next   ", "       ")[place > 0], "cyan"), printable(command)), soft_wrap=True)
