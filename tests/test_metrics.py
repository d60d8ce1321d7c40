"""Scores from counts equal scikit-learn's and SciPy's on random data."""

import random

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from tunesmith import metrics
from tunesmith.errors import DataError

SEEDS = range(6)
ROUNDING = 1e-12


def random_single(seed: int) -> tuple[list[str], list[str], list[str]]:
    """Names, predictions and right answers; with even seeds one class is never right."""
    rng = random.Random(seed)
    names = [f"class {i}" for i in range(rng.randint(2, 7))]
    possible = names[:-1] if seed % 2 == 0 else names
    rows = rng.randint(1, 60)
    gold = [rng.choice(possible) for _ in range(rows)]
    predicted = [g if rng.random() < 0.6 else rng.choice(names[1:]) for g in gold]
    return names, predicted, gold


def random_multi(seed: int) -> tuple[list[str], list[set[str]], list[set[str]]]:
    rng = random.Random(seed)
    names = [f"label {i}" for i in range(rng.randint(2, 6))]
    rows = rng.randint(1, 60)

    def draw(share: float) -> list[set[str]]:
        return [{name for name in names[seed % 2 :] if rng.random() < share} for _ in range(rows)]

    return names, draw(0.3), draw(0.4)


def as_matrix(sets: list[set[str]], names: list[str]) -> np.ndarray:
    return np.array([[name in row for name in names] for row in sets], dtype=int)


