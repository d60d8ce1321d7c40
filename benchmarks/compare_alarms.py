"""How often `tunesmith compare` cries wolf, and what it misses: simulated answers, and trained models.

Run: python -m benchmarks.compare_alarms [--draws 2000]; it needs no data and no base model.

Four studies, all through the package's own functions:
- shares: two equal systems, right or wrong row by row; which of four procedures says p < 0.05, and how often
- macro_f1: two equal systems with four classes, judged by macro F1
- power: how often a true gain is found
- seeds: TF-IDF + logistic regression on bootstrapped training rows, one "seed" a model; equal settings, other seeds
"""

from __future__ import annotations

import argparse
import functools
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import print_table, write_result
from benchmarks.compare_plot import draw_curves
from tunesmith.contracts import Labels
from tunesmith.evaluation import significance
from tunesmith.evaluation.intervals import paired_difference, wilson_interval
from tunesmith.evaluation.scoring import Evaluation
from tunesmith.evaluation.seeds import seeds_difference
from tunesmith.metrics import classification_counts, classification_scores

LEVEL = 0.05
RIGHT, WRONG = {"rows": 1.0, "correct": 1.0}, {"rows": 1.0, "correct": 0.0}
SIZES = (200, 1000, 3000)
RATES = (0.01, 0.03, 0.06, 0.12)
"""Share of the rows that only one of two equal systems gets right, for each of them."""
GAINS = (0.0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06)
PLOT = Path(__file__).parent.parent / "docs" / "compare_power.svg"
Answers = NDArray[np.int64]


def accuracy(counts: Mapping[str, float]) -> dict[str, float]:
    """The score of the first study."""
    return {"accuracy": counts["correct"] / counts["rows"]}


mcnemar = functools.cache(significance.mcnemar)


def share(hits: int, draws: int) -> dict[str, Any]:
    """A share of the draws with its Wilson interval."""
    low, high = wilson_interval(hits, draws)
    return {"share": hits / draws, "low": max(0.0, low), "high": high}


# --- a share of rows --------------------------------------------------------------------------------------


def alarms_of_shares(rows: int, rate: float, draws: int, resamples: int) -> dict[str, Any]:
    """False alarms of four procedures where each system alone is right in `rate` of the rows."""
    generator = np.random.default_rng(round(rows + 1e6 * rate))
    found = dict.fromkeys(("bootstrap", "exact", "mid_p", "randomisation"), 0)
    for draw, (lost, won, both) in enumerate(
        generator.multinomial(rows, [rate, rate, 0.7, 0.3 - 2 * rate], draws)[:, :3]
    ):
        kept = [RIGHT] * int(both) + [WRONG] * int(rows - both - lost - won)
        before = [RIGHT] * int(lost) + [WRONG] * int(won) + kept
        after = [WRONG] * int(lost) + [RIGHT] * int(won) + kept
        gain = paired_difference(before, after, accuracy, resamples=resamples, seed=draw)["accuracy"]
        test = mcnemar(int(lost), int(won))
        shuffled = significance.randomise(before, after, accuracy, shuffles=resamples, seed=draw)
        found["bootstrap"] += gain.low > 0 or gain.high < 0
        found["exact"] += test.exact < LEVEL
        found["mid_p"] += test.mid < LEVEL
        found["randomisation"] += shuffled.p["accuracy"] < LEVEL
    alarms = {name: share(hits, draws) for name, hits in found.items()}
    return {"rows": rows, "rate": rate, "alarms": alarms, "enumerated": enumerate_alarms(rows, rate)}


def enumerate_alarms(rows: int, rate: float) -> dict[str, float]:
    """What McNemar's two p-values come to over all outcomes, each with its probability: no simulation."""
    from scipy.stats import binom

    chances = binom.pmf(np.arange(rows + 1), rows, 2 * rate)  # of so many rows that only one system gets right
    found = {"exact": 0.0, "mid_p": 0.0}
    for tosses in np.flatnonzero(chances > 1e-12).tolist():
        tails = binom.pmf(np.arange(tosses + 1), tosses, 0.5)
        tests = [mcnemar(side, tosses - side) for side in range(tosses + 1)]
        found["exact"] += chances[tosses] * sum(tails[i] for i, test in enumerate(tests) if test.exact < LEVEL)
        found["mid_p"] += chances[tosses] * sum(tails[i] for i, test in enumerate(tests) if test.mid < LEVEL)
    return {name: float(value) for name, value in found.items()}


# --- macro F1 ---------------------------------------------------------------------------------------------

CLASSES = ("a", "b", "c", "d")
SHARES = (0.55, 0.25, 0.15, 0.05)


