"""A labelled file written again with new rows between: each is an old one with a changed text and the same label.

Every row says what it was made of, so that `fit` never holds out a made row, nor trains on one whose original it held
out. Chance is a function of seed, way, row and copy: which other rows are there changes nothing.
"""

from __future__ import annotations

import csv
import hashlib
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from tunesmith import api, data
from tunesmith.config import resolve_config
from tunesmith.contracts import Augmentable, Editable, Task, Writes
from tunesmith.data import ORIGIN, ORIGINAL, WAY
from tunesmith.errors import ConfigError, DataError, UserError, nearest
from tunesmith.likely_words import LikelyWords
from tunesmith.output_files import check_target, choose_format, dump, open_output
from tunesmith.task_guess import settle_task
from tunesmith.tasks import TASKS, make_task
from tunesmith.word_edits import apply_edits, count_of, delete_words, free_words, swap_words

EDITS = {"deletion": delete_words, "swap": swap_words}
MASKED, TRANSLATED = "masked", "back-translation"
WAYS = (*EDITS, MASKED, TRANSLATED)
DIGITS = 8
"""Of the hash in an origin, which tells lines of two files of one name apart."""
_ROWS = 256
"""Rows that are changed together."""

Change = Callable[[Sequence[Editable], Sequence[random.Random]], list[Editable | None]]
"""Texts → each changed, or None where nothing could be done."""


@dataclass(frozen=True)
class Plan:
    """How new rows are made.

    Attributes:
        task: what the rows are for.
        changes: way → what it does.
        copies: new rows of each row by each way, at most.
        seed: where chance comes from.
    """

    task: Task
    changes: Mapping[str, Change]
    copies: int
    seed: int

    @property
    def augmentable(self) -> Augmentable:
        """The task as one whose texts may be changed."""
        assert isinstance(self.task, Augmentable)
        return self.task


