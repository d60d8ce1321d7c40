"""Texts to token ids on the disk: nothing lost, nothing twice, and the same bytes however often it was stopped."""

import dataclasses
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tunesmith import durable
from tunesmith.corpora import cutting, deduplicating, pieces, shards, text_files
from tunesmith.corpora.corpus import CorpusPart, open_corpus
from tunesmith.corpora.deduplicating import ExactSeen, NearSeen, sign_parts
from tunesmith.corpora.documents import DocumentOptions
from tunesmith.corpora.shards import ShardOptions, build_shards
from tunesmith.corpora.splitting import is_validation
from tunesmith.corpora.tokenizer_training import save_tokenizer, train_tokenizer
from tunesmith.errors import DataError, TrainingError, UserError
from tunesmith.manifests import DamagedFolder

_CHOSEN = random.Random(3)
WORDS = ["".join(_CHOSEN.choices("abcdefgh", k=_CHOSEN.randint(2, 7))) for _ in range(200)]
TEXTS = [" ".join(_CHOSEN.choices(WORDS, k=_CHOSEN.randint(1, 40))) for _ in range(150)] + ["我们提出新的方法 😀。"]
PREFIX, SUFFIX = (2,), (3,)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Single characters, so that ids give the text back."""
    return train_tokenizer("characters", 200, [*TEXTS, "0123456789\n AZ天地人"])


def options(**changes: Any) -> ShardOptions:
    given = {"prefix_ids": PREFIX, "suffix_ids": SUFFIX, "shard_bytes": 2000, "validation_fraction": 0.2, **changes}
    return ShardOptions(**given)


def write_rows(folder: Path, texts: Sequence[str], name: str = "a.jsonl") -> list[str]:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return [str(path)]


def texts_of(part: CorpusPart, tokenizer: Tokenizer) -> list[str]:
    """The documents, from their ids."""
    ends = part.documents.tolist()
    ids = [part.tokens.read(start, end - start).tolist() for start, end in zip([0, *ends], ends, strict=False)]
    assert all(document[:1] == list(PREFIX) and document[-1:] == list(SUFFIX) for document in ids)
    return [tokenizer.decode(document[1:-1]) for document in ids]


def content(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_document_is_there_once_and_whole(tmp_path: Path, tokenizer: Tokenizer) -> None:
    sources = write_rows(tmp_path, [*TEXTS, "", *TEXTS[:10]])
    progress = list(build_shards(tmp_path / "out", sources, tokenizer, options()))
    corpus = open_corpus(tmp_path / "out", verify=True)
    train, held_out = corpus.part("train"), corpus.part("validation")
    assert texts_of(train, tokenizer) == [text for text in TEXTS if not is_validation(text, 0.2, 13)]
    assert texts_of(held_out, tokenizer) == [text for text in TEXTS if is_validation(text, 0.2, 13)]
    assert 10 < held_out.total_documents < 60
    assert train.total_bytes + held_out.total_bytes == sum(len(text.encode()) for text in TEXTS)
    assert train.total_documents + held_out.total_documents == len(TEXTS)
    assert train.total_tokens == len(train.tokens) == train.documents[-1]
    assert progress[-1].left_out == {"duplicates": 10, "empty": 1, "bad": 0}
    assert progress[-1].tokens == train.total_tokens + held_out.total_tokens
    assert len(progress) > 3
    with pytest.raises(KeyError):
        corpus.part("test")


@pytest.mark.parametrize("duplicates", ["none", "exact", "near"])
def test_stopped_after_any_shard_ends_the_same(tmp_path: Path, tokenizer: Tokenizer, duplicates: Any) -> None:
    sources = write_rows(tmp_path, [*TEXTS[:70], " ", *TEXTS[:20], TEXTS[0] + " a", "", TEXTS[0]])
    wanted = options(duplicates=duplicates)
    whole = tmp_path / "whole"
    count = len(list(build_shards(whole, sources, tokenizer, wanted)))
    for stop in range(1, count + 1):
        folder = tmp_path / f"stopped-{stop}"
        run = build_shards(folder, sources, tokenizer, wanted)
        for _ in range(stop):
            next(run)
        run.close()
        with pytest.raises(DataError, match="not finished"):
            open_corpus(folder)
        again = list(build_shards(folder, sources, tokenizer, wanted))
        assert again[0].resumed_shards == stop
        assert content(folder) == content(whole)
    assert list(build_shards(whole, sources, tokenizer, wanted)) == []


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long documents, made short."""
    monkeypatch.setattr(text_files, "PART_CHARACTERS", 120)
    monkeypatch.setattr(text_files, "_LONG_BYTES", 200)
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 64)
    monkeypatch.setattr(cutting, "_SEARCHED_CHARACTERS", 30)
    monkeypatch.setattr(pieces, "PIECE_CHARACTERS", 50)
    monkeypatch.setattr(pieces, "HELD_CHARACTERS", 500)
    monkeypatch.setattr(shards, "BLOCK_BYTES", 110)


