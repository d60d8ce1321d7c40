"""Scores of embedding on cases done by hand: what is searched, what counts once, what an interval draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tunesmith import metrics
from tunesmith.errors import DataError
from tunesmith.evaluation.paired import difference, score_differences
from tunesmith.evaluation.scoring import score_predictions, to_json
from tunesmith.evaluation.seeds import seeds_differences
from tunesmith.metrics import Found
from tunesmith.tasks import make_task
from tunesmith.tasks.embedding_rows import EmbeddingPrediction, EmbeddingRow, cosine

PAIR = {"text": "good film", "text_b": "great film"}


def rows_of(*rows: dict[str, Any]) -> list[Any]:
    return [EmbeddingRow.model_validate(row) for row in rows]


def answer(*vectors: list[float]) -> EmbeddingPrediction:
    return EmbeddingPrediction(vectors=vectors)


def at(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


def scores_of(rows: list[Any], predictions: list[Any], **options: Any) -> dict[str, Any]:
    task = make_task("embedding", options)
    labels = task.labels(rows)
    golds = [task.gold(row, labels) for row in rows]
    found = score_predictions(task, predictions, golds, labels, resamples=100)
    return {name: interval.value for name, interval in found.scores.items()} | {"all": found}


def test_pairs_are_searched_among_all_second_texts() -> None:
    """Queries at 0, 40 and 90 degrees, their partners at 10, 5 and 80."""
    rows = rows_of(*({"text": f"q{n}", "text_b": f"a{n}"} for n in range(3)))
    scores = scores_of(rows, [answer(at(0), at(10)), answer(at(40), at(5)), answer(at(90), at(80))])
    # q0: a1 (5) before a0 (10): rank 2. q1: a0 (30), a1 (35), a2 (40): rank 2. q2: a2: rank 1.
    assert scores["recall_at_1"] == pytest.approx(1 / 3)
    assert scores["recall_at_5"] == 1.0
    assert scores["mrr"] == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert scores["ndcg_at_10"] == pytest.approx((2 / math.log2(3) + 1) / 3)


def test_a_text_with_two_partners_finds_either_and_copies_count_once() -> None:
    rows = rows_of(PAIR, {**PAIR, "text_b": "lovely film"}, {"text": "other", "text_b": "great film"})
    near, far = at(0), at(90)
    scores = scores_of(rows, [answer(near, at(1)), answer(near, far), answer(far, at(1))])
    # two candidates: great film (1) and lovely film (90). The first two ask the same: ranks 1 and 2 are both right.
    assert scores["recall_at_1"] == pytest.approx(2 / 3)
    assert scores["ndcg_at_10"] == pytest.approx((1 + 1 + 1 / math.log2(3)) / 3)


def test_labelled_texts_are_searched_among_all_others() -> None:
    """a at 0 and 50 degrees, b at 10 and 20, c alone at 90."""
    rows = rows_of(*({"text": f"t{n}", "label": label} for n, label in enumerate("aabbc")))
    scores = scores_of(rows, [answer(at(degrees)) for degrees in (0, 50, 10, 20, 90)])
    # t0: t2 t3 t1 → 3; t1: t3 (30) t2 (40) c (40) t0 (50) → 4; t2: t0 and t3 equally near, the wrong one first → 2;
    # t3: t2 → 1; t4 has nothing to find and does not count.
    assert scores["recall_at_1"] == pytest.approx(1 / 4)
    assert scores["mrr"] == pytest.approx((1 / 3 + 1 / 4 + 1 / 2 + 1) / 4)
    assert scores["all"].row_counts[4] == {"queries": 0.0}


def lonely_rows(together: int, alone: int) -> tuple[list[Any], list[EmbeddingPrediction]]:
    """Labelled texts, of which the first half of those with partners find them, and texts alone in their label."""
    labels = [*(f"pair {place // 2}" for place in range(together)), *(f"alone {place}" for place in range(alone))]
    rows = rows_of(*({"text": f"t{place}", "label": label} for place, label in enumerate(labels)))
    degrees = [
        *(place // 2 * 1.0 if place < together // 2 else 180 * (place % 2) + place * 0.1 for place in range(together)),
        *(90.0 + place * 0.01 for place in range(alone)),
    ]
    return rows, [answer(at(one)) for one in degrees]


def test_texts_with_nothing_to_find_are_not_among_the_judged() -> None:
    with_them, without = (scores_of(*lonely_rows(20, alone))["all"] for alone in (30, 0))
    assert with_them.n == 50
    assert with_them.judged == tuple(range(20))
    assert with_them.scores["mrr"].n == 20
    assert with_them.scores["recall_at_1"] == without.scores["recall_at_1"], "the same rows are drawn"
    assert to_json(with_them, {}, 0.0)["not_judged"] == 30
    assert "not_judged" not in to_json(without, {}, 0.0)


def test_differences_are_of_the_judged_rows() -> None:
    rows, predictions = lonely_rows(20, 30)
    task = make_task("embedding", {})
    labels = task.labels(rows)
    golds = [task.gold(row, labels) for row in rows]
    blind = [answer(at(0))] * len(rows)
    sides = [score_predictions(task, answers, golds, labels, resamples=100) for answers in (blind, predictions)]
    assert difference(*sides, task, labels, resamples=100, shuffles=100).n == 20
    assert {one.n for one in score_differences(*sides, task, labels, resamples=100).values()} == {20}
    seeds = seeds_differences(sides[:1], [sides[1]] * 2, lambda counts: task.score(counts, labels), resamples=100)
    assert {one.n for one in seeds.values()} == {20}


def test_rows_of_which_none_has_anything_to_find_are_refused() -> None:
    rows = rows_of(*({"text": text, "label": text} for text in "xxyz"))
    task = make_task("embedding", {})
    labels = task.labels(rows)
    golds = [task.gold(row, labels) for row in rows]
    with pytest.raises(DataError, match="none of the 4 rows can be judged: they have no other text of their label"):
        score_predictions(task, [answer(at(0))] * 4, golds, labels)


def test_copies_of_a_labelled_text_are_no_find() -> None:
    rows = rows_of(*({"text": text, "label": "b" if text == "y" else "a"} for text in "xxyz"))
    scores = scores_of(rows, [answer(at(0)), answer(at(0)), answer(at(1)), answer(at(50))])
    # each x finds y before z, z finds y before both x
    assert scores["recall_at_1"] == 0.0
    assert scores["mrr"] == pytest.approx((1 / 2 + 1 / 2 + 1 / 2) / 3)


def test_one_vector_for_all_texts_finds_nothing() -> None:
    rows = rows_of(*({"text": f"q{n}", "text_b": f"a{n}"} for n in range(12)))
    scores = scores_of(rows, [answer(at(3), at(3))] * 12)
    assert (scores["recall_at_1"], scores["recall_at_10"], scores["mrr"]) == (0.0, 0.0, pytest.approx(1 / 12))


def test_triplets_count_which_is_nearer() -> None:
    rows = rows_of(*({"text": f"q{n}", "positive": f"p{n}", "negative": f"n{n}"} for n in range(3)))
    predictions = [answer(at(0), at(10), at(20)), answer(at(0), at(20), at(10)), answer(at(0), at(10), at(10))]
    assert scores_of(rows, predictions)["triplet_accuracy"] == pytest.approx(1 / 3), "equally near is not nearer"


def test_scored_pairs_are_ranked() -> None:
    rows = rows_of(*({"text": f"q{n}", "text_b": f"a{n}", "score": score} for n, score in enumerate((5, 3, 0))))
    scores = scores_of(rows, [answer(at(0), at(10)), answer(at(0), at(40)), answer(at(0), at(70))])
    assert scores["spearman"] == 1.0
    wanted = np.corrcoef([5, 3, 0], np.cos(np.radians([10, 40, 70])))[0, 1]
    assert scores["pearson"] == pytest.approx(wanted)


def test_intervals_draw_queries_and_not_what_is_searched() -> None:
    """Half of the queries are right: the interval is that of a share, since candidates are never drawn."""
    rows = rows_of(*({"text": f"q{n}", "text_b": f"a{n}"} for n in range(64)))
    predictions = [answer(at(n), at(n if n % 2 else n + 90.3)) for n in range(64)]
    task = make_task("embedding", {})
    labels = task.labels(rows)
    golds = [task.gold(row, labels) for row in rows]
    found = score_predictions(task, predictions, golds, labels, resamples=1000).scores["recall_at_1"]
    assert found.value == 0.5
    deviation = math.sqrt(0.25 / 64)
    assert (found.low, found.high) == pytest.approx((0.5 - 1.96 * deviation, 0.5 + 1.96 * deviation), abs=0.03)


def test_ranks_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    queries, candidates = (generator.normal(size=(n, 6)) for n in (40, 50))
    relevant = [generator.choice(50, size=3, replace=False).tolist() for _ in range(40)]
    ignored = [[place] for place in range(40)]
    whole = metrics.rank_candidates(queries, candidates, relevant, ignored)
    monkeypatch.setattr("tunesmith.metrics.retrieval._BLOCK_CELLS", 1)
    singly = metrics.rank_candidates(queries, candidates, relevant, ignored)
    assert [(one.rank, one.ranks, one.nearest) for one in singly] == [
        (one.rank, one.ranks, one.nearest) for one in whole
    ]
    for place, found in enumerate(whole):
        order = [c for c in np.argsort(-(candidates @ queries[place])).tolist() if c != place]
        right = [1 + order.index(c) for c in relevant[place] if c != place]
        assert found.rank == min(right)
        assert list(found.ranks) == sorted(rank for rank in right if rank <= 10)
        assert found.nearest == order[0]


def test_nothing_to_search_is_no_query() -> None:
    alone = metrics.rank_candidates(np.eye(1), np.eye(1), [[0]], [[0]])
    assert alone == [Found(0, (), 0, -1, 0.0)]
    assert metrics.retrieval_scores({"queries": 0.0})["mrr"] == 0.0


def test_an_answer_is_a_vector_or_a_cosine() -> None:
    alone, pair = answer([3.0, 4.0]), answer([3.0, 4.0], [6.0, 8.0])
    assert alone.model_dump(mode="json", exclude_none=True) == {"vector": [3.0, 4.0]}
    assert pair.model_dump(mode="json", exclude_none=True) == {"similarity": 1.0}
    three = answer([1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]).model_dump(mode="json", exclude_none=True)
    assert three == {"similarity": 0.0, "negative_similarity": -1.0}
    schema = EmbeddingPrediction.model_json_schema(mode="serialization")
    assert set(schema["properties"]) == {"vector", "similarity", "negative_similarity"}
    assert cosine([0.0, 0.0], [1.0, 0.0]) == 0.0
