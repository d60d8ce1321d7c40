"""From raw text to a model through the command line, and from that model to a classifier."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from click.testing import Result
from typer.testing import CliRunner

import tunesmith
from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import cli
from tunesmith.errors import TunesmithError
from tunesmith.events import Evaluated, Sample
from tunesmith.pretraining.config import resolve_pretraining
from tunesmith.pretraining.running import run

SMALL = [
    *("model.context_tokens=32", "model.options.hidden_size=32", "model.options.num_hidden_layers=2"),
    *("model.options.num_attention_heads=2", "model.options.intermediate_size=64", "tokenizer.vocabulary=300"),
    *("corpus.validation_fraction=0.2", "corpus.unit=line", "train.batch_size=8", "train.learning_rate=3e-3"),
    "evaluate.steps=5",
]
Call = Callable[..., Result]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{row['text']}\n" for row in make_rows(80)), encoding="utf-8")
    return path


@pytest.fixture
def call() -> Call:
    def run_command(*words: object, settings: list[str] | None = None) -> Result:
        given = [word for setting in (SMALL if settings is None else settings) for word in ("--set", setting)]
        return CliRunner().invoke(cli.app, ["pretrain", *map(str, words), *given])

    return run_command


SMALL_BART = [setting for setting in SMALL if "model.options" not in setting] + [
    *("model.options.d_model=32", "model.options.encoder_layers=1", "model.options.decoder_layers=1"),
    *("model.options.encoder_ffn_dim=64", "model.options.decoder_ffn_dim=64"),
]


@pytest.mark.parametrize("objective", ["mlm", "clm", "electra", "denoise"])
def test_from_text_to_a_base_model(lines: Path, tmp_path: Path, call: Call, objective: str) -> None:
    out = tmp_path / "base"
    small = SMALL_BART if objective == "denoise" else SMALL
    done = call(lines, "--objective", objective, "--steps", 12, "--out", out, "--json", settings=small)
    assert done.exit_code == 0, done.stderr
    assert "0.00% unknown; longest: " in " ".join(done.stderr.split())
    found = json.loads(done.stdout)
    assert found["headline"] == "loss"
    assert found["scores"]["loss"]["low"] <= found["scores"]["loss"]["value"] <= found["scores"]["loss"]["high"]
    assert ("bits_per_byte" in found["scores"]) is (objective != "electra")
    classes: dict[str, Any] = {
        "mlm": transformers.AutoModelForMaskedLM,
        "clm": transformers.AutoModelForCausalLM,
        "electra": transformers.AutoModelForPreTraining,
        "denoise": transformers.AutoModelForSeq2SeqLM,
    }
    _, info = classes[objective].from_pretrained(out, local_files_only=True, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert transformers.AutoTokenizer.from_pretrained(out, local_files_only=True).is_fast
    assert "tunesmith fit data.csv" in (out / "README.md").read_text()


def test_the_loss_falls_and_samples_are_shown(lines: Path, tmp_path: Path) -> None:
    lines.write_text("".join(f"{row['text']}\n" for row in make_rows(400)), encoding="utf-8")
    given = {"corpus": {"files": [str(lines)]}, "output": {"folder": str(tmp_path / "out")}}
    settings = [*SMALL, "train.epochs=60", "train.max_steps=40"]
    events = list(run(resolve_pretraining(given, settings=settings)))
    looks = [event.scores["loss"] for event in events if isinstance(event, Evaluated)]
    assert looks[-1] < 0.9 * looks[0]
    samples = [event.text for event in events if isinstance(event, Sample)]
    assert len(samples) == 2 * len(looks)
    assert all("[" in text for text in samples)


@pytest.mark.parametrize("objective", ["mlm", "denoise"])
def test_fine_tuning_starts_from_it(lines: Path, tmp_path: Path, call: Call, objective: str) -> None:
    base = tmp_path / "base"
    small = SMALL_BART if objective == "denoise" else SMALL
    done = call(lines, "--objective", objective, "--steps", 10, "--out", base, settings=small)
    assert done.exit_code == 0, done.stderr
    result = tunesmith.fit(
        make_rows(40),
        out=tmp_path / "fitted",
        settings=[f"model.name={base}", "train.max_steps=4", "evaluate.resamples=100"],
    )
    assert tunesmith.load(result.folder).predict(["the film was good"])
    with pytest.raises(TunesmithError, match="pretrained model") as caught:
        tunesmith.load(base)
    assert "fit" in str(caught.value.fix)


def test_the_same_command_again(lines: Path, tmp_path: Path, call: Call) -> None:
    out = tmp_path / "out"
    words = (lines, "--steps", 6, "--out", out)
    assert call(*words).exit_code == 0
    weights = (out / "model.safetensors").read_bytes()
    again = call(*words)
    assert again.exit_code == 0
    assert "already complete" in again.stderr
    assert (out / "model.safetensors").read_bytes() == weights
    other = call(lines, "--steps", 7, "--out", out)
    assert other.exit_code == 2
    assert "train.max_steps was 6, now 7" in " ".join(other.stderr.split())
    lines.write_text(lines.read_text() + "one more line\n", encoding="utf-8")
    changed = call(*words)
    assert changed.exit_code == 2
    assert "corpus" in changed.stderr
    assert call(*words, "--overwrite").exit_code == 0
    assert (out / "model.safetensors").read_bytes() != weights


def test_the_written_configuration_repeats_the_run(lines: Path, tmp_path: Path, call: Call) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert call(lines, "--steps", 6, "--out", one).exit_code == 0
    done = call("--config", one / "config.yaml", "--out", other, settings=[])
    assert done.exit_code == 0, done.stderr
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_the_printed_command_repeats_the_run(lines: Path, tmp_path: Path, call: Call) -> None:
    one = tmp_path / "one"
    done = call(lines, "--objective", "clm", "--size", "nano", "--steps", 6, "--out", one)
    printed = next(line for line in done.stderr.splitlines() if line.startswith("tunesmith pretrain"))
    again = CliRunner().invoke(cli.app, shlex.split(printed)[1:])
    assert again.exit_code == 0, again.stderr
    assert "already complete" in again.stderr


def test_continuing_a_model_on_a_domain_tells_what_is_forgotten(lines: Path, tmp_path: Path, call: Call) -> None:
    trunk = make_tiny_trunk(tmp_path / "trunk")
    general = tmp_path / "general.txt"
    general.write_text("".join(f"{row['text']}, so they say\n" for row in make_rows(30)), encoding="utf-8")
    settings = ["model.context_tokens=32", "corpus.unit=line", f"corpus.general=[{general}]", "train.batch_size=8"]
    out = tmp_path / "domain"
    done = call(lines, "--model", trunk, "--steps", 5, "--out", out, "--json", settings=settings)
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"loss", "perplexity", "bits_per_byte", "general_loss"} == set(found["scores"])
    facts = json.loads((out / "tunesmith.json").read_text())
    assert facts["base"]["name"] == str(trunk)
    assert (out / "tokenizer.json").read_text() == (trunk / "tokenizer.json").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "x"], "--corpus"),
        (["nothing.txt", "--out", "x"], "nothing.txt"),
        (["LINES"], "--out"),
        (["LINES", "--out", "x", "--objective", "mln"], "mlm"),
        (["LINES", "--out", "x", "--set", "model.contxt_tokens=3"], "context_tokens"),
        (["LINES", "--out", "x", "--objective", "electra", "--architecture", "bert"], "electra"),
        (["LINES", "--out", "x", "--objective", "electra", "--model", "TRUNK"], "--objective mlm"),
        (["LINES", "--out", "x", "--model", "TRUNK", "--set", "model.context_tokens=1000"], "at most 64"),
        (["LINES", "--out", "LINES"], "wanted a folder"),
    ],
)
def test_mistakes_say_what_to_do(
    lines: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    trunk = make_tiny_trunk(tmp_path / "trunk")
    places = {"LINES": lines, "TRUNK": trunk}
    settings = [] if "TRUNK" in words else SMALL
    done = call(*(places.get(word, word) for word in words), settings=settings)
    assert done.exit_code == 2, done.stderr
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_somebody_elses_folder_is_left_alone(lines: Path, tmp_path: Path, call: Call) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("dear")
    done = call(lines, "--steps", 3, "--out", out)
    assert done.exit_code == 2
    assert "thesis.txt" in done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["thesis.txt"]


def test_another_tokenizer_is_trained_where_its_settings_change(lines: Path, tmp_path: Path, call: Call) -> None:
    out = tmp_path / "out"
    assert call(lines, "--steps", 3, "--out", out).exit_code == 0
    before = (out / "tokenizer.json").read_bytes()
    changed = [setting for setting in SMALL if "vocabulary" not in setting]
    done = call(lines, "--steps", 3, "--out", out, "--overwrite", settings=[*changed, "tokenizer.vocabulary=90"])
    assert done.exit_code == 0, done.stderr
    assert (out / "tokenizer.json").read_bytes() != before


def test_a_damaged_tokenizer_is_trained_again(lines: Path, tmp_path: Path, call: Call) -> None:
    alone, out = tmp_path / "alone", tmp_path / "out"
    assert call(lines, "--steps", 3, "--out", alone).exit_code == 0
    assert call(lines, "--steps", 3, "--out", out).exit_code == 0
    (out / "tunesmith.json").unlink()
    (out / "tokenizer" / "tokenizer.json").write_text("{}")
    for path in out.iterdir():  # as a first run that was killed leaves it
        if path.is_file() and path.name != ".lock":
            path.unlink()
    assert call(lines, "--steps", 3, "--out", out).exit_code == 0
    assert (out / "model.safetensors").read_bytes() == (alone / "model.safetensors").read_bytes()


def test_a_shared_corpus_serves_every_seed_and_is_never_replaced(lines: Path, tmp_path: Path, call: Call) -> None:
    shared = tmp_path / "shared"
    settings = [*SMALL, f"corpus.folder={shared}", f"tokenizer.folder={tmp_path / 'one' / 'tokenizer'}"]
    assert call(lines, "--steps", 3, "--out", tmp_path / "one").exit_code == 0
    for seed in (1, 2):
        done = call(lines, "--steps", 3, "--out", tmp_path / f"s{seed}", settings=[*settings, f"train.seed={seed}"])
        assert done.exit_code == 0, done.stderr
    before = (shared / "corpus.json").read_bytes()
    lines.write_text(lines.read_text() + "one more line\n", encoding="utf-8")
    done = call(lines, "--steps", 3, "--out", tmp_path / "s1", "--overwrite", settings=settings)
    assert done.exit_code == 2
    assert (shared / "corpus.json").read_bytes() == before


def test_the_same_text_in_another_place_is_the_same_run(lines: Path, tmp_path: Path, call: Call) -> None:
    out = tmp_path / "out"
    assert call(lines, "--steps", 3, "--out", out).exit_code == 0
    moved = lines.rename(tmp_path / "moved.txt")
    again = call(moved, "--steps", 3, "--out", out)
    assert again.exit_code == 0, again.stderr
    assert "already complete" in again.stderr


def test_without_held_out_text_nothing_is_trained(tmp_path: Path, call: Call) -> None:
    path = tmp_path / "same.txt"
    path.write_text("one and the same line\n" * 200, encoding="utf-8")
    done = call(path, "--steps", 3, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "corpus.validation" in done.stderr


def test_from_python(lines: Path, tmp_path: Path) -> None:
    metrics = tunesmith.pretrain(lines, out=tmp_path / "out", settings=[*SMALL, "train.max_steps=3"])
    assert metrics["steps"] == 3
