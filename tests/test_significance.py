"""P-values are exact where that can be checked, the same whichever system comes first, and right in the long run."""

import doctest
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.test_intervals import Spelling, accuracy, numbers, rank_correlation, rows_of
from tunesmith.contracts import Labels
from tunesmith.errors import ConfigError, DataError
from tunesmith.evaluation import paired, scoring, seeds, significance
from tunesmith.metrics import classification_counts, classification_scores, p_values, sum_counts

CLASSES = ("a", "b", "c")


def macro_f1(counts: Mapping[str, float]) -> dict[str, float]:
    return {"macro_f1": classification_scores(counts, CLASSES)["macro_f1"]}


def make_systems(rows: int, seed: int, right: tuple[float, float] = (0.7, 0.7)) -> list[list[dict[str, float]]]:
    """Tallies of two systems that each answer a share of the rows rightly."""
    generator = np.random.default_rng(seed)
    gold = generator.choice(3, size=rows, p=[0.6, 0.3, 0.1])
    found = []
    for share in right:
        answers = np.where(generator.random(rows) < share, gold, generator.integers(3, size=rows))
        pairs = zip(answers, gold, strict=True)
        found.append([classification_counts(CLASSES[p], CLASSES[g]) for p, g in pairs])
    return found


@pytest.mark.parametrize("module", [significance, p_values])
def test_examples_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (0, 1), (3, 3), (1, 6), (25, 12), (400, 470)])
def test_mcnemar_is_the_binomial_test(lost: int, won: int) -> None:
    found = significance.mcnemar(lost, won)
    assert found == significance.mcnemar(won, lost)
    exact = binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert found.exact == pytest.approx(exact)
    seen = math.comb(lost + won, lost) / 2 ** (lost + won)
    mid = 1.0 if lost == won else exact - seen
    assert found.mid == pytest.approx(mid)


@pytest.mark.parametrize("rows", [6, 9])
def test_few_rows_are_swapped_in_every_way(rows: int) -> None:
    before, after = make_systems(rows, seed=rows, right=(0.2, 0.8))
    seen = abs(macro_f1(sum_counts(after))["macro_f1"] - macro_f1(sum_counts(before))["macro_f1"])
    reached = 0
    for swaps in itertools.product((False, True), repeat=rows):
        first = [a if swap else b for b, a, swap in zip(before, after, swaps, strict=True)]
        second = [b if swap else a for b, a, swap in zip(before, after, swaps, strict=True)]
        gain = macro_f1(sum_counts(second))["macro_f1"] - macro_f1(sum_counts(first))["macro_f1"]
        reached += abs(gain) >= seen - 1e-12
    found = significance.randomise(before, after, macro_f1)
    assert found.is_complete
    assert found.p["macro_f1"] == pytest.approx(reached / 2**rows)


def test_randomisation_of_a_share_of_rows_is_the_exact_mcnemar_test() -> None:
    rows = [True] * 40 + [False] * 60
    other = [False] * 12 + [True] * 28 + [True] * 27 + [False] * 33
    found = significance.randomise(rows_of(rows), rows_of(other), accuracy, shuffles=40_000)
    assert not found.is_complete
    assert found.p["accuracy"] == pytest.approx(significance.mcnemar(12, 27).exact, rel=0.1)


@pytest.mark.parametrize("rows", [10, 400])
def test_exchanging_the_systems_changes_nothing_but_the_sign(rows: int) -> None:
    before, after = make_systems(rows, seed=3)
    one, other = (significance.randomise(*pair, macro_f1, shuffles=500) for pair in ((before, after), (after, before)))
    assert one == other
    predictions, golds = numbers(rows)
    second = [value + 0.5 * (-1) ** place for place, value in enumerate(predictions)]
    pairs = (predictions, second), (second, predictions)
    one, other = (significance.randomise_rows(pair, golds, rank_correlation, shuffles=200) for pair in pairs)
    assert one == other


