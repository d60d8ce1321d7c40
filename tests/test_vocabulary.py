"""Vocabulary compaction changes the time a run takes and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import TEXTS, make_rows, make_tiny_trunk
from tunesmith import engine, labelled_rows, preparation, vocabulary
from tunesmith.config import resolve_config
from tunesmith.contracts import Encoded
from tunesmith.optimization import build_optimizer
from tunesmith.packing import pack
from tunesmith.preparation import Setup

ROWS = make_rows(24)
STEPS = 20


@pytest.fixture(scope="module", params=["bert", "roberta", "deberta-v2", "llama"])
def trunk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_trunk(tmp_path_factory.mktemp("vocabulary"), request.param)


def make_setup(trunk: Path, *settings: str) -> Setup:
    base = {
        "model": {"name": str(trunk), "dropout": 0.0},
        "task": {"name": "text-classification"},
        "train": {"precision": "fp32", "device": "cpu", "batch_size": 8, "epochs": 7, "max_steps": STEPS},
    }
    config = resolve_config(base, settings=["train.learning_rate=1e-3", *settings])
    task, method = preparation.make_parts(config)
    splits = labelled_rows.read_splits(config, task, ROWS[:16], ROWS[16:])
    return preparation.prepare(config, splits, task, method)


def train(setup: Setup) -> list[float]:
    job = engine.Job(
        setup.model, setup.task, setup.labels, setup.groups, setup.schedule, setup.config.train, setup.precision
    )
    optimizer = build_optimizer(setup.model, setup.config.train, setup.learning_rate.value)
    return [report.loss for report in engine.steps(job, optimizer)]


def weights(setup: Setup) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in setup.model.named_parameters()}


def table_of(setup: Setup) -> torch.Tensor:
    return setup.model.hf.get_input_embeddings().weight.detach()


def test_compacted_training_is_the_same_training(trunk: Path) -> None:
    whole, compacted = make_setup(trunk, "cache.vocabulary=off"), make_setup(trunk)
    base = table_of(whole).clone()
    assert whole.compaction is None
    assert compacted.compaction is not None
    assert len(table_of(compacted)) == len(compacted.compaction.used) < len(base) / 2
    losses, losses_compacted = train(whole), train(compacted)
    assert losses_compacted == pytest.approx(losses, rel=1e-5)

    vocabulary.expand(compacted.model, compacted.compaction)
    ours, theirs = weights(compacted), weights(whole)
    assert ours.keys() == theirs.keys()
    difference = torch.cat([(ours[name] - theirs[name]).flatten() for name in ours]).norm()
    assert float(difference / torch.cat([value.flatten() for value in theirs.values()]).norm()) <= 1e-6
    untouched = torch.ones(len(base), dtype=torch.bool)
    untouched[compacted.compaction.used] = False
    assert int(untouched.sum()) > 0
    assert torch.equal(table_of(compacted)[untouched], base[untouched])
    assert not torch.equal(table_of(compacted), base)


def test_expanding_restores_the_whole_embedding(trunk: Path) -> None:
    setup = make_setup(trunk)
    model, compaction = setup.model, setup.compaction
    assert compaction is not None
    items = [setup.train_items[0]]
    model.eval()
    with torch.no_grad():
        before = model.trunk(pack([items]))
        vocabulary.expand(model, compaction)
        after = model.trunk(pack([items]))
        embedding = model.hf.get_input_embeddings()
        assert model.compact_ids is None
        assert embedding.num_embeddings == model.hf.config.vocab_size == len(embedding.weight)
        assert torch.equal(before, after)
        unseen = [token for token in range(len(model.tokenizer)) if token not in compaction.used.tolist()][:3]
        assert torch.isfinite(model.trunk(pack([[Encoded((unseen,), None, 0)]]))).all()


def test_ids_that_were_put_away_raise(trunk: Path) -> None:
    setup = make_setup(trunk)
    assert setup.compaction is not None
    unseen = next(token for token in range(len(setup.model.tokenizer)) if token not in setup.compaction.used.tolist())
    with pytest.raises(IndexError), torch.no_grad():
        setup.model.trunk(pack([[Encoded(([unseen, unseen],), None, 0)]]))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_padding_stays_untrained(family: str, tmp_path: Path) -> None:
    """The padding row has no gradient in Hugging Face's embeddings; compaction must keep that."""
    setup = make_setup(make_tiny_trunk(tmp_path, family))
    pad = setup.model.tokenizer.pad_token_id
    embedding = setup.model.hf.get_input_embeddings()
    assert setup.compaction is not None
    assert setup.compaction.padding_idx == pad
    row = setup.compaction.used.tolist().index(pad)
    assert embedding.padding_idx == row
    item = setup.train_items[0]
    padded = Encoded(([*item.sequences[0], pad, pad],), item.target, 0)
    job = engine.Job(setup.model, setup.task, setup.labels, [[padded]], setup.schedule, setup.config.train)
    engine.accumulate(job, [[[padded]]], step=1)
    assert embedding.weight.grad is not None
    assert not embedding.weight.grad[row].any()
    assert embedding.weight.grad.any()
    vocabulary.expand(setup.model, setup.compaction)
    assert setup.model.hf.get_input_embeddings().padding_idx == pad


