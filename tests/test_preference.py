"""Preference: the loss by hand, what is likely, the reference before the first step, scores, a whole run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import make_tiny_trunk
from tunesmith import api, base_models, inference, labelled_rows, preparation
from tunesmith.config import resolve_config
from tunesmith.contracts import Encoded, Labels, Task
from tunesmith.model import Model
from tunesmith.model_loading import load_model
from tunesmith.packing import pack
from tunesmith.tasks import make_task
from tunesmith.tasks.preference import Preference
from tunesmith.tasks.preference_loss import preference_loss
from tunesmith.tasks.preference_rows import pair_facts

ROWS: list[dict[str, Any]] = [
    {"prompt": f"the {thing} was", "chosen": f"{good} and the meal too", "rejected": f"{bad}"}
    for thing in ("film", "book", "hotel", "song")
    for good, bad in (("good", "bad"), ("great", "awful"), ("lovely", "ugly"))
]


def loaded(folder: Path, task: Task) -> Model:
    return load_model(base_models.resolve(str(folder)), task.head(Labels(()))).eval()


def encoded(model: Model, task: Task, rows: list[dict[str, Any]]) -> list[Encoded]:
    given = [task.Row.model_validate(row) for row in rows]
    return task.encode(given, inference.make_context(model, task.labels(given)))


def test_the_loss_is_that_of_equation_seven() -> None:
    policy = torch.tensor([[-2.0, -5.0], [-4.0, -3.0]])
    reference = torch.tensor([[-3.0, -4.0], [-4.0, -6.0]])
    moved = [0.5 * (3 - 1), 0.5 * (-1 - 2)]
    by_hand = sum(math.log(1 + math.exp(-x)) for x in moved)
    assert float(preference_loss(policy, reference, beta=0.5)) == pytest.approx(by_hand)
    other_way = sum(math.log(1 + math.exp(x)) for x in moved)
    smoothed = float(preference_loss(policy, reference, beta=0.5, smoothing=0.2))
    assert smoothed == pytest.approx(0.8 * by_hand + 0.2 * other_way)


def test_its_gradient_is_that_of_the_paper() -> None:
    """The paper's gradient: −β σ(−x) for the chosen answer, the same with the other sign for the rejected one."""
    policy = torch.tensor([[-2.0, -5.0]], requires_grad=True)
    reference = torch.tensor([[-3.0, -4.0]])
    (gradient,) = torch.autograd.grad(preference_loss(policy, reference, beta=0.5), policy)
    weight = 0.5 / (1 + math.exp(1.0))
    assert gradient[0].tolist() == pytest.approx([-weight, weight])


@pytest.mark.parametrize("family", ["llama", "gpt2", "bart"])
@pytest.mark.parametrize("mean", [False, True])
def test_likelihoods_are_those_of_hugging_face(family: str, mean: bool, tmp_path: Path) -> None:
    task = make_task("preference", {"length_normalised": mean})
    assert isinstance(task, Preference)
    model = loaded(make_tiny_trunk(tmp_path, family), task)
    items = encoded(model, task, ROWS[:3])
    batch = pack([[item] for item in items])
    with torch.no_grad():
        found = [item.target for item in task.prepare_items(task.forward(model, batch), batch)]
        model.set_packed(False)
        wanted = [tuple(plain_likelihood(model, item, side, mean=mean) for side in (0, 1)) for item in items]
    assert torch.allclose(torch.tensor(found), torch.tensor(wanted), atol=1e-4)


def plain_likelihood(model: Model, item: Encoded, side: int, *, mean: bool) -> float:
    """The log-probability of one answer by the model's own class and a plain log-softmax."""
    if model.has_decoder:
        read, written = (torch.tensor([ids]) for ids in item.sequences[2 * side : 2 * side + 2])
        logits, wanted = model.hf(input_ids=read, labels=written).logits[0], written[0]
    else:
        ids = torch.tensor([item.sequences[side]])
        answer = model.tokenizer(item.meta["answers"][side], add_special_tokens=False)["input_ids"]
        count = len(answer) + 1  # and the token that ends
        assert item.sequences[side][-count:] == [*answer, model.tokenizer.eos_token_id]
        logits, wanted = model.hf(input_ids=ids).logits[0, -count - 1 : -1], ids[0, -count:]
    each = logits.log_softmax(-1)[torch.arange(len(wanted)), wanted]
    return float(each.mean() if mean else each.sum())