def test_a_system_and_itself_have_p_one() -> None:
    rows = make_systems(30, seed=1)[0]
    assert significance.randomise(rows, rows, macro_f1).p == {"macro_f1": 1.0}
    predictions, golds = numbers(30)
    assert significance.randomise_rows((predictions, predictions), golds, rank_correlation).p == {"spearman": 1.0}


def test_rank_correlations_are_swapped_row_by_row() -> None:
    golds = list(range(8))
    good, poor = [0, 1, 2, 3, 4, 5, 7, 6], [3, 0, 1, 2, 6, 4, 5, 7]
    seen = abs(rank_correlation(good, golds)["spearman"] - rank_correlation(poor, golds)["spearman"])
    reached = total = 0
    for swaps in itertools.product((False, True), repeat=8):
        sides = [[p if s != t else g for p, g, s in zip(poor, good, swaps, strict=True)] for t in (False, True)]
        gain = rank_correlation(sides[0], golds)["spearman"] - rank_correlation(sides[1], golds)["spearman"]
        reached, total = reached + (abs(gain) >= seen - 1e-12), total + 1
    found = significance.randomise_rows((poor, good), golds, rank_correlation)
    assert found.p["spearman"] == pytest.approx(reached / total)


def test_equal_systems_are_seldom_told_apart_and_unequal_ones_are() -> None:
    draws = 300
    alarms = sum(
        significance.randomise(*make_systems(120, seed), macro_f1, shuffles=199, seed=seed).p["macro_f1"] < 0.05
        for seed in range(draws)
    )
    assert 0.02 <= alarms / draws <= 0.085
    unequal = make_systems(300, seed=2, right=(0.5, 0.8))
    assert significance.randomise(*unequal, macro_f1, shuffles=2000).p["macro_f1"] == pytest.approx(1 / 2001)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(DataError, match="2 rows on one side and 1"):
        significance.randomise(rows_of([True, True]), rows_of([True]), accuracy)
    with pytest.raises(DataError, match="2 rows on one side and 1"):
        significance.randomise_rows(([0.1, 0.2], [0.1]), [0.1, 0.2], rank_correlation)
    with pytest.raises(ConfigError, match="shuffles is 0"):
        significance.randomise(rows_of([True]), rows_of([False]), accuracy, shuffles=0)


# Through the task


def judge(task: Any, predictions: Sequence[Any], golds: Sequence[Any]) -> scoring.Evaluation:
    return scoring.score_predictions(task, predictions, golds, LABELS, resamples=50)


LABELS = Labels(("1", "2", "3"))
GOLDS = [1, 2, 3] * 20


@pytest.mark.parametrize(("headline", "test"), [("accuracy", "mcnemar_mid_p"), ("spearman", "randomisation")])
def test_the_score_decides_which_test_is_made(headline: str, test: str) -> None:
    task: Any = Spelling(headline)
    good, poor = judge(task, [1, 2, 3] * 19 + [1, 3, 2], GOLDS), judge(task, [1, 1, 2] * 20, GOLDS)
    settings = {"resamples": 200, "shuffles": 200}
    gain, loss = (paired.difference(*pair, task, LABELS, **settings) for pair in ((poor, good), (good, poor)))
    assert gain.test == test
    assert gain.p < 0.01
    assert gain.p == loss.p
    assert gain.value == -loss.value
    assert (gain.low, gain.high) == pytest.approx((-loss.high, -loss.low))
    assert set(gain.to_json()) == {"value", "low", "high", "n", "p", "test"}
    same = paired.difference(good, good, task, LABELS, **settings)
    assert (same.value, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)


def test_mcnemar_counts_the_rows_that_one_system_alone_gets_right() -> None:
    task: Any = Spelling("accuracy")
    before, after = judge(task, [1, 2, 1] * 20, GOLDS), judge(task, [1, 1, 3] * 20, GOLDS)
    found = paired.difference(before, after, task, LABELS)
    assert (found.facts["only_before"], found.facts["only_after"]) == (20, 20)
    assert found.facts["p_exact"] == 1.0
    changes = paired.find_changes([before], [after], task, LABELS)
    assert changes.fixed == tuple(range(2, 60, 3))
    assert changes.broken == tuple(range(1, 60, 3))
    assert changes.better == changes.worse == ()


