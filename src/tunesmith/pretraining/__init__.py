"""Pretraining: from raw text to a model, and from a general model to a domain model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.events import Finished
from tunesmith.pretraining.config import resolve_pretraining
from tunesmith.pretraining.running import run
from tunesmith.pretraining.untrained import UntrainedConfig, make_untrained
from tunesmith.settings import resolve


def pretrain(
    corpus: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    objective: str = "mlm",
    model: str | None = None,
    settings: Sequence[str] = (),
) -> Mapping[str, Any]:
    """Train a language model on raw text, or go on training one; the same call again continues or finds it complete.

    Args:
        corpus: files, folders or patterns.
        out: the model's folder.
        objective: "mlm", "clm", "electra" or "denoise".
        model: a hub id, a folder, minilm or zh-classics to continue from; None: all weights are new.
        settings: any setting, such as "train.max_steps=1000".

    Returns:
        What metrics.json holds.

    Raises:
        TunesmithError: see `errors`.
    """
    files = [str(corpus)] if isinstance(corpus, (str, Path)) else [str(file) for file in corpus]
    given = {
        "objective": {"name": objective},
        "corpus": {"files": files},
        "model": {"name": model},
        "output": {"folder": str(out)},
    }
    finished = next(
        event for event in run(resolve_pretraining(given, settings=settings)) if isinstance(event, Finished)
    )
    return finished.metrics


def new(
    rows: str | Path,
    *,
    out: str | Path,
    architecture: str = "bart",
    size: str = "mini",
    vocabulary: int = 8000,
    task: str = "text-to-text",
    settings: Sequence[str] = (),
) -> Mapping[str, Any]:
    """Make an untrained model for rows: a tokenizer of their words, weights from a seed; `fit` then trains it.

    Args:
        rows: a file that `fit` could be given.
        out: the model's folder.
        architecture: bart, llama, gpt2, bert, electra, modernbert, or a config.json.
        size: nano, micro, mini, small, medium or base.
        vocabulary: most entries of the tokenizer, at least 16.
        task: what the rows are for.
        settings: any setting, such as "model.options.encoder_layers=4".

    Returns:
        Its folder, architecture, parameters, vocabulary, and whether it was there already.

    Raises:
        TunesmithError: see `errors`.
    """
    given = {
        "task": {"name": task},
        "data": {"train": str(rows)},
        "model": {"architecture": architecture, "size": size},
        "tokenizer": {"vocabulary": vocabulary},
        "output": {"folder": str(out)},
    }
    return make_untrained(resolve(UntrainedConfig, given, settings=settings))
