"""Answers that a base model writes behind a prompt: what to extract, answers to questions, texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith import generation
from tunesmith.contracts import Task
from tunesmith.model import Model
from tunesmith.prompting.template_file import Template
from tunesmith.tasks.prompt_texts import fill, shorten_fields
from tunesmith.tasks.question_rows import QuestionPrediction
from tunesmith.tasks.writing_rows import WrittenPrediction


class Written:
    """Writes an answer to each row.

    Args:
        model: with the head that writes.
        asked: kind of work and longest answer.
        task: whose rows are read.
        wording: the prompt.
    """

    def __init__(self, model: Model, asked: Template, task: Task, wording: str) -> None:
        self._model, self._asked, self._task, self._wording = model, asked, task, wording
        room = 0 if model.has_decoder else min(asked.answer_tokens, model.max_tokens // 2)
        self._most_tokens = model.max_tokens - room

    def answer(self, rows: Sequence[Any]) -> list[Any]:
        """Answers to instances of the task's Row."""
        fields = [self._fields(row) for row in rows]
        with self._model.tokenizer_turn:
            prompts = [self._prompt(some) for some in fields]
        how = generation.Decoding(max_new_tokens=self._asked.answer_tokens)
        written = generation.write(self._model, prompts, how)
        texts = self._model.target_tokenizer.batch_decode(written, skip_special_tokens=True)
        if self._asked.kind == "generation":
            is_done = [len(ids) < self._asked.answer_tokens for ids in written]
            return [
                WrittenPrediction(answer=text.strip(), finished=done) for text, done in zip(texts, is_done, strict=True)
            ]
        keeps_strangers = self._asked.kind == "questions"
        return [
            find_answer(text, some["text"], keeps_strangers=keeps_strangers)
            for text, some in zip(texts, fields, strict=True)
        ]

    def _fields(self, row: Any) -> dict[str, str]:
        texts = self._task.texts(row)
        if self._asked.kind == "questions":
            return {"question": texts[0], "text": texts[1]}
        return {"text": "\n".join(texts)}

    def _prompt(self, fields: Mapping[str, str]) -> list[int]:
        """Token ids to go on from, without a token that ends texts."""
        tokenizer = self._model.tokenizer

        def render(some: Mapping[str, str]) -> str:
            return fill(self._wording, some).text.rstrip()

        text = render(shorten_fields(fields, tokenizer, render, self._most_tokens))
        ids = list(tokenizer(text, return_attention_mask=False, verbose=False)["input_ids"])
        if not self._model.has_decoder and len(ids) > 1 and ids[-1] == tokenizer.eos_token_id:
            del ids[-1]
        return ids


def find_answer(written: str, text: str, *, keeps_strangers: bool) -> QuestionPrediction:
    """The first line that was written, where it stands in a text.

    Args:
        written: all that was written.
        text: where it should stand.
        keeps_strangers: give it even where it does not stand there, without a place.

    Example:
        >>> found = find_answer(" oslo\\nText:", "She lives in Oslo.", keeps_strangers=False)
        >>> found.answer, found.start, found.end
        ('Oslo', 13, 17)
        >>> find_answer("Rome", "She lives in Oslo.", keeps_strangers=False).answer
        ''
    """
    line = written.strip().partition("\n")[0].strip()
    found = re.search(re.escape(line), text, re.IGNORECASE) if line else None
    if found is None:
        return QuestionPrediction(answer=line if keeps_strangers else "")
    return QuestionPrediction(answer=found[0], start=found.start(), end=found.end())
