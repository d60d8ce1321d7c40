"""What people see on a terminal: the plan, a progress bar, scores with their intervals, what to do next.

It prints events and the objects of metrics.json, and knows no task or method. All of it goes to standard
error, so that standard output holds results only. Whatever came from data is shown with its control
characters escaped.
"""

from tunesmith.console.answers import format_answer, format_label, show_predictions, show_written
from tunesmith.console.basics import (
    format_seconds,
    make_console,
    show_error,
    show_facts,
    show_next,
    show_notice,
    working,
)
from tunesmith.console.progress import Reporter, show_finished
from tunesmith.console.scores import (
    MOST_CLASSES,
    describe_certainty,
    describe_gain,
    find_rivals,
    format_difference,
    format_interval,
    show_classes,
    show_details,
    show_evaluation,
    show_scores,
)

__all__ = [
    "MOST_CLASSES",
    "Reporter",
    "describe_certainty",
    "describe_gain",
    "find_rivals",
    "format_answer",
    "format_difference",
    "format_interval",
    "format_label",
    "format_seconds",
    "make_console",
    "show_classes",
    "show_details",
    "show_error",
    "show_evaluation",
    "show_facts",
    "show_finished",
    "show_next",
    "show_notice",
    "show_predictions",
    "show_scores",
    "show_written",
    "working",
]
