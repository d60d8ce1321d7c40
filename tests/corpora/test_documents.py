"""Any file to documents: formats, units, positions to go on from, what is refused."""

import doctest
import gzip
import importlib
import json
import pkgutil
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tunesmith.corpora
from tunesmith.corpora import cutting, documents, row_files, text_files
from tunesmith.corpora.documents import DocumentOptions, Position, Tally, join_words, stream_documents
from tunesmith.corpora.files import CorpusFile, fingerprint, list_files
from tunesmith.corpora.sampling import sample_texts
from tunesmith.corpora.text_files import find_unit
from tunesmith.errors import DataError

MODULES = [name for _, name, _ in pkgutil.iter_modules(tunesmith.corpora.__path__, "tunesmith.corpora.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def read(path: Path | Sequence[str], tally: Tally | None = None, **options: object) -> list[str]:
    """Texts of all documents, their parts joined."""
    sources = [str(path)] if isinstance(path, Path) else list(path)
    texts, parts = [], ""
    for _, document in stream_documents(sources, DocumentOptions(**options), tally=tally):  # type: ignore[arg-type]
        parts += document.text
        if document.is_last:
            if not document.is_broken:
                texts.append(parts)
            parts = ""
    return texts


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


ROWS = ["first one", "第二个 😀", "third\nwith two lines"]
LINES = "".join(json.dumps({"id": n, "text": text}, ensure_ascii=False) + "\n" for n, text in enumerate(ROWS))


def zstd(data: bytes) -> bytes:
    return bytes(pytest.importorskip("zstandard").ZstdCompressor().compress(data))


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [("", bytes), (".gz", gzip.compress), (".zst", zstd)]


@pytest.mark.parametrize(("suffix", "pack"), PACKERS, ids=["plain", "gz", "zst"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.txt", "a.tokens"])
def test_every_format_gives_the_same_texts(
    tmp_path: Path, name: str, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    content = "\n\n".join(ROWS) if name in ("a.txt", "a.tokens") else LINES
    assert read(write(tmp_path / (name + suffix), pack(content.encode()))) == ROWS


def parquet(path: Path, **columns: list[object]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    pq = importlib.import_module("pyarrow.parquet")
    pq.write_table(pyarrow.table(columns), path, row_group_size=2)
    return path


def test_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", n=[1, 2, 3], content=list(ROWS))
    assert read(path) == ROWS
    streamed = list(stream_documents([str(path)], DocumentOptions()))
    for number, (position, _) in enumerate(streamed):
        assert [d.text for _, d in stream_documents([str(path)], DocumentOptions(), position)] == ROWS[number + 1 :]


def test_zstd_frames_follow_each_other_and_a_cut_one_is_noticed(tmp_path: Path) -> None:
    frames = zstd(b"one\n\n") + zstd(b"two")
    assert read(write(tmp_path / "a.txt.zst", frames)) == ["one", "two"]
    for bad in (frames[:-3], frames[:-8] + b"\xff" * 8):
        with pytest.raises(DataError, match="damaged zstd"):
            read(write(tmp_path / "b.txt.zst", bad))


def test_a_cut_gzip_file_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="damaged gzip"):
        read(write(tmp_path / "b.txt.gz", gzip.compress(b"one two three" * 99)[:-9]))


def test_files_folders_and_patterns_are_sorted_and_taken_once(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/10.txt", "a.txt", ".hidden/x.txt", "b/.y.txt", "b/picture.png", "b/info.json"):
        write(tmp_path / name, name)
    folder = str(tmp_path)
    names = ["a.txt", "b/10.txt", "b/2.txt"]
    assert read([folder]) == names
    assert read([f"{folder}/b/*.txt", folder]) == ["b/10.txt", "b/2.txt", "a.txt"]
    assert read([f"{folder}/**/2.txt"]) == ["b/2.txt"]
    assert [file.kind for file in list_files([f"{folder}/b/info.json"])] == ["jsonl"]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["nowhere.txt"], "does not exist"),
        (["*.nothing"], "no file fits"),
        (["empty"], "holds no file of texts"),
        (["pictures"], "there are 'a.png'"),
        (["a.pdf"], "is a .pdf file"),
        (["utf16.txt"], "UTF-16"),
        (["sheet.txt"], ".zip file"),
        (["a.gz"], "not packed"),
        ([], "no source"),
        (["nul\0.txt"], "does not exist"),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write(tmp_path / "pictures/a.png", "x")
    write(tmp_path / "a.pdf", "x")
    write(tmp_path / "utf16.txt", "x".encode("utf-16"))
    write(tmp_path / "sheet.txt", b"PK\x03\x04rest")
    write(tmp_path / "a.gz", "plain")
    with pytest.raises(DataError, match=message) as caught:
        read(sources)
    assert caught.value.fix


def test_units(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "\n\none\r\ntwo\r\n \r\n\t\n\nthree\rfour\n\u3000\nfive\n\n")
    assert read(path, unit="paragraph") == ["one\ntwo", "three\nfour", "five"]
    assert read(path, unit="line") == ["one", "two", "three", "four", "five"]
    assert read(path, unit="file") == ["\n\none\ntwo\n \n\t\n\nthree\nfour\n\u3000\nfive\n\n"]
    assert read(path) == read(path, unit="paragraph")


@pytest.mark.parametrize(
    ("content", "unit"),
    [
        ("a\n\nb", "paragraph"),
        ("a\n  \nb", "paragraph"),
        ("He came.\nShe saw!\nwe", "line"),
        ("他来了。\n她看见了！”\n", "line"),
        ("a long text that\nruns on from line\nto line.", "file"),
        ("one line alone.", "file"),
        ("", "file"),
    ],
)
def test_what_auto_means(tmp_path: Path, content: str, unit: str) -> None:
    assert find_unit(CorpusFile(write(tmp_path / "a.txt", content), "text")) == unit


def test_marks_and_empty_files(tmp_path: Path) -> None:
    tally = Tally()
    assert read(write(tmp_path / "mark.txt", b"\xef\xbb\xbfone\n\ntwo")) == ["one", "two"]
    assert read(write(tmp_path / "mark.jsonl", b"\xef\xbb\xbf" + LINES.encode())) == ROWS
    for content in (b"\xef\xbb\xbf", b"", b" \n\n "):
        assert read(write(tmp_path / "a.txt", content), tally, unit="file") == []
    assert tally == Tally(empty=3)
    assert read(write(tmp_path / "rows.jsonl", '{"text": " "}\n\n{"text": null}\n{"text": "a"}'), tally) == ["a"]
    assert tally == Tally(empty=5)


@pytest.mark.parametrize("unit", ["file", "line", "paragraph"])
def test_bad_utf8_is_named_by_its_byte(tmp_path: Path, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.txt", "好\n\n".encode() + b"abc\xffd\n\nend")
    with pytest.raises(DataError, match=r"not UTF-8 at byte 9 \(0xff\)"):
        read(path, unit=unit)
    tally = Tally()
    expected = {"file": [], "line": ["好", "end"], "paragraph": ["好", "end"]}[unit]
    assert read(path, tally, unit=unit, skip_bad=True) == expected
    assert tally.bad == 1
    monkeypatch.setattr(text_files, "PART_CHARACTERS", 4)  # the same where documents come in parts
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 3)
    with pytest.raises(DataError, match=r"not UTF-8 at byte 9 \(0xff\)"):
        read(path, unit=unit)
    assert read(path, unit=unit, skip_bad=True) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "line 2 is no JSON object"),
        ("{", "line 2 is no valid JSON"),
        ('{"text": 3}', "line 2 has '?3'? in the field 'text'"),
        ('{"body": "x"}', "line 2 has no field 'text'; it has 'body'"),
    ],
)
def test_bad_rows_are_named_or_counted(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"text": "a"}}\n{line}\n{{"text": "b"}}\n')
    with pytest.raises(DataError, match=message):
        read(path)
    tally = Tally()
    assert read(path, tally, skip_bad=True) == ["a", "b"]
    assert tally.bad == 1


def test_rows_that_are_too_long_are_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_files, "MAX_ROW_BYTES", 30)
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 7)
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n{"text": "' + "b" * 90 + '"}\n{"text": "c"}')
    with pytest.raises(DataError, match="line 2 is longer than 30 bytes"):
        read(path)
    assert read(path, skip_bad=True) == ["a", "c"]


