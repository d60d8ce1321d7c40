"""The page at `/`: two documents and the files they need, made once at start and kept in memory.

One stack for all that the product shows in a browser: templates and the style sheet of `tunesmith.pages`, and ES
modules written for it. No framework, no build step, nothing from elsewhere. No path of a request reaches the disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response
from jinja2 import ChoiceLoader, PackageLoader

from tunesmith import __version__
from tunesmith.pages import make_environment, read_style

LANGUAGES = {"en": "en", "zh": "zh-Hans"}
"""Languages of the page and their tags."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Scripts and styles are files of this server, and browsers refuse to turn a text into markup: innerHTML throws."""
MEDIA_TYPES = {"js": "text/javascript", "css": "text/css"}


@dataclass(frozen=True)
class Asset:
    """A file as it is sent."""

    content: bytes
    media_type: str


def add_page(app: FastAPI) -> None:
    """Add `/` and `/static/{name}`. The page asks `v1/models` for all it shows, as any other client does."""
    pages = {language: render_page(language).encode() for language in LANGUAGES}
    assets = read_assets()

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page(request: Request) -> Response:
        """The page, in the language that the address or the browser asks for."""
        wanted = request.query_params.get("lang", "")
        language = wanted if wanted in LANGUAGES else choose_language(request.headers.get("accept-language", ""))
        headers = {"content-security-policy": POLICY, "vary": "accept-language"}
        return Response(pages[language], media_type="text/html", headers=headers)

    @app.api_route("/static/{name}", methods=["GET", "HEAD"], include_in_schema=False)
    async def static(name: str) -> Response:
        """A script or a style sheet."""
        asset = assets.get(name)
        if asset is None:
            raise HTTPException(404, "there is no such file")
        return Response(asset.content, media_type=asset.media_type)


def render_page(language: str) -> str:
    """The document in one language; it holds the words of all, so that the language can be changed in place.

    Args:
        language: one of LANGUAGES.
    """
    tables = {name: read_words(name) for name in LANGUAGES}
    environment = make_environment()
    assert environment.loader is not None
    environment.loader = ChoiceLoader([environment.loader, PackageLoader("tunesmith", "serving/templates")])
    context: dict[str, Any] = {
        "language": LANGUAGES[language],
        "title": "Tunesmith",
        "generator": f"Tunesmith {__version__}",
        "skip": tables[language]["page.skip"],
        "t": tables[language],
        "tables": tables,
    }
    return environment.get_template("serve.html").render(context)


def read_words(language: str) -> Mapping[str, str]:
    """Key → words, with `{name}` where something is put in."""
    table: dict[str, str] = json.loads((_folder() / f"{language}.json").read_text("utf-8"))
    return table


def read_assets() -> dict[str, Asset]:
    """All files that `/static/` gives, by name."""
    found = {"style.css": Asset(read_style().encode(), MEDIA_TYPES["css"])}
    for file in _folder().iterdir():
        media_type = MEDIA_TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            found[file.name] = Asset(file.read_bytes(), media_type)
    return found


def _folder() -> Any:
    return resources.files("tunesmith") / "serving" / "static"


def choose_language(accepted: str) -> str:
    """The language of the page that a browser likes best.

    Args:
        accepted: the header Accept-Language.

    Example:
        >>> choose_language("fr, zh-CN;q=0.9, en;q=0.8"), choose_language("en, zh;q=0.5"), choose_language("")
        ('zh', 'en', 'en')
    """
    best, language = 0.0, "en"
    for part in accepted[:200].split(","):
        name, _, weight = part.strip().partition(";")
        found = re.fullmatch(r"\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", weight)
        quality = float(found[1]) if found else 1.0
        short = name.lower().partition("-")[0]
        if short in LANGUAGES and quality > best:
            best, language = quality, short
    return language
