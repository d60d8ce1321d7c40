"""Calibration: the maths against other ways to it, what is stored and applied, and where nothing may change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression

from tests.tiny import make_rows
from tunesmith import api, calibrating, fitting, inference, manifests
from tunesmith.config import resolve_config
from tunesmith.contracts import Labels
from tunesmith.errors import ConfigError, ModelError
from tunesmith.evaluation import calibration, reliability
from tunesmith.evaluation.calibration import IDENTITY, Scaling, choose, fit, negative_log_likelihood, scale
from tunesmith.predictor import Predictor
from tunesmith.tasks import make_task

RNG = np.random.default_rng(7)
FACTOR = 2.5


def softmax(scores: Any) -> Any:
    shares = np.exp(scores - scores.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def simulate(rows: int = 3000, classes: int = 5, factor: float = 1.0, seed: int = 7) -> tuple[Any, Any]:
    """Probabilities that are too sure by a factor of their logits, and classes drawn from the true ones."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, classes)) * 2
    drawn = (softmax(logits).cumsum(1) > generator.random((rows, 1))).argmax(1)
    return softmax(logits * factor), np.eye(classes, dtype=bool)[drawn]


def simulate_events(count: int = 4000, slope: float = 1.0, shift: float = 0.0) -> tuple[Any, Any]:
    generator = np.random.default_rng(3)
    odds = generator.normal(size=count) * 2
    truths = generator.random(count) < 1 / (1 + np.exp(-odds))
    return 1 / (1 + np.exp(-(odds - shift) / slope)), truths


# --- the maths ---------------------------------------------------------------------------------------------


def test_temperature_is_the_optimum_of_a_grid() -> None:
    probabilities, truths = simulate(factor=FACTOR)
    found = fit("temperature", probabilities, truths).parameters["temperature"]
    grid = np.exp(np.linspace(-1, 2, 3001))
    losses = [
        negative_log_likelihood(scale(probabilities, Scaling("temperature", {"temperature": t})), truths) for t in grid
    ]
    assert found == pytest.approx(grid[int(np.argmin(losses))], rel=3e-3)
    assert found == pytest.approx(FACTOR, rel=0.05)


def test_scaled_probabilities_are_the_softmax_of_logits_by_temperature() -> None:
    logits = RNG.normal(size=(50, 4)) * 3
    scaled = scale(softmax(logits), Scaling("temperature", {"temperature": 1.7}))
    assert scaled == pytest.approx(softmax(logits / 1.7), abs=1e-12)


def test_platt_scaling_is_logistic_regression_on_the_log_odds() -> None:
    probabilities, truths = simulate_events(slope=2.0, shift=0.7)
    found = fit("platt", probabilities, truths).parameters
    peer = LogisticRegression(C=np.inf).fit(calibration.log_odds(probabilities)[:, None], truths)
    assert found["slope"] == pytest.approx(float(peer.coef_[0, 0]), rel=5e-3)
    assert found["intercept"] == pytest.approx(float(peer.intercept_[0]), abs=5e-3)


@pytest.mark.parametrize("method", ["temperature", "vector"])
def test_gradients_of_classes(method: str) -> None:
    probabilities, truths = simulate(rows=40, classes=3)
    check_gradient(method, probabilities, truths)


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_gradients_of_events(method: str) -> None:
    probabilities, truths = simulate_events(40)
    check_gradient(method, probabilities, truths)


def check_gradient(method: str, probabilities: Any, truths: Any) -> None:
    objective, size = calibration.make_objective(method, probabilities, truths)
    point = RNG.normal(size=size) * 0.3
    assert check_grad(lambda x: objective(x)[0], lambda x: objective(x)[1], point) < 1e-4 * len(truths)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 7.0])
def test_the_likeliest_class_stays_under_a_temperature(temperature: float) -> None:
    probabilities, _ = simulate()
    scaled = scale(probabilities, Scaling("temperature", {"temperature": temperature}))
    assert (scaled.argmax(1) == probabilities.argmax(1)).all()
    assert scaled.sum(1) == pytest.approx(1)


