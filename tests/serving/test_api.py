"""What is asked and answered: models, predictions, health, metrics, documents, words of errors."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.serving.conftest import Start
from tests.serving.harness import Client
from tunesmith import api
from tunesmith.cli import app
from tunesmith.errors import MissingPackageError, UserError
from tunesmith.serving import hosting
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.limits import Limits


def test_models_say_what_they_take(client: Client) -> None:
    found = {model["name"]: model for model in client.get("/v1/models").json["models"]}
    assert list(found) == ["reviews", "markup", "names"]
    reviews = found["reviews"]
    assert reviews["task"] == "text-classification"
    assert reviews["labels"] == ["negative", "positive"]
    assert reviews["columns"]["text"] == {"required": True, "title": "Text", "type": "string"}
    assert reviews["limits"] == {"max_rows": Limits().rows, "max_characters": Limits().characters}
    assert reviews["links"] == {"card": "/models/reviews/card", "report": "/models/reviews/report"}
    assert all(client.get(link).status == 200 for link in reviews["links"].values())
    assert client.predict(reviews["examples"]).status == 200
    assert reviews["reads_tokens"] == 64
    assert found["names"]["reads_tokens"] is None, "it reads all of a text, in windows"
    assert found["names"]["right"] == "entities"
    assert "Paris" in found["names"]["examples"][0]["text"]


def test_examples_are_in_the_language_of_the_labels(models: dict[str, Hosted]) -> None:
    hosted = models["reviews"]
    predictor = copy.copy(hosted.predictor)
    predictor.artifact = replace(predictor.artifact, labels=replace(hosted.labels, names=("好评", "差评")))
    assert replace(hosted, predictor=predictor).sample_row()["text"].startswith("房间")
    assert hosted.sample_row()["text"].startswith("The room")


def test_answers_are_those_of_predict(client: Client, folders: dict[str, Path]) -> None:
    rows = [{"text": "the film was good and the book too"}, {"text": "the meal was sad"}]
    wanted = [p.model_dump(mode="json", exclude_none=True) for p in api.load(folders["reviews"]).predict(rows)]
    several = client.predict(rows).json
    assert [answer["label"] for answer in several] == [answer["label"] for answer in wanted]
    for answer, right in zip(several, wanted, strict=True):
        assert answer["probabilities"] == pytest.approx(right["probabilities"], abs=1e-5)
    one = client.predict(rows[0]).json
    assert isinstance(one, dict)
    assert one["label"] == wanted[0]["label"]
    assert len({one["id"], *(answer["id"] for answer in several)}) == 3


def test_entities_come_as_spans(client: Client) -> None:
    answer = client.predict({"text": "the film was here"}, "names").json
    assert all(answer_text(entity) == entity["text"] for entity in answer["entities"])


def answer_text(entity: dict[str, int]) -> str:
    return "the film was here"[entity["start"] : entity["end"]]


def test_health_and_metrics(client: Client) -> None:
    assert client.get("/health/live").json == {"live": True}
    assert client.get("/health/ready").json == {"ready": True}
    client.predict({"text": "a secret text"})
    client.get("/made/up/path")
    figures = client.get("/metrics")
    assert figures.headers["content-type"].startswith("text/plain")
    text = figures.body.decode()
    assert 'tunesmith_requests_total{code="200",path="/v1/models/reviews/predict"}' in text
    assert "tunesmith_inference_duration_seconds_count" in text
    assert "secret" not in text
    assert "made" not in text


@pytest.mark.parametrize(
    ("body", "status", "field", "word"),
    [
        ({"txt": "a"}, 422, "txt", "did you mean 'text'?"),
        ({}, 422, "text", "required"),
        ([], 422, None, "empty"),
        ([{"text": "a"}, {"text": 5}], 422, "1.text", "string"),
        ("a text", 422, None, "a text, wanted an object"),
        ({"text": " \n"}, 422, "text", "empty"),
        ({"text": "x" * 60_000}, 422, "text", "60,000 characters"),
        ([{"text": "a"}] * 300, 422, None, "300 rows"),
        (b'{"text": "a", "text": "b"}', 400, None, "twice"),
        (b'{"text": ', 400, None, "no JSON"),
    ],
)
def test_what_is_wrong_is_said(client: Client, body: object, status: int, field: str | None, word: str) -> None:
    answer = client.predict(body)
    assert answer.status == status
    assert answer.error.get("field") == field
    assert word in answer.error["message"] + answer.error["fix"]


def test_a_wrong_model_gets_the_right_name(client: Client) -> None:
    answer = client.predict({"text": "a"}, "review")
    assert answer.status == 404
    assert answer.error["fix"] == "did you mean 'reviews'?"
    assert client.get("/nowhere").status == 404
    assert client.get("/v1/models/reviews/predict").status == 405


def test_labels_in_a_row_are_not_looked_at(client: Client) -> None:
    row = {"text": "the film was good"}
    plain, labelled = client.predict(row).json, client.predict({**row, "label": "unheard of"}).json
    assert plain["probabilities"] == pytest.approx(labelled["probabilities"], abs=1e-6)


def test_card_and_report_are_in_a_sandbox(start: Start, models: dict[str, hosting.Hosted]) -> None:
    from dataclasses import replace

    page = replace(models["reviews"], report="<script>alert(1)</script>")
    client, _ = start(models={"reviews": page})
    for name, kind in (("card", "text/plain"), ("report", "text/html")):
        answer = client.get(f"/models/reviews/{name}")
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


def test_names_come_from_folders_or_are_given(folders: dict[str, Path], tmp_path: Path) -> None:
    assert list(hosting.parse_specs([str(folders["reviews"]), f"b.2={folders['names']}"])) == ["reviews", "b.2"]
    for specs, word in (
        ([f"../x={folders['names']}"], "name"),
        ([f"Upper={folders['names']}"], "name"),
        ([str(folders["names"])] * 2, "two models"),
    ):
        with pytest.raises(UserError, match=word):
            hosting.parse_specs(specs)


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def test_the_command_refuses_what_cannot_be(folders: dict[str, Path], tmp_path: Path) -> None:
    code, output = run("serve", folders["reviews"], "--host", "0.0.0.0", "--feedback", tmp_path / "f.db")
    assert code == 2
    assert "--api-key-file" in output
    code, output = run("serve", tmp_path / "nothing", "--feedback", tmp_path / "f.db")
    assert code == 2
    assert "no folder" in output
    assert not (tmp_path / "f.db").exists()


def test_a_taken_port_is_said(folders: dict[str, Path], client: Client, tmp_path: Path) -> None:
    code, output = run("serve", folders["reviews"], "--port", client.port, "--feedback", tmp_path / "f.db")
    assert code == 2
    assert "cannot listen" in output


def test_a_missing_library_gives_the_line(monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]) -> None:
    import importlib.util

    from tunesmith.commands import serve

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else object())
    with pytest.raises(MissingPackageError) as caught:
        serve.check_packages()
    assert caught.value.fix == "pip install 'tunesmith[serve]'"


def test_the_description_has_examples_that_work(client: Client) -> None:
    described = client.get("/openapi.json").json
    for name in ("reviews", "names"):
        operation = described["paths"][f"/v1/models/{name}/predict"]["post"]
        for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
            assert client.predict(example["value"], name).status == 200
    sample = described["paths"]["/v1/feedback"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert client.post("/v1/feedback", sample["one"]["value"]).status == 201
    references = {part.split('"')[0] for part in json.dumps(described).split('"#/components/schemas/')[1:]}
    assert references <= set(described["components"]["schemas"])


def test_nobody_is_sent_elsewhere(client: Client) -> None:
    """A redirect would name the server as it sees itself, without the TLS and the path of a proxy before it."""
    for path in ("/v1/models/", "/health/live/", "/v1/models/reviews/predict/"):
        answer = client.call("GET", path)
        assert answer.status == 404
        assert "location" not in answer.headers
