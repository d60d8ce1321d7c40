"""The loop: what a step is, what it does when memory or numbers run out, what reaches the loss."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from tests.tiny import make_rows
from tunesmith import engine, fitting, inference, labelled_rows, preparation
from tunesmith.config import RunConfig, resolve_config
from tunesmith.contracts import Batch, Encoded, Outputs, StepReport, Task
from tunesmith.errors import TrainingError
from tunesmith.events import Evaluated, Finished, Saved
from tunesmith.model import Model
from tunesmith.optimization import build_optimizer, schedule_factor
from tunesmith.packing import Schedule, Sizes, pack, schedule_run
from tunesmith.preparation import Setup

ROWS = make_rows(24)
NO_DROPOUT = "model.dropout=0"


def make_config(trunk: Path, *settings: str) -> RunConfig:
    base = {
        "model": {"name": str(trunk)},
        "task": {"name": "text-classification"},
        "train": {"precision": "fp32", "device": "cpu", "batch_size": 8, "epochs": 2, "learning_rate": 1e-3},
        "evaluate": {"baselines": False, "resamples": 100},
    }
    return resolve_config(base, settings=settings)


def make_setup(trunk: Path, *settings: str, rows: Sequence[Any] = ROWS[:16]) -> Setup:
    config = make_config(trunk, *settings)
    task, method = preparation.make_parts(config)
    splits = labelled_rows.read_splits(config, task, list(rows), ROWS[16:])
    return preparation.prepare(config, splits, task, method)


def make_job(setup: Setup, task: Any = None) -> engine.Job:
    return engine.Job(
        setup.model,
        task or setup.task,
        setup.labels,
        setup.groups,
        setup.schedule,
        setup.config.train,
        setup.precision,
    )


def train(setup: Setup, task: Any = None, **options: Any) -> list[StepReport]:
    optimizer = build_optimizer(setup.model, setup.config.train, setup.learning_rate.value)
    return list(engine.steps(replace(make_job(setup, task), **options), optimizer))


def weights(setup: Setup) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in setup.model.parameters()])


class Watched:
    """A task whose forward is watched, or fails on purpose."""

    def __init__(self, task: Task, before: Callable[[Batch], None]) -> None:
        self._task, self._before = task, before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def forward(self, model: Model, batch: Batch) -> Outputs:
        self._before(batch)
        return self._task.forward(model, batch)


def out_of_memory_above(tokens: int, error: Exception | None = None) -> Callable[[Batch], None]:
    def check(batch: Batch) -> None:
        if len(batch.input_ids) > tokens:
            raise error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    return check


@pytest.mark.parametrize(
    "error",
    [None, RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to …")],
    ids=["accelerator", "processor"],
)
def test_out_of_memory_halves_the_pass_and_changes_nothing(error: Exception | None, tiny_bert: Path) -> None:
    settings = (NO_DROPOUT, "train.optimizer=sgd", "train.learning_rate=0.05")  # Adam would blow up rounding
    plain, short = make_setup(tiny_bert, *settings), make_setup(tiny_bert, *settings)
    reports = train(plain)
    tight = train(short, Watched(short.task, out_of_memory_above(40, error)))
    assert {report.micro_batches for report in reports} == {1}
    assert all(report.micro_batches > 1 for report in tight)
    assert all(report.micro_batch_tokens <= 40 for report in tight), "what the memory holds is in the report"
    assert [report.loss for report in tight] == pytest.approx([report.loss for report in reports], rel=1e-5)
    assert [report.units for report in tight] == [report.units for report in reports]
    distance = (weights(short) - weights(plain)).norm() / weights(plain).norm()
    assert float(distance) <= 1e-6 < float((weights(plain) - weights(make_setup(tiny_bert))).norm())


def test_a_smaller_pass_stays_small(tiny_bert: Path) -> None:
    """It is not tried again and again: the passes that failed are those of the first step."""
    setup, sizes = make_setup(tiny_bert), []
    limit = out_of_memory_above(40)
    reports = train(setup, Watched(setup.task, lambda batch: (sizes.append(len(batch.input_ids)), limit(batch))[1]))
    first_fitting = next(place for place, size in enumerate(sizes) if size <= 40)
    assert all(size <= 40 for size in sizes[first_fitting:])
    assert len({report.micro_batch_tokens for report in reports}) == 1


def test_a_group_that_does_not_fit_alone_is_named(tiny_bert: Path) -> None:
    rows = [*ROWS[:5], {"text": "the film was good " * 9, "label": "positive"}, *ROWS[6:16]]
    setup = make_setup(tiny_bert, rows=rows)
    before, longest = weights(setup).clone(), max(item.length_tokens for item in setup.train_items)
    with pytest.raises(TrainingError) as caught:
        train(setup, Watched(setup.task, out_of_memory_above(20)), schedule=in_one_step(setup))
    assert f"{longest} tokens" in caught.value.message
    assert "training rows (counted from 1): 6" in caught.value.message
    assert "max_tokens" in (caught.value.fix or "")
    assert torch.equal(weights(setup), before), "nothing was learnt from half a step"


def in_one_step(setup: Setup) -> Schedule:
    return schedule_run(setup.schedule.lengths_tokens, Sizes(batch_size=99), seed=0, epochs=1)


def test_other_errors_are_not_taken_for_memory(tiny_bert: Path) -> None:
    setup = make_setup(tiny_bert)
    with pytest.raises(RuntimeError, match="something else"):
        train(setup, Watched(setup.task, out_of_memory_above(10, RuntimeError("something else"))))


def test_splits_for_memory_are_recorded_and_kept_when_resumed(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tiny_bert, "train.checkpoint_steps=1", f"output.folder={tmp_path}")
    kind, tight = type(preparation.make_parts(config)[0]), out_of_memory_above(40)
    forward = kind.forward

    def scarce(self: Any, model: Model, batch: Batch) -> Outputs:
        if model.training:
            tight(batch)
        return forward(self, model, batch)

    monkeypatch.setattr(kind, "forward", scarce)
    events = fitting.run(config, ROWS[:16], ROWS[16:])
    saved = next(event for event in events if isinstance(event, Saved))
    events.close()  # type: ignore[attr-defined]
    state = json.loads((saved.folder / "state.json").read_text())
    assert state["out_of_memory_splits"] == [[1, state["micro_batch_tokens"]]]
    assert state["micro_batch_tokens"] <= 40
    monkeypatch.setattr(kind, "forward", forward)
    reports = [e for e in fitting.run(config, ROWS[:16], ROWS[16:]) if isinstance(e, StepReport)]
    assert {report.micro_batch_tokens for report in reports} == {state["micro_batch_tokens"]}
    assert reports[0].step == 2


@pytest.mark.parametrize("what", ["nan", "inf"])
def test_a_loss_that_is_no_number_names_its_rows_and_moves_no_weight(what: str, tiny_bert: Path) -> None:
    setup = make_setup(tiny_bert)
    bad = {2, 11}

    class Broken:
        def __getattr__(self, name: str) -> Any:
            return getattr(setup.task, name)

        def forward(self, model: Model, batch: Batch) -> Outputs:
            outputs = dict(setup.task.forward(model, batch))
            factors = [float(what) if item.row in bad else 1.0 for item in batch.items]
            return {"logits": outputs["logits"] * torch.tensor(factors)[:, None]}

    before = weights(setup).clone()
    with pytest.raises(TrainingError, match="step 1 is no finite number") as caught:
        train(setup, Broken(), schedule=in_one_step(setup))
    assert caught.value.message.endswith("training rows (counted from 1): 3, 12")
    assert caught.value.fix
    assert torch.equal(weights(setup), before)


def test_a_gradient_that_is_no_number_moves_no_weight(tiny_bert: Path) -> None:
    setup = make_setup(tiny_bert)
    before = weights(setup).clone()

    def penalty(model: Model, outputs: Outputs, batch: Batch) -> torch.Tensor:
        zero = outputs["logits"].sum() * 0
        return torch.sqrt(zero)  # 0, with the gradient 0 · ∞

    with pytest.raises(TrainingError, match=r"gradient of step 1 is nan.*training rows"):
        train(setup, penalty=penalty)
    assert torch.equal(weights(setup), before)


def test_dropout_depends_on_seed_and_step_alone(tiny_bert: Path) -> None:
    def loss(seed: int, step: int, noise: int = 0) -> float:
        setup = make_setup(tiny_bert, "model.dropout=0.3", f"train.seed={seed}")
        setup.model.load_state_dict(state)
        torch.manual_seed(noise)
        return engine.accumulate(make_job(setup), [groups], step)[0]

    first = make_setup(tiny_bert, "model.dropout=0.3")
    state, groups = first.model.state_dict(), first.groups[:8]
    losses = [loss(13, 1), loss(13, 1, noise=5), loss(13, 2), loss(14, 1)]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3


def test_looking_at_the_model_between_steps_changes_nothing(tiny_bert: Path) -> None:
    seen = []
    for look in (False, True):
        setup = make_setup(tiny_bert)
        optimizer = build_optimizer(setup.model, setup.config.train, setup.learning_rate.value)
        for _ in engine.steps(make_job(setup), optimizer):
            if look:
                inference.predict_items(setup.model, setup.task, setup.dev_items, setup.labels)
                setup.model.eval()
                torch.rand(7)
        seen.append(weights(setup))
    assert torch.equal(*seen)


@pytest.mark.parametrize(
    "options",
    [
        {"class_weights": {"negative": 3.0}},
        {"class_weights": "balanced"},
        {"label_smoothing": 0.2},
        {"label_smoothing": 0.2, "class_weights": {"positive": 0.5}},
    ],
    ids=str,
)
def test_weights_and_smoothing_reach_the_loss(options: dict[str, Any], tiny_bert: Path) -> None:
    """Against torch's own cross-entropy on the logits of one step."""
    rows = [row for row in ROWS[:16] if row["label"] == "positive" or "film" in row["text"]]
    settings = [f"task.{key}={json.dumps(value)}" for key, value in options.items()]
    setup = make_setup(tiny_bert, NO_DROPOUT, "train.batch_size=99", "train.max_steps=1", *settings, rows=rows)
    setup.model.eval()
    with torch.no_grad():
        logits = setup.task.forward(setup.model, pack(setup.groups))["logits"]
    targets = torch.tensor([item.target for item in setup.train_items])
    weight = options.get("class_weights")
    if weight == "balanced":
        counts = torch.tensor(setup.labels.counts, dtype=torch.float32)
        weight = counts.sum() / (len(counts) * counts)
    elif weight is not None:
        weight = torch.tensor([weight.get(name, 1.0) for name in setup.labels.names])
    smoothing = options.get("label_smoothing", 0.0)
    wanted = functional.cross_entropy(logits, targets, weight, label_smoothing=smoothing)
    assert train(setup)[0].loss == pytest.approx(float(wanted), rel=1e-5)
    assert float(wanted) != pytest.approx(float(functional.cross_entropy(logits, targets)), rel=1e-4)


