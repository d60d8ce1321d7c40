"""Chat: which tokens are asked for, templates, what is cut, packed neighbours, replies, whole runs by command."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.tiny import make_tiny_trunk
from tunesmith import api, base_models, chatting, generation, inference, ledger
from tunesmith.cli import app
from tunesmith.commands import chat as chat_command
from tunesmith.contracts import IGNORED, Encoded, Labels, Task
from tunesmith.errors import ConfigError, DataError, ModelError
from tunesmith.model import Model
from tunesmith.model_loading import load_model
from tunesmith.packing import pack
from tunesmith.tasks import make_task

SYSTEM = {"role": "system", "content": "be short"}


def turns(*said: str) -> list[dict[str, str]]:
    """What user and assistant say in turns, the user first."""
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(said)]


LONG = [SYSTEM, *turns("the film was good", "great", "and the meal", "awful")]
SHORT = turns("what a day", "it rains")
CHATML = (
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
REWRITING = (
    "{% for m in messages %}{{ m.role }}{{ loop.length }}: {{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}assistant{{ messages | length + 1 }}: {% endif %}"
)
GLUED = (  # the reply begins within what byte pairs take for one word
    "{% for m in messages %}{% if m.role == 'assistant' %}th{{ m.content }}{{ eos_token }}"
    "{% else %}{{ m.content }} {% endif %}{% endfor %}{% if add_generation_prompt %}th{% endif %}"
)


def loaded(folder: Path, task: Task) -> Model:
    return load_model(base_models.resolve(str(folder)), task.head(Labels(()))).eval()


def encoded(model: Model, task: Task, *chats: list[dict[str, str]]) -> list[Encoded]:
    rows = [task.Row.model_validate({"messages": chat}) for chat in chats]
    return task.encode(rows, inference.make_context(model, Labels(())))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_trunk(tmp_path_factory.mktemp("llama"), "llama", texts=["User: the Assistant: System:"] * 9)


@pytest.fixture
def task() -> Task:
    return make_task("chat", {"max_new_tokens": 8})


@pytest.fixture
def model(llama: Path, task: Task) -> Model:
    made = loaded(llama, task)
    made.max_tokens = 512
    return made


def asked(model: Model, item: Encoded) -> str:
    return str(model.tokenizer.decode([token for token in item.target if token != IGNORED]))


@pytest.mark.parametrize("template", ["", CHATML])
def test_what_the_assistant_says_is_asked_for_and_nothing_else(llama: Path, template: str) -> None:
    task = make_task("chat", {"template": template})
    model = loaded(llama, task)
    model.max_tokens = 512
    (item,) = encoded(model, task, LONG)
    (ids,) = item.sequences
    assert asked(model, item).split("</s>")[:2] == ([" great", " awful"] if not template else ["great", "awful"])
    places = [place for place, token in enumerate(item.target) if token != IGNORED]
    assert [ids[place + 1] for place in places] == [item.target[place] for place in places]
    assert sum(item.target[place] == model.tokenizer.eos_token_id for place in places) == 2
    assert ids == model.tokenizer.apply_chat_template(LONG, tokenize=True)["input_ids"], "what Hugging Face has"


@pytest.mark.parametrize("template", ["", CHATML, GLUED])
def test_turns_are_learnt_behind_the_tokens_they_are_written_from(llama: Path, template: str) -> None:
    task = make_task("chat", {"template": template, "max_new_tokens": 8})
    model = loaded(llama, task)
    model.max_tokens = 512
    (whole,) = encoded(model, task, LONG)
    for count in (2, 4):
        prompt = task.prompt(model, LONG[:count])  # type: ignore[attr-defined]
        assert whole.sequences[0][: len(prompt)] == prompt
        assert whole.target[len(prompt) - 1] == whole.sequences[0][len(prompt)]
        assert whole.target[len(prompt) - 2] == IGNORED


def test_no_gradient_reaches_what_others_say(model: Model, task: Task) -> None:
    (item,) = encoded(model, task, LONG)
    batch = pack([[item]])
    seen: list[torch.Tensor] = []

    def keep(module: Any, given: Any, found: Any) -> None:
        found.retain_grad()
        seen.append(found)

    hidden = model.trunk(batch)
    hidden.retain_grad()
    from tunesmith.guessing import guess_hidden

    handle = model.hf.lm_head.register_forward_hook(keep)
    guess_hidden(model, hidden, batch)["loss"].backward()
    handle.remove()
    places = torch.tensor([token != IGNORED for token in item.target])
    assert (hidden.grad[~places] == 0).all()
    assert (hidden.grad[places].abs().sum(dim=1) > 0).all()
    (logits,) = seen
    assert logits.shape[-2] == int(places.sum()), "the vocabulary is scored at the assistant's places only"


def test_packed_conversations_do_not_see_each_other(model: Model, task: Task) -> None:
    first, second, other = encoded(model, task, LONG, SHORT, turns("good good good", "sad"))

    def loss(*items: Encoded) -> float:
        batch = pack([[item] for item in items])
        with torch.no_grad():
            return float(task.loss(task.forward(model, batch), batch, Labels(()))[0])

    alone = loss(first), loss(second)
    assert loss(first, second) == pytest.approx(sum(alone), rel=1e-5)
    assert loss(second, first) == pytest.approx(sum(alone), rel=1e-5)
    assert loss(other, first) - loss(other) == pytest.approx(alone[0], rel=1e-4)


def test_perplexity_is_that_of_hugging_face(model: Model, task: Task) -> None:
    items = encoded(model, task, LONG, SHORT)
    found = inference.predict_items(model, task, items, Labels(())).predictions
    model.set_packed(False)
    for item, prediction in zip(items, found, strict=True):
        labels = torch.tensor([[IGNORED, *item.target[:-1]]])
        with torch.no_grad():
            wanted = float(model.hf(input_ids=torch.tensor([item.sequences[0]]), labels=labels).loss)
        assert prediction.answer is None
        assert prediction.tokens == int((labels != IGNORED).sum())
        assert prediction.nll / prediction.tokens == pytest.approx(wanted, rel=1e-5)
        counts = task.tally(prediction, (), Labels(()))
        assert task.score(counts, Labels(()))["perplexity"] == pytest.approx(math.exp(wanted), rel=1e-5)


def test_oldest_exchanges_go_first_and_the_system_stays(model: Model, task: Task) -> None:
    (whole,) = encoded(model, task, LONG)
    model.max_tokens = whole.length_tokens - 1
    (shorter,) = encoded(model, task, LONG)
    (wanted,) = encoded(model, task, [LONG[0], *LONG[3:]])
    assert (shorter.sequences, shorter.target) == (wanted.sequences, wanted.target)
    assert shorter.cut_tokens == whole.length_tokens - wanted.length_tokens


def test_the_last_answer_loses_its_end_and_a_question_too_long_is_named(model: Model, task: Task) -> None:
    chat = turns("the film", "good " * 20)
    (whole,) = encoded(model, task, chat)
    model.max_tokens = whole.length_tokens - 6
    (cut,) = encoded(model, task, chat)
    assert cut.sequences[0] == whole.sequences[0][:-6]
    assert (cut.cut_tokens, cut.lost) == (6, ())
    assert model.tokenizer.eos_token_id not in cut.target
    (lost,) = encoded(model, task, turns("good " * 200, "yes"))
    assert lost.length_tokens <= model.max_tokens
    assert set(lost.target) == {IGNORED}
    assert "last question alone is too long" in lost.lost[0]
    assert ledger.count([cut, lost]).lost_answers == 1
    (prediction,) = inference.predict_items(model, task, [lost], Labels(())).predictions
    assert prediction.tokens > 0
    assert prediction.nll / prediction.tokens == pytest.approx(math.log(model.vocabulary_size)), "no better than a draw"
    with pytest.raises(DataError, match="longer than"):
        task.prompt(model, turns("good " * 200))  # type: ignore[attr-defined]


def test_room_is_kept_for_the_reply(model: Model, task: Task) -> None:
    chat = [*turns("the film was good", "great"), {"role": "user", "content": "why"}]
    model.max_tokens = encoded(model, task, chat)[0].length_tokens + 4
    (item,) = encoded(model, task, chat)
    assert item.length_tokens <= model.max_tokens - 8
    (wanted,) = encoded(model, task, turns("why"))
    assert item.sequences == wanted.sequences


def test_a_template_that_rewrites_earlier_turns_is_refused(llama: Path) -> None:
    task = make_task("chat", {"template": REWRITING})
    with pytest.raises(ModelError, match="conversation 1: the chat template writes earlier turns otherwise"):
        encoded(loaded(llama, task), task, LONG)


def test_a_template_that_refuses_or_never_ends_is_named(llama: Path) -> None:
    strict = make_task(
        "chat", {"template": "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}x"}
    )
    with pytest.raises(ModelError, match="cannot write a conversation of system"):
        encoded(loaded(llama, strict), strict, LONG)
    endless = make_task("chat", {"template": "{% for m in messages %}{{ m.content }}\n{% endfor %}"})
    model = loaded(llama, endless)
    encoded(model, endless, SHORT)
    with pytest.raises(ModelError, match="never end"):
        endless.prepare_head(model, Labels(()))


def test_templates_run_in_a_sandbox(llama: Path) -> None:
    task = make_task("chat", {"template": "{{ messages.__class__.__mro__[1].__subclasses__() }}"})
    with pytest.raises(ModelError, match=r"cannot write .*(unsafe|undefined)"):
        encoded(loaded(llama, task), task, SHORT)


def test_a_template_comes_from_a_file_and_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text(CHATML, encoding="utf-8")
    assert make_task("chat", {"template": str(path)}).config.template == CHATML
    with pytest.raises(ConfigError, match="neither a Jinja template nor a file"):
        make_task("chat", {"template": str(tmp_path / "none.jinja")})


def test_an_encoder_with_a_decoder_is_refused(tmp_path: Path) -> None:
    task = make_task("chat", {})
    with pytest.raises(ModelError, match="reads texts and writes none"):
        loaded(make_tiny_trunk(tmp_path / "bert", "bert"), task)
    with pytest.raises(ModelError, match="chat needs a decoder"):
        encoded(loaded(make_tiny_trunk(tmp_path / "bart", "bart"), task), task, SHORT)


def test_pieces_of_a_reply_are_whole_characters(model: Model) -> None:
    text = "  it rains 很好 ok 🎈 \n and more, more and more good film " + "the film was good " * 6
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    given = list(chatting.pieces(model, iter(ids)))
    assert "".join(given) == text.strip()
    assert len(given) > 10
    broken = model.tokenizer("很", add_special_tokens=False)["input_ids"][:1]
    assert "".join(chatting.pieces(model, iter([*ids[:4], *broken]))) == model.tokenizer.decode(ids[:4]).strip()
    assert not list(chatting.pieces(model, iter([])))


def test_a_streamed_reply_is_the_written_one(model: Model, task: Task) -> None:
    chat = turns("the film was good")
    (prediction,) = inference.predict_items(model, task, encoded(model, task, chat), Labels(())).predictions
    assert "".join(chatting.reply(model, task, chat)) == prediction.answer
    drawn = generation.Decoding(max_new_tokens=8, sample=True, seed=3)
    assert "".join(chatting.reply(model, task, chat, drawn)) == "".join(chatting.reply(model, task, chat, drawn))
    other = make_task("text-to-text", {})
    with pytest.raises(ModelError, match="converses"):
        chatting.reply(model, other, chat)


def test_from_a_file_to_a_conversation_by_command(tmp_path: Path) -> None:
    """fit, evaluate, predict and chat; the folder has the template, and says what was answered before and after."""
    base, data, out = make_tiny_trunk(tmp_path / "base", "llama"), tmp_path / "chat.jsonl", tmp_path / "run"
    answers = {"the film": "good", "the meal": "awful"}
    lines = [json.dumps({"messages": turns(asked, said)}) for asked, said in answers.items()] * 4
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    template = tmp_path / "own.jinja"
    template.write_text(CHATML, encoding="utf-8")
    run = CliRunner()
    fit = ["fit", "--task", "chat", "--model", str(base), "--train", str(data), "--dev", str(data), "--out", str(out)]
    settings = ["train.epochs=60", "train.learning_rate=5e-3", "train.batch_size=8", "evaluate.per_epoch=0.1"]
    settings += [f"task.template={template}", "task.max_new_tokens=8", "model.dropout=0"]
    fitted = run.invoke(app, [*fit, *(word for pair in settings for word in ("--set", pair))])
    assert fitted.exit_code == 0, fitted.output
    template.unlink()
    again = api.load(out)
    assert again.model.tokenizer.chat_template == CHATML
    judged = run.invoke(app, ["evaluate", str(out), "--data", str(data), "--json"])
    assert judged.exit_code == 0, judged.output
    found = json.loads(judged.stdout)
    assert found["headline"] == "perplexity"
    assert found["scores"]["perplexity"]["value"] < 1.2
    assert found["baselines"]["frozen"]["perplexity"]["value"] > 5
    assert found["gain"]["value"] < 0
    shown = json.loads((out / "metrics.json").read_text())["samples"]
    assert len(shown) == 3
    assert {one["after"] for one in shown} == {"good", "awful"} == {one["right"] for one in shown}
    assert all(one["prompt"][-1]["role"] == "user" and one["before"] != one["right"] for one in shown)
    page = (out / "report.html").read_text()
    assert "Before fine-tuning" in page
    assert "微调前" in page
    said = run.invoke(app, ["predict", str(out), "the film"])
    assert "good" in said.output
    talked = run.invoke(app, ["chat", str(out)], input="the meal\n/reset\nthe film\n/exit\nthe meal\n")
    assert talked.exit_code == 0, talked.output
    assert talked.stdout.splitlines()[-2:] == ["awful", "good"]
    compared = run.invoke(app, ["compare", str(out), str(out), "--data", str(data), "--json"])
    assert compared.exit_code == 0, compared.output
    assert "perplexity" in compared.stdout
    checked = run.invoke(app, ["check", str(data), "--task", "chat", "--model", str(base), "--json"])
    assert checked.exit_code in (0, 1), checked.output
    assert json.loads(checked.stdout)
    beams = run.invoke(app, ["chat", str(out), "--set", "beams=2"], input="the meal\n")
    assert beams.exit_code == 2
    assert "beams know their answer at the end only" in beams.output


class Replying:
    """A model that says two words, and at the second one somebody presses Ctrl-C when asked about rain."""

    def __init__(self) -> None:
        self.seen: list[list[dict[str, str]]] = []

    def reply(self, model: Any, task: Any, messages: list[dict[str, str]], how: Any) -> Iterator[str]:
        self.seen.append(list(messages))
        yield "it"
        if messages[-1]["content"] == "rain":
            raise KeyboardInterrupt
        yield " is\x1b"


def test_a_terminal_remembers_forgets_and_stops_an_answer(
    llama: Path, task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = iter(["", "sun", "rain", "/help", KeyboardInterrupt(), "/system be kind", "snow", "/reset", "hail"])

    def type_in(prompt: str) -> str:
        text = next(said, EOFError())
        if isinstance(text, BaseException):
            raise text
        return text

    replying = Replying()
    monkeypatch.setattr("builtins.input", type_in)
    monkeypatch.setattr(chatting, "reply", replying.reply)
    made = loaded(llama, task)
    conversation = chat_command.Conversation(SimpleNamespace(model=made, task=task), "", [])  # type: ignore[arg-type]
    chat_command._talk(conversation)
    shown = capsys.readouterr().out
    assert "it …" in shown
    assert "\x1b" not in shown
    assert "/reset begins anew" in shown
    asked = [[turn["content"] for turn in messages] for messages in replying.seen]
    whole = "it is\x1b"
    assert asked == [["sun"], ["sun", whole, "rain"], ["be kind", "snow"], ["be kind", "hail"]]
