"""YAML without what surprises or floods its reader: no aliases, no key twice, and only plain numbers are numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import yaml

FAULTS = (yaml.YAMLError, ValueError, RecursionError)
"""What `read_yaml` raises."""

_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_LEFT_OUT = {_INT, _FLOAT, "tag:yaml.org,2002:timestamp"}


def read_yaml(text: str) -> Any:
    """Parse one YAML document.

    Dates, octal numbers, times in base 60 and digits with underscores, which YAML 1.1 turns into numbers and dates,
    stay texts: a column called 0123 or 1:30 keeps its name.

    Raises:
        yaml.YAMLError: it is no YAML, has an alias, or a key twice.
        RecursionError: it nests too deeply.

    Example:
        >>> read_yaml("{epochs: 3, part: 0.5, revision: 0123}")
        {'epochs': 3, 'part': 0.5, 'revision': '0123'}
    """
    return _StrictLoader(text).get_single_data()


class _StrictLoader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012 - the library's own way
        start: [(tag, pattern) for tag, pattern in resolvers if tag not in _LEFT_OUT]
        for start, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        """An alias can stand for a node a billion times as large as the file."""
        if self.check_event(yaml.AliasEvent):
            stream: Any = self
            mark = stream.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "an alias (*) came, write the value out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Of a key that stands twice, the library would drop the first value without a word."""
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen:
                message = f"the key {key!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, message, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_StrictLoader.add_implicit_resolver(_INT, re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})$"), list("-+0123456789"))
_StrictLoader.add_implicit_resolver(
    _FLOAT, re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?$"), list("-+.0123456789")
)


@dataclass(frozen=True)
class Located:
    """A part of a YAML document that is all texts, and where it stands.

    Attributes:
        value: a text, a list of parts, or parts by key.
        line: from 1.
    """

    value: str | list[Located] | dict[str, Located]
    line: int


def read_texts(text: str) -> Located | None:
    """Parse one YAML document whose scalars are all taken as they are written: `no` and `1` are texts, too.

    Returns:
        None for an empty document.

    Raises:
        yaml.YAMLError: it is no YAML, has an alias, or a key that is no text or stands twice.
        RecursionError: it nests too deeply.

    Example:
        >>> read_texts("labels: [yes, no]").value["labels"].value[1]
        Located(value='no', line=1)
    """
    node = _StrictLoader(text).get_single_node()
    return None if node is None else _located(node)


def _located(node: Any) -> Located:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return Located(str(node.value), line)
    if isinstance(node, yaml.SequenceNode):
        return Located([_located(part) for part in node.value], line)
    found: dict[str, Located] = {}
    for key, part in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key is no text", key.start_mark)
        if key.value in found:
            message = f"the key {key.value!r} stands twice"
            raise yaml.constructor.ConstructorError(None, None, message, key.start_mark)
        found[key.value] = replace(_located(part), line=key.start_mark.line + 1)
    return Located(found, line)
