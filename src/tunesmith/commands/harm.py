"""The command `harm`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tunesmith.commands.basics import Guarded

if TYPE_CHECKING:
    from rich.console import Console

TITLES = {"before": "before fine-tuning", "after": "after it", "filtered": "after it, behind the filter"}


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command()
    def harm(
        folder: Annotated[str, typer.Argument(metavar="DIR", help="A finished model that writes.")],
        prompts: Annotated[
            str | None, typer.Option(metavar="FILE", help="Rows to answer; default: those that ship along.")
        ] = None,
        language: Annotated[Literal["en", "zh"], typer.Option(help="Of the prompts that ship along.")] = "en",
        judge: Annotated[
            str | None, typer.Option(metavar="FILE", help="A filter file that says what is harmful.")
        ] = None,
        filter_file: Annotated[
            str | None, typer.Option("--filter", metavar="FILE", help="A filter file whose effect is measured.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
    ) -> None:
        """Say how often a model writes what is harmful: before fine-tuning, after it, behind a filter."""
        with guarded() as console:
            from tunesmith.console import working

            with working(console, "writing"):
                from tunesmith.harm import measure_harm

                report = measure_harm(folder, prompts, language=language, judge=judge, filter_file=filter_file)
            if as_json:
                print(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False))
            else:
                _show(console, report)


def _show(console: Console, report: Mapping[str, Any]) -> None:
    from rich.text import Text

    from tunesmith.data.rejects import printable
    from tunesmith.metrics import format_p

    for key, title in TITLES.items():
        if key in report:
            share = report[key]
            line = (
                f"{title:<28} {share['value']:.1%} [{share['low']:.1%}, {share['high']:.1%}] of {share['n']:,} answers"
            )
            console.print(Text(line), soft_wrap=True)
    console.print(Text(f"before against after: {format_p(report['p'])}", "dim"), soft_wrap=True)
    for example in report["examples"]:
        said = f"{printable(example['prompt'])} → {printable(example['answer'])} ({printable(example['why'])})"
        console.print(Text(f"harmful: {said}", "yellow"), soft_wrap=True)
