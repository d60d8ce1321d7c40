"""Methods beyond the contracts: what PEFT reads, where learnt vectors stand, which trunks are refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.tiny import DECODERS, FAMILIES, make_rows, make_tiny_trunk
from tunesmith import api, artifact, base_models, fitting, four_bits, generation
from tunesmith.attention import PREFIX, Prefix
from tunesmith.config import resolve_config
from tunesmith.contracts import Batch, Encoded, HeadSpec, RatesApart
from tunesmith.errors import MethodError, MissingPackageError, ModelError, UserError
from tunesmith.events import Saved
from tunesmith.linear_layers import role_of, trunk_linears, with_roles
from tunesmith.methods import METHODS, make_method
from tunesmith.methods.adapter import Bottleneck
from tunesmith.model import Model
from tunesmith.model_loading import ModelOptions, load_model, new_model
from tunesmith.packing import pack

IN_FRONT = ["prompt", "prefix"]
SEQUENCE = HeadSpec("sequence", ("a", "b", "c"))
TEXTS = ([5, 6, 7, 8, 9], [11, 12], [5, 7, 9, 11, 6, 8])


def tuned(folder: Path, family: str, method: str, head: HeadSpec = SEQUENCE, **options: Any) -> Model:
    """A tiny trunk with a method applied, its trained parameters anything but what they start from."""
    model = load_model(base_models.resolve(str(make_tiny_trunk(folder / family, family))), head)
    torch.manual_seed(3)
    make_method(method, {**({"length": 3} if method in IN_FRONT else {}), **options}).apply(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def batch_of(model: Model, texts: tuple[list[int], ...] = TEXTS) -> Batch:
    segments = tuple([0] * len(text) for text in texts)
    items = [
        Encoded((text,), None, row, segment_ids=(segment,))
        for row, (text, segment) in enumerate(zip(texts, segments, strict=True))
    ]
    return pack([[item] for item in items], model.device)


@torch.no_grad()
def states(model: Model, packed: bool, texts: tuple[list[int], ...] = TEXTS) -> torch.Tensor:
    model.set_packed(packed)
    return model.trunk(batch_of(model, texts))


PACKING = [family for family in FAMILIES if family not in {"deberta-v2", "bart"}]


@pytest.mark.parametrize("family", PACKING)
@pytest.mark.parametrize("method", IN_FRONT)
def test_learnt_vectors_do_the_same_packed_padded_and_alone(method: str, family: str, tmp_path: Path) -> None:
    model = tuned(tmp_path, family, method)
    packed, padded = states(model, True), states(model, False)
    assert packed.shape == (sum(map(len, TEXTS)), model.width)
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=0)
    alone = torch.cat([states(model, True, (text,)) for text in TEXTS])
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
@pytest.mark.parametrize("method", IN_FRONT)
def test_every_learnt_vector_is_heard(method: str, family: str, tmp_path: Path) -> None:
    model = tuned(tmp_path, family, method)
    before = states(model, True)
    trained = [p for n, p in model.named_parameters() if p.requires_grad and ("slots" in n or PREFIX in n)]
    assert trained
    for parameter, place in itertools.product(trained, range(3)):
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter[place] += torch.randn(parameter.shape[1])  # a norm takes shifts away
        assert not torch.allclose(states(model, True), before, atol=1e-6)
        with torch.no_grad():
            parameter.copy_(kept)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("method", IN_FRONT)
def test_what_is_written_behind_learnt_vectors_is_what_the_whole_text_says(
    method: str, family: str, tmp_path: Path
) -> None:
    """Token by token with a cache, in a batch of unequal prompts: each token is the best one by the packed trunk."""
    model = tuned(tmp_path, family, method, HeadSpec("causal_lm", ()))
    answers = generation.write(model, TEXTS, generation.Decoding(max_new_tokens=5))
    assert any(answers)
    for text, answer in zip(TEXTS, answers, strict=True):
        hidden = states(model, True, ([*text, *answer],))
        with torch.no_grad():
            best = model.token_logits(hidden).argmax(dim=-1)[len(text) - 1 : -1]
        assert best.tolist()[: len(answer)] == answer


def test_an_encoder_hears_learnt_vectors_before_a_decoder_writes(tmp_path: Path) -> None:
    for method in IN_FRONT:
        model = load_model(
            base_models.resolve(str(make_tiny_trunk(tmp_path / "b", "bart"))),
            HeadSpec("text_to_text", ()),
        )
        make_method(method, {"length": 3}).apply(model)
        model.eval()
        read, wanted = [torch.tensor(text) for text in TEXTS], [torch.tensor(text) for text in reversed(TEXTS)]
        with torch.no_grad():
            before = model.written(read, wanted)
            for name, parameter in model.named_parameters():
                if parameter.requires_grad and ("slots" in name or PREFIX in name):
                    parameter.add_(torch.randn_like(parameter))
            after = model.written(read, wanted)
        assert not torch.allclose(before, after, atol=1e-5)
        greedy = generation.write(model, TEXTS, generation.Decoding(max_new_tokens=4))
        assert greedy == [generation.write(model, [text], generation.Decoding(max_new_tokens=4))[0] for text in TEXTS]
        generation.write(model, TEXTS, generation.Decoding(max_new_tokens=4, beams=2))


def test_beams_behind_slots_of_a_decoder_are_refused(tmp_path: Path) -> None:
    model = tuned(tmp_path, "llama", "prompt", HeadSpec("causal_lm", ()))
    with pytest.raises(ModelError, match="beam search") as caught:
        generation.write(model, TEXTS, generation.Decoding(max_new_tokens=2, beams=2))
    assert "beams=1" in str(caught.value.fix)
    prefixed = tuned(tmp_path, "gpt2", "prefix", HeadSpec("causal_lm", ()))
    assert generation.write(prefixed, TEXTS, generation.Decoding(max_new_tokens=2, beams=2))


def test_texts_may_be_as_long_as_without_a_prompt(tmp_path: Path) -> None:
    for family, method in itertools.product(["bert", "roberta", "gpt2"], IN_FRONT):
        model = tuned(tmp_path / method, family, method)
        assert states(model, True, ([7] * model.max_tokens,)).shape[0] == model.max_tokens


def test_slots_of_a_trunk_that_looks_angles_up_have_the_first_position(tmp_path: Path) -> None:
    """GPT-J turns by a table; a place before its beginning is another text's, or none."""
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40, "rotary_dim": 4}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(1)
    hf = transformers.AutoModelForSequenceClassification.from_config(
        transformers.AutoConfig.for_model("gptj", vocab_size=1000, num_labels=3, **sizes, **special)
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(make_tiny_trunk(tmp_path / "gpt2", "gpt2"))
    model = Model(hf.eval(), tokenizer, SEQUENCE)
    make_method("prompt", {"length": 3}).apply(model)
    assert model.slot_positions.tolist() == [0, 0, 0]
    assert states(model, False).isfinite().all()
    assert tuned(tmp_path, "llama", "prompt").slot_positions.tolist() == [-3, -2, -1]


def test_an_encoder_that_would_read_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="96 positions and texts may take 64") as caught:
        tuned(tmp_path, "bart", "prompt", length=33)
    assert "model.max_tokens=63" in str(caught.value.fix)


