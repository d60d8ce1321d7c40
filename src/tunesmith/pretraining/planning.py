"""What a pretraining will do, said before it does it."""

from __future__ import annotations

import shlex
from pathlib import Path

import torch

from tunesmith.planning import as_setting
from tunesmith.pretraining.config import ENDLESS_EPOCHS, PretrainConfig
from tunesmith.pretraining.preparing import Setup, as_json

FLAGS = {
    ("objective", "name"): "--objective",
    ("model", "name"): "--model",
    ("model", "architecture"): "--architecture",
    ("model", "size"): "--size",
    ("train", "max_steps"): "--steps",
}
"""Settings that have an option of their own."""
UNSAID = {("corpus", "files"), ("output", "folder"), ("output", "overwrite")}


def describe_plan(setup: Setup, folder: Path, every_steps: int) -> tuple[dict[str, str], str]:
    """The plan as title → value, and the full equivalent command."""
    config, model, schedule = setup.config, setup.model, setup.schedule
    train, held_out = setup.corpus.part("train"), setup.corpus.part("validation")
    count = sum(p.numel() for p in model.parameters())
    begins = f"continued from {setup.base.name}" if setup.base is not None else "all weights new"
    per_byte = train.total_tokens / max(1, train.total_bytes)
    facts = {
        "objective": setup.objective.title,
        "text": f"{train.total_documents:,} documents, {_megabytes(train.total_bytes)}, {train.total_tokens:,} tokens; "
        f"{held_out.total_tokens:,} tokens held out",
        "model": f"{model.hf.config.model_type}, {count / 1e6:.1f} M parameters, {begins}",
        "tokenizer": f"{len(model.tokenizer):,} entries, {1 / per_byte if per_byte else 0:.2f} bytes a token",
        "execution": f"{'packed' if model.packed else 'padded'} on {model.device.type}, "
        f"{'bf16' if setup.precision == torch.bfloat16 else 'fp32'}",
        "learning rate": f"{setup.learning_rate.value:g} ({setup.learning_rate.reason}), {config.train.schedule}, "
        f"warm-up {config.train.warmup:.0%}",
        "steps": f"{schedule.total_steps:,}, {config.train.batch_size} windows of {config.model.context_tokens} tokens "
        f"each; a look at held-out text every {every_steps:,}",
        "folder": str(folder),
    }
    return facts, full_command(config, folder)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count:,} bytes"


def full_command(config: PretrainConfig, folder: Path) -> str:
    """The command that says all that was given."""
    words = ["tunesmith", "pretrain", *(word for file in config.corpus.files for word in ("--corpus", file))]
    values, defaults = as_json(config), as_json(PretrainConfig())
    for section, given in values.items():
        plain = defaults[section]
        for key, value in given.items():
            if (section, key) in UNSAID or value == plain.get(key):
                continue
            if (section, key) == ("train", "epochs") and value == ENDLESS_EPOCHS:
                continue
            if (section, key) in FLAGS:
                words += [FLAGS[section, key], str(value)]
            else:
                words += ["--set", f"{section}.{key}={as_setting(value)}"]
    return shlex.join([*words, "--out", str(folder)])
