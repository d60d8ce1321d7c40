"""`tunesmith demo`: fine-tune on sample texts."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.commands.basics import Guarded


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command()
    def demo(
        out: Annotated[
            str | None,
            typer.Option(metavar="DIR", help="Its folder; default: tunesmith-demo, tunesmith-demo-zh."),
        ] = None,
        language: Annotated[str, typer.Option(help="en or zh.")] = "en",
        model: Annotated[str | None, typer.Option(help="Base model; default: one of the language.")] = None,
    ) -> None:
        """Fine-tune on sample texts: before, after, five answers."""
        with guarded() as console:
            from tunesmith.console import working

            with working(console, "loading"):
                from tunesmith.demo import run_demo

            run_demo(console, out, language=language, model=model)