def total(predicted: list, gold: list) -> dict[str, float]:
    return metrics.sum_counts(metrics.classification_counts(p, g) for p, g in zip(predicted, gold, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_single_label_scores_are_those_of_scikit_learn(seed: int) -> None:
    names, predicted, gold = random_single(seed)
    scores = metrics.classification_scores(total(predicted, gold), names)
    options = {"labels": names, "zero_division": 0}
    expected = {
        "accuracy": reference.accuracy_score(gold, predicted),
        "macro_f1": reference.f1_score(gold, predicted, average="macro", **options),
        "micro_f1": reference.f1_score(gold, predicted, average="micro", **options),
        "weighted_f1": reference.f1_score(gold, predicted, average="weighted", **options),
        "macro_precision": reference.precision_score(gold, predicted, average="macro", **options),
        "macro_recall": reference.recall_score(gold, predicted, average="macro", **options),
        "matthews": reference.matthews_corrcoef(gold, predicted),
    }
    assert scores == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("seed", SEEDS)
def test_multi_label_scores_are_those_of_scikit_learn(seed: int) -> None:
    names, predicted, gold = random_multi(seed)
    scores = metrics.classification_scores(total(predicted, gold), names, "multi")
    p, g = as_matrix(predicted, names), as_matrix(gold, names)
    expected = {
        "subset_accuracy": reference.accuracy_score(g, p),
        "hamming_loss": reference.hamming_loss(g, p),
        "macro_precision": reference.precision_score(g, p, average="macro", zero_division=0),
        "macro_recall": reference.recall_score(g, p, average="macro", zero_division=0),
    }
    for average in ("macro", "micro", "weighted"):
        expected[f"{average}_f1"] = reference.f1_score(g, p, average=average, zero_division=0)
    assert scores == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("seed", SEEDS)
def test_per_class_table_is_scikit_learns_report(seed: int, kind: str) -> None:
    names, predicted, gold = random_single(seed) if kind == "single" else random_multi(seed)
    table = metrics.per_class_scores(total(predicted, gold), names, kind)
    options = {"output_dict": True, "zero_division": 0}
    if kind == "single":
        expected = reference.classification_report(gold, predicted, labels=names, **options)
    else:
        p, g = as_matrix(predicted, names), as_matrix(gold, names)
        expected = reference.classification_report(g, p, target_names=names, **options)
        del expected["samples avg"]  # not additive over rows
    accuracy = table.pop("accuracy", None)
    if accuracy is not None:
        # scikit-learn says "micro avg" instead when a class of the list never occurs
        micro = expected.pop("micro avg", None) or {"f1-score": expected.pop("accuracy")}
        assert accuracy["f1"] == accuracy["precision"] == accuracy["recall"]
        assert accuracy["f1"] == pytest.approx(micro["f1-score"], abs=ROUNDING)
    assert list(table) == list(expected)
    for name, row in table.items():
        wanted = {key.replace("f1-score", "f1"): value for key, value in expected[name].items()}
        assert row == pytest.approx(wanted, abs=ROUNDING), name


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("seed", SEEDS)
def test_right_answers_that_were_never_learnt_are_classes_never_found(seed: int, kind: str) -> None:
    """Every score is scikit-learn's over all classes, those that no prediction can hold included."""
    names, predicted, gold = random_single(seed) if kind == "single" else random_multi(seed)
    gold = [*gold, *(["new"] * 5 if kind == "single" else [{"new", names[-1]}] * 5)]
    predicted = [*predicted, *([names[-1]] * 5 if kind == "single" else [{names[-1]}] * 5)]
    scores = metrics.classification_scores(total(predicted, gold), names, kind)
    everything = [*names, "new"]
    if kind == "single":
        g, p, options = gold, predicted, {"labels": everything, "zero_division": 0}
        assert scores["matthews"] == pytest.approx(reference.matthews_corrcoef(g, p))
    else:
        g, p, options = as_matrix(gold, everything), as_matrix(predicted, everything), {"zero_division": 0}
        assert scores["hamming_loss"] == pytest.approx(reference.hamming_loss(g, p))
    for average in ("macro", "micro", "weighted"):
        assert scores[f"{average}_f1"] == pytest.approx(reference.f1_score(g, p, average=average, **options))
    assert scores["macro_recall"] == pytest.approx(reference.recall_score(g, p, average="macro", **options))
    table = metrics.per_class_scores(total(predicted, gold), names, kind)
    assert table["new"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 5.0}
    assert list(table)[: len(everything)] == everything
    assert table["weighted avg"]["f1"] == pytest.approx(scores["weighted_f1"])


@pytest.mark.parametrize("names", [["no", "yes"], ["a rather long name", "b", "c"]])
def test_report_is_laid_out_as_scikit_learns(names: list[str]) -> None:
    rng = random.Random(1)
    gold = [*names, *(rng.choice(names) for _ in range(2000))]
    predicted = [*names, *(rng.choice(names) for _ in range(2000))]
    ours = metrics.report_table(metrics.per_class_scores(total(predicted, gold), names))
    assert ours == reference.classification_report(gold, predicted, digits=3).rstrip("\n")


def test_chinese_labels_line_up() -> None:
    table = metrics.per_class_scores(total(["利好", "neutral"], ["利好", "利好"]), ["利好", "neutral"])
    lines = [line for line in metrics.report_table(table).splitlines() if line]
    assert len({metrics.display_width(line) for line in lines}) == 1
    assert len({len(line) for line in lines}) == 2  # one character of two columns for two


def test_a_class_named_like_an_average_keeps_its_row() -> None:
    names = ["accuracy", "price"]
    table = metrics.per_class_scores(total(["price", "price"], ["accuracy", "price"]), names)
    assert table["accuracy"]["recall"] == 0.0
    assert table["accuracy (all)"]["f1"] == 0.5
    assert metrics.report_table(table).splitlines()[5].split() == ["accuracy", "(all)", "0.500", "2"]


def test_counts_of_a_row_hold_only_what_occurs() -> None:
    assert metrics.classification_counts(["joy", "love"], ["love"]) == {
        **{"rows": 1, "correct": 0, "tp:love": 1, "gold:love": 1},
        **{"predicted:joy": 1, "predicted:love": 1},
    }


def test_nothing_to_score_is_zero() -> None:
    assert set(metrics.classification_scores({}, ["a", "b"]).values()) == {0.0}
    assert set(metrics.classification_scores({}, ["a", "b"], "multi").values()) == {0.0}
    assert set(metrics.number_scores({}).values()) == {0.0}


def test_confusion_is_scikit_learns() -> None:
    names, predicted, gold = random_single(3)
    expected = reference.confusion_matrix(gold, predicted, labels=names).tolist()
    assert metrics.confusion(predicted, gold, names) == expected


def test_confusion_names_the_label_it_does_not_know() -> None:
    with pytest.raises(DataError, match="'c'"):
        metrics.confusion(["a"], ["c"], ["a", "b"])


@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_number_scores_are_the_reference_ones(offset: float) -> None:
    rng = np.random.default_rng(5)
    gold = rng.normal(size=200)
    predicted = (0.7 * gold + 0.5 * rng.normal(size=200) + offset).tolist()
    gold = (gold + offset).tolist()
    rows = [metrics.number_counts(p, g, center=offset) for p, g in zip(predicted, gold, strict=True)]
    expected = {
        "pearson": stats.pearsonr(predicted, gold).statistic,
        "rmse": reference.root_mean_squared_error(gold, predicted),
        "mae": reference.mean_absolute_error(gold, predicted),
        "r2": reference.r2_score(gold, predicted),
    }
    assert metrics.number_scores(metrics.sum_counts(rows)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("constant", [0.1, 1 / 3, 2.718, 1e6 + 0.7])
def test_constant_predictions_correlate_with_nothing(constant: float) -> None:
    """The variance of their sums is not exactly 0, and rounding error correlates with anything."""
    golds = np.random.default_rng(1).normal(size=1001).tolist()
    rows = [metrics.number_counts(constant, gold) for gold in golds]
    assert metrics.number_scores(metrics.sum_counts(rows))["pearson"] == 0.0
    assert metrics.spearman([constant] * 1001, golds) == 0.0


@pytest.mark.parametrize(("prediction", "r2"), [(4.0, 1.0), (5.0, 0.0)])
def test_r2_of_constant_answers(prediction: float, r2: float) -> None:
    rows = [metrics.number_counts(prediction, 4.0) for _ in range(3)]
    assert metrics.number_scores(metrics.sum_counts(rows))["r2"] == r2
    assert r2 == reference.r2_score([4.0] * 3, [prediction] * 3)


@pytest.mark.parametrize("values", [4, 1000])
def test_spearman_shares_ranks_of_ties(values: int) -> None:
    rng = np.random.default_rng(values)
    xs = rng.integers(values, size=80)
    ys = xs + rng.integers(values, size=80)
    assert metrics.spearman(xs.tolist(), ys.tolist()) == pytest.approx(stats.spearmanr(xs, ys).statistic)


def test_spearman_refuses_lists_of_different_lengths() -> None:
    with pytest.raises(DataError, match="2 predictions and 3 answers"):
        metrics.spearman([1, 2], [1, 2, 3])
