"""Further columns that put rows into groups: kept where they are short names, and in step with the rows."""

from __future__ import annotations

import doctest
from pathlib import Path
from types import ModuleType

import pytest

from tests.tiny import make_rows
from tunesmith import data
from tunesmith.config import resolve_config
from tunesmith.data import grouping
from tunesmith.labelled_rows import read_splits
from tunesmith.tasks import classification_labels, entity_marks, make_task


@pytest.mark.parametrize("module", [grouping, classification_labels, entity_marks])
def test_examples_run(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert found.failed == 0


def grouped(rows: list[dict[str, object]]) -> dict[str, list[str]]:
    found = grouping.Grouping({"text", "label"})
    for start in range(0, len(rows), 7):
        found.add(rows[start : start + 7])
    return found.columns


def test_only_short_names_of_few_values_are_groups() -> None:
    rows = [
        {
            "text": "a",
            "label": "b",
            "year": 2020 + place % 3,
            "missing": None if place % 2 else " web ",
            "id": place,
            "list": ["x"],
            "long": "x" * 41 if place == 19 else "x",
        }
        for place in range(20)
    ]
    found = grouped(rows)
    assert {name: sorted(set(values)) for name, values in found.items()} == {
        "year": ["2020", "2021", "2022"],
        "missing": ["", "web"],
    }
    assert all(len(values) == len(rows) for values in found.values())


def test_no_more_columns_than_a_page_can_hold() -> None:
    rows = [{f"column {number}": "x" for number in range(20)} for _ in range(3)]
    assert list(grouped(rows)) == [f"column {number}" for number in range(grouping.MOST_COLUMNS)]
    assert grouped([]) == {}


@pytest.mark.parametrize("with_dev", [True, False])
def test_they_stay_in_step_with_rows_that_are_rejected_and_held_out(tmp_path: Path, with_dev: bool) -> None:
    """The source of a row is its last word; bad rows lie between."""
    rows = [{**row, "source": row["text"].split()[-1]} for row in make_rows(40)]
    rows[5]["label"] = rows[17]["text"] = ""
    lines = ["text,label,source", *(",".join(row.values()) for row in rows)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    section = {"train": str(path), "skip_bad": True, **({"dev": str(path)} if with_dev else {})}
    config = resolve_config({"task": {"name": "text-classification"}, "data": section})
    splits = read_splits(config, make_task("text-classification", {}))
    assert len(splits.read["train"].rejected) == 2
    assert list(splits.dev_groups["source"]) == [row.text.split()[-1] for row in splits.dev]


def test_rows_from_python_have_groups_too() -> None:
    task = make_task("text-classification", {})
    read = data.read_rows([{**row, "topic": "x"} for row in make_rows(4)], task.Row, task.columns, data.ReadOptions())
    assert read.groups == {"topic": ["x"] * 4}
