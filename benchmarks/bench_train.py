"""Training steps a second, Tunesmith beside its peers, in interleaved rounds of fresh processes.

Run: python -m benchmarks.bench_train --data DIR
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common import (
    Spread,
    benchmark_parser,
    class_ids,
    data_file,
    load_average,
    model_folder,
    print_table,
    public_model,
    read_conll,
    read_jsonl,
    spread,
    usable_cores,
    write_result,
)
from benchmarks.steps import StepJob, StepResult

WAYS = {
    "textbook": "benchmarks.peers:textbook_steps",
    "trainer_default": "benchmarks.peers:trainer_default_steps",
    "trainer_best": "benchmarks.peers:trainer_best_steps",
    "tunesmith": "benchmarks.ours:tunesmith_steps",
}
OURS = "tunesmith"
SETS = ("conll2003", "sst2")


def read_set(folder: Path, name: str) -> tuple[list[str], list[int]]:
    """Return texts and class ids. CoNLL-2003 becomes a yes/no question: does the sentence hold any entity?"""
    if name == "conll2003":
        sentences = read_conll(data_file(folder, name, "train.conll"))
        texts = [" ".join(tokens) for tokens, _ in sentences]
        return texts, [int(any(tag != "O" for tag in tags)) for _, tags in sentences]
    rows = read_jsonl(data_file(folder, name, "train.jsonl"))
    return [row["text"] for row in rows], class_ids(row["label"] for row in rows)[0]


def build_job(arguments: argparse.Namespace, name: str) -> StepJob:
    """Draw the rows of one data set and make the job that every way gets."""
    from benchmarks.peers import pick_device, real_tokens

    rows = list(zip(*read_set(arguments.data, name), strict=True))
    random.Random(arguments.seed).shuffle(rows)
    rows = rows[: arguments.rows]
    first = arguments.warmup_steps * arguments.batch_size
    last = first + arguments.steps * arguments.batch_size
    if last > len(rows):
        raise SystemExit(f"{name}: the steps need {last} rows, there are {len(rows)}; lower --steps or raise --rows")
    texts = [text for text, _ in rows]
    model = model_folder(arguments.model)
    return StepJob(
        texts=texts,
        labels=[label for _, label in rows],
        classes=2,
        model=model,
        batch_size=arguments.batch_size,
        warmup_steps=arguments.warmup_steps,
        steps=arguments.steps,
        max_tokens=arguments.max_tokens,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
        device=pick_device(arguments.device),
        timed_tokens=real_tokens(model, texts[first:last], arguments.max_tokens),
    )


# --- one way in a process of its own ---------------------------------------------------------------------


def run_worker(way: str, job_path: Path, result_path: Path) -> None:
    """Run one way in this process, from a job file to a result file."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    module, function = WAYS[way].split(":")
    getattr(importlib.import_module(module), function)(StepJob.load(job_path)).save(result_path)


def time_way(way: str, job: StepJob, threads: int) -> StepResult:
    """Run one way in a fresh process and return what it measured; raises SystemExit with its last words."""
    with tempfile.TemporaryDirectory() as folder:
        job_path, result_path = Path(folder, "job.json"), Path(folder, "result.json")
        job.save(job_path)
        command = [sys.executable, "-m", "benchmarks.bench_train", "--worker", way]
        command += [str(job_path), str(result_path)]
        settings = {"OMP_NUM_THREADS": str(threads), "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
        environment = {**os.environ, **settings}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not result_path.is_file():
            raise SystemExit(f"{way} failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
        return StepResult.load(result_path)


# --- rounds and their summary ----------------------------------------------------------------------------


def summarise(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return for each set and way the spread of its rates and of Tunesmith's speed over it in each round."""
    summary: dict[str, dict[str, Any]] = {}
    for run in runs:
        ways = summary.setdefault(run["set"], {})
        way = ways.setdefault(run["way"], {"sentences_per_s": {}, "tokens_per_s": {}})
        for rate, by_round in way.items():
            by_round[run["round"]] = run[rate]
    for ways in summary.values():
        ours = ways.get(OURS, {}).get("sentences_per_s", {})
        for figures in ways.values():
            theirs = figures["sentences_per_s"]
            ratios = [ours[number] / theirs[number] for number in theirs if number in ours]
            figures.update({rate: asdict(spread(list(figures[rate].values()))) for rate in list(figures)})
            figures["tunesmith_over_this"] = asdict(spread(ratios)) if ratios else None
    return summary


def show(summary: dict[str, dict[str, Any]]) -> None:
    """Print one table a data set."""

    def cell(figure: dict[str, float] | None, form: str) -> str:
        return Spread(**figure).text(form) if figure else "–"

    for name, ways in summary.items():
        print_table(
            f"{name}: training, median (min–max) of the rounds",
            ["way", "sentences/s", "tokens/s", "tunesmith ÷ this"],
            [
                [
                    way,
                    cell(figures["sentences_per_s"], "{:.1f}"),
                    cell(figures["tokens_per_s"], "{:.0f}"),
                    cell(figures["tunesmith_over_this"], "{:.2f}×"),
                ]
                for way, figures in ways.items()
            ],
        )


def measure(arguments: argparse.Namespace) -> None:
    """Run all rounds, writing what is known after each."""
    jobs = {name: build_job(arguments, name) for name in arguments.sets}
    settings = {key: value for key, value in vars(arguments).items() if key not in ("data", "model", "name")}
    settings["model"] = public_model(arguments.model)
    settings["device"] = next(iter(jobs.values())).device
    sentences = arguments.steps * arguments.batch_size
    settings["mean_tokens"] = {name: job.timed_tokens / sentences for name, job in jobs.items()}
    settings["load_average_at_start"] = load_average()
    runs: list[dict[str, Any]] = []
    for number in range(1, arguments.rounds + 1):
        for name, job in jobs.items():
            for way in arguments.ways:
                result = time_way(way, job, arguments.threads)
                runs.append({"round": number, "set": name, "way": way, **asdict(result)})
                print(f"round {number} {name} {way}: {result.sentences_per_s:.1f} sentences/s", flush=True)
        summary = summarise(runs)
        path = write_result(arguments.name, {"settings": settings, "summary": summary, "runs": runs})
    show(summary)
    print(f"written: {path.name}")


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--rows", type=int, default=14_000, help="training rows a way sees")
    parser.add_argument("--steps", type=int, default=50, help="timed steps")
    parser.add_argument("--warmup-steps", type=int, default=5, help="steps before the clock starts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--threads", type=int, default=usable_cores(), help="torch threads of each process")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--name", default="bench_train", help="the result's name under results/")
    arguments = parser.parse_args(words)
    if min(arguments.rounds, arguments.steps, arguments.warmup_steps, arguments.batch_size) < 1:
        parser.error("--rounds, --steps, --warmup-steps and --batch-size must be at least 1")
    return arguments


def main() -> None:
    """Measure, or be the process of one way: `--worker WAY JOB RESULT`."""
    words = sys.argv[1:]
    if words[:1] == ["--worker"]:
        run_worker(words[1], Path(words[2]), Path(words[3]))
    else:
        measure(parse(words))


if __name__ == "__main__":
    main()