@pytest.mark.usefixtures("short_parts")
@pytest.mark.parametrize("validation", ["documents", "tail"])
def test_a_long_document_is_stopped_in_its_middle(tmp_path: Path, tokenizer: Tokenizer, validation: Any) -> None:
    long_texts = [" ".join(TEXTS[:20]), "天地人" * 100, "bad cab", " ".join(TEXTS[20:30]), " ".join(TEXTS[:20])]
    sources = []
    for number, text in enumerate(long_texts):
        path = tmp_path / f"{number}.txt"
        path.write_text(text, encoding="utf-8")
        sources.append(str(path))
    wanted = options(shard_bytes=150, validation=validation, documents=DocumentOptions(unit="file"))
    whole = tmp_path / "whole"
    count = len(list(build_shards(whole, sources, tokenizer, wanted)))
    assert count > 20
    corpus = open_corpus(whole)
    found = {name: texts_of(corpus.part(name), tokenizer) for name in ("train", "validation")}
    kept = long_texts[:4]
    if validation == "tail":
        cuts = [int(len(text) * 0.8) for text in kept]
        assert found["train"] == [text[:cut] for text, cut in zip(kept, cuts, strict=True)]
        assert found["validation"] == [text[cut:] for text, cut in zip(kept, cuts, strict=True)]
    else:
        assert sorted(found["train"] + found["validation"]) == sorted(kept)
    for stop in range(1, count + 1, 3):
        folder = tmp_path / f"stopped-{stop}"
        run = build_shards(folder, sources, tokenizer, wanted)
        for _ in range(stop):
            next(run)
        run.close()
        list(build_shards(folder, sources, tokenizer, wanted))
        assert content(folder) == content(whole)


class Killed(BaseException):
    """The process ends here."""


