"""Base models that answer by themselves: scores by hand, what is refused, long texts, examples in front, files."""

from __future__ import annotations

import doctest
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from typer.testing import CliRunner, Result

import tunesmith as ts
from tests.tiny import BAD, GOOD, make_rows, make_tiny_trunk
from tunesmith import cli
from tunesmith.errors import ConfigError, DataError, ModelError, UserError
from tunesmith.model_loading import quiet_transformers
from tunesmith.prompting import base, descriptions, request, shots, template_file, wordings, written
from tunesmith.prompting.base import load_base
from tunesmith.prompting.request import settle_request
from tunesmith.prompting.shots import Shots, read_shots
from tunesmith.prompting.template_file import read_template
from tunesmith.prompting.written import find_answer
from tunesmith.tasks import make_task, prompt_texts

CLASSES: dict[str, Any] = {
    "bert": transformers.AutoModelForMaskedLM,
    "roberta": transformers.AutoModelForMaskedLM,
    "gpt2": transformers.AutoModelForCausalLM,
    "llama": transformers.AutoModelForCausalLM,
    "bart": transformers.AutoModelForSeq2SeqLM,
}
TEXTS = ["the meal was lovely and the film too", "the phone was awful", "a day"]
CLOZE = "{text} it was {mask} ."
EMPTY = ("", "N/A", "[MASK]")


