"""Relation extraction: the official score, whole runs, stored tokens, baselines, Hugging Face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors import safe_open

from tests.relations import LABELS, ROWS, Trunks, load, make_config, make_trunks
from tunesmith import api, fitting, inference, stored_weights
from tunesmith.contracts import Labels
from tunesmith.errors import ConfigError
from tunesmith.metrics import classification_counts, relation_scores, relation_table, sum_counts
from tunesmith.model_loading import load_tokenizer
from tunesmith.packing import pack
from tunesmith.serving.bodies import make_row
from tunesmith.serving.hosting import load_hosted
from tunesmith.serving.limits import Limits
from tunesmith.tasks import make_task
from tunesmith.tasks.relation_baselines import parts_of
from tunesmith.tasks.relation_markers import MARKERS
from tunesmith.tasks.relation_rows import RelationRow


@pytest.fixture(scope="module")
def trunks(tmp_path_factory: pytest.TempPathFactory) -> Trunks:
    return make_trunks(tmp_path_factory)


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
    with safe_open(tmp_path / stored_weights.ADDED_TOKENS, framework="pt") as stored:
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
