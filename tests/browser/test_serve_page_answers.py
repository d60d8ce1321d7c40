"""The page with answers that are made up: entities, several labels, numbers, abstentions, pairs, many rows."""

from __future__ import annotations

from typing import Any

from tests.browser.conftest import OpenPage
from tests.browser.served import EMOJI_TEXT, Api, ask, entity_api, label_api, make_model, press, ready


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
    assert told == [
        "The server refused it: status 422 – wait",
        "The text has 1,000 characters; the server takes at most 500.",
    ]


def test_a_long_run_is_stopped_and_goes_on(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"], rows=2)
    waits = [True]
    api.fault = lambda rows, _: (429, {"Retry-After": "1"}) if len(api.asked) == 2 and waits and waits.pop() else None
    page = ready(open_page(address, prepare=api.install, expected=("429",)))
    page.check("#lines")
    page.fill("#field-text", "\n".join(f"text {number}" for number in range(12)))
    page.click("#send")
    page.wait_for_selector(".progress:has-text('it goes on in 1 second')")
    page.click(".progress >> text=Stop")
    page.wait_for_selector("text=8 rows are not answered yet.")
    ask(page, "another text in between")
    page.click(".history-line >> nth=1")
    page.click("text=Go on")
    page.wait_for_selector("#progress:empty", state="attached")
    assert [len(rows) for rows in api.asked] == [2, 2, 1, 2, 2, 2, 2]
    assert page.locator("#answer tbody .brief").count() == 12
