"""The words of the page in one language: a table a language, with the same keys in all."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from markupsafe import Markup, escape

from tunesmith.errors import ConfigError, nearest

LANGUAGES = ("en", "zh")
_CODE = re.compile("`([^`]+)`")
_OPTION = re.compile("--[a-z]+")
"""A line must not break behind its hyphens."""


@cache
def read_table(language: str) -> Mapping[str, str]:
    """Key → words.

    Raises:
        ConfigError: there is no such language.
    """
    if language not in LANGUAGES:
        raise ConfigError(
            f"no page in {language!r}: {nearest(language, LANGUAGES)}", fix="--language en or --language zh"
        )
    path = resources.files("tunesmith") / "reporting" / f"{language}.json"
    table: dict[str, str] = json.loads(path.read_text("utf-8"))
    return table


class Words:
    """Looks words up.

    Attributes:
        language: "en" or "zh".

    Example:
        >>> Words("en")("rows", n="<3>"), Words("en").rich("rows", n="<3>")
        ('<3> rows', Markup('&lt;3&gt; rows'))
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._table = read_table(language)

    def __call__(self, key: str, **values: object) -> str:
        """The words of a key with `{name}` filled in, as plain text. Raises KeyError where there are none."""
        return self._table[key].format(**values)

    def rich(self, key: str, **values: object) -> Markup:
        """The same as HTML: values are escaped unless they are Markup, and what stands in backticks is code."""
        text = _OPTION.sub(r'<span class="nowrap">\g<0></span>', str(escape(self._table[key])))
        return Markup(_CODE.sub(r"<code>\1</code>", text)).format(**values)

    def anchor(self, name: str) -> str:
        """An id that stands once on a page that holds all languages.

        Example:
            >>> Words("zh").anchor("data")
            'zh-data'
        """
        return f"{self.language}-{name}"

    def name(self, kind: str, key: str, otherwise: str | None = None) -> str:
        """The words of `kind.key`, such as the name of a score; without any, `otherwise` or the key itself."""
        return self._table.get(f"{kind}.{key}", key if otherwise is None else otherwise)
