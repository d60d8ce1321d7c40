"""Tunesmith's side of the step benchmark."""

from __future__ import annotations

from benchmarks.steps import StepClock, StepJob, StepResult
from tunesmith import base_models, engine, vocabulary
from tunesmith.config import TrainSection
from tunesmith.contracts import Context
from tunesmith.methods import make_method
from tunesmith.model_loading import ModelOptions, load_model
from tunesmith.optimization import build_optimizer
from tunesmith.packing import Schedule, Sizes
from tunesmith.tasks import make_task


class FixedOrder(Schedule):
    """The benchmark's batches in its own order, the same for every way."""

    def steps_from(self, start):
        """Yield the rows of each step as they stand in the file."""
        size = self.sizes.batch_size
        for step in range(start, self.total_steps):
            yield step + 1, 0, 0.0, list(range(step * size, (step + 1) * size))


def tunesmith_steps(job: StepJob) -> StepResult:
    """Run the job's batches with the engine."""
    task = make_task("text-classification", {"kind": "single"})
    rows = [task.Row(text=text, label=label) for text, label in zip(job.texts, job.labels, strict=True)]
    labels = task.labels(rows)
    options = ModelOptions(job.seed, job.max_tokens)
    model = load_model(base_models.resolve(job.model), task.head(labels), options)
    items = task.encode(rows, Context(model.tokenizer, model.tokenizer, labels, model.max_tokens))
    make_method("full", {}).apply(model)
    if job.device == "cpu":
        vocabulary.compact(model, vocabulary.used_ids(items, always=model.tokenizer.all_special_ids))
    model.to(job.device)
    settings = TrainSection(seed=job.seed, learning_rate=job.learning_rate, batch_size=job.batch_size)
    sizes = Sizes(job.batch_size)
    lengths = tuple(item.length_tokens for item in items[: job.used_rows])
    schedule = FixedOrder(lengths, sizes, job.seed, job.total_steps, (job.total_steps,))
    precision = engine.choose_precision("auto", model.device)
    optimizer = build_optimizer(model, settings, job.learning_rate)
    clock = StepClock(job)
    for _report in engine.steps(
        engine.Job(model, task, labels, [[item] for item in items], schedule, settings, precision), optimizer
    ):
        clock.tick()
    return clock.result()
