"""The command `export`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.commands.basics import AsJson, Folder, Guarded, Settings, print_json, read_options
from tunesmith.errors import ConfigError


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command()
    def export(
        folder: Folder,
        out: Annotated[str, typer.Option(metavar="DIR2", help="The new folder; must not exist.")],
        to: Annotated[str, typer.Option(help="hf: a whole model in the format of Hugging Face.")] = "hf",
        rows: Annotated[
            str | None,
            typer.Option(metavar="FILE", help="Rows to compare on; default: the development rows of the run."),
        ] = None,
        setting: Settings = None,
        as_json: AsJson = False,
    ) -> None:
        """Merge a finished model into one that other programs load, after comparing both on rows.

        Where an output of the written folder differs by more than 1e-05 nothing is left, and the exit code is 3.
        """
        with guarded() as console:
            from tunesmith.console import working

            with working(console, "merging and comparing"):
                from tunesmith import exporting

                if to not in exporting.FORMATS:
                    raise ConfigError(f"--to {to} is not known", fix=f"known: {', '.join(exporting.FORMATS)}")
                options = read_options(setting, skip_bad=False, labels_required=False)
                done = exporting.export(folder, out, rows=rows, options=options)
            compared = f"largest difference on {done.rows:,} rows ({done.source}): {done.largest.value:.2g}"
            size = f"{'merged, ' if done.merged else ''}{done.bytes / 1e6:,.1f} MB in {done.folder}"
            console.print(f"{size}; {compared}", soft_wrap=True)
            licence = "not stated" if done.licence is None else done.licence
            console.print(f"licence of the base model: {licence}", style="dim", soft_wrap=True)
            if as_json:
                print_json(done.to_json())
