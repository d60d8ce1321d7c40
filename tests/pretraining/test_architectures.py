"""Models from nothing: presets, config files, and what Hugging Face reads of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.pretraining.conftest import SMALL
from tunesmith.architectures import ARCHITECTURES, SIZES, describe_architecture, make_model
from tunesmith.contracts import HeadSpec
from tunesmith.errors import ConfigError, ModelError
from tunesmith.model_loading import ModelOptions, new_model

DECODERS = {"llama", "gpt2"}
HEADS = {"electra": "replaced_tokens", **dict.fromkeys(DECODERS, "causal_lm")}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_presets_run_packed(tokenizers: Callable[[str], Any], name: str) -> None:
    tokenizer = tokenizers("llama" if name in DECODERS else "bert")
    config = describe_architecture(name, "nano", tokenizer, 64, {})
    model = new_model(config, tokenizer, HeadSpec(HEADS.get(name, "masked_lm"), ()))  # type: ignore[arg-type]
    assert model.packed
    assert model.width == SIZES["nano"].width
    trunk = sum(p.numel() for layer in model.layers() for p in layer.parameters())
    assert trunk == pytest.approx(0.8e6, rel=0.08)
    assert model.max_tokens == 64


@pytest.mark.parametrize("size", SIZES)
def test_sizes_grow(size: str, tokenizers: Callable[[str], Any]) -> None:
    config = describe_architecture("bert", size, tokenizers("bert"), 512, {})
    with torch.device("meta"):
        trunk = transformers.AutoModel.from_config(config)
    count = sum(p.numel() for n, p in trunk.named_parameters() if n.startswith("encoder"))
    wanted = {"nano": 0.8, "micro": 1.8, "mini": 4.7, "small": 10.6, "medium": 25.2, "base": 85.1}
    assert count / 1e6 == pytest.approx(wanted[size], rel=0.03)


def test_a_config_file_works(tmp_path: Path, tokenizers: Callable[[str], Any]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**SMALL, "model_type": "roberta", "vocab_size": 7, "max_position_embeddings": 66}))
    tokenizer = tokenizers("roberta")
    for given in (path, tmp_path):
        config = describe_architecture(str(given), "mini", tokenizer, 64, {"num_hidden_layers": 1})
        assert (config.model_type, config.num_hidden_layers, config.vocab_size) == ("roberta", 1, len(tokenizer))
    assert new_model(config, tokenizer, HeadSpec("masked_lm", ())).packed


def test_a_config_with_code_is_refused(tmp_path: Path, tokenizers: Callable[[str], Any]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "bert", "auto_map": {"AutoModel": "x.Y"}}))
    with pytest.raises(ModelError, match="auto_map"):
        describe_architecture(str(path), "mini", tokenizers("bert"), 64, {})


@pytest.mark.parametrize(
    ("name", "size", "options", "said"),
    [
        ("bret", "mini", {}, "bert"),
        ("bert", "minni", {}, "mini"),
        ("bert", "mini", {"num_layers": 3}, "num_hidden_layers"),
    ],
)
def test_mistakes_are_answered_with_what_there_is(
    tokenizers: Callable[[str], Any], name: str, size: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        describe_architecture(name, size, tokenizers("bert"), 64, options)
    assert said in f"{caught.value.message} {caught.value.fix}"


def test_a_generator_needs_embeddings_of_its_own_width(tokenizers: Callable[[str], Any]) -> None:
    tokenizer = tokenizers("bert")
    config = describe_architecture("bert", "nano", tokenizer, 64, SMALL)
    with pytest.raises(ConfigError, match="electra"):
        make_model(config, tokenizer, HeadSpec("masked_lm", ()), ModelOptions(), 0.25)


def test_new_weights_depend_on_the_seed_alone(tokenizers: Callable[[str], Any]) -> None:
    tokenizer = tokenizers("bert")
    config = describe_architecture("bert", "nano", tokenizer, 64, SMALL)
    one, torch_state, other = (
        make_model(config, tokenizer, HeadSpec("masked_lm", ()), ModelOptions(seed=3), None),
        torch.rand(5),
        make_model(config, tokenizer, HeadSpec("masked_lm", ()), ModelOptions(seed=3), None),
    )
    assert len(torch_state) == 5
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))
