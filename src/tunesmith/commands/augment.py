"""The command `augment`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.commands.basics import AsJson, Guarded, Overwrite, Settings, print_json


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command()
    def augment(
        file: Annotated[str, typer.Argument(metavar="DATA", help="Labelled rows, or - for standard input.")],
        out: Annotated[str, typer.Option(metavar="FILE", help="Old and new rows: .jsonl, .csv or .tsv.")],
        ways: Annotated[
            str, typer.Option(metavar="A,B", help="deletion, swap, masked, back-translation.")
        ] = "deletion,swap",
        copies: Annotated[int, typer.Option(min=1, help="New rows of each row by each way, at most.")] = 1,
        share: Annotated[float, typer.Option(help="Share of a text's words that are changed, at least one.")] = 0.1,
        seed: Annotated[int, typer.Option(help="Decides which words.")] = 13,
        task: Annotated[str | None, typer.Option(help="What the rows are for; default: told by the data.")] = None,
        model: Annotated[
            str | None, typer.Option(help="Base model with a trained masked-LM head, for the way masked.")
        ] = None,
        translate: Annotated[
            str | None, typer.Option(metavar="DIR", help="Your text-to-text model, for back-translation.")
        ] = None,
        translate_back: Annotated[str | None, typer.Option(metavar="DIR", help="Another, which goes back.")] = None,
        setting: Settings = None,
        overwrite: Overwrite = False,
        as_json: AsJson = False,
    ) -> None:
        """Write labelled rows with new ones between: their words changed a little, their labels kept."""
        with guarded() as console:
            from tunesmith.console import working

            with working(console, "writing rows"):
                from tunesmith import augmenting

                done = augmenting.augment(
                    file,
                    out,
                    ways=[way.strip() for way in ways.split(",") if way.strip()],
                    copies=copies,
                    share=share,
                    seed=seed,
                    task=task,
                    model=model,
                    translate=translate,
                    translate_back=translate_back,
                    settings=setting or [],
                    overwrite=overwrite,
                )
            made = ", ".join(f"{count:,} by {way}" for way, count in done["made"].items())
            console.print(f"{done['rows']:,} rows and {made} in {done['out']}", soft_wrap=True)
            if as_json and out != "-":
                print_json(done)