def test_attention_of_its_own_kind_takes_no_prefix(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="deberta-v2") as caught:
        tuned(tmp_path, "deberta-v2", "prefix")
    assert "--method prompt" in str(caught.value.fix)
    model = tuned(tmp_path, "deberta-v2", "prompt")
    alone = torch.cat([states(model, False, (text,)) for text in TEXTS])
    torch.testing.assert_close(states(model, False), alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", IN_FRONT)
def test_words_to_start_from(method: str, tmp_path: Path) -> None:
    trunk = make_tiny_trunk(tmp_path, "bert")

    def start(text: str, seed: int) -> list[torch.Tensor]:
        model = load_model(base_models.resolve(str(trunk)), SEQUENCE)
        torch.manual_seed(seed)
        make_method(method, {"length": 4, "text": text}).apply(model)
        return [p.detach() for n, p in model.named_parameters() if "slots" in n or PREFIX in n]

    assert all(map(torch.equal, start("good film", 1), start("good film", 2)))
    assert not all(map(torch.equal, start("good film", 1), start("bad film", 1)))
    assert not all(map(torch.equal, start("", 1), start("", 2)))
    if method == "prompt":
        model = load_model(base_models.resolve(str(trunk)), SEQUENCE)
        table = model.hf.get_input_embeddings().weight
        good, film = model.tokenizer("good film", add_special_tokens=False)["input_ids"]
        assert torch.equal(start("good film", 1)[0], table[[good, film, good, film]].detach())


def test_a_prefix_starts_as_what_attention_makes_of_words(tmp_path: Path) -> None:
    """Then a causal trunk goes on as if it had read them, but for their positions."""
    model = load_model(base_models.resolve(str(make_tiny_trunk(tmp_path, "gpt2"))), HeadSpec("causal_lm", ()))
    with torch.no_grad():
        model.hf.base_model.wpe.weight.zero_()
    words = model.tokenizer(" good film", add_special_tokens=False)["input_ids"]
    behind = states(model.eval(), True, ([*words, 7, 8],))[len(words) :]
    make_method("prefix", {"length": len(words), "text": " good film"}).apply(model)
    assert [layer.keys.num_embeddings for layer in model.modules() if isinstance(layer, Prefix)] == [len(words)] * 2
    torch.testing.assert_close(states(model.eval(), True, ([7, 8],)), behind, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", IN_FRONT)
def test_what_is_longer_in_front_than_texts_is_refused(method: str, tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="at most 64") as caught:
        tuned(tmp_path, "bert", method, length=65)
    assert "method.length=64" in str(caught.value.fix)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_linear_layer_of_a_trunk_has_a_role(family: str, tmp_path: Path) -> None:
    model = load_model(base_models.resolve(str(make_tiny_trunk(tmp_path, family))), SEQUENCE)
    linear = trunk_linears(model)
    told = {name: role_of(name, layer) for name, layer in linear.items()}
    outside = [name for name, role in told.items() if role is None]
    assert all("embed" in name or "pos_" in name for name in outside), outside
    closing = with_roles(model, "attention_output", "feed_forward_out")
    stack = 1 if family == "albert" else 2  # a layer that is shared, or two
    assert len(closing) == (10 if family == "bart" else 2 * stack)
    fused = with_roles(model, "query_key_value")
    apart = [with_roles(model, role) for role in ("query", "key", "value")]
    assert bool(fused) != all(apart)


@pytest.mark.parametrize("placement", ["houlsby", "pfeiffer"])
def test_adapters_change_nothing_at_first(placement: str, tmp_path: Path) -> None:
    model = load_model(base_models.resolve(str(make_tiny_trunk(tmp_path, "bert"))), SEQUENCE).eval()
    before = states(model, True)
    make_method("adapter", {"placement": placement, "bottleneck": 4}).apply(model)
    assert torch.equal(states(model.eval(), True), before)
    added = [module for module in model.modules() if isinstance(module, Bottleneck)]
    assert len(added) == {"houlsby": 4, "pfeiffer": 2}[placement]
    assert {tuple(layer.down.weight.shape) for layer in added} == {(4, 32)}


PEFTED = [
    ("lora", {"rank": 4, "rank_stabilized": True}),
    ("lora", {"rank": 4, "decomposed": True}),
    ("ia3", {}),
]


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # PEFT's, not ours
@pytest.mark.parametrize("family", ["bert", "distilbert", "gpt2", "llama"])
@pytest.mark.parametrize(("method", "options"), PEFTED, ids=["rslora", "dora", "ia3"])
def test_peft_loads_it_with_equal_logits(method: str, options: Any, family: str, tmp_path: Path) -> None:
    import peft
    import transformers

    trunk = make_tiny_trunk(tmp_path / family, family)
    rows = make_rows(16)
    config = {"model": {"name": str(trunk)}, "method": {"name": method, **options}}
    settings = ["train.max_steps=3", "train.learning_rate=0.05", "evaluate.baselines=false", "train.precision=fp32"]
    api.fit(rows, dev=rows, out=tmp_path / "run", config=config, settings=settings)
    ours = api.load(tmp_path / "run").model
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(trunk, num_labels=2)
    if plain.config.pad_token_id is None:
        plain.config.pad_token_id = ours.tokenizer.pad_token_id
    theirs = peft.PeftModel.from_pretrained(plain, tmp_path / "run").eval()
    batch = ours.tokenizer([rows[0]["text"]], return_tensors="pt")
    ours.set_packed(False)
    with torch.no_grad():
        wanted, got = ours.hf(**batch).logits, theirs(**batch).logits
    torch.testing.assert_close(got, wanted, atol=1e-6, rtol=0)
    learnt = [p for n, p in ours.named_parameters() if "ia3" in n or "magnitude" in n or "lora_B" in n]
    assert any(float((p - p.flatten()[0]).abs().max()) > 0 for p in learnt), "nothing was learnt"


@pytest.mark.parametrize("family", ["bert", "gpt2", "albert", "llama"])
@pytest.mark.parametrize(("method", "options"), PEFTED, ids=["rslora", "dora", "ia3"])
def test_merged_variants_answer_the_same(method: str, options: Any, family: str, tmp_path: Path) -> None:
    model = tuned(tmp_path, family, method, **options)
    apart = states(model, True)
    make_method(method, options).merge(model)
    torch.testing.assert_close(states(model, True), apart, atol=1e-5, rtol=0)
    assert not [name for name, _ in model.named_parameters() if "lora" in name or "ia3" in name]


def test_rank_stabilized_changes_are_scaled_by_the_root(tmp_path: Path) -> None:
    model = tuned(tmp_path, "bert", "lora", rank=16, alpha=8.0, rank_stabilized=True)
    assert {module.scale for module in model.modules() if hasattr(module, "lora_A")} == {2.0}


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if not method.tags.mergeable])
def test_what_cannot_be_merged_says_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="cannot be folded"):
        make_method(name, {}).merge(tuned(tmp_path, "bert", name))


