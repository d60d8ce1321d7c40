"""The commands that serve: `serve` and `feedback export`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.errors import MissingPackageError

if TYPE_CHECKING:
    from rich.console import Console

Guarded = Callable[[], AbstractContextManager["Console"]]
NEEDED = ("fastapi", "uvicorn", "prometheus_client")


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the commands to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command()
    def serve(
        models: Annotated[
            list[str], typer.Argument(metavar="DIR", help="Folders that fit wrote; NAME=DIR gives a name.")
        ],
        host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is any free one.")] = 8000,
    ) -> None:
        """Answer over HTTP, with a page to try the models."""
        with guarded() as console:
            check_packages()
            from tunesmith.console import show_notice, working

            with working(console, "loading"):
                from tunesmith.serving.batching import Batcher
                from tunesmith.serving.hosting import load_hosted
                from tunesmith.serving.lifecycle import open_listener, serve_until_signal
                from tunesmith.serving.limits import Limits
                from tunesmith.serving.service import Service

                listener = open_listener(host, port)
                limits = Limits()
                service = Service(load_hosted(models), Batcher(limits), limits=limits)
            serve_until_signal(service, listener, lambda url: show_notice(console, url))


def check_packages() -> None:
    """Raise MissingPackageError, which says how to install it, where a library of the extra is missing."""
    import importlib.util

    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(package, purpose="serving a model", extra="serve")
