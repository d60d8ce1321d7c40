"""Windows of a token stream: all tokens once, no document sees another, the next token is the right one."""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.corpora import corpus as corpus_module
from tunesmith.corpora.corpus import CorpusPart, open_corpus
from tunesmith.corpora.documents import DocumentOptions
from tunesmith.corpora.shards import ShardOptions, build_shards
from tunesmith.corpora.tokenizer_training import train_tokenizer
from tunesmith.corpora.windows import IGNORED, Windows

TOKENIZER = train_tokenizer("characters", 40, ["abcdefghij天地人 "])


def make_part(folder: Path, texts: list[str], **changes: Any) -> CorpusPart:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    given: dict[str, Any] = {"suffix_ids": (3,), "shard_bytes": 12, "validation_fraction": 0.0, "duplicates": "none"}
    list(build_shards(folder / "out", [str(path)], TOKENIZER, ShardOptions(**{**given, **changes})))
    return open_corpus(folder / "out").part("train")


@settings(max_examples=50)
@given(
    texts=st.lists(
        st.text(st.sampled_from("abc天 "), min_size=1, max_size=12).map("x".__add__), min_size=1, max_size=9
    ),
    context=st.integers(1, 14),
    shift=st.booleans(),
)
def test_windows_hold_the_documents_end_to_end(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], context: int, shift: bool
) -> None:
    part = make_part(tmp_path_factory.mktemp("windows"), texts)
    documents = [[*TOKENIZER.encode(text, add_special_tokens=False).ids, 3] for text in texts]
    stream = list(itertools.chain.from_iterable(documents))
    following = [token for document in documents for token in [*document[1:], IGNORED]]
    owner = [number for number, document in enumerate(documents) for _ in document]
    windows = Windows(part, context, shift=shift)
    assert len(windows) == -(-len(stream) // context)
    assert sum(windows.lengths_tokens) == len(stream)
    for row, window in enumerate(windows):
        here = slice(row * context, (row + 1) * context)
        expected = [[token for _, token in group] for _, group in _grouped(owner[here], stream[here])]
        assert window.sequences == tuple(expected)
        assert window.row == row
        assert window.target == (tuple(following[here]) if shift else None)
        assert windows.lengths_tokens[row] == window.length_tokens


def _grouped(owners: list[int], tokens: list[int]) -> Any:
    return itertools.groupby(zip(owners, tokens, strict=True), key=lambda pair: pair[0])


def test_windows_are_a_sequence(tmp_path: Path) -> None:
    windows = Windows(make_part(tmp_path, ["abc", "de"] * 5), 4, shift=False)
    assert windows[-1] == windows[len(windows) - 1]
    assert windows[1:3] == [windows[1], windows[2]]
    assert windows.word_starts(0) is None
    with pytest.raises(IndexError):
        windows[len(windows)]
    with pytest.raises(ValueError, match="context_tokens is 0"):
        Windows(windows.part, 0, shift=False)


def test_starts_of_words_come_with_the_window(tmp_path: Path) -> None:
    part = make_part(tmp_path, ["天地 人 天"] * 4, documents=DocumentOptions(segmented=True))
    windows = Windows(part, 7, shift=True)
    found = np.concatenate([windows.word_starts(row) for row in range(len(windows))])  # type: ignore[arg-type]
    assert found.tolist() == [True, False, True, True, True] * 4


def test_many_shards_need_few_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "_OPEN_FILES", 2)
    part = make_part(tmp_path, ["abcdefghij"] * 12)
    whole = part.tokens.read(0, len(part.tokens))
    assert len(whole) == 12 * 11
    for start in (100, 0, 50, 100):
        assert part.tokens.read(start, 25).tolist() == whole[start : start + 25].tolist()
    assert len(part.tokens._open) <= 2
    assert part.tokens.read(len(whole), 5).size == 0
    with pytest.raises(IndexError):
        part.tokens.read(len(whole) + 1, 5)
    with pytest.raises(ValueError, match="read-only"):
        part.tokens.read(0, 1)[0] = 1


def test_reading_a_window_is_fast(tmp_path: Path) -> None:
    windows = Windows(make_part(tmp_path, ["abcdefghij" * 20] * 200, shard_bytes=10**6), 128, shift=True)
    best_s = min(_time_of(windows) for _ in range(5))
    assert best_s < 150e-6  # 25 µs where nothing else runs


def _time_of(windows: Windows) -> float:
    began = time.perf_counter()
    for row in range(len(windows)):
        windows[row]
    return (time.perf_counter() - began) / len(windows)