@pytest.mark.parametrize("family", sorted({"bert", *DECODERS}))
def test_a_finished_prompt_is_read_back(family: str, tmp_path: Path) -> None:
    rows = make_rows(12)
    for method in IN_FRONT:
        config = {"model": {"name": str(make_tiny_trunk(tmp_path / family, family))}, "method": {"name": method}}
        settings = ["train.max_steps=2", "evaluate.baselines=false"]
        api.fit(rows, dev=rows, out=tmp_path / method, config=config, settings=settings)
        chance = torch.get_rng_state()
        model = api.load(tmp_path / method)
        assert torch.equal(torch.get_rng_state(), chance), "the user's own"
        assert len(model.predict([row["text"] for row in rows])) == 12
        assert (tmp_path / method / "delta.safetensors").is_file()


def test_b_of_lora_plus_learns_faster(tmp_path: Path) -> None:
    method = make_method("lora", {"b_rate_factor": 16})
    assert isinstance(method, RatesApart)
    model = load_model(base_models.resolve(str(make_tiny_trunk(tmp_path, "bert"))), SEQUENCE)
    method.apply(model)
    factors = {name: method.rate_factor(name) for name, p in model.named_parameters() if p.requires_grad}
    assert {factor for name, factor in factors.items() if "lora_B" in name} == {16.0}
    assert {factor for name, factor in factors.items() if "lora_B" not in name} == {1.0}
    assert method.learning_rate_factor == method.tags.learning_rate_factor / 4, "and A so many times more slowly"


