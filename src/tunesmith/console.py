"""What people see on a terminal: the plan, a progress bar, scores with their intervals, what to do next.

It prints events and the objects of metrics.json, and knows no task or method. All of it goes to standard
error, so that standard output holds results only. Whatever came from data is shown with its control
characters escaped.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from tunesmith.contracts import StepReport
from tunesmith.data.rejects import printable
from tunesmith.errors import Interrupted
from tunesmith.events import Evaluated, Finished, Notice, Plan, Saved
from tunesmith.metrics import ALPHA, SMALLER_IS_BETTER, format_p, report_table

PARTS = 10
"""Progress lines of a whole run where there is no terminal."""
MOST_CLASSES = 12
"""Largest confusion matrix that is printed."""
LABEL_COLUMN = 15
UNSURE = " – not sure"
"""Stands behind an answer that is less sure than was asked for."""


def make_console(file: TextIO | None = None) -> Console:
    """A console on standard error (or `file`) that takes texts as they are: no markup, no emoji codes."""
    return Console(file=file, stderr=file is None, highlight=False, markup=False, emoji=False)


class Reporter:
    """Prints the events of a run as they come; use it as a context manager, so that the bar is taken away.

    Args:
        console: where to print.
        verbose: also the table of classes.
        quiet: the closing lines and warnings only.
        hints: say what could be done next.
    """

    def __init__(self, console: Console, *, verbose: bool = False, quiet: bool = False, hints: bool = True) -> None:
        self.console = console
        self.hints = hints
        self.verbose = verbose
        self.quiet = quiet
        self.plan: Plan | None = None
        self.bar: Progress | None = None
        self.began = 0.0
        self.tokens = 0
        self.seconds = 0.0

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_bar()

    def show(self, event: object) -> None:
        """Print one event."""
        if isinstance(event, Notice):
            show_notice(self.console, event.text)
        elif isinstance(event, Plan):
            self._show_plan(event)
        elif isinstance(event, StepReport):
            self._show_step(event)
        elif isinstance(event, Evaluated) and not self.quiet:
            self._show_evaluation(event)
        elif isinstance(event, Finished):
            self._stop_bar()
            show_finished(self.console, event, verbose=self.verbose, quiet=self.quiet, hints=self.hints)
        elif isinstance(event, Saved) and self.verbose:
            self.console.print(Text(f"step {event.step:,}  training state saved", "dim"))

    def _show_plan(self, plan: Plan) -> None:
        self.plan = plan
        self.began = time.monotonic()
        if self.quiet:
            return
        show_facts(self.console, plan.facts)
        self.console.print(Text("the same, in full:", "dim"))
        self.console.print(Text(printable(plan.command)), soft_wrap=True)
        self.console.print()
        if self.console.is_terminal:
            self.bar = Progress(
                BarColumn(bar_width=None),
                TextColumn("{task.description}"),
                console=self.console,
                transient=True,
            )
            self.bar.add_task("starting", total=plan.total_steps, completed=plan.start_step)
            self.bar.start()

    def _show_step(self, report: StepReport) -> None:
        self.tokens += report.tokens
        self.seconds += report.seconds
        if self.plan is None or self.quiet:
            return
        total = self.plan.total_steps
        line = self._describe(report, total, self.plan.start_step)
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=report.step, description=line)
            if report.step == total:
                self.bar.update(self.bar.task_ids[0], description="scoring the model and its competitors")
        elif report.step * PARTS // total > (report.step - 1) * PARTS // total:
            self.console.print(line, soft_wrap=True)

    def _describe(self, report: StepReport, total: int, start: int) -> str:
        elapsed = time.monotonic() - self.began
        left = elapsed / (report.step - start) * (total - report.step)
        speed = self.tokens / max(self.seconds, 1e-9)
        return (
            f"step {report.step:,} of {total:,}  loss {report.loss:.3f}  {speed:,.0f} tokens/s  "
            f"{format_seconds(left)} left"
        )

    def _show_evaluation(self, event: Evaluated) -> None:
        line = Text(f"step {event.step:,}  dev {event.headline} {event.scores[event.headline]:.3f}")
        if "loss" in event.scores:
            line.append(f"  loss {event.scores['loss']:.3f}")
        if event.is_best:
            line.append("  best so far", "green")
        self.console.print(line, soft_wrap=True)

    def _stop_bar(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


@contextmanager
def working(console: Console, what: str) -> Iterator[None]:
    """Show that something is being done, on a terminal only."""
    if not console.is_terminal:
        yield
        return
    with console.status(Text(what, "dim")):
        yield


def format_seconds(seconds: float) -> str:
    """A duration as people say it.

    Example:
        >>> format_seconds(7.4), format_seconds(83), format_seconds(7322)
        ('7 s', '1:23 min', '2:02 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02} h"


def show_notice(console: Console, text: str) -> None:
    """Print something the user should know."""
    console.print(Text.assemble(("note: ", "yellow"), printable(text)))


def show_error(console: Console, error: object) -> None:
    """Print an error's message and its fix; a stop that was asked for is no error."""
    lines = [printable(line) for line in str(error).splitlines()] or [type(error).__name__]
    fix = lines.pop() if len(lines) > 1 and lines[-1].startswith("  fix: ") else None
    title, style = ("", "yellow") if isinstance(error, Interrupted) else ("error: ", "red")
    console.print(Text.assemble((title, f"bold {style}"), ("\n".join(lines), style)), soft_wrap=True)
    if fix is not None:
        console.print(Text(fix), soft_wrap=True)


def show_facts(console: Console, facts: Mapping[str, str]) -> None:
    """Print title → value in two columns."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for title, value in facts.items():
        grid.add_row(title, Text(printable(value)))
    console.print(grid)


def show_finished(
    console: Console, event: Finished, *, verbose: bool = False, quiet: bool = False, hints: bool = True
) -> None:
    """Print how good the model is, beside its competitors, where it lies and (`hints`) what comes next."""
    metrics, folder = event.metrics, str(event.folder)
    if event.already_complete:
        console.print(Text(f"{printable(folder)} is already complete: nothing to do"), soft_wrap=True)
    if verbose:
        show_classes(console, metrics)
    if not quiet:
        show_scores(console, metrics)
        console.print()
    for line in describe_certainty(metrics) if verbose else ():
        console.print(Text(line), soft_wrap=not console.is_terminal)
    console.print(Text(describe_gain(metrics), "bold"), soft_wrap=not console.is_terminal)
    for title in find_rivals(metrics):
        show_notice(console, f"{title} is no worse on these rows")
    took = f"  ({format_seconds(event.seconds)})" if not event.already_complete else ""
    console.print(Text.assemble(("model  ", "cyan"), printable(folder), took), soft_wrap=True)
    if hints and not quiet:
        show_next(console, [f"tunesmith predict {shlex.quote(folder)} 'a text'"])


def show_next(console: Console, commands: Sequence[str]) -> None:
    """Print the commands that make sense now, whole, so that they can be copied."""
    for place, command in enumerate(commands):
        console.print(Text.assemble((("next   ", "       ")[place > 0], "cyan"), printable(command)), soft_wrap=True)


def describe_gain(metrics: Mapping[str, Any]) -> str:
    """The one line that says what fine-tuning brought.

    Example:
        >>> scores = {"accuracy": {"value": 0.83, "low": 0.77, "high": 0.89, "n": 131}}
        >>> describe_gain({"headline": "accuracy", "scores": scores, "split": "dev"})
        'accuracy 0.830 [0.770, 0.890] on 131 development rows'
    """
    name = metrics["headline"]
    after = metrics["scores"][name]
    split = str(metrics["split"])
    rows = f"on {after['n']:,} " + ("development rows" if split == "dev" else f"rows of {printable(split)}")
    gain = metrics.get("gain")
    if gain is None:
        return f"{name} {format_interval(after)} {rows}"
    before = after["value"] - gain["value"]
    return (
        f"before → after fine-tuning: {name} {before:.3f} → {after['value']:.3f} "
        f"({format_difference(gain)}) {rows}{_doubt(gain)}"
    )


def _doubt(gain: Mapping[str, Any]) -> str:
    """Why a gain is not certain; folders of early versions have no p."""
    if "p" in gain:
        return "" if gain["p"] < ALPHA else f"; p is not below {ALPHA}, so the gain is not certain"
    return "" if gain["low"] > 0 or gain["high"] < 0 else "; the interval holds 0, so the gain is not certain"


def format_difference(gain: Mapping[str, Any]) -> str:
    """A difference with its interval, and its p-value where there is one.

    Example:
        >>> format_difference({"value": 0.022, "low": 0.008, "high": 0.036, "p": 0.002})
        '+0.022 [+0.008, +0.036], p = 0.002'
    """
    shown = f"{gain['value']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
    return f"{shown}, {format_p(gain['p'])}" if "p" in gain else shown


def describe_certainty(metrics: Mapping[str, Any]) -> list[str]:
    """Lines that say how far probabilities can be trusted, and what it brings to withhold answers.

    Example:
        >>> sure = {"method": "temperature", "before": {"ece": 0.05}, "after": {"ece": 0.01}}
        >>> sure["intervals"] = {"ece": {"low": 0.0, "high": 0.02}}
        >>> describe_certainty({"calibration": sure})
        ['probabilities are off by 0.010 [0.000, 0.020] on average (0.050 without temperature scaling)']
    """
    lines = []
    calibration, abstention = metrics.get("calibration"), metrics.get("abstention")
    if calibration and calibration["after"]:
        error = format_interval({**calibration["intervals"]["ece"], "value": calibration["after"]["ece"]})
        line = f"probabilities are off by {error} on average"
        if calibration["method"] != "none":
            line += f" ({calibration['before']['ece']:.3f} without {calibration['method']} scaling)"
        lines.append(line)
    if abstention:
        line = f"with --abstain {printable(abstention['wish'])} (threshold {abstention['threshold']:.3f}): "
        if "coverage" in abstention:
            coverage, accuracy = format_interval(abstention["coverage"]), format_interval(abstention["accuracy"])
            line += f"coverage {coverage}, accuracy of what is answered {accuracy}"
        else:
            line += "nothing is answered"
        lines.append(line)
    return lines


def find_rivals(metrics: Mapping[str, Any]) -> list[str]:
    """Titles of the competitors that score at least as well as the model.

    Example:
        >>> scores = {"accuracy": {"value": 0.8}}
        >>> find_rivals({"headline": "accuracy", "scores": scores, "baselines": {"tfidf": scores}})
        ['tfidf']
    """
    name, titles = metrics["headline"], metrics.get("baseline_titles", {})
    sign = -1 if name in SMALLER_IS_BETTER else 1
    reached = sign * metrics["scores"][name]["value"]
    found = metrics["baselines"].items()
    return [titles.get(key, key) for key, scores in found if sign * scores[name]["value"] >= reached]


def format_interval(score: Mapping[str, float]) -> str:
    """A score and its 95 % interval.

    Example:
        >>> format_interval({"value": 0.5, "low": 0.4, "high": 0.6})
        '0.500 [0.400, 0.600]'
    """
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


def show_scores(console: Console, metrics: Mapping[str, Any], *, model: str = "this model") -> None:
    """Print the headline score of the model below those of its competitors."""
    name = metrics["headline"]
    titles = metrics.get("baseline_titles", {})
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column(name, justify="right")
    table.add_column("95 % interval", justify="right")
    for baseline, scores in metrics["baselines"].items():
        _add_score(table, titles.get(baseline, baseline), scores[name])
    _add_score(table, model, metrics["scores"][name], style="bold")
    console.print(table)


def _add_score(table: Table, title: str, score: Mapping[str, float], style: str = "") -> None:
    interval = f"[{score['low']:.3f}, {score['high']:.3f}]"
    table.add_row(Text(printable(title)), f"{score['value']:.3f}", Text(interval), style=style)


def show_classes(console: Console, metrics: Mapping[str, Any]) -> None:
    """Print precision, recall and F1 of each class, and who is taken for whom where classes are few."""
    tables = {name: table for name, table in metrics.items() if name.startswith("per_") and table}
    for name, table in tables.items():
        if len(tables) > 1:
            console.print(Text(name.replace("_", " "), "bold"))
        shown = {printable(label): row for label, row in table.items()}
        console.print(Text(report_table(shown)), soft_wrap=True)
        console.print()
    confusion = metrics.get("confusion")
    if confusion and len(confusion["labels"]) <= MOST_CLASSES:
        _show_confusion(console, confusion)
        console.print()


def _show_confusion(console: Console, confusion: Mapping[str, Any]) -> None:
    labels = [printable(label) for label in confusion["labels"]]
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("right answer ↓  predicted →", style="cyan", overflow="fold")
    for label in labels:
        table.add_column(Text(label), justify="right", overflow="ellipsis", max_width=LABEL_COLUMN, no_wrap=True)
    for place, (label, row) in enumerate(zip(labels, confusion["matrix"], strict=True)):
        cells = [Text(f"{n:,}", "bold" if column == place else "") for column, n in enumerate(row)]
        table.add_row(Text(label), *cells)
    console.print(table)


def show_evaluation(console: Console, metrics: Mapping[str, Any], trained: Mapping[str, Any]) -> None:
    """Print a finished model's scores on a file, and below what it and its competitors had when it was made.

    Args:
        console: where to print.
        metrics: of the file.
        trained: metrics.json of the model.
    """
    show_classes(console, metrics)
    if metrics.get("rejected"):
        show_notice(console, f"{metrics['rejected']:,} rows could not be used and are not counted")
    if metrics["baselines"]:
        show_scores(console, metrics)
        console.print()
    console.print(Text(describe_gain(metrics), "bold"), soft_wrap=not console.is_terminal)
    for line in describe_certainty(metrics):
        console.print(Text(line), soft_wrap=not console.is_terminal)
    if metrics.get("unseen_labels"):
        listed = ", ".join(f"{printable(name)} ({count:,})" for name, count in metrics["unseen_labels"].items())
        console.print(Text(f"note: labels the model never learnt, counted as wrong: {listed}", "yellow"))
    if trained["baselines"] and not metrics["baselines"]:
        why = printable(metrics.get("baselines_missing", ""))
        console.print()
        console.print(Text(f"no competitors on these rows: {why}; on the development rows, back then:", "dim"))
        show_scores(console, trained)


def show_written(console: Console, out: str, written: int, rejected: int, examples: Sequence[object]) -> None:
    """Print how many answers were written and which rows were not."""
    if rejected:
        lines = [f"{rejected:,} of {written + rejected:,} rows could not be used and have no answer"]
        lines += [f"  {example}" for example in examples]
        if out != "-":
            lines.append(f"  all of them: {out}.rejected.jsonl")
        console.print(Text.assemble(("note: ", "yellow"), "\n".join(map(printable, lines))), soft_wrap=True)
    if out != "-":
        console.print(Text(f"{written:,} answers in {printable(out)}"), soft_wrap=True)


def show_predictions(console: Console, texts: Sequence[str], predictions: Sequence[Mapping[str, Any]]) -> None:
    """Print texts and their answers as a table."""
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    table.add_column("answer", style="bold", overflow="fold")
    table.add_column("probability", justify="right")
    table.add_column("text", overflow="fold")
    for text, prediction in zip(texts, predictions, strict=True):
        share = prediction.get("probability")
        table.add_row(
            Text(format_answer(prediction)),
            "" if share is None else f"{share:.2f}",
            Text(printable(text)),
        )
    console.print(table)


def format_answer(prediction: Mapping[str, Any]) -> str:
    """An answer for people: its label, or its entities.

    Example:
        >>> format_answer({"entities": [{"text": "Oslo", "label": "LOC", "probability": 0.98}]})
        'Oslo = LOC (0.98)'
        >>> format_answer({"label": "refund", "abstained": True})
        'refund – not sure'
    """
    if "entities" not in prediction:
        return format_label(prediction["label"]) + (UNSURE if prediction.get("abstained") else "")
    found = [
        f"{printable(entity['text'])} = {printable(entity['label'])} ({entity['probability']:.2f})"
        + (UNSURE if entity.get("abstained") else "")
        for entity in prediction["entities"]
    ]
    return "\n".join(found) or "(none)"


def format_label(label: Any) -> str:
    """A class, several, or a number, for people.

    Example:
        >>> format_label(["joy", "love"]), format_label([]), format_label(3.14159)
        ('joy, love', '(none)', '3.142')
    """
    if isinstance(label, float):
        return f"{label:.3f}"
    if isinstance(label, str):
        return printable(label)
    return ", ".join(map(printable, label)) or "(none)"
