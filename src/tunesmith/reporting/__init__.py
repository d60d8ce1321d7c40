"""report.html: one page that a finished run is judged by; it needs no network, no script and no other file."""

from tunesmith.reporting.language import LANGUAGES
from tunesmith.reporting.material import JudgedRows, Material, collect
from tunesmith.reporting.page import REPORT, discard_report, render_report, write_report

__all__ = [
    "LANGUAGES",
    "REPORT",
    "JudgedRows",
    "Material",
    "collect",
    "discard_report",
    "render_report",
    "write_report",
]
