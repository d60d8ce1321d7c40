"""How far probabilities can be trusted: Banking77 (calibration, abstention) and CLINC150 (out-of-scope texts).

Each set is trained once. The scaling is fitted on development rows, all figures are of test rows. CLINC150's test rows
are joined by texts of no class; four scores are to tell them apart: 1 - highest probability, energy and negative
highest logit (Liu et al. 2020; Hendrycks et al. 2022), Mahalanobis distance to the nearest class mean (Lee et al.
2018) and distance to the 10th nearest training text (Sun et al. 2022), both on the vectors that the head reads.

Run: python -m benchmarks.calibration --data DIR [--only NAME …] [--runs DIR]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import tunesmith_cli
from benchmarks.common import (
    benchmark_parser,
    data_file,
    machine_facts,
    print_table,
    public_model,
    read_result,
    write_result,
)

RESULT = "calibration"
COVERAGE = "coverage=0.9"
PRECISION = "precision=0.95"
NEIGHBOURS = 10
SETS: dict[str, dict[str, Any]] = {
    "banking77": {
        "task.pooling": "mean",
        "train.learning_rate": 5e-4,
        "train.layer_decay": 0.7,
        "train.epochs": 10,
        "train.batch_size": 32,
        "data.dev_fraction": 0.1,
        "evaluate.baselines": "false",
    },
    "clinc150": {
        "task.pooling": "mean",
        "train.learning_rate": 1e-3,
        "train.layer_decay": 0.6,
        "train.epochs": 4,
        "train.batch_size": 32,
        "evaluate.baselines": "false",
    },
}


def fit(name: str, arguments: argparse.Namespace, out: Path) -> None:
    """Train one set, or go on with it."""
    options: dict[str, str | Path] = {
        "task": "text-classification",
        "model": arguments.model,
        "train": data_file(arguments.data, name, "train.jsonl"),
        "method": "full",
        "out": out,
    }
    if "data.dev_fraction" not in SETS[name]:
        options["dev"] = data_file(arguments.data, name, "dev.jsonl")
    tunesmith_cli.fit(options, SETS[name])


def load_calibrated(folder: Path, name: str, data: Path) -> tuple[Any, dict[str, Any]]:
    """Load a finished folder and calibrate it anew on its development rows: an older one may hold no calibration.

    Returns:
        The predictor, and how good its probabilities are on the development rows.
    """
    from tunesmith import api, calibrating, inference, labelled_rows
    from tunesmith.config import resolve_config

    predictor = api.load(folder)
    stored = predictor.artifact.facts["config"]
    own = "data.dev_fraction" in SETS[name]
    sources = {"train": str(data / name / "train.jsonl"), "dev": None if own else str(data / name / "dev.jsonl")}
    config = resolve_config(stored, {"data": sources})
    splits = labelled_rows.read_splits(config, predictor.task)
    if dict(splits.fingerprints) != predictor.artifact.facts["data"]["fingerprints"]:
        raise SystemExit(f"{name}: the run was trained on other rows than those of --data")
    labels, task = predictor.artifact.labels, predictor.task
    answers = inference.predict_rows(predictor.model, task, splits.dev, labels)
    golds = [task.gold(row, labels) for row in splits.dev]
    learnt = calibrating.learn(task, answers, golds, labels, config.evaluate.calibration)
    if learnt is None:
        raise SystemExit(f"{name}: its answers have no probability")
    predictor.calibration = learnt.calibration
    return predictor, learnt.report


def measure_set(name: str, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return calibration, coverage and accuracy of the test rows."""
    predictor, dev = load_calibrated(folder, name, arguments.data)
    scope = {"out_of_scope": measure_scope(predictor, arguments.data)} if name == "clinc150" else {}
    test = data_file(arguments.data, name, "test.jsonl")
    kept = {}
    for wish in (COVERAGE, PRECISION):
        metrics = predictor.evaluate(str(test), baselines=False, abstain=wish)
        kept[wish] = metrics["abstention"]
    return {
        "settings": SETS[name] | {"model": public_model(arguments.model)},
        "machine": machine_facts(),
        "dev": dev,
        "test": {"accuracy": metrics["scores"]["accuracy"], **metrics["calibration"]},
        "abstention": kept,
        **scope,
    }


