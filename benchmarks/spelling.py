"""A spelling reform that a model cannot know: English words to sounds, every vowel letter written as the next one.

The base model (encoder and decoder, characters) reads English words and writes their sounds. What it writes of a word
in its usual spelling is right by definition; it is asked for the word in the new spelling (a → e → i → o → u → a).
Words of the test stand in no training row.

Run: python -m benchmarks.spelling --data DIR --model FOLDER
     DIR holds lm_war_and_peace/, whose words are taken; FOLDER is the model
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import tunesmith_cli
from benchmarks.common import benchmark_parser, print_table, write_result

RESULT = "spelling"
BEFORE, AFTER = 0.2, 0.8
"""Most exact matches before, least after."""
TEST_WORDS = 100
REFORM = str.maketrans("aeiouAEIOU", "eiouaEIOUA")


def find_words(folder: Path, count: int) -> list[str]:
    """Frequent words of at least four letters, in a drawn order."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt")))
    found = Counter(re.findall(r"[a-z]{4,12}", text.lower()))
    return random.Random("words").sample([word for word, _ in found.most_common(count)], count)


def sounds_of(words: list[str], model: Path) -> list[str]:
    """What the base model writes of words as they are."""
    from tunesmith import base_models, generation
    from tunesmith.contracts import HeadSpec
    from tunesmith.model_loading import load_model

    loaded = load_model(base_models.resolve(str(model)), HeadSpec("writing", ())).eval()
    prompts = loaded.tokenizer(words)["input_ids"]
    written = generation.write(loaded, prompts, generation.Decoding(max_new_tokens=40))
    return [text.strip() for text in loaded.target_tokenizer.batch_decode(written, skip_special_tokens=True)]


def measure(arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Make the rows, fine-tune, judge before and after."""
    words = find_words(arguments.data / "lm_war_and_peace", arguments.train_words + TEST_WORDS)
    rows = [
        {"text": word.translate(REFORM), "target": sounds}
        for word, sounds in zip(words, sounds_of(words, Path(arguments.model)), strict=True)
    ]
    files = {"train": rows[TEST_WORDS:], "test": rows[:TEST_WORDS]}
    for name, content in files.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        (scratch / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    out = scratch / "run"
    options = {"task": "text-to-text", "model": arguments.model, "train": scratch / "train.jsonl", "out": out}
    settings = {"task.headline": "exact_match", "task.max_new_tokens": 40, "train.epochs": arguments.epochs}
    settings |= {"train.seed": arguments.seed, "evaluate.baselines": "false"}
    settings |= {"train.learning_rate": arguments.learning_rate} if arguments.learning_rate else {}
    seconds = tunesmith_cli.fit(options, settings)
    judged = tunesmith_cli.evaluate(out, scratch / "test.jsonl")
    before, after = judged["baselines"]["frozen"]["exact_match"], judged["scores"]["exact_match"]
    return {
        "train_words": len(files["train"]),
        "test_words": TEST_WORDS,
        "settings": settings,
        "seed": arguments.seed,
        "before": before,
        "after": after,
        "gain": judged["gain"],
        "command_s": seconds,
        "passed": before["value"] <= BEFORE and after["value"] >= AFTER,
    }


def main() -> None:
    """Measure, write results/spelling.json; fails where the reform is known before or not learnt."""
    parser = benchmark_parser(__doc__ or "")
    parser.add_argument("--train-words", type=int, default=6000)
    parser.add_argument("--epochs", type=float, default=12.0)
    parser.add_argument("--learning-rate", type=float, help="default: that of fit")
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = measure(arguments, Path(name))
    print(write_result(RESULT, result))
    rows = [[name, f"{result[name]['value']:.2f}"] for name in ("before", "after")]
    print_table("exact match on words in the new spelling", ["", "share"], rows)
    if not result["passed"]:
        raise SystemExit(f"wanted at most {BEFORE} before and {AFTER} after")


if __name__ == "__main__":
    main()
