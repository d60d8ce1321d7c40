"""What people see: plan, progress, scores beside their competitors, and nothing that data could smuggle in."""

import doctest
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tunesmith import console, output_files, trackers
from tunesmith.console import answers, basics, progress, scores
from tunesmith.contracts import StepReport
from tunesmith.errors import DataError, Interrupted
from tunesmith.events import Evaluated, Finished, Notice, Plan, Saved

FACTS = {"task": "text classification", "columns": "text = 'a\x1b[2J'"}
PLAN = Plan(FACTS, "tunesmith fit --train data.csv --out runs/x", 20, 0, Path("runs/x"))


def score(value: float, spread: float = 0.05, n: int = 131) -> dict[str, float]:
    return {"value": value, "low": value - spread, "high": value + spread, "n": n}


METRICS: Mapping[str, Any] = {
    "headline": "accuracy",
    "split": "dev",
    "scores": {"accuracy": score(0.83)},
    "baselines": {"majority": {"accuracy": score(0.4)}, "frozen": {"accuracy": score(0.71)}},
    "baseline_titles": {"majority": "majority class"},
    "gain": {"value": 0.12, "low": 0.07, "high": 0.17, "n": 131},
    "per_class": {
        name: {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 3.0}
        for name in ("好\x1b]0;x\x07", "bad", "accuracy", "macro avg", "weighted avg")
    },
    "confusion": {"labels": ["好\x1b]0;x\x07", "bad"], "matrix": [[2, 1], [0, 3]]},
}


def step(number: int) -> StepReport:
    return StepReport(number, number / 20, 0.5, 16, 1e-4, 1.0, 320, 0.1, 1, 8192)


def show(*events: object, width: int = 100, terminal: bool = False, **options: bool) -> str:
    """What a reporter prints on these events."""
    file = io.StringIO()
    kind = {"force_terminal": True, "_environ": {"TERM": "xterm"}} if terminal else {"force_terminal": False}
    paper = Console(file=file, width=width, highlight=False, markup=False, emoji=False, **kind)
    with console.Reporter(paper, **options) as reporter:
        for event in events:
            reporter.show(event)
    return file.getvalue()


def test_without_a_terminal_progress_is_a_line_for_each_tenth() -> None:
    shown = show(PLAN, *(step(number) for number in range(1, 21)))
    lines = [line for line in shown.splitlines() if line.startswith("step ")]
    assert len(lines) == 10
    assert lines[-1].startswith("step 20 of 20  loss 0.500  3,200 tokens/s")
    assert PLAN.command in shown.splitlines()
    assert "\x1b" not in shown


def test_the_command_is_never_wrapped() -> None:
    long = Plan(FACTS, "tunesmith fit " + "--set a.b=c " * 20, 20, 0, Path("x"))
    assert long.command.strip() in show(long, width=60)


def test_on_a_terminal_a_bar_comes_and_goes() -> None:
    shown = show(PLAN, step(1), step(2), terminal=True)
    assert "step 2 of 20" in shown
    assert "\x1b[2K" in shown, "the bar's line is erased at the end"
    assert "\x1b[2J" not in shown, "what data holds is escaped"


def test_what_is_not_asked_for_stays_away() -> None:
    events = (
        PLAN,
        step(10),
        Evaluated(10, {"accuracy": 0.5}, "accuracy", True),
        Saved(10, Path("x")),
        Notice("careful"),
    )
    assert show(*events, quiet=True).splitlines() == ["note: careful"]
    assert "saved" not in show(*events)
    assert "saved" in show(*events, verbose=True)
    assert "dev accuracy 0.500  best so far" in show(*events)


@pytest.mark.parametrize("width", [100, 60])
def test_the_end_shows_all_competitors_and_the_gain(width: int) -> None:
    shown = show(Finished(Path("runs/x y"), METRICS, 83.0), width=width, verbose=True)
    assert [line.split()[0] for line in shown.splitlines() if "[0." in line] == ["majority", "frozen", "this"]
    assert "before → after fine-tuning: accuracy 0.710 → 0.830 (+0.120 [+0.070, +0.170])" in shown
    assert "tunesmith predict 'runs/x y' 'a text'" in shown
    assert "1:23 min" in shown
    assert max(len(line.rstrip()) for line in shown.splitlines() if "[0." in line and "→" not in line) <= width


