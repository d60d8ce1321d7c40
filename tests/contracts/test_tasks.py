"""Contracts of a task alone: scores, losses, execution, errors."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.harness import (
    EACH_SAMPLE,
    PLAIN_METHOD,
    SAMPLES,
    Sample,
    assert_same,
    is_judged_together,
    kinds_of,
    labels_of,
    make_job,
    make_setup,
    outputs_of,
)
from tunesmith import data, engine, inference, judging
from tunesmith.contracts import Augmentable, Labels, Task
from tunesmith.errors import DataError
from tunesmith.evaluation.scoring import compare_rows
from tunesmith.packing import group_items, pack
from tunesmith.preparation import Setup
from tunesmith.tasks import TASKS
from tunesmith.word_edits import apply_edits, delete_words, swap_words

each_sample = pytest.mark.parametrize("sample", EACH_SAMPLE)
WAYS = (delete_words, swap_words)
PLAIN = ("model.dropout=0", "cache.vocabulary=off")


def test_every_task_has_sample_rows() -> None:
    assert {sample.task for sample in SAMPLES} == set(TASKS)
    assert all(len(sample.rows) >= 16 for sample in SAMPLES)


@each_sample
def test_gold_scores_best_and_anything_else_less(sample: Sample) -> None:
    task = sample.make_task()
    labels = labels_of(sample, task)
    golds = [task.gold(row, labels) for row in sample.make_rows(task)]
    right = [task.Prediction.model_validate(prediction) for prediction in sample.predictions]
    name = task.headline(labels)

    def score(predictions: list[Any]) -> float:
        return judging.quick_scores(task, predictions, golds, labels)[name]

    assert score(right) == pytest.approx(sample.best)
    sign = 1 if task.better == "max" else -1
    wrong = [score(right[turn:] + right[:turn]) for turn in range(1, len(right))]
    if sample.wrong:  # all of them exchanged are as good as before
        wrong = [score([task.Prediction.model_validate(prediction) for prediction in sample.wrong])]
    assert max(sign * value for value in wrong) < sign * sample.best


@each_sample
def test_answers_are_compared_as_people_read_them(sample: Sample) -> None:
    """Right is right in all; where answers stand in the text, marks name that very place; the wrong one is named."""
    task = sample.make_task()
    rows = sample.make_rows(task)
    labels = labels_of(sample, task)
    golds = [task.gold(row, labels) for row in rows]
    predictions = [task.Prediction.model_validate(prediction) for prediction in sample.predictions]
    if is_judged_together(task):
        wrong = [task.Prediction.model_validate(prediction) for prediction in sample.wrong]
        check_comparisons_together(task, (predictions, wrong), golds, labels)
        return
    for row, prediction, gold in zip(rows, predictions, golds, strict=True):
        same = task.compare(prediction, gold, labels)
        assert (same.error, same.given) == (0, same.right)
        assert {mark.kind for mark in same.marks} <= {"right"}
        others = [task.compare(prediction, other, labels) for other in golds]
        assert all((one.error == 0) == (one.given == one.right) or one.marks for one in others)
        for one in others:
            assert one.error >= 0
            assert one.confidence is None or 0 <= one.confidence <= 1
            assert one.marked_text < len(task.texts(row)) or not one.marks
            wrong = sum(mark.kind != "right" for mark in one.marks)
            assert not one.marks or wrong == one.error
    others = [task.Prediction.model_validate(prediction) for prediction in sample.wrong] or predictions
    assert any(task.compare(prediction, gold, labels).error for prediction in others for gold in golds)


def check_comparisons_together(
    task: Task, answers: tuple[list[Any], list[Any]], golds: list[Any], labels: Labels
) -> None:
    """The same, where an answer is right or wrong among the others only."""
    right, wrong = (compare_rows(task, predictions, golds, labels) for predictions in answers)
    assert all((one.error, one.given) == (0, one.right) for one in right)
    assert all((one.error == 0) == (one.given == one.right) for one in wrong)
    assert all(one.error >= 0 and (one.confidence is None or 0 <= one.confidence <= 1) for one in wrong)
    assert any(one.error for one in wrong)


@each_sample
def test_task_meets_its_own_words(sample: Sample) -> None:
    """Names, texts and strata that the api relies on."""
    task = sample.make_task()
    labels, rows = labels_of(sample, task), sample.make_rows(task)
    assert task.name == sample.task
    assert task.title
    assert set(task.tags.trunk) <= {"encoder", "decoder", "encoder-decoder"}
    assert {column.name for column in task.columns} <= set(task.Row.model_fields)
    assert all(isinstance(task.stratum(row, labels), str) for row in rows)
    assert all(all(isinstance(text, str) and text for text in task.texts(row)) for row in rows)
    assert len({baseline.name for baseline in task.baselines(labels)}) == len(task.baselines(labels))


@pytest.fixture(scope="module")
def setups(trunks: dict[str, Path]) -> dict[tuple[str, str], Setup]:
    """Every sample on every kind of trunk it works on, without dropout and with its whole vocabulary."""
    return {
        (sample.name, kind): make_setup(sample, PLAIN_METHOD, trunks[kind], *PLAIN)
        for sample in SAMPLES
        for kind in kinds_of(sample, PLAIN_METHOD)
    }


@each_sample
def test_losses_of_groups_add(sample: Sample, setups: dict[tuple[str, str], Setup]) -> None:
    setup = setups[sample.name, kinds_of(sample)[0]]
    task, labels = setup.task, setup.labels
    setup.model.eval()

    def loss(groups: list[Any]) -> tuple[float, float]:
        total, units = task.loss(*outputs_of(task, setup.model, groups), labels)
        assert total.shape == ()
        return float(total.detach()), units

    whole, units = loss(setup.groups)
    alone = [loss([group]) for group in setup.groups]
    assert whole == pytest.approx(sum(one for one, _ in alone), rel=1e-5)
    assert units == pytest.approx(sum(one for _, one in alone), rel=1e-6)
    assert units > 0


@each_sample
def test_groups_name_every_item_once(sample: Sample, setups: dict[tuple[str, str], Setup]) -> None:
    setup = setups[sample.name, kinds_of(sample)[0]]
    groups = setup.task.groups(setup.train_items)
    assert sum(len(group) for group in group_items(setup.train_items, groups)) == len(setup.train_items)
    assert [item.row for item in setup.train_items] == sorted(item.row for item in setup.train_items)
    assert {item.row for item in setup.train_items} == set(range(len(sample.rows)))


@each_sample
def test_packed_equals_one_at_a_time_equals_padded(sample: Sample, setups: dict[tuple[str, str], Setup]) -> None:
    for kind in kinds_of(sample, PLAIN_METHOD):
        setup = setups[sample.name, kind]
        task, model, groups = setup.task, setup.model, setup.groups
        model.eval()
        assert model.packed == (kind != "encoder-decoder"), "these trunks can be packed"
        packed, batch = outputs_of(task, model, groups)
        singly = [outputs_of(task, model, [group])[0] for group in groups]
        model.set_packed(False)
        padded, _ = outputs_of(task, model, groups)
        if model.head_spec.is_standard and "logits" in packed:
            torch.testing.assert_close(packed["logits"], model.in_units(plain_logits(setup, batch)), atol=1e-5, rtol=0)
        model.set_packed(kind != "encoder-decoder")
        for name, values in packed.items():
            apart = [one[name] for one in singly]
            alone = torch.cat(apart) if values.ndim else torch.stack(apart).sum()  # a sum of all sequences has no axis
            assert_same(values, alone)
            assert_same(values, padded[name])


def plain_logits(setup: Setup, batch: Any) -> torch.Tensor:
    """What the Hugging Face class answers to a padded batch; packed again where it answers for each token."""
    model, items = setup.model, batch.items
    names = {"input_ids": "sequences", "token_type_ids": "segment_ids"}
    columns = {key: [ids for item in items for ids in getattr(item, name)] for key, name in names.items()}
    columns = {key: rows for key, rows in columns.items() if rows}
    padded = model.tokenizer.pad(columns, padding=True, return_tensors="pt")
    if model.head_spec.kind == "multiple_choice":  # all sequences as the choices of one row: one score each
        with torch.no_grad():
            return model.hf(**{name: values[None] for name, values in padded.items()}).logits.T
    with torch.no_grad():
        found = model.hf(**padded)
    if "start_logits" in found:
        found["logits"] = torch.stack([found.start_logits, found.end_logits], dim=-1)
    of_tokens = model.head_spec.kind in ("token", "question_answering")
    return found.logits[padded["attention_mask"].bool()] if of_tokens else found.logits


@each_sample
@settings(max_examples=8)
@given(data_=st.data())
def test_any_split_between_groups_gives_the_same_step(
    sample: Sample, setups: dict[tuple[str, str], Setup], data_: st.DataObject
) -> None:
    job = make_job(setups[sample.name, kinds_of(sample)[0]])
    job = replace(job, model=copy.deepcopy(job.model).double())  # what cancels in a softmax leaves float32 no digits
    groups = list(job.groups)
    cuts = data_.draw(st.lists(st.booleans(), min_size=len(groups) - 1, max_size=len(groups) - 1))
    runs: list[list[Any]] = [[groups[0]]]
    for group, cut in zip(groups[1:], cuts, strict=True):
        runs = [*runs, [group]] if cut else [*runs[:-1], [*runs[-1], group]]
    whole = gradient_of(job, [groups])
    split = gradient_of(job, runs)
    assert split[1:] == pytest.approx(whole[1:], rel=1e-6)
    assert float((split[0] - whole[0]).norm() / whole[0].norm()) <= 1e-6


def gradient_of(job: engine.Job, runs: list[list[Any]]) -> tuple[torch.Tensor, float, float]:
    loss, units = engine.accumulate(job, runs, step=1)
    gradients = [p.grad.flatten() for p in job.model.parameters() if p.grad is not None]
    return torch.cat(gradients), loss, units


@each_sample
def test_corruption_depends_on_its_generator_alone(sample: Sample, setups: dict[tuple[str, str], Setup]) -> None:
    setup = setups[sample.name, kinds_of(sample)[0]]
    for item in setup.train_items:
        first, second = (setup.task.corrupt(item, random.Random("same")) for _ in range(2))
        assert first == second
        assert first.row == item.row


@each_sample
def test_answers_do_not_depend_on_labels(sample: Sample, setups: dict[tuple[str, str], Setup]) -> None:
    setup = setups[sample.name, kinds_of(sample)[0]]
    rows = sample.make_rows(setup.task)
    labels = {column.name for column in setup.task.columns if column.role == "label"}
    bare = [{key: value for key, value in row.items() if key not in labels} for row in sample.rows]
    unlabelled = [setup.task.Row.model_validate(row) for row in bare]
    answers = [inference.predict_rows(setup.model, setup.task, given, setup.labels) for given in (rows, unlabelled)]
    assert answers[0] == answers[1]
    assert len(answers[0]) == len(rows)
    assert all(isinstance(answer, setup.task.Prediction) for answer in answers[0])


@each_sample
def test_beliefs_say_how_sure_answers_are_and_can_be_revised(
    sample: Sample, setups: dict[tuple[str, str], Setup]
) -> None:
    setup = setups[sample.name, kinds_of(sample)[0]]
    task, labels, rows = setup.task, setup.labels, sample.make_rows(setup.task)
    answers = inference.predict_rows(setup.model, task, rows, labels)
    golds = [task.gold(row, labels) for row in rows]
    beliefs, blind = task.beliefs(answers, golds, labels), task.beliefs(answers, None, labels)
    empty = task.beliefs([], [], labels)
    if beliefs is None:
        assert blind is None
        assert empty is None
        assert all(task.withhold(answer, 1.0) == answer for answer in answers)
        return
    assert empty is not None
    assert empty.scalings == beliefs.scalings
    assert beliefs.scalings[0] == "none"
    assert not len(empty.rows) + len(empty.answer_rows)
    assert beliefs.truths is not None
    assert beliefs.rights is not None
    assert beliefs.truths.shape == beliefs.probabilities.shape
    assert beliefs.probabilities.shape[:1] == beliefs.rows.shape
    assert beliefs.rights.shape == beliefs.confidences.shape == beliefs.answer_rows.shape
    assert len(beliefs.confidences) > 0
    assert ((beliefs.confidences >= 0) & (beliefs.confidences <= 1)).all()
    assert {beliefs.rows.min() >= 0, beliefs.rows.max() < len(rows)} == {True}
    assert blind is not None
    assert blind.truths is None
    assert blind.rights is None
    assert (blind.probabilities == beliefs.probabilities).all()
    assert task.revise(answers, beliefs.probabilities, labels) == answers
    marked = [task.withhold(answer, 1.1) for answer in answers]
    assert marked != answers
    again = task.beliefs(marked, golds, labels)
    assert again is not None
    assert (again.confidences == beliefs.confidences).all(), "what is withheld stays readable"


@each_sample
def test_bad_row_is_named_with_file_line_field_and_fix(sample: Sample, tmp_path: Path) -> None:
    task = sample.make_task()
    needed = [column.name for column in task.columns if column.required and column.name in sample.rows[2]]
    assert needed
    for field in needed:
        for value in (None, {"an": "object"}):
            path = tmp_path / f"{field}.jsonl"
            rows = [*sample.rows[:2], {**sample.rows[2], field: value}, *sample.rows[3:]]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            with pytest.raises(DataError) as caught:
                data.read_rows(str(path), task.Row, task.columns)
            message = str(caught.value)
            assert f"{path}, line 3, {field}: " in message
            assert f"1 of {len(rows)} rows" in message
            assert caught.value.fix
            assert "fix: " in message


@each_sample
def test_pack_keeps_every_token(sample: Sample, setups: dict[tuple[str, str], Setup]) -> None:
    setup = setups[sample.name, kinds_of(sample)[0]]
    batch = pack(setup.groups)
    sequences = [sequence for item in batch.items for sequence in item.sequences]
    assert batch.input_ids.tolist() == [token for sequence in sequences for token in sequence]
    assert batch.bounds.diff().tolist() == [len(sequence) for sequence in sequences]
    assert sum(batch.group_sizes) == len(batch.items)


@each_sample
def test_edited_rows_keep_what_must_stay(sample: Sample) -> None:
    """Of tasks whose texts may be changed: the row is still one of the task, with the same answers in their places."""
    task = sample.make_task()
    if not isinstance(task, Augmentable):
        return
    labels, chance, changes = labels_of(sample, task), random.Random(3), 0
    for row in sample.make_rows(task):
        texts = task.editable(row)
        edited = [apply_edits(text, way(text, 2, chance)) for text in texts for way in [chance.choice(WAYS)]]
        fields = task.edited_fields(row, edited)
        new = task.Row.model_validate({**row.model_dump(), **fields})
        changes += new != row
        assert task.editable(new) == edited
        assert task.answers(new, labels) == task.answers(row, labels)
        for old, text in zip(texts, edited, strict=True):
            assert [text.text[slice(*p)] for p in text.kept] == [old.text[slice(*p)] for p in old.kept]
        assert bool(texts[0].kept) <= task.moves_places
    assert changes > 5
