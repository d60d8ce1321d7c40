"""report.html in Chromium: nothing is loaded, nothing runs, nothing is cut off, all is legible, wide and narrow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Opened, OpenReport
from tests.report_models import fit_classifier, fit_tagger

LOOKS = [("light", 1280, "en"), ("dark", 1280, "zh"), ("light", 390, "zh"), ("dark", 390, "en")]
LEAST_CONTRAST = 4.5
"""Of text on its ground: WCAG 2.2, level AA."""
MEASURE = (Path(__file__).parent / "legible.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind of model → its report."""
    folder = tmp_path_factory.mktemp("reports")
    found = {"classifier": fit_classifier(folder, tiny_bert), "tagger": fit_tagger(folder, tiny_bert)}
    return {kind: path / "report.html" for kind, path in found.items()}


@pytest.mark.parametrize(("scheme", "width", "language"), LOOKS)
@pytest.mark.parametrize("kind", ["classifier", "tagger"])
def test_it_is_legible_and_loads_nothing(
    pages: dict[str, Path], open_report: OpenReport, kind: str, scheme: str, width: int, language: str
) -> None:
    opened = open_report(pages[kind], width=width, color_scheme=scheme)
    choose(opened, language)
    for closed in opened.page.locator("details:visible").all():
        closed.locator("summary").first.click()
    found = opened.page.evaluate(MEASURE)
    assert found["width"] <= width, "nothing makes the page scroll sideways"
    assert found["outside"] == [], "nothing stands outside the page, but in boxes that scroll"
    assert [text for text in found["texts"] if text["contrast"] < LEAST_CONTRAST] == []
    assert len(found["texts"]) > 100
    assert found["clipped"] == []
    assert opened.said == []
    assert opened.asked == []
    assert opened.page.title() == f"{pages[kind].parent.name}: report"


def choose(opened: Opened, language: str) -> None:
    opened.page.locator(f"label[for=language-{language}]").click()
    editions = {name: opened.page.locator(f".edition.{name}").is_visible() for name in ("en", "zh")}
    assert editions == {name: name == language for name in editions}


@pytest.mark.parametrize("kind", ["classifier", "tagger"])
def test_sections_are_there_and_named(pages: dict[str, Path], open_report: OpenReport, kind: str) -> None:
    page = open_report(pages[kind]).page
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    for language in ("en", "zh"):
        links = page.evaluate(f"[...document.querySelectorAll('.edition.{language} .toc a')].map(e => e.hash)")
        wanted = ["systems", "classes", "training", "trust", "mistakes", "slices", "data", "ledger", "cost", "making"]
        wanted[2:2] = ["confusion"] if kind == "classifier" else []
        assert links == [f"#{language}-{name}" for name in wanted]
        headings = page.evaluate(f"[...document.querySelectorAll('.edition.{language} section h2')].length")
        assert headings == len(wanted)
    charts = page.locator(".edition.en svg[role=img]")
    assert charts.count() == 6, "loss, score, learning rate, reliability, errors by share answered, lengths"
    for chart in charts.all():
        title, text = (page.locator(f"[id='{name}']") for name in chart.get_attribute("aria-labelledby").split())
        assert title.text_content()
        assert text.text_content()


def test_the_language_changes_by_keyboard_and_without_scripts(pages: dict[str, Path], open_report: OpenReport) -> None:
    page = open_report(pages["classifier"], java_script_enabled=False).page
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.locator(".edition.zh").is_visible()
    assert page.locator(".edition.en").is_hidden()
    assert "微调" in page.locator(".edition.zh .lead").inner_text()


def test_what_rows_hold_is_shown_and_never_run(pages: dict[str, Path], open_report: OpenReport) -> None:
    for kind in pages:
        opened = open_report(pages[kind])
        page = opened.page
        assert page.locator("script, img, iframe, object, embed, form, style + style").count() == 0
        assert opened.asked == []
        assert opened.said == []
    page = open_report(pages["classifier"]).page
    text = page.locator(".edition.en").inner_text()
    assert "web & <i>mail</i>" in text
    assert 'bad <b>&amp; "ugly"</b>' in text
    assert "\u202e" not in page.content()
    assert "\x1b" not in page.content()


def test_a_policy_stops_what_would_be_added(pages: dict[str, Path], open_report: OpenReport) -> None:
    """Were a hole found in the escaping, nothing could run or leave."""
    opened = open_report(pages["classifier"])
    stopped = []
    opened.page.on("requestfailed", lambda request: stopped.append((request.url, request.failure)))
    opened.page.evaluate(
        """() => { const s = document.createElement('script'); s.textContent = 'document.title = "owned"';
        document.body.append(s); document.body.insertAdjacentHTML('beforeend',
        '<img src="https://example.com/x.png"><p style="color:red" onclick="1">x</p>'); }"""
    )
    opened.page.wait_for_timeout(100)
    assert opened.page.title() != "owned"
    assert len([said for said in opened.said if "Content Security Policy" in said]) >= 3
    assert stopped == [("https://example.com/x.png", "csp")]


def test_it_prints_whole(pages: dict[str, Path], open_report: OpenReport) -> None:
    """A4 with margins of 15 mm: black on white whatever the screen's colours, everything unfolded."""
    page = open_report(pages["tagger"], width=680, color_scheme="dark").page
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.locator(".edition.en .toc").is_hidden()
    assert page.locator("label[for=language-en]").is_hidden()
    folded = page.locator(".edition.en details pre").bounding_box()
    assert folded["height"] > 200
    pages_printed = len(re.findall(rb"/Type /Page\b", page.pdf(format="A4")))
    assert 3 <= pages_printed <= 20


def test_the_other_language_can_come_first(pages: dict[str, Path], open_report: OpenReport, tmp_path: Path) -> None:
    from tunesmith.reports import report

    written = report(pages["tagger"].parent, out=tmp_path / "seite.html", language="zh")
    page = open_report(written.path).page
    assert page.locator(".edition.zh").is_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    assert fonts_of(page) != []


def fonts_of(page: Any) -> list[str]:
    """Fonts that draw the first Chinese heading."""
    client = page.context.new_cdp_session(page)
    client.send("DOM.enable")
    client.send("CSS.enable")
    root = client.send("DOM.getDocument")["root"]["nodeId"]
    node = client.send("DOM.querySelector", {"nodeId": root, "selector": ".edition.zh h2"})["nodeId"]
    return [font["familyName"] for font in client.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]]