def test_killed_at_any_write_ends_the_same(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = write_rows(tmp_path, TEXTS[:25])
    whole = tmp_path / "whole"
    list(build_shards(whole, sources, tokenizer, options()))
    watched = {name: getattr(os, name) for name in ("open", "write", "fsync", "rename", "replace", "mkdir")}
    left = [0]

    def watch(name: str) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return watched[name](*given, **named)

        return call

    monkeypatch.setattr(durable, "_remove", lambda path: None)  # who is killed tidies nothing up
    for name in watched:
        monkeypatch.setattr(os, name, watch(name))
    kills, at = 0, 0
    while True:
        at += 1
        folder = tmp_path / f"killed-{at}"
        left[0] = at
        try:
            list(build_shards(folder, sources, tokenizer, options()))
            break
        except Killed:
            kills += 1
        left[0] = 0
        monkeypatch.undo()
        list(build_shards(folder, sources, tokenizer, options()))
        assert content(folder) == content(whole), f"killed at write {at}"
        monkeypatch.setattr(durable, "_remove", lambda path: None)
        for name in watched:
            monkeypatch.setattr(os, name, watch(name))
    assert kills > 30


CHILD = """
import sys
from tokenizers import Tokenizer
from tunesmith.corpora.shards import ShardOptions, build_shards
tokenizer = Tokenizer.from_file(sys.argv[3])
for progress in build_shards(sys.argv[1], [sys.argv[2]], tokenizer, ShardOptions(shard_bytes=3000)):
    print(progress.shards, flush=True)
"""


def test_a_process_that_is_killed_and_started_again(tmp_path: Path, tokenizer: Tokenizer) -> None:
    source = write_rows(tmp_path, [f"{text} {number}" for number in range(8) for text in TEXTS])[0]
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    list(build_shards(tmp_path / "whole", [source], tokenizer, ShardOptions(shard_bytes=3000)))
    folder, kills = tmp_path / "killed", 0
    command = [sys.executable, "-c", CHILD, str(folder), source, str(tmp_path / "tokenizer.json")]
    while True:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            if kills < 2:
                for _ in range(5):
                    child.stdout.readline()
                time.sleep(0.01 * kills)
                child.send_signal(signal.SIGKILL)
            child.stdout.read()
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL
        kills += 1
    assert kills >= 1
    assert content(folder) == content(tmp_path / "whole")


def test_damaged_shards_are_made_again(tmp_path: Path, tokenizer: Tokenizer) -> None:
    sources = write_rows(tmp_path, TEXTS)
    folder = tmp_path / "out"
    run = build_shards(folder, sources, tokenizer, options())
    for _ in range(4):
        next(run)
    run.close()
    file = folder / "shard-00001" / "train.tokens"
    data = bytearray(file.read_bytes())
    data[10] ^= 1
    file.write_bytes(data)
    again = list(build_shards(folder, sources, tokenizer, options()))
    assert again[0].resumed_shards == 1
    list(build_shards(tmp_path / "whole", sources, tokenizer, options()))
    assert content(folder) == content(tmp_path / "whole")
    file.write_bytes(data)
    with pytest.raises(DamagedFolder, match=r"train\.tokens"):
        open_corpus(folder, verify=True)
    file.write_bytes(data[:-2])
    with pytest.raises(DamagedFolder, match=r"train\.tokens"):
        open_corpus(folder)


def test_what_changed_is_named(tmp_path: Path, tokenizer: Tokenizer) -> None:
    sources = write_rows(tmp_path, TEXTS)
    folder = tmp_path / "out"
    next(build_shards(folder, sources, tokenizer, options()))
    other = train_tokenizer("characters", 190, TEXTS)
    changed = write_rows(tmp_path / "other", TEXTS[:-1], "b.jsonl")
    segmented = options(documents=DocumentOptions(segmented=True))
    for finished in (False, True):
        for call, message in [
            ((sources, tokenizer, options(seed=14)), "seed, 13 → 14"),
            ((sources, other, options()), "the tokenizer"),
            ((changed, tokenizer, options()), r"the texts \('b.jsonl'\)"),
            ((sources, tokenizer, segmented), "segmented, False → True"),
        ]:
            with pytest.raises(UserError, match=message):
                list(build_shards(folder, *call))
        if not finished:
            list(build_shards(folder, sources, tokenizer, options()))
    list(build_shards(folder, changed, other, options(seed=14), overwrite=True))
    list(build_shards(tmp_path / "anew", changed, other, options(seed=14)))
    assert content(folder) == content(tmp_path / "anew")


def test_a_copy_of_the_texts_is_the_same(tmp_path: Path, tokenizer: Tokenizer) -> None:
    list(build_shards(tmp_path / "out", write_rows(tmp_path, TEXTS), tokenizer, options()))
    assert list(build_shards(tmp_path / "out", write_rows(tmp_path / "copy", TEXTS), tokenizer, options())) == []


def test_other_folders_are_left_alone(tmp_path: Path, tokenizer: Tokenizer) -> None:
    sources = write_rows(tmp_path, TEXTS)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me")
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"holds other files: 'letter\.txt'"):
            list(build_shards(tmp_path / "mine", sources, tokenizer, options(), overwrite=overwrite))
    with pytest.raises(DataError, match="is no corpus"):
        open_corpus(tmp_path / "mine")
    run = build_shards(tmp_path / "out", sources, tokenizer, options())
    next(run)
    with pytest.raises(UserError, match="another process"):
        next(build_shards(tmp_path / "out", sources, tokenizer, options()))
    run.close()


def test_nothing_to_train_on_is_an_error(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="no text is left to train on; left out: 0 duplicates, 2 empty"):
        list(build_shards(tmp_path / "out", write_rows(tmp_path, ["", " "]), tokenizer, options()))
    with pytest.raises(UserError, match=r"validation_fraction is 1\.0"):
        list(build_shards(tmp_path / "out", [], tokenizer, options(validation_fraction=1.0)))


