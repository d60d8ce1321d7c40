"""What a finished folder stores of a model: names of its files, and how they are written.

`artifact` puts the folder together, `artifact_loading` reads the model back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from tunesmith.added_tokens import added_rows
from tunesmith.model import Model
from tunesmith.model_loading import TARGET_TOKENIZER, quiet_transformers

DELTA = "delta.safetensors"
ADAPTER = "adapter_model.safetensors"
ADAPTER_PREFIX = "base_model.model."
"""What PEFT puts in front of the names of the model it wraps."""
OURS = "hf."
"""What stands in front of the same names in `Model`."""
EXTRA_HEAD = "head.safetensors"
ADDED_TOKENS = "added_tokens.safetensors"
"""Vectors of the tokens that a task added, where the trunk itself is not stored."""
OUTPUTS = "outputs"
"""Fact: scale and offset of the head's output that its last layer cannot hold."""


def describe_outputs(model: Model) -> dict[str, Any]:
    """The fact of units that the head's last layer does not hold; {} where it does."""
    if not model.has_units:
        return {}
    return {OUTPUTS: {"scale": model.output_scale, "offset": model.output_offset}}


def library_files(scratch: Path, model: Model, stores: str) -> list[Path]:
    """Have the libraries write weights, config and tokenizer into a scratch folder."""
    with quiet_transformers():
        model.tokenizer.save_pretrained(scratch)
        if model.target_tokenizer is not model.tokenizer:
            model.target_tokenizer.save_pretrained(scratch / TARGET_TOKENIZER)
        if stores == "whole":
            model.hf.save_pretrained(scratch, max_shard_size="100GB")
    if stores != "whole" and model.head_spec.added_tokens:
        rows = added_rows(model.hf, model.tokenizer, model.head_spec.added_tokens)
        save_file(_contiguous({"rows": rows}), scratch / ADDED_TOKENS)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if stores == "delta":
        save_file(_contiguous(trained), scratch / DELTA)
        return _files_in(scratch)
    if stores == "adapter":
        named = {ADAPTER_PREFIX + n.removeprefix(OURS): p for n, p in trained.items() if n.startswith(OURS)}
        save_file(_contiguous(named), scratch / ADAPTER)
    if model.extra_head is not None:
        save_file(_contiguous(model.extra_head.state_dict()), scratch / EXTRA_HEAD)
    return _files_in(scratch)


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
