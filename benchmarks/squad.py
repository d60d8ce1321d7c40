"""SQuAD 1.1 (4,000 questions of its train, all of its dev) or CMRC 2018: `tunesmith fit` beside Hugging Face's recipe.

Four ways, whole processes one after the other, the same files and base model, the same exact match and F1:

- tunesmith: as it is without a setting; a tenth of the training texts are held out to choose the best weights.
- tunesmith_recipe: with the learning rate, epochs, batches and windows of the peer's recipe.
- peer: that recipe (`benchmarks.squad_peer`), which holds nothing out.
- peer_tuned: the peer with Tunesmith's learning rate, epochs and batches.

Run: python -m benchmarks.squad --data DIR [--set-name cmrc2018 --model FOLDER] [--ways tunesmith peer]
     with --steps 100, a short look that writes no result
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import (
    benchmark_parser,
    data_file,
    kept_entries,
    load_average,
    print_table,
    public_model,
    write_result,
)
from benchmarks.squad_peer import MAX_TOKENS, SHARED_TOKENS, read_questions

SETS = {
    "squad": {"train": "train-subset.json", "test": "dev-v1.1.json", "longest": 30, "rule": "en"},
    "cmrc2018": {"train": "trial.json", "test": "dev.json", "longest": 80, "rule": "zh"},
}
RECIPE = {"learning_rate": 3e-5, "epochs": 2.0, "batch_size": 12}
TUNED = {"epochs": 5.0, "batch_size": 16}
WAYS = ("tunesmith", "tunesmith_recipe", "peer", "peer_tuned")


def tunesmith_settings(way: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what is set for one of Tunesmith's ways."""
    settings: dict[str, Any] = {"data.skip_bad": "true", "train.seed": arguments.seed}
    if way == "tunesmith_recipe":
        settings |= {f"train.{key}": value for key, value in RECIPE.items()}
        settings |= {"model.max_tokens": MAX_TOKENS, "task.overlap_tokens": SHARED_TOKENS}
    if arguments.steps:
        settings["train.max_steps"] = arguments.steps
    return settings


def run_tunesmith(way: str, files: dict[str, Path], arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Time `tunesmith fit`; `tunesmith evaluate` judges on the test file."""
    options = {"task": "question-answering", "model": arguments.model, "train": files["train"], "out": out}
    seconds = tunesmith_cli.fit(options, tunesmith_settings(way, arguments))
    test = tunesmith_cli.evaluate(out, files["test"])
    facts = tunesmith_cli.metrics(out)
    kept = {key: test[key] for key in ("scores", "baselines", "calibration")}
    return {"command_s": seconds, "steps": facts["steps"], "best_step": facts["best_step"], **kept}


def run_peer(way: str, files: dict[str, Path], arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Time the peer's process, and score its answers as Tunesmith's are scored."""
    recipe = RECIPE if way == "peer" else {**TUNED, "learning_rate": arguments.tuned_learning_rate}
    given = {**files, **recipe, "out": out, "model": arguments.model, "seed": arguments.seed}
    given |= {"longest": SETS[arguments.set_name]["longest"], "max_steps": arguments.steps or -1}
    words = [f"--{key.replace('_', '-')}={value}" for key, value in given.items()]
    command = [sys.executable, "-m", "benchmarks.squad_peer", *words]
    facts = out / "fit.json"
    if not facts.is_file():
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        facts.write_text(done.stdout.splitlines()[-1], encoding="utf-8")
    found = json.loads(facts.read_text(encoding="utf-8"))
    answers = json.loads((out / "answers.json").read_text(encoding="utf-8"))
    return {"recipe": recipe, "command_s": found["fit_s"], "scores": score(answers, files["test"], arguments.set_name)}


def score(answers: Sequence[str], test: Path, set_name: str) -> dict[str, Any]:
    """Return exact match and F1 of answers with their intervals."""
    from tunesmith.evaluation.intervals import bootstrap_intervals
    from tunesmith.metrics import question_counts, question_scores

    golds = [[right["text"] for right in asked["answers"]] for asked in read_questions(test)]
    rule: Any = SETS[set_name]["rule"]
    counts = [question_counts(answer, gold, rule) for answer, gold in zip(answers, golds, strict=True)]
    return {name: asdict(found) for name, found in bootstrap_intervals(counts, question_scores).items()}


def measure(arguments: argparse.Namespace) -> None:
    """Run the ways that have no result yet, writing after each."""
    chosen = SETS[arguments.set_name]
    files = {key: data_file(arguments.data, arguments.set_name, str(chosen[key])) for key in ("train", "test")}
    name = f"{arguments.set_name}_answers"
    settings = {"model": public_model(arguments.model), "seed": arguments.seed, "recipe": RECIPE, "tuned": TUNED}
    runs = {} if arguments.steps else kept_entries(name, "runs", settings)
    for way in arguments.ways:
        if way in runs:
            continue
        with tempfile.TemporaryDirectory() as folder:
            run = run_tunesmith if way.startswith("tunesmith") else run_peer
            out = (arguments.folder or Path(folder)) / way
            runs[way] = {**run(way, files, arguments, out), "load": load_average()}
        if not arguments.steps:
            write_result(name, {"settings": settings, "runs": runs})
    rows = [[way, f"{one['command_s']:.0f} s", *map(_shown, _both(one["scores"]))] for way, one in runs.items()]
    baselines = next((one["baselines"] for one in runs.values() if "baselines" in one), {})
    rows += [[title, "", *map(_shown, _both(scores))] for title, scores in baselines.items()]
    print_table(f"{arguments.set_name}, {files['test'].name}", ["way", "whole fit", "exact match", "F1"], rows)


def _both(scores: dict[str, Any]) -> list[Any]:
    return [scores["exact_match"], scores["f1"]]


def _shown(score: dict[str, float]) -> str:
    return f"{100 * score['value']:.1f} [{100 * score['low']:.1f}, {100 * score['high']:.1f}]"


def main() -> None:
    """Read the command line and measure."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--set-name", choices=list(SETS), default="squad")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--tuned-learning-rate", type=float, default=3e-4, help="Tunesmith's own for this width")
    parser.add_argument("--folder", metavar="DIR", type=Path, help="keeps the models and answers; goes on from them")
    parser.add_argument("--steps", type=int, help="stop after so many, and write no result")
    parser.add_argument("--seed", type=int, default=13)
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
