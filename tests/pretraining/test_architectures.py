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
HEADS = {"electra": "replaced_tokens", "bart": "text_to_text", **dict.fromkeys(DECODERS, "causal_lm")}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_presets(tokenizers: Callable[[str], Any], name: str) -> None:
    tokenizer = tokenizers("bart" if name == "bart" else "llama" if name in DECODERS else "bert")
    config = describe_architecture(name, "nano", tokenizer, 64, {})
    model = new_model(config, tokenizer, HeadSpec(HEADS.get(name, "masked_lm"), ()))  # type: ignore[arg-type]
    assert model.packed is (name != "bart")
    assert model.width == SIZES["nano"].width
    assert len(model.layers()) == SIZES["nano"].layers
    trunk = sum(p.numel() for layer in model.layers() for p in layer.parameters())
    wanted = 0.93e6 if name == "bart" else 0.8e6  # its decoder attends to its encoder, too
    assert trunk == pytest.approx(wanted, rel=0.08)
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


@pytest.mark.parametrize(("begin", "role"), [(0, "pad"), (1, "bos"), (2, "eos"), (None, "eos")])
def test_a_decoder_begins_with_the_token_of_its_role(
    tmp_path: Path, tokenizers: Callable[[str], Any], begin: int | None, role: str
) -> None:
    path, tokenizer = tmp_path / "config.json", tokenizers("bart")
    values = {"d_model": 16, "d_ff": 32, "d_kv": 4, "num_layers": 1, "num_heads": 2, "model_type": "t5"}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": begin}
    path.write_text(json.dumps(values | ids))
    config = describe_architecture(str(path), "mini", tokenizer, 64, {})
    assert config.decoder_start_token_id == getattr(tokenizer, f"{role}_token_id")
    assert config.pad_token_id == tokenizer.pad_token_id
    assert new_model(config, tokenizer, HeadSpec("text_to_text", ())).has_decoder


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
