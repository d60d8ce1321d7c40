"""The page of `tunesmith serve`, driven in Chromium: a real server with tiny models, and its answers made up where it
would not give them when asked to.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import OpenPage
from tests.tiny import BAD, GOOD, make_rows

pytest.importorskip("fastapi")

HTML = "<img src=x onerror=alert(1)>"
START_S = 60


@pytest.fixture(scope="module")
def address(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `tunesmith serve` answers, with a classifier and a tagger."""
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


# --- a real server --------------------------------------------------------------------------------------------------


def test_a_text_is_answered_and_the_label_stays_a_text(address: str, open_page: OpenPage) -> None:
    page = ready(open_page(address))
    page.select_option("#picker", "reviews")
    ask(page, "the meal was lovely and the film too")
    assert page.inner_text(".given-label") in (HTML, "positive")
    assert sorted(page.locator(".bar-name").all_inner_texts()) == sorted([HTML, "positive"])
    assert re.fullmatch(r"(> )?\d+\.\d%", page.inner_text(".given-share"))
    page.wait_for_selector("#announcer:has-text('Answer: ')", state="attached")
    assert "the meal was lovely" in page.inner_text("#history")
    assert page.locator("main img").count() == 0


def test_answers_are_those_of_the_server(address: str, open_page: OpenPage) -> None:
    rows = [{"text": f"the song was {word}"} for word in (*GOOD[:3], *BAD[:3])]
    request = urllib.request.Request(
        f"{address}v1/models/reviews/predict", json.dumps(rows).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        wanted = [answer["label"] for answer in json.load(response)]
    page = ready(open_page(address))
    page.select_option("#picker", "reviews")
    page.check("#lines")
    ask(page, "\n".join(row["text"] for row in rows))
    page.wait_for_selector("#progress:empty", state="attached")
    assert page.locator("#answer tbody .brief").all_inner_texts() == wanted


def test_a_correction_reaches_the_server(address: str, open_page: OpenPage) -> None:
    page = ready(open_page(address))
    page.select_option("#picker", "reviews")
    ask(page, "the phone was awful")
    page.click("text=Wrong? Correct it")
    page.check("input[value=positive]")
    page.fill(".correction input[type=text]", "a comment")
    with page.expect_response("**/v1/feedback") as waiting:
        page.click("text=Save correction")
    assert waiting.value.status == 201
    assert "positive" in page.inner_text(".note.good")
    assert page.evaluate("document.activeElement.textContent") == "Correct again"


def test_a_file_is_answered_and_saved(address: str, open_page: OpenPage, downloads: Any) -> None:
    page = ready(open_page(address))
    page.select_option("#picker", "reviews")
    lines = ["id,正文", '1,"the meal, ""good"", was fine"', "2,房间很干净", "3,", '4,"=1+1 bad"']
    page.set_input_files(
        "#file", {"name": "评论.csv", "mimeType": "text/csv", "buffer": "\r\n".join(lines).encode("gb18030")}
    )
    assert "GB18030" in page.inner_text("#file-panel .hint")
    assert page.input_value("#file-panel select >> nth=0") == "正文"
    page.click("text=Predict 4 rows")
    page.wait_for_selector("#progress:empty", state="attached")
    name, content = downloads(page, lambda: page.click("text=Save as CSV"))
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert name == "评论.answers.csv"
    assert [row["正文"] for row in rows] == ['the meal, "good", was fine', "房间很干净", "", "'=1+1 bad"]
    assert [bool(row["predicted_label"]) for row in rows] == [True, True, False, True]
    assert rows[2]["problem"] == "There is no text."
    _, content = downloads(page, lambda: page.click("text=Save as JSON lines"))
    records = [json.loads(line) for line in content.decode().splitlines()]
    assert [record["id"] for record in records] == ["1", "2", "3", "4"]
    assert records[0]["prediction"].keys() == {"label", "probability", "probabilities"}
    assert records[2]["prediction"] is None


def test_all_works_below_a_path(address: str, open_page: OpenPage) -> None:
    """As behind a reverse proxy that takes a prefix away."""
    asked: list[str] = []

    def forward(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(response=route.fetch(url=route.request.url.replace("/some/where/", "/")))

    page = ready(open_page(f"{address}some/where/", prepare=lambda page: page.route("**/some/where/**", forward)))
    ask(page, "the meal was lovely")
    assert page.get_attribute("#links a >> nth=0", "href").startswith(f"{address}some/where/models/")
    assert any(url.endswith("/predict") for url in asked)
    assert all(url.startswith(f"{address}some/where/") for url in asked)


def test_the_policy_is_strict_and_holds(address: str, open_page: OpenPage) -> None:
    with urllib.request.urlopen(address) as response:
        policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    page = ready(open_page(address, expected=("Content Security Policy", "TrustedHTML", "inline")))
    assert (
        page.evaluate("() => { try { document.body.innerHTML = '<p>'; } catch (error) { return error.name; } }")
        == "TypeError"
    )
    assert page.evaluate("() => fetch('http://127.0.0.2:9/').catch((error) => error.name)") == "TypeError"


def test_only_known_files_are_given(address: str) -> None:
    for path in ("nothing.js", "..%2fpage.py", "en.json", "%2e%2e/page.py", "..%5cpage.py", "style.css%00"):
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            urllib.request.urlopen(f"{address}static/{path}")
        caught.value.close()


@pytest.mark.parametrize(("wish", "language"), [("zh-CN,zh;q=0.9", "zh-Hans"), ("de,en;q=0.7", "en"), ("", "en")])
def test_the_browser_chooses_the_language(address: str, wish: str, language: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(address, headers={"Accept-Language": wish})) as response:
        assert f'<html lang="{language}">' in response.read().decode()


# --- entities -------------------------------------------------------------------------------------------------------

EMOJI_TEXT = "👩‍👩‍👧 Ada 🎉 met Ｔｏｋｙｏ people; 张伟 𠮷野家 left"


def test_entities_are_marked_where_they_stand(address: str, open_page: OpenPage) -> None:
    api = entity_api(("Ada", "PER"), ("Ｔｏｋｙｏ", "LOC"), ("𠮷野家", "ORG"))
    page = ready(open_page(address, prepare=api.install))
    ask(page, EMOJI_TEXT)
    marks = page.evaluate(
        "[...document.querySelectorAll('.marked mark')].map((m) => [m.firstChild.data, m.lastChild.textContent])"
    )
    assert marks == [["Ada", "PER"], ["Ｔｏｋｙｏ", "LOC"], ["𠮷野家", "ORG"]]
    assert page.locator(".entities tbody th").all_inner_texts() == ["Ada", "Ｔｏｋｙｏ", "𠮷野家"]


def spans(correction: dict[str, Any]) -> list[tuple[str, str]]:
    return [(EMOJI_TEXT[one["start"] : one["end"]], one["label"]) for one in correction["right"]]


def test_entities_are_corrected_with_the_keyboard(address: str, open_page: OpenPage) -> None:
    api = entity_api(("Ada", "PER"))
    page = ready(open_page(address, prepare=api.install))
    ask(page, EMOJI_TEXT)
    page.focus("#answer >> text=Wrong? Correct it")
    press(page, "Enter", "Control+End", *["ArrowLeft"] * 5, *["Shift+ArrowLeft"] * 3)
    page.wait_for_selector(".adder:visible")
    press(page, "2")  # the second type
    assert page.inner_text(".editor mark >> nth=1") == "𠮷野家"
    press(page, *["ArrowLeft"] * 4, *["Shift+ArrowLeft"] * 2)
    page.wait_for_selector(".adder:visible")
    page.keyboard.type("x")  # the text takes no change
    press(page, "Enter", "Control+Enter")
    page.wait_for_selector(".note.good")
    assert spans(api.corrections[0]) == [("Ada", "PER"), ("张伟", "ORG"), ("𠮷野家", "ORG")]
    assert api.corrections[0]["row"] == {"text": EMOJI_TEXT}


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_entities_are_corrected_with_the_mouse(address: str, open_page: OpenPage) -> None:
    api = entity_api(("Ada", "PER"), ("Ｔｏｋｙｏ", "LOC"))
    page = ready(open_page(address, prepare=api.install))
    ask(page, EMOJI_TEXT)
    page.click("#answer >> text=Wrong? Correct it")
    page.click(".editor mark >> nth=1")
    assert page.evaluate("document.activeElement.tagName") == "SELECT"
    page.select_option(".entity-row >> nth=1 >> select", "ORG")
    page.click("[aria-label='Remove Ada']")
    box = page.evaluate(
        "() => { const walk = document.createTreeWalker(document.querySelector('.editor'), 4); let node;"
        " while ((node = walk.nextNode())) { const at = node.data.indexOf('people'); if (at < 0) continue;"
        " const range = document.createRange(); range.setStart(node, at); range.setEnd(node, at + 6);"
        " const { x, y, width, height } = range.getBoundingClientRect(); return [x + width / 2, y + height / 2]; } }"
    )
    page.mouse.dblclick(*box)
    page.wait_for_selector(".adder:visible")
    page.select_option(".adder select", "PER")
    page.click(".adder >> text=Add")
    page.click("text=Save correction")
    page.wait_for_selector(".note.good")
    assert spans(api.corrections[0]) == [("Ｔｏｋｙｏ", "ORG"), ("people", "PER")]


# --- other answers --------------------------------------------------------------------------------------------------


def test_a_label_among_many_is_found_by_searching(address: str, open_page: OpenPage) -> None:
    api = label_api([f"intent {number}" for number in range(77)])
    page = ready(open_page(address, prepare=api.install))
    ask(page, "where is my card")
    assert page.locator(".bar-row").count() == 5
    page.click("text=Wrong? Correct it")
    page.keyboard.type("intent 7")
    assert page.locator(".choices label").count() == 8
    press(page, "ArrowDown", "ArrowDown", "Control+Enter")
    page.wait_for_selector(".note.good")
    assert api.corrections == [
        {"id": "m.1.0", "right": "intent 70", "comment": None, "row": {"text": "where is my card"}}
    ]


def test_several_labels_and_none_are_corrected(address: str, open_page: OpenPage) -> None:
    api = Api(
        [make_model(["joy", "love", "fear"])],
        lambda row: {"label": ["joy"], "probabilities": {"joy": 0.9, "love": 0.2, "fear": 0.1}},
    )
    page = ready(open_page(address, prepare=api.install))
    ask(page, "what a day")
    page.click("text=Wrong? Correct it")
    page.check("input[value=fear]")
    page.click("text=Save correction")
    page.click("text=Correct again")
    page.uncheck("input[value=fear]")
    page.uncheck("input[value=joy]")
    page.click("text=Save correction")
    page.wait_for_selector(".note.good:has-text('no label')")
    assert [one["right"] for one in api.corrections] == [["joy", "fear"], []]


def test_a_number_is_corrected_with_a_number_only(address: str, open_page: OpenPage) -> None:
    api = Api([make_model([])], lambda row: {"label": 3.25})
    page = ready(open_page(address, prepare=api.install))
    ask(page, "it was all right")
    assert page.inner_text(".figure-number") == "3.25"
    page.click("text=Wrong? Correct it")
    page.keyboard.type("much")
    page.keyboard.press("Enter")
    assert "no number" in page.inner_text(".correction .field-trouble")
    page.keyboard.press("Control+A")
    page.keyboard.type("-0,5")
    page.keyboard.press("Enter")
    page.wait_for_selector(".note.good")
    assert [one["right"] for one in api.corrections] == [-0.5]


def test_an_abstention_is_shown_as_such(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"])
    plain = api.answer
    api.answer = lambda row: {**plain(row), "abstained": True}
    page = ready(open_page(address, prepare=api.install))
    ask(page, "who knows")
    assert "abstains" in page.inner_text("#answer .note.warn")
    assert page.locator(".given-label.withheld").inner_text() == "yes"
    assert "not sure" in page.inner_text("#history")


def test_a_pair_has_two_fields(address: str, open_page: OpenPage) -> None:
    api = label_api(["same", "different"], pair=True)
    page = ready(open_page(address, prepare=api.install))
    page.fill("#field-text_b", "What is your age?")
    ask(page, "How old are you?")
    assert api.asked == [[{"text": "How old are you?", "text_b": "What is your age?"}]]
    assert not page.is_visible("#lines")


# --- many rows ------------------------------------------------------------------------------------------------------


def test_lines_are_rows_only_when_asked_for(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"])
    page = ready(open_page(address, prepare=api.install))
    ask(page, "one\ntwo\n\nthree")
    page.check("#lines")
    assert page.inner_text("#line-count") == "3 texts"
    page.click("#send")
    page.wait_for_selector("table.results")
    assert api.asked == [[{"text": "one\ntwo\n\nthree"}], [{"text": "one"}, {"text": "two"}, {"text": "three"}]]


def test_rows_go_in_pieces_and_a_bad_one_costs_itself_only(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"], rows=4)
    api.fault = lambda rows, _: (422, {}) if any("bad" in row.get("text", "") for row in rows) else None
    page = ready(open_page(address, prepare=api.install, expected=("422",)))
    texts = [f"text {number}" for number in range(10)]
    texts[5], texts[8] = "a bad text", "long " * 200
    page.check("#lines")
    ask(page, "\n".join(texts))
    page.wait_for_selector("#progress:empty", state="attached")
    assert max(map(len, api.asked)) <= 4
    assert [row["text"] for rows in api.asked for row in rows] == [texts[n] for n in (0, 1, 2, 3, 4, 6, 7, 9)]
    told = page.locator("#answer tbody .bad-text").all_inner_texts()
    assert told == ["status 422 – wait", "The text has 1,000 characters; the server takes at most 500."]


def test_a_long_run_is_stopped_and_goes_on(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"], rows=2)
    waits = [True]
    api.fault = lambda rows, _: (429, {"Retry-After": "1"}) if len(api.asked) == 2 and waits and waits.pop() else None
    page = ready(open_page(address, prepare=api.install, expected=("429",)))
    page.check("#lines")
    page.fill("#field-text", "\n".join(f"text {number}" for number in range(12)))
    page.click("#send")
    page.wait_for_selector(".progress:has-text('it goes on in 1 second')")
    page.click("text=Stop")
    page.wait_for_selector("text=8 rows are not answered yet.")
    ask(page, "another text in between")
    page.click(".history-line >> nth=1")
    page.click("text=Go on")
    page.wait_for_selector("#progress:empty", state="attached")
    assert [len(rows) for rows in api.asked] == [2, 2, 1, 2, 2, 2, 2]
    assert page.locator("#answer tbody .brief").count() == 12


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_refusal_stands_beside_its_field(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"])
    api.fault = lambda rows, _: (422, {}) if rows else None
    page = ready(open_page(address, prepare=api.install, expected=("422",)))
    page.click("#send")
    assert "no text yet" in page.inner_text("#fields .field-trouble >> nth=0")
    page.fill("#field-text", "a text")
    page.click("#send")
    page.wait_for_selector("text=status 422 – wait")
    assert page.get_attribute("#field-text", "aria-invalid") == "true"
    assert page.evaluate("document.activeElement.id") == "field-text"


def test_a_busy_server_is_asked_again(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"])
    busy = [True]
    api.fault = lambda rows, _: (503, {"Retry-After": "7"}) if rows and busy else None
    page = ready(open_page(address, prepare=api.install, expected=("503",)))
    page.fill("#field-text", "a text")
    page.click("#send")
    page.wait_for_selector("text=It asks to wait 7 seconds.")
    busy.clear()
    page.click("text=Try again")
    page.wait_for_selector("#answer .given-label")
    assert page.inner_text("#ask-trouble") == ""


def test_a_server_that_is_gone_is_told_and_found_again(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"])
    gone = [True]
    api.fault = lambda *_: (0, {}) if gone else None
    page = open_page(address, prepare=api.install, expected=("ERR_CONNECTION_REFUSED",))
    page.wait_for_selector("text=The server does not answer.")
    gone.clear()
    page.click("text=Try again")
    page.wait_for_selector("#field-text")
    gone.append(True)
    page.fill("#field-text", "a text")
    page.click("#send")
    page.wait_for_selector("text=The server does not answer.")
    gone.clear()
    page.wait_for_selector("text=The server answers again.")
    assert page.input_value("#field-text") == "a text"


def test_a_key_is_asked_for_and_kept_in_the_tab(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"])
    api.fault = lambda _, headers: None if headers.get("authorization") == "Bearer good" else (401, {})
    page = open_page(address, prepare=api.install, expected=("401",))
    page.wait_for_selector("#key-dialog[open]")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#key-refused:visible")
    page.keyboard.type("good")
    page.keyboard.press("Enter")
    ask(ready(page), "a text")
    assert page.evaluate("[localStorage.length, document.cookie, sessionStorage.getItem('tunesmith.key')]") == [
        0,
        "",
        "good",
    ]
    page.click("text=Forget the key")
    page.wait_for_selector("#key-dialog[open]")
    press(page, "Escape")
    page.wait_for_selector("text=Without a key the server does not answer.")


# --- languages, history, looks --------------------------------------------------------------------------------------


def test_the_language_changes_in_place(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"])
    page = ready(open_page(address, prepare=api.install))
    ask(page, "a text that stays")
    page.click("text=Wrong? Correct it")
    page.check("input[value=no]")
    page.click("text=中文")
    assert page.get_attribute("html", "lang") == "zh-Hans"
    assert page.input_value("#field-text") == "a text that stays"
    assert page.is_checked("input[value=no]")
    left = page.locator("[data-said]:visible").all_inner_texts()
    assert [text for text in left if text and re.fullmatch(r"[A-Za-z ?.]{4,}", text) and text != "made-up"] == []
    page.click("text=保存更正")
    page.wait_for_selector("text=已保存为正确答案：no")
    page.reload()
    assert "预测" in page.inner_text("#send")
    page.click("text=English")
    assert page.inner_text("#send") == "Predict"


def test_both_languages_say_the_same() -> None:
    from tunesmith.serving.page import read_words

    english, chinese = read_words("en"), read_words("zh")
    assert list(english) == list(chinese)
    names = {key: [set(re.findall(r"\{(\w+)\}", table[key])) for table in (english, chinese)] for key in english}
    assert {key: pair for key, pair in names.items() if pair[0] != pair[1]} == {}
    assert [key for key, words in chinese.items() if words == english[key]] == ["page.title"]


def test_no_word_is_missing_and_none_is_left_over() -> None:
    from tunesmith.serving import page

    folder = Path(page.__file__).parent
    files = [*folder.glob("static/*.js"), *folder.glob("templates/*.html"), folder / "page.py"]
    source = "\n".join(path.read_text("utf-8") for path in files)
    known = set(page.read_words("en"))
    quoted = set(re.findall(r"[\"'`]((?:[a-z_]+\.)?[a-z_]+)[\"'`]", source))
    built = {key for key in known if re.search(rf"`{key.partition('.')[0]}\.\$\{{", source)}
    assert {key for key in known - quoted - built if key.removesuffix(".one") not in quoted} == set()
    spoken = re.findall(r"\b(?:word|count)\(\"([^\"]+)\"", source)
    assert set(spoken) - known == set()


def test_history_lives_in_the_tab_until_it_is_cleared(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"])
    page = ready(open_page(address, prepare=api.install))
    ask(page, "the first text")
    ask(page, "the second text")
    ready(page.reload() and page)
    assert page.locator(".history-line").count() == 2
    page.click(".history-line >> nth=1")
    assert page.inner_text("#answer .quoted") == "the first text"
    assert len(api.asked) == 2, "nothing is asked again"
    assert page.evaluate("localStorage.length") == 0
    page.click("#clear-history")
    assert page.locator(".history-line").count() == 0
    assert page.evaluate("sessionStorage.length") == 0


def test_the_keyboard_reaches_everything_and_shows_where_it_is(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"])
    page = ready(open_page(address, prepare=api.install))
    ask(page, "a text")
    page.focus(".skip-link")
    order = []
    for _ in range(12):
        page.keyboard.press("Tab")
        name, ring = page.evaluate(
            "() => { const node = document.activeElement, style = getComputedStyle(node);"
            " return [node.id || node.textContent.trim(), style.outlineStyle + parseFloat(style.outlineWidth)]; }"
        )
        order.append(name)
        assert ring == "solid3", name
    above = ["English", "中文", "field-text", "lines", "second", "example", "send", "upload"]
    assert order == [*above, "Wrong? Correct it", "Model card", "clear-history", order[-1]]
    assert order[-1].startswith("a text")
    press(page, "Enter")
    assert page.inner_text("#answer .quoted") == "a text"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_breaks_the_layout_of_a_telephone(address: str, open_page: OpenPage, language: str) -> None:
    label = "an_extremely_long_label_" * 12
    api = label_api([label, "مرحبا بالعالم"])
    options = {"viewport": {"width": 390, "height": 844}}
    page = ready(open_page(f"{address}?lang={language}", prepare=api.install, **options))
    widths = []
    for text in ("x" * 480, "مرحبا بالعالم " * 30, "\u202eright to left \u202e", "a\nb"):
        ask(page, text)
        widths.append(page.evaluate("document.documentElement.scrollWidth"))
    page.click("#answer .correctable .button")
    widths.append(page.evaluate("document.documentElement.scrollWidth"))
    page.check("#lines")
    page.click("#send")
    page.wait_for_selector("table.results")
    widths.append(page.evaluate("document.documentElement.scrollWidth"))
    assert set(widths) == {390}


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((part) => part / 255); };
  const light = ([r, g, b]) => [r, g, b].map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (node) => { for (let one = node; one; one = one.parentElement) {
    const color = parse(getComputedStyle(one).backgroundColor); if (color[3] > 0.99) return color; }
    return [1, 1, 1]; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.data.trim() || !parent.checkVisibility()) continue;
    if (parent.closest(".visually-hidden, .skip-link, option")) continue;
    const [one, other] = [light(parse(getComputedStyle(parent).color)), light(ground(parent))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push([node.data.trim().slice(0, 40), parent.className, ratio.toFixed(2)]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(address: str, open_page: OpenPage, scheme: str) -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2.2, level AA)."""
    api = entity_api(("Ada", "PER"), ("Ｔｏｋｙｏ", "LOC"), ("𠮷野家", "ORG"))
    page = ready(open_page(address, prepare=api.install, color_scheme=scheme))
    ask(page, EMOJI_TEXT)
    assert page.evaluate(CONTRAST) == []
    page.click("text=Wrong? Correct it")
    assert page.evaluate(CONTRAST) == []
    page.click("text=Save correction")
    page.wait_for_selector(".note.good")
    api.answer = lambda row: {
        "label": "a",
        "probability": 0.4,
        "probabilities": {"a": 0.4, "b": 0.3},
        "abstained": True,
    }
    ask(page, "another text")
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize(("motion", "scrolling"), [("reduce", "auto"), ("no-preference", "smooth")])
def test_motion_is_reduced_where_it_is_wished(address: str, open_page: OpenPage, motion: str, scrolling: str) -> None:
    page = ready(open_page(address, prepare=label_api(["yes", "no"]).install, reduced_motion=motion))
    ask(page, "a text")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == scrolling
    assert page.evaluate("document.getAnimations().length") == 0


# --- modules --------------------------------------------------------------------------------------------------------


def test_offsets_are_python_s(address: str, open_page: OpenPage) -> None:
    page = open_page(address)
    texts = ["", "abc", EMOJI_TEXT, "e\u0301 ＡＢＣ 𠮷", "🎉" * 3]
    counted = run_module(page, "characters.js", "x.map(m.countCharacters)", texts)
    assert counted == [len(text) for text in texts]
    for text in texts:
        offsets = list(range(len(text) + 1))
        units = run_module(page, "characters.js", "m.toUnits(...x)", [text, offsets])
        assert units == [len(text[:offset].encode("utf-16-le")) // 2 for offset in offsets]
        back = run_module(page, "characters.js", "x[1].map((unit) => m.toCharacters(x[0], unit))", [text, units])
        assert back == offsets


def test_tables_are_read_as_python_reads_them(address: str, open_page: OpenPage) -> None:
    page = open_page(address)
    tables = ['a,b\n1,"x, ""y""\nz"\n', "a;b\r\n1;2\r\n\r\n3;\r\n", "a\tb\n\t\n", '"a"\n"b,c"', "a,b,\n1,2,\n"]
    for table, delimiter in zip(tables, ",;\t,,", strict=True):
        read = run_module(page, "files.js", "m.parseTable(...x).map((row) => row.cells)", [table, delimiter])
        assert read == [row for row in csv.reader(io.StringIO(table, newline=""), delimiter=delimiter) if row]
    guessed = [
        run_module(page, "files.js", "m.guessDelimiter(x)", line) for line in ("a,b", '"a,b,c";d', "a\tb", "text")
    ]
    assert guessed == [",", ";", "\t", None]


def test_cells_are_no_formulas(address: str, open_page: OpenPage) -> None:
    from tunesmith.prediction_files import make_cell

    values = ["=1+1", "+1", "-x", "@x", "\tx", "＝x", "-3.5", "plain", None, ["joy", "love"], 2.5, "1e5", "-", "+49 30"]
    cells = run_module(open_page(address), "downloads.js", "x.map(m.makeCell)", values)
    assert cells == [make_cell(value) for value in values]


UNREADABLE = [
    ("a.csv", b'text\n"never closed\n', "the quote that opens in line 2 is never closed"),
    ("a.jsonl", b'{"text": "a"}\n{oops\n', "line 2 is no JSON"),
    ("a.json", b"[1, 2]", "line 1 is no object"),
    ("a.pdf", b"%PDF", ".pdf files are not read here"),
    ("a.txt", b"\n\n", "the file holds no row"),
    ("b.txt", b"\xff\xff\xff", "neither UTF-8, UTF-16 nor GB 18030"),
    ("big.txt", b"x" * (10 * 1024 * 1024 + 1), "wanted at most 10"),
]


def test_files_that_cannot_be_read_say_why(address: str, open_page: OpenPage, tmp_path: Path) -> None:
    page = ready(open_page(address, prepare=label_api(["yes", "no"]).install))
    for name, content, told in UNREADABLE:
        (tmp_path / name).write_bytes(content)
        page.set_input_files("#file", tmp_path / name)
        page.wait_for_selector(f"#file-panel :has-text('{name}')")
        assert told in page.inner_text("#file-panel")
        page.click("text=Put the file away")
        assert page.evaluate("document.activeElement.id") == "upload"
