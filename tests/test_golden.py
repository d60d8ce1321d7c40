"""What must stay as it is: a folder of the first format loads, and the losses of a run are those of before.

Both stand in `tests/golden`. Make them anew only when a change of the numbers is meant:
`TUNESMITH_REGENERATE_GOLDEN=1 pytest tests/test_golden.py`; that says what it wrote and fails, so that nobody
does it by accident. The stored folder is never to be made anew once a version with it was released: a new format
gets a new folder beside it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.contracts.harness import (
    EACH_SAMPLE,
    FAMILY_OF_KIND,
    PLAIN_METHOD,
    SAMPLES,
    Sample,
    kinds_of,
    make_trunks,
)
from tests.tiny import make_tiny_trunk
from tunesmith import api, cli, fitting
from tunesmith.config import resolve_config

GOLDEN = Path(__file__).parent / "golden"
FOLDER = GOLDEN / "artifact-v1"
ANSWERS = GOLDEN / "artifact-v1.jsonl"
LOSSES = GOLDEN / "losses.json"
REGENERATE = os.environ.get("TUNESMITH_REGENERATE_GOLDEN") == "1"
STEPS = 10


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_folder(place: Path) -> None:
    """Fit a tiny model from a folder that knows no path of this machine, and keep what belongs to it."""
    sample = next(sample for sample in SAMPLES if sample.name == "text-classification")
    make_trunks(place)
    base = {
        "model": {"name": "bert"},
        "task": {"name": sample.task},
        "train": {"precision": "fp32", "device": "cpu", "batch_size": 6, "epochs": 20, "learning_rate": 2e-3},
        "evaluate": {"resamples": 100},
        "output": {"folder": FOLDER.name},
    }
    list(fitting.run(resolve_config(base), sample.rows, sample.rows))
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(place / FOLDER.name, FOLDER, ignore=shutil.ignore_patterns(".lock"))
    answers = api.load(FOLDER).predict([without_label(row) for row in sample.rows])
    lines = [
        json.dumps({"row": without_label(row), "prediction": answer.model_dump()}, ensure_ascii=False)
        for row, answer in zip(sample.rows, answers, strict=True)
    ]
    ANSWERS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def without_label(row: dict[str, Any]) -> dict[str, Any]:
    return {"text": row["text"]}


def test_a_folder_of_the_first_format_still_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if REGENERATE:
        monkeypatch.chdir(tmp_path)
        make_folder(tmp_path)
        pytest.fail(f"wrote {FOLDER.name}: commit it, and run again without TUNESMITH_REGENERATE_GOLDEN")
    lines = [json.loads(line) for line in ANSWERS.read_text(encoding="utf-8").splitlines()]
    loaded = api.load(FOLDER)
    assert loaded.artifact.facts["format"] == 1
    answers = loaded.predict([line["row"] for line in lines])
    assert len(answers) == len(lines) >= 16
    for answer, line in zip(answers, lines, strict=True):
        wanted = line["prediction"]
        assert answer.label == wanted["label"]
        assert answer.probabilities == pytest.approx(wanted["probabilities"], abs=1e-5)
    assert len({answer.label for answer in answers}) > 1


def test_the_stored_folder_is_small_and_knows_no_machine() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 200_000
    for path in files:
        if path.suffix != ".safetensors":
            text = path.read_text(encoding="utf-8")
            assert "/tmp" not in text
            assert "/home" not in text


def base_of(sample: Sample, place: Path) -> Path:
    """The stored folder; for a task that it cannot be used for, a trunk that knows the words of these rows alone."""
    kind = kinds_of(sample)[0]
    if kind == "encoder":
        return FOLDER
    task = sample.make_task()
    texts = [text for row in sample.make_rows(task) for text in task.texts(row)]
    return make_tiny_trunk(place / "trunk", FAMILY_OF_KIND[kind], texts)


def first_losses(sample: Sample, place: Path) -> list[float]:
    """The first losses of a run through the command line, from its curves."""
    data, out = place / f"{sample.name}.jsonl", place / "out"
    data.write_text("".join(json.dumps(row) + "\n" for row in sample.rows), encoding="utf-8")
    settings = {
        **{f"task.{key}": value for key, value in sample.options.items()},
        "model.dropout": 0,  # drop-out masks are not the same on every kind of processor
        "train.precision": "fp32",
        "train.device": "cpu",
        "train.batch_size": 4,
        "train.epochs": 3,
        "train.max_steps": STEPS,
        "train.learning_rate": 1e-3,
        "evaluate.baselines": "false",
        "evaluate.resamples": 100,
    }
    command = [
        "fit",
        str(data),
        "--task",
        sample.task,
        "--model",
        str(base_of(sample, place)),
        "--method",
        PLAIN_METHOD,
    ]
    command += ["--dev", str(data), "--out", str(out)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    result = CliRunner().invoke(cli.app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    curves = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [entry["loss"] for entry in curves if "loss" in entry]


@pytest.mark.parametrize("sample", EACH_SAMPLE)
def test_losses_are_those_of_before(sample: Sample, tmp_path: Path) -> None:
    losses = first_losses(sample, tmp_path)
    stored = json.loads(LOSSES.read_text()) if LOSSES.exists() else {}
    if REGENERATE:
        stored[sample.name] = losses
        LOSSES.write_text(json.dumps(dict(sorted(stored.items())), indent=1) + "\n")
        pytest.fail(f"wrote {sample.name} to {LOSSES.name}: run again without TUNESMITH_REGENERATE_GOLDEN")
    assert len(losses) == STEPS
    assert losses == pytest.approx(stored[sample.name], rel=1e-4)


def test_every_sample_has_golden_losses_and_nothing_else_has() -> None:
    assert set(json.loads(LOSSES.read_text())) == {sample.name for sample in SAMPLES}