def test_a_full_disk_costs_one_shard(tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = write_rows(tmp_path, TEXTS)
    run = build_shards(tmp_path / "out", sources, tokenizer, options())
    next(run)

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(TrainingError, match="disk is full"):
            list(run)
    assert next(build_shards(tmp_path / "out", sources, tokenizer, options())).resumed_shards == 1


def test_the_tail_is_exact_by_characters(tmp_path: Path, tokenizer: Tokenizer) -> None:
    book = "\n\n".join(TEXTS) + "\n"
    (tmp_path / "book.txt").write_text(book, encoding="utf-8")
    wanted = options(documents=DocumentOptions(unit="file"), validation_fraction=0.1, prefix_ids=(), suffix_ids=())
    list(build_shards(tmp_path / "out", [str(tmp_path / "book.txt")], tokenizer, wanted))
    corpus = open_corpus(tmp_path / "out")
    assert corpus.facts["validation"] == "tail"
    halves = [corpus.part(name) for name in ("train", "validation")]
    cut = int(len(book) * 0.9)
    assert [tokenizer.decode(part.tokens.read(0, len(part.tokens)).tolist()) for part in halves] == [
        book[:cut],
        book[cut:],
    ]


def test_auto_looks_at_the_first_hundred_documents(tmp_path: Path, tokenizer: Tokenizer) -> None:
    for count, wanted in ((99, "tail"), (100, "documents")):
        folder = tmp_path / str(count)
        sources = write_rows(tmp_path, [f"text {number}" for number in range(count)])
        list(build_shards(folder, sources, tokenizer, options()))
        assert open_corpus(folder).facts["validation"] == wanted


def test_starts_of_segmented_words_reach_the_tokens(tmp_path: Path) -> None:
    texts = ["我们 提出 新的 方法 。", "New York 的 天 😀"] * 60
    subwords = train_tokenizer("byte-bpe", 300, texts)
    sources = write_rows(tmp_path, [f"{text} 第 {number} 号" for number, text in enumerate(texts)])
    wanted = options(documents=DocumentOptions(segmented=True), validation_fraction=0.0)
    list(build_shards(tmp_path / "out", sources, subwords, wanted))
    train = open_corpus(tmp_path / "out", verify=True).part("train")
    first, second = train.documents.tolist()[:2]
    assert words_of(train, 0, first, subwords) == ["我们", "提出", "新的", "方法", "。", "第", "0", "号"]
    assert words_of(train, first, second, subwords) == ["New", " York", "的", "天", "😀", "第", "1", "号"]


def words_of(part: CorpusPart, start: int, end: int, tokenizer: Tokenizer) -> list[str]:
    """The words of a document, by their starts."""
    assert part.words is not None
    ids, begins = (stored.read(start, end - start).tolist() for stored in (part.tokens, part.words))
    words: list[list[int]] = []
    for number, begin in zip(ids[1:-1], begins[1:-1], strict=True):
        if begin:
            words.append([])
        words[-1].append(number)
    return [tokenizer.decode(word) for word in words]


def test_tokens_of_large_vocabularies_take_four_bytes(tmp_path: Path) -> None:
    letters = "".join(chr(code) for code in range(0x4E00, 0x9FFF)) + "".join(chr(c) for c in range(0x20000, 0x2B000))
    large = train_tokenizer("characters", 70_000, [letters])
    assert large.get_vocab_size() > 1 << 16
    list(build_shards(tmp_path / "out", write_rows(tmp_path, [letters[-9:]]), large, options(validation_fraction=0.0)))
    read = open_corpus(tmp_path / "out").part("train").tokens.read(0, 99)
    assert read.dtype == np.uint32
    assert large.decode(read.tolist()[1:-1]) == letters[-9:]


SIGNS = st.sampled_from(["a", "b", "天", "😀", " ", "\n", "\n\n", "aa bb", "x"])


@settings(max_examples=40)
@given(
    texts=st.lists(st.lists(SIGNS, max_size=25).map("".join), min_size=1, max_size=12),
    shard_bytes=st.integers(1, 60),
    validation=st.sampled_from(["documents", "tail"]),
    stop=st.integers(0, 5),
)
def test_whatever_comes_no_document_is_lost_or_doubled(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    shard_bytes: int,
    validation: Any,
    stop: int,
) -> None:
    tokenizer = _CHARACTERS
    folder = tmp_path_factory.mktemp("corpus")
    sources = write_rows(folder, [*texts, "ab"])
    wanted = options(shard_bytes=shard_bytes, validation=validation, duplicates="none", validation_fraction=0.3, seed=1)
    kept = [text for text in [*texts, "ab"] if text.strip()]
    if validation == "documents" and all(is_validation(text, 0.3, 1) for text in kept):
        return
    run = build_shards(folder / "out", sources, tokenizer, wanted)
    for _ in zip(range(stop), run, strict=False):
        pass
    run.close()
    list(build_shards(folder / "out", sources, tokenizer, wanted))
    corpus = open_corpus(folder / "out", verify=True)
    train, held_out = (texts_of(corpus.part(name), tokenizer) for name in ("train", "validation"))
    if validation == "documents":
        assert train == [text for text in kept if not is_validation(text, 0.3, 1)]
        assert held_out == [text for text in kept if is_validation(text, 0.3, 1)]
    else:
        assert train == [text[: int(len(text) * 0.7)] for text in kept if int(len(text) * 0.7)]
        assert held_out == [text[int(len(text) * 0.7) :] for text in kept]


_CHARACTERS = train_tokenizer("characters", 20, ["ab天😀 \nx"])


def changed_a_little(text: str, chosen: random.Random) -> str:
    words = text.split()
    words[chosen.randrange(len(words))] = "changed"
    return " ".join(words)


def near_texts() -> Iterator[tuple[str, bool]]:
    """Texts, and whether each is nearly the same as an earlier one."""
    chosen = random.Random(5)
    for _ in range(150):
        text = " ".join("".join(chosen.choices("abcdefghijklmnop", k=6)) for _ in range(60))
        yield text, False
        if chosen.random() < 0.3:
            yield changed_a_little(text, chosen), True


def test_near_duplicates_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    for recent in (10, 10_000):
        monkeypatch.setattr(deduplicating, "_RECENT", recent)
        seen, found = NearSeen(), []
        for text, _ in near_texts():
            signature = sign_parts([text])
            assert signature is not None
            found.append(seen.contains(signature))
            if not found[-1]:
                seen.add(signature)
        answers.append(found)
    wanted = [is_near for _, is_near in near_texts()]
    assert answers[0] == answers[1] == wanted
    assert sum(wanted) > 20


def test_short_texts_are_never_near() -> None:
    assert sign_parts(["abcdefgh"]) is None
    assert sign_parts([""]) is None


def test_signatures_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "x".join(WORDS)
    whole = sign_parts([text])
    monkeypatch.setattr(deduplicating, "_BLOCK_BYTES", 50)
    assert np.array_equal(sign_parts([text]), whole)  # type: ignore[arg-type]


def test_exact_duplicates_are_found_however_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deduplicating, "_RECENT", 3)
    digests = [hashlib.blake2b(bytes([n]), digest_size=15).digest() + b"\0" for n in range(100)]
    seen = ExactSeen()
    for digest in digests:
        assert not seen.contains(digest)
        seen.add(digest)
    assert all(map(seen.contains, digests))
    stored = ExactSeen()
    stored.add_stored(b"".join(digests[:50]))
    assert [stored.contains(digest) for digest in digests] == [True] * 50 + [False] * 50