def test_development_rows_and_special_tokens_are_kept(trunk: Path) -> None:
    setup = make_setup(trunk)
    assert setup.compaction is not None
    used = set(setup.compaction.used.tolist())
    assert {token for item in setup.dev_items for token in item.sequences[0]} <= used
    assert {token for item in setup.train_items for token in item.sequences[0]} <= used
    assert setup.model.tokenizer.pad_token_id in used
    assert setup.compaction.used.tolist() == sorted(used)


@pytest.mark.parametrize("settings", [["method.name=head"], ["method.train_layers=top:1"]], ids=str)
def test_a_frozen_embedding_is_left_alone(settings: list[str], tmp_path: Path) -> None:
    setup = make_setup(make_tiny_trunk(tmp_path, "bert", [*TEXTS]), *settings)
    assert not vocabulary.can_compact(setup.model)
    assert setup.compaction is None


def test_a_head_that_reads_the_whole_table_forbids_it(tmp_path: Path) -> None:
    """A language-model head scores every row."""
    setup = make_setup(make_tiny_trunk(tmp_path, "bert"), "cache.vocabulary=off")
    assert vocabulary.can_compact(setup.model)
    hf: Any = setup.model.hf
    vars(hf)["get_output_embeddings"] = lambda: hf.get_input_embeddings()
    assert not vocabulary.can_compact(setup.model)


def test_texts_that_the_tokenizer_cannot_read_are_announced(tmp_path: Path) -> None:
    """Chinese on an English vocabulary trains without an error and learns nothing (trap 16)."""
    trunk = make_tiny_trunk(tmp_path, "bert", [text for text in TEXTS if text.isascii()])
    config = resolve_config({"model": {"name": str(trunk)}, "task": {"name": "text-classification"}})
    task, method = preparation.make_parts(config)

    def notices(rows: list[dict[str, str]]) -> list[str]:
        splits = labelled_rows.read_splits(config, task, rows, rows)
        return preparation.prepare(config, splits, task, method).notices

    chinese = [{"text": "利润上升了", "label": "a"}, {"text": "市场下跌", "label": "b"}]
    unknown = [notice for notice in notices(chinese) if "unknown to this model's tokenizer" in notice]
    assert len(unknown) == 1
    assert "--model" in unknown[0]
    share = int(unknown[0].split("%")[0])
    assert 60 <= share <= 80, "9 of 13 tokens, special ones included"
    assert not [notice for notice in notices(ROWS) if "unknown" in notice]


def test_texts_that_are_cut_are_counted(tmp_path: Path) -> None:
    setup = make_setup(make_tiny_trunk(tmp_path, "bert"), "model.max_tokens=8")
    cut = [notice for notice in setup.notices if "longer than 8 tokens" in notice]
    assert ["16 of 16 training" in cut[0], "8 of 8 development" in cut[1]] == [True, True]
    assert setup.ledgers["train"].cut_rows == 16
    assert all(item.length_tokens == 8 for item in setup.train_items)
    assert all(item.cut_tokens > 0 for item in setup.train_items)
