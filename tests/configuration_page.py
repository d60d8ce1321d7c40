"""Writes the pages of settings and their Chinese twins from the schemas: python -m tests.configuration_page.

The Chinese descriptions stand in docs/zh/configuration.json, by the English ones, so that a description that is
changed asks for a new translation.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tunesmith.config import Named, RunConfig
from tunesmith.few_shot import WAYS
from tunesmith.methods import METHODS
from tunesmith.objectives import OBJECTIVES
from tunesmith.pretraining.config import PretrainConfig
from tunesmith.tasks import TASKS

DOCS = Path(__file__).parent.parent / "docs"
TRANSLATIONS = DOCS / "zh" / "configuration.json"

PAGES_OF_NAMES = {
    "task": "[tasks](README.md)",
    "method": "[methods](methods.md)",
    "few_shot": "[ways](few-shot.md)",
    "objective": "[objectives](pretraining.md)",
}
"""Where the names of a table are listed, so that a new one changes no other page."""

ENGLISH = {
    "title": "Configuration",
    "intro": (
        "Every setting, its values and its default. A setting is given with `--set section.key=value`, in a YAML\n"
        "file with `--config FILE`, or in Python as `ts.fit(..., settings=['section.key=value'])`. The last one\n"
        "given counts: recipe, file, options of the command, `--set`. An unknown key is refused, and the nearest\n"
        "known one named.\n"
        "\n"
        "This page is made from the code by `python -m tests.configuration_page`."
    ),
    "header": "| setting | values | default | meaning |",
    "name": "Which one.",
    "pretraining title": "Configuration of pretraining",
    "pretraining intro": (
        "Every setting of `tunesmith pretrain`, given as [those of `fit`](configuration.md) are.\n"
        "\n"
        "This page is made from the code by `python -m tests.configuration_page`."
    ),
}
CHINESE = {
    "title": "配置",
    "intro": (
        "所有设置、取值和默认值。设置可以用 `--set section.key=value` 给出，也可以写进 YAML 文件并用\n"
        "`--config FILE` 指定，在 Python 中则是 `ts.fit(..., settings=['section.key=value'])`。\n"
        "后给的优先，顺序为：配方、文件、命令选项、`--set`。未知的键会被拒绝，并指出最接近的已知键。\n"
        "\n"
        "本页由 `python -m tests.configuration_page` 从代码生成。"
    ),
    "header": "| 设置 | 取值 | 默认 | 含义 |",
    "name": "选哪一个。",
    "pretraining title": "预训练的配置",
    "pretraining intro": (
        "`tunesmith pretrain` 的所有设置，给出的方式与 [`fit` 的设置](configuration.md)相同。\n"
        "\n"
        "本页由 `python -m tests.configuration_page` 从代码生成。"
    ),
}


@dataclass(frozen=True)
class Book:
    """What a page lists.

    Attributes:
        prefix: of its title and introduction among the words.
        schema: its sections.
        tables: section → names that have options of their own.
    """

    prefix: str
    schema: type[BaseModel]
    tables: Mapping[str, Mapping[str, type[Any]]]


RUN = Book("", RunConfig, {"task": TASKS, "method": METHODS, "few_shot": WAYS})
PRETRAINING = Book("pretraining ", PretrainConfig, {"objective": OBJECTIVES})


@dataclass(frozen=True)
class Setting:
    """One line of a table."""

    path: str
    values: str
    default: str
    meaning: str


def section_tables(book: Book = RUN) -> dict[str, list[Setting]]:
    """Heading → settings: the sections of a run, then the options of each name of a table."""
    found: dict[str, list[Setting]] = {}
    for name, field in book.schema.model_fields.items():
        if field.annotation is Named:
            continue
        assert isinstance(field.annotation, type)
        found[f"`{name}`"] = list(_settings(field.annotation, name))
    for section, table in book.tables.items():
        default = book.schema.model_fields[section].default.name
        listed = f"a name: {PAGES_OF_NAMES[section]}"
        found[f"`{section}`"] = [Setting(f"{section}.name", listed, f"`{default}`", "")]
        for name, kind in table.items():
            options = list(_settings(kind.Config, section))
            if options:
                found[f"`{section}` {name}"] = options
    return found


def known_keys() -> set[str]:
    """Dotted paths of all settings, of all tasks, methods and objectives."""
    return {s.path for book in (RUN, PRETRAINING) for settings in section_tables(book).values() for s in settings}


def free_keys() -> set[str]:
    """Settings that are mappings, below which any key is allowed."""
    schemas: list[tuple[str, Any]] = []
    for book in (RUN, PRETRAINING):
        schemas += [(name, field.annotation) for name, field in book.schema.model_fields.items()]
        schemas += [(name, kind.Config) for name, table in book.tables.items() for kind in table.values()]
    return {
        f"{section}.{key}"
        for section, schema in schemas
        if isinstance(schema, type) and issubclass(schema, BaseModel)
        for key, field in schema.model_fields.items()
        if "dict[" in str(field.annotation)
    }


def _settings(schema: type[BaseModel], section: str) -> Iterator[Setting]:
    for key, field in schema.model_fields.items():
        meaning = " ".join((field.description or "").split())
        yield Setting(f"{section}.{key}", _values(field), _default(field), meaning)


def _values(field: FieldInfo) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    limits = [
        f"{sign} {_number(getattr(rule, name))}"
        for rule in field.metadata
        for name, sign in signs.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join([*([] if field.annotation is None else [_type(field.annotation)]), *limits])


def _type(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, UnionType):
        return ", ".join(_type(part) for part in arguments if part is not type(None))
    if origin is list:
        return f"[{_type(arguments[0])}]"
    if origin is dict:
        return f"{_type(arguments[0])} → {_type(arguments[1])}"
    if origin is typing.Annotated:
        bare, rule = arguments
        return f"{_type(bare)} {_values(rule)}".rstrip() if rule.metadata else _type(bare)
    return str(getattr(annotation, "__name__", annotation))


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _default(field: FieldInfo) -> str:
    value = field.default_factory() if callable(field.default_factory) else field.default  # type: ignore[call-arg]
    if value is PydanticUndefined:
        return ""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{json.dumps(value) if isinstance(value, (bool, list, dict)) else value}`"


def render(book: Book, words: Mapping[str, str], translate: Mapping[str, str] | None) -> str:
    """The page in one language; a description without a translation is a KeyError."""
    lines = [f"# {words[book.prefix + 'title']}", "", words[book.prefix + "intro"]]
    for heading, settings in section_tables(book).items():
        lines += ["", f"## {heading}", "", words["header"], "| --- | --- | --- | --- |"]
        for setting in settings:
            meaning = setting.meaning or words["name"]
            if setting.meaning and translate is not None:
                meaning = translate[setting.meaning]
            cells = (f"`{setting.path}`", setting.values, setting.default, meaning)
            lines.append("| " + " | ".join(_cell(text) for text in cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """A text that Markdown shows as it is: no new column, no HTML tag."""
    return re.sub(r"<(?=\w)", "&lt;", text.replace("|", r"\|"))


def read_translations() -> dict[str, str]:
    found: dict[str, str] = json.loads(TRANSLATIONS.read_text(encoding="utf-8"))
    return found


def untranslated() -> list[str]:
    """English descriptions that have no Chinese one, and Chinese ones whose English is gone."""
    books = (RUN, PRETRAINING)
    meanings = {s.meaning for b in books for settings in section_tables(b).values() for s in settings if s.meaning}
    return sorted(meanings ^ read_translations().keys())


def pages() -> dict[Path, str]:
    found = {}
    for book, name in ((RUN, "configuration.md"), (PRETRAINING, "pretraining-configuration.md")):
        found[DOCS / name] = render(book, ENGLISH, None)
        found[DOCS / "zh" / name] = render(book, CHINESE, read_translations())
    return found


if __name__ == "__main__":
    for page, content in pages().items():
        page.write_text(content, encoding="utf-8")
