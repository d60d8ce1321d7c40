"""Abstention and detection: against brute force, what a promise is worth, and the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve
from typer.testing import CliRunner

from tests.tiny import make_rows
from tunesmith import abstaining, api, cli, fitting
from tunesmith.calibrating import Calibration
from tunesmith.config import resolve_config
from tunesmith.contracts import Labels
from tunesmith.errors import ConfigError
from tunesmith.evaluation import abstention, detection
from tunesmith.evaluation.abstention import UnreachableError, threshold_for_coverage, threshold_for_precision
from tunesmith.evaluation.calibration import IDENTITY
from tunesmith.tasks import make_task


def simulate(count: int, seed: int = 0, digits: int = 2) -> tuple[Any, Any]:
    """Calibrated confidences with many equal ones, and which answers are right."""
    generator = np.random.default_rng(seed)
    confidences = generator.beta(5, 1.5, count).round(digits)
    return confidences, generator.random(count) < confidences


# --- risk and coverage -------------------------------------------------------------------------------------


def test_risk_coverage_is_that_of_trying_each_threshold() -> None:
    confidences, rights = simulate(500)
    curve = abstention.risk_coverage(confidences, rights)
    assert 20 <= len(curve) <= 50
    assert curve[-1].coverage == 1
    for point in curve:
        given = [right for c, right in zip(confidences, rights, strict=True) if c >= point.threshold]
        assert point.coverage == len(given) / 500
        assert point.risk == pytest.approx(1 - sum(given) / len(given))
        assert point.threshold in confidences


def test_area_is_the_mean_risk_over_the_answers() -> None:
    confidences, rights = simulate(300)
    risks = [1 - rights[confidences >= one].mean() for one in confidences]
    assert abstention.area_under_risk_coverage(confidences, rights) == pytest.approx(np.mean(risks))


def test_coverage_is_reached_and_not_by_more_than_the_ties() -> None:
    confidences, rights = simulate(400)
    for wanted in (0.1, 0.5, 0.9, 1.0):
        promise = threshold_for_coverage(confidences, rights, wanted)
        assert promise.coverage == (confidences >= promise.threshold).mean() >= wanted
        assert (confidences > promise.threshold).mean() < wanted
        assert promise.precision == pytest.approx(rights[confidences >= promise.threshold].mean())


def test_precision_is_kept_on_new_rows_but_for_the_stated_risk() -> None:
    broken, coverage = 0, []
    for seed in range(200):
        confidences, rights = simulate(2000, seed, digits=6)
        promise = threshold_for_precision(confidences, rights, 0.85)
        fresh, right = simulate(20_000, 1000 + seed, digits=6)
        broken += right[fresh >= promise.threshold].mean() < 0.85
        coverage.append(promise.coverage)
        assert promise.assured is not None
        assert promise.precision > promise.assured >= 0.85
    assert broken <= 200 * abstention.RISK + 6
    assert np.mean(coverage) > 0.3


def test_lower_bound_is_the_binomial_one() -> None:
    from scipy.stats import binom

    bound = abstention.lower_bound(90, 100, 0.05)
    assert binom.sf(89, 100, bound) == pytest.approx(0.05)
    assert abstention.lower_bound(0, 5, 0.05) == 0


def test_what_cannot_be_promised_says_what_can() -> None:
    confidences, rights = simulate(60)
    with pytest.raises(UnreachableError) as found:
        threshold_for_precision(confidences, rights, 0.999)
    assert found.value.best is not None
    assert 0.5 < found.value.best < 0.999
    threshold_for_precision(confidences, rights, found.value.best - 1e-9)


# --- wishes ------------------------------------------------------------------------------------------------

TASK, LABELS = make_task("text-classification", {}), Labels(("a", "b"))
STORED = Calibration(IDENTITY, 400, *simulate(400))


def test_wishes_become_thresholds() -> None:
    for wish in (0.8, "0.8"):
        plain = abstaining.choose(wish, STORED, TASK, LABELS)
        assert plain.threshold == 0.8
        assert plain.expected is not None
        assert plain.expected.coverage == (STORED.confidences >= 0.8).mean()
    half = abstaining.choose("coverage=0.5", STORED, TASK, LABELS)
    assert half.expected is not None
    assert half.expected.coverage >= 0.5
    sure = abstaining.choose("precision=0.8", STORED, TASK, LABELS)
    assert sure.expected is not None
    assert sure.expected.precision > 0.8
    assert "at least" in abstaining.describe(sure)


@pytest.mark.parametrize("wish", ["sure", "recall=0.5", "1.2", -0.1, "precision=", "precision=nan", "coverage=0"])
def test_wishes_that_make_no_sense_are_refused(wish: Any) -> None:
    with pytest.raises(ConfigError):
        abstaining.choose(wish, STORED, TASK, LABELS)


def test_wishes_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"400 development answers assure at most 0\.\d{3}"):
        abstaining.choose("precision=0.999", STORED, TASK, LABELS)
    with pytest.raises(ConfigError, match="precision of 1"):
        abstaining.choose("precision=1", STORED, TASK, LABELS)
    with pytest.raises(ConfigError, match="no answers to development rows"):
        abstaining.choose("coverage=0.9", None, TASK, LABELS)
    assert abstaining.choose(0.7, None, TASK, LABELS).expected is None
    with pytest.raises(ConfigError, match="numbers"):
        abstaining.choose(0.7, None, TASK, Labels((), kind="number"))


# --- a model and the command line --------------------------------------------------------------------------

OTHER = {"negative": "positive", "positive": "negative"}
ROWS = [{**row, "label": OTHER[row["label"]]} if i % 5 == 0 else row for i, row in enumerate(make_rows(96))]


@pytest.fixture(scope="module")
def folder(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("abstention") / "model"
    base = {
        "model": {"name": str(tiny_bert)},
        "train": {"precision": "fp32", "device": "cpu", "batch_size": 8, "epochs": 6.0, "learning_rate": 2e-3},
        "evaluate": {"baselines": False, "resamples": 100},
        "output": {"folder": str(place)},
    }
    list(fitting.run(resolve_config(base), ROWS[:48], ROWS[48:]))
    return place


def test_answers_stay_and_are_marked(folder: Path) -> None:
    model, texts = api.load(folder), [row["text"] for row in ROWS[48:]]
    plain, marked = model.predict(texts), model.predict(texts, abstain="coverage=0.5")
    threshold = model.abstention("coverage=0.5").threshold
    assert {answer.abstained for answer in marked} == {True, False}
    for one, other in zip(plain, marked, strict=True):
        assert one.abstained is None
        assert other.abstained == (other.probability < threshold)
        assert (one.label, one.probabilities) == (other.label, other.probabilities)


def test_evaluate_counts_what_is_answered(folder: Path) -> None:
    model = api.load(folder)
    middle = model.abstention("coverage=0.5").threshold
    report = model.evaluate(ROWS[48:], baselines=False, resamples=100, abstain=middle)["abstention"]
    answers = model.predict([row["text"] for row in ROWS[48:]])
    given = [a.label == r["label"] for a, r in zip(answers, ROWS[48:], strict=True) if a.probability >= middle]
    assert (report["answers"], report["given"], report["threshold"]) == (48, len(given), middle)
    assert 0 < len(given) < 48
    assert report["coverage"]["value"] == pytest.approx(len(given) / 48)
    assert report["accuracy"]["value"] == pytest.approx(sum(given) / len(given))
    assert report["coverage"]["low"] <= report["coverage"]["value"] <= report["coverage"]["high"]
    page = (Path(__file__).parent.parent / "docs" / "evaluation.md").read_text("utf-8")
    assert {key for key in report if f"`{key}`" not in page} == set()
    nothing = model.evaluate(ROWS[48:], baselines=False, resamples=100, abstain=1.0)["abstention"]
    assert nothing["given"] == 0
    assert "accuracy" not in nothing


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, list(arguments), catch_exceptions=False)


def test_the_command_line_marks_rows(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "new.jsonl"
    source.write_text("".join(json.dumps({"text": row["text"]}) + "\n" for row in ROWS[48:]), "utf-8")
    marked = ["predict", str(folder), "--in", str(source), "--abstain", "coverage=0.5"]
    result = run(*marked, "--out", str(tmp_path / "out.jsonl"))
    assert result.exit_code == 0, result.output
    assert "answers below 0." in result.output
    answers = [json.loads(line)["prediction"] for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert {answer["abstained"] for answer in answers} == {True, False}
    assert all(answer["label"] in OTHER and answer["probability"] > 0 for answer in answers)
    run(*marked, "--out", str(tmp_path / "out.csv"))
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert {row["predicted_abstained"] for row in csv.DictReader(file)} == {"True", "False"}
    run(*marked[:-2], "--out", str(tmp_path / "plain.jsonl"))
    assert "abstained" not in (tmp_path / "plain.jsonl").read_text("utf-8")
    shown = run("predict", str(folder), ROWS[50]["text"], "--abstain", "1.0")
    assert "not sure" in shown.output


def test_the_command_line_scores_and_refuses(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "test.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS[48:]), "utf-8")
    result = run("evaluate", str(folder), "--data", str(data), "--abstain", "coverage=0.5")
    assert result.exit_code == 0, result.output
    assert "probabilities are off by" in result.output
    assert "accuracy of what is answered" in result.output.replace("\n", " ")
    refused = run("evaluate", str(folder), "--data", str(data), "--abstain", "precision=0.999")
    assert refused.exit_code == 2
    assert "assure at most" in refused.output.replace("\n", " ")


# --- texts of no class -------------------------------------------------------------------------------------


def test_auroc_and_false_alarms_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    negatives, positives = generator.normal(size=400).round(1), generator.normal(1.2, size=150).round(1)
    truth, scores = np.repeat([0, 1], [400, 150]), np.concatenate([negatives, positives])
    assert detection.area_under_roc(negatives, positives) == pytest.approx(roc_auc_score(truth, scores))
    alarms, found, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert detection.false_alarms_at(negatives, positives) == pytest.approx(alarms[np.argmax(found >= 0.95)])


def test_mahalanobis_distance_is_that_of_its_definition() -> None:
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(4, 4))
    groups = generator.integers(3, size=3000)
    vectors = generator.normal(size=(3000, 4)) @ mixing + groups[:, None] * 5
    scope = detection.fit_scope(vectors, groups)
    covariance = np.linalg.inv(scope.whitening @ scope.whitening.T)
    assert covariance == pytest.approx(mixing.T @ mixing, rel=0.2, abs=0.3)
    point = generator.normal(size=4) * 9
    wanted = min(float(np.sqrt((point - m) @ np.linalg.inv(covariance) @ (point - m))) for m in scope.means)
    assert detection.distances(point[None], scope)[0] == pytest.approx(wanted)


def test_fewer_texts_than_dimensions_still_have_distances() -> None:
    generator = np.random.default_rng(0)
    vectors, groups = generator.normal(size=(10, 32)), np.arange(10) % 2
    found = detection.distances(generator.normal(size=(5, 32)), detection.fit_scope(vectors, groups))
    assert np.isfinite(found).all()
    assert (found > 0).all()


def test_neighbour_distance_is_that_of_sorting() -> None:
    generator = np.random.default_rng(0)
    points, known = generator.normal(size=(20, 6)), generator.normal(size=(50, 6))
    unit = [array / np.linalg.norm(array, axis=1, keepdims=True) for array in (points, known)]
    wanted = [sorted(np.linalg.norm(point - unit[1], axis=1))[3] for point in unit[0]]
    assert detection.neighbour_distances(points, known, 4) == pytest.approx(wanted)
