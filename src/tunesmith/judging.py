"""Scores of a model and of its competitors on labelled rows."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tunesmith import inference
from tunesmith.contracts import Baseline, Features, Labels, Task
from tunesmith.errors import ConfigError, nearest
from tunesmith.evaluation.scoring import Evaluation, difference, score_predictions, to_json
from tunesmith.metrics import sum_counts
from tunesmith.model import ModelOptions, load_model
from tunesmith.preparation import Setup

BEFORE = "before"
"""Name of the baseline that is the model before fine-tuning."""


def quick_scores(
    task: Task, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels
) -> dict[str, float]:
    """Every score, without intervals."""
    counts = sum_counts(task.tally(p, gold, labels) for p, gold in zip(predictions, golds, strict=True))
    return {**task.score(counts, labels), **task.score_rows(predictions, golds, labels)}


def pick(scores: Mapping[str, float], name: str) -> float:
    """One score by name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in scores:
        raise ConfigError(f"evaluate.metric is {name!r}: {nearest(name, scores)}", fix="choose one of them")
    return scores[name]


def judge(setup: Setup, golds: Sequence[Any]) -> dict[str, Any]:
    """Score the tuned model and its competitors on the development rows.

    Args:
        setup: the run, its best weights in the model and the whole vocabulary in place.
        golds: the right answers of the development rows.

    Returns:
        What metrics.json holds, with "gain" = after − before where the model before tuning was scored.
    """
    began = time.perf_counter()
    section, task, labels = setup.config.evaluate, setup.task, setup.labels
    answers = inference.predict_items(setup.model, task, setup.dev_items, labels, section.batch_tokens)
    judged = score_predictions(task, answers.predictions, golds, labels, resamples=section.resamples)
    competitors = _competitors(setup, golds) if section.baselines else {}
    report = to_json(judged, competitors, time.perf_counter() - began)
    report["split"] = "dev"
    if BEFORE in competitors:
        gain = difference(competitors[BEFORE], judged, task, labels, resamples=section.resamples)
        report["gain"] = asdict(gain)
    return report


def _competitors(setup: Setup, golds: Sequence[Any]) -> dict[str, Evaluation]:
    found: dict[str, Evaluation] = {}
    features = _lazy_features(setup)
    for baseline in setup.task.baselines(setup.labels):
        train = _sample(setup.splits.train, setup.config.evaluate.probe_rows) if _is_probe(baseline) else None
        predictions = baseline.predict(train or setup.splits.train, setup.splits.dev, features)
        found[baseline.name] = score_predictions(
            setup.task, predictions, golds, setup.labels, resamples=setup.config.evaluate.resamples
        )
    return found


def _is_probe(baseline: Baseline) -> bool:
    return baseline.name == BEFORE


def _sample(rows: Sequence[Any], most: int) -> list[Any]:
    """A seeded sample, in order, where the probe would take too long on all rows."""
    if len(rows) <= most:
        return list(rows)
    return [rows[place] for place in sorted(random.Random("probe").sample(range(len(rows)), most))]


def _lazy_features(setup: Setup) -> Features:
    """Features of the untouched base model, which is loaded when the first row comes."""
    loaded: list[Any] = []

    def features(rows: Sequence[Any]) -> Any:
        if not loaded:
            options = ModelOptions(setup.config.train.seed, setup.config.model.max_tokens)
            fresh = load_model(setup.base, setup.task.head(setup.labels), options)
            loaded.append(fresh.requires_grad_(False).to(setup.model.device))
        items = setup.task.encode(rows, inference.make_context(loaded[0], setup.labels))
        tokens = setup.config.evaluate.batch_tokens
        return inference.mean_features(loaded[0], setup.task, items, tokens, setup.precision)

    return features
