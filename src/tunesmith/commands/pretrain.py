"""The command `pretrain`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.commands.basics import Guarded
from tunesmith.errors import Interrupted

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.events import Finished


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command()
    def pretrain(
        files: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="The same as --corpus.")] = None,
        corpus: Annotated[
            list[str] | None, typer.Option(metavar="FILE", help="Files, folders or patterns; may be given often.")
        ] = None,
        objective: Annotated[str | None, typer.Option(help="mlm, clm, electra or denoise; default: mlm.")] = None,
        model: Annotated[str | None, typer.Option(help="Continue from a hub id, a folder, minilm …")] = None,
        architecture: Annotated[
            str | None,
            typer.Option(help="Of a new model: bert, electra, llama, bart … or a config.json."),
        ] = None,
        size: Annotated[
            str | None, typer.Option(help="Of a new model: nano, micro, mini, small, medium, base.")
        ] = None,
        steps: Annotated[int | None, typer.Option(min=1, help="Most optimizer steps; default: one pass.")] = None,
        out: Annotated[str | None, typer.Option(metavar="DIR", help="The model's folder.")] = None,
        config: Annotated[str | None, typer.Option(metavar="FILE", help="Settings as a YAML file.")] = None,
        setting: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="KEY=VALUE", help="Any setting, such as train.epochs=3; may be given often."),
        ] = None,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another run in --out.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
        verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also the whole plan.")] = False,
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The closing lines only.")] = False,
    ) -> None:
        """Train a language model on raw text, or go on training one; the same command again continues."""
        flags: dict[str, dict[str, Any]] = {
            "objective": {"name": objective},
            "model": {"name": model, "architecture": architecture, "size": size},
            "corpus": {"files": [*(files or []), *(corpus or [])] or None},
            "train": _steps(steps),
            "output": {"folder": out, "overwrite": overwrite or None},
        }
        with guarded() as console:
            finished = _pretrain(console, config, flags, setting or [], (verbose, quiet))
            if as_json:
                state = {"folder": str(finished.folder), "already_complete": finished.already_complete}
                print(json.dumps({**state, **finished.metrics}, indent=2, ensure_ascii=False, allow_nan=False))


def _steps(steps: int | None) -> dict[str, Any]:
    """So many steps, whatever passes over the text they are."""
    from tunesmith.pretraining.config import ENDLESS_EPOCHS

    return {} if steps is None else {"max_steps": steps, "epochs": ENDLESS_EPOCHS}


def _pretrain(
    console: Console,
    config: str | None,
    flags: dict[str, dict[str, Any]],
    settings: Sequence[str],
    loudness: tuple[bool, bool],
) -> Finished:
    from tunesmith.console import working
    from tunesmith.settings import read_config_file

    with working(console, "loading"):
        from tunesmith.console.pretraining import PretrainReporter
        from tunesmith.events import Finished
        from tunesmith.pretraining.config import resolve_pretraining
        from tunesmith.pretraining.running import run

    given = {
        part: {key: value for key, value in section.items() if value is not None} for part, section in flags.items()
    }
    resolved = resolve_pretraining(read_config_file(config) if config else {}, given, settings=settings)
    verbose, quiet = loudness
    with PretrainReporter(console, verbose=verbose, quiet=quiet) as reporter:
        try:
            for event in run(resolved, in_one_go=True):
                reporter.show(event)
        except Interrupted as error:
            command = reporter.plan.command if reporter.plan else "the same command"
            raise Interrupted(error.message, fix=f"to continue: {command}") from None
    assert isinstance(event, Finished)
    return event
