"""Tuning methods side by side on one classification and one tagging set: score, seconds, parameters, bytes.

Every method at its default learning rate and options, judged on the test split.

Run: python -m benchmarks.methods_table --data DIR [--only METHOD …]
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import (
    benchmark_parser,
    data_file,
    kept_entries,
    machine_facts,
    print_table,
    public_model,
    write_result,
)
from tunesmith.methods import METHODS

RESULT = "methods"
SENTENCES = 3_000
SETS: dict[str, dict[str, Any]] = {
    "financial_phrasebank": {"task": "text-classification", "suffix": "jsonl", "epochs": 4},
    "conll2003": {"task": "token-classification", "suffix": "conll", "epochs": 4},
}
WEIGHTS = ("*.safetensors",)


def training_file(data: Path, name: str, suffix: str, folder: Path) -> Path:
    """Return the training file; of CoNLL a seeded sample of its sentences."""
    whole = data_file(data, name, f"train.{suffix}")
    if suffix != "conll":
        return whole
    sentences = whole.read_text(encoding="utf-8").strip().split("\n\n")
    kept = sorted(random.Random(13).sample(range(len(sentences)), SENTENCES))
    part = folder / "train.conll"
    part.write_text("\n\n".join(sentences[place] for place in kept) + "\n", encoding="utf-8")
    return part


def run(arguments: argparse.Namespace, name: str, method: str) -> dict[str, Any]:
    """Fit with one method, judge on the test split, and weigh what was written."""
    facts = SETS[name]
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary, "run")
        train = training_file(arguments.data, name, facts["suffix"], Path(temporary))
        options = {"task": facts["task"], "model": arguments.model, "method": method, "train": train, "out": out}
        options["dev"] = data_file(arguments.data, name, f"dev.{facts['suffix']}")
        settings = {"train.epochs": facts["epochs"], "evaluate.baselines": "false"}
        command_s = tunesmith_cli.fit(options, settings)
        test = tunesmith_cli.evaluate(out, data_file(arguments.data, name, f"test.{facts['suffix']}"))
        stored = tunesmith_cli.facts(out)
        sizes = [path.stat().st_size for pattern in WEIGHTS for path in out.glob(pattern)]
        return {
            "headline": test["headline"],
            **test["scores"][test["headline"]],
            "command_s": command_s,
            "learning_rate": stored["learning_rate"]["value"],
            "trainable_parameters": stored["trainable_parameters"],
            "weights_bytes": sum(sizes),
            "machine": machine_facts(),
        }


def measure(arguments: argparse.Namespace) -> None:
    """Run what is not there yet, writing after each."""
    settings = {"model": public_model(arguments.model), "sets": SETS, "sentences": SENTENCES}
    runs = kept_entries(RESULT, "runs", settings)
    for name in SETS:
        for method in arguments.only or METHODS:
            key = f"{name}/{method}"
            if key not in runs:
                runs[key] = run(arguments, name, method)
                write_result(RESULT, {"settings": settings, "runs": runs})
    rows = [
        [
            key,
            f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]",
            f"{found['command_s']:.0f}",
            f"{found['trainable_parameters']:,}",
            f"{found['weights_bytes'] / 1e6:.1f}",
        ]
        for key, found in runs.items()
    ]
    print_table("methods", ["set / method", "test score", "seconds", "trained parameters", "MB written"], rows)


def main() -> None:
    """Read the command line and measure."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--only", nargs="+", choices=sorted(METHODS), help="these methods only")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
