"""Relation extraction: markers around the entities, the vectors they start from, masked names, too long texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.relations import LABELS, ROWS, Trunks, load, make_config, make_trunks
from tunesmith import base_models, labelled_rows, ledger, preparation
from tunesmith.contracts import Context
from tunesmith.errors import ConfigError
from tunesmith.model_loading import load_model
from tunesmith.tasks import make_task
from tunesmith.tasks.relation_markers import MARKERS, keep_entities, mark
from tunesmith.tasks.relation_rows import RelationRow


@pytest.fixture(scope="module")
def trunks(tmp_path_factory: pytest.TempPathFactory) -> Trunks:
    return make_trunks(tmp_path_factory)


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert", "modernbert", "deberta-v2", "gpt2"])
def test_markers_are_tokens_around_the_entities(family: str, trunks: Any) -> None:
    task, model, context = load(trunks(family))
    rows = [
        RelationRow.model_validate({key: row[key] for key in ("text", "head", "tail")})
        for row in (*ROWS[:3], {"text": "公司的利润和市场", "head": "市场", "tail": "公司"})
    ]
    rows.append(RelationRow(text="the [HEAD] of the fire caused the flood", head="flood", tail="fire"))
    items = task.encode(rows, context)
    for row, item in zip(rows, items, strict=True):
        ids = item.sequences[0]
        assert [ids[place] for place in item.places] == model.tokenizer.convert_tokens_to_ids(list(MARKERS))
        assert ids == model.tokenizer(task.texts(row)[0])["input_ids"], "what Hugging Face makes of the marked text"
    text = model.tokenizer.decode(items[0].sequences[0], clean_up_tokenization_spaces=False)
    assert text.replace(" ", "").index("[HEAD]storm[/HEAD]") < text.replace(" ", "").index("[TAIL]damage[/TAIL]")


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
@pytest.mark.parametrize("masked", ["names", "kept"])
def test_a_text_that_says_a_marker_gets_no_marker_token(family: str, masked: str, trunks: Trunks) -> None:
    task, model, context = load(trunks(family), masked=masked)
    said = "[HEAD] the [HEAD] [/HEAD] fire[TAIL][/TAIL] caused the ##### [TAIL]"
    [item] = task.encode([RelationRow(text=said, head="fire", tail="[HE]]")], context)
    [twin] = task.encode([RelationRow(text="[TAIL] a", head="a", tail="[TAIL]")], context)
    for one in (item, twin):
        ids = model.tokenizer.convert_tokens_to_ids(list(MARKERS))
        assert [one.sequences[0].count(token) for token in ids] == [1, 1, 1, 1]
        assert [one.sequences[0][place] for place in one.places] == ids
    assert mark(RelationRow(text="a [head] b", head="a", tail="b")).text.count("[head]") == 1, "only as the token is"


def test_words_keep_their_space_and_the_order_of_entities() -> None:
    row = RelationRow(text="Today Ada met  Bo.", head="Bo", tail="Ada")
    assert mark(row).text == "Today[TAIL] Ada[/TAIL] met[HEAD]  Bo[/HEAD]."


def test_a_masked_name_is_put_back_or_kept() -> None:
    row = RelationRow(text="###是##的老师", head="鬼谷子", tail="卫庄")
    assert mark(row).text == "[HEAD]鬼谷子[/HEAD]是[TAIL]卫庄[/TAIL]的老师"
    assert mark(row, "kept").text == "[HEAD]###[/HEAD]是[TAIL]##[/TAIL]的老师"
    task: Any = make_task("relation-extraction", {"masked": "kept"})
    assert task.texts(row) == (mark(row, "kept").text,)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_marker_vectors_start_from_the_words_that_describe_them(family: str, trunks: Any) -> None:
    plain = load_model(base_models.resolve(str(trunks(family))), make_task("text-classification", {}).head(LABELS))
    _, model, _ = load(trunks(family))
    table, before = (m.hf.get_input_embeddings().weight for m in (model, plain))
    known = len(plain.tokenizer)
    assert torch.equal(table[:known], before[:known]), "what was there stays"
    for token, words in MARKERS.items():
        found = [
            ids[0] for word in words.split() for ids in [plain.tokenizer(f" {word}")["input_ids"]] if len(ids) == 1
        ]
        if family == "bert":
            found = plain.tokenizer.convert_tokens_to_ids(words.split())
        row = table[model.tokenizer.convert_tokens_to_ids(token)]
        torch.testing.assert_close(row, before[found].mean(dim=0))
    assert len(model.tokenizer) == known + len(MARKERS)


# --- too long texts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "gpt2"])
@pytest.mark.parametrize(
    ("before", "between", "behind"), [(0, 0, 90), (90, 0, 0), (40, 5, 40), (30, 70, 30), (0, 90, 0)]
)
def test_a_long_text_is_cut_around_its_entities(
    family: str, before: int, between: int, behind: int, trunks: Any
) -> None:
    task, model, context = load(trunks(family))
    text = "the " * before + "storm" + " the" * between + " caused flood" + " the" * behind
    items = task.encode([RelationRow(text=text, head="flood", tail="storm")], context)
    ids = items[0].sequences[0]
    assert len(ids) == context.max_tokens
    whole = model.tokenizer(task.texts(RelationRow(text=text, head="flood", tail="storm"))[0])["input_ids"]
    assert items[0].cut_tokens == len(whole) - len(ids)
    assert ledger.count(items).cut_rows == 1
    decoded = model.tokenizer.decode(ids).replace(" ", "")
    assert "[HEAD]flood[/HEAD]" in decoded
    assert "[TAIL]storm[/TAIL]" in decoded
    assert (ids[0], ids[-1]) == (whole[0], whole[-1]) or family == "gpt2"
    assert [ids[place] for place in items[0].places] == model.tokenizer.convert_tokens_to_ids(list(MARKERS))


def test_entities_longer_than_the_model_keep_their_markers_and_beginnings() -> None:
    assert keep_entities(100, (0, 49), (50, 99), room=10) == [0, 1, 2, 3, 49, 50, 51, 52, 53, 99]
    assert keep_entities(9, (0, 2), (4, 6), room=9) == list(range(9))


def test_a_model_without_room_for_the_markers_is_refused(trunks: Any) -> None:
    task, _, context = load(trunks("bert"))
    short = Context(context.tokenizer, context.tokenizer, LABELS, 7)
    with pytest.raises(ConfigError, match=r"model\.max_tokens is 7") as caught:
        task.encode([RelationRow.model_validate(ROWS[0])], short)
    assert caught.value.fix


def test_the_notice_of_cut_texts_names_only_what_this_task_can_do(trunks: Any, tmp_path: Path) -> None:
    long = [{**row, "text": row["text"] + " the" * 70} for row in ROWS]
    config = make_config(trunks("bert"), tmp_path)
    task, method = preparation.make_parts(config)
    setup = preparation.prepare(config, labelled_rows.read_splits(config, task, long, long), task, method)
    said = " ".join(setup.notices)
    assert "48 of 48 training texts are longer than 64 tokens" in said
    assert "model.max_tokens" in said
    assert "long_texts" not in said
