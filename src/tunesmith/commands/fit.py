"""`tunesmith fit`: fine-tune a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.commands.basics import AsJson, Guarded, Settings, SkipBad, Verbose, print_json
from tunesmith.errors import ConfigError, Interrupted

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.config import RunConfig
    from tunesmith.console import Reporter


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command()
    def fit(
        file: Annotated[str | None, typer.Argument(metavar="DATA", help="Training file; the same as --train.")] = None,
        task: Annotated[str | None, typer.Option(help="What is learnt; default: told by the data.")] = None,
        model: Annotated[str | None, typer.Option(help="Base model: hub id, folder, minilm or zh-classics.")] = None,
        train: Annotated[str | None, typer.Option(help="Training file, or - for standard input.")] = None,
        dev: Annotated[str | None, typer.Option(help="Development file; default: a part of the training file.")] = None,
        method: Annotated[str | None, typer.Option(help="How it is tuned, such as lora; default: full.")] = None,
        few_shot: Annotated[
            str | None, typer.Option("--few-shot", metavar="WAY", help="With few labelled rows: contrastive or pet.")
        ] = None,
        out: Annotated[str | None, typer.Option(help="The model's folder; default: runs/<task>-<hash>.")] = None,
        config: Annotated[str | None, typer.Option(metavar="FILE", help="Settings as a YAML file.")] = None,
        recipe: Annotated[str | None, typer.Option(help="classic: AdamW 2e-5, batch 16, 5 epochs, 128 tokens.")] = None,
        setting: Settings = None,
        skip_bad: SkipBad = False,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another run in --out.")] = False,
        as_json: AsJson = False,
        verbose: Verbose = False,
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The closing lines only.")] = False,
    ) -> None:
        """Fine-tune a model; the same command again continues.

        `tunesmith fit data.csv` is enough: the rest is guessed and printed as a full command. A run that was
        stopped goes on where it was; one that had finished is left as it is.
        """
        flags = {
            "task": {"name": task},
            "model": {"name": model},
            "method": {"name": method},
            "few_shot": {"name": few_shot},
            "data": {"train": _one_of(file, train), "dev": dev, "skip_bad": skip_bad or None},
            "output": {"folder": out, "overwrite": overwrite or None},
        }
        with guarded() as console:
            resolved = _resolve(config, recipe, flags, setting or [])
            finished = _run(resolved, console, verbose=verbose, quiet=quiet)
            if as_json:
                state = {"folder": str(finished.folder), "already_complete": finished.already_complete}
                print_json({**state, **finished.metrics})


def _one_of(file: str | None, train: str | None) -> str | None:
    if file is not None and train is not None:
        raise typer.BadParameter(f"training data came twice: {file} and --train {train}; give one of them")
    return file if train is None else train


def _resolve(config: str | None, recipe: str | None, flags: dict[str, Any], settings: Sequence[str]) -> RunConfig:
    """Settings from the least to the most telling: recipe, file, options, --set."""
    from tunesmith.config import CLASSIC_RECIPE, resolve_config
    from tunesmith.settings import read_config_file

    if recipe not in (None, "classic"):
        raise ConfigError(f"unknown recipe {recipe!r}", fix="--recipe classic is the only one")
    given = {
        name: {key: value for key, value in section.items() if value is not None} for name, section in flags.items()
    }
    layers = [CLASSIC_RECIPE if recipe else {}, read_config_file(config) if config else {}, given]
    return resolve_config(*layers, settings=settings)


def _run(config: RunConfig, console: Console, *, verbose: bool, quiet: bool) -> Any:
    """Fine-tune, printing what happens; returns the last event."""
    from tunesmith.console import Reporter, working

    with working(console, "loading"):
        from tunesmith import api

    with Reporter(console, verbose=verbose, quiet=quiet) as reporter:
        try:
            for event in api.fit_events(config, in_one_go=True):
                reporter.show(event)
        except Interrupted as error:
            raise _with_command(error, reporter) from None
    return event


def _with_command(error: Interrupted, reporter: Reporter) -> Interrupted:
    """Name the folder as well, in full: the command may be given elsewhere."""
    command = reporter.plan.command if reporter.plan else "the same command"
    return Interrupted(error.message, fix=f"to continue: {command}")
