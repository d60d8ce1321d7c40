"""The templates' environment, the style sheet, and the policy that keeps a page from loading anything.

Every value is escaped, always. A name that a template does not get is an error, never an empty place. Pages hold no
script and no `style` attribute: `make_policy` forbids both.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from tunesmith.pages.texts import first_upper, visible

GENERATOR = "Tunesmith"
"""What every page of ours names as its generator, near its beginning."""
_MARK = f'<meta name="generator" content="{GENERATOR} '.encode()
_LOOKED_AT_BYTES = 4096


def make_environment() -> Environment:
    """The environment of the templates in `pages/templates`; the filters are those of `pages.texts`.

    Example:
        >>> make_environment().from_string("{{ name }}").render(name="<b>")
        '&lt;b&gt;'
    """
    environment = Environment(
        loader=PackageLoader("tunesmith", "pages/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["visible"] = visible
    environment.filters["first_upper"] = first_upper
    return environment


@cache
def read_style() -> str:
    """The style sheet of all pages, as it stands in `style.css`."""
    return (resources.files("tunesmith") / "pages" / "style.css").read_text("utf-8")


def style_source(style: str) -> str:
    """What a content security policy calls an inline style sheet: its hash.

    Example:
        >>> style_source("")
        "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"


def make_policy(style: str) -> str:
    """The content security policy of a page in one file: this inline style sheet, images inside the page, nothing else.

    Args:
        style: what stands between <style> and </style>, to the letter.
    """
    return f"default-src 'none'; style-src {style_source(style)}; img-src data:; base-uri 'none'; form-action 'none'"


def is_ours(path: Path) -> bool:
    """Whether a file is a page that Tunesmith wrote, so that a newer one may replace it."""
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        return _MARK in file.read(_LOOKED_AT_BYTES)
