"""What a run will do, said before it does it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tunesmith import few_shot
from tunesmith.config import NO_WAY, RunConfig
from tunesmith.packing import Schedule
from tunesmith.preparation import Setup, estimate_memory_bytes, evaluation_interval
from tunesmith.settings import parse_setting


def describe_plan(setup: Setup, folder: Path) -> tuple[dict[str, str], str]:
    """The plan as title → value, and the full equivalent command."""
    config, model, schedule = setup.config, setup.model, setup.schedule
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    tokens = sum(item.length_tokens for item in setup.train_items)
    facts = {
        "task": f"{setup.task.title}, {setup.task.describe_labels(setup.labels)}",
        "data": f"{len(setup.splits.train):,} training rows ({tokens:,} tokens), "
        + (f"{len(setup.splits.dev):,} development" if setup.splits.held_out else "none held out"),
        "columns": _columns(setup),
        "model": f"{setup.base.name}, {'packed' if model.packed else 'padded'} execution on {model.device.type}, "
        f"{'bf16' if setup.precision == torch.bfloat16 else 'fp32'}",
        **({} if setup.way is None else {"few rows": setup.way.title}),
        "method": f"{setup.method.title}, {_millions(trained)} of {_millions(_whole(setup))} parameters trained"
        + _vocabulary(setup),
        "learning rate": f"{setup.learning_rate.value:g} ({setup.learning_rate.reason}), {config.train.schedule}, "
        f"warm-up {config.train.warmup:.0%}",
        "steps": f"{schedule.total_steps:,}, {_size(setup)} each, {_epochs(schedule)}; "
        f"a look at {'dev' if setup.splits.held_out else 'the training rows'} every {evaluation_interval(setup):,}",
        "memory": f"about {estimate_memory_bytes(setup) / 1e9:.1f} GB",
        "folder": str(folder),
    }
    return facts, full_command(setup, folder)


def _columns(setup: Setup) -> str:
    mapping = setup.splits.read["train"].mapping
    return ", ".join(f"{field} = {column!r}" for field, column in mapping.items())


def _whole(setup: Setup) -> int:
    weights = sum(p.numel() for p in setup.model.parameters())
    if setup.compaction is None:
        return weights
    return weights + (setup.compaction.full.shape[0] - len(setup.compaction.used)) * setup.compaction.full.shape[1]


def _vocabulary(setup: Setup) -> str:
    if setup.compaction is None:
        return ""
    return f" ({len(setup.compaction.used):,} of {setup.compaction.full.shape[0]:,} token vectors are in use)"


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}"


def _epochs(schedule: Schedule) -> str:
    """Passes over the training rows that the steps are, to two decimals."""
    left, done = schedule.total_steps, 0.0
    for count in schedule.steps_in_epochs:
        done += min(left, count) / count
        left -= min(left, count)
    return f"{round(done, 2):g} {'epoch' if round(done, 2) == 1 else 'epochs'}"


def _size(setup: Setup) -> str:
    section, largest = setup.config.train, max(map(len, setup.groups))
    if section.batch_tokens:
        return f"up to {section.batch_tokens:,} tokens"
    return f"{setup.schedule.sizes.batch_size * largest} rows" + (f" in groups of {largest}" if largest > 1 else "")


def full_command(setup: Setup, folder: Path) -> str:
    """The command that says in full what was given, guessed and defaulted."""
    config = setup.config
    words = ["tunesmith", "fit", "--task", config.task.name, "--model", config.model.name]
    for flag, source in (("--train", config.data.train), ("--dev", config.data.dev)):
        words += [flag, source] if source else []
    words += ["--method", config.method.name]
    words += [] if config.few_shot.name == NO_WAY else ["--few-shot", config.few_shot.name]
    words += ["--out", str(folder)]
    for setting, value in _settings(setup).items():
        words += ["--set", f"{setting}={value}"]
    return shlex.join(words)


def _settings(setup: Setup) -> Mapping[str, Any]:
    """Every setting that differs from its default, and the choices that were made for the user."""
    config = setup.config
    default = few_shot.with_defaults(RunConfig(task=config.task, few_shot=config.few_shot))
    chosen: dict[str, Any] = {
        f"data.columns.{field}": as_setting(column)
        for read in list(setup.splits.read.values())[:1]
        for field, column in read.mapping.items()
        if field in read.guessed_fields or field in config.data.columns
    }
    for name in ("model", "data", "train", "evaluate", "cache", "output"):
        section, plain = getattr(config, name), getattr(default, name)
        for key in type(section).model_fields:
            value = getattr(section, key)
            if value != getattr(plain, key) and (name, key) not in _FLAGS:
                chosen[f"{name}.{key}"] = as_setting(value)
    for name in ("task", "method", "few_shot"):
        chosen |= {f"{name}.{key}": as_setting(value) for key, value in getattr(config, name).options.items()}
    chosen.setdefault("train.learning_rate", f"{setup.learning_rate.value:g}")
    return chosen


_FLAGS = {
    *(("model", "name"), ("data", "train"), ("data", "dev"), ("data", "columns")),
    *(("output", "folder"), ("output", "overwrite")),
}


def as_setting(value: Any) -> Any:
    """Text that `--set` reads back as this value: a column named 1 must not become the number."""
    if isinstance(value, str) and parse_setting(f"key={value}")[1] == value:
        return value
    return json.dumps(value, ensure_ascii=False)
