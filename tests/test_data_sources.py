"""Where rows come from: files by name and content, standard input, Parquet, pandas, datasets, lists."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import datasets
import numpy
import pandas
import pyarrow
import pyarrow.parquet
import pytest
from pydantic import BaseModel, Field

from tunesmith.contracts import Column
from tunesmith.data import ReadOptions, read_rows
from tunesmith.errors import DataError, MissingPackageError


class Row(BaseModel):
    text: str = Field(min_length=1)
    label: str | int | float | list[str] | None = None


COLUMNS = (Column("text", "text", ("review",)), Column("label", "label", ("labels",)))
PREDICT = ReadOptions(labels_required=False)
CSV = "text,label\n好,a\nbad,b\n".encode()
JSONL = '{"text": "好", "label": "a"}\n{"text": "bad", "label": "b"}\n'.encode()
PAIRS = [("好", "a"), ("bad", "b")]


def pairs(source: object, options: ReadOptions | None = None, **more: object) -> list[tuple[str, object]]:
    return [(row.text, row.label) for row in read_rows(source, Row, COLUMNS, options, **more).rows]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("suffix", "content"), [(".csv", CSV), (".CSV", CSV), (".jsonl", JSONL), (".ndjson", JSONL)])
def test_files_by_name(tmp_path, suffix, content, packed):
    path = tmp_path / f"data{suffix}{'.gz' * packed}"
    path.write_bytes(gzip.compress(content[:20], mtime=0) + gzip.compress(content[20:]) if packed else content)
    assert pairs(path) == pairs(str(path)) == PAIRS


@pytest.mark.parametrize("content", [CSV, JSONL, b"\n " + JSONL, gzip.compress(CSV, mtime=0)])
def test_standard_input_by_its_first_byte(content):
    read = read_rows("-", Row, COLUMNS, stdin=io.BytesIO(content))
    assert [(row.text, row.label) for row in read.rows] == PAIRS
    assert read.source == "-"


def test_the_format_option_wins_over_the_name(tmp_path):
    path = tmp_path / "data.txt"
    path.write_bytes(JSONL)
    assert pairs(path, ReadOptions(format="jsonl")) == PAIRS
    with pytest.raises(DataError, match=r"is a \.txt file") as caught:
        pairs(path)
    assert "data.format" in str(caught.value)


def test_errors_on_standard_input_say_so():
    with pytest.raises(DataError, match="standard input is empty"):
        pairs("-", stdin=io.BytesIO(b""))


def test_a_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "train.csv").write_bytes(CSV)
    with pytest.raises(DataError, match="does not exist") as caught:
        pairs(tmp_path / "trian.csv")
    assert "train.csv" in (caught.value.fix or "")


@pytest.mark.parametrize("name", ["no/such/folder.csv", "a\0b.csv", "x" * 5000, "I love it!"])
def test_names_that_cannot_be_files(name):
    with pytest.raises(DataError):
        pairs(name)


def test_a_folder_names_the_files_in_it(tmp_path):
    (tmp_path / "dev.jsonl").write_bytes(JSONL)
    with pytest.raises(DataError, match="is a folder") as caught:
        pairs(tmp_path)
    assert "dev.jsonl" in (caught.value.fix or "")


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("a.xlsx", b"PK\x03\x04....", "CSV UTF-8"),
        ("a.csv", b"PK\x03\x04....", "unpack"),
        ("a.zip", b"PK\x03\x04....", "unpack"),
        ("a.conll", b"EU B-ORG\n", "JSON"),
        ("a", b"text\n", "data.format"),
        ("a.csv.gz", CSV, "rename"),
        ("a.csv.gz", gzip.compress(CSV, mtime=0)[:-9], "copy or download"),
        ("a.csv", gzip.compress(CSV, mtime=0)[:-9], "copy or download"),
        ("a.csv", b"PAR1....", "data.format=parquet"),
        ("a.parquet", b"PAR1....", "write or copy"),
        ("a.parquet", CSV, "write or copy"),
    ],
)
def test_files_of_another_kind_come_with_advice(tmp_path, name, content, advice):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        pairs(tmp_path / name)
    assert advice in (caught.value.fix or "")


def test_a_flipped_bit_in_gzip_is_found(tmp_path):
    content = bytearray(gzip.compress(CSV, mtime=0))
    content[-6] ^= 1
    (tmp_path / "a.csv.gz").write_bytes(content)
    with pytest.raises(DataError, match="damaged gzip"):
        pairs(tmp_path / "a.csv.gz")


def test_parquet_keeps_types_and_counts_rows(tmp_path):
    table = pyarrow.table({"text": ["好", None, "c"], "label": [1, 2, 3], "tags": [["x"], [], ["y", "z"]]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    for name in ("a.parquet", "a.parquet.gz"):
        read = read_rows(tmp_path / name, Row, COLUMNS, ReadOptions(skip_bad=True))
        assert [(row.text, row.label) for row in read.rows] == [("好", 1), ("c", 3)]
        assert [(bad.line, bad.problem) for bad in read.rejected] == [(2, "the text is missing")]
    assert pairs(tmp_path / "a.parquet", ReadOptions(mapping={"label": "tags"}, skip_bad=True))[1][1] == [
        "y",
        "z",
    ]


def test_parquet_with_text_that_is_not_utf8(tmp_path):
    broken = pyarrow.array([b"ok", b"caf\xe9"]).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"text": broken, "label": [1, 2]}), tmp_path / "a.parquet")
    read = read_rows(tmp_path / "a.parquet", Row, COLUMNS, ReadOptions(skip_bad=True))
    assert [row.text for row in read.rows] == ["ok"]
    assert read.rejected[0].problem == "is no text in UTF-8"


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"tunesmith\[parquet\]"):
        pairs(tmp_path / "a.parquet")


def test_pandas_gives_plain_python_values():
    frame = pandas.DataFrame(
        {
            "text": ["a", "b", "c", None, "e"],
            "label": numpy.array([1, 0, 1, 1, 0]),
            "score": [0.5, numpy.nan, 1.0, 2.0, 3.0],
            "tags": [numpy.array(["x"]), ["y"], (), ["z"], [True]],
            "flag": pandas.array([True, None, False, True, True], dtype="boolean"),
        },
        index=[9, 8, 7, 6, 5],
    )
    skip = ReadOptions(skip_bad=True)
    read = read_rows(frame, Row, COLUMNS, skip)
    assert [(row.label, type(row.label)) for row in read.rows] == [(1, int), (0, int), (1, int), (0, int)]
    assert (read.rejected[0].line, read.rejected[0].file) == (4, "DataFrame")

    def labels(column: str) -> list[object]:
        chosen = ReadOptions(skip_bad=True, mapping={"label": column})
        return [row.label for row in read_rows(frame, Row, COLUMNS, chosen).rows]

    assert labels("score") == [0.5, 1.0, 3.0]
    assert labels("tags") == [["x"], ["y"], [], ["true"]]
    assert labels("flag") == ["true", "false", "true"]


def test_pandas_column_names_need_not_be_texts():
    frame = pandas.DataFrame([["fine day", "a"], ["bad day", "b"], ["good day", "a"]])
    read = read_rows(frame, Row, COLUMNS)
    assert read.mapping == {"text": "0", "label": "1"}
    assert read.guessed_fields == ("text", "label")


def test_datasets_class_labels_become_names():
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["neg", "pos"]),
            "labels": datasets.Sequence(datasets.ClassLabel(names=["joy", "fear"])),
        }
    )
    content = {"text": ["a", "b", "c"], "label": [1, 0, -1], "labels": [[0, 1], [], [1]]}
    dataset = datasets.Dataset.from_dict(content, features=features)
    assert pairs(dataset, PREDICT) == [("a", "pos"), ("b", "neg"), ("c", None)]
    assert pairs(dataset.with_format("numpy"), PREDICT)[0] == ("a", "pos")
    several = ReadOptions(mapping={"label": "labels"})
    assert [label for _, label in pairs(dataset, several)] == [["joy", "fear"], [], ["fear"]]
    assert pairs(dataset.to_iterable_dataset(), PREDICT)[:2] == [("a", "pos"), ("b", "neg")]
    with pytest.raises(DataError, match="holds several splits") as caught:
        pairs(datasets.DatasetDict(train=dataset))
    assert "'train'" in (caught.value.fix or "")


def test_lists_and_generators_of_dicts_texts_and_rows():
    assert pairs([{"text": "a", "label": numpy.int64(3)}, Row(text="b", label="x")]) == [("a", 3), ("b", "x")]
    assert pairs((text for text in ["a", "b"]), PREDICT) == [("a", None), ("b", None)]
    assert pairs(["a"], ReadOptions(labels_required=False, mapping={"text": "review"})) == [("a", None)]


def test_list_items_of_another_kind_are_bad_rows():
    with pytest.raises(DataError, match="1 of 2 rows of list cannot be used") as caught:
        pairs(["a", ("b", 1)], PREDICT)
    assert "list, line 2: is a tuple, wanted a dict or a text; got ('b', 1)" in str(caught.value)


@pytest.mark.parametrize("source", [3, None, b"a,b", {"text": ["a"]}])
def test_what_holds_no_rows_is_refused(source):
    with pytest.raises(DataError, match="cannot read rows from"):
        pairs(source)


def test_an_empty_list_is_refused():
    with pytest.raises(DataError, match="holds no rows"):
        pairs([])


def test_files_are_closed_when_reading_stops_early(tmp_path, recwarn):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DataError):
        pairs(path)
    path.unlink()
    assert not [warning for warning in recwarn if warning.category is ResourceWarning]


def test_reading_imports_neither_pandas_nor_datasets():
    import subprocess

    code = "import sys, tunesmith.data; print({'pandas', 'datasets', 'pyarrow'} & set(sys.modules))"
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent / "src")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "set()"
