"""From a finished folder back to its model: the stored weights, on the base model where they need one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors.torch import load_file
from torch import Tensor

from tunesmith import base_models
from tunesmith.added_tokens import set_added_rows
from tunesmith.artifact import Artifact
from tunesmith.base_models import BaseModelFolder
from tunesmith.contracts import Method
from tunesmith.errors import ModelError
from tunesmith.methods import make_method
from tunesmith.model import Model
from tunesmith.model_loading import ModelOptions, load_model
from tunesmith.stored_weights import ADAPTER, ADAPTER_PREFIX, ADDED_TOKENS, DELTA, EXTRA_HEAD, OURS, OUTPUTS


def load_weights(artifact: Artifact) -> Model:
    """Build the model of a finished folder.

    Raises:
        ModelError: the base model of a delta is missing or another one.
    """
    return load_parts(artifact)[0]


def load_parts(artifact: Artifact) -> tuple[Model, Method | None]:
    """The model of a finished folder, and the method whose change stands in it; None where the weights are whole.

    Raises:
        ModelError: the base model of a delta is missing or another one.
    """
    facts = artifact.facts
    options = ModelOptions(max_tokens=facts["max_tokens"])
    method: Method | None = None
    if facts["stores"] == "whole":  # absolute: a folder may be called as an alias is
        model = load_model(base_models.resolve(str(artifact.folder.absolute())), artifact.head, options)
    else:
        model = load_model(same_base(artifact), artifact.head, options)
        stored = dict(facts["method"])
        method = make_method(stored.pop("name"), stored)
        with torch.random.fork_rng(devices=[]):  # what is drawn gives way to what was learnt: the user's chance stays
            method.apply(model)
        _load_delta(model, _read_delta(artifact), artifact)
        if artifact.head.added_tokens:
            rows = load_file(artifact.folder / ADDED_TOKENS)["rows"]
            set_added_rows(model.hf, model.tokenizer, artifact.head.added_tokens, rows)
    if model.extra_head is not None and facts["stores"] != "delta":
        model.extra_head.load_state_dict(load_file(artifact.folder / EXTRA_HEAD))
    model.set_units(**facts.get(OUTPUTS, {}))
    model.requires_grad_(False)
    model.eval()
    return model, method


def same_base(artifact: Artifact) -> BaseModelFolder:
    """Find the base model a finished one was tuned on. Raises ModelError when it is missing or another one."""
    wanted = artifact.facts["base"]
    base = base_models.resolve(wanted["name"], revision=wanted["revision"])
    if base.sha256 != wanted["sha256"]:
        raise ModelError(
            f"{artifact.folder} was tuned on {wanted['name']} with SHA-256 {wanted['sha256'][:12]}…, "
            f"but {base.folder} has {base.sha256[:12]}…",
            fix="give back the base model it was tuned on, or fit again",
        )
    return base


def _read_delta(artifact: Artifact) -> dict[str, Tensor]:
    if artifact.facts["stores"] == "delta":
        return load_file(artifact.folder / DELTA)
    named = load_file(artifact.folder / ADAPTER)
    return {OURS + name.removeprefix(ADAPTER_PREFIX): tensor for name, tensor in named.items()}


def _load_delta(model: Model, delta: Mapping[str, Tensor], artifact: Artifact) -> None:
    parameters = dict(model.named_parameters())
    unknown = sorted(set(delta) - set(parameters))
    if unknown:
        raise ModelError(f"{artifact.folder} holds {unknown[0]}, which its base model does not have")
    with torch.no_grad():
        for name, tensor in delta.items():
            parameters[name].copy_(tensor)
