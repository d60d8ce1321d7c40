"""The base model that answers by itself, and the way that it can."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith import artifact, artifact_loading, base_models
from tunesmith.contracts import HeadSpec
from tunesmith.errors import ModelError
from tunesmith.model import Model
from tunesmith.model_loading import ModelOptions, load_model
from tunesmith.prompting.request import needs_mask, wished_way
from tunesmith.prompting.template_file import Template
from tunesmith.prompting.wordings import Way

HEADS: dict[Way, HeadSpec] = {
    "descriptions": HeadSpec(kind="vectors", names=(), pooling="mean"),
    "cloze": HeadSpec(kind="masked_lm", names=()),
    "likelihood": HeadSpec(kind="writing", names=()),
}
FINISHED_WAYS: dict[str, Way] = {"vectors": "descriptions", "causal_lm": "likelihood", "text_to_text": "likelihood"}
"""Heads of finished models that can serve as a base."""
WRITES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
MASKED = ("ForMaskedLM", "BertForPreTraining", "AlbertForPreTraining")
"""How names of architectures end that have a head of this kind."""


def load_base(name: str, asked: Template) -> tuple[Model, Way]:
    """Load a base model, or a finished folder that can be one, with the head that it was pretrained with.

    Args:
        name: alias, folder or hub id.
        asked: whose wording may ask for a way, and whose longest prompt counts.

    Raises:
        ModelError: there is none, it is unsafe, lacks a trained head, or is a finished classifier.
    """
    model, way = _load(name, asked)
    if asked.kind != "classification" and way != "likelihood":
        raise ModelError(
            f"{name} writes nothing, so {asked.where('task')}: {asked.kind} is not for it",
            fix="give a model that writes: a decoder, or an encoder with a decoder, with its language-model head",
        )
    return model, way


def _load(name: str, asked: Template) -> tuple[Model, Way]:
    folder = Path(name).expanduser()
    is_ours = name not in base_models.ALIASES and artifact.is_complete(folder)
    if is_ours and artifact.read_facts(folder).get("kind") != artifact.PRETRAINED:
        return _load_finished(folder, asked.max_tokens)
    base = base_models.resolve(name)
    way = wished_way(asked) or choose_way(base.config)
    if way == "descriptions" and needs_mask(asked):
        way = "cloze"  # the weights decide whether it can
    model = load_model(base, HEADS[way], ModelOptions(max_tokens=asked.max_tokens, needs_trained_head=True))
    if way == "descriptions" and model.trunk_kind != "encoder":
        raise ModelError(
            f"{name} is a {model.trunk_kind} without the head that writes, so it cannot answer by itself",
            fix="give the model with its language-model head",
        )
    model.requires_grad_(False)
    return model.eval(), way


def choose_way(config: Mapping[str, Any]) -> Way:
    """The way that a config's architectures allow.

    Example:
        >>> choose_way({"architectures": ["GPT2LMHeadModel"]}), choose_way({"architectures": ["BertForMaskedLM"]})
        ('likelihood', 'cloze')
    """
    names = [str(name) for name in config.get("architectures") or ()]
    if any(name.endswith(WRITES) for name in names):
        return "likelihood"
    return "cloze" if any(name.endswith(MASKED) for name in names) else "descriptions"


def _load_finished(folder: Path, max_tokens: int | None) -> tuple[Model, Way]:
    found = artifact.read_artifact(folder)
    way = FINISHED_WAYS.get(found.head.kind)
    if way is None:
        raise ModelError(
            f"{folder} is a finished model, which answers by itself",
            fix=f"tunesmith predict {folder} …, without --model",
        )
    model = artifact_loading.load_weights(found)
    model.max_tokens = min(model.max_tokens, max_tokens or model.max_tokens)
    return model, way
