"""The command `new`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from tunesmith.commands.basics import Guarded


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command()
    def new(
        file: Annotated[str, typer.Argument(metavar="DATA", help="Rows that the tokenizer is made from.")],
        out: Annotated[str, typer.Option(metavar="DIR", help="The model's folder.")],
        architecture: Annotated[
            str, typer.Option(help="bart, llama, gpt2, bert, electra, modernbert, or a config.json.")
        ] = "bart",
        size: Annotated[str, typer.Option(help="nano, micro, mini, small, medium or base.")] = "mini",
        vocabulary: Annotated[int, typer.Option(min=16, help="Most entries of the tokenizer.")] = 8000,
        task: Annotated[str, typer.Option(help="What the rows are for.")] = "text-to-text",
        setting: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="KEY=VALUE", help="Any setting, such as model.options.encoder_layers=4."),
        ] = None,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model in --out.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
    ) -> None:
        """Make an untrained model for rows: a tokenizer of their words, weights from a seed."""
        flags: dict[str, Any] = {
            "task": {"name": task},
            "data": {"train": file},
            "model": {"architecture": architecture, "size": size},
            "tokenizer": {"vocabulary": vocabulary},
            "output": {"folder": out, "overwrite": overwrite},
        }
        with guarded() as console:
            from tunesmith.console import working

            with working(console, "loading"):
                from tunesmith.pretraining.untrained import UntrainedConfig, make_untrained
                from tunesmith.settings import resolve

            resolved = resolve(UntrainedConfig, flags, settings=setting or [])
            with working(console, "training a tokenizer"):
                made = make_untrained(resolved)
            if as_json:
                print(json.dumps(made, ensure_ascii=False, allow_nan=False))
                return
            console.print(
                f"{made['architecture']} of {made['parameters']:,} parameters, vocabulary of {made['vocabulary']:,}, "
                f"untrained, {'already ' if made['already_complete'] else ''}in {made['folder']}\n"
                f"train it: tunesmith fit {file} --task {task} --model {made['folder']}",
                soft_wrap=True,
                markup=False,
                highlight=False,
            )
