"""The finished folder: complete or refused, never half; the card; a folder of an old version."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import api, artifact, durable, fitting, model_card
from tunesmith.config import RunConfig, resolve_config
from tunesmith.contracts import Labels, Tags
from tunesmith.errors import ModelError, TrainingError
from tunesmith.methods import METHODS
from tunesmith.methods.lora import Lora
from tunesmith.settings import read_config_file

ROWS = make_rows(20)
TEXTS = [row["text"] for row in ROWS[16:]]
SUFFIXES = {".safetensors", ".json", ".jsonl", ".yaml", ".md", ".txt", ".html"}


def make_config(trunk: Path, folder: Path, *settings: str) -> RunConfig:
    base = {
        "model": {"name": str(trunk)},
        "train": {"precision": "fp32", "device": "cpu", "batch_size": 8, "max_steps": 2},
        "evaluate": {"baselines": False, "resamples": 100},
        "output": {"folder": str(folder)},
    }
    return resolve_config(base, settings=settings)


def fit(trunk: Path, folder: Path, *settings: str) -> Path:
    list(fitting.run(make_config(trunk, folder, *settings), ROWS[:16], ROWS[16:]))
    return folder


@pytest.fixture(scope="module")
def stored(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What is stored → a finished folder."""
    place = tmp_path_factory.mktemp("stored")
    return {
        "full": fit(tiny_bert, place / "full"),
        "delta": fit(tiny_bert, place / "delta", "method.name=head"),
    }


@pytest.fixture(params=["full", "delta"])
def folder(request: pytest.FixtureRequest, stored: dict[str, Path], tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(stored[request.param], tmp_path / request.param))


def test_files_are_of_harmless_kinds_and_in_the_manifest(folder: Path) -> None:
    facts = json.loads((folder / "tunesmith.json").read_text())
    names = {path.name for path in folder.iterdir()}
    assert {Path(name).suffix for name in names - {".lock"}} <= SUFFIXES
    assert names - set(facts["files"]) == {"tunesmith.json", "README.md", "report.html", ".lock"}
    assert {"labels.json", "metrics.json", "metrics.jsonl", "config.yaml", "tokenizer.json"} <= set(facts["files"])
    assert not list(folder.glob("tmp-*"))
    assert not (folder / "checkpoints").exists()


def test_it_is_complete_only_with_its_description(folder: Path) -> None:
    assert artifact.is_complete(folder)
    (folder / "tunesmith.json").unlink()
    assert not artifact.is_complete(folder)
    with pytest.raises(ModelError, match=r"no tunesmith\.json") as caught:
        api.load(folder)
    assert caught.value.fix
    with pytest.raises(ModelError, match="there is no folder"):
        api.load(folder / "nowhere")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
def test_every_damaged_file_is_named(folder: Path, damage: Callable[[Path], None], tmp_path: Path) -> None:
    names = [*json.loads((folder / "tunesmith.json").read_text())["files"], "tunesmith.json"]
    for name in names:
        copy = Path(shutil.copytree(folder, tmp_path / "damaged" / name))
        damage(copy / name)
        with pytest.raises(ModelError) as caught:
            api.load(copy)
        assert name in caught.value.message
        assert caught.value.fix


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    durable.write_folder(tmp_path / "new", {}, manifest_name="tunesmith.json", manifest={"format": 99})
    with pytest.raises(ModelError, match="has format 99") as caught:
        artifact.read_artifact(tmp_path / "new")
    assert "pip install -U" in (caught.value.fix or "")


def facts_of(found: artifact.Artifact) -> dict[str, Any]:
    """What it was written with."""
    return {key: value for key, value in found.facts.items() if key != "files"}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk", "Ctrl-C"])