def alarms_of_macro_f1(rows: int, draws: int, resamples: int) -> dict[str, Any]:
    """False alarms of interval and randomisation; two systems that err alike, more where a row is hard."""
    generator = np.random.default_rng(rows)
    tallies = {(p, g): classification_counts(p, g) for p in CLASSES for g in CLASSES}

    def score(counts: Mapping[str, float]) -> dict[str, float]:
        return {"macro_f1": classification_scores(counts, CLASSES)["macro_f1"]}

    found = dict.fromkeys(("bootstrap", "randomisation"), 0)
    for draw in range(draws):
        gold = generator.choice(len(CLASSES), size=rows, p=SHARES)
        ease = generator.beta(4, 1, size=rows)
        sides = []
        for _ in range(2):
            slip = generator.choice(len(CLASSES), size=rows, p=SHARES)
            answers = np.where(generator.random(rows) < ease, gold, slip)
            sides.append([tallies[CLASSES[a], CLASSES[g]] for a, g in zip(answers, gold, strict=True)])
        gain = paired_difference(*sides, score, resamples=resamples, seed=draw)["macro_f1"]
        found["bootstrap"] += gain.low > 0 or gain.high < 0
        found["randomisation"] += (
            significance.randomise(*sides, score, shuffles=resamples, seed=draw).p["macro_f1"] < LEVEL
        )
    return {"rows": rows, "alarms": {name: share(hits, draws) for name, hits in found.items()}}


# --- power ------------------------------------------------------------------------------------------------


def power(rows: int, gain: float, draws: int, discordant: float = 0.12) -> dict[str, Any]:
    """How often mid-p finds a true gain in accuracy; `discordant` of the rows only one system gets right."""
    generator = np.random.default_rng(round(rows + 1e6 * gain))
    lost, won = (discordant - gain) / 2, (discordant + gain) / 2
    counts = generator.multinomial(rows, [lost, won, 1 - discordant], draws)
    hits = sum(mcnemar(int(a), int(b)).mid < LEVEL and b > a for a, b, _ in counts)
    return {"rows": rows, "gain": gain, "found": share(hits, draws)}


# --- models that are trained ------------------------------------------------------------------------------

POOL, POPULATION, TRAIN_ROWS = 300, 20_000, 300
SEEDS_RESAMPLES = 400
"""Of each comparison of several runs, which scores each run in each resample."""


