"""Pages in a headless Chromium: what it says on its console and what it asks the network for are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.chromium import ARGUMENTS, REQUIRED, find_chromium
from tests.browser.served import find_address, fit_models

TIMEOUT_MS = 20_000

OpenReport = Callable[..., "Opened"]
OpenPage = Callable[..., Any]


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
def open_report(browser: Any) -> Iterator[OpenReport]:
    """Open a file in a fresh context: `open_report(path, width=390, color_scheme="dark")`."""
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


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    """Open an address in a new window; in the end no page may have had an error or asked another machine.

    `expected=("429",)` names what the browser itself may say of requests that are meant to fail; `prepare` gets the
    page before it loads anything, further options go to the window.
    """
    contexts, faults = [], []

    def open_it(
        address: str,
        *,
        expected: tuple[str, ...] = (),
        prepare: Callable[[Any], None] = lambda page: None,
        **options: Any,
    ) -> Any:
        options = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)

        def judge_message(message: Any) -> None:
            if message.type in ("error", "warning") and not any(part in message.text for part in expected):
                faults.append(f"console {message.type}: {message.text}")

        def judge_request(request: Any) -> None:
            place = urlsplit(request.url)
            if place.scheme in ("http", "https", "ws", "wss") and place.hostname != "127.0.0.1":
                faults.append(f"request to {request.url}")

        page.on("console", judge_message)
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        context.on("request", judge_request)
        prepare(page)
        page.goto(address)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def downloads(tmp_path: Path) -> Callable[[Any, Callable[[], None]], tuple[str, bytes]]:
    """What a page offers as a file when something is done: its name and its bytes."""

    def take(page: Any, do: Callable[[], None]) -> tuple[str, bytes]:
        with page.expect_download() as waiting:
            do()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path.name, path.read_bytes()

    return take


@pytest.fixture(scope="session")
def address(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `tunesmith serve` answers, with a classifier and a tagger."""
    pytest.importorskip("fastapi")
    folder = tmp_path_factory.mktemp("served")
    fit_models(tiny_bert, folder)
    source = Path(__file__).parents[2] / "src"
    command = [sys.executable, "-m", "tunesmith", "serve", "reviews", "places", "--port", "0"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            yield find_address(server)
        finally:
            server.terminate()
