"""Contracts of a task with a method, over whole runs: exact resuming, storing, learning, the card."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.contracts.harness import (
    EACH_PAIR,
    PROVEN_PAIRS,
    Frozen,
    Sample,
    headline,
    kinds_of,
    make_config,
    make_job,
    make_setup,
    optimizer_of,
    run_events,
)
from tunesmith import api, artifact, engine, fitting, inference, vocabulary
from tunesmith.config import RunConfig
from tunesmith.contracts import StepReport
from tunesmith.errors import Interrupted
from tunesmith.events import Evaluated, Finished, Saved
from tunesmith.methods import METHODS
from tunesmith.model_card import render_card
from tunesmith.tasks import TASKS

each_pair = pytest.mark.parametrize("pair", EACH_PAIR)
each_proven_pair = pytest.mark.parametrize("pair", PROVEN_PAIRS)
EXACT = ("train.epochs=2.5", "evaluate.steps=1", "train.patience=4", "train.checkpoint_steps=1")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def results_of(folder: Path) -> dict[str, Any]:
    """What must be the same however often a run was stopped: weights, scores, curves without their clock."""
    weights = {path.name: sha256(path) for path in folder.glob("*.safetensors")}
    assert weights
    metrics = json.loads((folder / "metrics.json").read_text())
    curves = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for entry in [metrics, *curves]:
        entry.pop("seconds", None)
    return {**weights, "metrics": metrics, "curves": curves}


@pytest.fixture(scope="module")
def finished(trunks: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Pair → the folder of a whole run, made once."""
    made: dict[tuple[str, str], Path] = {}

    def get(pair: tuple[Sample, str]) -> Path:
        key = (pair[0].name, pair[1])
        if key not in made:
            made[key] = tmp_path_factory.mktemp("finished")
            list(run_events(exact_config(pair, trunks, made[key]), pair[0]))
        return made[key]

    return get


def exact_config(pair: tuple[Sample, str], trunks: dict[str, Path], folder: Path) -> RunConfig:
    trunk = trunks[kinds_of(*pair)[0]]
    return make_config(*pair, trunk, *EXACT, f"output.folder={folder}")


@each_proven_pair
def test_stopped_after_every_step_and_resumed_is_the_same_run(
    pair: tuple[Sample, str], trunks: dict[str, Path], finished: Any, tmp_path: Path
) -> None:
    """In turn: Ctrl-C, killed after the state was saved, killed before it was (that step is done again)."""
    config = exact_config(pair, trunks, tmp_path)
    stops = itertools.cycle([interrupt, kill_after_saving, kill_before_saving])
    sessions, last = 0, 0
    for step in itertools.count(1):
        stop = next(stops)
        reached, is_finished = stop(run_events(config, pair[0]), step)
        sessions += 1
        if is_finished:
            break
        assert reached == step, "each session goes on where the last one stopped"
        last = reached
    assert sessions >= 4
    assert last >= 3
    assert results_of(tmp_path) == results_of(finished(pair))


def interrupt(events: Iterator[fitting.Event], step: int) -> tuple[int, bool]:
    """Ctrl-C while a step is done; returns the last step and whether the run came to its end."""
    last = 0
    try:
        for event in events:
            if isinstance(event, StepReport):
                last = event.step
                if last == step:
                    signal.raise_signal(signal.SIGINT)
            if isinstance(event, Finished):
                return last, True
    except Interrupted as stopped:
        return last, stopped.exit_code != 130
    raise AssertionError("the run neither finished nor said that it was interrupted")


def kill_after_saving(events: Iterator[fitting.Event], step: int) -> tuple[int, bool]:
    return _leave(events, step, Saved)


def kill_before_saving(events: Iterator[fitting.Event], step: int) -> tuple[int, bool]:
    return _leave(events, step, StepReport)


def _leave(events: Iterator[fitting.Event], step: int, kind: type[Saved] | type[StepReport]) -> tuple[int, bool]:
    for event in events:
        if isinstance(event, kind) and event.step == step:
            events.close()  # type: ignore[attr-defined]
            return step, False
        if isinstance(event, Finished):
            return step, True
    raise AssertionError("the run ended without its last event")


@each_proven_pair
def test_evaluation_changes_nothing(pair: tuple[Sample, str], trunks: dict[str, Path], tmp_path: Path) -> None:
    trunk = trunks[kinds_of(*pair)[0]]
    seen = {}
    for every in ("evaluate.per_epoch=1", "evaluate.steps=1"):
        config = make_config(*pair, trunk, "train.epochs=2", every, f"output.folder={tmp_path / every}")
        losses, evaluations, events = [], 0, run_events(config, pair[0])
        for event in events:
            losses += [event.loss] if isinstance(event, StepReport) else []
            evaluations += isinstance(event, Evaluated)
            if isinstance(event, Saved):
                seen[every] = (losses, sha256(event.folder / "trainable.safetensors"))
                break
        events.close()  # type: ignore[attr-defined]
        assert evaluations == (2 if "epoch" in every else len(losses))
    assert seen["evaluate.per_epoch=1"] == seen["evaluate.steps=1"]


@each_proven_pair
def test_same_run_twice_gives_the_same_bytes(
    pair: tuple[Sample, str], trunks: dict[str, Path], finished: Any, tmp_path: Path
) -> None:
    torch.manual_seed(12345)  # what other code did to the global generator must not matter
    list(run_events(exact_config(pair, trunks, tmp_path), pair[0]))
    assert results_of(tmp_path) == results_of(finished(pair))
    again = list(run_events(exact_config(pair, trunks, tmp_path), pair[0]))
    assert [type(event) for event in again] == [Finished]
    assert again[0].already_complete


