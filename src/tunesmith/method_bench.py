"""Several methods on one data set: each fitted in a process of its own, judged on the same rows, one recommended.

What was measured of each fit is kept in bench.json as it goes, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith import artifact, base_models, durable
from tunesmith.child_processes import Ended, run_child
from tunesmith.config import RunConfig, resolve_config
from tunesmith.contracts import Task
from tunesmith.data.rejects import listed
from tunesmith.errors import ConfigError, DataError, Interrupted, UserError, nearest
from tunesmith.evaluation.choosing import Choice, choose_cheapest, sort_by_score
from tunesmith.evaluation.scoring import Evaluation, score_predictions
from tunesmith.labelled_rows import Splits, read_splits
from tunesmith.methods import METHODS
from tunesmith.predictor import Predictor
from tunesmith.run_identity import CHECKPOINTS, choose_folder
from tunesmith.settings import apply_settings, parse_setting
from tunesmith.task_guess import settle_task
from tunesmith.tasks import make_task

BENCH = "bench.json"
WITHOUT_COMPETITORS = "evaluate.baselines=false"
"""Setting of every fit unless the user sets it: the competitors are the same for all, and not a cost of a method."""
REFUSED, FAILED, DONE = "refused", "failed", "done"
_USERS_FAULT, _INTERRUPTED = UserError.exit_code, Interrupted.exit_code
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is to be fitted.

    Attributes:
        config: of every fit, but for the method.
        task: what is learnt.
        splits: the rows, read once to see that they can be.
        folder: holds a folder for each method.
        settings: method → its settings, as after --set.
    """

    config: RunConfig
    task: Task
    splits: Splits
    folder: Path
    settings: Mapping[str, Sequence[str]]


def bench_methods(
    source: str,
    *,
    methods: Sequence[str] | None = None,
    model: str | None = None,
    out: str | None = None,
    settings: Sequence[str] = (),
    tell: Tell = lambda text: None,
) -> dict[str, Any]:
    """Fit every method on the same rows and say which to take; the same call again continues.

    Args:
        source: the training file.
        methods: names of methods; default: all.
        model: the base model.
        out: the folder; default: runs/bench-<task>-<hash>.
        settings: "section.key=value" of every fit; those of a method go to the methods that know them.
        tell: is told what is being done.

    Returns:
        The object that `tunesmith bench-methods --json` prints.

    Raises:
        UserError: rows, model or settings cannot be used, or no method could be fitted.
        Interrupted: Ctrl-C came; the fit under way has saved its state.
    """
    began = time.perf_counter()
    plan = make_plan(source, methods, model, out, settings)
    spent = _read_spent(plan.folder)
    durable.make_folder(plan.folder)
    found: dict[str, dict[str, Any]] = {}
    for place, name in enumerate(plan.settings):
        tell(f"fitting {name} ({place + 1} of {len(plan.settings)})")
        try:
            found[name] = _fit(plan, name, spent)
        finally:  # also what an interrupted one has cost
            _write(plan.folder, {"methods": list(found.values()), "spent": spent})
    tell("scoring")
    report = {**_judge(plan, found), "seconds": time.perf_counter() - began}
    _write(plan.folder, {**report, "spent": spent})
    return report


def make_plan(
    source: str, methods: Sequence[str] | None, model: str | None, out: str | None, settings: Sequence[str]
) -> Plan:
    """Check everything that all fits share before the first of them: settings, rows, the base model."""
    if source == "-":
        raise DataError("standard input can be read once only, and each method reads the rows", fix="give a file")
    names = list(dict.fromkeys(METHODS if methods is None else methods))
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        raise ConfigError(f"unknown method {unknown[0]!r}" if unknown else "no method is named", fix=_near(unknown))
    shared, per_method = _deal(settings, names)
    if not any(parse_setting(setting)[0] == ["evaluate", "baselines"] for setting in shared):
        shared = [WITHOUT_COMPETITORS, *shared]
    named = {} if model is None else {"model": {"name": model}}
    config = settle_task(resolve_config({"data": {"train": source}}, named, settings=shared))
    base_models.resolve(config.model.name, revision=config.model.revision)
    task = make_task(config.task.name, config.task.options)
    splits = read_splits(config, task)
    if not splits.held_out:
        raise ConfigError("methods are compared on development rows, and none are held out", fix="--set data.dev=FILE")
    folder = choose_folder(config, splits) if out is None else Path(out)
    if out is None:
        folder = folder.with_name(f"bench-{folder.name}")
    return Plan(config, task, splits, folder, {name: [*shared, *per_method[name]] for name in names})


