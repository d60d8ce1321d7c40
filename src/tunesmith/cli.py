"""The command line: a thin shell over the Python functions.

Everything heavy is imported inside the commands, so that `tunesmith --help` answers at once. Results go to
standard output, what people read goes to standard error. Exit codes: 0 done, 1 a fault of ours, 2 the user's
input, 3 a gate refused, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tunesmith import __version__
from tunesmith.commands import COMMANDS
from tunesmith.commands.basics import EXIT_INTERRUPTED, guarded

app = typer.Typer(
    name="tunesmith",
    help="Fine-tune a language model on your labelled texts, measure it honestly, and use it.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
)


def main() -> None:
    """Run the command line (the entry point of the package)."""
    try:
        app()
    except KeyboardInterrupt:  # before a command could take it
        sys.exit(EXIT_INTERRUPTED)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"tunesmith {__version__}")
        raise typer.Exit


for register in COMMANDS:
    register(app, guarded)

if __name__ == "__main__":
    main()
