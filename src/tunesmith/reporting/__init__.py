"""report.html: one page that a finished run is judged by; it needs no network, no script and no other file."""

from tunesmith.reporting.language import LANGUAGES
from tunesmith.reporting.material import JudgedRows, Material, collect, gather_rows, row_lengths
from tunesmith.reporting.page import check_target, render_report, write_report

__all__ = [
    "LANGUAGES",
    "JudgedRows",
    "Material",
    "check_target",
    "collect",
    "gather_rows",
    "render_report",
    "row_lengths",
    "write_report",
]
