"""The commands that help to choose: `bench-methods` and `models`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.commands.basics import AsJson, Guarded, Settings, print_json
from tunesmith.errors import Interrupted

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the commands to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command("bench-methods")
    def bench_methods(
        file: Annotated[str, typer.Argument(metavar="DATA", help="Training file.")],
        methods: Annotated[str | None, typer.Option(metavar="A,B", help="Names of methods; default: all.")] = None,
        model: Annotated[
            str | None, typer.Option(help="Base model: a hub id, a folder, minilm or zh-classics.")
        ] = None,
        out: Annotated[
            str | None, typer.Option(metavar="DIR", help="A folder for all models; default: runs/bench-<task>-<hash>.")
        ] = None,
        setting: Settings = None,
        as_json: AsJson = False,
    ) -> None:
        """Fit every method on your rows: score, size, time and memory side by side, and which one to take.

        Each is fitted in a process of its own. The same command again continues, and keeps what is finished.
        """
        with guarded() as console, _told_how_to_continue():
            from tunesmith.choice_reports import show_bench
            from tunesmith.console import working

            with working(console, "loading"):
                from tunesmith import method_bench

            report = method_bench.bench_methods(
                file,
                methods=None if methods is None else _names(methods),
                model=model,
                out=out,
                settings=setting or [],
                tell=lambda text: _say(console, text),
            )
            show_bench(console, report)
            if as_json:
                print_json(report)

    @app.command()
    def models(
        file: Annotated[str, typer.Argument(metavar="DATA", help="Labelled rows.")],
        candidates: Annotated[str, typer.Option(metavar="A,B", help="Hub ids, folders, minilm, zh-classics.")],
        setting: Settings = None,
        as_json: AsJson = False,
    ) -> None:
        """Say which base model suits your rows, without tuning any: a probe's score, tokens, speed, size, licence."""
        with guarded() as console:
            from tunesmith.choice_reports import show_models
            from tunesmith.console import working

            with working(console, "loading"):
                from tunesmith import model_choice

            report = model_choice.compare_models(
                file, _names(candidates), settings=setting or [], tell=lambda text: _say(console, text)
            )
            show_models(console, report)
            if as_json:
                print_json(report)


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


def _say(console: Console, text: str) -> None:
    from rich.text import Text

    console.print(Text(text, "dim"))


@contextmanager
def _told_how_to_continue() -> Iterator[None]:
    """Ctrl-C at any time ends with the command that goes on."""
    fix = f"to continue: {shlex.join(['tunesmith', *sys.argv[1:]])}"
    try:
        yield
    except Interrupted as error:
        raise Interrupted(error.message, fix=fix) from None
    except KeyboardInterrupt:
        raise Interrupted("interrupted; finished methods stay", fix=fix) from None
