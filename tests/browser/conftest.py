"""Headless Chromium for the tests of pages; each page is watched for errors and for requests to other machines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.served import find_address, fit_models

REQUIRED = os.environ.get("TUNESMITH_REQUIRE_BROWSER") == "1"
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
TIMEOUT_MS = 20_000
OpenPage = Callable[..., Any]


def refuse(reason: str) -> None:
    """Skip, or fail where the environment says that a browser must be there."""
    if REQUIRED:
        pytest.fail(f"{reason}, and TUNESMITH_REQUIRE_BROWSER=1")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A browser, which is never downloaded: Chromium as the system has it."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        refuse("the package playwright is not installed")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        refuse("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield browser
        browser.close()


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
