"""Models from nothing: presets of architecture and size, or any Hugging Face config file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from tunesmith.contracts import HeadSpec
from tunesmith.errors import ConfigError, nearest
from tunesmith.model import Model
from tunesmith.model_files import read_config
from tunesmith.model_loading import ModelOptions, new_model


@dataclass(frozen=True)
class Size:
    """Shape of a trunk.

    Attributes:
        layers: how many.
        width: of the hidden states.
        heads: of attention.
    """

    layers: int
    width: int
    heads: int


SIZES: Mapping[str, Size] = {
    "nano": Size(4, 128, 4),
    "micro": Size(4, 192, 4),
    "mini": Size(6, 256, 4),
    "small": Size(6, 384, 6),
    "medium": Size(8, 512, 8),
    "base": Size(12, 768, 12),
}
"""Weights without embeddings: 0.8, 1.8, 4.7, 10.6, 25 and 85 million in encoders; bart has half the layers twice."""

ARCHITECTURES = ("bert", "modernbert", "electra", "llama", "gpt2", "bart")
DEFAULTS = {"mlm": "modernbert", "clm": "llama", "electra": "electra", "denoise": "bart"}
"""What an objective is learnt by where nobody says otherwise."""


def describe_architecture(name: str, size: str, tokenizer: Any, longest_tokens: int, options: Mapping[str, Any]) -> Any:
    """A Hugging Face config for a model from nothing.

    Args:
        name: one of ARCHITECTURES, or a config.json (a file, or a folder that holds one).
        size: a name of SIZES; of a config file it is not used.
        tokenizer: its vocabulary size and special tokens are put in.
        longest_tokens: positions the model must have.
        options: keys of the config that are set otherwise.

    Raises:
        ConfigError: the name, the size or an option is unknown.
        ModelError: the file is no safe config.
    """
    if name in ARCHITECTURES:
        if size not in SIZES:
            raise ConfigError(f"unknown size {size!r}: {nearest(size, SIZES)}", fix=f"choose one of {', '.join(SIZES)}")
        kind, values = name, _preset(name, SIZES[size], longest_tokens)
    else:
        kind, values = _from_file(name)
    known = transformers.CONFIG_MAPPING[kind]().to_dict()
    unknown = [key for key in options if key not in known]
    if unknown:
        raise ConfigError(
            f"{kind} has no option {unknown[0]!r}: {nearest(unknown[0], known)}",
            fix="--set model.options.KEY=VALUE takes keys of the Hugging Face config",
        )
    special = {f"{key}_token_id": getattr(tokenizer, f"{key}_token_id") for key in ("pad", "bos", "eos", "cls", "sep")}
    own = {key: value for key, value in special.items() if key in known}
    own |= _first_written(values, special) if known["is_encoder_decoder"] else {}
    return transformers.CONFIG_MAPPING[kind].from_dict(
        {**values, **own, **options, "vocab_size": len(tokenizer), "model_type": kind}
    )


def _first_written(values: Mapping[str, Any], special: Mapping[str, Any]) -> dict[str, Any]:
    """Ids of what a decoder begins with, the token of the role that the config gives it, and of what it ends with."""
    begin, end = values.get("decoder_start_token_id"), special["eos_token_id"]
    roles = [key for key in ("pad_token_id", "bos_token_id") if begin is not None and values.get(key) == begin]
    return {"decoder_start_token_id": special[roles[0]] if roles else end, "forced_eos_token_id": end}


def _from_file(name: str) -> tuple[str, dict[str, Any]]:
    path = Path(name)
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        fix = f"choose one of {', '.join(ARCHITECTURES)}, or give a config.json"
        raise ConfigError(f"unknown architecture {name!r}: {nearest(name, ARCHITECTURES)}", fix=fix)
    values = read_config(path)
    kind = values["model_type"]
    if kind not in transformers.CONFIG_MAPPING:
        raise ConfigError(
            f"{path} has the architecture {kind!r}, which is not known here", fix="pip install -U transformers"
        )
    return kind, values


def _preset(name: str, size: Size, longest_tokens: int) -> dict[str, Any]:
    """Keys of the config of a preset; dropout is off, since a pass over fresh text has nothing to overfit."""
    common = {
        "hidden_size": size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "intermediate_size": 4 * size.width,
        "max_position_embeddings": longest_tokens,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    if name == "electra":
        return {**common, "embedding_size": size.width}
    if name == "modernbert":
        return {**_but(common, "dropout"), "intermediate_size": _gated(size.width), "tie_word_embeddings": True}
    if name == "llama":
        return {**_but(common, "dropout"), "intermediate_size": _gated(size.width), "tie_word_embeddings": True}
    if name == "gpt2":
        return {
            **{"n_embd": size.width, "n_layer": size.layers, "n_head": size.heads, "n_positions": longest_tokens},
            **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
        }
    if name == "bart":
        half = max(1, size.layers // 2)
        return {
            **{"d_model": size.width, "max_position_embeddings": longest_tokens},
            **dict.fromkeys(("encoder_layers", "decoder_layers"), half),
            **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), size.heads),
            **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 4 * size.width),
            **dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), 0.0),
        }
    return common


def _but(values: Mapping[str, Any], part: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if part not in key}


def _gated(width: int) -> int:
    """Inner width of a gated layer, which has three matrices instead of two: as many weights as 4 × width has."""
    return round(8 * width / 3 / 32) * 32


def make_model(config: Any, tokenizer: Any, head: HeadSpec, options: ModelOptions, companion: float | None) -> Model:
    """A new model, with a smaller companion where the objective needs one.

    Args:
        config: of `describe_architecture`.
        tokenizer: a fast tokenizer.
        head: what stands on the trunk.
        options: seed, longest sequence, dropout.
        companion: width of the companion as a share of the model's; None: none.
    """
    model = new_model(config, tokenizer, head, options)
    if companion is not None:
        model.companion = make_companion(model, tokenizer, options, companion)
    return model


def make_companion(model: Model, tokenizer: Any, options: ModelOptions, share: float) -> Model:
    """A narrower masked language model that shares the token embeddings of a model (Clark et al. 2020, section 3.2).

    Args:
        model: whose embeddings are shared; of an architecture that has a width of embeddings of its own.
        tokenizer: of both.
        options: seed and so on.
        share: of the widths.

    Raises:
        ConfigError: the architecture cannot share embeddings between widths.
    """
    config = model.hf.config
    if not hasattr(config, "embedding_size") or not hasattr(model.hf.base_model, "embeddings"):
        raise ConfigError(
            f"{config.model_type} cannot share its token embeddings with a generator",
            fix="choose --architecture electra, or --objective mlm",
        )
    heads = max(1, round(config.num_attention_heads * share))
    width = max(heads, round(config.hidden_size * share / heads) * heads)
    values = {**config.to_dict(), "hidden_size": width, "num_attention_heads": heads, "intermediate_size": 4 * width}
    narrow = type(config).from_dict(values)
    companion = new_model(narrow, tokenizer, HeadSpec("masked_lm", ()), options)
    companion.hf.base_model.embeddings = model.hf.base_model.embeddings
    companion.hf.tie_weights()
    return companion
