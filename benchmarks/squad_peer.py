"""transformers.Trainer on SQuAD files: a whole fine-tuning of a reader, and its answers, as a process of its own.

The recipe of Hugging Face's question-answering example (`run_qa.py`, its README): windows of 384 tokens that share
128, batches of 12, 3e-5 falling linearly, two epochs, no look at other rows in between; answers of at most 30 tokens
from the 20 best starts and ends of each window. Kinder to it than the example: bf16, windows of like length together
and padded only to the longest, where the example pads all to 384.

Run: python -m benchmarks.squad_peer --train F --test F --out DIR
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from benchmarks.common import model_folder

MAX_TOKENS = 384
SHARED_TOKENS = 128
N_BEST = 20
Question = dict[str, Any]


def read_questions(path: Path) -> list[Question]:
    """Return question, context and answers of each entry of a file in SQuAD's layout."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return [
        {"question": asked["question"], "context": paragraph["context"], "answers": asked.get("answers", [])}
        for article in content["data"]
        for paragraph in article["paragraphs"]
        for asked in paragraph["qas"]
        if asked["question"].strip()
    ]


def make_windows(tokenizer: Any, questions: Sequence[Question]) -> Any:
    """Return the tokenizer's windows over all contexts, with offsets and the question each belongs to."""
    return tokenizer(
        [asked["question"].strip() for asked in questions],
        [asked["context"] for asked in questions],
        truncation="only_second",
        max_length=MAX_TOKENS,
        stride=SHARED_TOKENS,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )


def training_rows(tokenizer: Any, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Return windows with the tokens of the first answer; [CLS] where the window does not hold it whole."""
    windows = make_windows(tokenizer, questions)
    rows = []
    for place, owner in enumerate(windows["overflow_to_sample_mapping"]):
        answer = questions[owner]["answers"][0] if questions[owner]["answers"] else None
        start, end = _target(windows, place, answer)
        rows.append({**_inputs(windows, place), "start_positions": start, "end_positions": end})
    return rows


def _inputs(windows: Any, place: int) -> dict[str, Any]:
    names = ("input_ids", "token_type_ids", "attention_mask")
    return {name: windows[name][place] for name in names if name in windows}


def _target(windows: Any, place: int, answer: dict[str, Any] | None) -> tuple[int, int]:
    if answer is None:
        return 0, 0
    first, behind = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    owners, offsets = windows.sequence_ids(place), windows["offset_mapping"][place]
    inside = [at for at, owner in enumerate(owners) if owner == 1]
    if offsets[inside[0]][0] > first or offsets[inside[-1]][1] < behind:
        return 0, 0
    found = [at for at in inside if offsets[at][1] > first and offsets[at][0] < behind]
    return (found[0], found[-1]) if found else (0, 0)


def answer_all(trainer: Any, tokenizer: Any, questions: Sequence[Question], longest: int) -> list[str]:
    """Return the best answer to each question over its windows."""
    windows = make_windows(tokenizer, questions)
    rows = [_inputs(windows, place) for place in range(len(windows["input_ids"]))]
    trainer.args.train_sampling_strategy = "random"  # grouped by length, predictions come back in another order
    starts, ends = trainer.predict(rows).predictions[:2]
    best: dict[int, tuple[float, str]] = defaultdict(lambda: (-np.inf, ""))
    for place, owner in enumerate(windows["overflow_to_sample_mapping"]):
        owners, offsets = windows.sequence_ids(place), windows["offset_mapping"][place]
        score, span = _best_span(starts[place], ends[place], owners, longest)
        if span is not None and score > best[owner][0]:
            text = questions[owner]["context"][offsets[span[0]][0] : offsets[span[1]][1]]
            best[owner] = (score, text)
    return [best[place][1] for place in range(len(questions))]


def _best_span(
    start: Any, end: Any, owners: Sequence[int | None], longest: int
) -> tuple[float, tuple[int, int] | None]:
    best: tuple[float, tuple[int, int] | None] = (-np.inf, None)
    firsts, lasts = (np.argsort(scores)[::-1][:N_BEST].tolist() for scores in (start, end))
    for first in firsts:
        for last in lasts:
            is_inside = first < len(owners) and last < len(owners) and owners[first] == owners[last] == 1
            if is_inside and first <= last < first + longest and start[first] + end[last] > best[0]:
                best = (float(start[first] + end[last]), (first, last))
    return best


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune, then answer the test file; the answers go to answers.json. A model that is there only answers."""
    began = time.perf_counter()
    transformers.set_seed(arguments.seed)
    kept, fitted = arguments.out / "model", arguments.out / "fitted.json"
    folder = str(kept) if fitted.is_file() else model_folder(arguments.model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder)
    settings = transformers.TrainingArguments(
        output_dir=str(arguments.out),
        per_device_train_batch_size=arguments.batch_size,
        per_device_eval_batch_size=64,
        num_train_epochs=arguments.epochs,
        max_steps=arguments.max_steps,
        learning_rate=arguments.learning_rate,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        train_sampling_strategy="group_by_length",
        seed=arguments.seed,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(
        model=model,
        args=settings,
        train_dataset=training_rows(tokenizer, read_questions(arguments.train)),
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
    )
    if not fitted.is_file():
        loss = trainer.train().training_loss
        trainer.save_model(str(kept))
        tokenizer.save_pretrained(str(kept))
        fitted.write_text(json.dumps({"fit_s": time.perf_counter() - began, "loss": loss}), encoding="utf-8")
    answering = time.perf_counter()
    test = read_questions(arguments.test)
    answers = answer_all(trainer, tokenizer, test, arguments.longest)
    (arguments.out / "answers.json").write_text(json.dumps(answers, ensure_ascii=False), encoding="utf-8")
    return {**json.loads(fitted.read_text(encoding="utf-8")), "test_s": time.perf_counter() - answering}


def main() -> None:
    """Read the command line, train, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "test", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--max-steps", type=int, default=-1)
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--learning-rate", type=float, default=3e-5)
    parser.add_argument("--longest", type=int, default=30, help="tokens of an answer")
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(json.dumps(train(arguments)))


if __name__ == "__main__":
    main()