def test_cutting_long_texts_changes_no_token_between_words() -> None:
    text = " ".join(WORDS * 20) + ". " + "天地人我们" * 50
    for kind in ("wordpiece", "bpe", "byte-bpe"):
        trained = train_tokenizer(kind, 500, [text])  # type: ignore[arg-type]
        cut = list(cutting.cut_text(text, 3_000))
        assert len(cut) > 2
        ids = [number for piece in cut for number in trained.encode(piece, add_special_tokens=False).ids]
        assert ids == trained.encode(text, add_special_tokens=False).ids


def test_options_stand_in_the_corpus(tmp_path: Path, tokenizer: Tokenizer) -> None:
    list(build_shards(tmp_path / "out", write_rows(tmp_path, TEXTS), tokenizer, options()))
    facts = open_corpus(tmp_path / "out").facts
    assert facts["options"] == json.loads(json.dumps(dataclasses.asdict(options())))
    assert str(tmp_path) not in json.dumps(facts)


@pytest.mark.parametrize("family", ["encoder", "decoder", "encoder-decoder"])
def test_a_tokenizer_of_transformers_gives_the_same(tmp_path: Path, family: Any) -> None:
    ours = train_tokenizer("wordpiece", 300, TEXTS, family=family)
    save_tokenizer(ours, tmp_path / "tokenizer", model_max_length=16)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    theirs("cut and pad", truncation=True, max_length=4, padding="max_length")  # leaves both on in its inside
    sources = write_rows(tmp_path, TEXTS)
    stored = Tokenizer.from_file(str(tmp_path / "tokenizer" / "tokenizer.json"))
    for name, tokenizer in (("ours", ours), ("theirs", theirs), ("stored", stored)):
        list(build_shards(tmp_path / name, sources, tokenizer, options()))
    assert content(tmp_path / "ours") == content(tmp_path / "theirs") == content(tmp_path / "stored")
    assert open_corpus(tmp_path / "ours").part("train").total_tokens > 1000
