"""Classes told by a masked language model's own head: the word of a class, hidden in a wording (Schick & Schütze 2021).

Nothing on the trunk is new, so a few rows go a long way. One wording and one step of training: PET's ensemble of
wordings and its unlabelled texts are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.contracts import Batch, Context, Encoded, HeadSpec, Labels, Outputs
from tunesmith.errors import ConfigError, DataError
from tunesmith.model import Model
from tunesmith.tasks.cloze_sequences import encode_clozes, make_verbaliser, score_labels, usual_cloze
from tunesmith.tasks.prompt_texts import MASK, check_wording, fields_of

VERBALISER = "verbaliser"
"""Key of `Encoded.meta`: words of the classes as token ids."""
HEAD = HeadSpec(kind="masked_lm", names=(), form="cloze")


def check_options(config: Any) -> None:
    """Refuse options of text classification that this head does not read.

    Raises:
        ConfigError: see above, or the wording lacks a placeholder.
    """
    for name, only in (("pooling", "standard"), ("long_texts", "cut")):
        if getattr(config, name) != only:
            raise ConfigError(
                f"task.{name}={getattr(config, name)} has no effect with task.head=cloze", fix="leave it out"
            )
    if config.template:
        check_wording(config.template, ["text", MASK], ["text_b"], "task.template")


def check_labels(labels: Labels, words: Mapping[str, Any]) -> None:
    """Refuse answers that are no classes, and words of classes that there are not.

    Raises:
        DataError: rows have several labels, or numbers.
        ConfigError: a class of `task.words` stands in no row.
    """
    if labels.kind != "single":
        raise DataError(
            f"task.head=cloze finds one class a row, and these labels are {labels.kind}",
            fix="leave task.head out; or --set task.kind=single where each value is a class",
        )
    strange = sorted(set(words) - set(labels.names))
    if strange:
        raise ConfigError(
            f"task.words names {strange[0]!r}, which is no label", fix=f"labels: {', '.join(labels.names)}"
        )


def encode(
    texts: Sequence[tuple[str, ...]], targets: Sequence[Any], context: Context, first_row: int, config: Any
) -> list[Encoded]:
    """One sequence a row for each number of tokens that words have, masks in place of the word."""
    wording = config.template or usual_cloze(context.labels.names)
    words = {name: _words(config.words.get(name, name)) for name in context.labels.names}
    verbaliser = make_verbaliser(context.tokenizer, wording, words)
    fields = [fields_of(row, wording) for row in texts]
    items = encode_clozes(fields, wording, context, verbaliser, targets=targets, first_row=first_row)
    return [replace(item, meta={**item.meta, VERBALISER: verbaliser}) for item in items]


def forward(model: Model, batch: Batch) -> Outputs:
    """logits (I, C): log-probabilities of the words of each class, of several their mean."""
    return {"logits": score_labels(model, batch, batch.items[0].meta[VERBALISER])}


def _words(given: Any) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
