"""Texts longer than the model: cut and counted, or read in windows; what is lost is said."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tests.tiny import TEXTS, make_tiny_trunk
from tunesmith import base_models, inference, ledger
from tunesmith.contracts import Context, Encoded, HeadSpec, Labels
from tunesmith.model_loading import load_model
from tunesmith.tasks.token_sequences import encode_texts, encode_windows

LABELS = Labels(("a", "b"))
LONG = " ".join(TEXTS)


@pytest.fixture(scope="module", params=["bert", "roberta", "llama"])
def context(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Context:
    folder = make_tiny_trunk(tmp_path_factory.mktemp("long") / request.param, request.param)
    model = load_model(base_models.resolve(str(folder)), HeadSpec("sequence", LABELS.names))
    return replace(inference.make_context(model, LABELS), max_tokens=24)


def bare(context: Context, text: str) -> list[int]:
    return list(context.tokenizer(text, add_special_tokens=False)["input_ids"])


def test_windows_hold_every_token_in_order_and_overlap(context: Context) -> None:
    items = encode_windows([(LONG,), (TEXTS[0],)], [0, 1], context, first_row=7)
    long, short = items[:-1], items[-1]
    assert [item.part for item in items] == [*range(len(long)), 0]
    assert {item.row for item in long} == {7}
    assert short.row == 8
    assert all(item.target == 0 and item.length_tokens <= 24 and not item.cut_tokens for item in long)
    whole, ends = bare(context, LONG), []
    special = set(context.tokenizer.all_special_ids)
    for item in long:
        inside = [token for token in item.sequences[0] if token not in special]
        start = next(at for at in range(len(whole)) if whole[at : at + len(inside)] == inside)
        ends.append((start, start + len(inside)))
    assert ends[0][0] == 0
    assert ends[-1][1] == len(whole)
    assert all(after[0] < before[1] for before, after in itertools.pairwise(ends)), "neighbours overlap"


def test_the_longer_text_of_a_pair_is_cut_into_windows(context: Context) -> None:
    for pair in [(TEXTS[0][:12], LONG), (LONG, TEXTS[0][:12])]:
        items = encode_windows([pair], [1], context, first_row=0)
        short = bare(context, min(pair, key=len))
        assert len(items) > 2
        for item in items:
            ids = item.sequences[0]
            assert any(ids[at : at + len(short)] == short for at in range(len(ids))), "the other text is in each window"
            assert len(ids) <= 24


def test_a_pair_of_long_texts_is_cut(context: Context) -> None:
    (item,) = encode_windows([(LONG, LONG)], [1], context, first_row=0)
    assert item.cut_tokens > 0
    assert item.length_tokens == 24


def test_texts_that_fit_are_encoded_alike(context: Context) -> None:
    rows = [(text[:20],) for text in TEXTS[:3]] + [(TEXTS[0][:10], TEXTS[1][:10])]
    assert encode_windows(rows, range(4), context, 0) == encode_texts(rows, range(4), context, 0)


def test_the_ledger_counts_rows_tokens_and_lost_answers(context: Context) -> None:
    cut = encode_texts([(LONG,), (TEXTS[0][:10],)], [0, 1], context, 0)
    found = ledger.count(cut)
    whole = len(context.tokenizer(LONG)["input_ids"]) + len(context.tokenizer(TEXTS[0][:10])["input_ids"])
    assert (found.rows, found.cut_rows, found.windowed_rows) == (2, 1, 0)
    assert found.tokens + found.cut_tokens == whole
    assert found.cut_share == pytest.approx(found.cut_tokens / whole)
    windows = ledger.count(encode_windows([(LONG,), (TEXTS[0][:10],)], [0, 1], context, 0))
    assert (windows.rows, windows.cut_rows, windows.windowed_rows, windows.cut_share) == (2, 0, 1, 0)


def test_the_ledger_speaks_only_of_losses() -> None:
    fine = ledger.count([Encoded(([1, 2],), None, row=0)])
    assert ledger.describe("training", fine, 24) == []
    lost = ledger.count([Encoded(([1, 2],), None, row=0, lost=tuple(f"PER 'x{n}'" for n in range(7)))])
    (said,) = ledger.describe("development", lost, 24)
    assert said.startswith("7 answers of the development rows")
    assert "'x4' …" in said
    assert lost.to_json()["lost_examples"] == [f"PER 'x{n}'" for n in range(5)]
