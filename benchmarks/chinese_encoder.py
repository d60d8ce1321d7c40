"""What does pretraining from nothing bring in Chinese, for how many minutes? Reviews (ChnSentiCorp), names (CLUENER).

A WordPiece tokenizer and an encoder of 6 layers, 256 wide, are trained as a masked language model on four classical
novels and the texts of nine Chinese training sets, without their labels: once for each of `--minutes`, each with a
schedule of its own. Minutes are steps at the speed of a trial on this machine, or at the speed `--steps-a-minute` of
another: a busy hour changes nothing, and a GPU can compute what a laptop's core would in two hours. Then each is
fine-tuned beside the same encoder with random weights, which may choose between two learning rates by its mean score
on the dev rows. `tunesmith compare` judges on all test rows and on those that do not also stand in train.

Every stage is resumed or passed over when the command is given again; OMP_NUM_THREADS=1 says what a core is worth.

Run: python -m benchmarks.chinese_encoder --data DIR --folder DIR
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import benchmark_parser, data_file, read_conll, read_jsonl, write_result

RESULT = "chinese_encoder"
BOOKS = ("hongloumeng", "shuihuzhuan", "xiyouji", "sanguoyanyi")
TRIAL_STEPS = 40
WINDOWS, CONTEXT_TOKENS = 32, 128
"""Of an optimizer step."""
RANDOM = "random"
TRIAL = "trial"
TASKS: dict[str, dict[str, Any]] = {
    "chnsenticorp": {
        "task": "text-classification",
        "suffix": "jsonl",
        "files": ("train", "dev"),
        "test": "test",
        "settings": {"train.epochs": 3, "task.pooling": "mean"},
    },
    "cluener2020": {
        "task": "token-classification",
        "suffix": "conll",
        "files": ("train",),
        "test": "dev",
        "settings": {"train.epochs": 6},
    },
}
"""Pooling by the mean, since no objective trained the first token. The labels of CLUENER's test rows are not
public: its dev rows judge, and a tenth of train chooses the epoch."""
RANDOM_RATES = (3e-4, 1e-3)
TUNED_RATE = 3e-4


# --- texts -----------------------------------------------------------------------------------------------


def unlabelled_texts(data: Path) -> Iterator[str]:
    """The texts of the Chinese training sets."""
    for name in ("chnsenticorp", "tnews", "people_relation_zh"):
        yield from (row["text"] for row in read_jsonl(data_file(data, name, "train.jsonl")))
    for row in read_jsonl(data_file(data, "csl_title", "train.jsonl")):
        yield f"{row['summary']}。{row['document']}"
    for row in read_jsonl(data_file(data, "alpaca_zh", "train.jsonl")):
        yield "\n".join(message["content"] for message in row["messages"])
    for row in read_jsonl(data_file(data, "crosswoz", "train.jsonl")):
        yield "\n".join(message["content"] for message in row["messages"])
    yield from (row["tgt"] for row in read_jsonl(data_file(data, "tatoeba_en_zh", "train.jsonl")))
    yield from ("".join(characters) for characters, _ in read_conll(data_file(data, "cluener2020", "train.conll")))
    for article in json.loads(data_file(data, "cmrc2018", "trial.json").read_text("utf-8"))["data"]:
        yield from (paragraph["context"] for paragraph in article["paragraphs"])


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write JSON Lines unless they are there."""
    if not path.is_file():
        draft = path.with_suffix(".draft")
        draft.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        draft.replace(path)
    return path


def without_seen(data: Path, task: str) -> Iterator[dict[str, Any]]:
    """Test rows whose text is not also in train."""
    seen = {row["text"] for row in read_jsonl(data_file(data, task, "train.jsonl"))}
    yield from (row for row in read_jsonl(data_file(data, task, "test.jsonl")) if row["text"] not in seen)


# --- stages ----------------------------------------------------------------------------------------------


