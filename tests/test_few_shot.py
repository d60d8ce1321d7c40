"""Few labelled rows: pairs drawn lazily and balanced, a head found on vectors of length 1, and whole runs."""

from __future__ import annotations

import json
import random
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.kill.runs import digest, one_thread
from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import api, cli, few_shot, fitting
from tunesmith.config import RunConfig, resolve_config
from tunesmith.contracts import Encoded, HeadSpec, Labels, StepReport
from tunesmith.errors import ConfigError, DataError, MethodError, TunesmithError
from tunesmith.events import Evaluated, Finished, Notice, Plan, Saved
from tunesmith.few_shot.class_names import describing_rows
from tunesmith.few_shot.contrastive import NEVER, Contrastive, ContrastiveConfig, Pairs, balanced_cost
from tunesmith.heads import own_head
from tunesmith.settings import read_config_file
from tunesmith.tasks import make_task

WAY = Contrastive(ContrastiveConfig())
TASK = make_task("text-classification", {"pooling": "mean", "head": "unit"})


def make_items(targets: Sequence[Any]) -> list[Encoded]:
    return [Encoded(([10 + row],), target, row, segment_ids=([0],)) for row, target in enumerate(targets)]


def unit(*places: int) -> torch.Tensor:
    return torch.eye(4)[list(places)]


# --- pairs -------------------------------------------------------------------------------------------------


def test_a_row_gets_another_of_its_class_and_each_of_them_as_often() -> None:
    pairs = Pairs(TASK, make_items([0, 0, 1, 0, 1]), 16)
    drawn = Counter(
        pairs.corrupt(make_items([0, 0, 1, 0])[3], random.Random(seed)).sequences[1][0] for seed in range(600)
    )
    assert set(drawn) == {10, 11}, "rows 0 and 1: its class, never itself, never row 4"
    assert min(drawn.values()) > 240


def test_the_only_row_of_its_class_gets_itself() -> None:
    pairs = Pairs(TASK, make_items([0, 0, 1]), 16)
    assert pairs.corrupt(make_items([0, 0, 1])[2], random.Random(0)).sequences == ([12], [12])


def test_no_pair_is_listed_before_it_is_drawn() -> None:
    """1,000 rows make half a million pairs; what is kept grows with the rows."""
    items = make_items([row % 2 for row in range(1000)])
    pairs = Pairs(TASK, items, 16)
    assert sum(map(len, pairs.of_class.values())) == len(items)
    assert all(item.meta == {} for group in pairs.of_class.values() for item in group)


@pytest.mark.parametrize(("rows", "sizes"), [(32, {16}), (24, {12}), (3, {3}), (77, {15, 16})])
def test_groups_are_even_and_hold_every_row_once(rows: int, sizes: set[int]) -> None:
    groups = Pairs(TASK, [], 16).groups(make_items([0] * rows))
    assert {len(group) for group in groups} == sizes
    assert sorted(place for group in groups for place in group) == list(range(rows))


def test_pairs_alike_count_as_much_as_all_others_together() -> None:
    """One pair alike at a cosine of 0 costs 1; five that are not, at 0 too, cost nothing: a half in all."""
    vectors = [unit(0), unit(1), unit(2), unit(3)]
    assert float(balanced_cost(vectors, make_items([0, 0, 1, 2]))) == pytest.approx(0.5)
    vectors = [unit(0), unit(0), unit(0), unit(3)]  # alike 0; 2 of 5 others cost 1
    assert float(balanced_cost(vectors, make_items([0, 0, 1, 2]))) == pytest.approx(0.5 * 2 / 5)


def test_a_text_beside_itself_says_nothing() -> None:
    same = [Encoded(([7],), target, row) for row, target in enumerate([0, 0, 1])]
    vectors = [unit(0), unit(1), unit(2)]
    assert float(balanced_cost(vectors, same)) == 0.0, "one text thrice, once under another class"


def test_the_loss_adds_over_groups() -> None:
    pairs, labels = Pairs(TASK, [], 16), Labels(("a", "b"))
    items = [Encoded(([row],), row % 2, row) for row in range(6)]
    vectors = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))

    def loss(sizes: list[int], places: slice) -> tuple[torch.Tensor, float]:
        batch: Any = type("Batch", (), {"items": items[places], "group_sizes": sizes})
        return pairs.loss({"vectors": vectors[places]}, batch, labels)

    both, first, second = loss([4, 2], slice(0, 6)), loss([4], slice(0, 4)), loss([2], slice(4, 6))
    torch.testing.assert_close(both[0], first[0] + second[0])
    assert both[1] == first[1] + second[1] == 6.0


# --- the head ----------------------------------------------------------------------------------------------


