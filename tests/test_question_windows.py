"""Questions and texts in windows: places, pairs, what is cut, what no answer can give back, the loss."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from tests.questions import FAMILIES, HARD, LABELS, LONG, context_of, make_models, row
from tunesmith.contracts import Encoded, Labels
from tunesmith.errors import ConfigError
from tunesmith.model import Model
from tunesmith.packing import pack
from tunesmith.tasks import make_task
from tunesmith.tasks.question_rows import QuestionPrediction, QuestionRow
from tunesmith.tasks.question_windows import NO_ANSWER, UNASKED, find_frame


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    return make_models(tmp_path_factory.mktemp("questions"))


def certain(item: Encoded) -> torch.Tensor:
    """Logits (T, 2) of a model that knows the target."""
    logits = torch.zeros(len(item.sequences[0]), 2)
    for side, slot in enumerate(item.target):
        logits[item.meta["null"] if slot == 0 else item.meta["first"] + slot - 1, side] = 10.0
    return logits


def answer_right(items: list[Encoded], labels: Labels = LABELS, **options: Any) -> QuestionPrediction:
    task = make_task("question-answering", options)
    parts = task.decode({"logits": torch.cat([certain(item) for item in items])}, pack([[i] for i in items]), labels)
    found: QuestionPrediction = task.join(parts, labels)
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("text", "answer"), HARD)
def test_right_scores_give_the_right_characters(text: str, answer: str, family: str, models: Any) -> None:
    asked = row("谁？", text, answer)
    items = make_task("question-answering", {}).encode([asked], context_of(models[family]))
    found = answer_right(items)
    assert found.answer == text[found.start : found.end]
    assert answer in found.answer  # a token may cover more than the answer; that is in the ledger
    assert found.answer == answer or items[0].lost == (answer,) or found.answer.strip("🎉🇫🇮。.") == answer
    assert found.probability is not None
    assert found.probability > 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_long_texts_are_read_in_windows_beside_the_question(family: str, models: Any) -> None:
    model = models[family]
    asked = row("Who ate seventeen figs?", LONG, "Ada")
    items = make_task("question-answering", {"overlap_tokens": 8}).encode([asked], context_of(model))
    assert len(items) > 3
    assert {item.row for item in items} == {0}
    assert [item.part for item in items] == list(range(len(items)))
    assert all(item.length_tokens <= model.max_tokens for item in items)
    assert len({tuple(item.sequences[0][: item.meta["first"]]) for item in items}) == 1, "the question stands in each"
    with_answer = [item for item in items if item.target != NO_ANSWER]
    assert 1 <= len(with_answer) < len(items)
    windows = [item.meta["reading"].window for item in items]
    assert windows[0].start == 0
    assert windows[-1].end == len(items[0].meta["reading"].offsets)
    assert all(after.start <= before.end - 8 for before, after in itertools.pairwise(windows))
    assert answer_right(items).answer == "Ada"
    assert not any(item.lost or item.cut_tokens for item in items)


def test_pairs_are_put_together_as_the_tokenizer_does(models: Any) -> None:
    for family in ("bert", "roberta", "modernbert"):
        tokenizer = models[family].tokenizer
        pair = tokenizer("Who ate figs?", "On day 1 the guest Bo ate 1 figs.")
        (item,) = make_task("question-answering", {}).encode(
            [row("Who ate figs?", "On day 1 the guest Bo ate 1 figs.", "Bo")], context_of(models[family])
        )
        assert item.sequences[0] == pair["input_ids"]
        assert list(item.segment_ids) == ([pair["token_type_ids"]] if "token_type_ids" in pair else [])
        assert item.meta["null"] == 0


def test_decoders_have_a_line_end_between_and_answer_nothing_at_the_end(models: Any) -> None:
    for family in ("llama", "gpt2"):
        tokenizer = models[family].tokenizer
        frame = find_frame(tokenizer)
        assert tokenizer.decode(frame.between) == "\n"
        assert frame.null is None
        assert frame.behind == [tokenizer.eos_token_id]


def test_a_question_that_is_too_long_is_cut_and_counted(models: Any) -> None:
    model = models["bert"]
    asked = row("day " * 80 + "?", LONG, "Ada")
    items = make_task("question-answering", {"overlap_tokens": 4}).encode([asked], context_of(model))
    assert items[0].cut_tokens == 81 - (model.max_tokens - 3) // 2
    assert sum(item.cut_tokens for item in items) == items[0].cut_tokens
    assert all(item.length_tokens <= model.max_tokens for item in items)


def test_answers_that_no_prediction_can_give_are_listed(models: Any) -> None:
    context = context_of(models["bert"])
    text = "On day 17 the guest Ada ate figs."
    for options, answer, lost in [
        ({}, "Ada", ()),
        ({}, "Ad", ("Ad",)),  # bounds inside a token
        ({"longest_answer_tokens": 2}, "the guest Ada", ("the guest Ada",)),
        ({"longest_answer_tokens": 3}, "the guest Ada", ()),
    ]:
        (item,) = make_task("question-answering", options).encode([row("Who?", text, answer)], context)
        assert item.lost == lost
    (item,) = make_task("question-answering", {}).encode([row("Who?", text)], context)
    assert (item.target, item.lost) == (NO_ANSWER, ())
    (item,) = make_task("question-answering", {}).encode([row("Who?", text, None)], context)
    assert (item.target, item.lost) == (None, ())


@pytest.mark.parametrize(
    ("options", "max_tokens", "length"),
    [({}, 30, 60), ({"overlap_tokens": 0}, 30, 12), ({"overlap_tokens": 11}, 30, 12)],
)
def test_an_answer_that_stands_whole_in_no_window_is_lost_and_never_learnt_as_none(
    options: dict[str, Any], max_tokens: int, length: int, models: Any
) -> None:
    task, context = make_task("question-answering", options), context_of(models["bert"], max_tokens=max_tokens)
    missed = 0
    for start in range(0, len(LONG) - length, 5):
        answer = {"text": LONG[start : start + length], "answer_start": start}
        asked = QuestionRow.model_validate({"question": "Who?", "context": LONG, "answers": [answer]})
        items = task.encode([asked], context)
        assert len(items) > 1
        if any(item.target not in (NO_ANSWER, UNASKED) for item in items):
            assert {item.target for item in items} != {NO_ANSWER}
            continue
        missed += 1
        assert {item.target for item in items} == {UNASKED}
        assert items[0].lost == (asked.answers[0].text,)  # type: ignore[index]
    assert bool(missed) == (options.get("overlap_tokens") != 11)


def test_windows_that_are_not_asked_add_no_loss(models: Any) -> None:
    task, context = make_task("question-answering", {"overlap_tokens": 0}), context_of(models["bert"], max_tokens=16)
    asked = task.encode([row("Who?", "Bo ate figs.", "Bo")], context)
    unasked = [item for item in task.encode([row("Who?", LONG, LONG[:150])], context) if item.target == UNASKED]
    assert len(unasked) > 3
    scores = torch.randn(4000, 2, generator=torch.Generator().manual_seed(3))

    def loss(items: list[Encoded]) -> tuple[torch.Tensor, float, torch.Tensor]:
        batch = pack([[item] for item in items])
        logits = scores[: len(batch.input_ids)].clone().requires_grad_()
        total, units = task.loss({"logits": logits}, batch, LABELS)
        (total / units).backward()
        return total.detach(), units, logits.grad  # type: ignore[return-value]

    total, units, slopes = loss([*asked, *unasked])
    assert units == len(asked) + len(unasked)
    assert float(total) == pytest.approx(float(loss(asked)[0]))
    assert not slopes[asked[0].length_tokens :].any()
    total, units, slopes = loss(unasked)
    assert (float(total), units, bool(slopes.any())) == (0.0, len(unasked), False)


def test_overlap_without_room_is_refused(models: Any) -> None:
    task = make_task("question-answering", {"overlap_tokens": 500})
    with pytest.raises(ConfigError, match=r"task\.overlap_tokens is 500"):
        task.encode([row("Who?", LONG, "Ada")], context_of(models["bert"]))
    with pytest.raises(ConfigError, match="no room for a question"):
        make_task("question-answering", {}).encode([row("?", "a", "a")], context_of(models["bert"], max_tokens=4))


def test_the_loss_is_that_of_the_definition(models: Any) -> None:
    task = make_task("question-answering", {"overlap_tokens": 8})
    items = task.encode([row("Who?", LONG, "Ada"), row("Who?", "Bo ate figs.")], context_of(models["bert"]))
    batch = pack([[item] for item in items])
    logits = torch.randn(len(batch.input_ids), 2, generator=torch.Generator().manual_seed(2))
    total, units = task.loss({"logits": logits}, batch, LABELS)
    wanted = 0.0
    for item, start in zip(items, batch.bounds.tolist(), strict=False):
        window, first = item.meta["reading"].window, item.meta["first"]
        places = [item.meta["null"], *range(first, first + window.end - window.start)]
        own = logits[start : start + item.length_tokens][places]
        wanted -= float(sum(own[:, side].log_softmax(0)[slot] for side, slot in enumerate(item.target))) / 2
    assert float(total) == pytest.approx(wanted, rel=1e-5)
    assert units == len(items)
