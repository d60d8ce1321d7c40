"""Whole runs of embedding: what is said of a model before and after, and of two models beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tests.tiny import make_tiny_trunk
from tunesmith import api
from tunesmith.config import resolve_config
from tunesmith.errors import DataError
from tunesmith.events import Finished, Notice

THINGS = ("film", "book", "meal", "phone", "hotel", "song", "story", "service")
PAIRS = [
    {"text": f"the {thing} was {one}", "text_b": f"a {other} {thing}"}
    for thing in THINGS
    for one, other in (("great", "fine"), ("awful", "poor"), ("long", "slow"), ("short", "quick"))
]


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [text for row in PAIRS for text in row.values()]
    return make_tiny_trunk(tmp_path_factory.mktemp("trunk"), "bert", texts)


def fit(trunk: Path, out: Path, *settings: str) -> Any:
    base = [f"model.name={trunk}", "task.name=embedding", "model.dropout=0", "evaluate.resamples=100"]
    return api.fit(PAIRS[:24], dev=PAIRS[24:], out=out, settings=[*base, *settings])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_that_changes_nothing_gains_nothing(trunk: Path, tmp_path: Path, precision: str) -> None:
    rate = ["train.learning_rate=1e-12", "train.max_steps=1"]
    gain = fit(trunk, tmp_path / "run", f"train.precision={precision}", *rate).metrics["gain"]
    assert (gain["value"], gain["low"], gain["high"]) == (0, 0, 0)


def test_labelled_texts_that_are_alone_are_answered_and_not_judged(trunk: Path, tmp_path: Path) -> None:
    train = [{"text": row["text"], "label": THINGS[place // 4]} for place, row in enumerate(PAIRS)]
    dev = [{"text": row["text_b"], "label": THINGS[place // 4]} for place, row in enumerate(PAIRS[:9])]
    settings = [f"model.name={trunk}", "task.name=embedding", "evaluate.resamples=100", "train.max_steps=1"]
    config = resolve_config({"output": {"folder": str(tmp_path / "run")}}, settings=settings)
    *events, result = api.fit_events(config, train, dev)
    assert isinstance(result, Finished)
    said = [event.text for event in events if isinstance(event, Notice)]
    assert any("1 of 9 development rows are not judged: they have no other text of their label" in one for one in said)
    assert result.metrics["ledger"]["dev"]["not_judged"] == 1
    assert result.metrics["scores"]["mrr"]["n"] == 8
    assert result.metrics["baselines"]["frozen"]["mrr"]["n"] == 8
    assert len(api.load(result.folder).predict(dev)) == 9
    with pytest.raises(DataError, match="none of the 2 rows can be judged"):
        api.fit(train, dev=[dev[0], dev[4]], out=tmp_path / "none", settings=settings)


def test_examples_of_a_comparison_show_what_was_found_among_all_texts(trunk: Path, tmp_path: Path) -> None:
    fit(trunk, tmp_path / "a", "train.learning_rate=1e-12", "train.max_steps=1", "evaluate.baselines=false")
    fit(trunk, tmp_path / "b", "train.learning_rate=3e-3", "train.epochs=4", "evaluate.baselines=false")
    changes = tunesmith.compare(tmp_path / "a", tmp_path / "b", PAIRS, resamples=50)["changes"]
    assert changes["examples"]["fixed"]
    for example in changes["examples"]["fixed"]:
        assert example["right"] not in example["a"]
    for example in changes["examples"]["broken"]:
        assert example["right"] not in example["b"]
