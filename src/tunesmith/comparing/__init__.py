"""Two models, or two configurations with several runs each, on the same labelled rows: `tunesmith.compare`."""

from tunesmith.comparing.comparison import compare

__all__ = ["compare"]
