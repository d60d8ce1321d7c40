"""SetFit as its own documentation runs it: one draw of rows, as a process of its own.

Its defaults (batches of 16 pairs, one epoch, 2e-5, logistic regression on the vectors), in float32. Pairs are drawn as
in the paper (`--iterations 20`: 20 equal and 20 unequal ones a row; Tunstall et al. 2022, section 4.3) or, with
`--iterations 0`, by the default of version 1: all pairs, those of one class as often as the others.

Run: python -m benchmarks.setfit_peer --train F --test F    (needs pip install setfit)
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import class_ids, model_folder, read_jsonl


def load_peer() -> Any:
    """Return the package, or stop with how to get it."""
    try:
        import setfit
    except ImportError as error:
        raise SystemExit(f"SetFit cannot be imported ({error}); pip install setfit") from None
    return setfit


def load_encoder(folder: str) -> Any:
    """Return the sentence encoder: as its folder says, or the mean of the token vectors, at length 1."""
    import sentence_transformers

    if Path(folder, "modules.json").is_file():
        return sentence_transformers.SentenceTransformer(folder, device="cpu")
    parts = sentence_transformers.models
    trunk = parts.Transformer(folder)
    pooling = parts.Pooling(trunk.get_word_embedding_dimension(), pooling_mode="mean")
    return sentence_transformers.SentenceTransformer(modules=[trunk, pooling, parts.Normalize()], device="cpu")


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train on one file and answer another; returns the answers in order, accuracy and seconds."""
    began = time.perf_counter()
    setfit = load_peer()
    import datasets

    rows, test = (read_jsonl(path) for path in (arguments.train, arguments.test))
    ids, names = class_ids(row["label"] for row in rows)
    model = setfit.SetFitModel(
        model_body=load_encoder(model_folder(arguments.model)), model_head=_linear_head(), labels=names
    )
    with tempfile.TemporaryDirectory() as scratch:
        settings = setfit.TrainingArguments(
            output_dir=scratch,
            num_iterations=arguments.iterations or None,
            max_steps=arguments.max_steps or -1,
            seed=arguments.seed,
            show_progress_bar=False,
            report_to="none",
            save_strategy="no",
        )
        given = datasets.Dataset.from_dict({"text": [row["text"] for row in rows], "label": ids})
        trainer = setfit.Trainer(model=model, args=settings, train_dataset=given)
        started = time.perf_counter()
        trainer.train()
        train_s = time.perf_counter() - started
    started = time.perf_counter()
    answers = [str(answer) for answer in model.predict([row["text"] for row in test], batch_size=32)]
    return {
        "answers": answers,
        "accuracy": sum(a == row["label"] for a, row in zip(answers, test, strict=True)) / len(test),
        "train_s": train_s,
        "predict_s": time.perf_counter() - started,
        "whole_s": time.perf_counter() - began,
        "setfit": importlib.metadata.version("setfit"),
    }


def _linear_head() -> Any:
    """The head that SetFit makes by default."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def main() -> None:
    """Read the command line, train, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "test"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--iterations", type=int, default=20, help="0: all pairs, the default of SetFit 1")
    parser.add_argument("--max-steps", type=int, default=0, help="0: an epoch of the pairs")
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):  # what the libraries print is no result
        found = train(arguments)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
