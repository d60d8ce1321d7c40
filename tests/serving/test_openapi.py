"""The server against its own description: generated requests find no fault of ours."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.serving.harness import Client
from tunesmith.serving.hosting import Hosted

schemathesis = pytest.importorskip("schemathesis", reason="the package schemathesis is not installed")

EXAMPLES = 15
"""Of each path and kind; the whole stays under half a minute."""


@pytest.fixture(scope="module")
def schema(server: tuple[Client, object]) -> object:
    client = server[0]
    loaded = schemathesis.openapi.from_dict(client.get("/openapi.json").json)
    loaded.config.update(base_url=f"http://127.0.0.1:{client.port}")
    return loaded


def test_every_path_is_in_the_description(client: Client) -> None:
    paths = set(client.get("/openapi.json").json["paths"])
    assert {"/v1/models", "/v1/models/reviews/predict", "/v1/feedback", "/health/live", "/health/ready"} <= paths
    assert "/metrics" in paths


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_generated_requests_find_no_fault(schema: object, client: Client, mode: str) -> None:
    chosen = schemathesis.GenerationMode(mode)
    seen: set[int] = set()
    for result in schema.get_all_operations():  # type: ignore[attr-defined]
        operation = result.ok()
        if mode == "negative" and operation.method == "get":
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(case=operation.as_strategy(generation_mode=chosen))
        def check(case: object) -> None:
            answer = case.call()  # type: ignore[attr-defined]
            seen.add(answer.status_code)
            assert answer.status_code < 500
            # a schema cannot say all: which labels there are, how many characters, which answers are remembered
            beyond = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
            case.validate_response(answer, excluded_checks=beyond)  # type: ignore[attr-defined]

        check()
    assert seen & ({200} if mode == "positive" else {422})
    assert client.healthy


def test_generated_requests_to_models_that_write_find_no_fault(
    writing_models: dict[str, Hosted], start: Callable[..., tuple[Client, object]]
) -> None:
    """With the names of models that are there, so that generated requests reach the writing."""
    client, _ = start(models=writing_models)
    described = client.get("/openapi.json").json
    names = {"CompletionBody": ["llama", "bart"], "ChatBody": ["chat", "llama"], "EmbeddingBody": ["vectors"]}
    for kind, models in names.items():
        described["components"]["schemas"][f"OpenAI.{kind}"]["properties"]["model"] = {"enum": models}
    paths = ("/v1/completions", "/v1/chat/completions", "/v1/embeddings")
    described["paths"] = {path: described["paths"][path] for path in paths}
    loaded = schemathesis.openapi.from_dict(described)
    loaded.config.update(base_url=f"http://127.0.0.1:{client.port}")
    seen: set[int] = set()
    for result in loaded.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=25,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode("positive")))
        def check(case: object) -> None:
            answer = case.call()  # type: ignore[attr-defined]
            seen.add(answer.status_code)
            assert answer.status_code < 500
            beyond = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
            case.validate_response(answer, excluded_checks=beyond)  # type: ignore[attr-defined]

        check()
    assert {200, 400} <= seen


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["text", "id", "right", "a"]), inner)
        ),
        max_leaves=12,
    )
)
def test_any_json_gets_an_answer(server: tuple[Client, object], content: object) -> None:
    others = ("/v1/completions", "/v1/chat/completions", "/v1/embeddings")
    for path in ("/v1/models/reviews/predict", "/v1/models/names/predict", "/v1/feedback", *others):
        assert server[0].post(path, json.dumps(content).encode()).status in (200, 201, 400, 404, 413, 422)
