"""Several base models on one data set, none of them tuned: a probe's score, tokens, speed, size, licence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tunesmith import base_models, engine, inference, judging
from tunesmith.base_models import BaseModelFolder
from tunesmith.checking.sampling import Drawn
from tunesmith.checking.tokens import UNKNOWN_SHARE, Reader, describe_tokens, read_tokens
from tunesmith.config import RunConfig, resolve_config
from tunesmith.contracts import Labels, Task
from tunesmith.errors import ConfigError, DataError, UserError
from tunesmith.evaluation.choosing import Choice, choose_cheapest, sort_by_score
from tunesmith.evaluation.scoring import Evaluation
from tunesmith.labelled_rows import Splits, find_answers, read_splits
from tunesmith.licences import stated_licence
from tunesmith.model import Model
from tunesmith.model_loading import ModelOptions, load_model
from tunesmith.task_guess import settle_task
from tunesmith.tasks import make_task

TOKEN_ROWS = 2_000
"""Rows whose tokens are counted."""
TIMED_ROWS = 256
_WARM_ROWS = 8
_NOTHING: Mapping[str, Any] = dict.fromkeys(
    [
        *("score", "difference", "unknown_share", "tokens_per_row", "cut_share", "tokens_per_second"),
        *("parameters", "bytes", "licence", "sha256"),
    ]
)
"""Of a candidate that cannot be loaded."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class _Trial:
    """What all candidates share."""

    config: RunConfig
    task: Task
    splits: Splits
    labels: Labels
    golds: Sequence[Any]
    device: torch.device


def compare_models(
    source: Any, candidates: Sequence[str], *, settings: Sequence[str] = (), tell: Tell = lambda text: None
) -> dict[str, Any]:
    """Say which base model suits labelled data, without tuning any.

    Args:
        source: labelled rows: a path, DataFrame or list of dicts.
        candidates: hub ids, folders, minilm, zh-classics.
        settings: "section.key=value", such as data.columns.label=topic.
        tell: is told what is being done.

    Returns:
        The object that `tunesmith models --json` prints: "candidates", the best first, and "recommendation".

    Raises:
        UserError: rows or settings cannot be used, or no candidate can be loaded.
    """
    began = time.perf_counter()
    names = list(dict.fromkeys(candidates))
    if not names:
        raise ConfigError("no candidate is named", fix="--candidates minilm,zh-classics")
    trial = _prepare(source, settings)
    found: dict[str, dict[str, Any]] = {}
    judged: dict[str, Evaluation] = {}
    for place, name in enumerate(names):
        tell(f"reading with {name} ({place + 1} of {len(names)})")
        try:
            found[name], evaluation = _try_out(trial, name)
        except UserError as error:
            found[name] = {"name": name, **_NOTHING, "error": error.message}
        else:
            if evaluation is not None:
                judged[name] = evaluation
    if all(row["error"] is not None for row in found.values()):
        reasons = "; ".join(f"{name}: {row['error']}" for name, row in found.items())
        raise UserError(f"no candidate can be used: {reasons}", fix="give hub ids, folders, minilm or zh-classics")
    return {**_conclude(trial, found, judged), "seconds": time.perf_counter() - began}


def _prepare(source: Any, settings: Sequence[str]) -> _Trial:
    """Read the rows as a fit would."""
    if source == "-":
        raise DataError("standard input can be read once only, and the task is guessed first", fix="give a file")
    is_file = isinstance(source, (str, Path))
    named = {"data": {"train": str(source)}} if is_file else {}
    rows = None if is_file else source
    config = settle_task(resolve_config(named, settings=settings), rows)
    task = make_task(config.task.name, config.task.options)
    splits = read_splits(config, task, rows)
    if not splits.held_out:
        raise ConfigError("models are compared on development rows, and none are held out", fix="--set data.dev=FILE")
    labels = find_answers(task, splits)
    golds = [task.gold(row, labels) for row in splits.dev]
    return _Trial(config, task, splits, labels, golds, engine.choose_device(config.train.device))


def _try_out(trial: _Trial, name: str) -> tuple[dict[str, Any], Evaluation | None]:
    """What one candidate makes of the rows. Raises ModelError where it cannot be loaded for them."""
    base = base_models.resolve(name)
    wanted = ModelOptions(max_tokens=trial.config.model.max_tokens)
    model = load_model(base, trial.task.head(trial.labels), wanted).requires_grad_(False).to(trial.device)
    contest = judging.Contest(
        trial.task,
        trial.labels,
        trial.splits.train,
        base,
        model.max_tokens,
        trial.config.evaluate,
        trial.device,
    )
    evaluation = judging.probe(contest, trial.splits.dev, trial.golds, model)
    facts = {
        "name": name,
        **_NOTHING,
        **_read(trial, name, model),
        "tokens_per_second": _speed(trial, model),
        "parameters": sum(parameter.numel() for parameter in model.hf.base_model.parameters()),
        "bytes": sum(path.stat().st_size for path in base.folder.glob("*.safetensors")),
        "licence": _licence(base),
        "sha256": base.sha256,
        "error": None,
    }
    return facts, evaluation