def test_fields_are_guessed_or_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"标题": "t", "正文": "x"}')
    assert read(path) == ["x"]
    assert read(path, text_field="标题") == ["t"]
    with pytest.raises(DataError, match="has the fields '标题', '正文', wanted 'nothing'"):
        read(path, text_field="nothing")
    with pytest.raises(DataError, match="has the fields 'a', 'b', and none is known"):
        read(write(tmp_path / "b.jsonl", '{"a": "t", "b": "x"}'))
    assert read(write(tmp_path / "c.jsonl", '{"n": 1, "whatever": "x"}')) == ["x"]


SIGNS = st.sampled_from(["a", "b", "好", "😀", " ", "\n", "\r", "\r\n", "\t", "\u3000", "\n\n"])
TEXTS = st.lists(SIGNS, max_size=30).map("".join)


@given(pieces=st.lists(TEXTS, max_size=8), unit=st.sampled_from(["file", "paragraph", "line"]), block=st.integers(1, 9))
def test_going_on_from_any_position_gives_the_rest(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str], unit: str, block: int
) -> None:
    folder = tmp_path_factory.mktemp("resume")
    for number, piece in enumerate(pieces):
        path = folder / f"{number}.txt"
        write(folder / f"{number}.txt.gz", gzip.compress(piece.encode())) if number % 2 else write(path, piece)
    sources = [str(path) for path in sorted(folder.iterdir())] or [str(write(folder / "a.txt", "a"))]
    options = DocumentOptions(unit=unit)  # type: ignore[arg-type]
    whole = list(stream_documents(sources, options))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "BLOCK_BYTES", block)
        assert list(stream_documents(sources, options)) == whole
        for number, (position, _) in enumerate(whole):
            assert list(stream_documents(sources, options, position)) == whole[number + 1 :]


