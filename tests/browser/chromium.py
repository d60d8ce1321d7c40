"""The browser of this machine, and how it is started: no network of its own, no sandbox where root runs it."""

from __future__ import annotations

import os
import shutil

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATH = "TUNESMITH_CHROMIUM"
"""Names the browser where it is not on the path."""
REQUIRED = "TUNESMITH_REQUIRE_BROWSER"
"""Set to anything: without a browser the tests fail instead of being left out."""


def find_chromium() -> str:
    """The path of the browser.

    Raises:
        LookupError: there is none.
    """
    named = os.environ.get(PATH)
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        looked = named or ", ".join(NAMES)
        raise LookupError(f"no browser ({looked}): install Chromium, on Debian apt-get install chromium fonts-noto-cjk")
    return found
