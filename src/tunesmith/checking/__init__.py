"""What is in labelled files and what is wrong with them, before a model is trained on them."""

from tunesmith.checking.checks import check_sources
from tunesmith.checking.findings import SEVERITIES, Finding, say_share

__all__ = ["SEVERITIES", "Finding", "check_sources", "say_share"]
