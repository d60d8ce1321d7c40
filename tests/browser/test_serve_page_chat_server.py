"""The page, the real server, and a tiny model that converses, hardly trained: what it writes is what is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.served import find_address, ready
from tests.tiny import make_tiny_trunk

SAID = ("User: where is the green clock", "Assistant: in the hall", "System: be short")


@pytest.fixture(scope="module")
def chat_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `tunesmith serve` answers with a model that converses."""
    pytest.importorskip("fastapi")
    from tunesmith import api

    folder = tmp_path_factory.mktemp("chat")
    trunk = make_tiny_trunk(folder / "trunk", "llama", texts=SAID * 9, seed=3)
    turns = [{"role": "user", "content": "where is it"}, {"role": "assistant", "content": "in the hall"}]
    quick = [f"model.name={trunk}", "task.name=chat", "train.max_steps=1", "evaluate.baselines=false"]
    quick += ["evaluate.resamples=100", "task.max_new_tokens=12"]
    api.fit([{"messages": turns} for _ in range(12)], out=folder / "talk", settings=quick)
    command = [sys.executable, "-m", "tunesmith", "serve", "talk", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "COLUMNS": "200"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            yield find_address(server)
        finally:
            server.terminate()


def ask_server(address: str, messages: list[dict[str, str]]) -> str:
    body = json.dumps({"model": "talk", "messages": messages, "temperature": 0, "max_tokens": 20}).encode()
    request = urllib.request.Request(f"{address}v1/chat/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])


def send(page: Any, text: str) -> None:
    page.fill("#chat-text", text)
    page.press("#chat-text", "Control+Enter")
    page.wait_for_selector("#chat-send[aria-disabled=false]")


def test_the_page_shows_what_the_server_writes(chat_address: str, open_page: OpenPage) -> None:
    page = ready(open_page(chat_address))
    page.click("text=Settings")
    page.fill("#chat-temperature", "0")
    page.fill("#chat-longest", "20")
    messages = []
    for text in ("where is the green clock", "and the system"):
        send(page, text)
        messages.append({"role": "user", "content": text})
        wanted = ask_server(chat_address, messages)
        assert page.locator(".assistant .message-text").all_text_contents()[-1] == wanted
        messages.append({"role": "assistant", "content": wanted})
    assert page.inner_text("#chat-trouble") == ""


def test_an_example_is_offered_and_refusals_are_told(chat_address: str, open_page: OpenPage) -> None:
    page = ready(open_page(chat_address, expected=("400",)))
    page.click("#chat-example")
    assert "hotel" in page.input_value("#chat-text")
    send(page, "clock " * 2_000)
    page.wait_for_selector("#chat-trouble >> text=The server refused this (status 400).")
    page.click("text=Edit the message")
    assert page.input_value("#chat-text").startswith("clock clock")
