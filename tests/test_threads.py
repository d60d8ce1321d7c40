"""Threads share a model: each gets the answers it would get alone."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import api
from tunesmith.sharing import Answerable

THREADS, CALLS = 8, 50
TEXTS = [
    *(["the film was good"], ["the hotel was bad bad bad bad"], ["book"], ["a day 7 8 9 phone song lovely"]),
    *(["the story was superb", "sad"], ["what a day"], ["rain " * 90, "a book"], ["the meal was poor " * 40]),
]
"""Two are longer than the model takes, and so are cut by a setting of the tokenizer that all share."""


@pytest.fixture
def _eager_switches() -> Iterator[None]:
    """Threads that take turns often meet in bad moments more often."""
    threads, interval = torch.get_num_threads(), sys.getswitchinterval()
    torch.set_num_threads(1)
    sys.setswitchinterval(1e-4)
    yield
    torch.set_num_threads(threads)
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_eager_switches")
@pytest.mark.parametrize("family", ["bert", "llama"])
def test_many_threads_get_the_answers_of_one(tmp_path: Path, family: str) -> None:
    trunk = make_tiny_trunk(tmp_path / "trunk", family)
    settings = [f"model.name={trunk}", "train.max_steps=2", "evaluate.baselines=false", "evaluate.resamples=100"]
    model = api.load(api.fit(make_rows(24), out=tmp_path / "out", settings=settings).folder)
    wanted = [model.predict(texts) for texts in TEXTS]
    assert len({answers[0].probability for answers in wanted}) == len(TEXTS)
    faults: list[object] = []
    together = threading.Barrier(THREADS)

    def ask(place: int) -> None:
        together.wait()
        for _ in range(CALLS):
            try:
                found = model.predict(TEXTS[place])
            except Exception as error:
                faults.append(error)
                continue
            if found != wanted[place]:
                faults.append((place, found, wanted[place]))

    asking = [threading.Thread(target=ask, args=(place,)) for place in range(THREADS)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert faults == []
    assert [model.predict(texts) for texts in TEXTS] == wanted


def test_an_answer_is_of_its_thread_and_ends_with_its_block() -> None:
    trunk = Answerable(str.upper)
    seen = []
    with trunk.answering("ready"):
        assert trunk("a") == "ready"
        thread = threading.Thread(target=lambda: seen.append(trunk("a")))
        thread.start()
        thread.join()
    assert seen == ["A"]
    assert trunk("a") == "A"


def test_an_answer_ends_with_an_error_too() -> None:
    trunk = Answerable(str.upper)
    with pytest.raises(ZeroDivisionError), trunk.answering("ready"):
        raise ZeroDivisionError
    assert trunk("a") == "A"


def test_a_copy_of_a_model_runs_its_own_trunk(tiny_bert: Path, tmp_path: Path) -> None:
    settings = [f"model.name={tiny_bert}", "train.max_steps=1", "evaluate.baselines=false", "evaluate.resamples=100"]
    model = api.load(api.fit(make_rows(24), out=tmp_path, settings=settings).folder).model
    twin, ids = copy.deepcopy(model), torch.tensor([[5, 6, 7]])
    model.set_packed(False)
    twin.set_packed(False)
    with torch.no_grad():
        twin.hf.base_model.embeddings.word_embeddings.weight.zero_()
        answers = [one.hf(input_ids=ids).logits for one in (model, twin)]
    assert not torch.equal(*answers)