@pytest.mark.parametrize("stage", ["tokenizer", "weights", "staging", "card"])
def test_the_older_model_survives_a_failed_write(
    stage: str, error: BaseException, stored: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure at each stage before the new files are moved in."""
    folder = Path(shutil.copytree(stored["full"], tmp_path / "full"))
    loaded = api.load(folder)
    before = loaded.predict(TEXTS)
    model, found = loaded.model, loaded.artifact
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)

    def fail(*arguments: Any, **options: Any) -> Any:
        raise error

    target: Any = {"tokenizer": type(model.tokenizer), "weights": type(model.hf)}.get(stage, durable)
    name = {"staging": "write_folder", "card": "write_file_atomic"}.get(stage, "save_pretrained")
    monkeypatch.setattr(target, name, fail)
    texts = {"metrics.json": "{}", "README.md": "new"}
    with pytest.raises(TrainingError if isinstance(error, OSError) else KeyboardInterrupt):
        artifact.write_artifact(folder, model, facts_of(found), found.labels, texts)
    monkeypatch.undo()
    assert api.load(folder).predict(TEXTS) == before
    assert durable.clean_temporary(folder) or not list(folder.glob("tmp-*"))


@pytest.mark.parametrize("moved", range(9))
def test_a_failure_while_files_are_moved_in_is_never_a_mixture(
    moved: int, stored: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first and the last rename no model is complete; the old or the new one is, or none."""
    folder = Path(shutil.copytree(stored["full"], tmp_path / "full"))
    loaded = api.load(folder)
    old = loaded.predict(TEXTS)
    model, found = loaded.model, loaded.artifact
    with torch.no_grad():
        for parameter in model.hf.classifier.parameters():
            parameter.add_(torch.arange(2.0).reshape(-1, *[1] * (parameter.ndim - 1)))
    replace, moves = Path.replace, iter(range(99))

    def fail(self: Path, target: Path) -> Path:
        if self.parent.name.startswith("tmp-") and target.parent == folder and next(moves) == moved:
            raise KeyboardInterrupt
        return replace(self, target)

    texts = {"metrics.json": json.dumps(dict(found.metrics)), "README.md": "new"}
    facts = facts_of(found)
    monkeypatch.setattr(Path, "replace", fail)
    try:
        artifact.write_artifact(folder, model, facts, found.labels, texts)
    except KeyboardInterrupt:
        assert not artifact.is_complete(folder)
        with pytest.raises(ModelError):
            api.load(folder)
    monkeypatch.undo()
    artifact.write_artifact(folder, model, facts, found.labels, texts)
    assert api.load(folder).predict(TEXTS) != old
    durable.clean_temporary(folder)
    assert not list(folder.glob("tmp-*"))


def test_files_of_another_method_do_not_stay(tiny_bert: Path, tmp_path: Path) -> None:
    """A folder that is overwritten must not offer Hugging Face the weights of before."""
    fit(tiny_bert, tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    fit(tiny_bert, tmp_path, "method.name=head", "output.overwrite=true")
    assert not (tmp_path / "model.safetensors").exists()
    assert (tmp_path / "delta.safetensors").exists()
    assert api.load(tmp_path).predict(TEXTS)


def test_a_delta_wants_its_own_base(tmp_path: Path) -> None:
    base = make_tiny_trunk(tmp_path / "base")
    folder = fit(base, tmp_path / "delta", "method.name=head")
    answers = api.load(folder).predict(TEXTS)
    make_tiny_trunk(base, seed=1)
    with pytest.raises(ModelError, match=r"was tuned on .*base with SHA-256") as caught:
        api.load(folder)
    assert "base model" in (caught.value.fix or "")
    shutil.rmtree(base)
    with pytest.raises(ModelError, match="base"):
        api.load(folder)
    make_tiny_trunk(base)
    assert api.load(folder).predict(TEXTS) == answers


@pytest.mark.parametrize("method", ["full", "head"])
@pytest.mark.parametrize("options", [["task.pooling=mean"], ["task.pooling=max", "task.head=mlp"]], ids=str)
def test_heads_of_our_own_load_with_tunesmith_and_say_so(
    options: list[str], method: str, tiny_bert: Path, tmp_path: Path
) -> None:
    events = fitting.run(make_config(tiny_bert, tmp_path, f"method.name={method}", *options), ROWS[:16], ROWS[16:])
    metrics = list(events)[-1].metrics
    loaded = api.load(tmp_path)
    assert not loaded.artifact.head.is_standard
    again = api.evaluate(tmp_path, ROWS[16:], resamples=100)
    assert again["scores"]["accuracy"]["value"] == metrics["scores"]["accuracy"]["value"]
    card = (tmp_path / "README.md").read_text()
    assert "loads with Tunesmith only" in card
    assert "transformers import pipeline" not in card


def test_a_standard_full_model_says_how_hugging_face_loads_it(stored: dict[str, Path]) -> None:
    assert "transformers import pipeline" in (stored["full"] / "README.md").read_text()
    assert "loads with Tunesmith only" in (stored["delta"] / "README.md").read_text()


def test_the_card_escapes_labels_and_hides_paths(stored: dict[str, Path]) -> None:
    found = artifact.read_artifact(stored["full"])
    names = ("plain", "a`b", "<script>alert(1)</script>", "two\n# lines", "pipe | star * under_score", "标签")
    facts = {**found.facts, "base": {**found.facts["base"], "name": "/home/someone/secret/my-bert"}}
    card = model_card.render_card(facts, found.metrics, Labels(names, (1, 2, 3, 4, 5, 6)))
    line = next(line for line in card.splitlines() if line.startswith("- labels: "))
    shown = re.findall(r"`([^`]*)` \((\d)\)", line)
    assert [text for text, _ in shown] == [name.replace("`", "'").replace("\n", " ") for name in names]
    assert re.sub(r"`[^`]*`", "", card).count("<script>") == 0
    assert "secret" not in card
    assert "tuned from `my-bert`" in card
    assert "\n# lines" not in card


def test_the_card_keeps_hub_ids_and_shortens_long_label_lists(stored: dict[str, Path]) -> None:
    found = artifact.read_artifact(stored["full"])
    facts = {**found.facts, "base": {**found.facts["base"], "name": "someone/their-bert"}}
    names = tuple(f"class {number:03}" for number in range(77))
    card = model_card.render_card(facts, found.metrics, Labels(names, (5,) * 77))
    assert "base_model: someone/their-bert\n" in card
    assert card.count("`class ") == 30
    assert "47 more" in card


def test_the_run_is_repeated_by_its_own_config(stored: dict[str, Path], tmp_path: Path) -> None:
    settings = [f"output.folder={tmp_path}"]
    config = resolve_config(read_config_file(stored["full"] / "config.yaml"), settings=settings)
    list(fitting.run(config, ROWS[:16], ROWS[16:]))
    first, second = (artifact.read_artifact(folder).metrics["scores"] for folder in (stored["full"], tmp_path))
    assert first == second
    weights = [(folder / "model.safetensors").read_bytes() for folder in (stored["full"], tmp_path)]
    assert weights[0] == weights[1]


def test_a_change_that_a_whole_model_cannot_hold_is_merged_into_it(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method whose change stands beside the weights, but which stores a whole Hugging Face folder."""

    class Merged(Lora):
        name = "merged"
        tags = Tags(stores="whole")

    monkeypatch.setitem(METHODS, "merged", Merged)
    list(
        fitting.run(
            make_config(tiny_bert, tmp_path, "method.name=merged", "train.learning_rate=0.1"), ROWS[:16], ROWS[16:]
        )
    )
    metrics = artifact.read_artifact(tmp_path).metrics
    again = api.evaluate(tmp_path, ROWS[16:], resamples=100)
    assert again["scores"]["accuracy"]["value"] == metrics["scores"]["accuracy"]["value"]
    with safe_open(tmp_path / "model.safetensors", framework="pt") as weights:
        names = list(weights.keys())
        changed = weights.get_tensor("bert.encoder.layer.0.attention.self.query.weight")
    assert not [name for name in names if "lora" in name]
    with safe_open(tiny_bert / "model.safetensors", framework="pt") as weights:
        assert not torch.equal(changed, weights.get_tensor("encoder.layer.0.attention.self.query.weight"))
