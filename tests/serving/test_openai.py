"""OpenAI's own client, unchanged, against the server: completions, chat, vectors, streams, errors, keys."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.serving.conftest import Start
from tests.serving.harness import Client, wait_for
from tunesmith import chatting, generation
from tunesmith.serving.batching import Crew
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.lifecycle import RunningServer, open_listener
from tunesmith.serving.limits import Limits
from tunesmith.serving.security import Gate
from tunesmith.serving.service import Service, make_service

openai = pytest.importorskip("openai", reason="the package openai is not installed")

TEXT = "the film was good"
DRAWN: dict[str, Any] = {"temperature": 1.0, "seed": 3, "max_tokens": 12}


Connect = Callable[..., Any]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make the client for a server; all are closed in the end."""
    with contextlib.ExitStack() as opened:

        def make(client: Client, key: str = "any") -> Any:
            url = f"http://127.0.0.1:{client.port}/v1"
            return opened.enter_context(openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=30))

        yield make


@pytest.fixture(scope="module")
def writing_server(writing_models: dict[str, Hosted]) -> Iterator[tuple[Client, Service]]:
    service = make_service(writing_models, crew=Crew(2, 1))
    running = RunningServer(service, open_listener("127.0.0.1", 0))
    running.start()
    yield Client(running.address[1]), service
    running.stop()


@pytest.fixture
def plain(writing_server: tuple[Client, Service]) -> Client:
    return writing_server[0]


@pytest.fixture
def ai(plain: Client, connect: Connect) -> Any:
    return connect(plain)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, writing_models: dict[str, Hosted]) -> list[int]:
    """Texts take 10 ms a token and come to no end by themselves; the tokens that were written."""
    written: list[int] = []
    token = writing_models["llama"].predictor.model.tokenizer(" film")["input_ids"][0]

    def stream(model: object, prompt: object, how: generation.Decoding, row: int = 0) -> Iterator[int]:
        for _ in range(how.max_new_tokens):
            time.sleep(0.01)
            written.append(token)
            yield token

    monkeypatch.setattr(generation, "stream", stream)
    monkeypatch.setattr(generation, "room", lambda model, prompt: 10**6)
    return written


def test_models_are_listed(ai: Any) -> None:
    assert [model.id for model in ai.models.list()] == ["llama", "bart", "chat", "vectors", "reviews"]
    assert ai.models.retrieve("bart").object == "model"
    with pytest.raises(openai.NotFoundError, match="no such model"):
        ai.models.retrieve("barts")


def test_a_completion_is_what_predict_answers(ai: Any, plain: Client) -> None:
    found = ai.completions.create(model="llama", prompt=TEXT)
    wanted = plain.predict({"text": TEXT}, "llama").json
    assert found.choices[0].text == wanted["answer"].replace("\ufffd", "").strip()
    assert found.choices[0].finish_reason == "stop"
    assert wanted["finished"]
    assert found.usage.prompt_tokens == 5
    assert found.usage.total_tokens == 5 + found.usage.completion_tokens
    assert (found.object, found.model) == ("text_completion", "llama")


@pytest.mark.parametrize("model", ["llama", "bart"])
def test_a_stream_holds_the_same_text_in_pieces(ai: Any, model: str) -> None:
    whole = ai.completions.create(model=model, prompt=TEXT, **DRAWN)
    options = {"include_usage": True}
    *chunks, last = ai.completions.create(model=model, prompt=TEXT, stream=True, stream_options=options, **DRAWN)
    pieces = [chunk.choices[0].text for chunk in chunks]
    assert "".join(pieces) == whole.choices[0].text
    assert len([piece for piece in pieces if piece]) > 3
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["length"]
    assert (last.choices, last.usage) == ([], whole.usage)
    assert {chunk.usage for chunk in chunks} == {None}
    assert whole.usage.completion_tokens == 12
    assert len({chunk.id for chunk in [*chunks, last]}) == 1


def test_the_seed_decides_what_is_drawn(ai: Any) -> None:
    def text(**wish: Any) -> str:
        return str(ai.completions.create(model="llama", prompt=TEXT, **{**DRAWN, **wish}).choices[0].text)

    assert text() == text()
    assert text(seed=4) != text()
    assert text(seed=None) != text(seed=None)
    greedy = text(temperature=0)
    assert greedy == text(top_p=0) == text(temperature=0, seed=9)
    assert greedy.startswith(text(temperature=0, max_tokens=2))


