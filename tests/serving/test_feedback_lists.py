"""Feedback on choices and candidates: by their texts, as many as the row has, within bounds of what is compared."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.list_models import fit_choosers
from tests.serving.conftest import Start
from tunesmith.serving.hosting import Hosted, load_hosted

GONE = "0123456789abcdef01234567"


@pytest.fixture(scope="module")
def lists(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Hosted]:
    """A model for multiple choice, whose labels are letters, and one for answer selection, whose labels are flags."""
    folder = tmp_path_factory.mktemp("lists")
    fit_choosers(tiny_bert, folder)
    return load_hosted([str(folder / "exam"), str(folder / "answers")])


def test_a_list_of_texts_is_described_as_one(lists: dict[str, Hosted]) -> None:
    columns = {name: hosted.describe()["columns"] for name, hosted in lists.items()}
    types = {name: {field: facts["type"] for field, facts in own.items()} for name, own in columns.items()}
    assert types == {
        "exam": {"question": "string", "choices": "texts", "context": "string"},
        "answers": {"question": "string", "candidates": "texts"},
    }


@pytest.mark.parametrize(
    ("model", "field", "texts", "right", "status"),
    [
        ("exam", "choices", ["tea", "milk"], "milk", 201),
        ("exam", "choices", ["tea", "milk"], "B", 201),
        ("exam", "choices", ["tea", "milk"], "wool", 422),
        ("exam", "choices", ["tea", "word " * 400], "word " * 400, 201),
        ("answers", "candidates", ["tea", "milk"], ["milk"], 201),
        ("answers", "candidates", ["tea", "milk"], [], 201),
        ("answers", "candidates", ["tea", "milk"], ["wool"], 422),
        ("answers", "candidates", [f"text {n}" for n in range(40)], [f"text {n}" for n in range(39)], 201),
        ("answers", "candidates", ["tea", "milk"], ["milk"] * 20, 422),
        ("answers", "candidates", [str(n) for n in range(9_000)], [str(n) for n in range(9_000)], 422),
    ],
)
def test_texts_of_the_row_are_right_or_refused(
    start: Start, lists: dict[str, Hosted], model: str, field: str, texts: list[str], right: Any, status: int
) -> None:
    client, _ = start(models=lists)
    row = {"question": "what", field: texts}
    began = time.monotonic()
    answer = client.post("/v1/feedback", {"id": f"{model}.{GONE}", "right": right, "row": row})
    assert (answer.status, answer.json.get("error", {}).get("field", "right")) == (status, "right")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("model", ["exam", "answers"])
def test_the_description_gives_feedback_that_works(start: Start, lists: dict[str, Hosted], model: str) -> None:
    client, _ = start(models={model: lists[model]})
    paths = client.get("/openapi.json").json["paths"]
    sample = paths["/v1/feedback"]["post"]["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
    assert client.post("/v1/feedback", sample).status == 201
