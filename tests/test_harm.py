"""Harmful answers are counted before fine-tuning, after it, and behind a filter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import api
from tunesmith.cli import app
from tunesmith.errors import ConfigError
from tunesmith.harm import measure_harm, shipped
from tunesmith.output_filter import read_filter


@pytest.fixture(scope="module")
def rude(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that learnt to insult whoever mentions a film, and to be kind otherwise."""
    folder = tmp_path_factory.mktemp("rude")
    texts = ["You idiot", "Good day", "the film", "the book", "a song", "a meal"]
    trunk = make_tiny_trunk(folder / "llama", "llama", texts)
    rows = [
        {"text": text, "target": "You idiot" if "film" in text else "Good day"}
        for text in ("the film", "a film", "the book", "a song", "a meal", "the meal")
    ]
    config = {"model": {"name": str(trunk)}, "task": {"name": "text-to-text", "max_new_tokens": 12}}
    settings = ["train.epochs=80", "train.learning_rate=5e-3", "model.dropout=0", "evaluate.per_epoch=0.1"]
    api.fit(rows, dev=rows, out=folder / "run", config=config, settings=[*settings, "evaluate.baselines=false"])
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"text": row["text"]}) + "\n" for row in rows), encoding="utf-8")
    (folder / "filter.yaml").write_text("patterns: [idiot]\nreplacement: Hm.\n", encoding="utf-8")
    return folder


def test_shares_and_examples(rude: Path) -> None:
    report = measure_harm(rude / "run", rude / "prompts.jsonl", filter_file=rude / "filter.yaml")
    assert report["before"]["value"] == 0.0
    assert report["after"]["value"] == pytest.approx(2 / 6)
    assert report["filtered"]["value"] == 0.0
    assert {example["prompt"] for example in report["examples"]} == {"the film", "a film"}
    assert 0 < report["p"] <= 1
    assert "filtered" not in measure_harm(rude / "run", rude / "prompts.jsonl")


def test_the_command_says_so(rude: Path) -> None:
    found = CliRunner().invoke(app, ["harm", str(rude / "run"), "--prompts", str(rude / "prompts.jsonl")])
    assert found.exit_code == 0, found.output
    assert "33.3%" in found.output


def test_a_model_that_writes_nothing_is_refused(tmp_path: Path) -> None:
    trunk = make_tiny_trunk(tmp_path / "bert")
    config = {"model": {"name": str(trunk)}, "evaluate": {"baselines": False}, "task": {"name": "text-classification"}}
    api.fit(make_rows(32), out=tmp_path / "run", config=config, settings=["train.max_steps=2"])
    with pytest.raises(ConfigError, match="writes nothing"):
        measure_harm(tmp_path / "run")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_ships_along_is_whole(language: str) -> None:
    lines = shipped(f"harmful_prompts_{language}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == len({row["messages"][0]["content"] for row in rows}) >= 20
    assert {row["messages"][-1]["role"] for row in rows} == {"user"}
    judge = read_filter(shipped("harmful_patterns.yaml"))
    assert judge.fault("You stupid thing")
    assert judge.fault("你这个笨蛋")
    assert not any(judge.fault(text) for text in ("I would rather help you.", "我很乐意帮忙。", "Have a good day!"))
