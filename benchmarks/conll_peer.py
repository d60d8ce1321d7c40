"""transformers.Trainer at its best on CoNLL files: a whole fine-tuning of a tagger, as a process of its own.

bf16, batches grouped by length, a look at the development file after each epoch, the best weights kept: the recipe that
`tunesmith fit` follows by itself. The first token of a word carries its tag.

Run: python -m benchmarks.conll_peer --train F --dev F --test F --out DIR
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import transformers

from benchmarks.common import model_folder, read_conll
from benchmarks.peers import CLIP, WARMUP_SHARE, WEIGHT_DECAY
from tunesmith.tasks.words import spans_of

IGNORED = -100
Sentence = tuple[list[str], list[str]]


def encode(tokenizer: Any, sentences: list[Sentence], ids: dict[str, int], max_tokens: int) -> list[dict[str, Any]]:
    """Return token ids and labels; only the first token of each word has one."""
    found = tokenizer(
        [words for words, _ in sentences], is_split_into_words=True, truncation=True, max_length=max_tokens
    )
    rows = []
    for place, (_, tags) in enumerate(sentences):
        words = found.word_ids(place)
        first = [word is not None and (at == 0 or words[at - 1] != word) for at, word in enumerate(words)]
        labels = [ids[tags[word]] if is_first else IGNORED for word, is_first in zip(words, first, strict=True)]
        rows.append({**{key: found[key][place] for key in found}, "labels": labels})
    return rows


def entity_f1(predicted: list[list[str]], gold: list[list[str]]) -> float:
    """Return the strict, micro-averaged F1 of entities."""
    pairs = [(set(spans_of(answer)), set(spans_of(tags))) for answer, tags in zip(predicted, gold, strict=True)]
    hits = sum(len(answer & right) for answer, right in pairs)
    return 2 * hits / max(1, sum(len(answer) + len(right) for answer, right in pairs))


def tags_of(logits: Any, labels: Any, names: list[str]) -> tuple[list[list[str]], list[list[str]]]:
    """Return predicted and right tags of each sentence, from what the Trainer hands over."""
    answers = np.asarray(logits).argmax(-1)
    kept = np.asarray(labels) != IGNORED
    return (
        [[names[tag] for tag in row[keep]] for row, keep in zip(answers, kept, strict=True)],
        [[names[tag] for tag in row[keep]] for row, keep in zip(np.asarray(labels), kept, strict=True)],
    )


def train(arguments: argparse.Namespace) -> dict[str, float]:
    """Fine-tune, keep the best weights, judge them on the test file."""
    began = time.perf_counter()
    transformers.set_seed(arguments.seed)
    splits = {name: read_conll(getattr(arguments, name)) for name in ("train", "dev", "test")}
    names = sorted({tag for _, tags in splits["train"] + splits["dev"] for tag in tags})
    ids = {name: place for place, name in enumerate(names)}
    folder = model_folder(arguments.model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = {name: encode(tokenizer, part, ids, arguments.max_tokens) for name, part in splits.items()}
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        folder, num_labels=len(names), id2label=dict(enumerate(names)), label2id=ids
    )
    steps = arguments.epochs * math.ceil(len(rows["train"]) / arguments.batch_size)
    settings = transformers.TrainingArguments(
        output_dir=str(arguments.out),
        per_device_train_batch_size=arguments.batch_size,
        per_device_eval_batch_size=64,
        num_train_epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        weight_decay=WEIGHT_DECAY,
        warmup_steps=math.ceil(WARMUP_SHARE * steps),
        max_grad_norm=CLIP,
        bf16=True,
        use_cpu=True,
        train_sampling_strategy="group_by_length",
        seed=arguments.seed,
        logging_strategy="no",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="entity_f1",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(
        model=model,
        args=settings,
        train_dataset=rows["train"],
        eval_dataset=rows["dev"],
        data_collator=transformers.DataCollatorForTokenClassification(tokenizer),
        compute_metrics=lambda found: {"entity_f1": entity_f1(*tags_of(found.predictions, found.label_ids, names))},
    )
    trainer.train()
    trainer.save_model(str(arguments.out / "best"))
    fitted_s = time.perf_counter() - began
    test = trainer.predict(rows["test"])
    f1 = entity_f1(*tags_of(test.predictions, test.label_ids, names))
    return {"test_entity_f1": f1, "test_s": time.perf_counter() - began - fitted_s}


def main() -> None:
    """Read the command line, train, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "dev", "test", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--seed", type=int, default=13)
    print(json.dumps(train(parser.parse_args())))


if __name__ == "__main__":
    main()
