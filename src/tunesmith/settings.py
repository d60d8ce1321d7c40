"""How values come together: files and `a.b=value` settings laid over each other, checked by a closed schema.

Every unknown key is an error that names its path and the nearest known one.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tunesmith.errors import ConfigError, nearest
from tunesmith.strict_yaml import FAULTS, read_yaml

Schema = TypeVar("Schema", bound=BaseModel)


def parse_setting(setting: str) -> tuple[list[str], Any]:
    """Split `a.b=value` into its path and its YAML value.

    Raises:
        ConfigError: there is no `=` or no key.

    Example:
        >>> parse_setting("train.learning_rate=3e-4")
        (['train', 'learning_rate'], 0.0003)
    """
    key, separator, text = setting.partition("=")
    path = [part.strip() for part in key.split(".")]
    if not separator or not all(path):
        raise ConfigError(f"--set got {setting!r}, wanted section.key=value", fix="--set train.epochs=3")
    try:
        value = read_yaml(text)
    except FAULTS:
        value = text
    return path, _number(text if _is_bare_sign(text, value) else value)


EXPONENT = re.compile(r"[-+]?\d+[eE][-+]?\d+", re.ASCII)


def _number(value: Any) -> Any:
    """YAML 1.1 reads 3e-4 as a string; a number it is."""
    if not isinstance(value, str) or not EXPONENT.fullmatch(value):
        return value
    return number if math.isfinite(number := float(value)) else value


def _is_bare_sign(text: str, value: Any) -> bool:
    """Whether a text such as # or |, which means something in YAML, is meant as it stands."""
    means_it = text.strip() in {"", "~", "[]", "{}", "''", '""'} or any(map(str.isalnum, text))
    return not means_it and not (isinstance(value, str) and value)


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Lay nested `changes` over `base`; neither is altered.

    Example:
        >>> merge({"train": {"epochs": 1, "seed": 2}}, {"train": {"epochs": 3}})
        {'train': {'epochs': 3, 'seed': 2}}
    """
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def apply_settings(base: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Lay `a.b=value` settings over a nested mapping, the last one winning."""
    result = dict(base)
    for setting in settings:
        path, value = parse_setting(setting)
        for part in reversed(path):
            value = {part: value}
        result = merge(result, value)
    return result


def read_config_file(path: str | Path) -> dict[str, Any]:
    """Read a YAML (or JSON) configuration file into a nested mapping.

    Raises:
        ConfigError: it is missing, is no YAML, or is not a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}", fix="check the path") from error
    try:
        content = read_yaml(text) or {}
    except FAULTS as error:
        why = "it nests too deeply" if isinstance(error, RecursionError) else error
        raise ConfigError(f"{path} is no YAML that is read here: {why}", fix="mend the line it names") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds a {type(content).__name__}, wanted sections such as train: and data:")
    return content


def check_options(schema: type[Schema], values: Mapping[str, Any], where: str = "") -> Schema:
    """Validate a mapping with a closed schema; all faults are named at once, with path and nearest known key.

    Args:
        schema: a pydantic model.
        values: what the user gave.
        where: dotted path in front of the keys, such as "task".

    Raises:
        ConfigError: any key or value does not fit.

    Example:
        >>> from tunesmith.config import TrainSection
        >>> check_options(TrainSection, {"epochs": 3}).epochs
        3.0
    """
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        found = error.errors()
        hint = next((hint for fault in found if (hint := _hint(fault, where))), "")
        fix = "correct the configuration or the --set option" + hint
        raise ConfigError("; ".join(_fault(schema, fault, where) for fault in found), fix=fix) from None


def _hint(fault: Mapping[str, Any], where: str) -> str:
    """What to write where YAML read something else than was meant."""
    if fault["type"] == "string_type":
        return f"; a text that YAML reads otherwise needs quotes: --set '{_path(fault, where)}=\"…\"'"
    if fault["type"] in {"dict_type", "list_type"} and str(fault["input"]).startswith(("{", "[")):
        return '; YAML reads this as one text: texts in it that have signs need quotes, such as {name: "who?"}'
    return ""


def _path(fault: Mapping[str, Any], where: str) -> str:
    location = map(str, fault["loc"])
    return ".".join([where, *location] if where else location)


def _fault(schema: type[BaseModel], fault: Mapping[str, Any], where: str) -> str:
    location = [str(part) for part in fault["loc"]]
    path = _path(fault, where)
    if fault["type"] == "extra_forbidden":
        return f"unknown key {path}: {nearest(location[-1], _known_keys(schema, location[:-1]))}"
    return f"{path} is {reprlib.repr(fault['input'])}: {fault['msg']}"


def _known_keys(schema: type[BaseModel], location: Sequence[str]) -> list[str]:
    for part in location:
        annotation = schema.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        schema = annotation
    return list(schema.model_fields)


def build_named(what: str, table: Mapping[str, type[Any]], name: str, options: Mapping[str, Any]) -> Any:
    """Build an entry of the table of tasks or methods, its options checked by its own Config.

    Args:
        what: "task", "method" or "few_shot", for the messages.
        table: name → class with a `Config`.
        name: which one.
        options: what its Config takes.

    Raises:
        ConfigError: the name or an option is unknown.
    """
    if name not in table:
        raise ConfigError(f"unknown {what} {name!r}: {nearest(name, table)}", fix="choose one of them")
    return table[name](check_options(table[name].Config, options, what))


def resolve(schema: type[Schema], *layers: Mapping[str, Any], settings: Sequence[str] = ()) -> Schema:
    """Lay mappings and `a.b=value` settings over each other, later ones winning, and check them.

    Raises:
        ConfigError: any key or value does not fit.
    """
    values: dict[str, Any] = {}
    for layer in layers:
        values = merge(values, layer)
    return check_options(schema, apply_settings(values, settings))


def to_yaml(config: BaseModel) -> str:
    """The configuration as YAML that `read_config_file` and `resolve_config` turn into the same one."""
    return yaml.safe_dump(json.loads(config.model_dump_json()), sort_keys=False, allow_unicode=True)