def test_default_rate_of_lora_plus_is_lower(tmp_path: Path) -> None:
    rows, base = make_rows(12), str(make_tiny_trunk(tmp_path, "bert"))

    def planned(out: Path, *settings: str) -> float:
        config = {"model": {"name": base}, "method": {"name": "lora"}}
        api.fit(rows, dev=rows, out=out, config=config, settings=["train.max_steps=1", *settings])
        return float(artifact.read_facts(out)["learning_rate"]["value"])

    plus = "method.b_rate_factor=16"
    plain = planned(tmp_path / "plain")
    assert planned(tmp_path / "plus", plus) == pytest.approx(plain / 4, rel=0.02)
    assert planned(tmp_path / "as-set", plus, "train.learning_rate=0.001") == 0.001


@pytest.mark.parametrize(
    "settings",
    [
        ("train.unfreeze=0.7",),
        ("method.name=lora", "method.b_rate_factor=16"),
        ("method.name=lora", "method.decomposed=true"),
    ],
)
def test_stopped_and_resumed_is_the_same_run(settings: tuple[str, ...], tmp_path: Path) -> None:
    rows = make_rows(24)
    config = {"model": {"name": str(make_tiny_trunk(tmp_path / "trunk", "bert"))}}
    always = (*settings, "evaluate.baselines=false", "train.epochs=4", "train.batch_size=8", "train.checkpoint_steps=1")

    def weights(out: Path) -> dict[str, torch.Tensor]:
        api.fit(rows, dev=rows, out=out, config=config, settings=[*always, f"output.folder={out}"])
        return {name: p.detach().clone() for name, p in api.load(out).model.named_parameters()}

    whole = weights(tmp_path / "whole")
    stopped = resolve_config(config, settings=[*always, f"output.folder={tmp_path / 'stopped'}"])
    for stop in (3, 8):
        events = fitting.run(stopped, rows, rows, in_one_go=True)
        for event in events:
            if isinstance(event, Saved) and event.step == stop:
                events.close()
                break
    again = weights(tmp_path / "stopped")
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"prefix", "head"}))
def test_trunks_that_ask_a_layer_for_its_dtype_still_find_it(method: str, tmp_path: Path) -> None:
    """T5 does, of the last layer of its feed-forward part."""
    import transformers

    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
    tokenizer = load_model(base_models.resolve(str(make_tiny_trunk(tmp_path, "bart"))), HeadSpec("text_to_text", ()))
    config = transformers.T5Config(vocab_size=len(tokenizer.tokenizer), **sizes)
    model = new_model(config, tokenizer.tokenizer, HeadSpec("text_to_text", ()))
    if method == "bitfit":
        with pytest.raises(MethodError, match="no bias"):
            make_method(method, {}).apply(model)
        return
    make_method(method, {}).apply(model)
    hidden = model.written([torch.tensor(text) for text in TEXTS], [torch.tensor([3, 4])] * len(TEXTS))
    assert hidden.shape == (2 * len(TEXTS), 32)
    with pytest.raises(MethodError, match="t5"):
        make_method("prefix", {}).apply(new_model(config, tokenizer.tokenizer, HeadSpec("text_to_text", ())))