def make_language_model(folder: Path, family: str) -> Path:
    """A tiny random language model with its head."""
    make_tiny_trunk(folder, family)
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        CLASSES[family].from_config(transformers.AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def language_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {family: make_language_model(folder / family, family) for family in CLASSES}


def call(*words: object) -> Result:
    return CliRunner().invoke(cli.app, ["predict", *map(str, words)])


def probabilities(answers: Sequence[Any]) -> torch.Tensor:
    return torch.tensor([list(answer.probabilities.values()) for answer in answers])


# --- the three ways, by hand -----------------------------------------------------------------------------


def vectors_by_hand(folder: Path, texts: Sequence[str]) -> torch.Tensor:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    hf = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        means = [hf(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0) for text in texts]
    return torch.nn.functional.normalize(torch.stack(means), dim=-1)


def test_an_encoder_compares_texts_with_the_mean_of_descriptions(tiny_bert: Path) -> None:
    labels = {"good": ["a happy meal", "great service"], "bad": "awful phone", "day": []}
    answers = ts.zero_shot(tiny_bert, labels).predict(TEXTS)
    wanted = [vectors_by_hand(tiny_bert, some).mean(dim=0) for some in (["a happy meal", "great service"],)]
    wanted += [vectors_by_hand(tiny_bert, ["awful phone"])[0]]
    wanted += [vectors_by_hand(tiny_bert, ["This text is about day."])[0]]
    anchors = torch.nn.functional.normalize(torch.stack(wanted), dim=-1)
    by_hand = (vectors_by_hand(tiny_bert, TEXTS) @ anchors.T / 0.05).softmax(dim=-1)
    assert torch.allclose(probabilities(answers), by_hand, atol=1e-4)
    assert [answer.label for answer in answers] == [list(labels)[place] for place in by_hand.argmax(dim=-1)]


def test_a_wording_of_the_users_own_goes_around_every_description(tiny_bert: Path) -> None:
    worded = ts.zero_shot(tiny_bert, {"x": "happy meal", "y": []}, template="it is a {label} !")
    written = ts.zero_shot(tiny_bert, {"x": "it is a happy meal !", "y": "it is a y !"})
    assert torch.equal(probabilities(worded.predict(TEXTS)), probabilities(written.predict(TEXTS)))


def cloze_by_hand(folder: Path, text: str, words: Sequence[str]) -> torch.Tensor:
    """Log-probabilities of words; those of two tokens are hidden by two masks at once."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    hf = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    scores = []
    for word in words:
        ids = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
        inputs = tokenizer(f"{text} it was {tokenizer.mask_token * len(ids)} .", return_tensors="pt")
        places = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero()[-len(ids) :, 0]
        with torch.no_grad():
            logits = hf(**inputs).logits[0, places].log_softmax(dim=-1)
        scores.append(sum(float(row[token]) for row, token in zip(logits, ids, strict=True)))
    return torch.tensor(scores)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_masked_model_scores_words_less_what_they_get_without_text(
    language_models: dict[str, Path], family: str
) -> None:
    folder = language_models[family]
    labels = {"good": ["great", "lovely"], "bad": "too bad"}
    answers = ts.zero_shot(folder, labels, template=CLOZE).predict(TEXTS)

    def scores(text: str) -> torch.Tensor:
        great, lovely, bad = cloze_by_hand(folder, text, ["great", "lovely", "too bad"])
        return torch.stack([(great + lovely) / 2, bad]).log_softmax(dim=-1)

    nothing = torch.stack([scores(text) for text in EMPTY]).logsumexp(dim=0) - math.log(3)
    by_hand = torch.stack([scores(text) - nothing for text in TEXTS]).softmax(dim=-1)
    assert torch.allclose(probabilities(answers), by_hand, atol=1e-4)


def likelihood_by_hand(folder: Path, text: str, word: str) -> float:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    prompt, whole = (tokenizer(f"{text} it was{end}")["input_ids"] for end in ("", f" {word}"))
    if folder.name == "bart":
        hf = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
        ids = tokenizer(word, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            loss = hf(input_ids=torch.tensor([prompt]), labels=ids).loss
        return -float(loss) * ids.shape[1]
    hf = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    assert whole[: len(prompt)] == prompt
    with torch.no_grad():
        logits = hf(input_ids=torch.tensor([whole])).logits[0].log_softmax(dim=-1)
    return sum(float(logits[place - 1, whole[place]]) for place in range(len(prompt), len(whole)))


@pytest.mark.parametrize("family", ["gpt2", "llama", "bart"])
def test_a_writing_model_scores_how_likely_it_goes_on(language_models: dict[str, Path], family: str) -> None:
    folder = language_models[family]
    labels = {"good": ["great", "superb and lovely"], "bad": "too bad"}
    answers = ts.zero_shot(folder, labels, template="{text} it was {mask}").predict(TEXTS)

    def scores(text: str) -> torch.Tensor:
        great, superb, bad = (likelihood_by_hand(folder, text, w) for w in ("great", "superb and lovely", "too bad"))
        return torch.tensor([(great + superb) / 2, bad]).log_softmax(dim=-1)

    nothing = torch.stack([scores(text) for text in EMPTY]).logsumexp(dim=0) - math.log(3)
    by_hand = torch.stack([scores(text) - nothing for text in TEXTS]).softmax(dim=-1)
    assert torch.allclose(probabilities(answers), by_hand, atol=1e-4)


# --- rows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "gpt2", "bart"])
def test_a_long_text_loses_its_end_and_keeps_the_label(language_models: dict[str, Path], family: str) -> None:
    judge = ts.zero_shot(language_models[family], ["good", "bad"], template="{text} it was {mask}")
    long, longer = ("the meal was good and " * times for times in (100, 200))
    one, other = judge.predict([long, longer])
    assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    assert one.probability is not None
    assert 0.5 <= one.probability < 1


def test_chinese_labels_get_a_chinese_sentence(tiny_bert: Path) -> None:
    usual = ts.zero_shot(tiny_bert, "市场，手机").predict(["服务太差"])
    written = ts.zero_shot(tiny_bert, {"市场": "这段文字是关于市场的。", "手机": "这段文字是关于手机的。"}).predict(
        ["服务太差"]
    )
    assert usual == written


def test_pairs_have_a_place_for_the_second_text(language_models: dict[str, Path]) -> None:
    template = "{text} . {text_b} ? {mask} ."
    judge = ts.zero_shot(language_models["bert"], ["good", "bad"], template=template)
    rows = [{"text": "the meal", "text_b": text} for text in ("was good", "was bad")]
    one, other = judge.predict(rows)
    assert one.probabilities != other.probabilities


def test_no_rows_no_answers(tiny_bert: Path) -> None:
    assert ts.zero_shot(tiny_bert, "a,b").predict_rows([]) == []


# --- what is written -------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gpt2", "bart"])
def test_texts_are_written_behind_the_prompt(language_models: dict[str, Path], tmp_path: Path, family: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("task: generation\ntemplate: 'a {text} it was'\nanswer_tokens: 5\n", encoding="utf-8")
    (answer,) = ts.zero_shot(language_models[family], template=path).predict(["good meal"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(language_models[family])
    hf = CLASSES[family].from_pretrained(language_models[family]).eval()
    ids = torch.tensor([tokenizer("a good meal it was")["input_ids"]])
    wanted = hf.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)
    # the last of six: BART's config forces it to be the end
    start = 1 if family == "bart" else ids.shape[1]
    assert answer.answer == tokenizer.decode(wanted[0, start : start + 5], skip_special_tokens=True).strip()


def test_questions_and_extraction_read_their_own_rows(language_models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    long = "the meal was good and " * 40
    path.write_text("task: questions\ntemplate: '{text} {question} ?'\nanswer_tokens: 4\n", encoding="utf-8")
    rows = [{"question": "what was good", "context": text} for text in (long, "a day")]
    answers = ts.zero_shot(language_models["gpt2"], template=path).predict(rows)
    assert [type(answer).__name__ for answer in answers] == ["QuestionPrediction"] * 2
    path.write_text("task: extraction\ntemplate: '{text} is a'\n", encoding="utf-8")
    (answer,) = ts.zero_shot(language_models["gpt2"], template=path).predict(["a day"])
    assert answer.answer in "a day"


def test_what_is_written_is_found_in_the_text() -> None:
    assert find_answer("\n the MEAL \nand more", "it was the meal", keeps_strangers=False).start == 7
    assert find_answer("a phone", "it was the meal", keeps_strangers=True).answer == "a phone"
    assert find_answer("a phone", "it was the meal", keeps_strangers=False).answer == ""
    assert find_answer("", "it was the meal", keeps_strangers=False).start is None


def test_an_encoder_writes_nothing(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("template: '{text}!'\ntask: generation\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"writes nothing, so .*t\.yaml, line 2, task: generation"):
        ts.zero_shot(tiny_bert, template=tmp_path / "t.yaml")
    with pytest.raises(ConfigError, match="line 2, task: generation takes no examples"):
        ts.zero_shot(tiny_bert, template=tmp_path / "t.yaml", shots=SHOTS)


# --- examples in front -----------------------------------------------------------------------------------

SHOTS = [*make_rows(40, ("bad", "good")), {"text": "the song was good", "label": "good"}]
SHOTS += [{"text": "a song", "label": "bad"}]


def test_examples_are_balanced_alike_and_fit(language_models: dict[str, Path]) -> None:
    asked = settle_request("bad,good", "{text} it was {mask}")
    model, _ = load_base(str(language_models["gpt2"]), asked)
    task = make_task("text-classification", {"kind": "single"})
    known = read_shots(SHOTS, task, ["bad", "good"], "{text} it was {mask}")
    chooser = Shots(known, asked.labels, "{text} it was {mask}", "\n\n", model.tokenizer, model.max_tokens)
    texts = ["a song was good", "the meal was good and " * 3]
    fronts = chooser.fronts([{"text": text} for text in texts])
    for text, front in zip(texts, fronts, strict=True):
        labels = [example.rpartition(" ")[2] for example in front.removesuffix("\n\n").split("\n\n")]
        assert labels.count("bad") == labels.count("good") >= 1
        assert len(model.tokenizer(f"{front}{text} it was bad")["input_ids"]) <= model.max_tokens
    assert fronts[0].split("\n\n")[-2].startswith(("the song was good", "a song"))


@pytest.mark.parametrize("family", ["bert", "gpt2", "bart"])
def test_examples_change_answers_the_same_way_every_time(language_models: dict[str, Path], family: str) -> None:
    def ask(known: Any) -> list[Any]:
        template = "{text} it was {mask}"
        return ts.zero_shot(language_models[family], "bad,good", template=template, shots=known).predict(TEXTS)

    assert ask(SHOTS) == ask(SHOTS)
    assert ask(SHOTS) != ask(None)


def test_examples_of_an_encoder_are_descriptions(tiny_bert: Path) -> None:
    known = [{"text": "the meal was good", "label": "good"}]
    with_shots = ts.zero_shot(tiny_bert, ["good", "bad"], shots=known).predict(TEXTS)
    labels = {"good": ["This text is about good.", "the meal was good"], "bad": ["This text is about bad."]}
    assert with_shots == ts.zero_shot(tiny_bert, labels).predict(TEXTS)


def test_an_example_of_an_unknown_label_is_named(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "shots.csv").write_text("text,label\na meal,x\na phone,z\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"shots\.csv, line 3, label: 'z' is none of the labels"):
        ts.zero_shot(tiny_bert, ["x", "y"], shots=tmp_path / "shots.csv")


# --- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("labels: [a, b]\ntemplat: x\n", "line 2: there is no key 'templat'"),
        ("labels: [a, b]\ntemperature: warm\n", "line 2, temperature: 'warm' came, wanted a number above 0"),
        ("labels: [a, b]\nmax_tokens: -1\n", "line 2, max_tokens: '-1' came"),
        ("template: '{text} is {mask}'\nlabels:\n  - a\n", "line 2, labels: one label came, 'a'"),
        ("template: '{text} is {mask}'\nlabels: good\n", "line 2, labels: the text 'good' came"),
        ("template: '{text} is {mask}'\nlabels:\n  a: [x, y]\n  b: [y]\n", "'a' and 'b' both have 'y'"),
        ("labels:\n  a: [x]\n  b: [[y]]\n", "line 3, labels, label 'b': a list came"),
        ("labels:\n  a: x\n  '': y\n", "a label has no name"),
        ("template: {text} is\nlabels: [a, b]\n", "line 1"),
        ("labels: [a, b]\n\ntemplate: ''\n", "line 3, template: it is empty"),
        ("labels: [a, b]\ntask: summaries\n", "line 2, task: there is no task 'summaries'"),
        ("", "holds no keys"),
        ("labels: [a, b]\ntemplate: '{text}'\ntask: generation\n", "line 1, labels: generation has no labels"),
        ("\ntask: questions\n", "line 2, task: questions needs a wording"),
        ("template: '{label}!'\n", "no labels came"),
    ],
)
def test_a_mistake_in_a_template_is_named_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        settle_request(None, tmp_path / "t.yaml")
    assert message in caught.value.message
    assert caught.value.message.startswith(str(tmp_path / "t.yaml"))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{txt} is {mask}", "line 1, template: there is no placeholder {txt}"),
        ("It is {mask}", "line 1, template: {text} is missing"),
        ("{text} {text} is {mask}", "line 1, template: {text} stands twice"),
    ],
)
def test_a_wording_that_does_not_fit_is_named_with_its_line(
    language_models: dict[str, Path], tmp_path: Path, template: str, message: str
) -> None:
    (tmp_path / "t.yaml").write_text(f"template: '{template}'\nlabels: [good, bad]\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        ts.zero_shot(language_models["bert"], template=tmp_path / "t.yaml")
    assert message in caught.value.message


def test_values_are_taken_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("labels: [yes, no, 1]\ntemperature: 0.1\nmax_tokens: 9\n", encoding="utf-8")
    found = read_template(tmp_path / "t.yaml")
    assert list(found.labels) == ["yes", "no", "1"]
    assert (found.temperature, found.max_tokens) == (0.1, 9)


@pytest.mark.parametrize("labels", ["good", ["good"], "good,", "good,good", {}, None, "missing.yaml"])
def test_labels_that_make_no_sense_are_refused(labels: Any) -> None:
    with pytest.raises(ConfigError):
        settle_request(labels, None)


def test_labels_come_once(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("\nlabels: [a, b]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2, labels: labels also came beside the template"):
        settle_request("a,b", tmp_path / "t.yaml")


def test_a_model_without_the_head_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="brings no trained head for masked language modelling"):
        ts.zero_shot(tiny_bert, "good,bad", template=CLOZE)
    with pytest.raises(ModelError, match="without the head that writes"):
        ts.zero_shot(make_tiny_trunk(tmp_path / "gpt2", "gpt2"), "good,bad")


def test_a_config_that_names_a_head_the_weights_lack_is_refused(tmp_path: Path) -> None:
    folder = make_tiny_trunk(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertForMaskedLM"]}), encoding="utf-8")
    with pytest.raises(ModelError, match="brings no trained head"):
        ts.zero_shot(folder, "good,bad")


def test_words_that_a_vocabulary_lacks_are_refused(language_models: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="lacks the word 'zebra'"):
        ts.zero_shot(language_models["bert"], {"a": "zebra", "b": "good"}, template=CLOZE)
    with pytest.raises(ConfigError, match="lacks the word 'zebra'"):
        ts.zero_shot(language_models["bart"], {"a": "zebra", "b": "good"}, template="{text} {mask}")
    for family in ("bert", "bart"):
        with pytest.raises(ConfigError, match="have the same word, 'good'"):
            ts.zero_shot(language_models[family], ["good", "GOOD"], template="{text} it was {mask}")


def test_labels_that_an_encoder_does_not_know_apart_are_refused(tiny_bert: Path) -> None:
    with pytest.raises(ConfigError, match="the labels 'zebra' and 'giraffe' say the same"):
        ts.zero_shot(tiny_bert, "good,zebra,giraffe")


def test_a_wording_longer_than_the_model_is_refused(language_models: dict[str, Path]) -> None:
    wording = "{text} " + "and the meal was good " * 30 + "{mask}"
    for family in ("bert", "gpt2"):
        with pytest.raises(ConfigError, match="the template alone is"):
            ts.zero_shot(language_models[family], ["good", "bad"], template=wording).predict(["a day"])


# --- the command -----------------------------------------------------------------------------------------


def test_the_command_writes_files_as_a_finished_model_does(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,text\n7,the meal was good\n8,a phone\n", encoding="utf-8")
    (tmp_path / "labels.yaml").write_text("x: [a meal, lovely]\ny: a phone\n", encoding="utf-8")
    words = ["--model", tiny_bert, "--labels", tmp_path / "labels.yaml", "--in", tmp_path / "in.csv", "--out"]
    done = call(*words, tmp_path / "out.jsonl")
    assert done.exit_code == 0, done.output
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [answer["id"] for answer in answers] == ["7", "8"]
    assert set(answers[0]["prediction"]["probabilities"]) == {"x", "y"}
    assert call(*words, tmp_path / "out.csv").exit_code == 0
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").startswith("id,text,predicted_label,predicted_prob")
    (tmp_path / "shots.csv").write_text("text,label\na phone,x\nawful phone,x\na meal,y\n", encoding="utf-8")
    with_shots = call(*words, tmp_path / "more.csv", "--shots", tmp_path / "shots.csv")
    assert with_shots.exit_code == 0, with_shots.output
    assert (tmp_path / "more.csv").read_bytes() != (tmp_path / "out.csv").read_bytes()
    again = call(*words, tmp_path / "out.csv")
    assert again.exit_code == 2
    assert "exists already" in again.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--labels", "a,b", "text"], "--labels goes with --model"),
        (["--model", "BASE", "text"], "no labels came"),
        (["--model", "BASE", "--labels", "missing.yaml", "text"], "missing.yaml"),
        (["--model", "BASE", "--labels", "a", "text"], "one label came"),
        (["--model", "BASE", "--labels", "a,b"], "give either texts or --in FILE"),
        (["--model", "BASE", "--labels", "a,b", ""], "the text is empty"),
        (["--model", "BASE", "--labels", "a,b", "--abstain", "0.9", "text"], "go with a finished model"),
        (["--model", "nowhere/at-all", "--labels", "a,b", "text"], "offline"),
        (["--model", "BASE", "--labels", "a,b", "--set", "task.kind=multi", "text"], "has no effect here"),
        ([], "give the folder of a finished model"),
    ],
)
def test_mistakes_on_the_command_line(tiny_bert: Path, words: list[str], message: str) -> None:
    done = call(*(str(tiny_bert) if word == "BASE" else word for word in words))
    assert done.exit_code == 2
    assert message in " ".join(done.output.replace("│", " ").split())
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "module", [descriptions, request, shots, template_file, wordings, written, base, prompt_texts], ids=str
)
def test_examples_in_docstrings(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert found.failed == 0


def test_a_text_may_be_longer_than_any_file_name(tiny_bert: Path) -> None:
    done = call("the meal was good " * 400, "--model", tiny_bert, "--labels", "good,bad")
    assert done.exit_code == 0, done.output


def test_a_file_of_labels_is_told_by_its_end(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"ends in \.yaml"):
        settle_request(str(tmp_path / "labels.txt"), None)


def test_finished_models(tiny_bert: Path, tmp_path: Path) -> None:
    """A classifier answers by itself; one that makes vectors can be the base."""
    settings = [f"model.name={tiny_bert}", "train.max_steps=2", "evaluate.resamples=100"]
    ts.fit(make_rows(24), out=tmp_path / "classifier", settings=settings)
    with pytest.raises(UserError, match="is a finished model, which answers by itself"):
        ts.zero_shot(tmp_path / "classifier", "a,b")
    done = call(tmp_path / "classifier", "--model", "minilm", "--labels", "a,b", "text")
    assert done.exit_code == 2
    assert "not both" in done.output
    pairs = [{"text": f"the meal was {word}", "text_b": f"{word} meal"} for word in GOOD + BAD]
    ts.fit(pairs, out=tmp_path / "vectors", settings=[*settings, "task.name=embedding"])
    assert ts.zero_shot(tmp_path / "vectors", ["good meal", "bad phone"]).predict(TEXTS)
