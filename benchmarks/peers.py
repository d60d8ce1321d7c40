"""The ways Tunesmith is measured against, written the way their own users write them."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers.trainer_pt_utils import get_length_grouped_indices

from benchmarks.steps import StepClock, StepJob, StepResult

WARMUP_SHARE = 0.06
WEIGHT_DECAY = 0.01
CLIP = 1.0
TRAINER_MEGABATCH = 50  # batches that transformers.Trainer sorts together in a set of usual size


def pick_device(wanted: str) -> str:
    """Return `cpu` or `cuda`; `auto` takes the GPU when there is one."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def load_classifier(model: str, classes: int) -> Any:
    """Return the stock sequence classifier over a base model, in fp32, with a fresh head."""
    return transformers.AutoModelForSequenceClassification.from_pretrained(
        model, num_labels=classes, dtype=torch.float32
    )


def tokenizer_of(model: str) -> Any:
    """Return a base model's tokenizer."""
    return transformers.AutoTokenizer.from_pretrained(model)


def tokenised(model: str, texts: list[str], max_tokens: int) -> list[dict[str, Any]]:
    """Return one dict of unpadded token lists a text."""
    columns = tokenizer_of(model)(texts, truncation=True, max_length=max_tokens)
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def real_tokens(model: str, texts: list[str], max_tokens: int) -> int:
    """Count the tokens of the texts, special ones included, padding not."""
    return sum(len(row["input_ids"]) for row in tokenised(model, texts, max_tokens))


# --- the textbook loop -----------------------------------------------------------------------------------


def _textbook_loader(job: StepJob) -> torch.utils.data.DataLoader[Any]:
    texts, labels = job.texts[: job.used_rows], job.labels[: job.used_rows]
    encoded = tokenizer_of(job.model)(
        texts, padding="max_length", truncation=True, max_length=job.max_tokens, return_tensors="pt"
    )
    names = list(encoded)
    rows = torch.utils.data.TensorDataset(*(encoded[name] for name in names), torch.tensor(labels))

    def collate(batch: list[tuple[torch.Tensor, ...]]) -> dict[str, torch.Tensor]:
        columns = [torch.stack(column) for column in zip(*batch, strict=True)]
        return dict(zip([*names, "labels"], columns, strict=True))

    return torch.utils.data.DataLoader(rows, batch_size=job.batch_size, shuffle=False, collate_fn=collate)