def test_a_step_makes_chosen_answers_likelier_and_rejected_ones_less(tmp_path: Path) -> None:
    task = make_task("preference", {})
    assert isinstance(task, Preference)
    model = loaded(make_tiny_trunk(tmp_path, "llama"), task)
    items = encoded(model, task, [{"prompt": "the film was", "chosen": "good", "rejected": "awful"}])
    batch = pack([items])
    with torch.no_grad():
        prepared = task.prepare_items(task.forward(model, batch), batch)
    batch = pack([prepared])
    loss, units = task.loss(task.forward(model, batch), batch, Labels(()))
    assert (float(loss.detach()), units) == (pytest.approx(math.log(2), abs=1e-6), 1.0)
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
        ((chosen, rejected),) = (item.target for item in task.prepare_items(task.forward(model, batch), batch))
    assert chosen > prepared[0].target[0]
    assert rejected < prepared[0].target[1]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_reference_is_the_untouched_model_and_computed_once(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    original = Preference.prepare_items

    def counting(self: Preference, outputs: Any, batch: Any) -> list[Encoded]:
        calls.extend(item.row for item in batch.items)
        return original(self, outputs, batch)

    monkeypatch.setattr(Preference, "prepare_items", counting)
    trunk = make_tiny_trunk(tmp_path / "llama", "llama")
    config = resolve_config(
        {"model": {"name": str(trunk)}, "task": {"name": "preference"}, "method": {"name": method}},
        settings=["train.precision=fp32", "train.device=cpu"],
    )
    task, how = preparation.make_parts(config)
    setup = preparation.prepare(config, labelled_rows.read_splits(config, task, ROWS, ROWS[:4]), task, how)
    assert sorted(calls) == sorted([*range(len(ROWS)), *range(4)])
    fresh = loaded(trunk, task)
    assert isinstance(task, Preference)
    for item in [*setup.train_items, *setup.dev_items]:
        batch = pack([[item]])
        with torch.no_grad():
            alone = original(task, task.forward(fresh, batch), batch)[0].target
        assert item.target == pytest.approx(alone, abs=1e-4)


def test_scores_are_made_of_counts() -> None:
    task, labels = make_task("preference", {}), Labels(())
    rows = [task.Row.model_validate(row) for row in ROWS[:2]]
    parts = [(rows[0].chosen, rows[0].rejected, 3.0, 1.0), (rows[1].chosen, rows[1].rejected, -1.0, -2.0)]
    answers = [task.join([part], labels) for part in parts]
    assert [answer.preferred for answer in answers] == ["chosen", "rejected"]
    assert [answer.reward_margin for answer in answers] == pytest.approx([0.2, 0.1])
    counts = [task.tally(answer, task.gold(row, labels), labels) for answer, row in zip(answers, rows, strict=True)]
    total = {key: sum(one[key] for one in counts) for key in counts[0]}
    assert task.score(total, labels) == pytest.approx(
        {"margin": 1.0, "preference_accuracy": 0.5, "reward_margin": 0.15, "reward_accuracy": 1.0}
    )
    unknown = task.join([(*parts[0][:3], None)], labels)
    assert unknown.reward_margin is None
    assert set(task.score(task.tally(unknown, rows[0].chosen, labels), labels)) == {"margin", "preference_accuracy"}


def test_rules_go_by_length_and_lose_where_it_is_equal() -> None:
    task = make_task("preference", {"headline": "preference_accuracy"})
    pairs = [("long answer", "short"), ("short", "long answer"), ("same", "size")]
    rows = [task.Row(prompt="?", chosen=chosen, rejected=rejected) for chosen, rejected in pairs]
    found = {}
    assert [one.name for one in make_task("preference", {}).baselines(Labels(()))] == ["frozen"]
    for baseline in task.baselines(Labels(()))[:2]:
        features: Any = None
        found[baseline.name] = [answer.preferred for answer in baseline.predict([], rows, features)]
    assert found == {"shorter": ["rejected", "chosen", "rejected"], "longer": ["chosen", "rejected", "rejected"]}
    assert pair_facts(rows)["chosen_longer"] == pytest.approx(1 / 3)


def test_answers_that_are_cut_are_counted(tmp_path: Path) -> None:
    task = make_task("preference", {"max_answer_tokens": 4})
    model = loaded(make_tiny_trunk(tmp_path, "llama"), task)
    long = " ".join(["the film was good"] * 40)
    short, cut = encoded(
        model, task, [ROWS[0] | {"chosen": "good"}, {"prompt": "a", "chosen": long, "rejected": "bad"}]
    )
    assert short.cut_tokens == 0
    assert cut.cut_tokens == len(model.tokenizer(long)["input_ids"]) + 1 - 4


def test_a_run_is_judged_beside_the_model_before_and_used_without_it(tmp_path: Path) -> None:
    trunk = make_tiny_trunk(tmp_path / "llama", "llama")
    result = api.fit(
        ROWS,
        dev=ROWS,
        out=tmp_path / "run",
        config={"model": {"name": str(trunk)}, "task": {"name": "preference"}},
        settings=["train.epochs=8", "train.learning_rate=0.002", "train.device=cpu", "evaluate.resamples=200"],
    )
    metrics = result.metrics
    assert metrics["headline"] == "margin"
    assert set(metrics["baselines"]) == {"frozen"}, "rules have no margin"
    assert metrics["gain"]["low"] > 0
    moved = metrics["scores"]["reward_margin"]["value"]
    assert moved == pytest.approx(0.1 * metrics["gain"]["value"], abs=0.05), "beta times the gain, but for rounding"
    predictor = api.load(tmp_path / "run")
    judged = predictor.evaluate(ROWS, resamples=200)
    assert judged["scores"]["margin"]["value"] == pytest.approx(metrics["scores"]["margin"]["value"], abs=1e-3)
    assert "reward_margin" not in judged["scores"]
    before = metrics["baselines"]["frozen"]["margin"]["value"]
    assert judged["baselines"]["frozen"]["margin"]["value"] == pytest.approx(before, abs=1e-3)
    answer = predictor.predict(ROWS[:1])[0]
    assert answer.preferred == ("chosen" if answer.margin > 0 else "rejected")
    assert answer.reward_margin is None
    turned = predictor.predict([{**ROWS[0], "chosen": ROWS[0]["rejected"], "rejected": ROWS[0]["chosen"]}])[0]
    assert turned.margin == pytest.approx(-answer.margin, abs=1e-4)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["scores"].keys() == metrics["scores"].keys()
