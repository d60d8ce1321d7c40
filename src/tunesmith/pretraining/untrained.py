"""A model that nobody has trained yet: a tokenizer made from the rows it is for, and weights drawn from a seed.

For what no base model is at hand: a language pair, a notation, a small machine. `fit --model DIR` then trains it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from tunesmith import artifact, data, durable
from tunesmith.architectures import describe_architecture
from tunesmith.config import DataSection, Named, OutputSection, Section
from tunesmith.contracts import HeadSpec, PretrainingHead, Task
from tunesmith.corpora.tokenizer_training import Family, tokenizer_files, train_tokenizer
from tunesmith.errors import ConfigError
from tunesmith.folder_lock import lock_folder
from tunesmith.model import Model
from tunesmith.model_loading import ModelOptions, load_tokenizer, new_model
from tunesmith.pretraining.config import ModelSection, TokenizerSection
from tunesmith.pretraining.preparing import KINDS, LEAST_POSITIONS
from tunesmith.run_identity import check_folder
from tunesmith.settings import to_yaml
from tunesmith.tasks import make_task

FAMILIES: dict[str, Family] = {"bart": "encoder-decoder", "llama": "decoder", "gpt2": "decoder"}
"""What is not here is an encoder."""
HEADS: dict[Family, PretrainingHead] = {
    "encoder": "masked_lm",
    "decoder": "causal_lm",
    "encoder-decoder": "text_to_text",
}
SAID = ("architecture", "parameters", "vocabulary")


class UntrainedConfig(Section):
    """All that an untrained model depends on."""

    task: Named = Named(name="text-to-text")
    data: DataSection = DataSection()
    model: ModelSection = ModelSection(architecture="bart")
    tokenizer: TokenizerSection = TokenizerSection()
    output: OutputSection = OutputSection()
    seed: int = Field(default=13, ge=0, lt=2**31)
    """Of the weights."""


def make_untrained(config: UntrainedConfig) -> dict[str, Any]:
    """Write the folder of an untrained model.

    Args:
        config: data.train and output.folder are needed.

    Returns:
        Its folder, architecture, parameters, vocabulary, and whether it was there already.

    Raises:
        TunesmithError: the rows, the architecture or the folder are no good.
    """
    if config.data.train is None:
        raise ConfigError("no rows were given", fix="tunesmith new train.csv --out DIR")
    if config.output.folder is None:
        raise ConfigError("no folder was given to write the model into", fix="--out DIR")
    folder = Path(config.output.folder)
    check_folder(folder, None)
    with lock_folder(folder):
        if artifact.is_complete(folder) and not config.output.overwrite:
            found = artifact.read_facts(folder)
            if found.get("config") != json.loads(config.model_dump_json()):
                raise ConfigError(
                    f"{folder} holds another finished model", fix="give another --out, or add --overwrite"
                )
            return {"folder": str(folder), **{key: found[key] for key in SAID}, "already_complete": True}
        model = _build(config, _texts(config), folder)
        facts = _facts(config, model)
        texts = {
            "metrics.json": json.dumps({"headline": None, "scores": {}}) + "\n",
            "config.yaml": to_yaml(config),
            "README.md": _card(facts),
        }
        artifact.write_pretrained(folder, model, facts, texts)
    return {"folder": str(folder), **{key: facts[key] for key in SAID}, "already_complete": False}


def _texts(config: UntrainedConfig) -> list[str]:
    """All that the rows hold, right answers too: one vocabulary is made from both."""
    task = make_task(config.task.name, config.task.options)
    section = config.data
    options = data.ReadOptions(
        mapping=section.columns, format=section.format, skip_bad=section.skip_bad, labels_required=False
    )
    read = data.read_rows(section.train, task.Row, task.columns, options)
    return [text for row in read.rows for text in _row_texts(task, row)]


def _row_texts(task: Task, row: Any) -> Sequence[str]:
    wanted = [getattr(row, column.name) for column in task.columns if column.role == "label"]
    flat = [one for entry in wanted for one in (entry if isinstance(entry, list) else [entry])]
    return [*task.texts(row), *(entry for entry in flat if isinstance(entry, str))]


def _build(config: UntrainedConfig, texts: Sequence[str], folder: Path) -> Model:
    section = config.model
    architecture = section.architecture or "bart"
    family = FAMILIES.get(architecture, "encoder")
    kind = KINDS[family] if config.tokenizer.kind == "auto" else config.tokenizer.kind
    positions = section.max_tokens or LEAST_POSITIONS
    found = train_tokenizer(
        kind,
        config.tokenizer.vocabulary,
        texts,
        lowercase=config.tokenizer.lowercase,
        family=family,
        more_characters=config.tokenizer.more_characters,
    )
    scratch = folder / durable.temporary_name()
    durable.write_folder(scratch, tokenizer_files(found, positions), manifest_name="manifest.json", manifest={})
    try:
        tokenizer = load_tokenizer(scratch)
    finally:
        durable.discard(scratch)
    described = describe_architecture(architecture, section.size, tokenizer, positions, section.options)
    head = HeadSpec(HEADS[family], ())
    return new_model(described, tokenizer, head, ModelOptions(config.seed, None, section.dropout))


def _facts(config: UntrainedConfig, model: Model) -> dict[str, Any]:
    return {
        "objective": {"name": "none"},
        "architecture": model.hf.config.model_type,
        "parameters": sum(parameter.numel() for parameter in model.hf.parameters()),
        "vocabulary": len(model.tokenizer),
        "base": None,
        "seed": config.seed,
        "config": json.loads(config.model_dump_json()),
    }


def _card(facts: dict[str, Any]) -> str:
    return (
        "# Untrained model\n\n"
        f"A {facts['architecture']} of {facts['parameters']:,} parameters whose weights were drawn from seed "
        f"{facts['seed']}, and a tokenizer of {facts['vocabulary']:,} entries. It knows nothing yet: train it with "
        "`tunesmith fit`.\n"
    )
