"""The error tree. Each message says what came, what was wanted and what to do.

TunesmithError                  anything this package raises on purpose; carries the command's exit code
├── UserError                   the user's input; exit code 2
│   ├── ConfigError             a configuration key or value
│   ├── DataError               a file, a row or a column
│   ├── ModelError              a base model or a finished model folder
│   ├── MethodError             a tuning method that does not fit the model
│   ├── CheckpointError         a training state that cannot be continued
│   └── MissingPackageError     an optional package that is not installed
├── TrainingError               training that cannot go on (NaN loss, out of memory at one group, disk full)
├── GateError                   a check that must be passed before something is handed out was not; exit code 3
└── Interrupted                 Ctrl-C or SIGTERM after the state was saved; exit code 130
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TunesmithError(Exception):
    """Anything this package raises on purpose.

    Args:
        message: what came and what was wanted.
        fix: what the user can do about it, as an imperative sentence.

    Example:
        >>> print(UserError("batch_size is 0, wanted 1 or more", fix="set train.batch_size to 16"))
        batch_size is 0, wanted 1 or more
          fix: set train.batch_size to 16
    """

    exit_code = 1

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return self.message if self.fix is None else f"{self.message}\n  fix: {self.fix}"


class UserError(TunesmithError):
    """The user's input cannot be used as it is."""

    exit_code = 2


class ConfigError(UserError):
    """A configuration key is unknown or its value does not fit."""


class DataError(UserError):
    """A file, a row or a column cannot be used."""


class ModelError(UserError):
    """A base model or a finished model folder cannot be used."""


class MethodError(UserError):
    """A tuning method does not fit this model, or cannot do what was asked."""


class CheckpointError(UserError):
    """A training state cannot be continued with these arguments or this data."""


class MissingPackageError(UserError):
    """An optional package is not installed.

    Example:
        >>> MissingPackageError("pyarrow", purpose="reading Parquet files", extra="parquet").fix
        "pip install 'tunesmith[parquet]'"
    """

    def __init__(self, package: str, *, purpose: str, extra: str) -> None:
        message = f"{purpose} needs the package {package}, which is not installed"
        super().__init__(message, fix=f"pip install 'tunesmith[{extra}]'")


class TrainingError(TunesmithError):
    """Training cannot go on; what was saved before stays good.

    Args:
        message: what happened.
        fix: what the user can do.
        rows: training rows at fault, 0-based.
    """

    exit_code = 2

    def __init__(self, message: str, *, fix: str | None = None, rows: Iterable[int] = ()) -> None:
        super().__init__(message, fix=fix)
        self.rows = tuple(sorted(set(rows)))


class GateError(TunesmithError):
    """What was made did not pass its check, and nothing of it is left."""

    exit_code = 3


class Interrupted(TunesmithError):
    """The user stopped the run; the state was saved first."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name an unknown one is closest to, or list them all.

    Example:
        >>> nearest("learing_rate", ["learning_rate", "epochs"])
        "did you mean 'learning_rate'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "there are none"