def test_other_rows_and_unknown_scores_are_refused() -> None:
    task: Any = Spelling("accuracy")
    first, second = judge(task, [1, 2], [1, 2]), judge(task, [1, 2], [2, 1])
    for ask in (paired.difference, paired.score_differences):
        with pytest.raises(DataError, match="same right answers"):
            ask(first, second, task, LABELS)
    with pytest.raises(DataError, match="same right answers"):
        paired.find_changes([first], [second], task, LABELS)
    with pytest.raises(DataError, match="same right answers"):
        seeds.seeds_difference([first], [first, second], task, LABELS)
    with pytest.raises(ConfigError, match="did you mean 'accuracy'"):
        paired.difference(first, first, task, LABELS, metric="acuracy")


# Several seeds


def make_runs(task: Any, shares: Sequence[float], generator: np.random.Generator) -> list[scoring.Evaluation]:
    """Runs that each get their share of the rows right, which rows is their own luck."""
    right = [generator.random(len(GOLDS)) < share for share in shares]
    return [judge(task, [g if hit else 0 for g, hit in zip(GOLDS, row, strict=True)], GOLDS) for row in right]


def test_several_seeds_have_a_wider_interval_than_the_rows_alone() -> None:
    task: Any = Spelling("accuracy")
    generator = np.random.default_rng(0)
    steady, shaky = (make_runs(task, shares, generator) for shares in ((0.8, 0.8, 0.8), (0.5, 0.75, 0.95)))
    found = seeds.seeds_difference(steady, shaky, task, LABELS, resamples=300)
    back = seeds.seeds_difference(shaky, steady, task, LABELS, resamples=300)
    mean = [sum(run.value for run in runs) / 3 for runs in (steady, shaky)]
    assert found.value == pytest.approx(mean[1] - mean[0])
    assert (back.value, back.low, back.p) == pytest.approx((-found.value, -found.high, found.p))
    assert found.low < 0 < found.high
    assert found.p > 0.05
    assert found.facts["seeds_error"] > found.facts["rows_error"]
    assert 1.9 < found.facts["degrees_of_freedom"] < 5
    assert found.high - found.low > 2 * 2.5 * found.facts["seeds_error"]


def test_a_clear_difference_is_found_across_seeds_and_for_rank_correlations_too() -> None:
    generator = np.random.default_rng(1)
    for headline in ("accuracy", "spearman"):
        task: Any = Spelling(headline)
        poor, good = (make_runs(task, shares, generator) for shares in ((0.4, 0.45, 0.5), (0.9, 0.95, 0.93)))
        found = seeds.seeds_difference(poor, good, task, LABELS, resamples=200)
        assert found.test == "seeds_t"
        assert found.p < 0.05
        assert found.low > 0


def test_runs_that_are_the_same_do_not_differ() -> None:
    task: Any = Spelling("accuracy")
    run = judge(task, [1, 2, 2] * 20, GOLDS)
    found = seeds.seeds_difference([run, run], [run, run], task, LABELS, resamples=50)
    assert (found.value, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)
    with pytest.raises(DataError, match="1 runs and 1"):
        seeds.seeds_difference([run], [run], task, LABELS)


def test_false_alarms_across_seeds_stay_below_what_is_said() -> None:
    task: Any = Spelling("accuracy")
    generator, draws, alarms = np.random.default_rng(5), 150, 0
    for draw in range(draws):
        sides = [make_runs(task, generator.normal(0.75, 0.05, size=3).clip(0, 1), generator) for _ in range(2)]
        alarms += seeds.seeds_difference(*sides, task, LABELS, resamples=60, seed=draw).p < 0.05
    assert alarms / draws <= 0.09


def test_p_is_never_shown_as_the_border_it_is_below() -> None:
    shown = {p: p_values.format_p(p) for p in (0.04999, 0.05, 0.0495, 1.0)}
    assert shown == {0.04999: "p = 0.0499", 0.05: "p = 0.050", 0.0495: "p = 0.0495", 1.0: "p = 1.000"}
