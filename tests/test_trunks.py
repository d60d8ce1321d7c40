"""Every family of trunk: packed = padded = Hugging Face, no neighbour leaks, what is written loads there."""

from __future__ import annotations

import functools
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.tiny import DECODERS, ENCODER_DECODERS, FAMILIES, TEXTS, head_name, make_tiny_trunk
from tunesmith import api, artifact, base_models, inference
from tunesmith.attention import attend_fused, attend_plainly, packed_attention
from tunesmith.contracts import Batch, Encoded, HeadSpec, Labels
from tunesmith.dropout import MaskPool
from tunesmith.engine import autocast
from tunesmith.errors import MethodError, ModelError
from tunesmith.methods.full import Full
from tunesmith.methods.head import Head
from tunesmith.model import Model
from tunesmith.model_loading import ModelOptions, choose_trunk_path, load_model
from tunesmith.packing import pack
from tunesmith.segments import (
    CUT_COST,
    SHORT_TOKENS,
    collect_heads,
    cut_runs,
    make_blocks,
    make_segments,
    share_rows,
    spread_heads,
)
from tunesmith.tasks.text_classification import TextClassification

HEAD = HeadSpec("sequence", ("bad", "good", "mixed"), "single_label_classification")
LENGTHS = {
    "mixed, longer than every window": (5, 60, 1, 23, 12),
    "all alike": (12, 12, 12),
    "all of one token": (1, 1),
    "one alone": (64,),
}
PADDED = {"deberta-v2", *ENCODER_DECODERS}
"""Families that do not go through the attention interface, or attend across sequences."""
TYPED = ("bert", "electra", "albert")
each_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Family → folder of a tiny trunk."""
    place = tmp_path_factory.mktemp("trunks")
    return functools.cache(lambda family: make_tiny_trunk(place / family, family))


@pytest.fixture(scope="module")
def models(folders: Any) -> Any:
    """Family → a model, shared by tests that leave it as it is."""
    return functools.cache(lambda family: load(folders(family)).eval())


def load(folder: Path, head: HeadSpec = HEAD, **options: Any) -> Model:
    return load_model(base_models.resolve(str(folder)), head, ModelOptions(**options))


def make_items(model: Model, lengths: Sequence[int], seed: int = 0) -> list[Encoded]:
    """Random token ids, special only at the end that a decoder writes; token types where the trunk has them."""
    generator = torch.Generator().manual_seed(seed)
    words = [token for token in range(len(model.tokenizer)) if token not in model.tokenizer.all_special_ids]
    typed = getattr(model.hf.config, "type_vocab_size", 0) > 1
    end = [model.tokenizer.eos_token_id] if model.has_decoder else []
    return [
        Encoded(
            (
                [words[one] for one in torch.randint(len(words), (length - len(end),), generator=generator).tolist()]
                + end,
            ),
            place % 3,
            place,
            segment_ids=([int(2 * token >= length) for token in range(length)],) if typed else (),
        )
        for place, length in enumerate(lengths)
    ]


def run(model: Model, items: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states (T, D) and logits (S, C)."""
    batch = pack([[item] for item in items])
    hidden = model.trunk(batch)
    return hidden, model.sequence_logits(model.pool(hidden, batch))


def plain_logits(model: Model, items: Sequence[Encoded]) -> torch.Tensor:
    """What the Hugging Face model answers when called by itself."""
    model.set_packed(False)
    try:
        return plain(model.hf, items, model.tokenizer.pad_token_id).logits
    finally:
        choose_trunk_path(model)


def plain(hf: Any, items: Sequence[Encoded], pad: int, base: bool = False) -> Any:
    """Call a Hugging Face model as anyone would: padded, with a mask."""
    longest = max(item.length_tokens for item in items)

    def padded(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
        return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows])

    ids = [item.sequences[0] for item in items]
    columns = {"input_ids": padded(ids, pad), "attention_mask": padded([[1] * len(row) for row in ids], 0)}
    if items[0].segment_ids:
        columns["token_type_ids"] = padded([item.segment_ids[0] for item in items], 0)
    with torch.no_grad():
        return (hf.base_model if base else hf)(**columns)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@each_family