def test_vector_scaling_undoes_what_a_temperature_cannot() -> None:
    true, truths = simulate(rows=4000, classes=3)
    biased = softmax(np.log(true) + np.array([1.5, 0.0, -1.0]))
    rows = np.arange(len(true))
    fitted = choose(["none", "temperature", "vector"], biased, truths, rows)
    assert fitted.scaling.method == "vector"
    assert fitted.nll["vector"] < fitted.nll["temperature"] <= fitted.nll["none"]
    shares = scale(biased, fitted.scaling)
    assert np.abs(shares - true).mean() < 0.02


def test_calibrated_probabilities_are_left_alone() -> None:
    """Another scaling can win by noise alone, so by less than noise and close to the identity; most often it loses."""
    chosen = []
    for seed in range(12):
        probabilities, truths = simulate(rows=400, seed=seed)
        fitted = choose(["none", "temperature"], probabilities, truths, np.arange(400), seed=seed)
        chosen.append(fitted.scaling.method)
        assert 0.8 < fitted.scaling.parameters.get("temperature", 1.0) < 1.25
    assert chosen.count("none") > 6


def test_never_worse_than_before_on_rows_held_out() -> None:
    for seed in range(10):
        probabilities, truths = simulate(rows=60, factor=float(np.exp(RNG.normal())), seed=seed)
        fitted = choose(["none", "temperature", "vector"], probabilities, truths, np.arange(60))
        before, after = (negative_log_likelihood(shares, truths) for shares in (probabilities, fitted.held_out))
        assert after <= before


def test_few_rows_and_rows_that_are_all_right_change_nothing_wild() -> None:
    probabilities, truths = simulate(rows=9)
    assert choose(["none", "temperature"], probabilities, truths, np.arange(9)).scaling == IDENTITY
    sure = softmax(RNG.normal(size=(12, 3)) * 2)
    right = np.eye(3, dtype=bool)[sure.argmax(1)]
    assert fit("temperature", sure, right).parameters["temperature"] > 0.1
    assert scale(np.array([[1.0, 0.0]]), Scaling("temperature", {"temperature": 2.0}))[0] == pytest.approx([1, 0])
    assert np.isfinite(calibration.log_odds(np.array([0.0, 1.0]))).all()


def test_events_of_one_row_are_held_out_together() -> None:
    rows = np.repeat(np.arange(30), 4)
    folds = calibration.make_folds(rows, seed=1)
    assert folds is not None
    assert all(len(set(folds[rows == row])) == 1 for row in range(30))
    assert set(folds) == set(range(5))


# --- measures ----------------------------------------------------------------------------------------------


def test_debiased_error_of_perfect_probabilities_is_about_zero() -> None:
    """It still holds some noise of few rows: |d| cannot be estimated without bias where d is 0."""
    found = {}
    for rows in (600, 20_000):
        tops = [reliability.top_label(*simulate(rows, seed=seed)) for seed in range(8)]
        plain, debiased = (
            np.mean([reliability.calibration_error(*top, debiased=how) for top in tops]) for how in (False, True)
        )
        assert debiased < 0.75 * plain
        found[rows] = debiased
    assert found[600] < 0.05
    assert found[20_000] < 0.008


def test_debiased_error_finds_a_known_distance() -> None:
    """Confidence c, right with probability c - 0.1: the error is 0.1."""
    generator = np.random.default_rng(1)
    confidences = generator.uniform(0.3, 1, 20_000)
    rights = generator.random(20_000) < confidences - 0.1
    assert reliability.calibration_error(confidences, rights) == pytest.approx(0.1, abs=0.01)


def test_closed_form_of_the_debiasing_is_that_of_drawn_noise() -> None:
    mean, deviation = np.array([0.0, 0.02, 0.1]), np.array([0.03, 0.03, 0.01])
    drawn = np.abs(mean + deviation * np.random.default_rng(0).normal(size=(200_000, 3))).mean(0)
    assert reliability.mean_distance(mean, deviation) == pytest.approx(drawn, abs=3e-4)