def _licence(base: BaseModelFolder) -> str:
    return stated_licence(base.folder) or "not stated"


def _read(trial: _Trial, name: str, model: Model) -> dict[str, Any]:
    """What the tokenizer makes of the rows, evenly thinned."""
    rows = _thin([*trial.splits.train, *trial.splits.dev], TOKEN_ROWS)
    drawn = [Drawn(place, row, 0) for place, row in enumerate(rows)]
    facts = read_tokens(Reader(name, model.tokenizer, model.max_tokens), trial.task, trial.labels, drawn, len(rows))
    shares = describe_tokens(facts)
    return {
        "unknown_share": None if model.tokenizer.unk_token_id is None else shares["unknown"],
        "tokens_per_row": sum(facts.lengths) / len(rows),
        "cut_share": shares["truncated_rows"],
    }


def _thin(rows: Sequence[Any], most: int) -> list[Any]:
    count = min(len(rows), most)
    return [rows[place * len(rows) // count] for place in range(count)]


def _speed(trial: _Trial, model: Model) -> float:
    """Tokens a second, from texts to hidden states; a few rows are read before the clock starts."""
    rows = inference.without_labels(trial.task, _thin(trial.splits.dev, TIMED_ROWS))
    batch_tokens = trial.config.evaluate.batch_tokens

    def read(some: Sequence[Any]) -> int:
        items = trial.task.encode(some, inference.make_context(model, trial.labels))
        inference.row_features(model, items, batch_tokens)
        return sum(item.length_tokens for item in items)

    read(rows[:_WARM_ROWS])
    began = time.perf_counter()
    tokens = read(rows)
    return tokens / (time.perf_counter() - began)


def _conclude(trial: _Trial, found: Mapping[str, dict[str, Any]], judged: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Sort the candidates, and say which to take."""
    metric = trial.task.headline(trial.labels)
    recommendation: dict[str, Any] = {
        "model": None,
        "best": None,
        "why": "no recommendation: this task has no score of a model before training; fit the two that read your "
        "texts best, and compare them",
    }
    if judged:
        metric = next(iter(judged.values())).headline
        draws = trial.config.evaluate.resamples
        able = {name: of for name, of in judged.items() if (found[name]["unknown_share"] or 0.0) <= UNKNOWN_SHARE}
        able = able or dict(judged)
        costs = {name: (found[name]["bytes"],) for name in able}
        choice = choose_cheapest(able, costs, trial.task, trial.labels, metric=metric, resamples=draws)
        for name, evaluation in judged.items():
            gap = choice.differences.get(name)
            found[name]["score"] = vars(evaluation.scores[metric])
            found[name]["difference"] = None if gap is None else gap.to_json()
        why = "; ".join([_explain(choice, found, metric), *_warn(choice.chosen, found, judged.keys() - able.keys())])
        recommendation = {"model": choice.chosen, "best": choice.best, "why": why}
    order = sort_by_score(judged, metric) if judged else []
    order += sorted((name for name in found if name not in judged), key=lambda name: found[name]["error"] is not None)
    return {
        "headline": metric,
        "task": trial.task.name,
        "train_rows": len(trial.splits.train),
        "dev_rows": len(trial.splits.dev),
        "candidates": [found[name] for name in order],
        "recommendation": recommendation,
    }


def _warn(chosen: str, found: Mapping[str, Mapping[str, Any]], left_out: Set[str]) -> list[str]:
    """Which candidates cannot read the texts; what a probe makes of the rest says little of them."""
    unread = {
        name: f"does not know {found[name]['unknown_share'] or 0:.0%} of the tokens" for name in (chosen, *left_out)
    }
    said = [f"{name} {what} and was left out" for name, what in sorted(unread.items()) if name in left_out]
    if (found[chosen]["unknown_share"] or 0.0) > UNKNOWN_SHARE:
        said.append(f"but it {unread[chosen]}, as all candidates do of many: look for another")
    return said


def _explain(choice: Choice, found: Mapping[str, Mapping[str, Any]], metric: str) -> str:
    """Why a model is recommended, in one sentence."""
    chosen, best = found[choice.chosen], found[choice.best]
    score = f"{metric} {chosen['score']['value']:.3f} on {chosen['score']['n']:,} development rows"
    size = f"{chosen['bytes'] / 1e6:,.0f} MB"
    if not choice.differences:
        return f"take {choice.chosen}: the only candidate with a score ({score}, {size})"
    if choice.chosen == choice.best:
        smaller = [name for name in choice.differences if found[name]["bytes"] < chosen["bytes"]]
        tail = "the smaller ones are shown to be worse" if smaller else "none is smaller"
        return f"take {choice.chosen}: the best score of a probe ({score}, {size}), and {tail}"
    gap = choice.differences[choice.chosen]
    return (
        f"take {choice.chosen}: the smallest ({size}) whose probe is not shown to be below the best: {score}, "
        f"{choice.best} {best['score']['value']:.3f} with {best['bytes'] / 1e6:,.0f} MB "
        f"(difference {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}], p = {gap.p:.2g})"
    )
