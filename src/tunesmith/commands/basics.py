"""What commands share: options, how errors end, how a file is read, one JSON object as output."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tunesmith.errors import ConfigError, TunesmithError

if TYPE_CHECKING:
    from rich.console import Console

Guarded = Callable[[], AbstractContextManager["Console"]]
"""Turns errors into messages and exit codes."""
EXIT_FAULT = 1
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
"""As the shell reports a program whose reader went away."""

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any setting, such as train.epochs=3; may be given often."),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Set bad rows aside instead of stopping at them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Abstain = Annotated[
    str | None,
    typer.Option(
        metavar="WISH", help="Withhold unsure answers: precision=0.95, coverage=0.9, or a threshold such as 0.8."
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Also the tables: plan, competitors, classes.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out.")]
Folder = Annotated[str, typer.Argument(metavar="DIR", help="The folder that fit wrote.")]


def read_options(
    settings: Sequence[str] | None, *, skip_bad: bool, labels_required: bool, lets_task: bool = False
) -> Any:
    """How a file is read: the data.columns and data.format settings apply here, too.

    Args:
        settings: KEY=VALUE.
        skip_bad: set bad rows aside.
        labels_required: a row without its right answer is bad.
        lets_task: options of the task are somebody else's, see `task_options`.

    Raises:
        ConfigError: a setting has no effect here.
    """
    from tunesmith.config import resolve_config
    from tunesmith.data import ReadOptions
    from tunesmith.settings import apply_settings

    given = apply_settings({}, settings or [])
    if lets_task:
        given.pop("task", None)
    foreign = [name for name in given if name != "data"] + [
        f"data.{key}" for key in given.get("data", {}) if key not in ("columns", "format")
    ]
    if foreign:
        raise ConfigError(f"--set {foreign[0]} has no effect here", fix="set data.columns.FIELD or data.format only")
    section = resolve_config(given).data
    return ReadOptions(
        mapping=section.columns, format=section.format, skip_bad=skip_bad, labels_required=labels_required
    )


def task_options(settings: Sequence[str] | None) -> dict[str, Any]:
    """Options of the task among the settings: how answers are given."""
    from tunesmith.settings import apply_settings

    return dict(apply_settings({}, settings or []).get("task", {}))


def print_json(content: Any) -> None:
    """Print an object as JSON on standard output; what UTF-8 cannot hold is escaped."""
    import json

    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


@contextmanager
def guarded() -> Iterator[Console]:
    """Turn what goes wrong into a message and an exit code; only a fault of ours shows a traceback."""
    from tunesmith.console import make_console, show_error

    console = make_console()
    try:
        yield console
    except TunesmithError as error:
        show_error(console, error)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        show_error(console, "interrupted")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        _leave_quietly()
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        traceback.print_exc()
        show_error(
            console,
            f"{type(error).__name__}: a fault of Tunesmith, not of yours; please report it with the above",
        )
        raise typer.Exit(EXIT_FAULT) from None


def _leave_quietly() -> NoReturn:
    """The reader of standard output has gone: keep Python from complaining about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(EXIT_BROKEN_PIPE)
