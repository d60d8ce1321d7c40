"""Choosing a method or a model: one table, a recommendation that follows from it, lines with reasons, going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import method_bench, model_choice
from tunesmith.child_processes import Ended
from tunesmith.cli import app
from tunesmith.errors import ConfigError, DataError, UserError
from tunesmith.evaluation.choosing import choose_cheapest, sort_by_score
from tunesmith.evaluation.scoring import score_predictions
from tunesmith.tasks import make_task

QUICK = ("train.max_steps=2", "train.precision=fp32", "evaluate.resamples=100", "output.report=none")


def run(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in make_rows(60)), encoding="utf-8")
    return path


# Which system is chosen


def judge(right: int, count: int = 60) -> Any:
    """The scores of a system that is right in the first so many rows."""
    task = make_task("text-classification", {})
    rows = [task.Row(text=str(place), label="ab"[place % 2]) for place in range(count)]
    labels = task.labels(rows)
    golds = [task.gold(row, labels) for row in rows]
    answers = []
    for place, row in enumerate(rows):
        name = row.label if place < right else "ba"[place % 2]
        answers.append(task.Prediction(label=name, probability=1.0, probabilities={name: 1.0}))
    return task, labels, score_predictions(task, answers, golds, labels, resamples=100)


def test_the_cheapest_that_is_not_shown_to_be_worse_is_chosen() -> None:
    task, labels, best = judge(55)
    systems = {"best": best, "close": judge(54)[2], "poor": judge(30)[2]}
    costs = {"best": (9.0,), "close": (5.0,), "poor": (1.0,)}
    found = choose_cheapest(systems, costs, task, labels, metric="accuracy", resamples=200)
    assert (found.best, found.chosen) == ("best", "close")
    assert set(found.differences) == {"close", "poor"}
    assert found.differences["poor"].value == pytest.approx(-25 / 60)
    assert sort_by_score(systems, "accuracy") == ["best", "close", "poor"]


def test_one_system_alone_is_chosen() -> None:
    task, labels, only = judge(40)
    found = choose_cheapest({"only": only}, {"only": (1.0,)}, task, labels, metric="accuracy")
    assert (found.best, found.chosen, dict(found.differences)) == ("only", "only", {})


# Methods


def bench(rows: Path, trunk: Path, out: Path, methods: list[str], *settings: str) -> dict[str, Any]:
    return method_bench.bench_methods(
        str(rows), methods=methods, model=str(trunk), out=str(out), settings=[*QUICK, *settings]
    )


def test_methods_stand_in_one_table_and_refusals_say_why(rows: Path, tmp_path: Path) -> None:
    """BitFit finds no biases in a Llama; the others are measured, and the same call again takes them as they are."""
    trunk = make_tiny_trunk(tmp_path / "trunk", "llama")
    told: list[str] = []
    found = method_bench.bench_methods(
        str(rows), methods=["full", "bitfit"], model=str(trunk), out=str(tmp_path / "out"), settings=QUICK,
        tell=told.append,
    )  # fmt: skip
    full, refused = found["methods"]
    assert (full["name"], full["status"]) == ("full", "done")
    assert full["score"]["low"] <= full["score"]["value"] <= full["score"]["high"]
    assert full["trainable_parameters"] > 0
    assert full["artifact_bytes"] > 1000
    assert full["seconds"] > 0
    assert full["peak_memory_bytes"] > 50e6
    assert (refused["name"], refused["status"]) == ("bitfit", "refused")
    assert "no bias" in refused["reason"]
    assert found["recommendation"]["method"] == "full"
    assert "only method" in found["recommendation"]["why"]
    assert told == ["fitting full (1 of 2)", "fitting bitfit (2 of 2)", "scoring"]
    stored = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert stored["methods"] == found["methods"]
    again = bench(rows, trunk, tmp_path / "out", ["full"])
    assert again["methods"][0]["seconds"] == full["seconds"]
    assert again["methods"][0]["score"] == full["score"]


def test_the_command_prints_the_table_and_one_object(
    rows: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given in a folder that holds a module of a name that we import."""
    (tmp_path / "rich.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    words = [word for setting in (*QUICK, "method.rank=2") for word in ("--set", setting)]
    methods = ("--methods", "lora")
    result = run("bench-methods", rows, "--model", tiny_bert, *methods, "--out", tmp_path / "out", "--json", *words)
    said = json.loads(result.stdout)
    assert {row["name"] for row in said["methods"]} == {"lora"}
    table = result.stderr
    assert "peak memory" in table
    assert any(line.startswith("lora") for line in table.splitlines())
    assert f"take {said['recommendation']['why']}" in table
    assert json.loads((tmp_path / "out" / "lora" / "tunesmith.json").read_text())["method"]["rank"] == 2


@pytest.mark.parametrize(
    ("methods", "settings", "message"),
    [
        (["fulll"], (), "did you mean 'full'"),
        ([], (), "no method is named"),
        (["head"], ("method.rank=2",), "none of head has this option"),
        (["head"], ("output.folder=x",), "no effect here"),
        (["head"], ("method.name=lora",), "no effect here"),
        (["head"], ("data.dev_fraction=0",), "none are held out"),
    ],
)
def test_mistakes_are_told_before_the_first_fit(
    methods: list[str], settings: tuple[str, ...], message: str, rows: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        bench(rows, tiny_bert, tmp_path / "out", methods, *settings)
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="read once only"):
        method_bench.bench_methods("-")


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (2, "note\nerror: no bias here\n  fix: --method lora\n", "bitfit: no bias here; fix: --method lora"),
        (-9, "something\n", "bitfit: ended with exit code -9; "),
    ],
)
def test_where_no_method_works_the_reasons_are_the_error(
    code: int, said: str, told: str, rows: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(arguments: list[str], log: Path) -> Ended:
        log.write_text(said)
        return Ended(code, 1.0, None, was_asked_to_stop=False)

    monkeypatch.setattr(method_bench, "run_child", end)
    with pytest.raises(UserError) as caught:
        bench(rows, tiny_bert, tmp_path / "out", ["bitfit"])
    assert f"no method could be fitted: {told}" in caught.value.message
    stored = json.loads((tmp_path / "out" / method_bench.BENCH).read_text())
    assert ("bitfit" in stored["spent"]) == (code == -9)  # what was refused did not begin


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_keeps_what_was_measured(rows: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """Stopped while the second method is fitted; the same command goes on."""
    out = tmp_path / "out"
    settings = ["train.epochs=2000", "train.max_steps=3000", *QUICK[1:]]
    command = [sys.executable, "-m", "tunesmith", "bench-methods", str(rows), "--model", str(tiny_bert)]
    command += ["--methods", "head,full", "--out", str(out), *(w for s in settings for w in ("--set", s))]
    (out / "head").mkdir(parents=True)  # the first is refused at once: its place is taken
    (out / "head" / "mine.txt").write_text("not a model")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ, start_new_session=True)
    deadline = time.monotonic() + 90
    while not list(out.glob("full/checkpoints/metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 130, said
    assert "to continue: tunesmith bench-methods" in said
    stored = json.loads((out / "bench.json").read_text())
    assert stored["methods"][0]["status"] == "refused"
    assert stored["spent"]["full"]["seconds"] > 0
    assert list((out / "full" / "checkpoints").glob("step-*"))


# Base models


def test_models_are_compared_without_tuning(rows: Path, tiny_bert: Path, tmp_path: Path) -> None:
    other = make_tiny_trunk(tmp_path / "llama", "llama")
    (other / "README.md").write_text("---\nlicense: mit\n---\n")
    settings = ("--set", "evaluate.resamples=100")
    names = f"{tiny_bert},{other},{tmp_path / 'nowhere'}"
    result = run("models", rows, "--candidates", names, "--json", *settings)
    said = json.loads(result.stdout)
    found = {row["name"]: row for row in said["candidates"]}
    assert found[str(other)]["licence"] == "mit"
    assert found[str(tiny_bert)]["licence"] == "not stated"
    assert 0 <= found[str(tiny_bert)]["unknown_share"] <= 1
    assert found[str(other)]["unknown_share"] is None
    assert all(found[str(name)]["tokens_per_row"] > 5 for name in (other, tiny_bert))
    assert all(found[str(name)]["tokens_per_second"] > 0 for name in (other, tiny_bert))
    assert found[str(tiny_bert)]["bytes"] > found[str(tiny_bert)]["parameters"] > 10_000
    assert "no folder" in found[str(tmp_path / "nowhere")]["error"]
    scores = [row["score"]["value"] for row in said["candidates"] if row["score"]]
    assert scores == sorted(scores, reverse=True)
    assert said["recommendation"]["model"] in names
    assert said["recommendation"]["why"] in result.stderr.replace("\n", "")
    assert said["headline"] == "accuracy"


def test_models_that_cannot_be_loaded_are_an_error_where_all_of_them_are(rows: Path) -> None:
    with pytest.raises(UserError, match=r"no candidate can be used: \./nowhere"):
        model_choice.compare_models(str(rows), ["./nowhere"])
    with pytest.raises(ConfigError, match="no candidate is named"):
        model_choice.compare_models(str(rows), [])


def test_tasks_without_a_score_before_training_get_the_other_columns(tiny_bert: Path) -> None:
    rows = [
        {"question": "what was good?", "context": row["text"], "answers": row["text"][4:8]} for row in make_rows(30)
    ]
    settings = ["task.name=question-answering", "evaluate.resamples=100"]
    found = model_choice.compare_models(rows, [str(tiny_bert)], settings=settings)
    assert found["candidates"][0]["score"] is None
    assert found["candidates"][0]["tokens_per_row"] > 5
    assert found["recommendation"]["model"] is None


def test_a_model_that_cannot_read_the_texts_is_not_recommended(tiny_bert: Path, tmp_path: Path) -> None:
    """Whatever its probe scores; where no other is left, it is said."""
    rows = [{"text": f"Zug {row['text'][::-1]}", "label": row["label"]} for row in make_rows(60)]
    able = make_tiny_trunk(tmp_path / "able", texts=[row["text"] for row in rows])
    settings = ["evaluate.resamples=100"]
    found = model_choice.compare_models(rows, [str(tiny_bert), str(able)], settings=settings)
    assert found["recommendation"]["model"] == str(able)
    assert f"{tiny_bert} does not know" in found["recommendation"]["why"]
    alone = model_choice.compare_models(rows, [str(tiny_bert)], settings=settings)
    assert "look for another" in alone["recommendation"]["why"]