def pretrain(arguments: argparse.Namespace, steps: int, out: Path, rate: float | None = None) -> Any:
    """One pretraining of so many steps, unless it is there; they share tokenizer and corpus."""
    if (out / "metrics.json").is_file():
        return tunesmith_cli.metrics(out)
    texts = write_rows(arguments.folder / "texts.jsonl", ({"text": text} for text in unlabelled_texts(arguments.data)))
    books = [data_file(arguments.data, "lm_zh_classics", f"{book}.txt") for book in BOOKS]
    trial = arguments.folder / TRIAL
    settings: dict[str, Any] = {
        "corpus.unit": "line",
        "corpus.validation": "documents",
        "corpus.validation_fraction": 0.02,
        "corpus.folder": arguments.folder / "corpus",
        "model.size": "mini",
        "model.context_tokens": CONTEXT_TOKENS,
        "train.batch_size": WINDOWS,
        "train.precision": "bf16",
        "train.device": arguments.device,
        "evaluate.samples": 1,
    }
    if out != trial:
        settings["tokenizer.folder"] = trial / "tokenizer"
    if rate is not None:
        settings["train.learning_rate"] = rate
    return tunesmith_cli.pretrain([*books, texts], out, ["--steps", str(steps)], settings)


def steps_a_minute(arguments: argparse.Namespace) -> float:
    """Given, or from a trial; the trial also makes the tokenizer and the token ids."""
    found = pretrain(arguments, TRIAL_STEPS, arguments.folder / TRIAL)
    measured = 60 * found["speed"]["tokens_per_s"] / (WINDOWS * CONTEXT_TOKENS)
    return float(arguments.steps_a_minute or measured)


def fine_tune(arguments: argparse.Namespace, task: str, model: Path, out: Path, seed: int, rate: float) -> float:
    """Fit; return the score on the dev rows that chose the epoch."""
    facts = TASKS[task]
    files = {part: data_file(arguments.data, task, f"{part}.{facts['suffix']}") for part in facts["files"]}
    settings = {
        **facts["settings"],
        "train.learning_rate": rate,
        "train.seed": seed,
        "train.precision": "bf16",
        "train.device": arguments.device,
        "model.max_tokens": 256,
        "evaluate.baselines": False,  # `tunesmith evaluate` lets them learn once, below
    }
    if not (out / "metrics.json").is_file():
        tunesmith_cli.fit({"task": facts["task"], **files, "model": model, "out": out}, settings)
    scores = tunesmith_cli.metrics(out)["scores"]
    return float(next(iter(scores.values()))["value"])


def start_arms(arguments: argparse.Namespace, pool: ThreadPoolExecutor, speed: float) -> dict[str, Future[Path]]:
    """Name → base model once it is pretrained. Random weights: one step at a learning rate of nothing."""

    def arm(name: str, steps: int, rate: float | None = None) -> Path:
        pretrain(arguments, steps, arguments.folder / name, rate)
        return Path(arguments.folder / name)

    longest_first = sorted(arguments.minutes, reverse=True)
    pretrained = {
        f"minutes-{minutes}": pool.submit(arm, f"minutes-{minutes}", round(minutes * speed))
        for minutes in longest_first
    }
    return {RANDOM: pool.submit(arm, RANDOM, 1, 1e-12)} | pretrained


def start_fine_tunes(
    arguments: argparse.Namespace, pool: ThreadPoolExecutor, arms: dict[str, Future[Path]], task: str
) -> dict[tuple[str, float], list[Future[float]]]:
    """(Arm, learning rate) → the dev scores of all seeds."""

    def tune(arm: str, rate: float, seed: int) -> float:
        return fine_tune(arguments, task, arms[arm].result(), folder / f"{arm}-at-{rate:g}-{seed}", seed, rate)

    folder = arguments.folder / task
    folder.mkdir(exist_ok=True)
    return {
        (arm, rate): [pool.submit(tune, arm, rate, seed) for seed in range(arguments.seeds)]
        for arm in sorted(arms, key=lambda name: (name != RANDOM, len(name), name))
        for rate in (RANDOM_RATES if arm == RANDOM else (TUNED_RATE,))
    }