def test_the_hurried_get_three_lines(tmp_path: Path) -> None:
    """The plan's first facts and its command, then progress, then how good, where, and what next."""
    (tmp_path / "report.html").touch()
    facts = dict.fromkeys(("task", "data", "columns", "model", "memory"), "x")
    plan = Plan(facts, "tunesmith fit --train data.csv", 20, 0, tmp_path)
    shown = show(plan, Finished(tmp_path, METRICS, 83.0)).splitlines()
    assert [line.split()[0] for line in shown[:3]] == ["task", "data", "columns"]
    assert plan.command in shown
    assert [line.split()[0] for line in shown if line][-4:] == ["tunesmith", "before", "model", "next"]
    assert shown[-2].endswith("(1:23 min), report in report.html")
    assert "memory" in show(plan, verbose=True)


def test_an_evaluation_is_three_lines_or_everything() -> None:
    sure = {"method": "temperature", "before": {"ece": 0.05}, "after": {"ece": 0.01}}
    metrics = {**METRICS, "split": "test.csv", "calibration": {**sure, "intervals": {"ece": {"low": 0.0, "high": 0.1}}}}
    file = io.StringIO()
    console.show_evaluation(Console(file=file, width=200), metrics, METRICS)
    assert [line.split()[0] for line in file.getvalue().splitlines()] == ["before", "probabilities"]
    console.show_evaluation(Console(file=file, width=200), metrics, METRICS, verbose=True)
    assert all(said in file.getvalue() for said in ("f1-score", "right answer", "majority class"))
    assert file.getvalue().count("probabilities are off") == 2


def test_the_table_of_classes_escapes_labels() -> None:
    shown = show(Finished(Path("x"), METRICS, 1.0), verbose=True)
    assert "好\\x1b]0;x\\x07" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_a_gain_that_is_not_certain_is_called_so() -> None:
    gain = {"value": 0.02, "low": -0.01, "high": 0.05, "n": 131}
    assert "not certain" in console.describe_gain({**METRICS, "gain": gain})
    worse = {"value": -0.12, "low": -0.2, "high": -0.05, "n": 131}
    assert "0.950 → 0.830 (-0.120 [-0.200, -0.050])" in console.describe_gain({**METRICS, "gain": worse})
    assert "not certain" not in console.describe_gain({**METRICS, "gain": worse})


def test_without_competitors_the_score_stands_with_its_interval() -> None:
    bare = {**METRICS, "baselines": {}, "split": "test.csv"}
    del bare["gain"]
    assert console.describe_gain(bare) == "accuracy 0.830 [0.780, 0.880] on 131 rows of test.csv"


def test_many_classes_have_no_confusion_matrix() -> None:
    names = [f"class {number}" for number in range(console.MOST_CLASSES + 1)]
    many = {**METRICS, "confusion": {"labels": names, "matrix": [[0] * len(names)] * len(names)}}
    file = io.StringIO()
    console.show_classes(Console(file=file, width=80), many)
    assert "predicted →" not in file.getvalue()


def test_errors_are_red_stops_are_not_and_neither_runs_escapes() -> None:
    file = io.StringIO()
    paper = Console(file=file, width=60, force_terminal=True, highlight=False, _environ={"TERM": "xterm"})
    console.show_error(paper, DataError("line 3 holds '\x1b[2J' [bold]x[/bold]", fix="mend it"))
    console.show_error(paper, Interrupted("stopped after step 3", fix="to continue: tunesmith fit"))
    shown = file.getvalue()
    assert "\x1b[1;31merror: " in shown
    assert "\x1b[33mstopped after step 3" in shown
    assert "\x1b[2J" not in shown
    assert "\\x1b[2J" in shown
    assert "  fix: mend it" in shown


def test_answers_of_all_kinds_fit_into_the_table() -> None:
    file = io.StringIO()
    answers = [{"label": ["joy", "love"], "probability": None}, {"label": 3.14159}, {"label": "a", "probability": 0.9}]
    console.show_predictions(Console(file=file, width=60), ["x" * 100, "[red]y[/red]", "z"], answers)
    shown = file.getvalue()
    assert all(text in shown for text in ("joy, love", "3.142", "0.90", "[red]y[/red]"))


@pytest.mark.parametrize("module", [answers, basics, progress, scores, output_files, trackers])
def test_examples_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_a_cheap_competitor_that_is_as_good_is_named() -> None:
    rival = {**METRICS, "baselines": {"majority": {"accuracy": score(0.83)}, "frozen": {"accuracy": score(0.7)}}}
    shown = show(Finished(Path("x"), rival, 1.0), quiet=True)
    assert "note: majority class is no worse on these rows" in shown
    assert "frozen" not in shown
    assert "no worse" not in show(Finished(Path("x"), METRICS, 1.0))
