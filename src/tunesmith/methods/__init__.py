"""The table of tuning methods: a new one is a file here and a line below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.config import check_options
from tunesmith.contracts import Method
from tunesmith.errors import ConfigError, nearest
from tunesmith.methods.full import Full
from tunesmith.methods.head import Head

METHODS: dict[str, type[Any]] = {
    "full": Full,
    "head": Head,
}


def make_method(name: str, options: Mapping[str, Any]) -> Method:
    """Build a method by name with checked options.

    Raises:
        ConfigError: the name or an option is unknown.
    """
    if name not in METHODS:
        raise ConfigError(f"unknown method {name!r}: {nearest(name, METHODS)}", fix="choose one of them")
    kind = METHODS[name]
    method: Method = kind(check_options(kind.Config, options, "method"))
    return method
