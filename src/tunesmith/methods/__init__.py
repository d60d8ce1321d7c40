"""The table of tuning methods: a new one is a file here and a line below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.contracts import Method
from tunesmith.methods.adapter import Adapter
from tunesmith.methods.bitfit import BitFit
from tunesmith.methods.full import Full
from tunesmith.methods.head import Head
from tunesmith.methods.ia3 import Ia3
from tunesmith.methods.lora import Lora
from tunesmith.methods.prefix import PrefixTuning
from tunesmith.methods.prompt import Prompt
from tunesmith.settings import build_named

METHODS: dict[str, type[Any]] = {
    "full": Full,
    "head": Head,
    "lora": Lora,
    "adapter": Adapter,
    "prefix": PrefixTuning,
    "prompt": Prompt,
    "ia3": Ia3,
    "bitfit": BitFit,
}


def make_method(name: str, options: Mapping[str, Any]) -> Method:
    """Build a method by name with checked options.

    Raises:
        ConfigError: the name or an option is unknown.
    """
    method: Method = build_named("method", METHODS, name, options)
    return method
