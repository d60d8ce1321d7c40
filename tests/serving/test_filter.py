"""A server behind a filter shows nothing that it catches: in streams, whole answers and rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.serving.harness import Client
from tunesmith import generation
from tunesmith.output_filter import OutputFilter
from tunesmith.serving.batching import Crew
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.lifecycle import RunningServer, open_listener
from tunesmith.serving.service import make_service

WRITTEN = "good film . bad meal . good hotel"
"""What the model writes in these tests."""
HELD_BACK = OutputFilter((re.compile("bad"),), replacement="[held back]")


@pytest.fixture
def client(writing_models: dict[str, Hosted], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    hosted = replace(writing_models["llama"], output_filter=HELD_BACK)
    tokens = hosted.predictor.model.tokenizer(WRITTEN)["input_ids"]

    def stream(model: object, prompt: object, how: generation.Decoding, row: int = 0) -> Iterator[int]:
        yield from tokens

    monkeypatch.setattr(generation, "stream", stream)
    monkeypatch.setattr(generation, "write", lambda model, prompts, how, rows=None: [list(tokens) for _ in prompts])
    running = RunningServer(make_service({"llama": hosted}, crew=Crew(2, 1)), open_listener("127.0.0.1", 0))
    running.start()
    yield Client(running.address[1])
    running.stop()


def test_whole_answers_end_where_something_was_caught(client: Client) -> None:
    body = {"model": "llama", "prompt": "the film", "max_tokens": 40}
    (choice,) = client.post("/v1/completions", body).json["choices"]
    assert choice["text"].startswith("good film .")
    assert choice["text"].endswith("[held back]")
    assert "bad" not in choice["text"]
    assert choice["finish_reason"] == "content_filter"


def test_streams_show_no_part_of_it(client: Client) -> None:
    body = {"model": "llama", "prompt": "the film", "max_tokens": 40, "stream": True}
    sent = client.post("/v1/completions", body).body.decode()
    events = [line.removeprefix("data: ") for line in sent.splitlines() if line.startswith("data: {")]
    choices = [json.loads(event)["choices"][0] for event in events]
    text = "".join(choice["text"] for choice in choices)
    assert text.endswith("[held back]")
    assert "bad" not in text
    assert choices[-1]["finish_reason"] == "content_filter"


def test_rows_are_answered_behind_it_too(client: Client) -> None:
    answer = client.predict({"text": "the film"}, "llama").json["answer"]
    assert answer.endswith("[held back]")
    assert "bad" not in answer
