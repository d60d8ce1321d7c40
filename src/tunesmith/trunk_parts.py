"""What a trunk is made of, told by Hugging Face's modules and config: decoder, layers, norms, longest text."""

from __future__ import annotations

from typing import Any

from torch import nn

from tunesmith.errors import ModelError

DEFAULT_MAX_TOKENS = 512
LAST_NORMS = {"norm", "final_norm", "ln_f", "final_layer_norm", "layer_norm"}
"""What architectures call a norm above all layers."""


def find_decoder(hf: Any) -> Any:
    """The decoder of a Hugging Face model that has an encoder, too; None elsewhere."""
    if not getattr(hf.config, "is_encoder_decoder", False):
        return None
    decoder = hf.get_decoder()
    return None if decoder is hf or decoder is hf.base_model else decoder


def find_last(hf: Any) -> Any:
    """The module that gives a head what it reads: the decoder, where there is an encoder, too; elsewhere the trunk.

    OPT's head asks what is inside its trunk, past the trunk itself.
    """
    decoder = find_decoder(hf)
    if decoder is not None:
        return decoder
    inner = getattr(hf.base_model, "decoder", None)
    return hf.base_model if inner is None or hasattr(hf.base_model, "encoder") else inner


def position_offset(base: Any) -> int:
    """RoBERTa counts positions from padding_idx + 1."""
    embeddings: Any = getattr(base, "embeddings", None)
    if hasattr(embeddings, "create_position_ids_from_input_ids"):
        return int(embeddings.padding_idx) + 1
    return 0


def has_position_table(base: Any) -> bool:
    """Whether a trunk adds a vector for each position, rather than telling distances apart."""
    tables = (name for name, module in base.named_modules() if isinstance(module, nn.Embedding))
    return any("position" in name or name.endswith("wpe") for name in tables)


def has_angles(base: Any) -> bool:
    """Whether a trunk computes angles from positions, which may then be negative, rather than looking them up."""
    return any(name.endswith("inv_freq") for name, _ in base.named_buffers())


def longest(config: Any, tokenizer: Any, offset: int, wished: int | None) -> int:
    """Longest sequence in tokens: what is wished for, or what positions and tokenizer allow, up to a usual length.

    Raises:
        ModelError: more is wished for than allowed.
    """
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    allowed = min(n for n in (positions and positions - offset, tokenizer.model_max_length) if n and n > 0)
    if wished is not None and wished > allowed:
        raise ModelError(
            f"model.max_tokens is {wished}, but this model takes at most {allowed}",
            fix=f"set model.max_tokens to {allowed} or less",
        )
    return int(wished or min(allowed, DEFAULT_MAX_TOKENS))


def is_stack(module: nn.Module) -> bool:
    """Whether a module is a list of layers."""
    return isinstance(module, nn.ModuleList)


def distinct(module: nn.ModuleList) -> bool:
    """Whether no layer stands in a list twice, as where layers share their weights."""
    return len({id(layer) for layer in module}) == len(module)


def quiet_frozen(module: nn.Module) -> None:
    """Take the parts of a module that are not trained out of training mode."""
    parameters = list(module.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        module.eval()
        return
    for child in module.children():
        quiet_frozen(child)