def raw_outputs(predictor: Any, rows: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (N, C) and the vectors that the head reads (N, D), in the order of the rows."""
    from tunesmith import inference

    labels, task, model = predictor.artifact.labels, predictor.task, predictor.model
    items = task.encode(inference.without_labels(task, rows), inference.make_context(model, labels))
    logits, vectors = np.empty((len(items), len(labels.names))), np.empty((len(items), model.width))
    for places, outputs, _ in inference.forward_items(model, task, items, inference.BATCH_TOKENS, torch.float32):
        logits[places], vectors[places] = outputs["logits"].numpy(), outputs["vectors"].numpy()
    return logits, vectors


def measure_scope(predictor: Any, data: Path) -> dict[str, Any]:
    """Return AUROC and FPR at 95 % TPR of each score; positives are the texts of no class."""
    from scipy.special import logsumexp, softmax

    from tunesmith.evaluation import detection

    def read(file: str) -> Any:
        return predictor.read(str(data_file(data, "clinc150", file))).rows

    train = read("train.jsonl")
    _, known = raw_outputs(predictor, train)
    names = {name: place for place, name in enumerate(predictor.artifact.labels.names)}
    scope = detection.fit_scope(known, np.array([names[row.label] for row in train]))
    scores: dict[str, list[np.ndarray]] = {}
    for file in ("test.jsonl", "oos_test.jsonl"):
        logits, vectors = raw_outputs(predictor, read(file))
        found = {
            "max_probability": 1 - softmax(logits, axis=1).max(axis=1),
            "calibrated_max_probability": 1 - calibrated(predictor, logits).max(axis=1),
            "max_logit": -logits.max(axis=1),
            "energy": -logsumexp(logits, axis=1),
            "mahalanobis": detection.distances(vectors, scope),
            "nearest_neighbours": detection.neighbour_distances(vectors, known, NEIGHBOURS),
        }
        for name, values in found.items():
            scores.setdefault(name, []).append(values)
    report = {
        name: {
            "auroc": detection.area_under_roc(*pair),
            **auroc_interval(*pair),
            "fpr_at_95_tpr": detection.false_alarms_at(*pair),
        }
        for name, pair in scores.items()
    }
    known_class, no_class = scores["calibrated_max_probability"]
    threshold = predictor.abstention(COVERAGE).threshold
    withheld = {
        "threshold": threshold,
        "in_scope": float((1 - known_class < threshold).mean()),
        "out_of_scope": float((1 - no_class < threshold).mean()),
    }
    counts = {"in_scope_rows": len(known_class), "out_of_scope_rows": len(no_class)}
    return {**counts, "scores": report, f"withheld_at_{COVERAGE}": withheld}


def calibrated(predictor: Any, logits: np.ndarray) -> np.ndarray:
    """Return the probabilities (N, C) that the product gives."""
    from scipy.special import softmax

    from tunesmith.evaluation.calibration import scale

    return scale(softmax(logits, axis=1), predictor.calibration.scaling)


def auroc_interval(negatives: np.ndarray, positives: np.ndarray, resamples: int = 500) -> dict[str, float]:
    """Return the middle 95 % of the AUROC over both sets drawn with replacement."""
    from tunesmith.evaluation.detection import area_under_roc

    generator = np.random.default_rng(13)
    drawn = [
        area_under_roc(*(part[generator.integers(len(part), size=len(part))] for part in (negatives, positives)))
        for _ in range(resamples)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return {"low": low, "high": high}


def show(sets: dict[str, Any]) -> None:
    """Print what is measured so far."""
    rows = []
    for name, found in sets.items():
        test, part = found["test"], found["abstention"][COVERAGE]
        figures = [f"{test['before'][key]:.3f} → {test['after'][key]:.3f}" for key in ("ece", "brier", "nll")]
        scores = (test["accuracy"], part["coverage"], part["accuracy"])
        rows.append([name, *figures, *(f"{s['value']:.3f} ({s['low']:.3f}–{s['high']:.3f})" for s in scores)])
    columns = ["data set", "ECE", "Brier", "NLL", "accuracy", COVERAGE, "accuracy of these"]
    print_table("Test rows, without → with the scaling; 95 % intervals", columns, rows)
    for name, found in sets.items():
        if "out_of_scope" in found:
            scores = found["out_of_scope"]["scores"].items()
            table = [
                [score, f"{one['auroc']:.3f} ({one['low']:.3f}–{one['high']:.3f})", f"{one['fpr_at_95_tpr']:.3f}"]
                for score, one in scores
            ]
            print_table(f"{name}: texts of no class", ["score", "AUROC", "FPR at 95 % TPR"], table)


def measure(arguments: argparse.Namespace) -> None:
    """Measure the sets asked for, or all, writing after each; the others stay."""
    earlier = read_result(RESULT)
    sets = dict(earlier["sets"]) if earlier else {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.only or SETS:
            folder = Path(arguments.runs or temporary, name)
            if not (folder / "tunesmith.json").is_file():
                fit(name, arguments, folder)
            sets[name] = measure_set(name, arguments, folder)
            write_result(RESULT, {"sets": sets})
    show(sets)


def main() -> None:
    """Read the command line and measure."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--only", nargs="+", choices=list(SETS), help="measure these (again)")
    help_ = "folder of run folders banking77 and clinc150: finished ones are not trained again, others are kept here"
    parser.add_argument("--runs", metavar="DIR", help=help_)
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
