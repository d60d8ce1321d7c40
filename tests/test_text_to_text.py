"""Text to text: what is asked for, what is cut, what the loss counts, two tokenizers, a whole run by command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.tiny import make_tiny_trunk
from tunesmith import api, base_models, inference
from tunesmith.cli import app
from tunesmith.contracts import IGNORED, Labels, Task
from tunesmith.errors import ModelError
from tunesmith.model import Model
from tunesmith.model_loading import TARGET_TOKENIZER, load_model
from tunesmith.packing import pack
from tunesmith.tasks import make_task
from tunesmith.tasks.writing_rows import choose_headline, target_facts

ROWS: list[dict[str, Any]] = [
    {"text": "the film was good", "target": "good film"},
    {"text": "the meal was awful and the hotel too", "target": ["awful meal, awful hotel", "bad meal"]},
]


def loaded(folder: Path, task: Task) -> Model:
    model = load_model(base_models.resolve(str(folder)), task.head(Labels(())))
    return model.eval()


def encoded(model: Model, task: Task, rows: list[dict[str, Any]]) -> list[Any]:
    given = [task.Row.model_validate(row) for row in rows]
    return task.encode(given, inference.make_context(model, task.labels(given)))


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return make_tiny_trunk(tmp_path / "llama", "llama")


@pytest.fixture
def bart(tmp_path: Path) -> Path:
    return make_tiny_trunk(tmp_path / "bart", "bart")


def test_a_decoder_is_asked_for_what_is_written_and_its_end_only(llama: Path) -> None:
    task = make_task("text-to-text", {"max_new_tokens": 16})
    model = loaded(llama, task)
    for item, row in zip(encoded(model, task, ROWS), ROWS, strict=True):
        target = row["target"] if isinstance(row["target"], str) else row["target"][0]
        (sequence,) = item.sequences
        given = model.tokenizer(row["text"] + "\n")["input_ids"]
        assert sequence[: item.meta["prompt_tokens"]] == given
        asked = [token for token in item.target if token != IGNORED]
        assert asked == [*model.tokenizer(target)["input_ids"], model.tokenizer.eos_token_id]
        places = [place for place, token in enumerate(item.target) if token != IGNORED]
        assert [sequence[place + 1] for place in places] == asked
        assert min(places) == len(given) - 1


@pytest.mark.parametrize("family", ["llama", "bart", "gpt2"])
def test_the_loss_is_that_of_hugging_face(family: str, tmp_path: Path) -> None:
    task = make_task("text-to-text", {"max_new_tokens": 16})
    model = loaded(make_tiny_trunk(tmp_path, family), task)
    items = encoded(model, task, ROWS)
    batch = pack([[item] for item in items])
    with torch.no_grad():
        loss, units = task.loss(task.forward(model, batch), batch, Labels(()))
        model.set_packed(False)
        total, count = 0.0, 0
        for item in items:
            if model.has_decoder:
                read, written = (torch.tensor([ids]) for ids in item.sequences)
                found = model.hf(input_ids=read, labels=written).loss
                count_here = written.numel()
            else:
                labels = torch.tensor([[IGNORED, *item.target[:-1]]])
                found = model.hf(input_ids=torch.tensor([item.sequences[0]]), labels=labels).loss
                count_here = int((labels != IGNORED).sum())
            total, count = total + float(found) * count_here, count + count_here
    assert units == count
    assert float(loss) == pytest.approx(total, rel=1e-5)


def test_smoothing_is_for_training_only(llama: Path) -> None:
    plain, smooth = (make_task("text-to-text", {"label_smoothing": share}) for share in (0.0, 0.2))
    model = loaded(llama, plain)
    batch = pack([encoded(model, plain, ROWS)])
    losses = {}
    for name, task in (("plain", plain), ("smooth", smooth)):
        for mode in (True, False):
            model.train(mode)
            with torch.no_grad():
                losses[name, mode] = float(task.forward(model, batch)["loss"])
    assert losses["plain", False] == losses["smooth", False]
    assert losses["plain", True] != losses["smooth", True]


@pytest.mark.parametrize("family", ["llama", "bart"])
def test_what_does_not_fit_is_cut_and_counted(family: str, tmp_path: Path) -> None:
    task = make_task("text-to-text", {"max_new_tokens": 8})
    model = loaded(make_tiny_trunk(tmp_path, family), task)
    long = " ".join(["the film was good"] * 40)
    short, both = encoded(model, task, [ROWS[0], {"text": long, "target": long}])
    assert short.cut_tokens == 0
    whole = len(model.tokenizer(long)["input_ids"])
    assert both.cut_tokens > whole
    prompt = both.meta["prompt_tokens"]
    assert prompt <= model.max_tokens
    written = both.sequences[1] if model.has_decoder else both.sequences[0][prompt:]
    assert len(written) == 8
    assert model.tokenizer.eos_token_id not in written, "what was cut has no end"
    if model.has_decoder:
        assert both.sequences[0][-1] == model.tokenizer.eos_token_id
    else:
        assert len(both.sequences[0]) <= model.max_tokens
    (asked,) = encoded_without_target(model, task, long)
    assert asked.sequences[0] == both.sequences[0][:prompt], "a row is asked as it was learnt"


def encoded_without_target(model: Model, task: Task, text: str) -> list[Any]:
    return task.encode([task.Row(text=text)], inference.make_context(model, Labels(())))


def test_prefix_control_and_context_are_read_before_and_behind(llama: Path) -> None:
    task = make_task("text-to-text", {"prefix": "do: ", "separator": " | "})
    model = loaded(llama, task)
    row = {"text": "good", "context": "the film", "control": "short", "target": "x"}
    (item,) = encoded(model, task, [row])
    prompt = item.sequences[0][: item.meta["prompt_tokens"]]
    assert model.tokenizer.decode(prompt) == "do: short: good | the film | "


def test_headline_fits_the_answers() -> None:
    assert choose_headline(target_facts([("a b c d", "yes"), ("e f g h", "no")])) == "exact_match"
    assert choose_headline(target_facts([("word " * 100, "five words are a summary")])) == "rouge_l"
    assert choose_headline(target_facts([("a b c d", "w x y z")])) == "bleu"
    assert target_facts([("今天天气很好", "天气好")])["chinese"] == 1.0
    assert make_task("text-to-text", {"headline": "chrf"}).headline(Labels(())) == "chrf"


def test_what_is_written_has_a_tokenizer_of_its_own(bart: Path, tmp_path: Path) -> None:
    """As with spelling and sounds: the decoder's ids mean other signs than the encoder's."""
    other = make_tiny_trunk(tmp_path / "other", "bart", texts=["eins zwei drei vier"])
    target = bart / TARGET_TOKENIZER
    target.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (target / name).write_bytes((other / name).read_bytes())
    rows = [{"text": "the film was good", "target": "eins zwei"}, {"text": "what a day", "target": "drei vier"}] * 8
    out = tmp_path / "run"
    settings = ["train.epochs=60", "train.learning_rate=5e-3", "train.batch_size=8", "model.dropout=0"]
    config = {"model": {"name": str(bart)}, "task": {"name": "text-to-text"}, "evaluate": {"baselines": False}}
    api.fit(rows, dev=rows[:2], out=out, config=config, settings=[*settings, "evaluate.per_epoch=0.1"])
    predictor = api.load(out)
    assert (out / TARGET_TOKENIZER / "tokenizer.json").is_file()
    assert [answer.answer for answer in predictor.predict(["the film was good", "what a day"])] == [
        "eins zwei",
        "drei vier",
    ]


def test_an_encoder_is_refused_with_a_way_out(tmp_path: Path) -> None:
    trunk = make_tiny_trunk(tmp_path / "bert", "bert")
    with pytest.raises(ModelError, match="reads texts and writes none"):
        api.fit(
            ROWS,
            dev=ROWS,
            out=tmp_path / "run",
            config={"model": {"name": str(trunk)}, "task": {"name": "text-to-text"}},
        )


def test_from_nothing_to_answers_by_command(tmp_path: Path) -> None:
    """new, fit, evaluate, predict: the commands of the page on the task."""
    names = ["red", "blue", "green", "white", "black", "brown"]
    things = ["dog", "cat", "bird", "fish"]
    rows = [{"text": f"the {name} {thing}", "target": f"{thing} {name}"} for name in names for thing in things]
    data, base, out = tmp_path / "pairs.jsonl", tmp_path / "base", tmp_path / "run"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = CliRunner()
    made = run.invoke(
        app,
        ["new", str(data), "--out", str(base), "--size", "nano", "--vocabulary", "100", "--json"],
    )
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["architecture"] == "bart"
    again = run.invoke(app, ["new", str(data), "--out", str(base)])
    assert again.exit_code == 2
    fit = ["fit", "--task", "text-to-text", "--model", str(base), "--train", str(data), "--dev", str(data)]
    settings = ["train.epochs=80", "train.learning_rate=2e-3", "train.batch_size=24", "evaluate.per_epoch=0.1"]
    fitted = run.invoke(app, [*fit, "--out", str(out), *(word for pair in settings for word in ("--set", pair))])
    assert fitted.exit_code == 0, fitted.output
    judged = run.invoke(app, ["evaluate", str(out), "--data", str(data), "--json"])
    assert judged.exit_code == 0, judged.output
    found = json.loads(judged.stdout)
    assert found["headline"] == "exact_match"
    assert found["scores"]["exact_match"]["value"] >= 0.9
    assert found["baselines"]["copy"]["exact_match"]["value"] == 0.0
    assert found["baselines"]["frozen"]["exact_match"]["value"] < 0.5
    assert found["signature"].startswith("BLEU|nrefs:1|")
    told = run.invoke(app, ["predict", str(out), "the red cat"])
    assert told.exit_code == 0, told.output
    assert "cat red" in told.output
    shorter = run.invoke(app, ["predict", str(out), "the red cat", "--set", "task.max_new_tokens=1"])
    assert shorter.exit_code == 0, shorter.output
    assert "cat red" not in shorter.output
    refused = run.invoke(app, ["evaluate", str(out), "--data", str(data), "--set", "task.prefix=x"])
    assert refused.exit_code == 2
    assert "task.prefix cannot be changed in a finished model" in refused.output
    assert "max_new_tokens" in refused.output
