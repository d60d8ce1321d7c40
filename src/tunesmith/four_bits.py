"""A base model held in four bits while a change beside it is trained (QLoRA; Dettmers et al. 2023), by bitsandbytes."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
import transformers
from torch import nn

from tunesmith.errors import MissingPackageError

PACKAGES = ("bitsandbytes", "accelerate")


def hold_in_four_bits(hf_class: Any, config: Any) -> dict[str, Any]:
    """Options of `from_pretrained` that hold the linear layers inside the trunk's layers as NF4, and nothing else.

    Heads, poolers and embeddings stay whole: they are trained, or shared with what is.

    Args:
        hf_class: the Auto class that will be loaded.
        config: of the model.

    Raises:
        MissingPackageError: bitsandbytes or accelerate is not installed.
    """
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(package, purpose="model.load_in=4bit", extra="four-bit")
    with torch.device("meta"):
        outline = hf_class.from_config(config)
    linear = [name for name, module in outline.named_modules() if isinstance(module, nn.Linear)]
    return {
        "quantization_config": transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16 if _has_bf16() else torch.float32,
            llm_int8_skip_modules=[name for name in linear if not any(part.isdigit() for part in name.split("."))],
        )
    }


def _has_bf16() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