def test_bins_hold_equal_numbers_and_equal_confidences_stay_together() -> None:
    confidences = RNG.random(1000)
    bins = reliability.reliability_bins(confidences, confidences > 0.5)
    assert len(bins) == 15
    assert {one.n for one in bins} <= {66, 67}
    assert sum(one.n for one in bins) == 1000
    tied = np.repeat([0.2, 0.9], [300, 700])
    assert [one.n for one in reliability.reliability_bins(tied, tied > 0.5)] == [300, 700]


def test_brier_and_likelihood_against_their_definitions() -> None:
    probabilities, truths = simulate(rows=50, classes=3)
    rows = [sum((p - t) ** 2 for p, t in zip(*pair, strict=True)) for pair in zip(probabilities, truths, strict=True)]
    assert reliability.brier_score(probabilities, truths) == pytest.approx(np.mean(rows))
    assert negative_log_likelihood(probabilities, truths) == pytest.approx(-np.log(probabilities[truths]).mean())


def test_a_right_answer_that_is_no_class_counts_in_brier_and_not_in_likelihood() -> None:
    probabilities = np.array([[0.5, 0.5], [0.8, 0.2]])
    truths = np.array([[False, False], [True, False]])
    assert reliability.brier_score(probabilities, truths) == pytest.approx((0.5 + 1 + 0.08) / 2)
    assert negative_log_likelihood(probabilities, truths) == pytest.approx(-np.log(0.8))


def test_intervals_hold_the_values() -> None:
    probabilities, truths = simulate(rows=500, factor=2.0)
    measured = reliability.measure(probabilities, truths)
    for name, interval in reliability.measure_intervals(probabilities, truths, np.arange(500), resamples=300).items():
        assert interval["low"] < measured[name] < interval["high"], name


# --- in a model's folder -----------------------------------------------------------------------------------

ROWS = make_rows(96)
OTHER = {"negative": "positive", "positive": "negative"}
NOISY = [{**row, "label": OTHER[row["label"]]} if place % 5 == 0 else row for place, row in enumerate(ROWS)]
NEW = [row["text"] for row in ROWS[80:]]


def run(trunk: Path, folder: Path, *settings: str, rows: Any = NOISY) -> Path:
    base = {
        "model": {"name": str(trunk)},
        "train": {"precision": "fp32", "device": "cpu", "batch_size": 8, "epochs": 15.0, "learning_rate": 3e-3},
        "evaluate": {"baselines": False, "resamples": 100, "per_epoch": 1 / 15},
        "output": {"folder": str(folder)},
    }
    train = ROWS[:48] if rows is NOISY else rows[:48]
    list(fitting.run(resolve_config(base, settings=settings), train, rows[48:]))
    return folder


