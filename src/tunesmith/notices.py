"""What the user should know before the first step of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith import data, ledger
from tunesmith.contracts import BringsRows, Encoded, JudgedTogether, Labels, Task
from tunesmith.labelled_rows import Splits
from tunesmith.ledger import Ledger
from tunesmith.model import Model

UNKNOWN_WARNING = 0.05


def say_before(splits: Splits, task: Task, labels: Labels, model: Model, items: Sequence[Encoded]) -> list[str]:
    """What the user should know of rows, answers and vocabulary.

    Args:
        splits: of the run.
        task: what is learnt.
        labels: the answers.
        model: its tokenizer.
        items: the training rows, encoded.
    """
    notices = [
        f"{read.source} is written as {read.layout} is: {read.read:,} rows"
        for read in splits.read.values()
        if read.layout
    ]
    notices += [guess for read in splits.read.values() if (guess := _say_guess(read))]
    notices += [
        f"{len(read.rejected):,} of {read.read:,} rows of {read.source} could not be used (rejected.jsonl)"
        for read in splits.read.values()
        if read.rejected
    ]
    notices += [sentence for read in splits.read.values() for sentence in _say_remarks(read)]
    if not splits.held_out:
        notices.append(
            f"all {len(splits.train):,} rows are trained on and none judges the model; --dev FILE gives others, "
            "--set data.dev_fraction=0.2 holds some out"
        )
    missing = sorted(_strata(splits.train, task, labels).keys() - _strata(splits.dev, task, labels).keys())
    if missing and labels.kind == "single":
        notices.append(f"{len(missing)} of {len(labels.names)} classes have no development row: {_some(missing)}")
    unknown = [name for name, count in zip(labels.names, labels.counts, strict=True) if count == 0]
    if unknown:
        which = f"{len(unknown)} of {len(labels.names)} labels stand in no training row"
        notices.append(f"{which} and cannot be learnt: {_some(unknown)}")
    notices += _say_unknown(model, items)
    return notices


def say_own_rows(way: object, task: Task, rows: Sequence[Any]) -> list[str]:
    """What is learnt beside the user's rows.

    Args:
        way: with few rows, where there is one.
        task: what is learnt.
        rows: of the way's own.
    """
    if not rows or not isinstance(way, BringsRows):
        return []
    texts = _some([repr(" ".join(task.texts(row))) for row in rows])
    return [f"learnt beside the training rows: {texts}; --set {way.without_own_rows} leaves out what you did not give"]


def say_losses(ledgers: Mapping[str, Ledger], max_tokens: int, task: Task) -> list[str]:
    """What of texts and answers never reaches the model, and what to do.

    Args:
        ledgers: by split, "train" and "dev".
        max_tokens: longest sequence.
        task: what is learnt.
    """
    titles = {"train": "training", "dev": "development"}
    said = [line for name, found in ledgers.items() for line in ledger.describe(titles[name], found, max_tokens)]
    found = ledgers["dev"]
    if found.not_judged and isinstance(task, JudgedTogether):
        said.append(f"{found.not_judged:,} of {found.rows:,} development rows are not judged: they {task.unjudged}")
    if any(found.cut_rows for found in ledgers.values()):
        windows = ", or --set task.long_texts=windows" if "long_texts" in task.Config.model_fields else ""
        said.append(f"longer texts: --set model.max_tokens=N where the model allows it{windows}")
    return said


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def _strata(rows: Sequence[Any], task: Task, labels: Labels) -> Counter[str]:
    return Counter(task.stratum(row, labels) for row in rows)


def _say_remarks(read: data.Rows) -> list[str]:
    said = [str(remark) for remark in read.remarks if remark.of_all]
    counts = Counter(remark.kind for remark in read.remarks if not remark.of_all)
    kinds = ", ".join(f"{kind} ({count:,})" for kind, count in counts.items())
    return [
        *said,
        *([f"rows of {read.source} are doubtful, and were used: {kinds}; tunesmith check says which"] if kinds else []),
    ]


def _say_guess(read: data.Rows) -> str | None:
    if not read.guessed_fields:
        return None
    guessed = ", ".join(f"{field} = {read.mapping[field]!r}" for field in read.guessed_fields)
    return f"columns of {read.source} guessed by what they hold: {guessed}; --set data.columns.FIELD=NAME corrects it"


def _say_unknown(model: Model, items: Sequence[Encoded]) -> list[str]:
    """Warn when the tokenizer does not know the script of the texts."""
    unknown = model.tokenizer.unk_token_id
    if unknown is None:
        return []
    tokens = [token for item in items for sequence in item.sequences for token in sequence]
    share = tokens.count(unknown) / max(1, len(tokens))
    if share <= UNKNOWN_WARNING:
        return []
    return [
        f"{share:.0%} of the tokens are unknown to this model's tokenizer, which cannot read these texts; choose a "
        "base model made for their language: --model ID"
    ]
