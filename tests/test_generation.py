"""Texts are written as Hugging Face writes them, whatever stands beside them in a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.tiny import make_tiny_trunk
from tunesmith import base_models, generation
from tunesmith.contracts import HeadSpec
from tunesmith.generation import Decoding
from tunesmith.model import Model
from tunesmith.model_loading import load_model, quiet_transformers

FAMILIES = ("llama", "gpt2", "qwen2", "mistral", "bart")
TEXTS = ("the film was good", "the meal was awful and the hotel too, is it not?", "what a day")


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = make_tiny_trunk(tmp_path_factory.mktemp(request.param), request.param, seed=3)
    model = load_model(base_models.resolve(str(folder)), HeadSpec("writing", ())).eval()
    if model.has_decoder:  # it begins with the token that ends, and random weights repeat what came
        model.hf.final_logits_bias[0, model.tokenizer.eos_token_id] -= 100.0
    return model


def prompts_of(model: Model) -> list[list[int]]:
    return [list(ids) for ids in model.tokenizer(list(TEXTS))["input_ids"]]


def written_by_hugging_face(model: Model, prompt: list[int], **options: Any) -> list[int]:
    was_packed = model.packed
    model.set_packed(False)
    model.hf.generation_config.forced_eos_token_id = None  # as BART's own config has it
    with quiet_transformers():
        found = model.hf.generate(
            torch.tensor([prompt]),
            generation_config=transformers.GenerationConfig(
                max_new_tokens=12, do_sample=False, eos_token_id=sorted(generation.end_ids(model)),
                pad_token_id=model.tokenizer.pad_token_id,
                decoder_start_token_id=getattr(model.hf.config, "decoder_start_token_id", None), **options,
            ),
        )  # fmt: skip
    model.set_packed(was_packed)
    ids = found[0].tolist()[1 if model.has_decoder else len(prompt) :]
    return next((ids[:place] for place, token in enumerate(ids) if token in generation.end_ids(model)), ids)


@pytest.mark.parametrize(
    ("how", "options"),
    [
        (Decoding(max_new_tokens=12), {}),
        (Decoding(max_new_tokens=12, repetition_penalty=1.5), {"repetition_penalty": 1.5}),
        (Decoding(max_new_tokens=12, no_repeat_ngram_tokens=2), {"no_repeat_ngram_size": 2}),
        (Decoding(max_new_tokens=12, beams=3, length_penalty=0.5), {"num_beams": 3, "length_penalty": 0.5}),
    ],
    ids=["greedy", "penalty", "ngrams", "beams"],
)
def test_a_batch_is_written_as_hugging_face_writes_each_prompt(
    model: Model, how: Decoding, options: dict[str, Any]
) -> None:
    prompts = prompts_of(model)
    written = generation.write(model, prompts, how)
    penalised = how.repetition_penalty > 1 or how.no_repeat_ngram_tokens  # there, it counts the token that begins, too
    if not (model.has_decoder and penalised):
        assert written == [written_by_hugging_face(model, prompt, **options) for prompt in prompts]
    assert written == [generation.write(model, [prompt], how)[0] for prompt in prompts]
    assert any(written)


def test_draws_depend_on_seed_and_row_alone(model: Model) -> None:
    prompts = prompts_of(model)
    how = Decoding(max_new_tokens=12, sample=True, temperature=1.5, top_k=50, top_p=0.95)
    written = generation.write(model, prompts, how)
    torch.manual_seed(99)
    alone = [generation.write(model, [prompt], how, [row])[0] for row, prompt in enumerate(prompts)]
    assert written == alone
    assert generation.write(model, prompts, Decoding(**{**vars(how), "seed": 14})) != written
    same = generation.write(model, [prompts[0], prompts[0]], how)
    assert same[0] != same[1]


def test_a_stream_is_the_same_token_by_token(model: Model) -> None:
    how = Decoding(max_new_tokens=12)
    for prompt in prompts_of(model):
        assert list(generation.stream(model, prompt, how)) == generation.write(model, [prompt], how)[0]
    with pytest.raises(ValueError, match="beam"):
        next(generation.stream(model, [1], Decoding(beams=2)))


def test_rows_that_are_done_leave_the_batch(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a token that ends each row after another number of steps, answers stay what they are alone."""
    prompts, how = prompts_of(model) * 3, Decoding(max_new_tokens=12)
    free = generation.write(model, prompts[:3], how)
    monkeypatch.setattr(generation, "end_ids", lambda _: frozenset({free[0][3], free[1][1]}))
    written = generation.write(model, prompts, how)
    assert written[:3] == written[3:6] == [generation.write(model, [prompt], how)[0] for prompt in prompts[:3]]
    assert len(written[1]) <= 1


def test_nothing_is_written_beyond_the_models_positions(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows whose room ends early leave the batch before they outgrow the model, and change nothing for the others."""
    monkeypatch.setattr(generation, "end_ids", lambda _: frozenset())
    prompts, how = [prompt * (1 + place % 4) for place, prompt in enumerate(prompts_of(model) * 2)], Decoding(100)
    written = generation.write(model, prompts, how)
    most = model.hf.config.max_position_embeddings  # of what a decoder with an encoder writes alone
    rooms = [most if model.has_decoder else most - len(prompt) for prompt in prompts]
    assert list(map(len, written)) == rooms == [generation.room(model, prompt) for prompt in prompts]
    assert written == [generation.write(model, [prompt], how)[0] for prompt in prompts]
    monkeypatch.undo()
    assert all(len(ids) <= most for ids in generation.write(model, prompts[-1:], Decoding(100, beams=2)))


def test_writing_leaves_the_model_as_it_was(model: Model) -> None:
    model.train()
    packed, own = model.packed, model.hf.generation_config
    generation.write(model, prompts_of(model), Decoding(max_new_tokens=2, beams=2))
    assert (model.packed, model.hf.generation_config) == (packed, own)
    assert model.training
    model.eval()


def test_encoders_do_not_write(tmp_path: Path) -> None:
    from tunesmith.errors import ModelError

    folder = make_tiny_trunk(tmp_path, "bert")
    with pytest.raises(ModelError, match="reads texts and writes none") as caught:
        load_model(base_models.resolve(str(folder)), HeadSpec("writing", ()))
    assert caught.value.fix
    assert "tunesmith new" in caught.value.fix