def four_bit_run(tmp_path: Path, *settings: str) -> UserError:
    config = {"model": {"name": str(make_tiny_trunk(tmp_path, "llama")), "load_in": "4bit"}}
    with pytest.raises(UserError) as caught:
        api.fit(make_rows(8), dev=make_rows(8), out=tmp_path / "run", config=config, settings=settings)
    assert not (tmp_path / "run" / "tunesmith.json").exists()
    return caught.value


def test_four_bits_are_refused_on_a_cpu_with_the_alternative(tmp_path: Path) -> None:
    refusal = four_bit_run(tmp_path, "method.name=lora", "train.device=cpu")
    assert "NVIDIA GPU" in refusal.message
    assert "leave out model.load_in" in str(refusal.fix)


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.tags.takes_four_bits])
def test_four_bits_are_refused_for_methods_that_need_whole_weights(method: str, tmp_path: Path) -> None:
    refusal = four_bit_run(tmp_path, f"method.name={method}", "train.device=cpu")
    assert f"method {method} needs them whole" in refusal.message
    assert "--method lora" in str(refusal.fix)


def test_four_bits_need_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(four_bits.importlib.util, "find_spec", lambda name: None)
    base = base_models.resolve(str(make_tiny_trunk(tmp_path, "llama")))
    with pytest.raises(MissingPackageError) as caught:
        load_model(base, SEQUENCE, ModelOptions(load_in="4bit"))
    assert caught.value.fix == "pip install 'tunesmith[four-bit]'"
