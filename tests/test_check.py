"""`tunesmith check`: every planted fault is found on its line, a clean file has none, sampling is said."""

import csv
import doctest
import io
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from tests.tiny import TEXTS
from tunesmith import api, check_report, checking, data, minhash, text_keys
from tunesmith.checking import (
    duplicates,
    findings,
    gathering,
    labels,
    lengths,
    near,
    row_faults,
    sampling,
    spelling,
    splits,
    survey,
    texts,
    tokens,
)
from tunesmith.cli import app
from tunesmith.errors import ConfigError, DataError

Row = dict[str, Any]
WORDS = (
    *("harbour", "lantern", "pepper", "quiet", "morning", "copper", "violin", "garden", "thunder", "pocket"),
    *("silver", "window", "market", "ribbon", "yellow", "engine", "forest", "butter", "candle", "mirror"),
    *("island", "ticket", "wooden", "saddle", "winter", "basket", "hammer", "orange", "pencil", "rocket"),
    *("blanket", "meadow", "kettle", "anchor", "button", "cellar", "dragon", "feather", "gravel", "helmet"),
)


def clean_rows(count: int, seed: int = 0, names: Sequence[str] = ("calm", "wild")) -> list[Row]:
    """Rows of nine words with nothing wrong, labels in turn."""
    chosen = random.Random(seed)
    return [
        {"text": " ".join(chosen.sample(WORDS, 9)).capitalize() + ".", "label": names[place % len(names)]}
        for place in range(count)
    ]


def write_jsonl(path: Path, rows: Iterable[Row | bytes]) -> Path:
    """One object a line; bytes are written as they are."""
    lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def kinds(report: Mapping[str, Any]) -> set[str]:
    return {found["kind"] for found in report["findings"]}


