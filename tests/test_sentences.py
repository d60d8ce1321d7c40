"""Sentences of a text: English and Chinese, short forms, entities, signs at the ends."""

from __future__ import annotations

import pytest

from tunesmith.tasks.sentences import split_sentences


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Lee met J. Doe. They left.", ["Dr. Lee met J. Doe.", "They left."]),
        ("他来了。她走了！好。", ["他来了。", "她走了！", "好。"]),
        ("他说：“走吧！”她走了；他留下。", ["他说：“走吧！”", "她走了；他留下。"]),
        ("It costs 3.50 now", ["It costs 3.50 now"]),
        ("One\n\n Two", ["One", "Two"]),
        ("", [""]),
        (" \n ", [""]),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert [text[start:end] for start, end in split_sentences(text, keep_signs=True)] == parts
    assert [text[start:end] for start, end in split_sentences(text)] == [part.rstrip(".!?。！？”") for part in parts]


def test_no_sentence_ends_inside_an_entity() -> None:
    assert split_sentences("Yahoo! Inc. grew. Fine.", [(0, 10)], keep_signs=True) == [(0, 17), (18, 23)]


@pytest.mark.parametrize("form", ["Prof.", "e.g.", "No.", "J."])
@pytest.mark.parametrize("before", ["", "The ", "(", "x" * 500 + " "])
def test_a_short_form_ends_no_sentence_wherever_it_stands(form: str, before: str) -> None:
    text = f"{before}{form} Lee left. She stayed"
    assert len(split_sentences(text)) == 2


def test_a_word_that_ends_like_a_short_form_ends_its_sentence() -> None:
    assert len(split_sentences("He met BigProf. They sold BioCo. Fine")) == 3