def test_focal_loss_reaches_the_loss(tiny_bert: Path) -> None:
    setup = make_setup(tiny_bert, NO_DROPOUT, "train.batch_size=99", "train.max_steps=1", "task.focal_gamma=2")
    setup.model.eval()
    with torch.no_grad():
        logits = setup.task.forward(setup.model, pack(setup.groups))["logits"]
    right = logits.softmax(1)[torch.arange(16), torch.tensor([item.target for item in setup.train_items])]
    assert train(setup)[0].loss == pytest.approx(float(((1 - right) ** 2 * -right.log()).mean()), rel=1e-5)


@pytest.mark.parametrize("shape", ["linear", "cosine", "constant"])
def test_reports_follow_the_schedule(shape: str, tiny_bert: Path) -> None:
    reports = train(make_setup(tiny_bert, f"train.schedule={shape}", "train.warmup=0.3"))
    assert len(reports) == 4
    factors = [schedule_factor(step, 4, 0.3, shape) for step in (1, 2, 3, 4)]
    assert [report.learning_rate for report in reports] == pytest.approx([1e-3 * one for one in factors])
    assert [report.epoch for report in reports] == [0.5, 1.0, 1.5, 2.0]
    assert [report.step for report in reports] == [1, 2, 3, 4]


def test_clipping_bounds_the_step_and_reports_the_norm_before(tiny_bert: Path) -> None:
    common = (NO_DROPOUT, "train.optimizer=sgd", "train.momentum=0", "train.weight_decay=0", "train.max_steps=1")
    moves, norms = [], []
    for clip in ("0", "0.01"):
        setup = make_setup(tiny_bert, *common, "train.warmup=0", f"train.clip={clip}")
        before = weights(setup).clone()
        norms.append(train(setup)[0].gradient_norm)
        moves.append(float((weights(setup) - before).norm()))
    assert norms[0] == norms[1] > 0.01
    assert moves[0] == pytest.approx(1e-3 * norms[0], rel=1e-2)
    assert moves[1] == pytest.approx(1e-3 * 0.01, rel=1e-2)


