"""Mistakes of users that once showed a traceback, or took a wrong way without a word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import api, engine
from tunesmith.cli import app
from tunesmith.config import resolve_config
from tunesmith.errors import ConfigError, DataError
from tunesmith.events import Plan

QUICK = ["train.max_steps=2", "evaluate.baselines=false", "evaluate.resamples=100"]


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_named(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"train.device is {device}, but PyTorch") as caught:
        engine.choose_device(device)
    assert "train.device=auto" in str(caught.value.fix)
    assert engine.choose_device("auto") == engine.choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("pad", [-1, 10_000, None])
@pytest.mark.parametrize("settings", [(), ("method.name=head",), ("cache.vocabulary=off",)], ids=str)
def test_a_padding_token_that_the_embedding_lacks(tmp_path: Path, pad: int | None, settings: tuple[str, ...]) -> None:
    trunk = make_tiny_trunk(tmp_path / "llama", "llama")
    content = json.loads((trunk / "config.json").read_text())
    (trunk / "config.json").write_text(json.dumps({**content, "pad_token_id": pad}))
    result = api.fit(make_rows(24), out=tmp_path / "out", settings=[f"model.name={trunk}", *QUICK, *settings])
    model = api.load(result.folder)
    assert 0 <= model.model.hf.config.pad_token_id < model.model.hf.config.vocab_size
    assert len(model.predict(["good", "bad and long and bad"])) == 2


def test_a_text_given_as_a_source_is_explained(tiny_bert: Path, tmp_path: Path) -> None:
    api.fit(make_rows(24), out=tmp_path, settings=[f"model.name={tiny_bert}", *QUICK])
    model = api.load(tmp_path)
    with pytest.raises(DataError, match="there is no file 'the film was good'") as caught:
        model.predict("the film was good")
    assert 'predict(["a text"])' in str(caught.value.fix)
    with pytest.raises(DataError, match="there is no file"):
        model.predict("long " * 2000)
    assert len(model.predict(["the film was good"])) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("train.max_steps=2", "train.epochs=5"), "2, 16 rows each, 1 epoch;"),
        (("train.max_steps=3", "train.epochs=5"), "3, 16 rows each, 1.5 epochs;"),
        (("train.max_steps=99", "train.epochs=1"), "2, 16 rows each, 1 epoch;"),
        (("train.epochs=2",), "4, 16 rows each, 2 epochs;"),
    ],
)
def test_the_plan_says_how_many_epochs_the_steps_are(
    tiny_bert: Path, tmp_path: Path, settings: tuple[str, ...], said: str
) -> None:
    base = {"model": {"name": str(tiny_bert)}, "output": {"folder": str(tmp_path)}, "evaluate": {"baselines": False}}
    events = api.fit_events(resolve_config(base, settings=settings), make_rows(32), make_rows(8))
    plan = next(event for event in events if isinstance(event, Plan))
    assert plan.facts["steps"].startswith(said)


def test_the_command_says_it_without_a_traceback(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in make_rows(24)))
    for words in (["--set", "train.device=mps", "--model", "x"], ["--config", str(tmp_path)], ["--set", "task=3"]):
        done = CliRunner().invoke(app, ["fit", str(data), "--out", str(tmp_path / "out"), *words])
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.output
        assert "fix: " in done.output