def find(report: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The only finding of a kind."""
    (found,) = [found for found in report["findings"] if found["kind"] == kind]
    return dict(found)


def places(found: Mapping[str, Any]) -> set[tuple[str, int]]:
    return {(example["split"], example["line"]) for example in found["examples"]}


def run(*words: object, stdin: bytes | None = None, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["check", *map(str, words)], input=stdin)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


# What is planted

BASE = 400
GOOD = clean_rows(BASE)
TWIN, NEAR_TWIN = GOOD[10]["text"], GOOD[20]["text"]
PLANTED: list[tuple[str, Row | bytes]] = [
    ("unusable_rows", {"text": "  ", "label": "calm"}),
    ("unusable_rows", {"text": "A row that nobody labelled", "label": None}),
    ("unusable_rows", b'{"text": "a line that ends too early'),
    ("unusable_rows", b'{"text": "caf\xe9 in Latin-1", "label": "calm"}'),
    ("exact_duplicates", {"text": f" {TWIN} ", "label": "calm"}),
    ("loose_duplicates", {"text": GOOD[12]["text"].upper() + "!!", "label": "calm"}),
    ("near_duplicates", {"text": NEAR_TWIN.replace(".", " indeed."), "label": "calm"}),
    ("label_conflicts", {"text": GOOD[30]["text"], "label": "wild"}),
    ("broken_encoding", {"text": "The na\ufffdve visitor paid nothing at the gate", "label": "calm"}),
    ("mojibake", {"text": "A cafÃ© near the river sells good bread", "label": "wild"}),
    ("mojibake", {"text": "这家锟斤拷的服务员记得每一位客人", "label": "wild"}),
    ("mojibake", {"text": "外面下雨了，记得带伞".encode().decode("gbk", "replace"), "label": "wild"}),
    ("html", {"text": "Half of the <b>invoice</b> was missing&nbsp;again", "label": "calm"}),
    ("control_characters", {"text": "Somebody rang\x07 twice and left", "label": "wild"}),
    ("invisible_characters", {"text": "Pass\u200bword resets take an hour here", "label": "calm"}),
    ("no_letters", {"text": "*** --- !!!", "label": "calm"}),
    ("one_character", {"text": "k", "label": "wild"}),
    ("text_is_label", {"text": "Calm", "label": "calm"}),
    ("header_rows", {"text": "text", "label": "wild"}),
    ("placeholder_labels", {"text": "Nobody had an opinion about this parcel", "label": "N/A"}),
    ("placeholder_labels", {"text": "这个包裹没有人发表意见", "label": "未知"}),
    ("label_variants", {"text": "The lake lay still under heavy clouds", "label": "CALM"}),
    ("label_variants", {"text": "Gusts tore the tent from its pegs", "label": "ｗｉｌｄ"}),
    ("rare_labels", {"text": "Fog hid the bridge and the road behind", "label": "misty"}),
]
TEST_GOOD = clean_rows(60, seed=1)
TEST_PLANTED: list[tuple[str, Row | bytes]] = [
    ("leaks", {"text": GOOD[40]["text"], "label": "calm"}),
    ("leaks", {"text": GOOD[42]["text"].lower().rstrip("."), "label": "calm"}),
    ("near_leaks", {"text": GOOD[50]["text"].replace(".", " again."), "label": "calm"}),
    ("unseen_labels", {"text": "Snow fell on the roofs all night", "label": "frosty"}),
]
LINES: dict[str, set[tuple[str, int]]] = {}
for split, base, planted in (("train", BASE, PLANTED), ("test", len(TEST_GOOD), TEST_PLANTED)):
    for place, (kind, _) in enumerate(planted, start=base + 1):
        LINES.setdefault(kind, set()).add((split, place))
LINES["exact_duplicates"] |= LINES["label_conflicts"]  # the same text, whatever the labels say


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("planted")
    train = write_jsonl(folder / "train.jsonl", [*GOOD, *(row for _, row in PLANTED)])
    test = write_jsonl(folder / "test.jsonl", [*TEST_GOOD, *(row for _, row in TEST_PLANTED)])
    return api.check(test, train, model=None)


@pytest.mark.parametrize("kind", LINES)
def test_a_planted_fault_is_found_on_its_lines(planted: dict[str, Any], kind: str) -> None:
    found = [item for item in planted["findings"] if item["kind"] == kind]
    assert found, kind
    assert set().union(*map(places, found)) == LINES[kind]
    assert sum(item["count"] for item in found) == len(LINES[kind]) + (kind == "label_conflicts")
    assert all(item["message"] and item["fix"] and 0 < item["share"] <= 1 for item in found)


def test_at_least_twenty_kinds_are_planted_and_nothing_else_is_found(planted: dict[str, Any]) -> None:
    assert len(LINES) >= 20
    # "misty" and the placeholders have no row in test; a split of 64 rows is small.
    assert kinds(planted) - LINES.keys() == {"missing_labels", "small_split"}


def test_twins_are_named(planted: dict[str, Any]) -> None:
    twins = {"exact_duplicates": 11, "loose_duplicates": 13, "near_duplicates": 21, "label_conflicts": 31}
    for kind, line in twins.items():
        twin = find(planted, kind)["examples"][0]["twin"]
        assert (twin["split"], twin["line"]) == ("train", line)
    conflict = find(planted, "label_conflicts")["examples"][0]
    assert (conflict["label"], conflict["twin"]["label"]) == ("wild", "calm")
    assert [e["twin"]["line"] for e in find(planted, "leaks")["examples"]] == [41, 43]


def test_findings_are_sorted_and_counted(planted: dict[str, Any]) -> None:
    order = [checking.SEVERITIES.index(found["severity"]) for found in planted["findings"]]
    assert order == sorted(order)
    assert planted["severities"] == {
        severity: sum(found["severity"] == severity for found in planted["findings"])
        for severity in checking.SEVERITIES
    }
    assert planted["verdict"].endswith("notes in 488 rows")


def test_facts_of_the_splits(planted: dict[str, Any]) -> None:
    train, test = planted["splits"].values()
    assert list(planted["splits"]) == ["train", "test"], "the training split comes first, however they were named"
    assert train["rows"] == {"read": 424, "accepted": 420, "rejected": 4}
    assert [row["line"] for row in train["rejected"]] == [401, 402, 403, 404]
    assert train["mapping"] == {"text": "text", "label": "label"}
    assert test["labels"]["counts"] == {"calm": 33, "wild": 30, "frosty": 1}
    assert sum(train["characters"]["histogram"]["counts"]) == 420
    assert planted["sampling"] == {"near_duplicates": {"rows": 484, "of": 484}}
    assert json.loads(json.dumps(planted, allow_nan=False)) == planted


def test_each_reason_not_to_use_a_row_is_a_finding(planted: dict[str, Any]) -> None:
    messages = [found["message"] for found in planted["findings"] if found["kind"] == "unusable_rows"]
    assert len(messages) == 4
    for said in ("white space", "label is missing", "no valid JSON", "not UTF-8"):
        assert any(said in message for message in messages), said


# Clean files


def test_a_clean_file_has_no_finding_above_a_note(tmp_path: Path, tiny_bert: Path) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", clean_rows(600))
    dev = write_jsonl(tmp_path / "dev.jsonl", clean_rows(120, seed=5))
    report = api.check(train, dev, model=None)
    assert report["findings"] == []
    assert report["verdict"] == "nothing wrong was found in 720 rows"
    assert report["task"] == {"name": "text-classification", "guessed": True}


def test_the_report_is_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "SAMPLE_ROWS", 100)
    rows = clean_rows(500) + clean_rows(30)
    first, second = (api.check(rows, model=None) for _ in range(2))
    assert first == second
    assert first["sampling"]["near_duplicates"] == {"rows": 100, "of": 530}


def test_sampling_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "SAMPLE_ROWS", 300)
    rows = clean_rows(400)
    rows += [{**row, "text": row["text"].replace(".", " indeed.")} for row in rows]
    report = api.check(rows, model=None)
    found = find(report, "near_duplicates")
    assert found["sampled"] == {"rows": 300, "of": 800}
    assert 20 < found["count"] < 150, "a pair is seen when both of its rows are in the sample"
    assert "sampled: 300 of 800 rows" in shown(report)
    assert "near duplicates in 300 of 800 rows" in shown(report)


# Labels


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        ({"Sport": 9, "sport": 2, " sport ": 1}, [("Sport", "sport", " sport ")]),
        ({"credit card": 9, "credit-card": 1, "credit_card": 1}, [("credit card", "credit-card", "credit_card")]),
        ({"ＡＢＣ": 1, "ABC": 9}, [("ABC", "ＡＢＣ")]),
        ({"refunds": 3, "refund": 9}, [("refund", "refunds")]),
        ({"1": 9, "1.0": 2, "2": 5}, [("1", "1.0")]),
        ({"delivery": 50, "delivrey": 1, "deliery": 2}, [("delivery", "deliery", "delivrey")]),
        ({"正面": 9, "正面 ": 1, "负面": 9}, [("正面", "正面 ")]),
        ({"news": 9, "new": 9, "form": 50, "from": 1, "level_1": 50, "level_2": 1, "typea": 50, "typeb": 1}, []),
        ({"positive": 50, "negative": 48, "neutral": 3}, []),
    ],
)
def test_spelling_variants(names: dict[str, int], groups: list[tuple[str, ...]]) -> None:
    assert spelling.find_variants(names) == groups


def label_report(labelled: Iterable[Any], **options: Any) -> dict[str, Any]:
    given = list(labelled)
    rows = [{"text": row["text"], "label": label} for row, label in zip(clean_rows(len(given)), given, strict=True)]
    return api.check(rows, model=None, **options)


def test_imbalance_names_both_ends() -> None:
    found = find(label_report(["often"] * 95 + ["seldom"] * 5), "imbalance")
    assert (found["severity"], found["count"]) == ("note", 95)
    assert "95 %" in found["message"]


def test_one_label_is_an_error_and_is_counted_all_the_same() -> None:
    report = label_report(["only"] * 20)
    assert "one class only" in find(report, "label_column")["message"]
    assert report["splits"]["train"]["labels"]["counts"] == {"only": 20}


def test_free_text_as_label_is_an_error() -> None:
    report = label_report([f"a note about parcel {number}" for number in range(100)])
    assert "free text" in find(report, "label_column")["message"]
    assert "rare_labels" not in kinds(report)


def test_numbers_with_holes_are_no_classes() -> None:
    report = label_report([f"{number / 10}" for number in range(80)] + ["missing", "2,5"])
    found = find(report, "mixed_labels")
    assert (found["severity"], found["count"]) == ("error", 2)
    assert {("train", 81), ("train", 82)} == places(found)
    assert "rare_labels" not in kinds(report)


def test_a_misfit_that_the_sample_does_not_hold_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = np.argsort(sampling.hash_indices(0, 300, survey.SEED))[:50]
    odd = next(place for place in range(300) if place not in seen)
    monkeypatch.setattr(survey, "SAMPLE_ROWS", 50)
    report = label_report(["good" if place == odd else place / 7 for place in range(300)])
    assert places(find(report, "mixed_labels")) == {("train", odd + 1)}
    assert report["splits"]["train"]["labels"]["kind"] == "number"
    assert report["splits"]["train"]["labels"]["max"] == pytest.approx(299 / 7)


def test_numbers_are_compared_as_numbers() -> None:
    rows = [{**row, "label": place / 8} for place, row in enumerate(clean_rows(40))]
    rows += [{**clean_rows(1)[0], "label": "0"}, {"text": "same", "label": -1.0}, {"text": "same", "label": -2.0}]
    found = find(api.check(rows, model=None), "label_conflicts")
    assert places(found) == {("train", 43)}
    assert (found["examples"][0]["label"], found["examples"][0]["twin"]["label"]) == ("-2", "-1")


def test_several_labels_in_any_order_are_no_conflict() -> None:
    rows = clean_rows(40)
    for place, row in enumerate(rows):
        row["label"] = [["joy"], ["joy", "love"], ["love"], ["fear", "joy"]][place % 4]
    again = [{**rows[1], "label": ["love", "joy"]}, {**rows[2], "label": ["fear"]}]
    report = api.check([*rows, *again], model=None)
    assert report["splits"]["train"]["labels"]["kind"] == "multi"
    assert report["splits"]["train"]["labels"]["counts"]["joy"] == 31
    assert places(find(report, "label_conflicts")) == {("train", 42)}


def test_labels_that_are_spread_differently() -> None:
    train, dev = clean_rows(400), clean_rows(200, seed=3)
    for place, row in enumerate(dev):
        row["label"] = "wild" if place % 10 else "calm"
    found = find(api.check({"train": train, "dev": dev}, model=None), "label_shift")
    assert (found["severity"], found["share"]) == ("warning", pytest.approx(0.4))
    assert "'calm' makes up 50 % and 10 %" in found["message"]


def test_a_label_without_held_out_rows() -> None:
    train = clean_rows(300, names=("calm", "wild", "odd"))
    dev = clean_rows(200, seed=3)
    assert "'odd'" in find(api.check({"train": train, "dev": dev}, model=None), "missing_labels")["message"]


# Rows, columns, pairs


def test_guessed_columns_are_said(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "prose", "mood"), *((i, *r.values()) for i, r in enumerate(clean_rows(60)))])
    found = find(api.check(path, model=None), "guessed_columns")
    assert "text = 'prose', label = 'mood'" in found["message"]
    named = data.ReadOptions(mapping={"text": "prose", "label": "mood"})
    assert "guessed_columns" not in kinds(api.check(path, model=None, options=named))


def test_columns_of_the_training_split_are_looked_for_first(tmp_path: Path) -> None:
    first = [{"prose": row["text"], "mood": row["label"]} for row in clean_rows(60)]
    second = [{**row, "text": "an extract", "label": "x"} for row in first]
    named = data.ReadOptions(mapping={"text": "prose", "label": "mood"})
    report = api.check({"train": first, "dev": second}, model=None, options=named)
    assert report["splits"]["dev"]["mapping"] == {"text": "prose", "label": "mood"}


def test_pairs_are_compared_as_pairs() -> None:
    rows = [
        {"text_a": a["text"], "text_b": b["text"], "label": a["label"]}
        for a, b in zip(clean_rows(60), clean_rows(60, seed=9), strict=True)
    ]
    joined = f"{rows[0]['text_a']} {rows[0]['text_b']}"
    first, second = joined[: len(joined) // 3], joined[len(joined) // 3 + 1 :]
    odd = [{"text_a": first, "text_b": second, "label": "calm"}, rows[3], {**rows[5], "text_b": rows[5]["text_a"]}]
    report = api.check([*rows, *odd], model=None)
    assert places(find(report, "exact_duplicates")) == {("train", 62)}, "the joint of a pair counts"
    assert places(find(report, "equal_pair")) == {("train", 63)}


def test_a_file_whose_rows_are_all_bad_is_reported(tmp_path: Path) -> None:
    report = api.check(write_jsonl(tmp_path / "bad.jsonl", [b"{", b"[1]"]), model=None)
    assert report["splits"]["bad"]["rows"] == {"read": 2, "accepted": 0, "rejected": 2}
    assert kinds(report) == {"unusable_rows"}
    assert "bad" in shown(report)


# Tokens


def test_unknown_tokens_name_the_remedy(tiny_bert: Path) -> None:
    rows = [{"text": f"Ærøskøbing ßtraße {number} ŵŷż", "label": "ab"[number % 2]} for number in range(40)]
    report = api.check(rows, model=str(tiny_bert))
    found = find(report, "unknown_tokens")
    assert found["severity"] == "warning"
    assert "base model made for their language" in found["fix"]
    assert report["splits"]["train"]["tokens"]["unknown"] > 0.5


def test_known_words_are_one_piece_each(tiny_bert: Path) -> None:
    rows = [{"text": text, "label": "ab"[place % 2]} for place, text in enumerate(TEXTS)]
    report = api.check(rows, model=str(tiny_bert))
    facts = report["splits"]["train"]["tokens"]
    assert (facts["unknown"], facts["pieces_per_word"], facts["truncated_rows"]) == (0, 1, 0)
    assert facts["p50"] == 10 + 2 - 2
    assert report["model"] == {"name": str(tiny_bert), "max_tokens": 64, "available": True}


def test_truncation_counts_rows_and_tokens(tiny_bert: Path) -> None:
    rows = [{"text": row["text"], "label": row["label"]} for row in clean_rows(50)]
    rows[7]["text"] = "the film was good " * 32  # 128 words, 62 of which fit beside two special tokens
    report = api.check(rows, model=str(tiny_bert))
    facts = report["splits"]["train"]["tokens"]
    assert facts["truncated_rows"] == pytest.approx(1 / 50)
    assert facts["truncated_tokens"] == pytest.approx((130 - 64) / (130 + 49 * (9 + 1 + 2)), abs=1e-6)
    assert places(find(report, "truncated")) == {("train", 8)}
    assert find(report, "truncated")["severity"] == "warning"


def test_a_model_that_is_not_there_is_said() -> None:
    report = api.check(clean_rows(60), model="./no-such-model")
    assert find(report, "model_unavailable")["severity"] == "note"
    assert report["model"] == {"name": "./no-such-model", "max_tokens": None, "available": False}
    assert "tokens" not in report["splits"]["train"]


@pytest.mark.parametrize(("kind", "pad", "expected"), [("roberta", 1, 62), ("bert", 0, 64)])
def test_the_longest_sequence_is_the_models_own(kind: str, pad: int, expected: int) -> None:
    from tunesmith.base_models import BaseModelFolder

    class Tokenizer:
        model_max_length = 10**30

    config = {"model_type": kind, "max_position_embeddings": 64, "pad_token_id": pad}
    base = BaseModelFolder("m", Path(), None, "", config)
    assert tokens.max_tokens_of(base, Tokenizer()) == expected


# Tagged words

TAGGED = "Ada B-PER\nmet O\nBo B-PER\n\nOslo B-LOC\nis O\nfar O\n\nShe O\nsaw O\nNew I-LOC\nYork I-LOC\n\n"


def test_bad_tags_and_broken_lines_of_a_tagged_file(tmp_path: Path) -> None:
    path = tmp_path / "train.conll"
    path.write_text(TAGGED + "Ada B-PER\nLovelace I-LOC\n\nno tag here\n", encoding="utf-8")
    report = api.check(path, model=None)
    assert report["task"] == {"name": "token-classification", "guessed": True}
    assert ("train", 15) in places(find(report, "bad_tag"))
    assert report["splits"]["train"]["labels"]["kind"] == "entities"
    assert report["splits"]["train"]["labels"]["counts"]["PER"] == 3


def entity(start: int, end: int, label: str) -> Row:
    return {"start": start, "end": end, "label": label}


def test_spans_of_characters(tiny_bert: Path) -> None:
    rows: list[Row] = [
        {"text": f"the {thing} was good", "entities": [entity(4, 4 + len(thing), "THING")]}
        for thing in ("film", "book", "meal", "phone", "hotel", "story")
    ]
    rows.append({"text": "the film was good", "entities": [entity(4, 8, "WORK")]})
    rows.append({"text": "the song was sad", "entities": [entity(4, 8, "THING"), entity(5, 12, "THING")]})
    rows.append({"text": "the service was poor " * 20, "entities": []})
    report = api.check(rows, model=str(tiny_bert))
    assert report["task"]["name"] == "token-classification"
    conflict = find(report, "label_conflicts")["examples"][0]
    assert (conflict["label"], conflict["twin"]["label"]) == ("film = WORK", "film = THING")
    assert places(find(report, "lost_answers")) == {("train", 8)}
    assert places(find(report, "windowed")) == {("train", 9)}
    assert "truncated" not in kinds(report), "windows lose nothing"
    assert report["splits"]["train"]["labels"]["rows_without"] == 1


@pytest.mark.parametrize(
    ("record", "task"),
    [
        ({"tokens": ["Ada", "met", "Bo"], "tags": ["B-PER", "O", "B-PER"]}, "token-classification"),
        ({"text": "Ada met Bo", "entities": [[0, 3, "PER"]]}, "token-classification"),
        ({"text": "Ada met Bo", "labels": ["PER", "O"]}, "text-classification"),
        ({"text": "Ada met Bo", "label": "PER"}, "text-classification"),
    ],
)
def test_the_task_is_told_by_the_rows(record: Row, task: str) -> None:
    (split,) = splits.name_splits([[record, record]], data.ReadOptions())
    assert split.guess_task() == task


# Sources


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a/test.csv", "a/train.csv"], ["train", "test"]),
        (["reviews.csv"], ["reviews"]),
        (["ag_news_train.jsonl.gz", "ag_news_validation.jsonl.gz"], ["train", "dev"]),
        (["train_a.csv", "train_b.csv"], ["train_a", "train_b"]),
        (["x/data.csv", "y/data.csv"], ["data", "data (2)"]),
        (["-"], ["stdin"]),
        ([[{}], [{}]], ["train", "split 2"]),
        (["pretrained.csv", "contest.csv"], ["pretrained", "contest"]),
    ],
)
def test_names_of_splits(sources: list[Any], names: list[str]) -> None:
    assert [split.name for split in splits.name_splits(sources, data.ReadOptions())] == names


def test_generators_and_frames_are_read_as_often_as_needed() -> None:
    pandas = pytest.importorskip("pandas")
    rows = clean_rows(50) + clean_rows(1)
    for source in ((row for row in rows), pandas.DataFrame(rows)):
        assert places(find(api.check(source, model=None), "exact_duplicates")) == {("train", 51)}


# The command


def test_the_command_prints_the_table_to_stderr_and_one_object_to_stdout(tmp_path: Path, tiny_bert: Path) -> None:
    path = write_jsonl(tmp_path / "reviews.jsonl", [*clean_rows(80), clean_rows(80)[3]])
    result = run(path, "--model", tiny_bert, "--json")
    report = json.loads(result.stdout)
    assert report["verdict"] in result.stderr.replace(" of reviews.jsonl", "")
    assert "exact duplicates" in result.stderr
    assert f"{tiny_bert} takes 64 tokens" in result.stderr.replace("\n", "")
    assert run(path, "--model", "none").stdout == ""
    again = json.loads(run(path, "--model", tiny_bert, "--json").stdout)
    assert again == report


def test_standard_input_is_read_three_times_over() -> None:
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in [*clean_rows(50), *clean_rows(2)])
    report = json.loads(run("-", "--model", "none", "--json", stdin=lines).stdout)
    assert places(find(report, "exact_duplicates")) == {("stdin", 51), ("stdin", 52)}
    assert "named twice" in run("-", "-", stdin=lines, code=2).stderr


def test_what_the_user_got_wrong_exits_2(tmp_path: Path) -> None:
    assert "does not exist" in run(tmp_path / "none.csv", code=2).stderr
    path = write_jsonl(tmp_path / "a.jsonl", clean_rows(30))
    assert "data.columns.label" in run(path, "--set", "data.columns.label=nope", code=2).stderr
    assert "text-classification" in run(path, "--task", "text-clasification", code=2).stderr
    assert "no effect" in run(path, "--set", "train.epochs=3", code=2).stderr
    with pytest.raises(ConfigError):
        api.check(path, task="nonsense")
    with pytest.raises(DataError, match="no data"):
        api.check()


# What people see


def shown(report: Mapping[str, Any], width: int = 100) -> str:
    file = io.StringIO()
    check_report.show_check(
        Console(file=file, width=width, highlight=False, markup=False, emoji=False, force_terminal=False), report
    )
    return file.getvalue()


@pytest.mark.parametrize("width", [60, 100])
def test_the_table_fits_whatever_the_terminal(planted: dict[str, Any], width: int) -> None:
    from rich.cells import cell_len

    page = shown(planted, width)
    assert max(cell_len(line) for line in page.splitlines()) <= width
    words = page.split()
    assert all(kind.split("_")[0] in words for kind in LINES)
    assert "\x07" not in page, "what data holds is escaped"
    assert page.index("leaks") < page.index("exact duplicates") < page.index("small split") < page.index("unusable  ")


def test_the_verdict_comes_first(planted: dict[str, Any]) -> None:
    assert shown(planted).splitlines()[0].endswith("in 488 rows of train.jsonl, test.jsonl")
    clean = api.check(clean_rows(200), model=None)
    assert shown(clean).splitlines()[0] == "nothing wrong was found in 200 rows"


def test_numbers_and_many_labels_are_shown_shortly() -> None:
    assert "labels are numbers" in shown(label_report([place / 7 for place in range(100)]))
    many = shown(label_report([f"kind {place % 40}" for place in range(400)]))
    assert "and 28 more labels" in many
    assert "kind 39" not in many


# The page about it

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [pytest.param(folder / "check.md", id=name) for name, folder in (("en", DOCS), ("zh", DOCS / "zh"))]


@pytest.mark.parametrize("page", PAGES)
def test_every_kind_stands_on_the_page_and_no_other(page: Path) -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(checking.__file__).parent.glob("*.py")]
    made = {kind for source in sources for kind in re.findall(r'Finding\(\s*"(\w+)"', source)}
    listed = re.findall(r"^\| `(\w+)` \| (?:error|warning|note)", page.read_text(encoding="utf-8"), re.MULTILINE)
    of_reading = {"bad_tag", "moved_answer", "unusable_question_id"}
    assert sorted(listed) == sorted(made | row_faults.WORDS.keys() | of_reading)


@pytest.mark.parametrize("page", PAGES)
def test_every_key_of_the_report_stands_on_the_page(page: Path, tiny_bert: Path) -> None:
    report = api.check([*clean_rows(60), *clean_rows(2)], model=str(tiny_bert))
    split, found = report["splits"]["train"], report["findings"][0]
    keys = {*report, *report["task"], *report["model"], *split, *split["rows"], *split["labels"], *split["tokens"]}
    keys |= {*found, *found["examples"][0], *split["characters"]["histogram"]} - {"counts"}
    named = set(re.findall(r"`(\w+)", page.read_text(encoding="utf-8")))
    assert keys - named == set()


@pytest.mark.parametrize("page", PAGES)
def test_the_output_on_the_page_is_what_comes(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, file, _, _, _, printed, *_ = re.split(r"^```\w*\n", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (tmp_path / "reviews.csv").write_text(file, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    came = [line.rstrip() for line in shown(api.check("reviews.csv"), width=88).splitlines()]
    assert [line for line in printed.splitlines() if line not in came] == ["…"]


# Parts


@pytest.mark.parametrize(
    "module",
    [
        api,
        checking.report,
        minhash,
        text_keys,
        duplicates,
        findings,
        labels,
        lengths,
        near,
        spelling,
        splits,
        texts,
        tokens,
        check_report,
    ],
    ids=lambda module: module.__name__.rpartition(".")[2],
)
def test_examples_in_the_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_a_sample_is_uniform_and_bounded() -> None:
    sample = sampling.Sample(13, 500, 10**9)
    for start in range(0, 20_000, 1000):
        sample.add(range(start, start + 1000), [10] * 1000)
    rows = [drawn.value for drawn in sample.rows()]
    assert len(rows) == 500
    assert rows == sorted(rows)
    assert abs(np.mean(rows) - 10_000) < 1_000
    assert {drawn.value for drawn in sample.rows(limit_rows=50)} < set(rows)
    assert len(sample.rows(limit_characters=1_000)) == 100


def test_long_texts_shrink_the_sample() -> None:
    sample = sampling.Sample(13, 100, 5_000)
    for _ in range(50):
        sample.add(["x" * 500] * 10, [500] * 10)
    assert len(sample.rows()) == 10


def test_near_twins_are_found_among_thousands_and_across_splits() -> None:
    rows = [text_keys.loose_key(row["text"]) for row in clean_rows(3000)]
    split_of = [0] * 2000 + [1] * 1000
    for place in range(0, 100, 10):
        rows[2000 + place] = rows[place][:-5] + "hence"
    pairs = near.find_near_twins(rows, split_of)
    assert {(2000 + place, place) for place in range(0, 100, 10)} == set(pairs)


def test_templates_do_not_cost_the_square_of_their_number() -> None:
    numbers = random.Random(5)
    rows = list({f"pleasetransfer{numbers.randrange(10**9)}dollarstomysavingsaccount" for _ in range(4000)})
    pairs = near.find_near_twins(rows, [0] * len(rows))
    assert 0 < len(pairs) <= len(rows)


def test_hashes_of_a_split_cost_28_bytes_a_row() -> None:
    facts = gathering.Facts("train")
    per_row = sum(array.itemsize for array in (facts.characters, facts.exact, facts.loose, facts.answers))
    assert per_row == 28


@pytest.mark.parametrize(
    "text",
    [
        "NÃO É ÂNCORA «à» naïve – “fine” …",
        "Price < 5 & more > 3; a<b and c>d",
        "The 👩‍👩‍👧 family emoji keeps its joiner, می‌خواهم too",
        "涓流不息，浜字很少见，中文（测试）！",
        "日本語のテキスト・カタカナ 한국어",
    ],
)
def test_whole_texts_are_not_called_broken(text: str) -> None:
    assert texts.find_faults([text]) == {}


@pytest.mark.parametrize("text", ["你好，世界，这是一个测试", "naïve café – “déjà vu”", "Привет, мир и все"])
@pytest.mark.parametrize("codec", ["cp1252", "latin-1"])
def test_utf8_read_as_something_else_is_mojibake(text: str, codec: str) -> None:
    broken = text.encode().decode(codec, "replace")
    assert "mojibake" in texts.find_faults([broken])


def test_words_of_scripts_with_marks_stay_apart() -> None:
    assert text_keys.loose_key("की") != text_keys.loose_key("का")
    assert text_keys.loose_key("ที่") != text_keys.loose_key("ทา")
