"""What the tests of the served page share: tiny models behind a real server, and answers that are made up."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.tiny import make_rows

HTML = "<img src=x onerror=alert(1)>"
EMOJI_TEXT = "👩‍👩‍👧 Ada 🎉 met Ｔｏｋｙｏ people; 张伟 𠮷野家 left"
START_S = 60


def fit_models(trunk: Path, folder: Path) -> None:
    from tunesmith import api

    quick = [f"model.name={trunk}", "train.max_steps=4", "evaluate.baselines=false", "evaluate.resamples=100"]
    reviews = make_rows(48, labels=(HTML, "positive"))
    places = [
        {"text": f"the {one} was in {place} today", "entities": [[len(one) + 12, len(one) + 12 + len(place), "LOC"]]}
        for one in ("film", "book", "meal", "hotel")
        for place in ("Paris", "Rome", "Oslo", "上海")
    ]
    api.fit(reviews, out=folder / "reviews", settings=quick)
    api.fit(places, out=folder / "places", settings=[*quick, "task.name=token-classification"])


def find_address(server: subprocess.Popen[str]) -> str:
    said, until = "", time.monotonic() + START_S
    assert server.stdout is not None
    while time.monotonic() < until:
        line = server.stdout.readline()
        said += line
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found[0] + "/"
        if not line:
            break
    raise AssertionError(f"the server did not start: {said}")


@dataclass
class Api:
    """Answers of the server, made up: the real page asks, this replies.

    Attributes:
        models: as GET v1/models gives them.
        answer: a row → what the model says.
        fault: a request's rows → (status, headers) of a refusal, or None.
        asked: rows of each request.
        corrections: bodies of feedback.
    """

    models: list[dict[str, Any]]
    answer: Callable[[dict[str, str]], dict[str, Any]]
    fault: Callable[[list[dict[str, str]], dict[str, str]], tuple[int, dict[str, str]] | None] = lambda *_: None
    asked: list[list[dict[str, str]]] = field(default_factory=list)
    corrections: list[dict[str, Any]] = field(default_factory=list)

    def install(self, page: Any) -> None:
        page.route("**/v1/**", self.reply)

    def reply(self, route: Any) -> None:
        request = route.request
        rows = request.post_data_json if request.method == "POST" else []
        rows = rows if isinstance(rows, list) else [rows]
        fault = self.fault(rows, request.headers)
        if fault is not None and fault[0] == 0:
            route.abort("connectionrefused")
        elif fault is not None:
            error = {"message": f"status {fault[0]}", "fix": "wait", **({"field": "0.text"} if fault[0] == 422 else {})}
            route.fulfill(status=fault[0], headers=fault[1], json={"error": error})
        elif request.url.endswith("/v1/models"):
            route.fulfill(json={"models": self.models})
        elif request.url.endswith("/predict"):
            self.asked.append(rows)
            place = len(self.asked)
            route.fulfill(json=[{**self.answer(row), "id": f"m.{place}.{n}"} for n, row in enumerate(rows)])
        else:
            self.corrections.append(rows[0])
            route.fulfill(status=201, json={"id": "m.1", "stored": True})


def make_model(labels: list[str], *, task: str = "text-classification", pair: bool = False, rows: int = 256) -> Any:
    columns = {"text": {"required": True, "title": "Text", "type": "string"}}
    if task == "text-classification":
        columns["text_b"] = {"required": False, "title": "Text B", "type": "string"}
    return {
        "name": "made-up",
        "task": task,
        "labels": labels,
        "columns": columns,
        "limits": {"max_rows": rows, "max_characters": 500},
        "examples": [{"text": "an example"} | ({"text_b": "another"} if pair else {})],
        "links": {"card": "/models/made-up/card", "report": None},
    }


def label_api(labels: list[str], **options: Any) -> Api:
    share = 0.5 / len(labels)

    def answer(row: dict[str, str]) -> dict[str, Any]:
        first = {labels[0]: 0.5 + share} | dict.fromkeys(labels[1:], share)
        return {"label": labels[0], "probability": 0.5 + share, "probabilities": first}

    return Api([make_model(labels, **options)], answer)


def entity_api(*found: tuple[str, str]) -> Api:
    """Finds given texts; offsets are Python's, as on the server."""

    def answer(row: dict[str, str]) -> dict[str, Any]:
        text = row["text"]
        places = [(text.index(part), part, label) for part, label in found if part in text]
        return {
            "entities": [
                {"start": start, "end": start + len(part), "label": label, "text": part, "probability": 0.9}
                for start, part, label in places
            ]
        }

    return Api([make_model(["LOC", "ORG", "PER"], task="token-classification")], answer)


def ready(page: Any) -> Any:
    page.wait_for_selector("html[data-ready]")
    return page


def ask(page: Any, text: str) -> None:
    page.fill("#field-text", text)
    page.press("#field-text", "Control+Enter")
    page.wait_for_selector("#answer-card:visible")
    page.wait_for_selector("#send[aria-disabled=false]")


def run_module(page: Any, module: str, expression: str, argument: Any = None) -> Any:
    """What an expression of one of the page's modules, `m`, gives for `x`."""
    code = f"async (x) => {{ const m = await import(new URL('static/{module}', location.href)); return {expression}; }}"
    return page.evaluate(code, argument)


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
