"""The page with lists of texts: choices of a question, candidates for an answer; typed, from files, corrected."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.served import Api, make_model, ready, run_module
from tests.browser.test_serve_page_looks import CONTRAST

ROW = {"question": "What do bees make?", "choices": ["milk", "honey", "wool", "honey"]}
LIST = {"required": True, "title": "Choices", "type": "texts"}
TEXT = {"required": True, "title": "Question", "type": "string"}


@pytest.fixture(scope="module")
def served(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """Where a server of this process answers with tiny models for both tasks, and what it stores."""
    pytest.importorskip("fastapi")
    from tests.list_models import fit_choosers
    from tunesmith.serving.feedback_store import FeedbackStore
    from tunesmith.serving.hosting import load_hosted
    from tunesmith.serving.lifecycle import RunningServer, open_listener
    from tunesmith.serving.service import make_service

    folder = tmp_path_factory.mktemp("lists")
    fit_choosers(tiny_bert, folder)
    store = FeedbackStore(folder / "feedback.db")
    service = make_service(load_hosted([str(folder / "exam"), str(folder / "answers")]), store=store)
    server = RunningServer(service, open_listener("127.0.0.1", 0))
    server.start()
    yield f"http://127.0.0.1:{server.address[1]}/", store
    server.stop()
    store.close()


@pytest.fixture
def address(served: tuple[str, Any]) -> str:
    return served[0]


def last_row(store: Any) -> dict[str, Any]:
    from tunesmith.serving.feedback_store import read_feedback

    return [feedback.row for feedback, _ in read_feedback(store.path)][-1]


def test_a_real_choice_is_shown_and_corrected(served: tuple[str, Any], open_page: OpenPage) -> None:
    address, store = served
    page = ready(open_page(address, expected=("422",)))
    page.select_option("#picker", "exam")
    page.click("text=Try an example")
    page.click("#send")
    page.wait_for_selector(".given-label")
    choices = ["honey", "milk", "wool"]
    assert page.locator(".bar-name").all_inner_texts() == choices
    assert page.inner_text(".bar-row.given .bar-name") == page.inner_text(".given-label")
    for place, right in enumerate(choices):
        page.click("#answer .correctable .button")
        page.check(f".correction input[type=radio] >> nth={place}")
        page.click("text=Save correction")
        page.wait_for_selector(f".note.good:has-text('right: {right}')")
        assert last_row(store) == {"question": "What do bees make?", "choices": choices, "label": right}
    send(page, "choices", "Which?", "only one")
    page.wait_for_selector("#field-choices[aria-invalid]")
    assert "at least 2 items" in page.inner_text(".field:has(#field-choices) .field-trouble")


def test_a_real_ranking_is_shown_and_corrected(served: tuple[str, Any], open_page: OpenPage) -> None:
    address, store = served
    page = ready(open_page(address))
    page.select_option("#picker", "answers")
    texts = [f"text {number} of many" for number in range(14)]
    send(page, "candidates", "Which?", *texts)
    page.wait_for_selector("ol.ranking")
    page.click("text=Show all 14 candidates")
    assert sorted(page.locator("ol.ranking .text").all_inner_texts()) == sorted(texts)
    assert page.inner_text("ol.ranking .text >> nth=0") == page.inner_text(".given-label")
    for wanted in (texts[:12], []):
        page.click("#answer .correctable .button")
        for text in texts:
            page.set_checked(f".correction label:has-text('{text}') input", text in wanted)
        page.click("text=Save correction")
        page.wait_for_selector(f".note.good:has-text('{wanted[0] if wanted else 'none'}')")
        assert last_row(store) == {"question": "Which?", "candidates": texts, "labels": wanted}


def choice_api(kind: str = "letters", **answer: Any) -> Api:
    """The second choice is the likeliest."""
    columns = {"question": TEXT, "choices": LIST, "context": {**TEXT, "required": False, "title": "Context"}}
    model = {**make_model([]), "task": "multiple-choice", "kind": kind, "columns": columns, "examples": [ROW]}

    def reply(row: dict[str, Any]) -> dict[str, Any]:
        shares = [0.1, 0.7, *[0.2 / max(1, len(row["choices"]) - 2)] * (len(row["choices"]) - 2)]
        found = {"choice": 1, "text": row["choices"][1], "probability": 0.7, "probabilities": shares}
        return {**found, "abstained": None, **answer}

    return Api([model], reply)


def ranking_api(kind: str = "flags") -> Api:
    """The last candidate is the best."""
    columns = {"question": TEXT, "candidates": {**LIST, "title": "Candidates"}}
    sample = {"question": "What do bees make?", "candidates": ["Sheep give wool.", "Bees make honey."]}
    model = {**make_model([]), "task": "answer-selection", "kind": kind, "columns": columns, "examples": [sample]}

    def reply(row: dict[str, Any]) -> dict[str, Any]:
        order = list(enumerate(row["candidates"]))[::-1]
        ranking = [{"candidate": n, "text": text, "score": 0.5 / (1 + rank)} for rank, (n, text) in enumerate(order)]
        return {"answer": order[0][1], "ranking": ranking, "probability": 0.6, "abstained": None}

    return Api([model], reply)


def send(page: Any, field: str, question: str, *texts: str) -> None:
    page.fill("#field-question", question)
    page.fill(f"#field-{field}", "\n".join(texts))
    page.press(f"#field-{field}", "Control+Enter")
    page.wait_for_selector("#answer-card:visible")


def test_a_line_is_a_choice(address: str, open_page: OpenPage) -> None:
    api = choice_api()
    page = ready(open_page(address, prepare=api.install))
    hint = page.get_attribute("#field-choices", "aria-describedby").split()[0]
    assert page.inner_text(f"#{hint}") == "One text a line."
    assert not page.is_visible("#lines")
    page.click("text=Try an example")
    assert page.input_value("#field-choices") == "milk\nhoney\nwool\nhoney"
    page.fill("#field-choices", " \n\n")
    page.click("#send")
    assert page.locator("#fields .field-trouble:visible").all_inner_texts() == [
        "There is no text yet. Type or paste one."
    ]
    assert page.evaluate("document.activeElement.id") == "field-choices"
    page.click("text=Add: Context")
    page.fill("#field-context", "A text on insects.")
    send(page, "choices", "What do bees make?", "  milk", "", "honey ", "wool")
    assert api.asked == [
        [{"question": "What do bees make?", "choices": ["milk", "honey", "wool"], "context": "A text on insects."}]
    ]


def test_faults_of_a_list_stand_beside_it(address: str, open_page: OpenPage) -> None:
    page = ready(open_page(address, prepare=choice_api().install, expected=("422",)))
    fields = ["0.choices", "0.choices.2"]

    def refuse(route: Any) -> None:
        route.fulfill(status=422, json={"error": {"message": "too short", "fix": "add", "field": fields.pop()}})

    page.route("**/predict", refuse)
    page.fill("#field-question", "Which?")
    page.fill("#field-choices", "a\nb\nc")
    while fields:
        page.click("#send")
        page.wait_for_selector("#send[aria-disabled=false]")
        page.wait_for_selector("#field-choices[aria-invalid]")
        told = page.locator(".field:has(#field-choices) .field-trouble").inner_text()
        assert told == "The server refused it: too short – add"
        assert page.inner_text("#ask-trouble") == ""
        page.press("#field-choices", "End")
        page.keyboard.type("x")
        page.wait_for_selector("#field-choices:not([aria-invalid])")


def test_the_choice_is_shown_with_a_bar_for_each(address: str, open_page: OpenPage) -> None:
    page = ready(open_page(address, prepare=choice_api().install))
    send(page, "choices", ROW["question"], *ROW["choices"], *"efgh")
    assert page.inner_text(".given-label") == "honey"
    assert page.inner_text(".given-share") == "70.0%"
    assert page.locator(".bar-name").all_inner_texts() == [*ROW["choices"], *"efgh"]
    assert page.locator(".bar-row.given").count() == 1, "of equal texts, the one that was chosen"
    assert page.locator("#answer .quoted").all_inner_texts() == [ROW["question"]]
    assert "honey, 70.0%" in page.inner_text("#history")
    page.reload()
    ready(page)
    page.click(".history-line")
    assert page.inner_text(".given-label") == "honey"


def test_a_withheld_choice_is_the_best_guess(address: str, open_page: OpenPage) -> None:
    page = ready(open_page(address, prepare=choice_api(abstained=True).install))
    send(page, "choices", "Which?", "a", "b")
    assert "abstains" in page.inner_text("#answer .note.warn")
    assert page.inner_text(".given-label.withheld") == "b"


def test_a_ranking_is_an_ordered_list(address: str, open_page: OpenPage) -> None:
    page = ready(open_page(address, prepare=ranking_api().install))
    texts = [f"sentence {number}" for number in range(12)]
    send(page, "candidates", "Which?", *texts)
    assert page.inner_text(".given-label") == "sentence 11"
    assert page.inner_text(".given-share") == "60.0%"
    assert page.locator("ol.ranking .text").all_inner_texts() == texts[:1:-1]
    assert page.inner_text("ol.ranking .bar-share >> nth=1") == "25.0%"
    page.click("text=Show all 12 candidates")
    assert page.locator("ol.ranking .text").all_inner_texts() == texts[::-1]
    assert "sentence 11, 60.0%" in page.inner_text("#history")


def test_the_right_choice_is_one_of_the_row(address: str, open_page: OpenPage) -> None:
    api = choice_api()
    page = ready(open_page(address, prepare=api.install))
    send(page, "choices", ROW["question"], *ROW["choices"])
    page.click("text=Wrong? Correct it")
    assert page.locator(".correction input[type=radio]").count() == 4
    assert page.is_checked(".correction input >> nth=1")
    page.check(".correction input[type=radio] >> nth=2")
    page.click("text=Save correction")
    page.wait_for_selector(".note.good:has-text('right: wool')")
    page.click("text=Correct again")
    assert page.is_checked(".correction input >> nth=2")
    page.check(".correction input[type=radio] >> nth=3")
    page.click("text=Save correction")
    page.wait_for_selector(".note.good:has-text('right: honey')")
    assert [one["right"] for one in api.corrections] == ["wool", "D"], "a text that is there twice names nothing"
    assert api.corrections[0]["row"] == ROW
    assert "right: honey" in page.inner_text("#history")


def test_several_candidates_may_be_right_or_none(address: str, open_page: OpenPage) -> None:
    api = ranking_api()
    page = ready(open_page(address, prepare=api.install))
    send(page, "candidates", "Which?", "one", "two", "three")
    page.click("text=Wrong? Correct it")
    boxes = page.locator(".correction input[type=checkbox]")
    assert [box.is_checked() for box in boxes.all()] == [True, False, False]
    page.check("label:has-text('one') input")
    page.click("text=Save correction")
    page.wait_for_selector(".note.good:has-text('one · three')")
    page.click("text=Correct again")
    for box in boxes.all():
        box.uncheck()
    page.click("text=Save correction")
    page.wait_for_selector(".note.good:has-text('none')")
    assert [one["right"] for one in api.corrections] == [["one", "three"], []]


NAMED = [
    ("nameChoice", [1, ["tea", "milk"], "indices"], "milk"),
    ("nameChoice", [1, ["B", "A"], "letters"], "B"),
    ("nameChoice", [1, ["2", "1"], "indices"], 1),
    ("nameChoice", [1, ["2", "1"], "numbers"], 2),
    ("nameChoice", [1, ["2", "1"], "texts"], "1"),
    ("nameChoice", [1, ["x", " x "], "texts"], "B"),
    ("nameCandidates", [[0, 2], ["1", "tea", "0"], "flags"], [1, 0, 1]),
    ("nameCandidates", [[0, 2], ["1", "tea", "0"], "indices"], [0, 2]),
    ("nameCandidates", [[0, 2], ["1", "tea", "0"], "texts"], ["1", "0"]),
]


def test_names_are_read_by_the_server_as_they_are_meant(address: str, open_page: OpenPage) -> None:
    from tunesmith.tasks.choice_labels import ONE, SEVERAL, read_as, read_one, read_several

    page = ready(open_page(address, prepare=choice_api().install))
    for function, (place, texts, kind), wanted in NAMED:
        given = run_module(page, "naming.js", f"m.{function}(...x)", [place, texts, kind])
        assert given == wanted
        if function == "nameChoice":
            assert read_as(read_one(given, texts), ONE, kind, given, len(texts)) == place
        else:
            assert read_as(read_several(given, texts), SEVERAL, kind, given, len(texts)) == tuple(place)


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def put(page: Any, name: str, content: bytes) -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "text/plain", "buffer": content})
    page.wait_for_selector(f"#file-panel :has-text('{name}')")


def test_a_file_with_lists_is_answered_and_saved(address: str, open_page: OpenPage, downloads: Any) -> None:
    api = choice_api()
    page = ready(open_page(address, prepare=api.install))
    rows = [
        {"text": "Which?", "endings": ["a", 2]},
        {"text": "Who?", "endings": {"text": ["c", "d"], "label": ["A", "B"]}},
        {"text": "What?", "endings": "no list"},
    ]
    put(page, "exam.jsonl", lines(*rows))
    page.click("text=Predict 3 rows")
    page.wait_for_selector("#progress:empty", state="attached")
    assert api.asked == [[{"question": "Which?", "choices": ["a", "2"]}, {"question": "Who?", "choices": ["c", "d"]}]]
    assert page.locator("#answer tbody .brief").all_inner_texts() == ["2", "d"]
    assert page.locator("#answer .bad-text").all_inner_texts() == ["The column endings holds no list of texts here."]
    assert "a · 2" in page.inner_text("#answer tbody")
    _, content = downloads(page, lambda: page.click("text=Save as JSON lines"))
    saved = [json.loads(line) for line in content.decode().splitlines()]
    assert [line["endings"] for line in saved] == [row["endings"] for row in rows]
    assert saved[0]["prediction"]["probabilities"] == [0.1, 0.7]
    _, content = downloads(page, lambda: page.click("text=Save as CSV"))
    table = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert [row["predicted_text"] for row in table] == ["2", "d", ""]
    assert table[0]["predicted_probabilities"] == "[0.1,0.7]"


def test_typed_lists_can_be_saved_and_read_again(address: str, open_page: OpenPage) -> None:
    api = ranking_api()
    page = ready(open_page(address, prepare=api.install))
    cells = b"question,candidates\nWhich?,one | two\n"
    put(page, "questions.csv", cells)
    page.click("text=Predict 1 row")
    page.wait_for_selector("table.results .brief")
    assert api.asked == [[{"question": "Which?", "candidates": ["one", "two"]}]]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_file_without_lists_is_told_so(address: str, open_page: OpenPage, language: str) -> None:
    api = choice_api()
    page = ready(open_page(f"{address}?lang={language}", prepare=api.install))
    told = {
        "en": ("No row holds a list", "has no column for: Question"),
        "zh": ("没有一行", "没有这一项对应的列：问题"),
    }
    for name, content, said in (
        ("exam.csv", b"question,a,b\nWhich?,one,two\n", told[language][0]),
        ("texts.txt", b"Which?\nWho?\n", told[language][0]),
        ("exam.jsonl", lines({"choices": ["a", "b"]}), told[language][1]),
    ):
        put(page, name, content)
        assert said in page.inner_text("#file-panel .note.warn")
        assert page.is_disabled("#file-panel .primary")
    assert api.asked == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_long_texts_stay_legible_on_a_telephone(address: str, open_page: OpenPage, scheme: str) -> None:
    api = ranking_api()
    options = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    page = ready(open_page(address, prepare=api.install, **options))
    send(page, "candidates", "Which?", "x" * 200, "many words " * 20)
    page.click("text=Wrong? Correct it")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    share, line = (page.locator(f"{which} >> nth=0").bounding_box() for which in (".given-share", ".given-label"))
    assert share["height"] < line["height"] / 2, "the percentage is not broken into lines"
    assert page.evaluate(CONTRAST) == []


def test_tasks_have_names_in_words(address: str, open_page: OpenPage) -> None:
    page = ready(open_page(address, prepare=choice_api().install))
    assert page.inner_text("#facts dd >> nth=0") == "multiple choice"
    page.click("text=中文")
    assert page.inner_text("#facts dd >> nth=0") == "选择题"
    assert page.inner_text("label[for=field-choices]") == "选项"
