"""Pages in a headless Chromium: what it says on its console and what it asks the network for are kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import ARGUMENTS, REQUIRED, find_chromium

Open = Callable[..., "Opened"]


@dataclass
class Opened:
    """A page that was opened.

    Attributes:
        page: of Playwright.
        said: messages on the console, errors among them.
        asked: addresses that were requested, the page's own left out.
    """

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One browser a process; without any, tests are left out, unless TUNESMITH_REQUIRE_BROWSER is set."""
    try:
        path = find_chromium()
    except LookupError as error:
        if os.environ.get(REQUIRED):
            pytest.fail(f"{REQUIRED} is set, but there is {error}")
        pytest.skip(str(error))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Open a file in a fresh context: `open_page(path, width=390, color_scheme="dark")`."""
    contexts = []

    def open_file(path: Path, *, width: int = 1280, **options: Any) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on("console", lambda message: opened.said.append(message.text))
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.page.on("dialog", lambda dialog: opened.said.append(dialog.message))
        opened.page.on("request", lambda request: opened.asked.append(request.url))
        opened.page.goto(path.as_uri())
        opened.asked.remove(path.as_uri())
        return opened

    yield open_file
    for context in contexts:
        context.close()
