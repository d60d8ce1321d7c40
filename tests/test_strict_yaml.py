"""Configuration texts: no aliases, no key twice, bounded messages; --set takes the texts that people mean."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import pytest

from tunesmith import strict_yaml
from tunesmith.config import RunConfig, resolve_config
from tunesmith.errors import ConfigError
from tunesmith.planning import as_setting
from tunesmith.settings import check_options, parse_setting, read_config_file, to_yaml
from tunesmith.strict_yaml import read_yaml
from tunesmith.tasks import make_task

LAUGHS = (
    "a: &a ["
    + ", ".join(["ha"] * 9)
    + "]\n"
    + "".join(
        f"{new}: &{new} [" + ", ".join([f"*{old}"] * 9) + "]\n" for old, new in ("ab", "bc", "cd", "de", "ef", "fg")
    )
)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_bomb_of_aliases_is_refused_in_a_short_message(tmp_path: Path) -> None:
    bomb = write(tmp_path / "laughs.yaml", LAUGHS + "train: {epochs: *g}\n")
    assert bomb.stat().st_size < 500
    with pytest.raises(ConfigError, match="alias") as caught:
        read_config_file(bomb)
    assert len(str(caught.value)) < 1000
    with pytest.raises(ConfigError) as caught:
        resolve_config(settings=["train.epochs=[&a [1], *a, *a]"])
    assert len(str(caught.value)) < 1000


def test_a_section_that_stands_twice_is_refused(tmp_path: Path) -> None:
    twice = write(tmp_path / "twice.yaml", "train: {epochs: 1}\nmodel: {name: minilm}\ntrain: {seed: 2}\n")
    with pytest.raises(ConfigError, match="the key 'train' stands twice") as caught:
        read_config_file(twice)
    assert "line 3" in caught.value.message
    with pytest.raises(ConfigError, match="'epochs' stands twice"):
        read_config_file(write(tmp_path / "inner.yaml", "train:\n  epochs: 1\n  epochs: 2\n"))


@pytest.mark.parametrize("text", ["[" * 3000, "a: " + "{b: " * 3000, "when: 2024-13-45", "- 1", "\t"])
def test_what_cannot_be_read_is_the_users_mistake(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        resolve_config(read_config_file(write(tmp_path / "odd.yaml", text)))
    with pytest.raises(ConfigError):
        resolve_config(settings=[f"train.epochs={text}"])


def test_a_huge_value_is_shown_in_short() -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(RunConfig, {"train": {"epochs": "x" * 10**6, "seed": list(range(10**5))}})
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            ("3", 3),
            ("-2", -2),
            ("0.5", 0.5),
            ("1.", 1.0),
            (".5", 0.5),
            ("1.5e-3", 0.0015),
            ("true", True),
            ("~", None),
        ),
        *(("0123", "0123"), ("1_000", "1_000"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("0x1F", "0x1F")),
        *(("9" * 5000, "9" * 5000), ("v1", "v1"), ("'3'", "3"), ("[1, a]", [1, "a"]), (".inf", ".inf")),
    ],
)
def test_only_plain_numbers_are_numbers(text: str, value: Any) -> None:
    found = read_yaml(text)
    assert found == value
    assert type(found) is type(value)


SEPARATORS = ("#", "|", "-", "&", "*", ">", ";", ",", "##", "::", "!", "%", "@", "?")


@pytest.mark.parametrize("sign", SEPARATORS)
def test_a_sign_is_meant_as_it_stands(sign: str) -> None:
    config = resolve_config(settings=[f"task.separator={sign}"])
    task = make_task("text-classification", config.task.options)
    assert task.config.separator == sign
    assert parse_setting(f"task.separator={as_setting(sign)}")[1] == sign, "the printed command says the same"


@pytest.mark.parametrize("text", ["", "~", "[]", "{}", "''", '""'])
def test_nothing_stays_nothing(text: str) -> None:
    assert parse_setting(f"output.trackers={text}")[1] in (None, [], {}, "")


@pytest.mark.parametrize("text", ["1", "1234567", "0123456", "2024-01-01", "1:30", "007", "v1.0", "-5"])
def test_a_text_may_look_like_a_number(text: str) -> None:
    config = resolve_config(settings=[f"data.columns.label={text}", f"model.revision={text}"])
    assert config.data.columns == {"label": text}
    assert config.model.revision == text
    assert parse_setting(f"x={as_setting(text)}")[1] == text


@pytest.mark.parametrize("setting", ["data.columns.label=yes", "model.revision=[a]", "data.columns.text="])
def test_where_quotes_are_needed_the_error_says_so(setting: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_config(settings=[setting])
    key = setting.partition("=")[0]
    assert f"needs quotes: --set '{key}=\"…\"'" in str(caught.value.fix)
    assert resolve_config(settings=['data.columns.label="yes"']).data.columns == {"label": "yes"}


def test_a_mapping_that_is_none_is_told_from_a_text() -> None:
    """YAML has signs of its own inside braces: a question mark ends a text there."""
    with pytest.raises(ConfigError, match=r"data\.columns") as caught:
        resolve_config(settings=["data.columns={text: who?, label: x}"])
    assert 'need quotes, such as {name: "who?"}' in str(caught.value.fix)
    assert resolve_config(settings=['data.columns={text: "who?", label: x}']).data.columns["text"] == "who?"


@pytest.mark.parametrize("name", ["3e-4", "0123", "1:30", "yes", "null", "2024-01-01", "1.0", "a: b", "#", "标签"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    config = resolve_config({"data": {"columns": {"label": name}}, "model": {"revision": name}})
    again = read_config_file(write(tmp_path / "config.yaml", to_yaml(config)))
    assert resolve_config(again) == config


def test_examples_run() -> None:
    assert doctest.testmod(strict_yaml).failed == 0
