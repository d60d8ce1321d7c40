"""Entities: what goes in comes out, in characters, on every tokenizer; nothing is lost without a word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import make_tiny_trunk
from tunesmith import base_models, inference, metrics
from tunesmith.contracts import Context, Encoded, Labels
from tunesmith.errors import ConfigError, DataError
from tunesmith.model_loading import load_model
from tunesmith.packing import pack
from tunesmith.tasks import make_task
from tunesmith.tasks.tag_decoding import bio_rules, decode_tags, tag_names
from tunesmith.tasks.token_classification import TokenClassification, WordTags
from tunesmith.tasks.token_rows import TokenRow
from tunesmith.tasks.token_windows import make_windows, special_tokens
from tunesmith.tasks.words import read_text, spans_of, split_words, tags_of

LABELS = Labels(("LOC", "ORG", "PER"), (1, 1, 1), "entities")
HARD = [
    pytest.param("我在 北京 工作", [(3, 5, "LOC")], id="Chinese with blanks"),
    pytest.param("ＡＢＣ公司搬到了上海。", [(0, 5, "ORG"), (8, 10, "LOC")], id="full-width letters"),
    pytest.param("🎉李雷🎉去了巴黎🇫🇷", [(1, 3, "PER"), (6, 8, "LOC")], id="emoji"),
    pytest.param("　王芳，３月来。", [(1, 3, "PER")], id="ideographic blank"),
    pytest.param("他在U.S.的IBM公司", [(2, 6, "LOC"), (7, 12, "ORG")], id="Latin inside Chinese"),
    pytest.param("Zoë Ångström met 𝒳 Corp.", [(0, 12, "PER"), (17, 23, "ORG")], id="accents and astral letters"),
    pytest.param("Ann Lee flew to Oslo", [(0, 7, "PER"), (16, 20, "LOC")], id="first and last word"),
    pytest.param("Oslo", [(0, 4, "LOC")], id="nothing but an entity"),
    pytest.param("Oslo Turku", [(0, 4, "LOC"), (5, 10, "LOC")], id="two of a kind side by side"),
]
DROPPED = "🎉"
"""A tokenizer of whole words may have nothing for a sign."""
FAMILIES = ["bert", "roberta", "llama"]


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Context]:
    """Each kind of tokenizer: WordPiece, byte-level BPE, and one that marks blanks; all know the hard texts."""
    texts = [str(case.values[0]) for case in HARD]
    made = {}
    for family in FAMILIES:
        folder = make_tiny_trunk(tmp_path_factory.mktemp("token") / family, family, texts * 3)
        task = make_task("token-classification", {})
        model = load_model(base_models.resolve(str(folder)), task.head(LABELS))
        made[family] = inference.make_context(model, LABELS)
    return made


def make_row(text: str, spans: list[tuple[int, int, str]], words: Any = None) -> TokenRow:
    entities = [{"start": a, "end": b, "label": name} for a, b, name in spans]
    return TokenRow(text=text, entities=entities, words=words)


def answer_right(task: Any, items: list[Encoded]) -> list[tuple[int, int, str]]:
    """What comes out when every word gets its right tag."""
    names = tag_names(LABELS)
    parts = []
    for item in items:
        tags = {word: names[tag] for word, tag in zip(item.meta["words"], item.target, strict=True)}
        parts.append(WordTags(item.meta["reading"], tags, dict.fromkeys(tags, 1.0)))
    found = task.join(parts, LABELS).entities
    assert all(entity.text == items[0].meta["reading"].text[entity.start : entity.end] for entity in found)
    return [(entity.start, entity.end, entity.label) for entity in found]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("text", "spans"), HARD)
def test_right_tags_give_the_right_characters(
    text: str, spans: list[tuple[int, int, str]], family: str, contexts: dict[str, Context]
) -> None:
    task = make_task("token-classification", {})
    items = task.encode([make_row(text, spans)], contexts[family])
    assert answer_right(task, items) == spans
    assert items[0].lost == ()


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_entities_on_word_bounds_come_back_also_through_windows(
    family: str, contexts: dict[str, Context], data: st.DataObject
) -> None:
    text = data.draw(st.text(alphabet="ab 北京é🎉.1Ａ", min_size=1, max_size=60).filter(lambda t: bool(t.strip())))
    words = split_words(text)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=8)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    spans = [(words[a][0], words[b - 1][1], data.draw(st.sampled_from(LABELS.names))) for a, b in pairs]
    task = make_task("token-classification", {})
    for longest in (12, 100):
        items = task.encode([make_row(text, spans)], replace(contexts[family], max_tokens=longest))
        missing = sorted(set(spans) - set(answer_right(task, items)))
        assert items[0].lost == tuple(f"{name} {text[a:b]!r}" for a, b, name in missing)
        assert not missing or set(text) & set(DROPPED), "only what the tokenizer drops may be lost"
        assert all(len(item.sequences[0]) <= longest for item in items)
        answered = [word for item in items for word in item.meta["words"]]
        assert answered == sorted(set(answered)), "every word is answered in one window, in order"


@pytest.mark.parametrize(
    ("text", "spans", "lost"),
    [
        pytest.param("Northwind won", [(0, 5, "LOC")], "LOC 'North'", id="ends inside a word"),
        pytest.param("Bank of Oslo", [(0, 12, "ORG"), (8, 12, "LOC")], "LOC 'Oslo'", id="nested"),
        pytest.param("in Oslo now", [(3, 8, "LOC")], "LOC 'Oslo '", id="a blank at its end"),
    ],
)
def test_what_cannot_be_answered_is_said(
    text: str, spans: list[tuple[int, int, str]], lost: str, contexts: dict[str, Context]
) -> None:
    task = make_task("token-classification", {})
    (item,) = task.encode([make_row(text, spans)], contexts["bert"])
    assert item.lost == (lost,)


def test_lost_entities_count_as_misses(contexts: dict[str, Context]) -> None:
    task = make_task("token-classification", {})
    row = make_row("Bank of Oslo", [(0, 12, "ORG"), (8, 12, "LOC")])
    answers = answer_right(task, task.encode([row], contexts["bert"]))
    prediction = task.Prediction(entities=[{"start": a, "end": b, "label": name} for a, b, name in answers])
    counts = task.tally(prediction, task.gold(row, LABELS), LABELS)
    assert (counts["tp:ORG"], counts["gold:LOC"], counts.get("tp:LOC")) == (1.0, 1.0, None)
    assert task.score(counts, LABELS)["entity_recall"] == 0.5


def test_a_piece_over_several_words_is_cut_at_their_bounds(contexts: dict[str, Context]) -> None:
    """A character-level file read by a tokenizer that knows the whole word."""
    text = "Turku很好"
    words = [(place, place + 1) for place in range(len(text))]
    task = make_task("token-classification", {})
    for context in contexts.values():
        for span in [(0, 5, "ORG"), (0, 2, "ORG"), (1, 6, "ORG"), (6, 7, "PER")]:
            items = task.encode([make_row(text, [span], words)], context)
            assert items[0].meta["words"] == tuple(range(7))
            assert answer_right(task, items) == [span]
            assert items[0].lost == ()


def test_an_entity_goes_on_over_what_the_tokenizer_drops() -> None:
    reading = read_text("a\u200db c", [(0, 1), (1, 2), (2, 3), (4, 5)], [(0, 1), (2, 3), (4, 5)])
    assert reading.pieces == (0, None, 1, 2)
    for answers, tags in [
        ({0: "B-PER", 2: "I-PER", 3: "O"}, ["B-PER", "I-PER", "I-PER", "O"]),
        ({0: "B-PER", 2: "O", 3: "O"}, ["B-PER", "O", "O", "O"]),
        ({0: "B-PER", 2: "B-PER", 3: "I-PER"}, ["B-PER", "O", "B-PER", "I-PER"]),
    ]:
        assert reading.spread(answers) == tags


@settings(max_examples=100, deadline=None)
@given(pieces=st.integers(0, 80), room=st.integers(2, 20), data=st.data())
def test_windows_cover_every_piece_once_and_with_context(pieces: int, room: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, room - 1))
    windows = make_windows(pieces, room, overlap)
    owned = [piece for window in windows for piece in range(window.own_start, window.own_end)]
    assert owned == list(range(pieces))
    for window in windows:
        assert window.start <= window.own_start <= window.own_end <= window.end
        assert window.end - window.start <= room
        near = overlap // 2
        assert window.start == 0 or window.own_start - window.start >= near
        assert window.end == pieces or window.end - window.own_end >= near


def test_special_tokens_are_those_around_a_text(contexts: dict[str, Context]) -> None:
    for context in contexts.values():
        before, behind = special_tokens(context.tokenizer)
        whole = context.tokenizer("Oslo Turku")["input_ids"]
        bare = context.tokenizer("Oslo Turku", add_special_tokens=False)["input_ids"]
        assert [*before, *bare, *behind] == whole


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["B-PER", "I-PER", "O"], [(0, 2, "PER")]),
        (["I-PER", "I-PER", "I-LOC"], [(0, 2, "PER"), (2, 3, "LOC")]),
        (["B-PER", "B-PER", "I-PER"], [(0, 1, "PER"), (1, 3, "PER")]),
        (["O", "O", "O"], []),
        (["B-LOC", "O", "I-LOC"], [(0, 1, "LOC"), (2, 3, "LOC")]),
    ],
)
def test_entities_of_tags(tags: list[str], spans: list[tuple[int, int, str]]) -> None:
    assert spans_of(tags) == spans


def test_scores_are_the_ones_counted_by_hand() -> None:
    """Two of four predicted entities are right, of three right ones; one has the right bounds and the wrong type."""
    words = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    gold = [(0, 3, "PER"), (4, 5, "LOC"), (6, 9, "ORG")]
    found = [(0, 3, "PER"), (4, 5, "ORG"), (6, 7, "ORG"), (8, 9, "ORG")]
    counts = metrics.entity_counts(found, gold, tags_of(words, found), tags_of(words, gold))
    scores = metrics.entity_scores(counts, LABELS.names, tag_names(LABELS))
    assert scores["entity_precision"] == pytest.approx(1 / 4)
    assert scores["entity_recall"] == pytest.approx(1 / 3)
    assert scores["entity_f1"] == pytest.approx(2 / 7)
    assert scores["word_accuracy"] == pytest.approx(3 / 5)  # B-PER I-PER, and B-ORG at the fourth word
    tables = metrics.entity_tables(counts, LABELS.names, tag_names(LABELS))
    assert tables["per_class"]["PER"]["f1"] == 1.0
    assert tables["per_class"]["ORG"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1.0}
    assert tables["per_word_tag"]["B-ORG"]["recall"] == 1.0


def test_types_that_were_never_learnt_count_as_misses() -> None:
    words, gold = [(0, 4)], [(0, 4, "DATE")]
    counts = metrics.entity_counts([], gold, ["O"], tags_of(words, gold))
    assert metrics.entity_tables(counts, LABELS.names, tag_names(LABELS))["per_class"]["DATE"]["support"] == 1.0
    assert metrics.entity_scores(counts, LABELS.names, tag_names(LABELS))["entity_recall"] == 0.0


def test_decoded_tags_keep_the_rules_where_the_likeliest_ones_break_them() -> None:
    names = tag_names(LABELS)
    item = Encoded(sequences=([1, 2, 3],), target=None, row=0, places=(0, 1, 2))
    whole = Encoded(sequences=([1, 2],), target=None, row=1, places=(0, 1))
    logits = torch.full((5, len(names)), -5.0)
    for place, tag in enumerate(["B-PER", "I-LOC", "O", "I-LOC", "I-LOC"]):
        logits[place, names.index(tag)] = 1.0
    logits[1, names.index("I-PER")] = 0.9
    batch = pack([[item], [whole]])
    (first, sure), (second, _) = decode_tags({"logits": logits}, batch, bio_rules(LABELS))
    assert [names[tag] for tag in first] == ["B-PER", "I-PER", "O"]
    assert [names[tag] for tag in second] == ["I-LOC", "I-LOC"], "a window may begin inside an entity"
    assert sure[1] == pytest.approx(float(logits[1].softmax(0)[names.index("I-PER")]))


def test_an_item_without_a_word_has_no_answer() -> None:
    items = [Encoded(sequences=([1, 2],), target=(), row=row, places=()) for row in range(2)]
    batch = pack([[item] for item in items])
    logits = torch.zeros(4, len(tag_names(LABELS)))
    assert decode_tags({"logits": logits}, batch, bio_rules(LABELS)) == [([], []), ([], [])]
    task = make_task("token-classification", {"head": "crf"})
    outputs = {"logits": logits, "start": torch.zeros(2, 7), "transitions": torch.zeros(2, 7, 7)}
    loss, units = task.loss(outputs, batch, LABELS)
    assert (float(loss), units) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"entities": [{"start": 2, "end": 9, "label": "X"}]}, "not stand in a text of 4 characters"),
        ({"entities": [{"start": 2, "end": 2, "label": "X"}]}, "from 2 to 2"),
        ({"words": [(0, 2), (1, 4)]}, "overlaps its neighbour"),
    ],
)
def test_spans_that_do_not_fit_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TokenRow.model_validate({"text": "Oslo", **change})


def test_no_entity_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="no row holds an entity"):
        make_task("token-classification", {}).labels([TokenRow(text="nothing here", entities=[])])


def test_options_that_exclude_each_other(contexts: dict[str, Context]) -> None:
    with pytest.raises(ConfigError, match="label_smoothing"):
        make_task("token-classification", {"head": "crf", "label_smoothing": 0.1})
    task = make_task("token-classification", {"overlap_tokens": 500})
    with pytest.raises(ConfigError, match="has room for"):
        task.encode([make_row("Oslo", [])], contexts["bert"])


def test_the_class_names_its_columns() -> None:
    assert [column.name for column in TokenClassification.columns if column.holds == "spans"] == ["entities"]