def augment(
    source: Any,
    out: str | Path,
    *,
    ways: Sequence[str] = tuple(EDITS),
    copies: int = 1,
    share: float = 0.1,
    seed: int = 13,
    task: str | None = None,
    model: str | None = None,
    translate: str | None = None,
    translate_back: str | None = None,
    settings: Sequence[str] = (),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write labelled rows with new ones between them.

    Args:
        source: a labelled file, "-", DataFrame or list of dicts.
        out: JSON lines, CSV or TSV, by its name.
        ways: "deletion", "swap", "masked", "back-translation".
        copies: new rows of each row by each way, at most: what equals the row or another copy is left out.
        share: of a text's words that are changed, at least one.
        seed: decides which.
        task: what the rows are for; default: told by what they hold.
        model: base model with a trained masked-LM head, for "masked".
        translate: finished text-to-text model, for "back-translation".
        translate_back: another, which goes back.
        settings: "data.…=value" and "task.…=value", as for a fit.
        overwrite: replace `out`.

    Returns:
        What `tunesmith augment --json` prints: "rows", "written", "made" by way, "out".

    Raises:
        UserError: a setting, a row or a model cannot be used, or rows of this task cannot be changed so.
    """
    plan_of = _check(ways, copies, share, model, (translate, translate_back))
    check_target(str(out), overwrite=overwrite)
    if (
        isinstance(source, (str, Path))
        and os.path.exists(out)
        and os.path.exists(source)
        and os.path.samefile(source, out)
    ):
        raise ConfigError(f"{out} is what is read", fix="give another --out")
    found, options = _settle(source, task, settings)
    if not isinstance(found, Augmentable):
        may = ", ".join(name for name, kind in TASKS.items() if hasattr(kind, "editable"))
        raise UserError(
            f"in rows of {found.name} what is right hangs on the very words, so no new ones are made of them",
            fix=f"this works for {may}; if the rows are of such a task, name it: --task",
        )
    plan = Plan(found, plan_of(), copies, seed)
    stream = data.stream_rows(source, found.Row, found.columns, options)
    _refuse_taken(stream)
    kind = choose_format(str(out))
    if kind != "jsonl" and plan.augmentable.moves_places:
        raise ConfigError(
            f"rows of {found.name} hold places in their texts, which tables do not", fix="--out FILE.jsonl"
        )
    return _write(plan, stream, str(out), options.skip_bad)


def _refuse_taken(stream: data.RowStream) -> None:
    """What stands in a column of ours would be lost."""
    taken = [name for name in (ORIGIN, WAY) if name in stream.columns]
    if len(taken) == 2:
        raise DataError(
            f"{stream.source} has the columns {ORIGIN} and {WAY}, so it has been augmented already",
            fix="give the file of before; or, if both are yours, rename one",
        )
    if taken:
        raise DataError(
            f"{stream.source} has a column called {taken[0]}, which new rows need for where they come from",
            fix="rename it",
        )


def _check(
    ways: Sequence[str], copies: int, share: float, model: str | None, translators: tuple[str | None, str | None]
) -> Callable[[], dict[str, Change]]:
    """Refuse what makes no sense before a row is read; what is returned loads the models."""
    unknown = [way for way in ways if way not in WAYS]
    if unknown or not ways:
        known = nearest(unknown[0], WAYS) if unknown else f"known: {', '.join(WAYS)}"
        raise ConfigError(f"unknown way {unknown[0]!r}" if unknown else "no way is named", fix=known)
    if copies < 1 or not 0 < share <= 1:
        raise ConfigError(
            f"copies is {copies} and share {share:g}, wanted 1 or more, and more than 0 up to 1",
            fix="--copies 1 --share 0.1 are the usual ones",
        )
    if MASKED in ways and model is None:
        raise ConfigError("the way masked needs a masked language model", fix="--model, such as bert-base-uncased")
    if TRANSLATED in ways and None in translators:
        raise ConfigError(
            "back-translation needs two models of yours for text-to-text", fix="--translate DIR --translate-back DIR"
        )

    def load() -> dict[str, Change]:
        made: dict[str, Change] = {}
        for way in dict.fromkeys(ways):
            if way in EDITS:
                made[way] = _by_words(way, share)
            else:
                made[way] = _by_guesses(str(model), share) if way == MASKED else _by_translation(*map(str, translators))
        return made

    return load


def _settle(source: Any, task: str | None, settings: Sequence[str]) -> tuple[Task, data.ReadOptions]:
    """The task of the rows, and how they are read, as for a fit."""
    is_file = isinstance(source, (str, Path))
    given = {"task": {"name": task}} if task else {}
    named = {"data": {"train": str(source)}} if is_file else {}
    config = settle_task(resolve_config(given, named, settings=settings), None if is_file else source)
    section = config.data
    options = data.ReadOptions(mapping=section.columns, format=section.format, skip_bad=section.skip_bad)
    return make_task(config.task.name, config.task.options), options


def _by_words(way: str, share: float) -> Change:
    def change(texts: Sequence[Editable], chances: Sequence[random.Random]) -> list[Editable | None]:
        found: list[Editable | None] = []
        for text, chance in zip(texts, chances, strict=True):
            edits = EDITS[way](text, count_of(len(free_words(text)), share), chance)
            found.append(apply_edits(text, edits) if edits else None)
        return found

    return change


def _by_guesses(name: str, share: float) -> Change:
    words = LikelyWords(name)

    def change(texts: Sequence[Editable], chances: Sequence[random.Random]) -> list[Editable | None]:
        counts = [count_of(len(free_words(text)), share) for text in texts]
        made = words.edits(texts, counts, chances)
        return [apply_edits(text, edits) if edits else None for text, edits in zip(texts, made, strict=True)]

    return change


def _by_translation(there: str, back: str) -> Change:
    models = [api.load(there), api.load(back)]
    for name, model in zip((there, back), models, strict=True):
        asked = [column.name for column in model.task.columns if column.role == "text" and column.required]
        if not isinstance(model.task, Writes) or asked != ["text"]:
            raise ConfigError(f"{name} is a model for {model.task.name}, wanted text-to-text", fix="fit one")

    def change(texts: Sequence[Editable], chances: Sequence[random.Random]) -> list[Editable | None]:
        if any(text.kept for text in texts):
            raise UserError(
                "a translation does not tell where entities and answers stand afterwards",
                fix="use the ways deletion, swap and masked for such rows",
            )
        said = {place: text.text for place, text in enumerate(texts) if text.text}
        for model in models:
            answers = model.predict_rows([model.task.Row(text=text) for text in said.values()]) if said else []
            said = {
                place: answer.answer.strip()
                for place, answer in zip(said, answers, strict=True)
                if answer.finished and answer.answer.strip()  # half a text is not the same text in other words
            }
        return [replace(text, text=said[i], words=None) if i in said else None for i, text in enumerate(texts)]

    return change


def _write(plan: Plan, stream: data.RowStream, out: str, skip_bad: bool) -> dict[str, Any]:
    """Go through the rows chunk by chunk; the file appears under its name when it is complete."""
    made: Counter[str] = Counter()
    with open_output(out, sys.stdout.buffer) as file:
        write = _writer(plan, stream, file, choose_format(out))
        for chunk in stream:
            if chunk.rejected and not skip_bad:
                read = made[ORIGINAL] + len(chunk.rows) + len(chunk.rejected)
                raise data.bad_rows_error(chunk.rejected, read, stream.source)
            for record in _records(plan, stream, chunk):
                made[record[WAY]] += 1
                write(record)
        if not made:
            raise DataError(f"{stream.source} has no row that can be used", fix="correct the file")
    by_way = {way: made[way] for way in plan.changes}
    return {"rows": made[ORIGINAL], "written": made.total(), "made": by_way, "out": out}


def _writer(plan: Plan, stream: data.RowStream, file: TextIO, kind: str) -> Callable[[Mapping[str, Any]], None]:
    """What writes a record in the wanted format: cells as they came, since they are read again."""
    if kind == "jsonl":
        return lambda record: print(dump(record), file=file)
    columns = [*stream.columns, ORIGIN, WAY]
    table = csv.writer(file, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n")
    table.writerow(columns)
    separator = getattr(plan.task.config, "separator", "|")

    def write(record: Mapping[str, Any]) -> None:
        if unknown := [key for key in record if key not in columns]:
            raise DataError(
                f"{record[ORIGIN]} has the key {unknown[0]!r}, which none of the first rows had", fix="--out FILE.jsonl"
            )
        cells = [record.get(column) for column in columns]
        table.writerow([separator.join(map(str, cell)) if isinstance(cell, list) else cell for cell in cells])

    return write


def _records(plan: Plan, stream: data.RowStream, chunk: data.Chunk) -> Iterator[dict[str, Any]]:
    """Each row and what is made of it."""
    for start in range(0, len(chunk.rows), _ROWS):
        places = range(start, min(start + _ROWS, len(chunk.rows)))
        rows = [chunk.rows[place] for place in places]
        origins = [_origin(plan.task, stream.source, chunk.rows[place], chunk.lines[place]) for place in places]
        found = _make(plan, rows, origins)
        for place, row, origin, changed in zip(places, rows, origins, found, strict=True):
            old = _as_record(plan, stream, row, chunk.records[place])
            yield {**old, ORIGIN: origin, WAY: ORIGINAL}
            for way, fields in changed:
                named = fields if plan.augmentable.moves_places else {stream.mapping[f]: v for f, v in fields.items()}
                yield {**old, **named, ORIGIN: origin, WAY: way}


def _origin(task: Task, source: str, row: Any, line: int) -> str:
    """The file's name, the line, and a hash of the texts: another file of that name has other rows."""
    digest = hashlib.sha256("\0".join(task.texts(row)).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{Path(source).name}:{line}#{digest[:DIGITS]}"


def _as_record(plan: Plan, stream: data.RowStream, row: Any, record: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it came; where places move, in the fields of the task, with its other plain columns."""
    if not plan.augmentable.moves_places:
        return dict(record)
    fields = row.model_dump(mode="json", exclude_none=True)
    taken = {*stream.mapping.values(), *type(row).model_fields, ORIGIN, WAY}
    others = {k: v for k, v in record.items() if k not in taken and isinstance(v, (str, int, float, bool))}
    return {**fields, **others}


def _make(plan: Plan, rows: Sequence[Any], origins: Sequence[str]) -> list[list[tuple[str, dict[str, Any]]]]:
    """For each row the ways and changed fields of its new rows; none equals the row or another one of them."""
    texts = [plan.augmentable.editable(row) for row in rows]
    seen = [{tuple(text.text for text in of)} for of in texts]
    found: list[list[tuple[str, dict[str, Any]]]] = [[] for _ in rows]
    owners = [place for place, of in enumerate(texts) for _ in of]
    flat = [text for of in texts for text in of]
    for copy in range(plan.copies):
        for way, change in plan.changes.items():
            chances = [
                random.Random(f"{plan.seed}/{way}/{origins[owner]}/{copy}/{text.field}")
                for owner, text in zip(owners, flat, strict=True)
            ]
            changed = iter(change(flat, chances))
            for place, of in enumerate(texts):
                new = [next(changed) or text for text in of]
                key = tuple(text.text for text in new)
                if key not in seen[place] and all(text.strip() for text in key):
                    seen[place].add(key)
                    found[place].append((way, plan.augmentable.edited_fields(rows[place], new)))
    return found
