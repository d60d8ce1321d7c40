"""A character-level language model of tinyshakespeare in minutes on a CPU: nanoGPT's smallest recipe, and a better one.

The first two runs have the shape and the steps of nanoGPT's CPU example (4 layers, 128 wide, 4 heads, context 64, batch
12, 2,000 steps; its README gives a validation loss of 1.88 after about three minutes): a GPT-2 with that example's
learning rate, and a Llama with ours. The third, with a longer context, uses those three minutes. All are
trained on the first 90 % of the text and judged on all of the rest, in windows of their context.

Run: python -m benchmarks.pretrain_shakespeare --data DIR
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import common

PUBLISHED_LOSS = 1.88
STEPS = 2000
SHARED = [
    *("--objective", "clm", "--set", "corpus.unit=file", "--set", "corpus.validation=tail"),
    *("--set", "corpus.validation_fraction=0.1", "--set", "tokenizer.kind=characters", "--set", "evaluate.samples=0"),
]
SHAPE = ["--size", "nano", "--set", "model.context_tokens=64", "--set", "train.batch_size=12"]
GPT2 = [
    *("--architecture", "gpt2", *SHAPE, "--set", "train.learning_rate=1e-3"),
    *("--set", "train.beta2=0.99", "--set", "train.warmup=0.05"),
]
LLAMA = ["--architecture", "llama", *SHAPE]
BETTER = [
    *("--architecture", "llama", "--size", "nano", "--set", "model.context_tokens=128", "--set", "train.batch_size=8"),
    *("--set", "train.learning_rate=2e-3"),
]
BETTER_TOKENS = 8 * 128
"""Of a step."""
TRIAL_STEPS = 300
TRAINING_S = 155
"""Of the three minutes that nanoGPT's figure took; the rest is for the start, the looks and the judgement."""


def pretrain(text: Path, folder: Path, steps: int, recipe: Sequence[str]) -> dict[str, Any]:
    """Run the command line and return what `--json` prints."""
    command = [sys.executable, "-m", "tunesmith", "pretrain", str(text), *SHARED, *recipe, "--steps", str(steps)]
    done = subprocess.run(
        [*command, "--out", str(folder), "--json", "--quiet"], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def entry(found: dict[str, Any]) -> dict[str, Any]:
    """What one run is kept as."""
    loss = found["scores"]["loss"]
    return {
        "validation_loss": loss["value"],
        "low": loss["low"],
        "high": loss["high"],
        "bits_per_byte": found["scores"]["bits_per_byte"]["value"],
        "steps": found["steps"],
        "seconds": found["seconds"],
        "tokens_per_s": found["speed"]["tokens_per_s"],
        "share_of_matrix_products": found["speed"]["share"],
    }


def main() -> None:
    """Train all three, write results/pretrain-shakespeare.json."""
    arguments: argparse.Namespace = common.benchmark_parser(__doc__ or "").parse_args()
    text = common.data_file(arguments.data, "lm_tinyshakespeare", "input.txt")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        gpt2 = entry(pretrain(text, scratch / "gpt2", STEPS, GPT2))
        llama = entry(pretrain(text, scratch / "llama", STEPS, LLAMA))
        trial = pretrain(text, scratch / "trial", TRIAL_STEPS, BETTER)
        steps = int(TRAINING_S * trial["speed"]["tokens_per_s"] / BETTER_TOKENS)
        better = entry(pretrain(text, scratch / "better", steps, BETTER))
    result = {
        "published_loss": PUBLISHED_LOSS,
        "validation_loss": llama["validation_loss"],
        "seconds": llama["seconds"],
        "runs": {"gpt2": gpt2, "llama": llama, "better": better},
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }
    print(json.dumps(result, indent=2))
    print(common.write_result("pretrain-shakespeare", result))


if __name__ == "__main__":
    main()
