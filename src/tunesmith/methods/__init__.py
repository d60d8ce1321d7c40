"""The table of tuning methods: a new one is a file here and a line below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.config import build_named
from tunesmith.contracts import Method
from tunesmith.methods.bitfit import BitFit
from tunesmith.methods.full import Full
from tunesmith.methods.head import Head
from tunesmith.methods.lora import Lora

METHODS: dict[str, type[Any]] = {
    "full": Full,
    "head": Head,
    "lora": Lora,
    "bitfit": BitFit,
}


def make_method(name: str, options: Mapping[str, Any]) -> Method:
    """Build a method by name with checked options.

    Raises:
        ConfigError: the name or an option is unknown.
    """
    method: Method = build_named("method", METHODS, name, options)
    return method