def _near(unknown: Sequence[str]) -> str:
    return nearest(unknown[0], METHODS) if unknown else f"known: {', '.join(METHODS)}"


def _deal(settings: Sequence[str], names: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Settings of all fits, and those of a method for the methods that have the option."""
    shared: list[str] = []
    own: dict[str, list[str]] = {name: [] for name in names}
    for setting in settings:
        path, _ = parse_setting(setting)
        if path in (["output", "folder"], ["method", "name"]):
            raise ConfigError(f"--set {setting} has no effect here", fix="use --out and --methods")
        if path[0] != "method":
            shared.append(setting)
            continue
        knowing = [name for name in names if ".".join(path[1:2]) in METHODS[name].Config.model_fields]
        if not knowing:
            raise ConfigError(f"--set {setting}: none of {', '.join(names)} has this option", fix="see docs/methods.md")
        for name in knowing:
            own[name].append(setting)
    return shared, own


def command_of(plan: Plan, name: str) -> list[str]:
    """The fit of one method, as a command line; `-P`: modules that lie beside the user's rows are not ours."""
    settings = plan.settings[name]
    given = apply_settings({}, settings)
    task = [] if "name" in given.get("task", {}) else ["--task", plan.task.name]
    return [
        *(sys.executable, "-P", "-m", "tunesmith", "fit", str(plan.config.data.train), *task),
        *("--model", plan.config.model.name, "--method", name, "--out", str(plan.folder / name), "--quiet", "--json"),
        *(word for setting in settings for word in ("--set", setting)),
    ]


def _fit(plan: Plan, name: str, spent: dict[str, Any]) -> dict[str, Any]:
    """Fit one method, or take it as it is; what it cost is added to what earlier, interrupted calls cost."""
    was_complete = artifact.is_complete(plan.folder / name)
    log = plan.folder / f"{name}.log"
    ended = run_child(command_of(plan, name), log)
    if not (was_complete and ended.exit_code == 0):
        spent[name] = _add(spent.get(name), ended)
    if ended.exit_code == _INTERRUPTED or ended.was_asked_to_stop:
        raise Interrupted(f"stopped while fitting {name}; its state is saved in {plan.folder / name}")
    title = METHODS[name].title
    if ended.exit_code:
        status = REFUSED if ended.exit_code == _USERS_FAULT else FAILED
        if status == REFUSED:  # it did not begin; one that was ended goes on next time
            spent.pop(name, None)
        return {"name": name, "title": title, "status": status, "reason": _reason(log, ended)}
    return {"name": name, "title": title, "status": DONE, **_facts(plan.folder / name), **spent.get(name, _UNKNOWN)}


_UNKNOWN = {"seconds": None, "peak_memory_bytes": None}
"""Of a folder that was finished before this bench, by a fit of its own."""


def _add(before: Mapping[str, Any] | None, ended: Ended) -> dict[str, Any]:
    before = before or {"seconds": 0.0, "peak_memory_bytes": None}
    peaks = [peak for peak in (before["peak_memory_bytes"], ended.peak_memory_bytes) if peak is not None]
    return {"seconds": before["seconds"] + ended.seconds, "peak_memory_bytes": max(peaks, default=None)}


def _reason(log: Path, ended: Ended) -> str:
    """What the fit said last: its error, or its exit code where it was ended."""
    said = log.read_text(encoding="utf-8", errors="replace")
    _, mark, error = said.rpartition("error: ")
    if not mark:
        return f"ended with exit code {ended.exit_code}; {log} has what it said"
    return "; ".join(line.strip() for line in error.strip().splitlines())


def _facts(folder: Path) -> dict[str, Any]:
    facts = artifact.read_facts(folder)
    files = [path for path in folder.rglob("*") if path.is_file() and CHECKPOINTS not in path.parts]
    return {
        "folder": str(folder),
        "trainable_parameters": facts["trainable_parameters"],
        "artifact_bytes": sum(path.stat().st_size for path in files),
    }


def _read_spent(folder: Path) -> dict[str, Any]:
    """What an earlier call measured; {} where there is none, or none that can be read."""
    try:
        return dict(json.loads((folder / BENCH).read_text(encoding="utf-8"))["spent"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write(folder: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    durable.write_file_atomic(folder / BENCH, text)


def _judge(plan: Plan, found: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Have every finished method answer the development rows and compare them.

    Only here is a model loaded in this process: at its start a child counts its parent's memory as its own.
    """
    done = [name for name in found if found[name]["status"] == DONE]
    if not done:
        reasons = "; ".join(f"{name}: {row['reason']}" for name, row in found.items())
        raise UserError(f"no method could be fitted: {reasons}", fix=f"the .log files in {plan.folder} say more")
    labels = artifact.read_artifact(plan.folder / done[0]).labels
    golds = [plan.task.gold(row, labels) for row in plan.splits.dev]
    judged: dict[str, Evaluation] = {}
    draws = plan.config.evaluate.resamples
    for name in done:
        predictor = Predictor(artifact.read_artifact(plan.folder / name))
        answers = predictor.predict_rows(plan.splits.dev)
        judged[name] = score_predictions(predictor.task, answers, golds, labels, resamples=draws)
    metric = _metric(plan, judged[done[0]])
    costs = {name: (found[name]["artifact_bytes"], found[name]["trainable_parameters"]) for name in done}
    choice = choose_cheapest(judged, costs, plan.task, labels, metric=metric, resamples=draws)
    for name, evaluation in judged.items():
        gap = choice.differences.get(name)
        found[name]["score"] = vars(evaluation.scores[metric])
        found[name]["difference"] = None if gap is None else gap.to_json()
    order = [*sort_by_score(judged, metric), *(name for name in found if name not in judged)]
    return {
        "headline": metric,
        "task": plan.task.name,
        "model": plan.config.model.name,
        "source": str(plan.config.data.train),
        "train_rows": len(plan.splits.train),
        "dev_rows": len(plan.splits.dev),
        "seed": plan.config.train.seed,
        "folder": str(plan.folder),
        "methods": [found[name] for name in order],
        "recommendation": {"method": choice.chosen, "best": choice.best, "why": explain(choice, found, metric)},
    }


def _metric(plan: Plan, evaluation: Evaluation) -> str:
    wanted = plan.config.evaluate.metric
    return evaluation.headline if wanted is None or wanted not in evaluation.scores else wanted


def explain(choice: Choice, found: Mapping[str, Mapping[str, Any]], metric: str) -> str:
    """Why a method is recommended, in one sentence."""
    chosen, best = found[choice.chosen], found[choice.best]
    score = f"{metric} {chosen['score']['value']:.3f} on {chosen['score']['n']:,} development rows"
    size = f"{chosen['artifact_bytes'] / 1e6:,.1f} MB"
    if len(choice.differences) == 0:
        return f"{choice.chosen}: the only method that was fitted ({score}, {size})"
    if choice.chosen == choice.best:
        smaller = [n for n in choice.differences if found[n]["artifact_bytes"] < chosen["artifact_bytes"]]
        tail = f"the smaller ones ({listed(smaller, 5)}) are shown to be worse" if smaller else "none is smaller"
        return f"{choice.chosen}: the best score ({score}, {size}), and {tail}"
    gap = choice.differences[choice.chosen]
    return (
        f"{choice.chosen}: the smallest folder ({size}) whose score is not shown to be below the best: {score}, "
        f"{choice.best} {best['score']['value']:.3f} with {best['artifact_bytes'] / 1e6:,.1f} MB "
        f"(difference {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}], p = {gap.p:.2g})"
    )
