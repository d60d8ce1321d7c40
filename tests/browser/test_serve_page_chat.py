"""The page with a model that converses: turns, pieces of an answer, stopping, faults, what is kept, the keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.served import HTML, make_model, press, ready, run_module
from tests.browser.talker import EXAMPLE, Talker, as_event, make_chat_model, serve
from tests.browser.test_serve_page_looks import CONTRAST

LAST = ".message.assistant >> nth=-1"
BUSY = "#chat-send[aria-disabled=true]"
IDLE = "#chat-send[aria-disabled=false]"
FROM_THE_END = """() => {
  const log = document.getElementById("chat-log");
  return log.scrollHeight - log.scrollTop - log.clientHeight;
}"""


@pytest.fixture
def talker() -> Iterator[Talker]:
    pytest.importorskip("fastapi")
    with serve(Talker()) as served:
        yield served


def send(page: Any, text: str) -> None:
    page.fill("#chat-text", text)
    page.press("#chat-text", "Control+Enter")


def converse(page: Any, talker: Talker, text: str, answer: str, end: str = "stop") -> None:
    send(page, text)
    talker.say(answer, end)
    page.wait_for_selector(f"{LAST} >> text={answer}")
    page.wait_for_selector(IDLE)


def texts(page: Any) -> list[str]:
    return list(page.locator(".message-text").all_inner_texts())


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id"))


def test_turns_follow_each_other_and_the_model_gets_them_all(talker: Talker, open_page: OpenPage) -> None:
    page = ready(open_page(talker.address))
    assert not page.is_visible("#ask")
    assert not page.is_visible("#history-box")
    converse(page, talker, "Hello.\nWho are you?", f"A model. {HTML}")
    assert page.inner_text("#chat-messages .user .message-author") == "You"
    assert page.inner_text("#chat-messages .assistant .message-author") == "talker"
    page.click("text=Settings")
    page.fill("#chat-system", "Be brief.")
    page.fill("#chat-temperature", "0.7")
    page.fill("#chat-longest", "40")
    converse(page, talker, "Again.", "Yes.")
    assert texts(page) == ["Hello.\nWho are you?", f"A model. {HTML}", "Again.", "Yes."]
    assert page.locator("main img").count() == 0
    said = [("user", "Hello.\nWho are you?"), ("assistant", f"A model. {HTML}"), ("user", "Again.")]
    turns = [{"role": role, "content": content} for role, content in said]
    assert talker.asked == [
        {"model": "talker", "messages": turns[:1], "stream": True},
        {
            "model": "talker",
            "messages": [{"role": "system", "content": "Be brief."}, *turns],
            "temperature": 0.7,
            "max_tokens": 40,
            "stream": True,
        },
    ]


def test_an_answer_is_seen_before_its_end_and_told_at_its_end(talker: Talker, open_page: OpenPage) -> None:
    page = ready(open_page(talker.address))
    page.evaluate(
        "() => { window.told = []; const place = document.getElementById('announcer');"
        " new MutationObserver(() => told.push(place.textContent)).observe(place, { childList: true }); }"
    )
    send(page, "Tell me a story.")
    page.wait_for_selector(f"{LAST} >> text=Writing")
    for piece, shown in (("Once ", "Once"), ("upon a ", "Once upon a"), ("𠮷🎉", "Once upon a 𠮷🎉")):
        talker.say(piece)
        page.wait_for_selector(f"{LAST} >> text={shown}")
    assert page.get_attribute(LAST, "aria-busy") == "true"
    assert page.is_visible(BUSY)
    assert page.is_visible("#chat-stop")
    page.press("#chat-text", "Control+Enter")
    talker.say(" end", "length")
    page.wait_for_selector(f"{LAST} >> text=reached its greatest length")
    assert page.get_attribute(LAST, "aria-busy") == "false"
    assert not page.is_visible("#chat-stop")
    assert focused(page) == "chat-text"
    page.wait_for_selector("#announcer:has-text('Answer: Once upon a 𠮷🎉 end')", state="attached")
    assert [words for words in page.evaluate("told") if words] == ["Answer: Once upon a 𠮷🎉 end"]
    assert len(talker.asked) == 1


def test_an_answer_can_be_stopped_and_the_talk_goes_on(talker: Talker, open_page: OpenPage) -> None:
    page = ready(open_page(talker.address))
    send(page, "Count to a million.")
    talker.say("1 2 3")
    page.wait_for_selector(f"{LAST} >> text=1 2 3")
    page.click("#chat-stop")
    page.wait_for_selector(f"{LAST} >> text=Stopped.")
    assert talker.left.wait(10), "the server is told by the closed connection"
    assert focused(page) == "chat-text"
    assert not page.is_visible("#chat-trouble")
    talker.left.clear()
    converse(page, talker, "Thanks.", "Welcome.")
    assert [turn["content"] for turn in talker.asked[-1]["messages"]] == ["Count to a million.", "1 2 3", "Thanks."]
    talker.left.clear()
    send(page, "Once more.")
    page.wait_for_selector(BUSY)
    page.click("#chat-stop")
    page.wait_for_selector("#chat-trouble >> text=Stopped.")
    page.click("text=Edit the message")
    assert page.input_value("#chat-text") == "Once more."
    assert texts(page) == ["Count to a million.", "1 2 3", "Thanks.", "Welcome."]


def test_a_fault_keeps_the_conversation_and_can_be_tried_again(talker: Talker, open_page: OpenPage) -> None:
    page = ready(open_page(talker.address, expected=("429", "400")))
    converse(page, talker, "One.", "First.")
    told = {"message": "too many texts wait; try later", "type": "rate_limit_error", "param": None, "code": None}
    talker.refuse = lambda _: (429, told)
    send(page, "Two.")
    page.wait_for_selector("#chat-trouble >> text=It asks to wait 2 seconds.")
    assert texts(page) == ["One.", "First.", "Two."]
    talker.refuse = lambda _: (400, {**told, "message": "it is too long"})
    page.click("text=Try again")
    page.wait_for_selector("#chat-trouble >> text=it is too long")
    page.reload()
    ready(page).wait_for_selector("#chat-trouble >> text=Try again")
    talker.refuse = lambda _: None
    page.click("text=Try again")
    talker.say("Sec")
    page.wait_for_selector(f"{LAST} >> text=Sec")
    talker.send(as_event({"error": {"message": "no time was left", "type": "server_error"}}))
    talker.hang_up()
    page.wait_for_selector("#chat-trouble >> text=no time was left")
    assert "broke off" in page.inner_text(LAST)
    page.click("text=Try again")
    talker.say("Second.", "stop")
    page.wait_for_selector(f"{LAST} >> text=Second.")
    assert texts(page) == ["One.", "First.", "Two.", "Second."]
    assert [turn["content"] for turn in talker.asked[-1]["messages"]] == ["One.", "First.", "Two."]
    assert not page.is_visible("#chat-trouble")


def test_a_connection_that_ends_early_is_no_answer(talker: Talker, open_page: OpenPage) -> None:
    page = ready(open_page(talker.address))
    send(page, "One.")
    talker.hang_up()
    page.wait_for_selector("#chat-trouble >> text=The answer broke off.")
    assert texts(page) == ["One."]


def test_a_key_is_asked_for_in_the_same_way(talker: Talker, open_page: OpenPage) -> None:
    page = ready(open_page(talker.address, expected=("401",)))
    error = {"message": "a key is wanted", "type": "authentication_error", "param": None, "code": "invalid_api_key"}
    talker.refuse = lambda headers: None if headers["authorization"] == "Bearer good" else (401, error)
    send(page, "Hello.")
    page.wait_for_selector("#key-dialog[open]")
    page.keyboard.type("good")
    page.keyboard.press("Enter")
    talker.say("Hello you.", "stop")
    page.wait_for_selector(f"{LAST} >> text=Hello you.")
    assert texts(page) == ["Hello.", "Hello you."]


def test_a_conversation_lives_in_the_tab_and_in_both_languages(talker: Talker, open_page: OpenPage) -> None:
    page = ready(open_page(talker.address))
    converse(page, talker, "你好", "你好，我能帮你什么？")
    page.click("text=Settings")
    page.fill("#chat-system", "Be brief.")
    page.fill("#chat-text", "a draft")
    page.click("text=中文")
    left = page.locator("[data-said]:visible").all_inner_texts()
    assert [text for text in left if re.fullmatch(r"[A-Za-z ?.,]{4,}", text) and text != "talker"] == []
    assert page.inner_text("#chat-send") == "发送"
    assert page.inner_text(".user .message-author") == "您"
    ready(page.reload() and page)
    assert texts(page) == ["你好", "你好，我能帮你什么？"]
    assert page.input_value("#chat-text") == "a draft"
    assert page.input_value("#chat-system") == "Be brief."
    assert page.evaluate("localStorage.length") == 0
    send(page, "再说一次")
    page.wait_for_selector(f"{LAST} >> text=正在写")
    talker.say("好的")
    page.wait_for_selector(f"{LAST} >> text=好的")
    ready(page.reload() and page)
    assert page.inner_text(f"{LAST} >> .hint") == "已停止。"
    page.click("text=新对话")
    assert texts(page) == []
    assert focused(page) == "chat-text"
    page.fill("#chat-system", "")
    page.press("#chat-system", "Tab")
    assert page.evaluate("sessionStorage.length") == 0


def test_each_model_has_its_own_conversation(talker: Talker, open_page: OpenPage) -> None:
    talker.models += [make_chat_model("other"), {**make_model(["yes"]), "name": "labels"}]
    page = ready(open_page(talker.address))
    send(page, "Hello.")
    talker.say("Half an")
    page.wait_for_selector(f"{LAST} >> text=Half an")
    page.select_option("#picker", "other")
    assert talker.left.wait(10), "nobody reads on"
    assert texts(page) == []
    assert page.is_visible(IDLE)
    page.click("#chat-example")
    assert page.input_value("#chat-text") == EXAMPLE
    page.select_option("#picker", "labels")
    assert page.is_visible("#ask")
    assert not page.is_visible("#chat")
    page.select_option("#picker", "talker")
    assert texts(page) == ["Hello.", "Half an"]
    assert "Stopped." in page.inner_text(LAST)


def test_what_cannot_be_sent_is_told_beside_it(talker: Talker, open_page: OpenPage) -> None:
    page = ready(open_page(talker.address))
    page.click("#chat-send")
    assert "no text yet" in page.inner_text("#chat-problem")
    page.fill("#chat-text", "x" * 501)
    page.click("#chat-send")
    assert "501 characters" in page.inner_text("#chat-problem")
    page.fill("#chat-text", "Hello.")
    page.click("text=Settings")
    for name, value, told in (("temperature", "3", "from 0 to 2"), ("longest", "1.5", "whole number")):
        page.fill(f"#chat-{name}", value)
        page.click("#chat-send")
        assert told in page.inner_text(f"#chat-{name}-problem")
        assert focused(page) == f"chat-{name}"
        page.fill(f"#chat-{name}", "")
    assert page.input_value("#chat-text") == "Hello."
    assert talker.asked == []


def test_what_is_too_long_ago_is_left_out_and_told(talker: Talker, open_page: OpenPage) -> None:
    page = ready(open_page(talker.address))
    page.click("text=Settings")
    page.fill("#chat-system", "Be brief.")
    converse(page, talker, "a" * 200, "b" * 100)
    assert page.inner_text("#chat-left-out") == ""
    converse(page, talker, "c" * 200, "d" * 100)
    assert "oldest messages are not sent" in page.inner_text("#chat-left-out")
    assert [turn["content"] for turn in talker.asked[-1]["messages"]] == ["Be brief.", "c" * 200]
    assert len(texts(page)) == 4
    page.click("text=New conversation")
    assert page.inner_text("#chat-left-out") == ""


def test_the_keyboard_is_enough(talker: Talker, open_page: OpenPage) -> None:
    page = ready(open_page(talker.address))
    converse(page, talker, "Hello.", "Hello you.")
    page.focus(".skip-link")
    order = []
    for _ in range(8):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", order
    inside = ["chat-new", "chat-log", "chat-text", "chat-send", "Settings"]
    assert order == ["English", "中文", *inside, "Model card"]
    page.focus("#chat-text")
    page.keyboard.type("Two")
    press(page, "Enter")
    page.keyboard.type("lines")
    press(page, "Tab", "Enter")
    page.wait_for_selector(BUSY)
    assert talker.asked[-1]["messages"][-1]["content"] == "Two\nlines"
    assert focused(page) == "chat-text"
    talker.say("Well")
    page.wait_for_selector(f"{LAST} >> text=Well")
    press(page, "Tab", "Tab", "Enter")
    page.wait_for_selector(f"{LAST} >> text=Stopped.")
    assert focused(page) == "chat-text"


def test_the_view_follows_only_who_is_at_the_end(talker: Talker, open_page: OpenPage) -> None:
    page = ready(open_page(talker.address))
    send(page, "A long story.")
    talker.say("line\n" * 60 + "mark one\n")
    page.wait_for_selector(f"{LAST} >> text=mark one")
    assert page.evaluate(FROM_THE_END) < 2
    page.evaluate("document.getElementById('chat-log').scrollTop = 100")
    talker.say("line\n" * 20 + "mark two", "stop")
    page.wait_for_selector(IDLE)
    assert page.evaluate("document.getElementById('chat-log').scrollTop") == 100
    send(page, "More.")
    page.wait_for_selector(BUSY)
    assert page.evaluate(FROM_THE_END) < 2
    talker.say("", "stop")
    page.wait_for_selector(f"{LAST} >> text=The model said nothing.")


def test_the_box_grows_with_its_text(talker: Talker, open_page: OpenPage) -> None:
    page = ready(open_page(talker.address))
    height = "document.getElementById('chat-text').offsetHeight"
    low = page.evaluate(height)
    page.fill("#chat-text", "line\n" * 6)
    high = page.evaluate(height)
    page.fill("#chat-text", "line\n" * 400)
    assert low < high < page.evaluate(height) <= 0.4 * 900


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_can_be_read_anywhere(talker: Talker, open_page: OpenPage, scheme: str, width: int) -> None:
    options = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    page = ready(open_page(talker.address, expected=("500",), **options))
    converse(page, talker, "x" * 300, "مرحبا بالعالم", end="length")
    talker.refuse = lambda _: (500, {"message": "y" * 300})
    send(page, "Again, please.")
    page.wait_for_selector("#chat-trouble >> text=status 500")
    page.click("text=Settings")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(CONTRAST) == []


EVENTS = (
    'data: {"a":"é𠮷🎉"}\n\n: a comment\nevent: x\ndata:two\r\ndata: lines\r\n\r\nid\ndata\n\ndata: last\n\ndata: lost'
)


def test_events_are_read_however_they_are_cut(talker: Talker, open_page: OpenPage) -> None:
    page = open_page(talker.address)
    whole = list(EVENTS.encode())
    code = (
        "(async () => { const found = []; const chunks = x.map((part) => new Uint8Array(part));"
        " const stream = new ReadableStream({ start(c) { chunks.forEach((part) => c.enqueue(part)); c.close(); } });"
        " for await (const data of m.readEvents(stream)) found.push(data); return found; })()"
    )
    wanted = [json.dumps({"a": "é𠮷🎉"}, ensure_ascii=False, separators=(",", ":")), "two\nlines", "", "last"]
    for size in (1, 2, 3, 7, len(whole)):
        chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
        assert run_module(page, "sse.js", code, chunks) == wanted, size
