"""Scores of a model and of its competitors on labelled rows."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tunesmith import calibrating, inference
from tunesmith.base_models import BaseModelFolder
from tunesmith.config import EvaluateSection
from tunesmith.contracts import Baseline, Converses, Encoded, Features, Labels, Task, Writes
from tunesmith.errors import ConfigError, nearest
from tunesmith.evaluation.paired import difference
from tunesmith.evaluation.scoring import Evaluation, score_predictions, tally_rows, to_json
from tunesmith.metrics import sum_counts
from tunesmith.model import Model
from tunesmith.model_loading import ModelOptions, load_model
from tunesmith.preparation import Setup
from tunesmith.tasks.token_sequences import encode_texts

TRAINED_ON = "training"
"""Split of a report on the rows that the model was trained on."""
BEFORE = "frozen"
"""Name of the baseline that is the model before fine-tuning."""
SAMPLES = 3
"""Development rows whose answers before and after are shown."""


def quick_scores(task: Task, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> dict[str, float]:
    """Every score, without intervals."""
    counts = sum_counts(tally_rows(task, predictions, golds, labels))
    return {**task.score(counts, labels), **task.score_rows(predictions, golds, labels)}


def pick(scores: Mapping[str, float], name: str) -> float:
    """One score by name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in scores:
        raise ConfigError(f"evaluate.metric is {name!r}: {nearest(name, scores)}", fix="choose one of them")
    return scores[name]


@dataclass(frozen=True)
class Contest:
    """What the competitors of a model need.

    Attributes:
        task: the model's task.
        labels: the answers.
        train: labelled rows to learn from.
        base: the untouched base model.
        max_tokens: longest sequence, as for the model.
        settings: resamples, probe rows, batch size.
        device: where the base model runs, in float32 as the model does when it answers.
    """

    task: Task
    labels: Labels
    train: Sequence[Any]
    base: BaseModelFolder
    max_tokens: int
    settings: EvaluateSection
    device: torch.device


@dataclass(frozen=True)
class Judgement:
    """What a run ends with.

    Attributes:
        report: what metrics.json holds, with "gain" = after − before where the model before tuning was scored.
        calibration: None where answers have no probability.
        predictions: the answers to the development rows.
    """

    report: dict[str, Any]
    calibration: calibrating.Calibration | None
    predictions: Sequence[Any]


def judge(setup: Setup, golds: Sequence[Any]) -> Judgement:
    """Calibrate the tuned model on the development rows; score it and its competitors there.

    Each of its answers has a scaling that was fitted without that row. Where no rows are held out there is neither
    scaling nor competitor: what is known by heart shows nothing.

    Args:
        setup: the run, its best weights in the model and the whole vocabulary in place.
        golds: the right answers of the development rows.
    """
    began = time.perf_counter()
    section, task, labels = setup.config.evaluate, setup.task, setup.labels
    answers = inference.predict_items(setup.model, task, setup.dev_items, labels, section.batch_tokens)
    shared = [task.shared_texts(row) for row in setup.splits.dev]
    wish, held_out = section.calibration, setup.splits.held_out
    learnt = calibrating.learn(task, answers.predictions, golds, labels, wish, shared) if held_out else None
    predictions = answers.predictions if learnt is None else learnt.predictions
    judged = score_predictions(task, predictions, golds, labels, resamples=section.resamples)
    contest = Contest(
        task,
        labels,
        setup.splits.train,
        setup.base,
        setup.model.max_tokens,
        section,
        setup.model.device,
    )
    features = _FrozenFeatures(contest)
    competitors = compete(contest, setup.splits.dev, golds, features) if section.baselines and held_out else {}
    report = report_contest(judged, competitors, contest, began)
    split = "dev" if held_out else TRAINED_ON
    report = {**report, "calibration": None if learnt is None else learnt.report, "split": split}
    report |= sign(task, golds, labels)
    if isinstance(task, Converses) and setup.config.output.report == "full":  # else no text of the data is stored
        report["samples"] = _answer_samples(setup, task, features if section.baselines else None)
    return Judgement(report, None if learnt is None else learnt.calibration, predictions)


def _answer_samples(setup: Setup, task: Task, before: Features | None) -> list[dict[str, Any]]:
    """What is answered in some development rows before and after tuning; `before` answers as the base model does."""
    assert isinstance(task, Converses)
    asked = [found for row in setup.splits.dev if (found := task.ask_again(row)) is not None][:SAMPLES]
    rows = [row for row, _, _ in asked]
    after = inference.predict_rows(setup.model, task, rows, setup.labels)
    first: Sequence[Any] = [None] * len(rows) if before is None else before.answers(rows)
    return [
        {"prompt": prompt, "before": None if old is None else old.answer, "after": new.answer, "right": right}
        for (_, prompt, right), old, new in zip(asked, first, after, strict=True)
    ]