def test_batches_by_tokens(tiny_bert: Path) -> None:
    setup = make_setup(tiny_bert, "train.batch_tokens=60")
    reports = train(setup)
    assert all(report.tokens <= 60 for report in reports)
    assert sum(report.units for report in reports) == 2 * 16
    assert len({report.units for report in reports}) > 1 or reports[0].units not in (8, 16)


@pytest.mark.parametrize(
    ("settings", "steps", "rows"),
    [(["train.epochs=0.5"], 1, 8), (["train.epochs=1.5"], 3, 24), (["train.max_steps=3"], 3, 24)],
    ids=str,
)
def test_fractions_of_epochs_and_the_most_steps(settings: list[str], steps: int, rows: int, tiny_bert: Path) -> None:
    reports = train(make_setup(tiny_bert, *settings))
    assert len(reports) == steps
    assert sum(report.units for report in reports) == rows


def test_every_row_is_seen_once_an_epoch_in_changing_order(tiny_bert: Path) -> None:
    seen: list[int] = []
    setup = make_setup(tiny_bert)
    train(setup, Watched(setup.task, lambda batch: seen.extend(item.row for item in batch.items)))
    epochs = seen[:16], seen[16:]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(16))
    assert {*epochs[0][:8]} != {*epochs[1][:8]}


