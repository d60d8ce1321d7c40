"""Objectives on tiny models from nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny import make_tiny_trunk
from tunesmith.architectures import DEFAULTS, describe_architecture, make_model
from tunesmith.contracts import Encoded
from tunesmith.model import Model
from tunesmith.model_loading import ModelOptions, load_tokenizer
from tunesmith.objectives import make_objective
from tunesmith.objectives.tokens import Tokens

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
SMALL_BART = {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "encoder_layers": 1, "decoder_layers": 1}
FAMILY = {"mlm": "bert", "clm": "llama", "electra": "electra", "denoise": "bart"}


@dataclass(frozen=True)
class Bench:
    """An objective with a model for it.

    Attributes:
        objective: of the table.
        model: tiny, new.
        items: windows of two sequences each, with the targets that windows bring.
    """

    objective: Any
    model: Model
    items: list[Encoded]

    def corrupted(self, epoch: int = 0) -> list[Encoded]:
        return [self.objective.corrupt(item, random.Random(f"{epoch}/{item.row}")) for item in self.items]


def tokens_of(tokenizer: Any, begins_word: Any = None) -> Tokens:
    size = len(tokenizer)
    special = np.zeros(size, dtype=np.bool_)
    special[tokenizer.all_special_ids] = True
    begins = np.ones(size, dtype=np.bool_) if begins_word is None else begins_word
    return Tokens(size, tokenizer.mask_token_id, special, begins)


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    folder = tmp_path_factory.mktemp("tokenizers")
    found: dict[str, Any] = {}

    def find(family: str) -> Any:
        if family not in found:
            found[family] = load_tokenizer(make_tiny_trunk(Path(folder) / family, family))
        return found[family]

    return find


@pytest.fixture
def bench(tokenizers: Callable[[str], Any]) -> Callable[..., Bench]:
    def make(name: str, seed: int = 1, **options: Any) -> Bench:
        tokenizer = tokenizers(FAMILY[name])
        objective = make_objective(name, options, tokens_of(tokenizer))
        small = SMALL_BART if name == "denoise" else SMALL
        config = describe_architecture(DEFAULTS[name], "nano", tokenizer, 64, small)
        share = objective.config.generator_size if name == "electra" else None
        model = make_model(config, tokenizer, objective.head(), ModelOptions(seed=seed), share)
        plain = [token for token in range(len(tokenizer)) if token not in tokenizer.all_special_ids][:12]
        items = []
        for row in range(12):  # each token tells the next one
            ids = [[plain[(row + place) % len(plain)] for place in range(count)] for count in (14, 9)]
            following = [token for part in ids for token in [*part[1:], -100]]
            items.append(Encoded(tuple(ids), following if name == "clm" else None, row))
        return Bench(objective, model, items)

    return make
