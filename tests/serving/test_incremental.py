"""Text that grows: no half characters, no stop string, and in the end all of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.serving.incremental import GrowingText


def of_bytes(ids: Sequence[int]) -> str:
    """One token a byte, as in byte-level vocabularies."""
    return bytes(ids).decode("utf-8", "replace")


def of_runs(ids: Sequence[int]) -> str:
    """As tokenizers that fall back on bytes: one that is broken spoils its whole run."""
    try:
        return bytes(ids).decode()
    except UnicodeDecodeError:
        return "\ufffd" * len(ids)


def pieces_of(data: bytes, decode: object = of_bytes, stops: Sequence[str] = (), loose: int = 0) -> list[str]:
    text = GrowingText(decode, stops, loose)  # type: ignore[arg-type]
    return [*(text.add(byte) for byte in data), text.end()]


def test_a_character_comes_when_all_of_it_is_there() -> None:
    assert pieces_of("é你🙂".encode()) == ["", "é", "", "", "你", "", "", "", "🙂", ""]
    assert pieces_of("你好".encode(), of_runs) == ["", "", "你", "", "", "好", ""]
    assert pieces_of("你".encode()[:2]) == ["", "", ""]
    assert pieces_of(b"a\xffb") == ["a", "", "b", ""]


def test_space_at_the_ends_is_no_part_of_an_answer() -> None:
    assert pieces_of(b" \n a  b \n") == ["", "", "", "a", "", "", "  b", "", "", ""]


def test_what_may_begin_a_stop_string_is_held_back() -> None:
    assert pieces_of(b"a\n\nb", stops=["\n\n"]) == ["a", "", "", "", ""]
    assert pieces_of(b"aENbEND!", stops=["END", "zz"]) == ["a", "", "", "ENb", "", "", "", "", ""]
    assert pieces_of(b"aEN", stops=["END"]) == ["a", "", "", "EN"]
    assert "".join(pieces_of("x你好y".encode(), stops=["好"])) == "x你"


def test_what_the_tokenizer_may_still_change_is_held_back() -> None:
    assert pieces_of(b"abcd", loose=2) == ["", "", "a", "b", "cd"]


@given(st.binary(max_size=40))
def test_pieces_make_the_whole_whatever_bytes_come(data: bytes) -> None:
    pieces = pieces_of(data)
    assert "".join(pieces) == of_bytes(data).replace("\ufffd", "").strip()
    assert not any("\ufffd" in piece for piece in pieces)


@given(st.text("ab ", max_size=20), st.lists(st.text("ab", min_size=1, max_size=3), max_size=3))
def test_no_stop_string_gets_through(text: str, stops: list[str]) -> None:
    ends = [text.index(stop) for stop in stops if stop in text]
    first = next((n for n in range(len(text) + 1) if any(stop in text[:n] for stop in stops)), len(text))
    wanted = text[: min(text[:first].index(stop) for stop in stops if stop in text[:first])] if ends else text
    assert "".join(pieces_of(text.encode(), stops=stops)) == wanted.strip()


@pytest.mark.parametrize("decode", [of_bytes, of_runs])
def test_nothing_comes_twice(decode: object) -> None:
    data = "the film 你好吗 was good 🙂🙂".encode()
    assert "".join(pieces_of(data, decode)) == data.decode()