@given(text=TEXTS.map(lambda text: text * 5), unit=st.sampled_from(["file", "paragraph", "line"]))
def test_long_documents_come_in_parts_that_make_them_again(
    tmp_path_factory: pytest.TempPathFactory, text: str, unit: str
) -> None:
    path = write(tmp_path_factory.mktemp("parts") / "a.txt", text)
    whole = read(path, unit=unit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "PART_CHARACTERS", 5)
        patch.setattr(text_files, "_LONG_BYTES", 7)
        cut = []
        for block in (2, 1000):
            patch.setattr(text_files, "BLOCK_BYTES", block)
            assert [text for text in read(path, unit=unit) if text.strip()] == whole
            cut.append([d.text for _, d in stream_documents([str(path)], DocumentOptions(unit=unit))])  # type: ignore[arg-type]
        assert [part for part in cut[0] if part.strip()] == [part for part in cut[1] if part.strip()]


def test_jsonl_goes_on_with_the_right_line_number(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n\n{"text": "b"}\n[]\n')
    stream = stream_documents([str(path)], DocumentOptions())
    next(stream)
    position, document = next(stream)
    assert document.text == "b"
    with pytest.raises(DataError, match="line 4"):
        list(stream_documents([str(path)], DocumentOptions(), position))


def test_memory_stays_flat_for_one_huge_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        for _ in range(40):
            file.write(b"word " * 200_000)
    tracemalloc.start()
    characters = sum(len(d.text) for _, d in stream_documents([str(path)], DocumentOptions(unit="line")))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert characters == path.stat().st_size == 40_000_000
    assert peak_bytes < 25_000_000


def test_segmented_texts_are_joined() -> None:
    assert join_words("我 爱 北京\n天安门 3 5 号") == ("我爱北京\n天安门3 5号", (0, 1, 2, 5, 8, 10, 11))
    assert join_words("") == ("", ())


def test_fingerprints_see_a_change_in_the_middle(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"x" * 3_000_000)
    before = fingerprint([str(path)])
    assert before[0]["name"] == "a.txt"
    assert before[0]["bytes"] == 3_000_000
    write(path, b"x" * 1_500_000 + b"y" + b"x" * 1_499_999)
    assert fingerprint([str(path)]) != before


@given(text=st.text(st.sampled_from("ab好 \n"), max_size=60), most=st.integers(1, 20))
def test_pieces_make_the_text_again(text: str, most: int) -> None:
    pieces = list(cutting.cut_text(text, most))
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= most for piece in pieces) or text == ""


def test_broken_documents_with_parts_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "PART_CHARACTERS", 3)
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 4)
    path = write(tmp_path / "a.txt", b"abc def ghi \xff")
    options = DocumentOptions(unit="file", skip_bad=True)
    found = [document for _, document in stream_documents([str(path)], options)]
    assert found[-1].is_broken
    assert found[-1].is_last


def test_positions_survive_json() -> None:
    position = Position(2, 7, None)
    assert Position(**json.loads(json.dumps(position.as_json()))) == position
    assert Position(0, 0, 0) == documents.START


def test_samples_are_spread_and_bounded(tmp_path: Path) -> None:
    texts = [f"document number {number} " + "x" * 80 for number in range(1000)]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in texts))
    sources, options = [str(path)], DocumentOptions()
    assert list(sample_texts(sources, options)) == texts
    some = list(sample_texts(sources, options, most_bytes=20_000))
    assert sum(map(len, some)) <= 20_000 + 110
    places = [texts.index(text) for text in some]
    assert places == sorted(places)
    assert 100 < len(some) < 250
    assert places[-1] > 700
    assert list(sample_texts(sources, options, most_bytes=20_000)) == some
    assert list(sample_texts(sources, options, most_bytes=20_000, seed=1)) != some