def test_corruption_is_a_function_of_seed_epoch_and_row(tiny_bert: Path) -> None:
    def draws(seed: int, batch_size: int) -> dict[tuple[int, int], float]:
        setup = make_setup(tiny_bert, f"train.seed={seed}", f"train.batch_size={batch_size}")
        found: dict[tuple[int, int], float] = {}
        times: dict[int, int] = {}

        class Drawing:
            def __getattr__(self, name: str) -> Any:
                return getattr(setup.task, name)

            def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
                times[item.row] = times.get(item.row, -1) + 1
                found[times[item.row], item.row] = rng.random()
                return item

        train(setup, Drawing())
        return found

    first = draws(1, 8)
    assert len(set(first.values())) == len(first) == 32
    assert first == draws(1, 5), "whatever stands beside it in the batch"
    assert not set(first.values()) & set(draws(2, 8).values())


def test_a_penalty_is_added_to_the_summed_loss(tiny_bert: Path) -> None:
    options = (NO_DROPOUT, "train.max_steps=1")
    plain, pulled = make_setup(tiny_bert, *options), make_setup(tiny_bert, *options)

    def penalty(model: Model, outputs: Outputs, batch: Batch) -> torch.Tensor:
        return 0.5 * len(batch.items) + 0 * outputs["logits"].sum()

    assert train(pulled, penalty=penalty)[0].loss == pytest.approx(train(plain)[0].loss + 0.5, rel=1e-5)