def sign(task: Task, golds: Sequence[Any], labels: Labels) -> dict[str, str]:
    """How scores are computed, where there are several ways: {"signature": …}, or {}."""
    signature = task.signature(golds, labels) if isinstance(task, Writes) else ""
    return {"signature": signature} if signature else {}


def report_contest(
    judged: Evaluation, competitors: Mapping[str, Evaluation], contest: Contest, began: float
) -> dict[str, Any]:
    """Lay out a model's scores beside its competitors', as metrics.json has them."""
    task, labels = contest.task, contest.labels
    report = to_json(judged, competitors, time.perf_counter() - began)
    report["baseline_titles"] = {b.name: b.title for b in task.baselines(labels) if b.name in competitors}
    if BEFORE in competitors:
        draws = contest.settings.resamples
        gain = difference(competitors[BEFORE], judged, task, labels, resamples=draws, shuffles=draws)
        report["gain"] = gain.to_json()
    return report


def compete(
    contest: Contest, rows: Sequence[Any], golds: Sequence[Any], features: Features | None = None
) -> dict[str, Evaluation]:
    """Let every baseline of the task learn from the training rows and answer `rows`."""
    features = features or _FrozenFeatures(contest)
    baselines = contest.task.baselines(contest.labels)
    return {baseline.name: _score_baseline(baseline, contest, rows, golds, features) for baseline in baselines}


def probe(contest: Contest, rows: Sequence[Any], golds: Sequence[Any], model: Model) -> Evaluation | None:
    """Score the untouched base model as `compete` does; None where the task has no such competitor.

    Args:
        contest: what it learns from.
        rows: what is answered.
        golds: the right answers.
        model: the base model, loaded with the task's head.
    """
    baselines = contest.task.baselines(contest.labels)
    before = next((baseline for baseline in baselines if baseline.name == BEFORE), None)
    if before is None:
        return None
    return _score_baseline(before, contest, rows, golds, _FrozenFeatures(contest, model))


def _score_baseline(
    baseline: Baseline, contest: Contest, rows: Sequence[Any], golds: Sequence[Any], features: Features
) -> Evaluation:
    most = contest.settings.probe_rows if baseline.name == BEFORE else len(contest.train)
    predictions = baseline.predict(_sample(contest.train, most), rows, features)
    return score_predictions(contest.task, predictions, golds, contest.labels, resamples=contest.settings.resamples)


def _sample(rows: Sequence[Any], most: int) -> Sequence[Any]:
    """A seeded sample, in order, where the probe would take too long on all rows."""
    if len(rows) <= most:
        return rows
    return [rows[place] for place in sorted(random.Random("probe").sample(range(len(rows)), most))]


class _FrozenFeatures:
    """Features of the untouched base model, which is loaded when the first row comes, unless it is given."""

    def __init__(self, contest: Contest, model: Model | None = None) -> None:
        self._contest = contest
        self._model = model

    def rows(self, rows: Sequence[Any]) -> Any:
        """Return (B, D): the mean hidden state of each row."""
        return inference.row_features(*self._encoded(rows))

    def places(self, rows: Sequence[Any]) -> list[tuple[list[Encoded], Any]]:
        """Return for each row its parts and (P, D): the hidden states that answers are read from."""
        return inference.place_features(*self._encoded(rows))

    def texts(self, texts: Sequence[str]) -> Any:
        """Return (N, D): the mean hidden state of each text by itself."""
        model, contest = self._load(), self._contest
        context = inference.make_context(model, contest.labels)
        items = encode_texts([(text,) for text in texts], [None] * len(texts), context, 0)
        return inference.row_features(model, items, contest.settings.batch_tokens)

    def answers(self, rows: Sequence[Any]) -> list[Any]:
        """Return what the untouched base model answers."""
        model, contest = self._load(), self._contest
        return inference.predict_rows(model, contest.task, rows, contest.labels, contest.settings.batch_tokens)

    def _load(self) -> Model:
        if self._model is None:
            contest = self._contest
            head = contest.task.head(contest.labels)
            fresh = load_model(contest.base, head, ModelOptions(max_tokens=contest.max_tokens))
            self._model = fresh.requires_grad_(False).to(contest.device)
        return self._model

    def _encoded(self, rows: Sequence[Any]) -> tuple[Model, list[Encoded], int]:
        contest, model = self._contest, self._load()
        bare = inference.without_labels(contest.task, rows)
        items = contest.task.encode(bare, inference.make_context(model, contest.labels))
        return model, items, contest.settings.batch_tokens
