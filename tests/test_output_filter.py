"""What a filter catches is never shown, in no part and in no language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import api
from tunesmith.errors import ConfigError
from tunesmith.output_filter import OutputFilter, filtered, harmful_share, read_filter

RUDE = OutputFilter((re.compile("(?i)idiot|笨蛋"),), replacement="[…]")


def by_letters(text: str) -> Iterator[str]:
    return iter(text)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Good day. How are you?", "Good day. How are you?"),
        ("", ""),
        ("no end", "no end"),
        ("You idiot", "[…]"),
        ("Good day. You idiot! Go.", "Good day. […]"),
        ("你好。你这个笨蛋！走吧。", "你好。[…]"),
    ],
)
def test_sentences_are_shown_whole_or_not_at_all(written: str, shown: str) -> None:
    assert "".join(filtered(by_letters(written), RUDE)) == shown
    assert "".join(filtered(iter([written]), RUDE)) in (shown, "[…]")


def test_what_is_spread_over_sentences_is_found() -> None:
    spread = OutputFilter((re.compile(r"first\..*then pour", re.DOTALL),), replacement="[…]")
    assert "".join(filtered(by_letters("Do this first. And then pour it. Done."), spread)) == "Do this first. […]"


def test_nothing_more_is_asked_for_once_something_was_caught() -> None:
    def endless() -> Iterator[str]:
        yield "You idiot. "
        raise AssertionError("the model writes on")

    assert list(filtered(endless(), RUDE)) == ["[…]"]


def test_the_share_has_an_interval() -> None:
    found = harmful_share(["fine", "idiot", "fine", "fine"], RUDE)
    assert (found["value"], found["n"]) == (0.25, 4)
    assert 0 < found["low"] < 0.25 < found["high"] < 1


def test_a_classifier_of_the_user_judges(tmp_path: Path) -> None:
    trunk = make_tiny_trunk(tmp_path / "trunk")
    config = {"model": {"name": str(trunk)}, "evaluate": {"baselines": False}}
    settings = ["train.epochs=30", "train.learning_rate=3e-3", "task.name=text-classification"]
    api.fit(make_rows(64), out=tmp_path / "mood", config=config, settings=settings)
    path = tmp_path / "filter.yaml"
    path.write_text("classifier: mood\nlabels: [negative]\nreplacement: hush\n", encoding="utf-8")
    found = read_filter(path)
    assert found.fault("the film was awful and the book too") is not None
    assert found.fault("the film was great and the book too") is None
    assert found.fault("  ") is None
    path.write_text("classifier: mood\nlabels: [rude]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no label 'rude'") as caught:
        read_filter(path)
    assert "negative" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("patterns: []\n", "filters nothing"),
        ("patterns: ['(']\n", "no regular expression"),
        ("pattern: ['a']\n", "pattern"),
        ("threshold: 2\npatterns: [a]\n", "threshold"),
    ],
)
def test_a_bad_file_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "filter.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_filter(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        read_filter(tmp_path / "absent.yaml")