def measure_task(
    arguments: argparse.Namespace,
    pool: ThreadPoolExecutor,
    task: str,
    fine_tunes: dict[tuple[str, float], list[Future[float]]],
) -> dict[str, Any]:
    """Compare every arm with random weights at their better learning rate."""
    dev = {key: statistics.mean(future.result() for future in futures) for key, futures in fine_tunes.items()}
    best = max(RANDOM_RATES, key=lambda rate: dev[RANDOM, rate])
    folder = arguments.folder / task
    tests = judged_rows(arguments, task, folder)
    base = folder / f"{RANDOM}-at-{best:g}-"
    comparing = {
        arm: {
            part: pool.submit(tunesmith_cli.compare, f"{base}*", str(folder / f"{arm}-at-{rate:g}-*"), path)
            for part, path in tests.items()
        }
        for arm, rate in dev
        if arm != RANDOM
    }
    baseline = {part: pool.submit(tunesmith_cli.evaluate, Path(f"{base}0"), path) for part, path in tests.items()}
    return {
        "dev_scores_of_random_weights_by_learning_rate": {rate: dev[RANDOM, rate] for rate in RANDOM_RATES},
        "random_learning_rate": best,
        "against_random_weights": {
            arm: {part: future.result() for part, future in parts.items()} for arm, parts in comparing.items()
        },
        "evaluation_of_random_weights_with_baselines": {
            part: tunesmith_cli.figures(future.result()) for part, future in baseline.items()
        },
    }


def judged_rows(arguments: argparse.Namespace, task: str, folder: Path) -> dict[str, Path]:
    """All test rows and, where some also stand in train, those that do not."""
    facts = TASKS[task]
    rows = {"all": data_file(arguments.data, task, f"{facts['test']}.{facts['suffix']}")}
    if facts["suffix"] == "jsonl":
        rows["not_in_train"] = write_rows(folder / "not_in_train.jsonl", without_seen(arguments.data, task))
    return rows


def curve(folder: Path, minutes: Sequence[int]) -> dict[str, Any]:
    """What the pretrainings themselves say."""
    found = {}
    for name in (f"minutes-{count}" for count in minutes):
        metrics = tunesmith_cli.metrics(folder / name)
        found[name] = {key: metrics[key] for key in ("scores", "steps", "seconds", "speed")}
    return found


def main() -> None:
    """Pretrain, fine-tune, compare, write results/chinese_encoder.json."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--folder", metavar="DIR", type=Path, required=True, help="holds all runs; may exist")
    parser.add_argument("--minutes", type=int, nargs="+", default=[15, 30, 60, 120], help="of pretraining")
    parser.add_argument("--seeds", type=int, default=2, help="fine-tunings of each arm")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--device", default="cpu", help="of all runs: cpu, cuda")
    parser.add_argument("--steps-a-minute", type=float, metavar="STEPS", help="default: from a trial on this machine")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time")
    arguments: argparse.Namespace = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    speed = steps_a_minute(arguments)
    with ThreadPoolExecutor(arguments.workers) as pool:
        arms = start_arms(arguments, pool, speed)
        fine_tunes = {task: start_fine_tunes(arguments, pool, arms, task) for task in arguments.tasks}
        result = {
            "threads": os.environ.get("OMP_NUM_THREADS", "all cores"),
            "device": arguments.device,
            "seeds": arguments.seeds,
            "steps_a_minute": speed,
            "tasks": {task: measure_task(arguments, pool, task, fine_tunes[task]) for task in arguments.tasks},
            "pretraining": curve(arguments.folder, arguments.minutes),
        }
    print(write_result(RESULT, result))


if __name__ == "__main__":
    main()