def test_several_prompts_are_answered_in_order(ai: Any) -> None:
    texts = [TEXT, "what a day", "the meal was awful"]
    together = ai.completions.create(model="llama", prompt=texts, temperature=0)
    alone = [ai.completions.create(model="llama", prompt=text, temperature=0) for text in texts]
    assert [choice.index for choice in together.choices] == [0, 1, 2]
    assert [choice.text for choice in together.choices] == [one.choices[0].text for one in alone]
    assert together.usage.total_tokens == sum(one.usage.total_tokens for one in alone)
    streamed = dict.fromkeys(range(3), "")
    for chunk in ai.completions.create(model="llama", prompt=texts, temperature=0, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].text
    assert list(streamed.values()) == [choice.text for choice in together.choices]


@pytest.mark.parametrize("as_list", [False, True])
def test_a_text_ends_in_front_of_a_stop_string(ai: Any, as_list: bool) -> None:
    whole = ai.completions.create(model="bart", prompt=TEXT, **DRAWN).choices[0].text
    stop = whole[len(whole) // 2 :][:4]
    wish = {**DRAWN, "stop": ["never there", stop] if as_list else stop}
    cut = ai.completions.create(model="bart", prompt=TEXT, **wish)
    assert cut.choices[0].text == whole[: whole.index(stop)].strip()
    assert cut.choices[0].finish_reason == "stop"
    assert cut.usage.completion_tokens < 12
    streamed = ai.completions.create(model="bart", prompt=TEXT, stream=True, **wish)
    assert "".join(chunk.choices[0].text for chunk in streamed) == cut.choices[0].text


def test_a_model_of_one_text_answers_one_message(ai: Any) -> None:
    said = [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]
    wanted = ai.completions.create(model="llama", prompt=TEXT, **DRAWN).choices[0].text
    wish = {**DRAWN, "max_tokens": 2, "max_completion_tokens": 12}
    whole = ai.chat.completions.create(model="llama", messages=said, user="me", store=False, tools=[], **wish)
    assert whole.choices[0].message.content == wanted
    assert whole.choices[0].message.role == "assistant"
    chunks = list(ai.chat.completions.create(model="llama", messages=said, stream=True, n=1, **wish))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == wanted
    assert chunks[-1].choices[0].finish_reason == "length"
    again = [*said, whole.choices[0].message, {"role": "user", "content": "why?"}]
    with pytest.raises(openai.BadRequestError, match="holds no conversation, but user, assistant, user came"):
        ai.chat.completions.create(model="llama", messages=again)


def test_a_conversation_goes_on(ai: Any, plain: Client, writing_models: dict[str, Hosted]) -> None:
    predictor = writing_models["chat"].predictor
    said = [{"role": "system", "content": "be short"}, {"role": "user", "content": "the film"}]
    wanted = "".join(chatting.reply(predictor.model, predictor.task, said))
    newer = [{"role": "developer", "content": "be short"}, said[1]]
    whole = ai.chat.completions.create(model="chat", messages=newer)
    assert wanted
    assert whole.choices[0].message.content == wanted
    assert whole.usage.prompt_tokens == len(chatting.read_conversation(predictor.model, predictor.task, said))
    more = [*said, whole.choices[0].message, {"role": "user", "content": "why"}]
    found = ai.chat.completions.create(model="chat", messages=more, temperature=1, seed=1)
    chunks = list(ai.chat.completions.create(model="chat", messages=more, temperature=1, seed=1, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == found.choices[0].message.content
    assert found.usage.prompt_tokens > whole.usage.prompt_tokens
    answered = plain.predict({"messages": said}, "chat").json
    assert answered["answer"] == wanted
    assert plain.post("/v1/feedback", {"id": answered["id"], "right": "no"}).status == 404


def test_vectors_are_those_of_predict(ai: Any, plain: Client) -> None:
    texts = [TEXT, "what a day"]
    wanted = [answer["vector"] for answer in plain.predict([{"text": text} for text in texts], "vectors").json]
    found = ai.embeddings.create(model="vectors", input=texts)  # the client asks for base64 by itself
    assert [one.index for one in found.data] == [0, 1]
    for one, vector in zip(found.data, wanted, strict=True):
        assert one.embedding == pytest.approx(vector, abs=1e-6)
    assert ai.embeddings.create(model="vectors", input=TEXT).usage.prompt_tokens == 6
    assert ai.embeddings.create(model="vectors", input=TEXT, dimensions=32).data[0].index == 0
    forms = {
        name: plain.post("/v1/embeddings", {"model": "vectors", "input": TEXT, "encoding_format": name}).json
        for name in ("float", "base64")
    }
    numbers = array("f", base64.b64decode(forms["base64"]["data"][0]["embedding"]))
    assert numbers.tolist() == pytest.approx(forms["float"]["data"][0]["embedding"], abs=1e-6)


ASK = {"model": "llama", "prompt": TEXT}
SAY = {"model": "llama", "messages": [{"role": "user", "content": TEXT}]}
LAST = {"role": "assistant", "content": " "}
LONG = {"role": "user", "content": "film " * 80}
FAULTS: list[tuple[str, Any, int, str | None, str | None]] = [
    ("completions", {**ASK, "model": "lama"}, 404, "model", "model_not_found"),
    ("completions", {**ASK, "model": "reviews"}, 404, "model", "model_not_found"),
    ("completions", {**ASK, "n": 2}, 400, "n", "unsupported_parameter"),
    ("completions", {**ASK, "n": True}, 400, "n", "unsupported_parameter"),
    ("completions", {**ASK, "logprobs": 0}, 400, "logprobs", "unsupported_parameter"),
    ("completions", {**ASK, "echo": True}, 400, "echo", "unsupported_parameter"),
    ("completions", {**ASK, "presence_penalty": 0.5}, 400, "presence_penalty", "unsupported_parameter"),
    ("completions", {**ASK, "logit_bias": {"5": 1}}, 400, "logit_bias", "unsupported_parameter"),
    ("completions", {**ASK, "temprature": 1}, 400, "temprature", None),
    ("completions", {**ASK, "temperature": 3}, 400, "temperature", None),
    ("completions", {**ASK, "max_tokens": "9"}, 400, "max_tokens", None),
    ("completions", {**ASK, "stop": list("abcde")}, 400, "stop", None),
    ("completions", {**ASK, "stop": ""}, 400, "stop.0", None),
    ("completions", {**ASK, "stop": "\ud800"}, 400, "stop.0", None),
    ("completions", {**ASK, "prompt": [1, 2]}, 400, "prompt", None),
    ("completions", {**ASK, "prompt": " "}, 400, "prompt.0.text", None),
    ("completions", {**ASK, "prompt": ["a"] * 33}, 400, "prompt", None),
    ("completions", {**ASK, "prompt": "film " * 80}, 400, None, "context_length_exceeded"),
    ("completions", {"model": "llama"}, 400, "prompt", None),
    ("completions", [], 400, None, None),
    ("completions", b"{", 400, None, None),
    ("chat/completions", {**SAY, "tools": [{"type": "function"}]}, 400, "tools", "unsupported_parameter"),
    ("chat/completions", {**SAY, "response_format": {"type": "json_object"}}, 400, "response_format", None),
    ("chat/completions", {**SAY, "messages": []}, 400, "messages", None),
    ("chat/completions", {**SAY, "messages": [{"role": "tool", "content": "a"}]}, 400, "messages.0.role", None),
    (
        "chat/completions",
        {**SAY, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a"}}]}]},
        400,
        "messages.0.content",
        None,
    ),
    (
        "chat/completions",
        {**SAY, "messages": [{"role": "user", "content": "a", "tool_calls": [{}]}]},
        400,
        "messages.0.tool_calls",
        "unsupported_parameter",
    ),
    ("chat/completions", {"model": "reviews", "messages": SAY["messages"]}, 404, "model", "model_not_found"),
    ("chat/completions", {"model": "chat", "messages": [LAST]}, 400, "messages.0.role", None),
    (
        "chat/completions",
        {"model": "chat", "messages": [{**LAST, "role": "user"}] * 2},
        400,
        "messages.0.content",
        None,
    ),
    ("chat/completions", {"model": "chat", "messages": [LONG]}, 400, "messages", "context_length_exceeded"),
    ("chat/completions", {"model": "chat", "messages": [{**LONG, "content": "a" * 50_001}]}, 400, "messages", None),
    ("completions", {**ASK, "model": "chat"}, 404, "model", "model_not_found"),
    ("embeddings", {"model": "llama", "input": TEXT}, 404, "model", "model_not_found"),
    ("embeddings", {"model": "vectors", "input": TEXT, "dimensions": 8}, 400, "dimensions", None),
    ("embeddings", {"model": "vectors", "input": [[1, 2]]}, 400, "input", None),
    ("embeddings", {"model": "vectors", "input": []}, 400, "input", None),
    ("embeddings", {"model": "vectors", "input": ["a"] * 257}, 400, "input", None),
    ("embeddings", {"model": "vectors", "input": "film " * 80}, 400, None, "context_length_exceeded"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "content", "status", "field", "code"), FAULTS)
def test_errors_are_told_in_their_shape(
    plain: Client, path: str, content: Any, status: int, field: str | None, code: str | None, stream: bool
) -> None:
    if stream and isinstance(content, dict) and path != "embeddings":
        content = {**content, "stream": True}
    answer = plain.post(f"/v1/{path}", content)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert (answer.error["type"], answer.error["param"]) == ("invalid_request_error", field)
    assert code is None or answer.error["code"] == code
    assert "; " in answer.error["message"], "it says what to do"


def test_other_paths_and_methods_are_refused_in_shape(plain: Client) -> None:
    assert plain.get("/v1/completions").error["type"] == "invalid_request_error"
    assert plain.call("POST", "/v1/embeddings", b"{}", {"content-type": "text/plain"}).status == 415
    assert plain.post("/v1/completions", ASK, {"origin": "http://evil.example"}).error["type"] == "permission_error"
    assert plain.post("/v1/completions", ASK, {"host": "evil.example"}).status == 421
    assert plain.post("/v1/models/llama/predict", {"txt": ""}).error["fix"]


def test_keys_are_what_the_client_sends(connect: Connect, start: Start, writing_models: dict[str, Hosted]) -> None:
    gate = Gate((hashlib.sha256(b"right").digest(),))
    client, _ = start(models=writing_models, gate=gate)
    assert connect(client, "right").completions.create(model="llama", prompt=TEXT).choices
    with pytest.raises(openai.AuthenticationError) as caught:
        connect(client, "wrong").completions.create(model="llama", prompt=TEXT, stream=True)
    assert (caught.value.code, caught.value.type) == ("invalid_api_key", "authentication_error")


def test_what_finds_no_room_is_told_when_to_come_back(
    connect: Connect, start: Start, writing_models: dict[str, Hosted], slow: list[int]
) -> None:
    limits = Limits(texts=1, waiting_texts=1, answer_s=0.3)
    client, service = start(models=writing_models, limits=limits)
    ai = connect(client)
    with ai.completions.create(model="llama", prompt=TEXT, stream=True, max_tokens=4000) as first:
        next(iter(first))
        caught: list[Any] = []

        def wait() -> None:
            with pytest.raises(openai.InternalServerError) as late:
                ai.completions.create(model="llama", prompt=TEXT)
            caught.append(late.value)

        thread = threading.Thread(target=wait)
        thread.start()
        assert wait_for(lambda: service.writers.waiting == 1)
        with pytest.raises(openai.RateLimitError) as full:
            ai.completions.create(model="llama", prompt=TEXT, stream=True)
        thread.join()
    assert full.value.code == "rate_limit_exceeded"
    assert int(full.value.response.headers["retry-after"]) >= 1
    assert caught[0].status_code == 503
    assert service.writers.waiting == 0


def test_a_client_that_leaves_ends_the_writing(
    connect: Connect, start: Start, writing_models: dict[str, Hosted], slow: list[int]
) -> None:
    client, service = start(models=writing_models)
    stream = connect(client).completions.create(model="llama", prompt=TEXT, stream=True, max_tokens=4000)
    next(iter(stream))
    assert service.writers.running == 1
    stream.close()
    assert wait_for(lambda: service.writers.running == 0)
    count = len(slow)
    time.sleep(0.1)
    assert len(slow) == count < 1000
    assert client.get("/health/live").status == 200


def test_long_texts_hold_up_neither_short_ones_nor_other_models(
    connect: Connect, start: Start, writing_models: dict[str, Hosted], slow: list[int]
) -> None:
    client, service = start(models=writing_models)
    ai = connect(client)
    said = [{"role": "user", "content": TEXT}]
    with ai.chat.completions.create(model="llama", messages=said, stream=True, max_tokens=4000) as long:
        next(iter(long))
        assert client.predict({"text": TEXT}).status == 200
        assert ai.completions.create(model="bart", prompt=TEXT, max_tokens=3).usage.completion_tokens == 3
        assert len(slow) < 1000
        assert service.writers.running == 1
        figures = client.get("/metrics").body.decode()
    assert "tunesmith_texts_in_writing 1.0" in figures
    assert 'tunesmith_written_tokens_total{model="bart"} 3.0' in figures


def test_a_text_that_takes_too_long_is_cut(
    connect: Connect, start: Start, writing_models: dict[str, Hosted], slow: list[int]
) -> None:
    client, _ = start(models=writing_models, limits=Limits(write_s=0.3))
    found = connect(client).completions.create(model="llama", prompt=TEXT, max_tokens=4000)
    assert found.choices[0].finish_reason == "length"
    assert 1 < found.usage.completion_tokens < 40
    assert found.choices[0].text.startswith("film film")


def test_a_stream_is_cut_in_order_at_the_end(
    connect: Connect, writing_models: dict[str, Hosted], slow: list[int]
) -> None:
    limits = Limits(grace_s=1.5, linger_s=0.2)
    running = RunningServer(make_service(writing_models, limits=limits, crew=Crew(2, 1)), open_listener("127.0.0.1", 0))
    running.start()
    ai = connect(Client(running.address[1]))
    stream = iter(ai.completions.create(model="llama", prompt=TEXT, stream=True, max_tokens=4000))
    next(stream)
    ender = threading.Thread(target=running.stop)
    began = time.monotonic()
    ender.start()
    chunks = list(stream)
    ender.join()
    assert chunks[-1].choices[0].finish_reason == "length"
    assert time.monotonic() - began < 4


def test_events_come_as_browsers_read_them(plain: Client) -> None:
    answer = plain.post("/v1/completions", {**ASK, **DRAWN, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert "content-security-policy" in answer.headers
    *events, end = answer.body.decode().removesuffix("\n\n").split("\n\n")
    assert end == "data: [DONE]"
    assert all(json.loads(event.removeprefix("data: "))["object"] == "text_completion" for event in events)


def test_a_fault_in_the_middle_is_told_in_the_stream(
    connect: Connect, plain: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stream(model: Any, *_: object) -> Iterator[int]:
        yield from model.tokenizer(" film film")["input_ids"]
        raise RuntimeError("a secret")

    monkeypatch.setattr(generation, "stream", stream)
    with pytest.raises(openai.APIError, match="a fault of Tunesmith") as caught:
        list(connect(plain).completions.create(model="llama", prompt=TEXT, stream=True))
    assert caught.value.type == "server_error"
    body = plain.post("/v1/completions", {**ASK, "stream": True}).body
    assert body.endswith(b"data: [DONE]\n\n")
    assert b"secret" not in body
    answer = plain.post("/v1/completions", ASK)
    assert (answer.status, answer.error["type"]) == (500, "server_error")
    monkeypatch.undo()
    assert plain.post("/v1/completions", ASK).status == 200


def test_beam_search_comes_in_one_piece(
    connect: Connect, plain: Client, writing_models: dict[str, Hosted], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = writing_models["llama"].task
    monkeypatch.setattr(task, "config", task.config.model_copy(update={"beams": 3}))
    wanted = plain.predict({"text": TEXT}, "llama").json["answer"].replace("\ufffd", "").strip()
    chunks = list(connect(plain).completions.create(model="llama", prompt=TEXT, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == wanted