def train_pool() -> NDArray[np.bool_]:
    """(models, rows) bool: which rows of a large population each of many models gets right.

    One configuration, TF-IDF + logistic regression; the "seed" draws 300 of 300 training rows with replacement.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(13)
    texts, labels = make_texts(TRAIN_ROWS + POPULATION, generator)
    features = TfidfVectorizer(token_pattern=r"\S+").fit(texts[:TRAIN_ROWS]).transform(texts)
    rest, right = features[TRAIN_ROWS:], labels[TRAIN_ROWS:]
    found = []
    for _ in range(POOL):
        chosen = generator.integers(TRAIN_ROWS, size=TRAIN_ROWS)
        found.append(LogisticRegression().fit(features[chosen], labels[chosen]).predict(rest) == right)
    return np.stack(found)


def make_texts(count: int, generator: np.random.Generator) -> tuple[list[str], Answers]:
    """Texts of eight words of a made-up language whose frequencies differ a little between two classes."""
    words = [f"w{number}" for number in range(400)]
    usual = 1 / (np.arange(len(words)) + 5)
    tilt = np.exp(generator.normal(scale=0.7, size=(2, len(words))))
    weights = usual * tilt / (usual * tilt).sum(axis=1, keepdims=True)
    labels = generator.integers(2, size=count)
    drawn = [generator.choice(len(words), size=8, p=weights[label]) for label in labels]
    return [" ".join(words[place] for place in row) for row in drawn], labels


TASK: Any = SimpleNamespace(score=lambda counts, labels: accuracy(counts), score_rows=lambda p, g, labels: {})
"""The part of a task that comparing runs needs."""


def alarms_of_seeds(pool: NDArray[np.bool_], runs: int, rows: int, draws: int, resamples: int) -> dict[str, Any]:
    """False alarms where `runs` models a side differ in their seed only, each draw with other models and rows."""
    generator = np.random.default_rng(runs * rows)
    found: dict[str, int] = {}
    for draw in range(draws):
        models = generator.choice(len(pool), size=2 * runs, replace=False)
        seen = pool[models][:, generator.integers(pool.shape[1], size=rows)]
        for name, hit in judge_seeds(seen, runs, resamples, draw).items():
            found[name] = found.get(name, 0) + hit
    return {"runs": runs, "rows": rows, "alarms": {name: share(hits, draws) for name, hits in found.items()}}


def judge_seeds(seen: NDArray[np.bool_], runs: int, resamples: int, seed: int) -> dict[str, bool]:
    """What each procedure says of (2 × runs, rows) right answers."""
    only_first, only_second = (int((seen[a] & ~seen[b]).sum()) for a, b in ((0, runs), (runs, 0)))
    found = {"first_pair_mid_p": mcnemar(only_first, only_second).mid < LEVEL}
    if runs == 1:
        return found
    evaluations = [make_evaluation(row) for row in seen]
    test = seeds_difference(evaluations[:runs], evaluations[runs:], TASK, Labels(()), resamples=resamples, seed=seed)
    return {**found, "percentiles": outside(resample_both(seen, runs, resamples, seed)), "seeds_t": test.p < LEVEL}


def make_evaluation(right: NDArray[np.bool_]) -> Evaluation:
    """An evaluation of which rows are right, and nothing else."""
    counts = [RIGHT if hit else WRONG for hit in right]
    blank: Sequence[Any] = range(len(counts))
    scores: Any = {"accuracy": None}
    return Evaluation("accuracy", scores, {}, None, (), counts, blank, blank, len(counts))


def resample_both(seen: NDArray[np.bool_], runs: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """The plain two-level bootstrap: rows and seeds drawn with replacement; the differences of the means."""
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(seen.shape[1], np.full(seen.shape[1], 1 / seen.shape[1]), size=resamples)
    scores = weights @ seen.T.astype(np.float64) / seen.shape[1]  # (resamples, 2 × runs)
    chosen = [generator.integers(runs, size=(resamples, runs)) + side * runs for side in (0, 1)]
    first, second = (np.take_along_axis(scores, places, axis=1).mean(axis=1) for places in chosen)
    return np.asarray(second - first, dtype=np.float64)


def outside(gains: NDArray[np.float64]) -> bool:
    """Whether 0 lies outside the middle 95 % of them."""
    low, high = np.quantile(gains, [LEVEL / 2, 1 - LEVEL / 2])
    return bool(low > 0 or high < 0)


# --- all of it --------------------------------------------------------------------------------------------


def percent(found: Mapping[str, float]) -> str:
    """A share with its interval."""
    return f"{100 * found['share']:.1f} ({100 * found['low']:.1f}–{100 * found['high']:.1f})"


def show(title: str, columns: Sequence[str], studies: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> None:
    """Print one study: its settings, then the share of each procedure."""
    names = list(dict.fromkeys(name for study in studies for name in study["alarms"]))
    rows = [
        [
            *(f"{study[key]:,}" for key in keys),
            *(percent(study["alarms"][name]) if name in study["alarms"] else "–" for name in names),
        ]
        for study in studies
    ]
    print_table(title, [*columns, *names], rows)


def main() -> None:
    """Run the studies, write the result and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000, help="simulated comparisons behind each share")
    parser.add_argument("--resamples", type=int, default=1000, help="resamples, and shuffles, of each comparison")
    given = parser.parse_args()
    draws, resamples = given.draws, given.resamples
    shares = [alarms_of_shares(rows, rate, draws, resamples) for rows in SIZES for rate in RATES]
    show("false alarms in %, accuracy", ["rows", "rate"], shares, ["rows", "rate"])
    sizes = [[f"{s['rows']:,}", f"{s['rate']}", *(f"{100 * v:.2f}" for v in s["enumerated"].values())] for s in shares]
    print_table("the same without chance, %", ["rows", "rate", "exact", "mid_p"], sizes)
    macro = [alarms_of_macro_f1(rows, draws, resamples) for rows in (600,)]
    show("false alarms in %, macro F1", ["rows"], macro, ["rows"])
    curves = [power(rows, gain, draws) for rows in SIZES for gain in GAINS]
    pool = train_pool()
    seeds = [alarms_of_seeds(pool, runs, rows, draws, SEEDS_RESAMPLES) for rows in (1000, 5000) for runs in (1, 3, 5)]
    show("false alarms in %, trained models", ["rows", "runs a side"], seeds, ["rows", "runs"])
    lines = {
        f"{rows:,} rows": [(100 * c["gain"], 100 * c["found"]["share"]) for c in curves if c["rows"] == rows]
        for rows in SIZES
    }
    PLOT.write_text(draw_curves(lines, "true gain in points of accuracy", "found, %"), encoding="utf-8")
    print_table(
        "found, %",
        ["gain", *lines],
        [[f"{100 * gain:.1f}", *(f"{line[i][1]:.0f}" for line in lines.values())] for i, gain in enumerate(GAINS)],
    )
    right = pool.mean(axis=1)
    population = {
        "models": POOL,
        "train_rows": TRAIN_ROWS,
        "mean_accuracy": float(right.mean()),
        "deviation": statistics.stdev(right.tolist()),
    }
    settings = {"draws": draws, "resamples": resamples, "seeds_resamples": SEEDS_RESAMPLES, "level": LEVEL}
    write_result(
        "compare_alarms",
        {
            "settings": settings,
            "shares": shares,
            "macro_f1": macro,
            "power": curves,
            "seeds": {"population": population, "studies": seeds},
        },
    )


if __name__ == "__main__":
    main()
