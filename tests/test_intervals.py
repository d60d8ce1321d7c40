"""Bootstrap intervals cover what they promise, and comparing two systems is paired."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from tunesmith.contracts import Labels
from tunesmith.errors import ConfigError, DataError
from tunesmith.evaluation import paired, scoring
from tunesmith.evaluation.intervals import (
    bootstrap_intervals,
    bootstrap_rows,
    paired_difference,
    paired_difference_rows,
)
from tunesmith.metrics import classification_counts, number_counts, number_scores, spearman, sum_counts


def accuracy(counts) -> dict[str, float]:
    return {"accuracy": counts["correct"] / counts["rows"]}


def rows_of(correct: Sequence[bool]) -> list[dict[str, float]]:
    return [{"rows": 1.0, "correct": float(right)} for right in correct]


def rank_correlation(predictions: Sequence[float], golds: Sequence[float]) -> dict[str, float]:
    return {"spearman": spearman(predictions, golds)}


def numbers(rows: int) -> tuple[list[float], list[float]]:
    rng = np.random.default_rng(4)
    golds = rng.normal(size=rows)
    return (golds + rng.normal(size=rows)).tolist(), golds.tolist()


def test_interval_covers_the_true_accuracy_as_often_as_it_says() -> None:
    rng, truth, covered = np.random.default_rng(0), 0.8, 0
    for seed in range(300):
        found = bootstrap_intervals(rows_of(rng.random(200) < truth), accuracy, resamples=400, seed=seed)
        covered += found["accuracy"].low <= truth <= found["accuracy"].high
    assert 0.91 <= covered / 300 <= 0.98


@pytest.mark.parametrize("decimals", [0, 12])
def test_resampled_sums_are_resampled_rows(decimals: int) -> None:
    """With few different rows (drawn as a multinomial) and with many (counted draws of indices)."""
    predictions, golds = ([round(x / 4, decimals) for x in side] for side in numbers(150))
    rows = [number_counts(p, g) for p, g in zip(predictions, golds, strict=True)]
    merged = bootstrap_intervals(rows, number_scores, resamples=2000)

    def by_rows(p: Sequence[float], g: Sequence[float]) -> dict[str, float]:
        return number_scores(sum_counts(number_counts(a, b) for a, b in zip(p, g, strict=True)))

    plain = bootstrap_rows(predictions, golds, by_rows, resamples=500, seed=1)
    for name, interval in plain.items():
        width = interval.high - interval.low
        assert merged[name].value == pytest.approx(interval.value)
        assert merged[name].low == pytest.approx(interval.low, abs=0.15 * width), name
        assert merged[name].high == pytest.approx(interval.high, abs=0.15 * width), name


def test_spread_is_that_of_the_binomial() -> None:
    """The standard error of an accuracy is sqrt(p (1 - p) / n); 95 % are 1.96 of them to either side."""
    rows = rows_of([i % 5 != 0 for i in range(1000)])
    standard_error = math.sqrt(0.8 * 0.2 / 1000)
    found = bootstrap_intervals(rows, accuracy, resamples=4000)["accuracy"]
    assert (found.n, found.value) == (1000, 0.8)
    assert found.high - found.low == pytest.approx(2 * 1.96 * standard_error, rel=0.06)
    half = bootstrap_intervals(rows, accuracy, resamples=4000, level=0.5)["accuracy"]
    assert half.high - half.low == pytest.approx(2 * 0.6745 * standard_error, rel=0.1)


def test_same_seed_same_interval() -> None:
    rows = rows_of([i % 3 == 0 for i in range(90)])
    assert bootstrap_intervals(rows, accuracy, seed=1) == bootstrap_intervals(rows, accuracy, seed=1)
    predictions, golds = numbers(60)
    first, same, other = (
        bootstrap_rows(predictions, golds, rank_correlation, resamples=100, seed=seed) for seed in (1, 1, 2)
    )
    assert first == same != other


def test_pairing_cancels_what_both_systems_get_wrong() -> None:
    rng = np.random.default_rng(2)
    hard = rng.random(400)
    before, after = rows_of(hard < 0.80), rows_of((hard < 0.84) & (rng.random(400) < 0.99))
    gain = paired_difference(before, after, accuracy)["accuracy"]
    apart = [bootstrap_intervals(rows, accuracy)["accuracy"] for rows in (before, after)]
    assert gain.value == pytest.approx(apart[1].value - apart[0].value)
    unpaired = math.hypot(*(interval.high - interval.low for interval in apart))
    assert gain.high - gain.low < 0.6 * unpaired
    assert gain.low > 0 > apart[1].low - apart[0].high  # only the paired one tells that the second is better


def test_a_system_does_not_differ_from_itself() -> None:
    predictions, golds = numbers(50)
    rows = [number_counts(p, g) for p, g in zip(predictions, golds, strict=True)]
    assert {(i.low, i.high) for i in paired_difference(rows, rows, number_scores).values()} == {(0.0, 0.0)}
    gain = paired_difference_rows((predictions, predictions), golds, rank_correlation, resamples=50)
    assert (gain["spearman"].low, gain["spearman"].high) == (0.0, 0.0)


def test_drawn_sets_without_a_finite_score_are_left_out() -> None:
    def ratio(counts) -> dict[str, float]:
        return {"ratio": counts["correct"] / counts["rows"] if counts["correct"] else math.nan}

    found = bootstrap_intervals(rows_of([True, False, False]), ratio, resamples=200)["ratio"]
    assert found.value == pytest.approx(1 / 3)
    assert found.low == pytest.approx(1 / 3)
    assert found.high <= 1.0


def test_a_set_that_cannot_be_resampled_is_refused() -> None:
    with pytest.raises(DataError, match="no row"):
        bootstrap_intervals([], accuracy)
    with pytest.raises(DataError, match="2 rows on one side and 1"):
        paired_difference(rows_of([True, True]), rows_of([True]), accuracy)
    with pytest.raises(DataError, match="1 rows on one side and 2"):
        paired_difference_rows(([0.1], [0.1, 0.2]), [0.1, 0.2], rank_correlation)
    with pytest.raises(ConfigError, match="resamples is 0"):
        bootstrap_intervals(rows_of([True]), accuracy, resamples=0)
    with pytest.raises(ConfigError, match=r"1\.5"):
        bootstrap_intervals(rows_of([True]), accuracy, level=1.5)


class Spelling:
    """The part of a Task that judging needs; its headline is a sum or a rank correlation."""

    def __init__(self, headline: str) -> None:
        self.wanted = headline

    def headline(self, labels):
        return self.wanted

    def tally(self, prediction, gold, labels):
        return classification_counts(str(prediction), str(gold))

    def score(self, counts, labels):
        return accuracy(counts)

    def score_rows(self, predictions, golds, labels):
        return rank_correlation(predictions, golds) if self.wanted == "spearman" else {}

    def tables(self, counts, labels):
        return {"per_class": {name: {"support": counts.get(f"gold:{name}", 0.0)} for name in labels.names}}

    def confusion(self, predictions, golds, labels):
        return None if self.wanted == "spearman" else [[len(golds)]]


@pytest.mark.parametrize("headline", ["accuracy", "spearman"])
def test_evaluation_goes_through_the_task(headline: str) -> None:
    task, labels = Spelling(headline), Labels(("1", "2", "3"))
    golds = [1, 2, 3] * 20
    good = scoring.score_predictions(task, [1, 2, 3] * 19 + [1, 3, 2], golds, labels, resamples=100)
    poor = scoring.score_predictions(task, [1, 1, 2] * 20, golds, labels, resamples=100)
    assert good.value > poor.value
    gain = paired.difference(poor, good, task, labels, resamples=100)
    assert gain.value == pytest.approx(good.value - poor.value)
    assert gain.low > 0
    written = scoring.to_json(good, {"majority": poor}, 1.5)
    assert written["headline"] == headline
    assert set(written["scores"][headline]) == {"value", "low", "high", "n"}
    assert written["baselines"]["majority"][headline]["value"] == poor.value
    assert written["per_class"]["1"] == {"support": 20.0}
    shown = {"labels": ["1", "2", "3"], "matrix": [[60]]}
    assert written["confusion"] == (None if headline == "spearman" else shown)


def test_only_the_same_rows_can_be_compared() -> None:
    task, labels = Spelling("accuracy"), Labels(("1", "2"))
    first = scoring.score_predictions(task, [1, 2], [1, 2], labels)
    second = scoring.score_predictions(task, [1, 2], [2, 1], labels)
    with pytest.raises(DataError, match="same right answers"):
        paired.difference(first, second, task, labels)
    with pytest.raises(DataError, match="1 predictions and 2"):
        scoring.score_predictions(task, [1], [1, 2], labels)