def test_frozen_layers_stay_and_the_others_move(tiny_bert: Path) -> None:
    setup = make_setup(tiny_bert, "method.train_layers=top:1")
    before = {name: p.detach().clone() for name, p in setup.model.named_parameters()}
    train(setup)
    depths = setup.model.depths()
    moved = {depths[name] for name, p in setup.model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {2, 3}


def test_bf16_trains_close_to_fp32(tiny_bert: Path) -> None:
    exact, rounded = (train(make_setup(tiny_bert, NO_DROPOUT, f"train.precision={name}")) for name in ("fp32", "bf16"))
    losses = [[report.loss for report in reports] for reports in (exact, rounded)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], abs=0.02)


@pytest.mark.parametrize(("wished", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_and_device_as_wished(wished: str, dtype: torch.dtype) -> None:
    assert engine.choose_precision(wished, torch.device("cpu")) is dtype
    assert engine.choose_precision("auto", torch.device("cpu")) in (torch.float32, torch.bfloat16)
    assert engine.choose_device("cpu") == torch.device("cpu")


def test_patience_ends_the_run_and_the_best_weights_come_back(tiny_bert: Path, tmp_path: Path) -> None:
    """The score never gets better than after step 1, so what is written is the model of a run of one step."""
    still = ("evaluate.steps=1", "train.schedule=constant", "train.warmup=0", "train.learning_rate=1e-7")
    folders = [tmp_path / "stopped", tmp_path / "one step"]
    for folder, settings in zip(folders, (["train.patience=2"], ["train.max_steps=1"]), strict=True):
        config = make_config(tiny_bert, *still, *settings, "train.epochs=9", f"output.folder={folder}")
        events = list(fitting.run(config, ROWS[:16], ROWS[16:]))
    stopped = json.loads((folders[0] / "metrics.json").read_text())
    assert (stopped["steps"], stopped["best_step"]) == (3, 1)
    assert isinstance(events[-1], Finished)
    stored = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert stored[0] == stored[1]


def test_early_stopping_watches_the_metric_that_was_asked_for(tiny_bert: Path, tmp_path: Path) -> None:
    config = make_config(
        tiny_bert, "evaluate.steps=1", "evaluate.metric=macro_f1", f"output.folder={tmp_path}", "train.max_steps=3"
    )
    looks = [e for e in fitting.run(config, ROWS[:16], ROWS[16:]) if isinstance(e, Evaluated)]
    assert {look.headline for look in looks} == {"macro_f1"}
    best, values = -1.0, [look.scores["macro_f1"] for look in looks]
    for look, value in zip(looks, values, strict=True):
        assert look.is_best == (value > best)
        best = max(best, value)


def test_masks_come_from_a_pool_while_training_only(tiny_bert: Path) -> None:
    """The pool belongs to the run: whoever trains the model elsewhere afterwards gets torch's own dropout."""
    setup = make_setup(tiny_bert, "train.max_steps=2")
    running = engine.steps(make_job(setup), build_optimizer(setup.model, setup.config.train, 1e-3))
    next(running)
    assert setup.model.masks is not None
    running.close()
    assert setup.model.masks is None
    assert not any("forward" in vars(m) for m in setup.model.modules() if type(m) is torch.nn.Dropout)


def test_a_gpu_adds_in_a_fixed_order_while_training_and_only_then() -> None:
    options: Any = torch.utils.deterministic
    for device, fixed in (("cpu", False), ("cuda", True)):
        with engine.fixed_order(torch.device(device)):
            assert torch.are_deterministic_algorithms_enabled() == fixed
            assert options.fill_uninitialized_memory != fixed
        assert not torch.are_deterministic_algorithms_enabled()
        assert options.fill_uninitialized_memory


def test_what_a_gpu_needs_for_a_fixed_order_is_set_before_its_first_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for given, wanted in ((":16:8", ":16:8"), (None, ":4096:8")):  # the user's own choice stays
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", given or "")
        if given is None:
            monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
        assert engine.choose_device("auto") == torch.device("cuda")
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == wanted