def make_head(classes: int) -> Any:
    """A stand-in for a model: the head alone."""

    class Model:
        head_spec = HeadSpec("sequence", tuple(map(str, range(classes))), form="unit")
        config = type("Config", (), {"get_text_config": lambda self: type("Text", (), {"hidden_size": 4})()})()
        mlp: Any = own_head(config, head_spec)

        def set_head(self, weights: Any, biases: Any) -> None:
            with torch.no_grad():
                self.mlp[1].weight.copy_(torch.as_tensor(weights))
                self.mlp[1].bias.copy_(torch.as_tensor(biases))

    return Model()


def test_the_head_reads_directions_not_lengths() -> None:
    head, vectors = make_head(3).mlp, torch.randn(5, 4)
    torch.testing.assert_close(head(vectors), head(vectors * torch.tensor([0.1, 1, 7, 50, 1e3])[:, None]))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_is_the_logistic_regression_of_the_rows(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(3)
    targets = np.arange(24) % classes
    vectors = (draw.normal(size=(24, 4)) + 2 * np.eye(4)[targets]).astype(np.float32)
    model = make_head(classes)
    WAY.find_head(model, vectors, targets.tolist())
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = LogisticRegression(max_iter=1000).fit(units, targets).predict_proba(units)
    found = model.mlp(torch.tensor(vectors)).softmax(-1).detach().numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_a_class_without_a_row_is_never_answered() -> None:
    model = make_head(4)
    WAY.find_head(model, np.eye(4, dtype=np.float32)[[0, 1, 3]], [0, 1, 3])
    assert model.mlp[1].bias.detach()[2] == NEVER
    assert 2 not in model.mlp(torch.randn(50, 4)).argmax(-1).tolist()


# --- names of classes --------------------------------------------------------------------------------------


def describe(
    names: Sequence[str], descriptions: Any = None, *, pair: bool = False, with_names: bool = True, unseen: int = 0
) -> list[tuple[str, str]]:
    rows = [TASK.Row(text="a text", text_b="another" if pair else None, label=name) for name in names]
    labels = Labels(tuple(names), counts=tuple([3] * (len(names) - unseen) + [0] * unseen))
    found = describing_rows(TASK, labels, rows, descriptions or {}, with_names=with_names)
    return [(row.label, row.text) for row in found]


def test_each_class_is_described_by_its_name() -> None:
    assert describe(["card_arrival", "Sports"]) == [
        ("card_arrival", "This text is about card arrival."),
        ("Sports", "This text is about Sports."),
    ]
    assert describe(["体育", "财经"]) == [("体育", "这段文字是关于体育的。"), ("财经", "这段文字是关于财经的。")]
    assert describe(["a", "b"], unseen=1) == [("a", "This text is about a.")], "b stands in no training row"
    assert describe(["{label}", "{text}"])[1] == ("{text}", "This text is about {text}.")


def test_names_that_say_nothing_and_pairs_of_texts_are_left_out() -> None:
    assert describe(["0", "1"]) == describe(["yes", "1"]) == [], "a row for some classes only would favour them"
    assert describe(["same", "other"], pair=True) == []
    assert describe(["a", "b"], with_names=False) == []


def test_a_description_stands_in_place_of_the_name() -> None:
    assert describe(["a", "b"], {"b": ["First.", "Second."]}) == [
        ("a", "This text is about a."), ("b", "First."), ("b", "Second.")
    ]  # fmt: skip
    assert describe(["0", "1"], {"0": "None.", "1": "One."}) == [("0", "None."), ("1", "One.")]
    assert describe(["a", "b"], {"b": "First."}, with_names=False) == [("b", "First.")]


def test_a_description_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(ConfigError, match="no training row is of class 'Sport'") as caught:
        describe(["Sports", "World"], {"Sport": "Matches."})
    assert "Sports" in str(caught.value.fix)
    with pytest.raises(ConfigError, match="no training row is of class 'b'"):
        describe(["a", "b"], {"b": "Only seen in development rows."}, unseen=1)
    with pytest.raises(ConfigError, match="pairs of texts"):
        describe(["a", "b"], {"a": "First."}, pair=True)


# --- whole runs --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_trunk(tmp_path_factory.mktemp("trunk"), "bert")


ROWS = make_rows(12)
SHORT = ["train.max_steps=4", "train.learning_rate=1e-3", "evaluate.resamples=100"]


def make_config(trunk: Path, out: Path, *settings: str) -> RunConfig:
    base = {"model": {"name": str(trunk)}, "few_shot": {"name": "contrastive"}, "output": {"folder": str(out)}}
    return resolve_config(base, settings=[*SHORT, *settings])


def fit(trunk: Path, out: Path, rows: Any = ROWS, dev: Any = None, *settings: str) -> Finished:
    event = list(fitting.run(make_config(trunk, out, *settings), rows, dev))[-1]
    assert isinstance(event, Finished)
    return event


@pytest.mark.parametrize(
    ("family", "method"), [("bert", "full"), ("bert", "lora"), ("llama", "full"), ("gpt2", "lora")]
)
def test_what_is_read_back_answers_as_what_was_written(family: str, method: str, tmp_path: Path) -> None:
    trunk, out = make_tiny_trunk(tmp_path / "trunk", family), tmp_path / "out"
    metrics = fit(trunk, out, ROWS, ROWS[:6], f"method.name={method}", "evaluate.calibration=none").metrics
    loaded = api.load(out)
    assert loaded.artifact.head.form == "unit"
    head: Any = loaded.model.extra_head
    assert float(head[1].weight.abs().sum()) > 0
    again = loaded.evaluate(ROWS[:6], resamples=100)
    assert again["scores"]["accuracy"]["value"] == metrics["scores"]["accuracy"]["value"]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_steps_move_the_trunk_and_leave_the_head_to_the_look(method: str, trunk: Path, tmp_path: Path) -> None:
    events = fitting.run(make_config(trunk, tmp_path, f"method.name={method}"), ROWS)
    reports = [event for event in events if isinstance(event, StepReport)]
    assert len(reports) == 4
    assert all(report.gradient_norm > 0 and report.units == 14 for report in reports), "12 rows and 2 names"
    assert all(report.tokens > 12 * 8 for report in reports), "twice the rows: another one beside each"


def test_a_run_that_stopped_goes_on_to_the_same_bytes(trunk: Path, tmp_path: Path) -> None:
    saving = "train.checkpoint_steps=1"
    with one_thread():
        fit(trunk, tmp_path / "alone", ROWS, None, saving)
        stream = fitting.run(make_config(trunk, tmp_path / "stopped", saving), ROWS)
        for event in stream:
            if isinstance(event, Saved) and event.step == 2:
                break
        stream.close()  # type: ignore[attr-defined]
        fit(trunk, tmp_path / "stopped", ROWS, None, saving)
    assert digest(tmp_path / "alone") == digest(tmp_path / "stopped")


def test_all_rows_are_trained_on_and_the_score_says_so(trunk: Path, tmp_path: Path) -> None:
    *events, finished = fitting.run(make_config(trunk, tmp_path), ROWS)
    assert isinstance(finished, Finished)
    (look,) = [event for event in events if isinstance(event, Evaluated)]
    assert (look.step, look.rows, look.headline) == (4, "training", "loss")
    assert finished.metrics["split"] == "training"
    assert finished.metrics["baselines"] == {}
    assert finished.metrics["calibration"] is None
    facts = json.loads((tmp_path / "tunesmith.json").read_text("utf-8"))
    assert (facts["data"]["train_rows"], facts["data"]["dev_rows"]) == (12, 0)
    assert "none were held out" in (tmp_path / "README.md").read_text("utf-8")


def test_names_are_said_and_learnt_and_counted_nowhere(trunk: Path, tmp_path: Path) -> None:
    """Two runs that differ in the names alone: other weights, the same rows."""
    with_names, without = tmp_path / "with", tmp_path / "without"
    said = [event.text for event in fitting.run(make_config(trunk, with_names), ROWS) if isinstance(event, Notice)]
    assert any("'This text is about negative.'" in text and "class_names=false" in text for text in said)
    silent = fitting.run(make_config(trunk, without, "few_shot.class_names=false"), ROWS)
    assert not any("is about" in event.text for event in silent if isinstance(event, Notice))
    rows = [
        json.loads((out / "tunesmith.json").read_text("utf-8"))["data"]["train_rows"] for out in (with_names, without)
    ]
    ledgers = [json.loads((out / "metrics.json").read_text("utf-8"))["ledger"] for out in (with_names, without)]
    assert rows == [12, 12]
    assert ledgers[0] == ledgers[1]
    heads: list[Any] = [api.load(out).model.extra_head for out in (with_names, without)]
    assert not torch.equal(heads[0][1].weight, heads[1][1].weight)


def test_the_head_is_found_on_names_as_well(trunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    found = Contrastive.find_head

    def watch(way: Contrastive, model: Any, vectors: Any, targets: Sequence[Any]) -> None:
        seen.append(list(targets))
        found(way, model, vectors, targets)

    monkeypatch.setattr(Contrastive, "find_head", watch)
    fit(trunk, tmp_path, ROWS, None, "few_shot.descriptions={negative: [It was bad., I left early.]}")
    assert [sorted(targets) for targets in seen] == [[0] * (6 + 2) + [1] * (6 + 1)]


def test_development_rows_judge_where_they_are_given(trunk: Path, tmp_path: Path) -> None:
    settings = ("evaluate.steps=2", "evaluate.metric=accuracy")
    *events, finished = fitting.run(make_config(trunk, tmp_path, *settings), ROWS, make_rows(30)[12:])
    assert isinstance(finished, Finished)
    looks = [event for event in events if isinstance(event, Evaluated)]
    assert [(look.step, look.rows) for look in looks] == [(2, "dev"), (4, "dev")]
    assert finished.metrics["split"] == "dev"
    assert finished.metrics["scores"]["accuracy"]["n"] == 18
    assert "frozen" in finished.metrics["baselines"]


def test_the_command_line_from_eight_rows_to_answers(trunk: Path, tmp_path: Path) -> None:
    """The printed command is the same run, and the finished folder answers as any other."""
    few, out = tmp_path / "few.csv", tmp_path / "out"
    few.write_text("".join(["text,label\n", *(f"{row['text']},{row['label']}\n" for row in ROWS[:8])]))
    runner, settings = CliRunner(), [word for setting in SHORT for word in ("--set", setting)]
    given = ["fit", str(few), "--few-shot", "contrastive", "--model", str(trunk), "--out", str(out), *settings]
    done = runner.invoke(cli.app, [*given, "--verbose"])
    assert done.exit_code == 0, done.output
    shown = " ".join(done.output.split())
    assert "few rows contrastive" in shown
    assert "none held out" in shown
    assert "accuracy 1.000 on the 8 rows it learnt from" in shown or "rows it learnt from" in shown
    command = next(line for line in done.output.splitlines() if line.startswith("tunesmith fit"))
    assert "--few-shot contrastive" in command
    again = runner.invoke(cli.app, shlex.split(command)[1:])
    assert again.exit_code == 0, again.output
    assert "already complete" in again.output
    assert read_config_file(out / "config.yaml")["few_shot"] == {"name": "contrastive"}
    for words in (["predict", str(out), "the film was good"], ["evaluate", str(out), "--data", str(few)]):
        answered = runner.invoke(cli.app, words)
        assert answered.exit_code == 0, answered.output


def test_what_the_user_sets_stays(trunk: Path, tmp_path: Path) -> None:
    """A setting that is the default of other runs is one that must be printed here."""
    config = make_config(trunk, tmp_path, "train.max_steps=2", "data.dev_fraction=0.1", "train.epochs=5")
    (plan,) = [event for event in fitting.run(config, make_rows(40)) if isinstance(event, Plan)]
    assert "--set data.dev_fraction=0.1" in plan.command
    assert "--set train.epochs=5" in plan.command
    assert "4 development" in plan.facts["data"]


def test_one_row_a_class_and_chinese(tmp_path: Path) -> None:
    texts = ["这家公司的利润上升了", "服务太差，手机坏了！", "银行存款利率不变？", "股东很高兴"]
    trunk = make_tiny_trunk(tmp_path / "trunk", "bert", texts)
    rows = [{"text": text, "label": label} for text, label in zip(texts, "涨差平喜", strict=True)]
    fit(trunk, tmp_path / "one", rows)
    answers = api.load(tmp_path / "one").predict(texts)
    assert {answer.label for answer in answers} <= set("涨差平喜")


@pytest.mark.parametrize(
    ("rows", "settings", "error", "message"),
    [
        ([{"text": f"t {n}", "label": ["a", "b"]} for n in range(6)], [], DataError, "several labels a row"),
        ([{"text": f"t {n}", "label": n / 7} for n in range(40)], [], DataError, "these rows have numbers"),
        (ROWS, ["task.head=mlp"], ConfigError, "task.head is mlp"),
        (ROWS, ["method.name=head"], MethodError, "teaches the trunk's vectors, and method head"),
        (ROWS, ["task.name=embedding"], ConfigError, "is for text-classification"),
        (ROWS, ["few_shot.name=contrastiv"], ConfigError, "contrastive"),
        (ROWS, ["few_shot.descriptions={neutral: So so.}"], ConfigError, "no training row is of class 'neutral'"),
        (ROWS, ["few_shot.descriptions={negative: []}"], ConfigError, "few_shot.descriptions"),
        (ROWS, ["few_shot.group_siz=3"], ConfigError, "group_size"),
        (ROWS, ["few_shot.name=none", "few_shot.group_size=3"], ConfigError, "few_shot.name is none"),
    ],
)
def test_what_does_not_go_is_refused_with_the_reason(
    rows: Any, settings: list[str], error: type[TunesmithError], message: str, trunk: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        fit(trunk, tmp_path, rows, None, *settings)


def test_a_run_without_a_way_is_written_as_before_there_were_any() -> None:
    assert "few_shot" not in RunConfig().model_dump()
    assert "few_shot" not in json.loads(RunConfig().model_dump_json())
    config = resolve_config({"task": {"name": "text-classification"}})
    assert few_shot.with_defaults(config) == config
