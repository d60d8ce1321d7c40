"""The development split: sizes, strata, leaks, determinism."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data import split_rows

Pair = tuple[str, str]
rows_of_pairs = st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from("xyz")), min_size=1, max_size=60)


def label_of(row: Pair) -> str:
    return row[1]


def text_of(row: Pair) -> str:
    return row[0]


@settings(max_examples=100, deadline=None)
@given(rows_of_pairs, st.floats(0.05, 0.95), st.integers(0, 2**31 - 1))
def test_every_row_stands_once_and_every_label_trains(rows, fraction, seed):
    train, dev = split_rows(rows, label_of, fraction, seed)
    assert sorted(train + dev) == list(range(len(rows)))
    assert (train, dev) == (sorted(train), sorted(dev))
    assert {label_of(rows[index]) for index in train} == {label_of(row) for row in rows}
    counts, held = Counter(map(label_of, rows)), Counter(label_of(rows[index]) for index in dev)
    for label, count in counts.items():
        assert min(int(count * fraction), count - 1) <= held[label] <= count * fraction + 1
    assert abs(len(dev) - max(1, round(len(rows) * fraction))) <= len(counts)


@settings(max_examples=100, deadline=None)
@given(rows_of_pairs, st.floats(0.05, 0.95), st.integers(0, 1000))
def test_no_text_stands_on_both_sides(rows, fraction, seed):
    train, dev = split_rows(rows, label_of, fraction, seed, text_of)
    assert not {text_of(rows[index]) for index in train} & {text_of(rows[index]) for index in dev}
    assert {label_of(rows[index]) for index in train} == {label_of(row) for row in rows}
    assert sorted(train + dev) == list(range(len(rows)))


def test_the_size_is_right_even_with_many_small_classes():
    rows = [(str(number), f"class {number % 77}") for number in range(77 * 4)]
    train, dev = split_rows(rows, label_of, 0.1, 13)
    assert len(dev) == 31
    assert len({label_of(rows[index]) for index in train}) == 77


def test_the_seed_decides():
    rows = [(str(number), "xy"[number % 2]) for number in range(100)]
    assert split_rows(rows, label_of, 0.2, 1) == split_rows(rows, label_of, 0.2, 1)
    assert split_rows(rows, label_of, 0.2, 1) != split_rows(rows, label_of, 0.2, 2)


def test_the_split_is_pinned_because_a_resumed_run_must_find_the_same():
    rows = [(str(number), "xyz"[number % 3]) for number in range(12)]
    assert split_rows(rows, label_of, 0.25, 14)[1] == [0, 2, 4]


def test_labels_may_be_tuples_and_single_rows_stay_in_training():
    rows = [("a", "x"), ("b", "x"), ("c", "y")]
    train, dev = split_rows(rows, lambda row: (row[1], "more"), 0.5, 13)
    assert 2 in train
    assert len(dev) == 1
    assert split_rows([("a", "x"), ("b", "y")], label_of, 0.5, 13) == ([0, 1], [])
