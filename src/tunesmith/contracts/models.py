"""What stands on a trunk, what tasks and methods may do with it, and what encoding needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tunesmith.contracts.answers import Labels

EVERY_TRUNK = frozenset({"encoder", "decoder", "encoder-decoder"})
PretrainingHead = Literal["masked_lm", "causal_lm", "text_to_text", "replaced_tokens"]


@dataclass(frozen=True)
class HeadSpec:
    """What stands on top of the trunk.

    Attributes:
        kind: which Hugging Face task class is built: "sequence", "token", "multiple_choice" (one score a sequence,
            several sequences a row) or "question_answering" (scores of each token as the first and as the last of the
            answer); "vectors": the trunk alone, whose token vectors are pooled; "masked_lm", "causal_lm" or
            "text_to_text" (a score of each entry of the vocabulary for each token), "writing": one of the latter two,
            as the trunk has it; of pretraining "replaced_tokens" (one score).
        names: class names in id order; () for a single number.
        problem: Hugging Face's `problem_type`, which also picks the activation in its pipelines.
        pooling: "standard" (what that class does), "first", "last", "mean", "max", or "places" (the task reads the
            vectors at the places of its items).
        form: "standard" (that class's own head), "mlp" (one hidden layer), "unit" (a linear layer on vectors brought to
            length 1) or "crf" (scores of neighbouring tags); all but the first load with tunesmith only. Of vectors
            also "normalized": they have length 1; of "masked_lm" "cloze": the base model must bring it along, and
            answers are read from it.
        vectors: vectors of the trunk that the head reads side by side; above 1 it is a linear layer of our own.
        added_tokens: tokens that the tokenizer gets, and the words whose mean vector each starts from.
    """

    kind: Literal["sequence", "token", "multiple_choice", "question_answering", "vectors", "writing"] | PretrainingHead
    names: tuple[str, ...]
    problem: str | None = None
    pooling: str = "standard"
    form: str = "standard"
    vectors: int = 1
    added_tokens: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """Width of the head; a number has one."""
        return max(1, len(self.names))

    @property
    def is_standard(self) -> bool:
        """Whether Hugging Face's own class computes the same."""
        return self.pooling == "standard" and self.form == "standard"


@dataclass(frozen=True)
class Tags:
    """Facts about a task or a method that tests and the api read instead of names.

    Attributes:
        head_only: the method trains nothing in the trunk.
        mergeable: the method's change can be folded into the trunk's own weights.
        needs_bias: the method needs biases in the trunk.
        trains_vectors: beside the head the method trains a few vectors only, which cannot learn whatever is asked for.
        trunk: the kinds of trunk it works on; of those with an encoder and a decoder, tasks that write name them.
        learning_rate_factor: multiplies the default learning rate of full tuning.
        learning_rate_limit: of a task: the default of full tuning is no higher.
        units: what the loss is averaged over ("rows", "tokens").
        takes_four_bits: the base model may be held in four bits meanwhile.
        stores: "whole" = the artefact is a whole Hugging Face folder, "delta" = the trained parameters alone,
            "adapter" = the trained parameters in the format of PEFT.
        has_head: of a task: something stands on the trunk that a method can train by itself.
        regroups: of a task: its groups are dealt anew in each epoch, with as many items in each.
        chosen_by: of a task: the score that picks the best weights, where that is not its headline.
        free_options: of a task: options of how answers are given, which may still be changed when nothing is learnt.
    """

    head_only: bool = False
    mergeable: bool = True
    needs_bias: bool = False
    trains_vectors: bool = False
    takes_four_bits: bool = False
    trunk: frozenset[str] = frozenset({"encoder", "decoder"})
    learning_rate_factor: float = 1.0
    learning_rate_limit: float = math.inf
    units: str = "rows"
    stores: Literal["whole", "delta", "adapter"] = "whole"
    has_head: bool = True
    regroups: bool = False
    chosen_by: str | None = None
    free_options: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Context:
    """What encoding needs beside the row.

    Attributes:
        tokenizer: the source tokenizer (Hugging Face fast tokenizer).
        target_tokenizer: the one of targets; the same object except in some encoder–decoders.
        labels: the answers.
        max_tokens: longest sequence in tokens, special tokens included.
        trunk_kind: "encoder", "decoder" or "encoder-decoder".
    """

    tokenizer: Any
    target_tokenizer: Any
    labels: Labels
    max_tokens: int
    trunk_kind: str = "encoder"
