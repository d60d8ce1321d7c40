"""Masked language models: the word of a label that fits best where the wording hides it.

Letters in shapes: B rows, C labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from tunesmith.contracts import Labels
from tunesmith.inference import make_context
from tunesmith.model import Model
from tunesmith.prompting.batches import run_batches
from tunesmith.prompting.template_file import Words, words_of
from tunesmith.tasks.cloze_sequences import encode_clozes, make_verbaliser, score_labels


class Cloze:
    """Log-probabilities of labels' words behind a mask.

    Args:
        model: with a masked-LM head.
        wording: with `{mask}`.
        words: of each label; () for its name.

    Raises:
        ConfigError: the vocabulary lacks a word, or two labels are the same to the model.
    """

    between = " "
    """Stands between examples."""

    def __init__(self, model: Model, wording: str, words: Words) -> None:
        self._model, self._wording = model, wording
        self._verbaliser = make_verbaliser(model.tokenizer, wording, words_of(words))

    def scores(self, fields: Sequence[Mapping[str, str]], fronts: Sequence[str]) -> Tensor:
        """Of each label's words behind each text, in nats: (B, C).

        Args:
            fields: texts of each row by placeholder.
            fronts: what stands in front of each prompt.

        Raises:
            ConfigError: the wording leaves no room for a text.
        """
        with self._model.tokenizer_turn:
            context = make_context(self._model, Labels(()))
            items = encode_clozes(fields, self._wording, context, self._verbaliser, fronts=fronts)
        return run_batches(self._model, items, lambda batch: score_labels(self._model, batch, self._verbaliser))
