"""Relations between persons and questions on texts in Chinese, on an encoder that the project pretrained.

- people_relation_zh: 14 relations, names masked as ### in the text; a tenth of train chooses the epoch, test judges.
  Rows whose text does not hold both persons are left out, of both files.
- cmrc2018: trained on the 1,002 questions of `trial`, since the large train file is not open here; dev judges, with the
  rules of CMRC: per character.

Run: python -m benchmarks.chinese_tasks --data DIR [--model zh-classics|FOLDER] [--tasks cmrc2018]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import benchmark_parser, data_file, kept_entries, load_average, public_model, write_result

TASKS: dict[str, dict[str, Any]] = {
    "people_relation_zh": {
        "task": "relation-extraction",
        "train": "train.jsonl",
        "test": "test.jsonl",
        "settings": {"train.epochs": 10, "train.learning_rate": 5e-4, "data.skip_bad": "true"},
    },
    "cmrc2018": {
        "task": "question-answering",
        "train": "trial.json",
        "test": "dev.json",
        "settings": {"train.epochs": 3, "train.learning_rate": 5e-4, "data.skip_bad": "true"},
    },
}


def run(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """Fit in a folder that is thrown away, and judge."""
    facts = TASKS[name]
    settings = {**facts["settings"], "train.seed": arguments.seed, "train.precision": "bf16"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, name)
        train = data_file(arguments.data, name, facts["train"])
        options = {"task": facts["task"], "model": arguments.model, "method": "full", "train": train, "out": out}
        seconds = tunesmith_cli.fit(options, settings)
        judged = tunesmith_cli.evaluate(out, data_file(arguments.data, name, facts["test"]), "--skip-bad")
        best_step = tunesmith_cli.metrics(out)["best_step"]
    figures = tunesmith_cli.figures(judged)
    return {"settings": settings, "command_s": seconds, "best_step": best_step, **figures, "load": load_average()}


def main() -> None:
    """Run what is not there yet; write results/NAME.json after each."""
    parser = benchmark_parser(__doc__ or "")
    parser.set_defaults(model="zh-classics")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--name", default="chinese_tasks", help="of the file in results/")
    arguments = parser.parse_args()
    settings = {"model": public_model(arguments.model), "seed": arguments.seed}
    runs = kept_entries(arguments.name, "runs", settings)
    for name in arguments.tasks:
        if name not in runs:
            runs[name] = run(arguments, name)
            print(write_result(arguments.name, {"settings": settings, "runs": runs}))


if __name__ == "__main__":
    main()