def textbook_steps(job: StepJob) -> StepResult:
    """Time the tutorials' loop: every text padded to `max_tokens`, fp32, AdamW, linear schedule, clipping."""
    transformers.set_seed(job.seed)
    model = load_classifier(job.model, job.classes).to(job.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=job.learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = transformers.get_linear_schedule_with_warmup(
        optimizer, math.ceil(WARMUP_SHARE * job.total_steps), job.total_steps
    )
    loader, clock = _textbook_loader(job), StepClock(job)
    model.train()
    for batch in loader:
        loss = model(**{name: column.to(job.device) for name, column in batch.items()}).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        clock.tick()
    return clock.result()


# --- transformers.Trainer --------------------------------------------------------------------------------


class ClockCallback(transformers.TrainerCallback):
    """Ticks a step clock from inside `transformers.Trainer`, which offers no other place to do it."""

    def __init__(self, clock: StepClock) -> None:
        self._clock = clock

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Note the end of an optimizer step."""
        self._clock.tick()


@dataclass(frozen=True)
class Recipe:
    """What a Trainer run needs to know besides its rows."""

    batch_size: int
    epochs: int
    learning_rate: float
    seed: int
    device: str
    bf16: bool
    sampling: str  # random | sequential | group_by_length, the Trainer's own names
    max_tokens: int = 128
    max_steps: int = -1


def training_arguments(recipe: Recipe, rows: int, folder: str) -> transformers.TrainingArguments:
    """Return the Trainer's arguments; nothing is logged, evaluated or saved while it trains."""
    steps = recipe.max_steps if recipe.max_steps > 0 else recipe.epochs * math.ceil(rows / recipe.batch_size)
    return transformers.TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=64,
        num_train_epochs=recipe.epochs,
        max_steps=recipe.max_steps,
        learning_rate=recipe.learning_rate,
        weight_decay=WEIGHT_DECAY,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(WARMUP_SHARE * steps),
        max_grad_norm=CLIP,
        bf16=recipe.bf16,
        train_sampling_strategy=recipe.sampling,
        seed=recipe.seed,
        use_cpu=recipe.device == "cpu",
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def _arranged(job: StepJob, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the timed rows in the order of the Trainer's group_by_length; the warm-up rows stay in front.

    The Trainer's own function does it, on as many batches at once as are sorted in a full training set.
    Its sampler would take fewer at once on so few rows, and the peer would be slower than it really is.
    """
    front = job.warmup_steps * job.batch_size
    lengths = [len(row["input_ids"]) for row in rows[front:]]
    generator = torch.Generator().manual_seed(job.seed)
    order = get_length_grouped_indices(lengths, job.batch_size, TRAINER_MEGABATCH, generator)
    return rows[:front] + [rows[front + position] for position in order]


def trainer_run(job: StepJob, variant: str) -> StepResult:
    """Time transformers.Trainer, padded to the longest text of a batch.

    `default` = fp32, the job's order; `best` = bf16, the same rows grouped by length.
    Raises SystemExit for another variant.
    """
    if variant not in ("default", "best"):
        raise SystemExit(f"Trainer variant {variant!r}: choose default or best")
    transformers.set_seed(job.seed)
    given = zip(job.texts[: job.used_rows], job.labels, strict=False)
    rows = _labelled(job.model, [{"text": text, "label": label} for text, label in given], job.max_tokens)
    rows = _arranged(job, rows) if variant == "best" else rows
    recipe = Recipe(
        batch_size=job.batch_size,
        epochs=1,
        learning_rate=job.learning_rate,
        seed=job.seed,
        device=job.device,
        bf16=variant == "best",
        sampling="sequential",
        max_steps=job.total_steps,
    )
    clock = StepClock(job)
    with tempfile.TemporaryDirectory() as folder:
        transformers.Trainer(
            model=load_classifier(job.model, job.classes),
            args=training_arguments(recipe, len(rows), folder),
            train_dataset=rows,
            data_collator=transformers.DataCollatorWithPadding(tokenizer_of(job.model)),
            callbacks=[ClockCallback(clock)],
        ).train()
    return clock.result()


def trainer_default_steps(job: StepJob) -> StepResult:
    """Time the Trainer as most people run it."""
    return trainer_run(job, "default")


def trainer_best_steps(job: StepJob) -> StepResult:
    """Time the Trainer at its best."""
    return trainer_run(job, "best")


def trainer_fit(
    model: str, rows: tuple[list[dict[str, Any]], list[dict[str, Any]]], classes: int, recipe: Recipe
) -> tuple[list[int], list[int], float]:
    """Fine-tune with the Trainer on the first of the two row lists and predict the second.

    A row is `{"text", "label": class id}`. Returns predicted ids and gold ids in one order (not the file's:
    the Trainer reorders what it evaluates when it groups by length) and the seconds of training alone.
    """
    transformers.set_seed(recipe.seed)
    train, dev = (_labelled(model, part, recipe.max_tokens) for part in rows)
    with tempfile.TemporaryDirectory() as folder:
        trainer = transformers.Trainer(
            model=load_classifier(model, classes),
            args=training_arguments(recipe, len(train), folder),
            train_dataset=train,
            data_collator=transformers.DataCollatorWithPadding(tokenizer_of(model)),
        )
        seconds = trainer.train().metrics["train_runtime"]
        answer = trainer.predict(dev)
    return answer.predictions.argmax(axis=-1).tolist(), answer.label_ids.tolist(), seconds


def _labelled(model: str, rows: list[dict[str, Any]], max_tokens: int) -> list[dict[str, Any]]:
    encoded = tokenised(model, [row["text"] for row in rows], max_tokens)
    return [{**tokens, "labels": row["label"]} for tokens, row in zip(encoded, rows, strict=True)]
