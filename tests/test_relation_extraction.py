"""Relation extraction: where entities stand, markers, too long texts, masks, the official score, Hugging Face."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors import safe_open

from tests.tiny import TEXTS, make_tiny_trunk
from tunesmith import api, artifact, base_models, data, fitting, inference, labelled_rows, ledger, preparation
from tunesmith.config import resolve_config
from tunesmith.contracts import Context, Labels
from tunesmith.errors import ConfigError, DataError
from tunesmith.metrics import classification_counts, relation_scores, relation_table, sum_counts
from tunesmith.model import Model
from tunesmith.model_loading import load_model, load_tokenizer
from tunesmith.packing import pack
from tunesmith.serving.bodies import make_row
from tunesmith.serving.hosting import load_hosted
from tunesmith.serving.limits import Limits
from tunesmith.tasks import make_task
from tunesmith.tasks.relation_baselines import parts_of
from tunesmith.tasks.relation_extraction import RelationExtraction
from tunesmith.tasks.relation_markers import MARKERS, keep_entities, mark
from tunesmith.tasks.relation_rows import RelationRow

LABELS = Labels(("Cause(e1,e2)", "Cause(e2,e1)", "Other"), (3, 3, 3))
CAUSES, THINGS = ("storm", "fire", "rain", "fever"), ("damage", "delay", "noise", "flood")
WORDS = "the caused by was stood near head subject first tail object second end 主 头 甲 末 宾 尾 乙"
ALL_TEXTS = (*TEXTS, WORDS, *CAUSES, *THINGS)


def make_pairs() -> list[dict[str, Any]]:
    """Rows whose label is told by the words between and by which entity is the head."""
    rows = []
    for cause in CAUSES:
        for thing in THINGS:
            active = {"text": f"the {cause} caused the {thing}", "label": LABELS.names[0]}
            passive = {"text": f"the {thing} was caused by the {cause}", "label": LABELS.names[1]}
            apart = {"text": f"the {cause} stood near the {thing}", "label": LABELS.names[2]}
            rows += [{**active, "head": cause, "tail": thing}, {**passive, "head": thing, "tail": cause}]
            rows += [{**apart, "head": cause, "tail": thing}]
    return rows


ROWS = make_pairs()


@pytest.fixture(scope="module")
def trunks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def get(family: str) -> Path:
        if family not in made:
            made[family] = make_tiny_trunk(tmp_path_factory.mktemp(family), family, ALL_TEXTS)
        return made[family]

    return get


def load(folder: Path, **options: Any) -> tuple[RelationExtraction, Model, Context]:
    task: Any = make_task("relation-extraction", options)
    model = load_model(base_models.resolve(str(folder)), task.head(LABELS)).eval()
    return task, model, inference.make_context(model, LABELS)


def make_config(trunk: Path, folder: Path, *settings: str) -> Any:
    base = {
        "model": {"name": str(trunk)},
        "task": {"name": "relation-extraction"},
        "train": {"precision": "fp32", "device": "cpu", "batch_size": 8, "epochs": 2.0, "learning_rate": 2e-3},
        "evaluate": {"baselines": False, "resamples": 100},
        "output": {"folder": str(folder), "report": "none"},
    }
    return resolve_config(base, settings=settings)


# --- rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "head", "tail"),
    [
        ({"text": "a cat and a cat", "head": "cat", "tail": "cat"}, (2, 5), (12, 15)),
        ({"text": "New York City is in New York", "head": "New York City", "tail": "New York"}, (0, 13), (20, 28)),
        ({"text": "Ada met Bo", "head": " Bo ", "tail": "Ada"}, (8, 10), (0, 3)),
        ({"text": "Ada met Bo", "head_span": [0, 3], "tail_span": "[8, 10]"}, (0, 3), (8, 10)),
        ({"text": "cat cat cat", "head": "cat", "tail": "cat", "tail_span": [0, 3]}, (4, 7), (0, 3)),
        ({"text": "<e2>Bo</e2> was met by <e1>Ada</e1>."}, (14, 17), (0, 2)),
        ({"text": "与###论###书", "head": "戴东原", "tail": "李源澄"}, (1, 4), (5, 8)),
        ({"text": "##的师父是###。", "head": "鬼谷子", "tail": "卫庄"}, (6, 9), (0, 2)),
        ({"text": "请######来", "head": "刘国桢", "tail": "梅秀英"}, (1, 4), (4, 7)),
        ({"text": "看##的祖父弗拉德·##内", "head": "普京", "tail": "弗拉德·普京内"}, (1, 3), (6, 13)),
        ({"text": "<e1>暴雨</e1>引发<e2>洪水</e2>"}, (0, 2), (4, 6)),
    ],
)
def test_entities_are_found_however_the_row_tells_them(given: dict[str, Any], head: Any, tail: Any) -> None:
    row = RelationRow.model_validate(given)
    assert row.places == (head, tail)
    assert row.head
    assert row.tail
    assert "<e" not in row.text
    assert RelationRow.model_validate(row.model_dump()) == row


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": "Ada met Bo", "head": "Eve", "tail": "Bo"}, "head 'Eve' does not stand in the text"),
        ({"text": "Ada met Bo", "head": "Ada", "tail": "Ad"}, "only inside the other entity"),
        ({"text": "Ada met Bo", "head": "Ada"}, "tail is missing"),
        ({"text": "Ada met Bo", "head_span": [0, 3], "tail_span": [2, 5]}, "overlap"),
        ({"text": "Ada met Bo", "head_span": [0, 99], "tail_span": [4, 7]}, "does not lie in the text of 10"),
        ({"text": "Ada met Bo", "head_span": "first", "tail_span": [4, 7]}, "write [start, end]"),
        ({"text": "Ada met Bo", "head": "Bo", "head_span": [0, 3], "tail": "met"}, "at head_span stands 'Ada'"),
        ({"text": "<e1>Ada</e1> met Bo"}, "wanted <e1>…</e1> and <e2>…</e2> once each"),
        ({"text": "<e1></e1> met <e2>Bo</e2>"}, "holds no character"),
        ({"text": "<e1>Ada</e1> <e2>Bo</e2>", "head_span": [0, 3]}, "give one of them"),
        ({"text": "## 标题", "head": "卫庄子", "tail": "标题"}, "head '卫庄子' does not stand in the text"),
    ],
)
def test_a_row_that_does_not_tell_its_entities_is_bad(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{**ROWS[0]}, {**given, "label": "Other"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        data.read_rows(str(path), RelationRow, RelationExtraction.columns)
    assert "rows.jsonl, line 2" in str(caught.value)
    assert said in str(caught.value)


def test_a_table_with_offsets_and_other_names_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('sentence,subject,object,head_span,relation\nAda met Ada and Bo,Ada,Bo,"8,11",knows\n')
    read = data.read_rows(str(path), RelationRow, RelationExtraction.columns)
    assert read.rows[0].places == ((8, 11), (16, 18))
    assert read.mapping["label"] == "relation"


# --- markers ------------------------------------------------------------------------------------------------


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


# --- scores -------------------------------------------------------------------------------------------------


def test_the_official_score_by_hand() -> None:
    """Two relations and Other. A: two right, one in the wrong direction, one lost to Other, one given for Other."""
    right, turned = "A(e1,e2)", "A(e2,e1)"
    pairs = [(right, right), (turned, turned), (turned, right), ("Other", right), (right, "Other")]
    pairs += [("B(e1,e2)", "B(e1,e2)"), ("B(e1,e2)", turned), ("Other", "Other")]
    counts = sum_counts(classification_counts(given, gold) for given, gold in pairs)
    names = ["A(e1,e2)", "A(e2,e1)", "B(e1,e2)", "B(e2,e1)", "Other"]
    table = relation_table(counts, names, "Other")
    assert table["A"] == {"precision": 2 / 4, "recall": 2 / 5, "f1": 4 / 9, "support": 5}
    assert table["B"] == {"precision": 1 / 2, "recall": 1.0, "f1": 2 / 3, "support": 1}
    assert list(table)[2:] == ["micro avg", "macro avg", "weighted avg"]
    scores = relation_scores(counts, names, "Other")
    assert scores["relation_f1"] == pytest.approx((4 / 9 + 2 / 3) / 2)
    assert scores["relation_micro_f1"] == pytest.approx(2 * 3 / (6 + 6))


def test_a_direction_that_was_never_learnt_counts_for_its_relation() -> None:
    counts = sum_counts([classification_counts("A(e1,e2)", "A(e1,e2)"), classification_counts("Other", "A(e2,e1)")])
    assert relation_table(counts, ["A(e1,e2)", "Other"], "Other")["A"]["recall"] == 0.5
    unknown = classification_counts("A(e1,e2)", "B(e1,e2)")
    assert relation_scores(sum_counts([counts, unknown]), ["A(e1,e2)", "Other"], "Other")["relation_f1"] < 0.5


@pytest.mark.parametrize(
    ("names", "wished", "found"),
    [
        (("A", "Other"), "auto", "Other"),
        (("A", "no_relation", "unknown"), "auto", "no_relation"),
        (("父母", "unknown"), "auto", "unknown"),
        (("A", "NA"), "auto", "NA"),
        (("A", "B"), "auto", None),
        (("A", "Other"), "off", None),
        (("A", "B"), "B", "B"),
    ],
)
def test_the_label_that_means_no_relation(names: tuple[str, ...], wished: str, found: str | None) -> None:
    task: Any = make_task("relation-extraction", {"no_relation": wished})
    assert task.no_relation(Labels(names)) == found


def test_a_label_of_no_relation_that_is_none_is_refused() -> None:
    task = make_task("relation-extraction", {"no_relation": "Othr"})
    with pytest.raises(ConfigError, match="Other"):
        task.labels([RelationRow.model_validate(row) for row in ROWS])


# --- whole runs ---------------------------------------------------------------------------------------------


def test_a_standard_model_is_a_hugging_face_folder(trunks: Any, tmp_path: Path) -> None:
    list(fitting.run(make_config(trunks("bert"), tmp_path, "task.pooling=standard"), ROWS, ROWS))
    predictor = api.load(tmp_path)
    rows = [RelationRow.model_validate(row) for row in ROWS[:6]]
    texts = [predictor.task.texts(row)[0] for row in rows]
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert model.config.vocab_size == model.get_input_embeddings().weight.shape[0] >= len(tokenizer)
    items = predictor.task.encode(rows, inference.make_context(predictor.model, LABELS))
    batch = pack([[item] for item in items])
    with torch.no_grad():
        theirs = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
        ours = predictor.task.forward(predictor.model, batch)["logits"]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    card = (tmp_path / "README.md").read_text()
    assert 'pipeline("text-classification", model="this-folder")' in card
    assert "`[HEAD]`, `[/HEAD]`, `[TAIL]`, `[/TAIL]`" in card
    assert "pipeline_tag: text-classification" in card


def test_a_model_that_reads_entities_stores_one_head_and_says_what_loads_it(trunks: Any, tmp_path: Path) -> None:
    events = list(fitting.run(make_config(trunks("bert"), tmp_path, "train.epochs=12"), ROWS, ROWS))
    metrics = events[-1].metrics
    assert metrics["headline"] == "relation_f1"
    assert metrics["scores"]["relation_f1"]["value"] > 0.9, "48 rows, told apart by their words"
    assert "Cause" in metrics["per_relation"]
    with safe_open(tmp_path / "model.safetensors", framework="pt") as weights:
        assert not [name for name in weights.keys() if "classifier" in name or "pooler" in name]  # noqa: SIM118
    assert "loads with Tunesmith only" in (tmp_path / "README.md").read_text()
    again = api.evaluate(tmp_path, ROWS, resamples=100)
    assert again["scores"]["relation_f1"]["value"] == metrics["scores"]["relation_f1"]["value"]
    hosted = load_hosted([str(tmp_path)])[tmp_path.name]
    assert hosted.most_tokens == hosted.predictor.model.max_tokens
    assert make_row(hosted.sample_row(), hosted, Limits()).places == ((4, 9), (19, 24))
    raw = api.load(tmp_path).predict(["the <e1>fire</e1> caused the <e2>delay</e2>"])[0]
    assert raw.label == "Cause(e1,e2)"


@pytest.mark.parametrize("method", ["lora", "head", "bitfit"])
def test_added_tokens_are_stored_where_the_trunk_is_not(method: str, trunks: Any, tmp_path: Path) -> None:
    list(fitting.run(make_config(trunks("bert"), tmp_path, f"method.name={method}"), ROWS, ROWS))
    loaded = api.load(tmp_path)
    before = [answer.probabilities for answer in loaded.predict(ROWS[:4])]
    assert load_tokenizer(tmp_path).convert_tokens_to_ids("[HEAD]") < loaded.model.vocabulary_size
    _, start, _ = load(trunks("bert"))
    ids = loaded.model.tokenizer.convert_tokens_to_ids(list(MARKERS))
    rows = loaded.model.hf.get_input_embeddings().weight[ids]
    assert torch.equal(rows, start.hf.get_input_embeddings().weight[ids]), "these methods do not train them"
    with safe_open(tmp_path / artifact.ADDED_TOKENS, framework="pt") as stored:
        assert torch.equal(stored.get_tensor("rows"), rows)
    assert [answer.probabilities for answer in api.load(tmp_path).predict(ROWS[:4])] == before


def test_an_adapter_with_tokens_of_its_own_is_not_offered_to_peft(trunks: Any, tmp_path: Path) -> None:
    """PEFT would load the base model without them."""
    list(fitting.run(make_config(trunks("bert"), tmp_path, "method.name=lora", "task.pooling=standard"), ROWS, ROWS))
    card = (tmp_path / "README.md").read_text()
    assert "loads with Tunesmith only" in card
    assert "PeftModel" not in card
    assert len(api.load(tmp_path).predict(ROWS[:2])) == 2


def test_baselines_see_the_parts_of_the_text() -> None:
    row = RelationRow(text="Today Ada met Bo.", head="Bo", tail="Ada")
    assert parts_of(row) == ("Today ", "TAIL met HEAD", ".", "Bo", "Ada")
    task = make_task("relation-extraction", {})
    rows = [RelationRow.model_validate(row) for row in ROWS]
    majority, tfidf, _ = task.baselines(LABELS)
    golds = [row.label for row in rows[36:]]
    found = [[answer.label for answer in one.predict(rows[:36], rows[36:], None)] for one in (majority, tfidf)]
    assert found[1] == golds != found[0]


def test_a_causal_trunk_answers_by_what_it_has_read(trunks: Any) -> None:
    """The words behind the entities matter, which no vector at an opening marker has seen."""
    task, model, context = load(trunks("gpt2"))
    texts = ["the fire and the flood : head", "the fire and the flood : tail"]
    items = task.encode([RelationRow(text=text, head="fire", tail="flood") for text in texts], context)
    with torch.no_grad():
        logits = task.forward(model, pack([[item] for item in items]))["logits"]
    assert (logits[0] - logits[1]).abs().max() > 1e-4