@each_pair
def test_written_and_read_back_answers_the_same(
    pair: tuple[Sample, str], trunks: dict[str, Path], tmp_path: Path
) -> None:
    for kind in kinds_of(*pair):
        setup = make_setup(*pair, trunks[kind], "train.max_steps=3", "train.epochs=2")
        list(engine.steps(make_job(setup), optimizer_of(setup)))
        if setup.compaction is not None:
            vocabulary.expand(setup.model, setup.compaction)
        rows = pair[0].make_rows(setup.task)
        before = inference.predict_rows(setup.model, setup.task, rows, setup.labels)
        trainable = {n: p for n, p in setup.model.named_parameters() if p.requires_grad}
        facts = fitting.make_facts(setup, fitting.make_identity(setup, trainable))
        folder = tmp_path / kind
        folder.mkdir()
        texts = {"metrics.json": "{}\n", "README.md": "# card\n"}
        artifact.write_artifact(folder, setup.model, facts, setup.labels, texts)
        loaded = api.load(folder)
        assert loaded.artifact.labels == setup.labels
        assert loaded.predict_rows(rows) == before
        stored = METHODS[pair[1]].tags.stores
        assert (folder / "delta.safetensors").exists() == (stored == "delta")
        assert (folder / "model.safetensors").exists() == (stored == "whole")
        assert (folder / "adapter_model.safetensors").exists() == (stored == "adapter")


@each_proven_pair
def test_sixteen_rows_can_be_learnt_by_heart(pair: tuple[Sample, str], trunks: dict[str, Path]) -> None:
    sample = replace(pair[0], rows=pair[0].rows[:16], predictions=pair[0].predictions[:16])
    tags = METHODS[pair[1]].tags
    vectors_write = (
        tags.trains_vectors and TASKS[sample.task].tags.units == "tokens" and not TASKS[sample.task].tags.has_head
    )
    rate = 2e-3 * tags.learning_rate_factor
    setup = make_setup(
        sample,
        pair[1],
        trunks[kinds_of(*pair)[0]],
        "model.dropout=0",
        "train.epochs=400",
        "train.batch_size=16",
        "train.schedule=constant",
        f"train.learning_rate={rate}",
    )
    job = replace(make_job(setup), task=Frozen(setup.task))
    losses: list[float] = []
    for report in engine.steps(job, optimizer_of(setup)):
        losses.append(report.loss)
        if tags.head_only and losses[-1] < 0.7 * losses[0]:  # a random trunk's vectors bound what a head can tell apart
            return
        if vectors_write and losses[-1] < 0.75 * losses[0]:  # and random scores of a vocabulary what these can say
            return
        if report.step % 20 == 0 and is_best(headline(setup, setup.train_items, setup.splits.train), sample):
            return
    is_close = tags.trains_vectors and losses[-1] < 0.5 * losses[0]  # what a few vectors make of a random trunk
    assert is_close, f"the loss is still {report.loss:.3f} after {report.step} steps"


def is_best(value: float, sample: Sample) -> bool:
    return abs(value - sample.best) <= 0.05


CARD = re.compile(
    r"---\nbase_model: .+\nlibrary_name: (transformers|peft|tunesmith)\npipeline_tag: [\w-]+\ntags:\n- tunesmith\n"
    r"---\n\n"
    r"# .+ model, tuned from `[^`\n]+`\n\n"
    r"## Scores\n\nOn .+, with 95 % intervals\..*\n\n\| system \| \w+ \|\n\| --- \| --- \|\n"
    r"(\| [^|\n]+ \| [-\d.]+ \[[-\d.]+, [-\d.]+\] \|\n)*"
    r"\| \*\*this model\*\* \| \*\*[-\d.]+ \[[-\d.]+, [-\d.]+\]\*\* \|\n"
    r"(\nGain over the model before fine-tuning: [+-][\d.]+ \[[+-][\d.]+, [+-][\d.]+\]\.\n)?\n"
    r"## Use\n\n```python\nimport tunesmith as ts\n(.+\n|\n)+?```\n\n(.+\n|\n)+?"
    r"## Data\n\n- training rows: [\d,]+\n- development rows: [\d,]+\n(- .+\n)+\n"
    r"## Training\n\n- method: .+\n- base: `[^`\n]+`, SHA-256 `[0-9a-f]{64}`; its licence applies\n"
    r"- steps: [\d,]+, best at [\d,]+; seed \d+; \d+ s\n- versions: .+\n(- .+\n)+\n"
    r"(## Probabilities\n\nProbabilities are .+\n(On [\d,]+ answers they are off by .+\n)?(Hugging Face's .+\n)?\n)?"
    r"## Limits\n\n.+\n"
)


@each_proven_pair
def test_card_renders_from_the_stored_facts(pair: tuple[Sample, str], finished: Any) -> None:
    folder = finished(pair)
    found = artifact.read_artifact(folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert render_card(found.facts, found.metrics, found.labels) == card
    assert CARD.fullmatch(card), card
    prose = re.sub(r"```python\n.+?```", "", card, flags=re.DOTALL)  # in code a row may stand as a dict
    for placeholder in ("None", "nan", "TODO", "{", "}", "[]", "Mapping", "<"):
        assert placeholder not in prose
    assert not re.search(r"(?<![\w.\]`])/\w+/\w", card), "a path of this machine"
    assert str(folder.parent) not in card
    license_line = [line for line in card.splitlines() if "licence of the data" in line]
    assert len(license_line) == 1
    assert any("texts of the data" in line for line in card.splitlines())
