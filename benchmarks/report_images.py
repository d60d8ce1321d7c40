"""The pictures of docs/report.md: reports of a classifier and of a tagger, fitted on texts of this project alone.

    python -m benchmarks.report_images

takes three minutes on two cores, needs Chromium and the extra `dev`, and writes docs/images/report-*.png.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.browser.chromium import ARGUMENTS, find_chromium
from tunesmith import api
from tunesmith.demo import SETTINGS, find_sample
from tunesmith.reports import report

IMAGES = Path(__file__).parent.parent / "docs" / "images"
HEIGHTS = {1280: 1500, 390: 1500}
COLOURS = 96
MARGIN = 24
MOST_BYTES = 150_000

TOWNS = ("Aldermoor", "Brackwell", "Tamar", "Swiftmoor", "Ellerby", "Gladehurst", "Norwick", "Penhallow", "Ostby")
FIRST = ("Mira", "Jonas", "Adele", "Tobias", "Ines", "Ruth", "Pavel", "Nadia", "Omar", "Edda", "Luis", "Wei")
LAST = (*TOWNS[:5], "Okafor", "Lindqvist", "Moreau", "Tanaka", "Brandt", "Castellano", "Novak")
KINDS = ("Bank", "Mills", "Chemical", "Rail", "Press", "Foods", "Dairy")
SENTENCES = {
    "news": (
        "{ORG} opened a mill in {LOC} .",
        "Shares of {ORG} fell after {PER} resigned .",
        "{PER} of {ORG} met the mayor of {LOC} .",
        "Floods cut the line between {LOC} and {LOC} .",
        "{LOC} will host the cup next year .",
        "{ORG} beat {TEAM} by two goals .",
        "{TEAM} lost at {LOC} again .",
    ),
    "letters": (
        "Dear {PER} , the parcel from {LOC} never came .",
        "I wrote to {ORG} twice and nobody answered .",
        "{PER} told me to ask {PER} instead .",
        "We met in {LOC} , at the old office of {ORG} .",
        "Nobody here knows {ANY} .",
        "I have not seen {ANY} since May .",
    ),
    "minutes": (
        "{PER} ( {ORG} ) asked for more time .",
        "Present : {PER} , {PER} and {PER} .",
        "{ORG} to report from {LOC} by May .",
        "Moved by {PER} , seconded by {PER} .",
        "Letter from {ANY} read and filed .",
    ),
}
"""Invented. Towns are surnames, teams and parts of companies too, so that a tagger has something to confuse."""
MISLABELLED = 0.03
"""Share of names with a wrong label, as in data of the world."""


@dataclass(frozen=True)
class Shot:
    """A picture: which report, in which language and colours, how wide, and from which section on."""

    report: str
    language: str
    scheme: str
    width: int
    section: str

    @property
    def path(self) -> Path:
        """Where it goes."""
        return IMAGES / f"report-{self.report}-{self.scheme}-{self.width}.png"


SHOTS = (
    Shot("classifier", "en", "light", 1280, ""),
    Shot("classifier", "en", "dark", 390, ""),
    Shot("classifier", "zh", "dark", 1280, ""),
    Shot("classifier", "zh", "light", 390, ""),
    Shot("entities", "en", "dark", 1280, "mistakes"),
    Shot("entities", "en", "light", 390, "mistakes"),
    Shot("entities", "zh", "light", 1280, "mistakes"),
    Shot("entities", "zh", "dark", 390, "mistakes"),
)


def make_tagged(count: int, seed: int = 7) -> Iterator[dict[str, object]]:
    """Yield sentences with their names marked."""
    draw = random.Random(seed)
    for _ in range(count):
        source = draw.choice(list(SENTENCES))
        words, entities, length = [], [], 0
        for word in draw.choice(SENTENCES[source]).split():
            label = word.strip("{}") if word.startswith("{") else ""
            text = _name(label, draw) if label else word
            if label:
                label = {"TEAM": "ORG", "ANY": draw.choice(["PER", "PER", "LOC"])}.get(label, label)
                if draw.random() < MISLABELLED:
                    label = draw.choice(["PER", "LOC", "ORG"])
                entities.append({"start": length, "end": length + len(text), "label": label})
            words.append(text)
            length += len(text) + 1
        yield {"text": " ".join(words), "entities": entities, "source": source}


def _name(label: str, draw: random.Random) -> str:
    if label in ("LOC", "TEAM", "ANY"):
        return draw.choice(TOWNS)
    if label == "ORG":
        return draw.choice([f"{draw.choice(TOWNS)} {draw.choice(KINDS)}", f"{draw.choice(LAST)} & Sons", "Norwind"])
    return draw.choice([draw.choice(LAST), f"{draw.choice(FIRST)} {draw.choice(LAST)}", draw.choice(FIRST)])


def fit_classifier(folder: Path) -> Path:
    """The demo of the package."""
    return api.fit(find_sample("en"), out=folder / "financial-news", config=SETTINGS).folder


def fit_tagger(folder: Path) -> Path:
    """Names in invented sentences; few epochs, so that some are wrong."""
    file = folder / "letters.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in make_tagged(900)), encoding="utf-8")
    settings = ["task.name=token-classification", "train.epochs=2", "data.dev_fraction=0.4"]
    return api.fit(file, out=folder / "names-in-letters", settings=settings).folder


def take(browser: Browser, page_file: Path, shot: Shot) -> bytes:
    """One picture as PNG with few colours."""
    viewport = {"width": shot.width, "height": HEIGHTS[shot.width]}
    context = browser.new_context(viewport=viewport, color_scheme=shot.scheme, java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    page.locator(f"label[for=language-{shot.language}]").click()
    box = page.locator(f"#{shot.language}-{shot.section}").bounding_box() if shot.section else {"y": MARGIN}
    clip = {"x": 0, "y": box["y"] - MARGIN, "width": shot.width, "height": viewport["height"]}
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip)))
    context.close()
    file = io.BytesIO()
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def main() -> None:
    """Fit both, and take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="keep the two models here, and use them if they are there")
    runs = parser.parse_args().runs or Path(tempfile.mkdtemp())
    runs.mkdir(parents=True, exist_ok=True)
    folders = {"classifier": fit_classifier(runs), "entities": fit_tagger(runs)}
    pages = {name: report(folder).path.resolve() for name, folder in folders.items()}
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        for shot in SHOTS:
            content = take(browser, pages[shot.report], shot)
            if len(content) > MOST_BYTES:
                raise SystemExit(f"{shot.path.name} has {len(content):,} bytes, wanted at most {MOST_BYTES:,}")
            shot.path.write_bytes(content)
            print(f"{shot.path.name}  {len(content):,} bytes")
        browser.close()


if __name__ == "__main__":
    main()
