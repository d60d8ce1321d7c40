"""The commands that serve: `serve`, and `feedback export`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tunesmith.commands.basics import Guarded
from tunesmith.errors import MissingPackageError, UserError

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.serving.security import Gate

NEEDED = ("fastapi", "uvicorn", "prometheus_client")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the commands to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """
    feedback = typer.Typer(help="What people said about answers.", no_args_is_help=True)
    app.add_typer(feedback, name="feedback")

    @app.command()
    def serve(
        models: Annotated[
            list[str], typer.Argument(metavar="DIR", help="Folders that fit wrote; NAME=DIR gives one a name.")
        ],
        host: Annotated[str, typer.Option(help="Address to listen at; others than this machine need a key.")] = (
            "127.0.0.1"
        ),
        port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is any free one.")] = 8000,
        api_key_file: Annotated[
            str | None, typer.Option(metavar="FILE", help="Hashes of API keys; made with a new key when missing.")
        ] = None,
        allow_host: Annotated[
            list[str] | None, typer.Option(metavar="NAME", help="A name that clients call this server by.")
        ] = None,
        feedback_file: Annotated[
            str, typer.Option("--feedback", metavar="FILE", help="Where feedback is stored.")
        ] = "feedback.db",
        precision: Annotated[
            Literal["fp32", "bf16"], typer.Option(help="fp32 answers as predict does; bf16 is faster and rounds.")
        ] = "fp32",
        filter_file: Annotated[
            str | None, typer.Option("--filter", metavar="FILE", help="Patterns or a classifier of what is not shown.")
        ] = None,
    ) -> None:
        """Answer over HTTP, with a page to try the models, until Ctrl-C or SIGTERM.

        Only programs and browsers on this machine can ask, unless there is an API key.
        """
        with guarded() as console:
            _serve(
                console, (models, precision, filter_file), (host, port), (api_key_file, allow_host or []), feedback_file
            )

    @feedback.command()
    def export(
        file: Annotated[str, typer.Argument(metavar="FILE", help="The file of tunesmith serve --feedback.")],
        out: Annotated[str, typer.Option(metavar="FILE", help="Rows with their right answers, as JSON lines.")],
        model: Annotated[
            str | None, typer.Option(metavar="NAME", help="Whose answers, where it knows several.")
        ] = None,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out.")] = False,
    ) -> None:
        """Write the corrected rows for fit and check; of each answer what was said last."""
        with guarded() as console:
            _export(console, file, out, model, overwrite=overwrite)


def _serve(
    console: Console,
    models: tuple[list[str], str, str | None],
    address: tuple[str, int],
    access: tuple[str | None, list[str]],
    feedback_file: str,
) -> None:
    check_packages()
    from pathlib import Path

    from tunesmith.console import show_notice, working

    with working(console, "loading"):
        from tunesmith.output_filter import read_filter
        from tunesmith.serving.feedback_store import FeedbackStore
        from tunesmith.serving.hosting import load_hosted
        from tunesmith.serving.lifecycle import open_listener, serve_until_signal
        from tunesmith.serving.service import make_service

        gate = _make_gate(console, address[0], *access)
        specs, precision, filter_file = models
        hosted = load_hosted(specs, precision, None if filter_file is None else read_filter(filter_file))
        listener = open_listener(*address)
        store = FeedbackStore(Path(feedback_file))
        service = make_service(hosted, gate=gate, store=store)
    with contextlib.closing(store):
        serve_until_signal(service, listener, lambda url: show_notice(console, url))


def _make_gate(console: Console, host: str, key_file: str | None, names: list[str]) -> Gate:
    """Who may ask; without a key this machine only."""
    import socket
    from pathlib import Path

    from tunesmith.console import show_notice
    from tunesmith.serving.keys import make_key_file, read_keys
    from tunesmith.serving.security import LOOPBACK_NAMES, Gate, read_name

    allowed = LOOPBACK_NAMES | {read_name(name) for name in names}
    if key_file is None:
        if host not in LOOPBACK:
            message = f"--host {host} lets other machines ask, and there is no API key"
            raise UserError(message, fix="add --api-key-file keys.txt: it is made with a new key when it is missing")
        return Gate(names=allowed)
    path = Path(key_file)
    if not path.exists():
        show_notice(console, f"API key, shown only now: {make_key_file(path)}")
    keys = read_keys(path)
    if host in LOOPBACK:
        return Gate(keys, allowed)
    return Gate(keys, allowed | {host.lower(), socket.gethostname().lower()}, numbers=True)


def _export(console: Console, file: str, out: str, model: str | None, *, overwrite: bool) -> None:
    from pathlib import Path

    from tunesmith.console import show_notice
    from tunesmith.output_files import check_target
    from tunesmith.serving.feedback_export import export_feedback, write_rows

    check_target(out, overwrite=overwrite)
    rows, name = export_feedback(Path(file), model)
    write_rows(rows, Path(out))
    rows_word = "row" if len(rows) == 1 else "rows"
    show_notice(console, f"{len(rows):,} {rows_word} with feedback on {name}: {out}")


def check_packages() -> None:
    """Raise MissingPackageError, which says how to install it, where a library of the extra is missing."""
    import importlib.util

    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(package, purpose="serving a model", extra="serve")
