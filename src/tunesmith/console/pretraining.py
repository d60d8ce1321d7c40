"""The events of a pretraining: reading, plan, progress, samples, the end."""

from __future__ import annotations

import shlex
from types import TracebackType

from rich.console import Console
from rich.text import Text

from tunesmith.console.basics import format_seconds, show_next
from tunesmith.console.progress import Reporter
from tunesmith.data.rejects import printable
from tunesmith.events import Finished, Plan, Reading, Sample

MEGABYTE = 1_000_000
READ_PARTS_BYTES = 50 * MEGABYTE
SHORT_TITLES = {
    "loss": "loss",
    "perplexity": "perplexity",
    "bits_per_byte": "bits a byte",
    "general_loss": "loss on general text",
}


class PretrainReporter:
    """Prints the events of a pretraining as they come; use it as a context manager.

    Args:
        console: where to print.
        verbose: also the whole plan, and what was saved.
        quiet: the closing lines and warnings only.
    """

    def __init__(self, console: Console, *, verbose: bool = False, quiet: bool = False) -> None:
        self.console = console
        self.quiet = quiet
        self.steps = Reporter(console, verbose=verbose, quiet=quiet)
        self.read_bytes = 0

    @property
    def plan(self) -> Plan | None:
        """The plan, once it was shown."""
        return self.steps.plan

    def __enter__(self) -> PretrainReporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.steps.stop_bar()

    def show(self, event: object) -> None:
        """Print one event."""
        if isinstance(event, Reading):
            self._show_reading(event)
        elif isinstance(event, Sample):
            if not self.quiet:
                self.console.print(Text(f"  {printable(event.text)}", "dim"), soft_wrap=True)
        elif isinstance(event, Finished):
            self.steps.stop_bar()
            show_pretrained(self.console, event, hints=not self.quiet)
        else:
            self.steps.show(event)

    def _show_reading(self, event: Reading) -> None:
        if self.quiet or event.done_bytes - self.read_bytes < READ_PARTS_BYTES:
            return
        self.read_bytes = event.done_bytes
        total = f" of about {event.total_bytes / MEGABYTE:,.0f}" if event.total_bytes else ""
        self.console.print(f"read {event.done_bytes / MEGABYTE:,.0f}{total} MB  {event.documents:,} documents")


def show_pretrained(console: Console, event: Finished, *, hints: bool) -> None:
    """Print how well the model guesses held-out text, where it lies, and what comes next."""
    folder = str(event.folder)
    if event.already_complete:
        console.print(Text(f"{printable(folder)} is already complete: nothing to do"), soft_wrap=True)
    console.print(Text(describe_scores(event.metrics["scores"]), "bold"), soft_wrap=not console.is_terminal)
    speed = event.metrics.get("speed", {})
    took = f"  ({format_seconds(event.seconds)})" if not event.already_complete else ""
    console.print(Text.assemble(("model  ", "cyan"), printable(folder), took), soft_wrap=True)
    if speed and not event.already_complete:
        said = f"{speed['tokens_per_s']:,.0f} tokens/s, {speed['flops_per_s'] / 1e9:,.0f} GFLOP/s"
        possible = f"{speed['share']:.0%} of what matrix products reach here"
        console.print(Text.assemble(("speed  ", "cyan"), f"{said}, {possible}"), soft_wrap=True)
    if hints:
        show_next(console, [f"tunesmith fit data.csv --model {shlex.quote(folder)}"])


def describe_scores(scores: dict[str, dict[str, float]]) -> str:
    """One line on held-out text.

    Example:
        >>> describe_scores({"loss": {"value": 1.5, "low": 1.4, "high": 1.6, "n": 10}})
        'held-out text: loss 1.500 [1.400, 1.600]'
    """
    parts = [
        f"{SHORT_TITLES[name]} {score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
        for name, score in scores.items()
    ]
    return "held-out text: " + ", ".join(parts)