@pytest.fixture(scope="module")
def folder(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Learnt from clean labels, judged on labels of which a fifth is wrong: far too sure."""
    return run(tiny_bert, tmp_path_factory.mktemp("calibration") / "noisy")


def plain_answers(loaded: Predictor, rows: Any) -> list[Any]:
    return inference.predict_rows(loaded.model, loaded.task, rows, loaded.artifact.labels)


def test_fit_calibrates_and_says_how_well(folder: Path) -> None:
    stored = json.loads((folder / "calibration.json").read_text("utf-8"))
    assert stored["method"] == "temperature"
    assert stored["parameters"]["temperature"] > 1.2
    report = json.loads((folder / "metrics.json").read_text("utf-8"))["calibration"]
    assert (report["method"], report["rows"], report["answers"]) == ("temperature", 48, 48)
    assert report["after"]["nll"] < report["before"]["nll"]
    assert report["candidates"]["temperature"] == pytest.approx(report["after"]["nll"])
    assert sum(one["n"] for one in report["reliability"]) == 48
    assert report["risk_coverage"][-1]["coverage"] == 1
    assert "calibration.json" in json.loads((folder / "tunesmith.json").read_text("utf-8"))["files"]
    assert "temperature scaling, in `calibration.json`" in (folder / "README.md").read_text("utf-8")


def test_answers_are_scaled_and_labels_stay(folder: Path) -> None:
    loaded = api.load(folder)
    rows = loaded.read([{"text": text, "label": "positive"} for text in NEW]).rows
    before, after = plain_answers(loaded, rows), loaded.predict_rows(rows)
    temperature = json.loads((folder / "calibration.json").read_text("utf-8"))["parameters"]["temperature"]
    for one, other in zip(before, after, strict=True):
        assert one.label == other.label
        shares = np.array(list(one.probabilities.values())) ** (1 / temperature)
        assert list(other.probabilities.values()) == pytest.approx((shares / shares.sum()).tolist(), rel=1e-9)
        assert other.probability == max(other.probabilities.values()) < one.probability


def test_read_back_it_answers_the_same(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "copy")
    assert api.load(copied).predict(NEW) == api.load(folder).predict(NEW)
    loaded = api.load(folder)
    assert loaded.calibration is not None
    again = calibrating.from_json(json.loads(json.dumps(calibrating.to_json(loaded.calibration))), Labels(("a", "b")))
    assert again.scaling == loaded.calibration.scaling
    assert again.confidences.tolist() == loaded.calibration.confidences.tolist()


def test_evaluate_reports_with_and_without(folder: Path) -> None:
    report = api.evaluate(folder, NOISY[48:], baselines=False, resamples=100)["calibration"]
    assert report["method"] == "temperature"
    assert report["rows"] == 48
    assert report["after"]["nll"] < report["before"]["nll"]


def test_a_folder_without_the_file_answers_as_before(folder: Path) -> None:
    old = api.load(Path(__file__).parent / "golden" / "artifact-v1")
    assert old.calibration is None
    assert old.artifact.calibration is None
    rows = old.read([{"text": "the film was good", "label": old.artifact.labels.names[0]}]).rows
    assert old.predict_rows(rows) == plain_answers(old, rows)
    report = api.evaluate(old.artifact.folder, [{"text": "so", "label": old.artifact.labels.names[0]}], baselines=False)
    assert report["calibration"]["method"] == "none"
    assert report["calibration"]["before"] == report["calibration"]["after"]


def test_rows_whose_labels_were_never_learnt_have_no_likelihood(folder: Path) -> None:
    report = api.evaluate(folder, [{"text": text, "label": "new"} for text in NEW], baselines=False, resamples=100)
    assert report["calibration"]["after"]["nll"] is None
    assert report["calibration"]["after"]["brier"] > 1
    json.dumps(report, allow_nan=False)


def test_a_damaged_file_is_refused(folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    text = (copied / "calibration.json").read_text("utf-8")
    (copied / "calibration.json").write_text(text.replace('"temperature": ', '"temperature": 1', 1), "utf-8")
    with pytest.raises(ModelError, match=r"calibration\.json"):
        api.load(copied)
    (copied / "calibration.json").unlink()
    with pytest.raises(ModelError, match=r"calibration\.json"):
        api.load(copied)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": 2}, "format 2"),
        ({"method": "isotonic"}, "isotonic"),
        ({"parameters": {}}, "temperature"),
        ({"parameters": {"temperature": 0.0}}, "above 0"),
        ({"parameters": {"temperature": float("nan")}}, "finite"),
        ({"method": "vector", "parameters": {"weights": [1.0], "biases": [0.0]}}, "2 finite numbers"),
        ({"answers": {"confidences": [0.5], "rights": []}}, "as many"),
        ({"answers": {"confidences": [1.5], "rights": [1]}}, "between 0 and 1"),
        ({"answers": None}, "cannot be used"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(change: dict[str, Any], complaint: str) -> None:
    stored = {"format": 1, "method": "temperature", "parameters": {"temperature": 2.0}, "rows": 1}
    stored["answers"] = {"confidences": [0.5], "rights": [1]}
    calibrating.from_json(stored, Labels(("a", "b")))
    with pytest.raises(ModelError, match=complaint):
        calibrating.from_json(stored | change, Labels(("a", "b")))


def test_none_is_none(tiny_bert: Path, tmp_path: Path) -> None:
    run(tiny_bert, tmp_path, "evaluate.calibration=none", "train.max_steps=2")
    loaded = api.load(tmp_path)
    assert loaded.calibration is not None
    assert loaded.calibration.scaling.method == "none"
    assert len(loaded.calibration.confidences) == 48
    rows = loaded.read(NOISY[48:]).rows
    assert loaded.predict_rows(rows) == plain_answers(loaded, rows)


def test_numbers_have_no_calibration(tiny_bert: Path, tmp_path: Path) -> None:
    rows = [{**row, "label": place % 5} for place, row in enumerate(ROWS)]
    number = ("task.kind=number", "train.max_steps=2")
    run(tiny_bert, tmp_path / "a", *number, rows=rows)
    assert not (tmp_path / "a" / "calibration.json").exists()
    assert json.loads((tmp_path / "a" / "metrics.json").read_text("utf-8"))["calibration"] is None
    assert api.evaluate(tmp_path / "a", rows[:20], baselines=False)["calibration"] is None
    with pytest.raises(ConfigError, match="numbers have no probability"):
        run(tiny_bert, tmp_path / "b", *number, "evaluate.calibration=temperature", rows=rows)


def test_several_labels_are_events(tiny_bert: Path, tmp_path: Path) -> None:
    rows = [{**row, "label": [row["label"], *(["long"] if place % 3 else [])]} for place, row in enumerate(NOISY)]
    run(tiny_bert, tmp_path, rows=rows)
    loaded = api.load(tmp_path)
    assert loaded.calibration is not None
    assert loaded.calibration.scaling.method == "temperature"
    given = loaded.read(rows[48:]).rows
    for one, other in zip(plain_answers(loaded, given), loaded.predict_rows(given), strict=True):
        assert one.label == other.label, "0.5 stays where it is"
        assert one.probabilities != other.probabilities
    with pytest.raises(ConfigError, match="one label a row"):
        run(tiny_bert, tmp_path / "b", "evaluate.calibration=vector", rows=rows)


def test_entities_keep_their_places(tiny_bert: Path, tmp_path: Path) -> None:
    rows = []
    for place, row in enumerate(ROWS):
        at = row["text"].index("the ", 3) + 4
        entity = {"start": at, "end": row["text"].index(" ", at), "label": "A" if place % 3 else "B"}
        rows.append({"text": row["text"], "entities": [entity] if place % 5 else []})
    run(tiny_bert, tmp_path, "task.name=token-classification", "train.epochs=8", rows=rows)
    loaded = api.load(tmp_path)
    assert loaded.calibration is not None
    assert loaded.calibration.scaling.method in ("temperature", "platt")
    given = loaded.read(rows[48:]).rows
    before, after = plain_answers(loaded, given), loaded.predict_rows(given)
    places = [[[(e.start, e.end, e.label) for e in one.entities] for one in answers] for answers in (before, after)]
    assert places[0] == places[1]
    assert sum(map(len, places[0])) > 10
    assert before != after
    marked = loaded.predict([row["text"] for row in rows[48:]], abstain=0.6)
    found = [entity for answer in marked for entity in answer.entities]
    assert {entity.abstained for entity in found} == {entity.probability < 0.6 for entity in found}


def test_long_texts_are_scaled_after_their_windows_are_joined(folder: Path) -> None:
    loaded = api.load(folder)
    task = make_task("text-classification", {"long_texts": "windows"})
    text = " ".join(NEW * 3)
    rows = [task.Row(text=text)]
    (plain,) = inference.predict_rows(loaded.model, task, rows, loaded.artifact.labels)
    context = inference.make_context(loaded.model, loaded.artifact.labels)
    assert len(task.encode(rows, context)) > 1
    (scaled,) = calibrating.apply(loaded.calibration, task, [plain], loaded.artifact.labels)
    assert loaded.calibration is not None
    wanted = scale(np.array([list(plain.probabilities.values())]), loaded.calibration.scaling)[0]
    assert list(scaled.probabilities.values()) == wanted.tolist()
    assert scaled.label == plain.label


def test_the_manifest_holds_its_hash(folder: Path) -> None:
    files = manifests.verify_folder(folder, "tunesmith.json")["files"]
    assert set(files["calibration.json"]) >= {"sha256"}
