"""The page in two languages, with the keyboard, on a telephone, in two colour schemes; what it remembers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.served import EMOJI_TEXT, ask, entity_api, label_api, press, ready


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
