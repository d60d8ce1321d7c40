"""The table of objectives of pretraining: a new one is a file here and a line below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.objectives.causal_lm import CausalLanguageModel
from tunesmith.objectives.denoising import Denoising
from tunesmith.objectives.masked_lm import MaskedLanguageModel
from tunesmith.objectives.replaced_tokens import ReplacedTokens
from tunesmith.objectives.tokens import Tokens
from tunesmith.settings import build_named

OBJECTIVES: dict[str, type[Any]] = {
    "mlm": MaskedLanguageModel,
    "clm": CausalLanguageModel,
    "electra": ReplacedTokens,
    "denoise": Denoising,
}


def make_objective(name: str, options: Mapping[str, Any], tokens: Tokens) -> Any:
    """Build an objective by name with checked options.

    Args:
        name: of the table.
        options: what its Config takes.
        tokens: facts about the tokenizer.

    Raises:
        ConfigError: the name or an option is unknown.
    """
    return build_named("objective", OBJECTIVES, name, options).of(tokens)