def test_packed_equals_padded_equals_hugging_face(family: str, lengths: tuple[int, ...], models: Any) -> None:
    model = models(family)
    items = make_items(model, lengths)
    pad = model.tokenizer.pad_token_id
    with torch.no_grad():
        hidden, logits = run(model, items)
        model.set_packed(False)
        try:
            hidden_padded, logits_padded = run(model, items)
            states = plain(model.hf, items, pad, base=True).last_hidden_state
            logits_plain = plain(model.hf, items, pad).logits
        finally:
            choose_trunk_path(model)
    hidden_plain = torch.cat([states[row, :length] for row, length in enumerate(lengths)])
    for ours, theirs in ((hidden, hidden_padded), (hidden, hidden_plain)):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    for ours, theirs in ((logits, logits_padded), (logits, logits_plain)):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@each_family
def test_gradients_of_packed_equal_those_of_padded(family: str, folders: Any) -> None:
    model = load(folders(family), dropout=0.0).eval()
    items, gradients = make_items(model, (5, 40, 1, 23)), []
    was_packed = model.packed
    for packed in (was_packed, False):
        model.set_packed(packed)
        model.zero_grad()
        run(model, items)[1].logsumexp(dim=1).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 1e-5


@each_family
def test_a_neighbour_changes_nothing(family: str, models: Any) -> None:
    model = models(family)
    items = make_items(model, (7, 30, 2, 12))
    other = make_items(model, (7, 30, 2, 12), seed=1)
    with torch.inference_mode():
        hidden, logits = run(model, items)
        for place in range(len(items)):
            changed = [*items[:place], other[place], *items[place + 1 :]]
            hidden_now, logits_now = run(model, changed)
            kept = [row for row in range(len(items)) if row != place]
            assert torch.equal(logits_now[kept], logits[kept])
            mine = torch.cat([torch.full((item.length_tokens,), row) for row, item in enumerate(items)]) == place
            assert torch.equal(hidden_now[~mine], hidden[~mine])
            assert not torch.equal(hidden_now[mine], hidden[mine])


@each_family
def test_the_path_is_measured_not_looked_up(family: str, models: Any) -> None:
    model = models(family)
    assert model.packed == (family not in PADDED)
    kinds = dict.fromkeys(DECODERS, "decoder") | dict.fromkeys(ENCODER_DECODERS, "encoder-decoder")
    assert model.trunk_kind == kinds.get(family, "encoder")


@each_family
def test_where_the_norms_stand(family: str, models: Any) -> None:
    assert models(family).norms_first is (family in {"modernbert", *DECODERS})


def test_packing_a_trunk_that_ignores_the_interface_would_leak(folders: Any) -> None:
    """Why deberta-v2 runs padded: asked to run packed it calls no function of ours, and is silently wrong."""
    model = load(folders("deberta-v2")).eval()
    batch = pack([[item] for item in make_items(model, (7, 30))])
    blocks = make_blocks(batch.bounds, model.device)
    with torch.no_grad():
        right = model.trunk(batch)
        model.set_packed(True)
        wrong = model._trunk_packed(batch, batch.input_ids, blocks)
    assert blocks.calls == 0
    assert float((wrong - right).abs().max()) > 1e-3


