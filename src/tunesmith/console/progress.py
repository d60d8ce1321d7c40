"""The events of a run as they come: plan, progress bar, looks at the development rows, the end."""

from __future__ import annotations

import shlex
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from tunesmith.artifact import REPORT
from tunesmith.console.basics import format_seconds, show_facts, show_next, show_notice
from tunesmith.console.scores import describe_gain, find_rivals, show_details
from tunesmith.contracts import StepReport
from tunesmith.data.rejects import printable
from tunesmith.events import Evaluated, Finished, Notice, Plan, Saved

FIRST_FACTS = 3
"""Facts of the plan that everybody should look at: task, data, columns."""
PARTS = 10
"""Progress lines of a whole run where there is no terminal."""


class Reporter:
    """Prints the events of a run as they come; use it as a context manager, so that the bar is taken away.

    Args:
        console: where to print.
        verbose: also the whole plan, the competitors, the tables of classes, and what was saved.
        quiet: two closing lines and warnings only.
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
        self.stop_bar()

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
            self.stop_bar()
            show_finished(self.console, event, verbose=self.verbose, quiet=self.quiet, hints=self.hints)
        elif isinstance(event, Saved) and self.verbose:
            self.console.print(Text(f"step {event.step:,}  training state saved", "dim"))

    def _show_plan(self, plan: Plan) -> None:
        self.plan = plan
        self.began = time.monotonic()
        if self.quiet:
            return
        shown = list(plan.facts.items())[: None if self.verbose else FIRST_FACTS]
        show_facts(self.console, dict(shown))
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
        line = Text(f"step {event.step:,}  {event.rows} {event.headline} {event.scores[event.headline]:.3f}")
        if "loss" in event.scores and event.headline != "loss":
            line.append(f"  loss {event.scores['loss']:.3f}")
        if event.is_best:
            line.append("  best so far", "green")
        self.console.print(line, soft_wrap=True)

    def stop_bar(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def show_finished(
    console: Console, event: Finished, *, verbose: bool = False, quiet: bool = False, hints: bool = True
) -> None:
    """Print in three lines how good the model is, where it lies and (`hints`) what comes next.

    Args:
        console: where to print.
        event: the end of a run.
        verbose: tables first.
        quiet: two lines.
        hints: the third line.
    """
    metrics, folder = event.metrics, str(event.folder)
    if event.already_complete:
        console.print(Text(f"{printable(folder)} is already complete: nothing to do"), soft_wrap=True)
    if verbose:
        show_details(console, metrics)
    console.print(Text(describe_gain(metrics), "bold"), soft_wrap=not console.is_terminal)
    for title in find_rivals(metrics):
        show_notice(console, f"{title} is no worse on these rows")
    took = f"  ({format_seconds(event.seconds)})" if not event.already_complete else ""
    has_report = (event.folder / REPORT).is_file()
    report = f", report in {REPORT}" if has_report else ""
    console.print(Text.assemble(("model  ", "cyan"), printable(folder), took, report), soft_wrap=True)
    if hints and not quiet:
        show_next(console, [f"tunesmith predict {shlex.quote(folder)} {event.asked}"])
