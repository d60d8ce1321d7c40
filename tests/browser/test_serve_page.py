"""The page of `tunesmith serve`, driven in Chromium, with a real server and tiny models behind it."""

from __future__ import annotations

import csv
import io
import json
import re
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.served import HTML, ask, ready
from tests.tiny import BAD, GOOD


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
