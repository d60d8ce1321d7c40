"""The page where something goes wrong: refused, busy, gone, a key, unreadable files; and its plain functions."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from tests.browser.conftest import OpenPage
from tests.browser.served import EMOJI_TEXT, ask, label_api, press, ready, run_module


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


def test_who_tries_again_is_not_told_of_the_return_later(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"])
    gone = [True]
    api.fault = lambda rows, _: (0, {}) if rows and gone else None

    def prepare(page: Any) -> None:
        page.clock.install()
        api.install(page)

    page = ready(open_page(address, prepare=prepare, expected=("ERR_CONNECTION_REFUSED",)))
    page.fill("#field-text", "a text")
    page.click("#send")
    page.wait_for_selector("text=The server does not answer.")
    gone.clear()
    page.click("text=Try again")
    page.wait_for_selector("#answer .given-label")
    page.clock.run_for(10_000)
    assert page.inner_text("#ask-trouble") == ""


def test_refusals_are_told_in_the_language_of_the_page(address: str, open_page: OpenPage) -> None:
    api = label_api(["yes", "no"])
    status = [404]
    api.fault = lambda rows, _: (status[0], {}) if rows else None
    page = ready(open_page(f"{address}?lang=zh", prepare=api.install, expected=("404", "413", "422", "418")))
    page.fill("#field-text", "一段文本")
    for code, words in ((404, "已没有这个模型"), (413, "一次发送的内容太多"), (418, "拒绝了这个请求（状态 418）")):
        status[0] = code
        page.click("#send")
        page.wait_for_selector(f"#ask-trouble :text('{words}')")
        assert page.inner_text("#ask-trouble [lang=en]") == f"status {code} – wait"
    page.click("text=English")
    assert "The server refused this (status 418)." in page.inner_text("#ask-trouble")
    page.click("text=中文")
    status[0] = 422
    page.click("#send")
    page.wait_for_selector("text=服务器不接受：status 422 – wait")
    page.check("#lines")
    page.fill("#field-text", "一\n二")
    page.click("#send")
    page.wait_for_selector("td :text('服务器不接受：status 422 – wait')")


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


def test_links_are_renewed_with_a_key(address: str, open_page: OpenPage) -> None:
    """Their tickets last ten minutes, for the models that are not chosen just now as well."""
    api = label_api(["yes", "no"])
    api.models = [{**api.models[0], "name": name, "links": {"card": f"/{name}?ticket=old"}} for name in ("one", "two")]

    def prepare(page: Any) -> None:
        page.clock.install()
        page.add_init_script("sessionStorage.setItem('tunesmith.key', 'good')")
        api.install(page)

    page = ready(open_page(address, prepare=prepare))
    api.models = [{**model, "links": {"card": f"/{model['name']}?ticket=new"}} for model in api.models]
    page.clock.run_for(301_000)
    page.wait_for_selector("#links a[href$='/one?ticket=new']")
    page.select_option("#picker", "two")
    page.wait_for_selector("#links a[href$='/two?ticket=new']", timeout=2_000)


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
    from tunesmith.output_files import make_cell

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