def test_a_head_that_asks_what_is_inside_its_trunk_is_answered_for(folders: Any) -> None:
    """OPT's language-model head calls the decoder in its trunk, not the trunk."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64}
    settings = transformers.AutoConfig.for_model(
        "opt", vocab_size=1000, word_embed_proj_dim=32, max_position_embeddings=40, **sizes
    )
    hf = transformers.AutoModelForCausalLM.from_config(settings).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders("gpt2"))
    model = Model(hf, tokenizer, HeadSpec("causal_lm", ()))
    ids = torch.arange(5, 12)
    with torch.no_grad():
        wanted = hf(input_ids=ids[None]).logits[0]
        model.set_packed(True)
        hidden = model.trunk(pack([[Encoded((ids.tolist(),), None, 0)]]))
        torch.testing.assert_close(model.token_logits(hidden), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
def test_roberta_counts_positions_from_its_offset(family: str, models: Any) -> None:
    model = models(family)
    assert model.position_offset == model.tokenizer.pad_token_id + 1
    assert model.max_tokens == model.hf.config.max_position_embeddings - model.position_offset
    with torch.no_grad():
        run(model, make_items(model, (model.max_tokens,)))


@pytest.mark.parametrize("family", ["modernbert", "mistral"])
def test_sliding_windows_reach_attention(family: str, folders: Any, tmp_path: Path) -> None:
    """With a wide window the same weights answer otherwise, so the tests above do test windows."""
    wide = make_tiny_trunk(tmp_path, family)
    settings = json.loads((wide / "config.json").read_text())
    key = "sliding_window" if family == "mistral" else "local_attention"
    assert settings[key] <= 16
    (wide / "config.json").write_text(json.dumps({**settings, key: 64}))
    narrow, open_ = (load(folder).eval() for folder in (folders(family), wide))
    items = make_items(narrow, (40, 6, 30))
    with torch.no_grad():
        assert float((run(narrow, items)[0] - run(open_, items)[0]).abs().max()) > 1e-3


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_cache_asked_for_by_the_config_is_not_used(family: str, folders: Any, tmp_path: Path) -> None:
    """With a cache these trunks take a packed row for one sequence (trap 1)."""
    model = load(folders(family)).eval()
    items = make_items(model, (7, 30, 12))
    with torch.no_grad():
        before = run(model, items)[0]
        model.hf.config.use_cache = True
        assert torch.equal(run(model, items)[0], before)


@pytest.mark.parametrize("family", TYPED)
def test_token_types_of_pairs_are_used(family: str, models: Any) -> None:
    model = models(family)
    typed = make_items(model, (12, 7))
    untyped = [Encoded(item.sequences, item.target, item.row) for item in typed]
    with torch.no_grad():
        ours, without = run(model, typed)[1], run(model, untyped)[1]
    assert float((ours - without).abs().max()) > 1e-4
    theirs = plain_logits(model, typed)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", sorted(DECODERS))
def test_a_text_that_ends_in_the_padding_token_is_read_as_hugging_face_reads_it(family: str, models: Any) -> None:
    """Some tokenizers end every text with the token that also pads; their heads look in front of it."""
    model = models(family)
    pad = model.tokenizer.pad_token_id
    items = make_items(model, (5, 9, 3))
    ended = [
        Encoded(([*item.sequences[0], *[pad] * more],), 0, item.row)
        for item, more in zip(items, (1, 0, 2), strict=True)
    ]
    with torch.no_grad():
        ours = run(model, ended)[1]
    theirs = plain_logits(model, ended)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@each_family
def test_eager_and_fused_attention_agree_on_padded_batches(family: str, folders: Any) -> None:
    """A mask of booleans would be right under sdpa and silently wrong under eager (trap 2)."""
    model = load(folders(family)).eval()
    items, seen = make_items(model, (5, 30, 12)), []
    for way in ("eager", model._plain_attention()):
        model.set_packed(False)
        model.hf.set_attn_implementation(way)
        with torch.no_grad():
            seen.append(run(model, items)[0])
    torch.testing.assert_close(*seen, atol=1e-5, rtol=0)


@each_family
def test_dropout_setting_reaches_every_dropout(family: str, folders: Any) -> None:
    items = make_items(load(folders(family)), (5, 30, 12))
    still, noisy = (load(folders(family), dropout=share).train() for share in (0.0, 0.4))
    with torch.no_grad():
        assert torch.equal(run(still, items)[1], run(still, items)[1])
        torch.testing.assert_close(run(still, items)[1], run(still.eval(), items)[1], atol=1e-6, rtol=0)
        assert not torch.equal(run(noisy, items)[1], run(noisy, items)[1])


@pytest.mark.parametrize("depth", ["top:1", "head only"])
@each_family
def test_frozen_layers_run_as_they_will_later(family: str, depth: str, folders: Any) -> None:
    """Without dropout, so that their output is the same in every epoch."""
    model = load(folders(family), dropout=0.4)
    method: Any = Head(Head.Config())
    if depth != "head only":
        method = Full(Full.Config(train_layers=depth))
        if not model.layers():  # they share their weights: none can be frozen alone
            with pytest.raises(MethodError, match="no separate layers"):
                method.apply(model)
            return
    method.apply(model)
    entered: list[list[torch.Tensor]] = []
    first = model.layers()[-1] if depth == "top:1" else model.hf.base_model

    def keep(module: Any, arguments: Any, options: Any, output: Any) -> None:
        entered[-1].append(arguments[0] if depth == "top:1" else output.last_hidden_state)

    items = make_items(model, (5, 30, 12))
    batch = pack([[item] for item in items])
    handle = first.register_forward_hook(keep, with_kwargs=True)
    with torch.no_grad():
        for training in (False, True, True):
            entered.append([])
            model.train(training)
            model.trunk(batch)
    handle.remove()
    for trained in entered[1:]:
        assert all(torch.equal(one, other) for one, other in zip(trained, entered[0], strict=True))


@each_family
def test_bf16_is_close_to_fp32(family: str, models: Any) -> None:
    model = models(family)
    items = make_items(model, (5, 60, 1, 23))
    with torch.no_grad():
        exact = run(model, items)[1]
        with autocast(model.device, torch.bfloat16):
            rounded = run(model, items)[1]
    spread = float(exact.abs().max())
    assert 0 < float((rounded.float() - exact).abs().max()) < 0.1 * max(spread, 0.2)


@each_family
def test_a_head_of_other_classes_is_made_anew(family: str, folders: Any, tmp_path: Path) -> None:
    """A model that was fine-tuned before is a base model like any other."""
    load(folders(family)).hf.save_pretrained(tmp_path)
    load(folders(family)).tokenizer.save_pretrained(tmp_path)
    head = HeadSpec("sequence", ("a", "b"), "single_label_classification")
    first, second = load(tmp_path, head, seed=7), load(tmp_path, head, seed=7)
    old = load(folders(family)).hf.base_model.state_dict()
    assert all(torch.equal(value, old[name]) for name, value in first.hf.base_model.state_dict().items())
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    with torch.no_grad():
        assert run(first, make_items(first, (5, 7)))[1].shape == (2, 2)


@each_family
def test_a_trunk_with_gaps_is_refused(family: str, tmp_path: Path) -> None:
    """Hugging Face fills them with noise and goes on."""
    folder = make_tiny_trunk(tmp_path, family)
    tensors = load_file(folder / "model.safetensors")
    lost = next(name for name in sorted(tensors) if "layer" in name or name.startswith("h."))
    del tensors[lost]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=lost.rsplit(".", 2)[-2]):
        load(folder)


@pytest.mark.parametrize("family", ["bert", "llama"])
@pytest.mark.parametrize("form", ["standard", "mlp"])
def test_new_weights_depend_on_the_seed_alone(family: str, form: str, folders: Any) -> None:
    head = HeadSpec("sequence", ("a", "b"), "single_label_classification", form=form)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = load(folders(family), head, seed=7)
    assert torch.equal(torch.get_rng_state(), state), "loading a model must not move the global generator"
    torch.manual_seed(2)
    second, other = load(folders(family), head, seed=7), load(folders(family), head, seed=8)
    names = [name for name, value in first.state_dict().items() if not torch.equal(value, other.state_dict()[name])]
    assert names
    assert not [name for name in names if "layer" in name], "the trunk is not new"
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


@pytest.mark.parametrize(
    ("family", "kind"),
    [*((family, "single") for family in FAMILIES)]
    + [(family, kind) for family in ("bert", "llama") for kind in ("multi", "number")],
)
def test_artefact_is_a_hugging_face_folder(family: str, kind: str, folders: Any, tmp_path: Path) -> None:
    task = TextClassification(TextClassification.Config.model_validate({"kind": kind}))
    labels = (
        Labels((), (), kind, {"mean": 2.0}) if kind == "number" else Labels(("bad", "good", "mixed"), (1, 1, 1), kind)
    )
    model = load(folders(family), task.head(labels)).eval()
    with torch.no_grad():
        for parameter in model.hf.get_submodule(head_name(family)).parameters():
            parameter.mul_(30)  # far from ties
    facts = {"stores": "whole", "task": {"name": "text-classification", "kind": kind}}
    artifact.write_artifact(tmp_path, model, facts, labels, {"metrics.json": "{}", "README.md": ""})
    texts = [TEXTS[place] for place in (0, 1, 7, 30)]
    rows = [task.Row(text=text) for text in texts]
    answers = api.load(tmp_path).predict_rows(rows)

    hf = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path, local_files_only=True).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    with torch.no_grad():
        theirs = hf(**tokenizer(texts, padding=True, return_tensors="pt")).logits
        context = inference.make_context(model, labels)
        ours = task.forward(model, pack([[item] for item in task.encode(rows, context)]))["logits"]
    # these logits reach 26, where neighbouring fp32 numbers are 2e-6 apart; sums in another order differ by some
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=5e-6)

    pipe = transformers.pipeline("text-classification", model=str(tmp_path), device="cpu")
    found = pipe(texts, top_k=None)
    for answer, scores in zip(answers, found, strict=True):
        named = {score["label"]: score["score"] for score in scores}
        if kind == "number":
            assert list(named.values()) == pytest.approx([answer.label], abs=1e-5)
        else:
            assert named == pytest.approx(answer.probabilities, abs=1e-5)


def call(**options: Any) -> Any:
    """Attention of two sequences of 2 and 1 tokens, one head of width 4."""
    tokens = torch.ones(1, 1, 3, 4)
    mask = options.pop("attention_mask", None)
    blocks = make_blocks(torch.tensor([0, 2, 3], dtype=torch.int32), torch.device("cpu"))
    options = {"segments": blocks, "is_causal": False, **options}
    return packed_attention(torch.nn.Identity(), tokens, tokens, tokens, mask, **options)


@pytest.mark.parametrize("name", ["position_bias", "alibi", "s_aux", "attention_mask", "something_new"])
def test_packed_attention_refuses_what_it_does_not_know(name: str) -> None:
    """T5 passes its position bias as a keyword: to swallow it would be silently wrong."""
    call(**{name: None})
    with pytest.raises(NotImplementedError, match=name):
        call(**{name: torch.zeros(1)})


def test_packed_attention_wants_segments() -> None:
    with pytest.raises(NotImplementedError, match="without segments"):
        call(segments=None)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 4, 1000])
def test_masks_are_added_never_boolean(causal: bool, window: int | None) -> None:
    bounds = torch.tensor([0, 9, 12], dtype=torch.int32)
    mask = make_segments(bounds, torch.device("cpu")).mask(causal, window, torch.float32)
    assert mask is not None
    assert mask.dtype == torch.float32
    assert set(mask.unique().tolist()) == {0.0, float("-inf")}
    longest = mask.shape[-1]  # rounded up
    seen = (mask == 0).expand(2, 1, longest, longest)[:, 0]
    for row, length in enumerate((9, 3)):
        for query in range(length):
            keys = [key for key in range(longest) if seen[row, query, key]]
            near = [key for key in range(length) if not causal or key <= query]
            assert keys == [key for key in near if abs(key - query) < (window or 99)]


@pytest.mark.parametrize("heads", [(4, 4), (4, 2)], ids=["full", "grouped"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 20])
def test_plain_products_equal_the_fused_kernel(heads: tuple[int, int], causal: bool, window: int | None) -> None:
    """Two paths, one function and one gradient; the gradients of the plain products are written by hand.

    They lay several sequences into a row, the fused kernel one.
    """
    generator = torch.Generator().manual_seed(0)
    bounds = torch.tensor([0, 40, 45, 46, 75], dtype=torch.int32)
    alone, shared = (make_segments(bounds, torch.device("cpu"), shared) for shared in (False, True))
    assert len(shared.owners) < len(alone.owners)
    query = torch.randn(75, heads[0], 8, generator=generator)
    key, value = (torch.randn(75, heads[1], 8, generator=generator) for _ in range(2))
    found = []
    for attend, segments in ((attend_plainly, shared), (attend_plainly, alone), (attend_fused, alone)):
        rows = tuple(tensor.clone().requires_grad_() for tensor in (query, key, value))
        mask = segments.mask(causal, window, torch.float32)
        attended = attend((rows[0], rows[1], rows[2]), segments, mask, (0.0, None), 0.3)
        (attended * torch.linspace(-1, 1, attended.numel()).view_as(attended)).sum().backward()
        found.append([attended.detach(), *(tensor.grad for tensor in rows)])
    for in_shared_rows, alone_, fused in zip(*found, strict=True):
        torch.testing.assert_close(in_shared_rows, fused, atol=1e-5, rtol=0)
        torch.testing.assert_close(alone_, fused, atol=1e-5, rtol=0)


def test_rows_shared_by_sequences_lose_and_mix_nothing() -> None:
    lengths = random.Random(5).choices(range(1, 33), k=60)
    begins = share_rows(lengths, 32)
    taken = [place for begin, length in zip(begins, lengths, strict=True) for place in range(begin, begin + length)]
    assert len(set(taken)) == sum(lengths)
    assert all(begin // 32 == (begin + length - 1) // 32 for begin, length in zip(begins, lengths, strict=True))
    assert max(taken) // 32 < 1.15 * sum(lengths) / 32


def test_runs_are_cut_where_it_saves_scores() -> None:
    """Against all ways to cut in two; what is cut again costs less still."""
    lengths = sorted(random.Random(6).choices([5, 20, 90, 150], k=40))
    costs = [
        sum(len(part) and sum(part) * max(part) for part in (lengths[:cut], lengths[cut:])) + 2 * CUT_COST
        for cut in range(1, 40)
    ]
    ends = cut_runs(lengths)
    assert ends[-1] == 40
    parts = [lengths[first:behind] for first, behind in itertools.pairwise([0, *ends])]
    assert sum(sum(part) * max(part) + CUT_COST for part in parts) <= min(costs)


def test_dropped_weights_get_no_gradient_and_the_others_theirs() -> None:
    """Dropout of attention weights by hand is dropout by autograd, with the same mask."""
    segments = make_segments(torch.tensor([0, 7, 20], dtype=torch.int32), torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    given = [torch.randn(20, 2, 4, generator=generator, dtype=torch.float64) for _ in range(3)]
    masks = []
    for _ in range(2):
        masks.append(MaskPool(seed=3))
        masks[-1].begin_step(1)
    mask = segments.mask(False, None, torch.float64)
    by_hand = [tensor.clone().requires_grad_() for tensor in given]
    attended = attend_plainly((by_hand[0], by_hand[1], by_hand[2]), segments, mask, (0.5, masks[0]), None)
    by_autograd = [tensor.clone().requires_grad_() for tensor in given]
    query, key, value = (spread_heads(tensor, segments) for tensor in by_autograd)  # (S, H, L, d)
    weights = torch.softmax(query @ key.transpose(2, 3) / 2 + mask, dim=-1)
    wanted = collect_heads(masks[1].drop(weights, 0.5) @ value, segments)
    torch.testing.assert_close(attended, wanted)
    for result in (attended, wanted):
        result.square().sum().backward()
    for one, other in zip(by_hand, by_autograd, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_long_and_short_sequences_together(folders: Any, tmp_path: Path) -> None:
    """Longer than plain products are used for, in the same batch as short ones and without them."""
    settings = json.loads((folders("llama") / "config.json").read_text())
    folder = make_tiny_trunk(tmp_path, "llama")
    (folder / "config.json").write_text(json.dumps({**settings, "max_position_embeddings": 400}))
    model = load(folder).eval()
    items = make_items(model, (SHORT_TOKENS + 40, 5, 17))
    with torch.no_grad():
        together = run(model, items)[0]
        alone = torch.cat([run(model, [item])[0] for item in items])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_batch_order_is_kept_by_padded_trunks(models: Any) -> None:
    """Padded trunks run sorted by length inside; nobody outside sees it."""
    model = models("deberta-v2")
    items = make_items(model, (30, 3, 60, 1, 3))
    batch: Batch = pack([[item] for item in items])
    with torch.no_grad():
        together = model.trunk(batch)
        alone = torch.cat([model.trunk(pack([[item]])) for item in items])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
