"""Which task a file is for is told by what it holds and, of tasks that write, by the names of its columns."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data import ReadOptions
from tunesmith.task_guess import guess_task


@pytest.mark.parametrize(
    ("row", "task"),
    [
        ({"src": "good day", "tgt": "guten Tag"}, "text-to-text"),
        ({"document": "a long text", "summary": "short"}, "text-to-text"),
        ({"文章": "一篇文章", "摘要": "短"}, "text-to-text"),
        ({"messages": [{"role": "user", "content": "hello"}]}, "chat"),
        ({"conversations": [{"from": "human", "value": "hello"}]}, "chat"),
        ({"prompt": "hello", "chosen": "hi", "rejected": "no"}, "preference"),
        ({"text": "a film", "label": "good"}, "text-classification"),
        ({"text": "a film", "summary": "short", "label": "good"}, "text-classification"),
        ({"prompt": "hello", "chosen": "hi", "label": "good"}, "text-classification"),
    ],
)
def test_columns_tell_the_task(row: dict[str, Any], task: str) -> None:
    assert guess_task([row] * 3, ReadOptions()) == task
