"""Encoders: a text belongs to the label whose descriptions its vector is nearest to.

Letters in shapes: B texts, D width of a vector, C labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tunesmith.contracts import Labels
from tunesmith.errors import ConfigError
from tunesmith.inference import make_context
from tunesmith.model import Model
from tunesmith.prompting.batches import run_batches
from tunesmith.prompting.template_file import Template
from tunesmith.tasks.prompt_texts import LABEL, fill
from tunesmith.tasks.token_sequences import encode_texts

NO_LABELS = Labels(())
SAME = 1 - 1e-6
"""Cosine from which two labels are the same."""


class Descriptions:
    """Cosines of texts and labels; a label is the mean of the unit vectors of its descriptions.

    Args:
        model: an encoder whose token vectors are pooled.
        phrases: descriptions of each label, at least one.

    Raises:
        ConfigError: two labels are the same to the model, such as words of a language that it does not know.
    """

    def __init__(self, model: Model, phrases: Mapping[str, Sequence[str]]) -> None:
        self._model = model
        flat = find_vectors(model, [phrase for some in phrases.values() for phrase in some])
        parts = flat.split([len(some) for some in phrases.values()])
        self._anchors = functional.normalize(torch.stack([part.mean(dim=0) for part in parts]), dim=-1)  # (C, D)
        _refuse_same(self._anchors, list(phrases))

    def scores(self, fields: Sequence[Mapping[str, str]]) -> Tensor:
        """Cosines (B, C) of the texts under "text" and the labels."""
        return find_vectors(self._model, [row["text"] for row in fields]) @ self._anchors.T


def describe_labels(asked: Template, wording: str, examples: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The phrases that stand for each label.

    Args:
        asked: labels and their descriptions.
        wording: what a description, or a name that has none, is put into.
        examples: texts of some labels; each is one more description.

    Example:
        >>> describe_labels(Template(labels={"a": (), "b": ("a bee",)}), "It is {label}.", {"a": ["some text"]})
        {'a': ['It is a.', 'some text'], 'b': ['a bee']}
    """
    return {
        name: [*_phrases(name, words, wording, whole=asked.wording is None), *examples.get(name, ())]
        for name, words in asked.labels.items()
    }


def _phrases(name: str, words: Sequence[str], wording: str, *, whole: bool) -> list[str]:
    """Descriptions in a wording; without one of the user's own they are `whole` sentences already."""
    if words and whole:
        return list(words)
    return [fill(wording, {LABEL: word}).text for word in words or (name,)]


def _refuse_same(anchors: Tensor, names: Sequence[str]) -> None:
    """Raise ConfigError where the vectors (C, D) of two labels are the same."""
    alike = torch.triu(anchors @ anchors.T, diagonal=1)
    place = int(alike.argmax())
    one, other = divmod(place, len(names))
    if float(alike.flatten()[place]) > SAME:
        raise ConfigError(
            f"to this model the labels {names[one]!r} and {names[other]!r} say the same",
            fix="describe them in other words, or choose a model that knows their language: "
            "zh-classics knows Chinese, minilm English",
        )


def find_vectors(model: Model, texts: Sequence[str]) -> Tensor:
    """Vectors of texts, of length 1: (B, D) float32."""
    with model.tokenizer_turn:
        items = encode_texts([(text,) for text in texts], [None] * len(texts), make_context(model, NO_LABELS), 0)
    return functional.normalize(run_batches(model, items, lambda batch: model.pool(model.trunk(batch), batch)), dim=-1)
