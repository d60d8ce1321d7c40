"""Embedding: layouts, groups, losses against plain formulas without false negatives, what methods may train."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.tiny import make_tiny_trunk
from tunesmith import base_models, engine, inference, preparation
from tunesmith.config import resolve_config
from tunesmith.contracts import Encoded, Labels
from tunesmith.errors import DataError, MethodError
from tunesmith.labelled_rows import read_splits
from tunesmith.methods import make_method
from tunesmith.model_loading import load_model
from tunesmith.optimization import build_optimizer
from tunesmith.packing import deal, pack
from tunesmith.tasks import make_task
from tunesmith.tasks.embedding_losses import contrastive_loss, in_batch_loss, labelled_loss, margin_loss
from tunesmith.tasks.embedding_rows import EmbeddingRow, layout_of

PAIR = {"text": "good film", "text_b": "great film"}
TRIPLET = {"text": "good film", "positive": "great film", "negative": "bad meal"}


def rows_of(*rows: dict[str, Any]) -> list[Any]:
    return [EmbeddingRow.model_validate(row) for row in rows]


# --- layouts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        (PAIR, "pairs"),
        ({"text": "a", "positive": "b"}, "pairs"),
        ({**PAIR, "score": 0.5}, "scored_pairs"),
        ({**PAIR, "label": "3.5"}, "scored_pairs"),
        (TRIPLET, "triplets"),
        ({"text": "a", "label": "x"}, "labels"),
        ({"text": "a", "label": 3}, "labels"),
    ],
)
def test_layout_is_seen_from_what_a_row_holds(row: dict[str, Any], layout: str) -> None:
    assert layout_of(rows_of(row)[0]) == layout


@pytest.mark.parametrize("row", [{"text": "alone"}, {**PAIR, "label": "entailment"}])
def test_rows_that_say_nothing_are_refused_with_a_way_out(row: dict[str, Any]) -> None:
    with pytest.raises(DataError) as caught:
        layout_of(rows_of(row)[0])
    assert caught.value.fix
    task = make_task("embedding", {"kind": "pairs"})
    if "text_b" in row:
        assert task.labels(rows_of(row, row)).kind == "pairs"


def test_a_row_of_another_layout_is_bad_and_its_line_is_named() -> None:
    config = resolve_config({"task": {"name": "embedding"}, "model": {"name": "unused"}})
    rows = [{**PAIR, "score": score} for score in (1.0, 2.0, 3.0)] + [PAIR]
    with pytest.raises(DataError, match=r"line 4.*layout pairs.*wanted scored_pairs"):
        read_splits(config, make_task("embedding", {}), rows, rows)


def test_scores_become_cosines() -> None:
    task = make_task("embedding", {})
    found = task.labels(rows_of(*({**PAIR, "score": score} for score in (1.0, 3.0, 5.0))))
    assert (found.kind, found.statistics["low"], found.statistics["high"]) == ("scored_pairs", 1.0, 5.0)
    small = task.labels(rows_of(*({**PAIR, "score": score} for score in (-0.2, 0.9))))
    assert (small.statistics["low"], small.statistics["high"]) == (0.0, 1.0), "they are cosines already"
    with pytest.raises(DataError, match="all scores are 1"):
        task.labels(rows_of({**PAIR, "score": 1}, {**PAIR, "score": 1}))


def test_labels_of_which_none_stands_twice_are_refused() -> None:
    with pytest.raises(DataError, match="no two rows have the same label"):
        make_task("embedding", {}).labels(rows_of({"text": "a", "label": "1"}, {"text": "b", "label": "2"}))


# --- groups ----------------------------------------------------------------------------------------------


def item(row: int, *texts: list[int], target: Any = True) -> Encoded:
    return Encoded(sequences=texts, target=target, row=row)


@pytest.mark.parametrize("count", [1, 2, 31, 33, 47, 100])
def test_groups_are_of_about_one_size_and_hold_every_item_once(count: int) -> None:
    items = [item(row, [row, 1], [row, 2]) for row in range(count)]
    groups = make_task("embedding", {"group_size": 32}).groups(items)
    assert sorted(place for group in groups for place in group) == list(range(count))
    sizes = [len(group) for group in groups]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 48


def test_items_that_are_not_compared_stand_alone() -> None:
    task = make_task("embedding", {})
    items = [item(0, [1], target=None), item(1, [1], [2], target=0.5), item(2, [1], [2], [3])]
    assert task.groups(items) == [[0], [1], [2]]
    assert make_task("embedding", {"triplet_loss": "in_batch"}).groups(items[2:] * 2) in ([[0, 1]], [[1, 0]])


def test_dealing_depends_on_seed_and_epoch_alone() -> None:
    sizes = [4, 4, 3]
    dealt = [deal(sizes, seed=1, epoch=epoch) for epoch in (0, 1, 0)]
    assert dealt[0] == dealt[2] != dealt[1]
    assert deal(sizes, seed=2, epoch=0) != dealt[0]
    assert all(sorted(place for group in one for place in group) == list(range(11)) for one in dealt)


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_trunk(tmp_path_factory.mktemp("embedding") / "bert")


THINGS = ("film", "book", "meal", "phone", "hotel", "service", "story", "song")
PAIRS = [
    {"text": f"the {thing} was {word}", "text_b": f"{word} and {word} {thing}"}
    for thing in THINGS
    for word in ("good", "bad")
]


def make_setup(trunk: Path, rows: list[dict[str, Any]], *settings: str) -> preparation.Setup:
    base = {
        "model": {"name": str(trunk), "dropout": 0},
        "task": {"name": "embedding", "group_size": 4},
        "train": {"precision": "fp32", "device": "cpu", "batch_size": 8, "epochs": 3, "learning_rate": 1e-3},
    }
    config = resolve_config(base, settings=settings)
    task, method = preparation.make_parts(config)
    return preparation.prepare(config, read_splits(config, task, rows, rows), task, method)


class Recorder:
    """A task that notes the rows of each group that the engine gives to its loss."""

    def __init__(self, task: Any) -> None:
        self.task = task
        self.seen: list[frozenset[int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def loss(self, outputs: Any, batch: Any, labels: Labels) -> Any:
        start = 0
        for size in batch.group_sizes:
            self.seen.append(frozenset(one.row for one in batch.items[start : start + size]))
            start += size
        return self.task.loss(outputs, batch, labels)


def groups_of_a_run(setup: preparation.Setup, micro_batch_tokens: int) -> list[frozenset[int]]:
    recorder = Recorder(setup.task)
    job = engine.Job(
        setup.model, recorder, setup.labels, setup.groups, setup.schedule, setup.config.train, regroup=True
    )  # fmt: skip
    list(engine.steps(job, build_optimizer(setup.model, setup.config.train, 1e-3), 0, micro_batch_tokens))
    return recorder.seen


def test_groups_are_never_split_and_are_dealt_anew_in_each_epoch(trunk: Path) -> None:
    whole = groups_of_a_run(make_setup(trunk, PAIRS), 8192)
    split = groups_of_a_run(make_setup(trunk, PAIRS), 1)
    assert whole == split, "one token a pass, and still no group is split"
    assert [len(group) for group in whole] == [4] * 12
    epochs = [set(whole[start : start + 4]) for start in (0, 4, 8)]
    assert all(frozenset.union(*epoch) == set(range(16)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_step_has_batch_size_rows_whatever_the_groups(trunk: Path) -> None:
    assert make_setup(trunk, PAIRS, "train.batch_size=8").schedule.steps_in_epochs[0] == 2
    assert make_setup(trunk, PAIRS, "train.batch_size=2").schedule.steps_in_epochs[0] == 4, "one group at least"


def uneven_pairs() -> list[dict[str, Any]]:
    return [{"text": f"film {'good ' * (place % 13)}", "text_b": f"book {'bad ' * (place % 3)}"} for place in range(36)]


def uneven_labels() -> list[dict[str, Any]]:
    return [{"text": f"film {'good ' * (place % 11)}", "label": f"l{place % 3}"} for place in range(36)]


@pytest.mark.parametrize("rows", [uneven_pairs(), uneven_labels()], ids=["pairs", "labels"])
def test_a_budget_of_tokens_holds_for_the_groups_of_each_epoch(trunk: Path, rows: list[dict[str, Any]]) -> None:
    budget = 130
    setup = make_setup(trunk, rows, f"train.batch_tokens={budget}", "task.group_size=3", "train.epochs=4")
    reports = steps_of(setup, 0)
    assert len(reports) == setup.schedule.total_steps == sum(setup.schedule.steps_in_epochs)
    assert max(report.tokens for report in reports) <= budget
    assert sum(report.tokens for report in reports) > 0.6 * budget * len(reports), "and is used"
    again = make_setup(trunk, rows, f"train.batch_tokens={budget}", "task.group_size=3", "train.epochs=4")
    half = len(reports) // 2
    taken_up = steps_of(again, 0, half) + steps_of(again, half)
    assert [(one.step, one.epoch, one.tokens, one.loss) for one in taken_up] == [
        (one.step, one.epoch, one.tokens, one.loss) for one in reports
    ]


def steps_of(setup: preparation.Setup, start: int, end: int | None = None) -> list[Any]:
    """Plain gradient descent, which has no memory that would have to be stored."""
    job = engine.Job(
        setup.model, setup.task, setup.labels, setup.groups, setup.schedule, setup.config.train, regroup=True
    )  # fmt: skip
    optimizer = torch.optim.SGD(setup.model.parameters(), 1e-3)
    for group in optimizer.param_groups:
        group["peak"] = 1e-3
    return list(itertools.islice(engine.steps(job, optimizer, start), None if end is None else end - start))


# --- losses ----------------------------------------------------------------------------------------------


def unit(count: int, width: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_in_batch_loss_is_cross_entropy_over_the_group() -> None:
    anchors, partners = unit(5), unit(5, seed=1)
    items = [item(row, [row], [100 + row]) for row in range(5)]
    vectors = list(torch.stack([anchors, partners], dim=1))
    scores = functional.cosine_similarity(anchors[:, None], partners[None], dim=-1) / 0.05
    wanted = functional.cross_entropy(scores, torch.arange(5), reduction="sum")
    torch.testing.assert_close(in_batch_loss(vectors, items, 0.05), wanted)


def test_hard_negatives_of_all_rows_are_candidates() -> None:
    three = unit(12).reshape(4, 3, 8)
    items = [item(row, [row], [100 + row], [200 + row]) for row in range(4)]
    scores = functional.cosine_similarity(three[:, None, 0], torch.cat([three[:, 1], three[:, 2]])[None], dim=-1) / 0.1
    wanted = functional.cross_entropy(scores, torch.arange(4), reduction="sum")
    torch.testing.assert_close(in_batch_loss(list(three), items, 0.1), wanted)


@pytest.mark.parametrize(
    ("asked", "partners"),
    [
        ([1, 1, 2], [11, 12, 13]),  # two answers to one question
        ([1, 2, 3], [11, 11, 13]),  # one answer to two questions
        ([1, 2, 3], [2, 12, 13]),  # what belongs to one is what another asks
    ],
)
def test_no_text_is_pushed_away_from_what_it_belongs_to(asked: list[int], partners: list[int]) -> None:
    anchors, others = unit(3), unit(3, seed=1)
    items = [item(row, [asked[row]], [partners[row]]) for row in range(3)]
    costs = []
    for row in range(3):
        known = {partners[other] for other in range(3) if asked[other] == asked[row]} | {asked[row]}
        kept = [other for other in range(3) if other == row or partners[other] not in known]
        scores = functional.cosine_similarity(anchors[row], others[kept], dim=-1) / 0.05
        costs.append(functional.cross_entropy(scores, torch.tensor(kept.index(row))))
    found = in_batch_loss(list(torch.stack([anchors, others], dim=1)), items, 0.05)
    torch.testing.assert_close(found, torch.stack(costs).sum())


def test_partners_in_rows_of_other_groups_are_no_wrong_answers(trunk: Path) -> None:
    rows = [{"text": a, "text_b": b} for a, b in (("good film", "a"), ("good film", "b"), ("bad meal", "b"))]
    first, second, third = make_setup(trunk, [{**row, "text_b": f"{row['text_b']} song"} for row in rows]).train_items
    assert first.meta["known"] == second.meta["known"] == {tuple(one.sequences[1]) for one in (first, second)}
    vectors = [unit(2, seed=seed) for seed in (0, 1)]
    found = in_batch_loss(vectors, [first, third], 0.05)
    scores = functional.cosine_similarity(vectors[1][0], torch.stack([vectors[0][1], vectors[1][1]]), dim=-1) / 0.05
    alone = functional.cross_entropy(scores, torch.tensor(1))  # of the first only its own partner is left
    torch.testing.assert_close(found, alone)


def test_supervised_contrastive_is_the_formula_of_the_paper() -> None:
    vectors, labels = unit(6), ["a", "b", "a", "c", "b", "a"]
    items = [item(row, [row], target=label) for row, label in enumerate(labels)]
    normal, total = functional.normalize(vectors, dim=-1), 0.0
    for i in range(6):
        others = [p for p in range(6) if p != i]
        positives = [p for p in others if labels[p] == labels[i]]
        below = sum(math.exp(float(normal[i] @ normal[a]) / 0.1) for a in others)
        terms = [math.log(math.exp(float(normal[i] @ normal[p]) / 0.1) / below) for p in positives]
        total -= sum(terms) / len(positives) if positives else 0.0
    found = labelled_loss([vector[None] for vector in vectors], items, 0.1)
    assert float(found) == pytest.approx(total, rel=1e-5)


def test_the_same_text_under_two_labels_is_not_pushed_from_itself() -> None:
    vectors = [vector[None] for vector in unit(4)]
    items = [item(0, [7], target="a"), item(1, [8], target="a"), item(2, [7], target="b"), item(3, [9], target="b")]
    alone = labelled_loss(vectors[:2] + vectors[3:], items[:2] + items[3:], 0.1)
    both = labelled_loss(vectors, items, 0.1)
    every = torch.cat(vectors)
    scores = functional.cosine_similarity(every[0], every[[1, 3]], dim=-1) / 0.1
    first = functional.cross_entropy(scores, torch.tensor(0))
    ignored = torch.eye(4, dtype=torch.bool)
    ignored[0, 2] = ignored[2, 0] = True
    positive = torch.tensor([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=torch.bool)
    costs = contrastive_loss(every, every, positive, ignored, 0.1)
    torch.testing.assert_close(costs[0], first)
    torch.testing.assert_close(costs.sum(), both)
    assert float(alone) != float(both)


def test_margin_loss_is_zero_where_the_margin_is_kept() -> None:
    anchors = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    near, far = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    assert margin_loss(anchors, near, far, 0.2).tolist() == pytest.approx([0.0, 1.2])


def test_a_group_without_negatives_costs_nothing_and_has_a_gradient() -> None:
    vectors = unit(2).reshape(1, 2, 8).requires_grad_()
    in_batch_loss(list(vectors), [item(0, [1], [2])], 0.05).backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(vectors.grad).all()  # type: ignore[arg-type]
    lonely = unit(3).requires_grad_()
    items = [item(row, [row], target=str(row)) for row in range(3)]
    loss = labelled_loss([vector[None] for vector in lonely], items, 0.05)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0.0
    assert torch.isfinite(lonely.grad).all()  # type: ignore[arg-type]


def test_scored_pairs_learn_their_score_as_a_cosine(trunk: Path) -> None:
    scores = [row / 3 for row in range(len(PAIRS))]
    setup = make_setup(trunk, [{**row, "score": score} for row, score in zip(PAIRS, scores, strict=True)])
    setup.model.eval()
    batch = pack([[one] for one in setup.train_items])
    outputs = setup.task.forward(setup.model, batch)
    loss, units = setup.task.loss(outputs, batch, setup.labels)
    both = outputs["vectors"].reshape(len(PAIRS), 2, -1)
    cosines = functional.cosine_similarity(both[:, 0], both[:, 1], dim=-1)
    wanted = (cosines - torch.tensor(scores) / max(scores)).square().sum()
    torch.testing.assert_close(loss, wanted)
    assert units == len(PAIRS)
    assert setup.task.groups(setup.train_items) == [[place] for place in range(len(PAIRS))]


def test_partners_are_drawn_from_the_label_and_from_the_generator_alone(trunk: Path) -> None:
    rows = [{"text": row["text"], "label": row["text"].split()[-1]} for row in PAIRS] + [{"text": "song", "label": "x"}]
    setup = make_setup(trunk, rows)
    of_label: dict[str, set[tuple[int, ...]]] = {}
    for one in setup.train_items:
        of_label.setdefault(one.target, set()).add(tuple(one.sequences[0]))
    for one in setup.train_items:
        first, second = (setup.task.corrupt(one, random.Random(seed)) for seed in ("same", "same"))
        assert first == second
        own, partner = map(tuple, first.sequences)
        assert partner in of_label[one.target]
        assert (partner == own) == (one.target == "x"), "itself only where the label has no other text"
    first = setup.train_items[0]
    drawn = {tuple(setup.task.corrupt(first, random.Random(seed)).sequences[1]) for seed in range(50)}
    assert drawn == of_label["good"] - {tuple(first.sequences[0])}


def test_method_head_has_nothing_to_train(trunk: Path) -> None:
    model = load_model(base_models.resolve(str(trunk)), make_task("embedding", {}).head(Labels((), kind="pairs")))
    assert not model.head_parameters()
    with pytest.raises(MethodError, match="nothing") as caught:
        make_method("head", {}).apply(model)
    assert "--method" in str(caught.value.fix)


# --- answers ---------------------------------------------------------------------------------------------


def test_pooling_and_length(trunk: Path) -> None:
    rows = rows_of({"text": "the good film"}, {"text": "bad"})
    found = {}
    for pooling in ("mean", "first", "last"):
        task = make_task("embedding", {"pooling": pooling, "normalize": pooling == "last"})
        labels = Labels((), kind="pairs")
        model = load_model(base_models.resolve(str(trunk)), task.head(labels))
        found[pooling] = [np.asarray(p.vector) for p in inference.predict_rows(model, task, rows, labels)]
        ids = model.tokenizer("the good film", return_tensors="pt")
        model.set_packed(False)
        model.eval()
        with torch.no_grad():
            states = model.hf(**ids).last_hidden_state[0].numpy()
        wanted = {"mean": states.mean(0), "first": states[0], "last": states[-1] / np.linalg.norm(states[-1])}[pooling]
        np.testing.assert_allclose(found[pooling][0], wanted, atol=1e-5)
    assert np.linalg.norm(found["last"][0]) == pytest.approx(1.0, abs=1e-6)
