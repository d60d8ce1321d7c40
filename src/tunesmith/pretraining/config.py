"""Everything a pretraining depends on, typed and closed, saved with the run and able to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from tunesmith.config import Named, OutputSection, Section, TrainSection
from tunesmith.settings import resolve

ENDLESS_EPOCHS = 1_000_000
"""Passes over the text where the number of steps decides."""


class ModelSection(Section):
    """What is trained."""

    name: str | None = None
    """A model to continue from: a hub id, a folder, minilm or zh-classics. Without it all weights are new."""
    revision: str | None = None
    """Commit or tag of a hub id."""
    architecture: str | None = None
    """Of new weights: bert, modernbert, electra, llama, gpt2, bart, a config.json; default: as the objective wants."""
    size: str = "mini"
    """Of new weights: nano, micro, mini, small, medium or base."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keys of the Hugging Face config that are set otherwise: model.options.num_hidden_layers=3."""
    context_tokens: int = Field(default=128, ge=8)
    """Tokens of a window, the longest text that the model sees at once."""
    max_tokens: int | None = Field(default=None, ge=8)
    """Positions of new weights, for longer texts later; default: as many as context_tokens, at least 512."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Sets every dropout; default: none in new weights, as it was in others."""


class CorpusSection(Section):
    """The text."""

    files: list[str] = Field(default_factory=list)
    """Files, folders and patterns: .txt, .jsonl, .parquet, each also .gz or .zst."""
    general: list[str] = Field(default_factory=list)
    """General text that is only looked at: how much of it a model forgets that is continued on a domain."""
    text_field: str | None = None
    """Field or column that holds the text; default: guessed."""
    unit: Literal["auto", "file", "paragraph", "line"] = "auto"
    """What one document is in a plain text file."""
    segmented: bool = False
    """Words of a language that writes none apart stand apart; the spaces go, whole words are hidden."""
    duplicates: Literal["none", "exact", "near"] = "exact"
    """Which repeated documents are left out."""
    validation: Literal["auto", "documents", "tail"] = "auto"
    """What is held out: whole documents, or the end of each; auto: the end where there are few documents."""
    validation_fraction: float = Field(default=0.05, gt=0, lt=1)
    """Share of the text that is held out."""
    skip_bad: bool = False
    """Leave out what cannot be read instead of stopping."""
    folder: str | None = None
    """Where the token ids lie, which other runs can share; default: corpus in the run's folder."""


class TokenizerSection(Section):
    """How text becomes tokens, where no model brings its tokenizer."""

    folder: str | None = None
    """A folder with a tokenizer; default: a new one is trained on the text."""
    kind: Literal["auto", "wordpiece", "bpe", "byte-bpe", "unigram", "characters"] = "auto"
    """Of a new one; auto: wordpiece for encoders, byte-bpe for decoders, bpe for both together."""
    vocabulary: int = Field(default=8_000, ge=16)
    """Most entries of a new one."""
    lowercase: bool = False
    """Whether a new one forgets capitals."""
    more_characters: str = ""
    """Characters that a new one knows whether the text has them or not: those of texts that come later."""
    sample_bytes: int = Field(default=64_000_000, ge=1_000)
    """Most text that a new one is trained on."""


class PretrainTrainSection(TrainSection):
    """How the weights are moved: as in fine-tuning, with other defaults."""

    epochs: float = Field(default=1.0, gt=0)
    """Passes over the text; fractions are allowed."""
    batch_size: int = Field(default=32, ge=1)
    """Windows in an optimizer step."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Strength of the decay; biases, norms and embeddings have none."""
    beta2: float = Field(default=0.98, gt=0, lt=1)
    """Of adamw and adam: how slowly their measure of a gradient's size changes."""
    schedule: Literal["linear", "cosine", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""


class LookSection(Section):
    """How training is watched."""

    steps: int | None = Field(default=None, ge=1)
    """Steps between two looks at held-out text; default: twenty looks in a run."""
    tokens: int = Field(default=50_000, ge=64)
    """Most tokens of a look in between, and at most a quarter of what was trained on since; the last: ten times."""
    batch_tokens: int = Field(default=8192, ge=64)
    """Tokens in one forward pass of a look."""
    samples: int = Field(default=2, ge=0)
    """Texts that the model completes or fills in at each look."""


class PretrainConfig(Section):
    """A whole pretraining."""

    objective: Named = Named(name="mlm")
    model: ModelSection = ModelSection()
    tokenizer: TokenizerSection = TokenizerSection()
    corpus: CorpusSection = CorpusSection()
    train: PretrainTrainSection = PretrainTrainSection()
    evaluate: LookSection = LookSection()
    output: OutputSection = OutputSection()


def resolve_pretraining(*layers: Mapping[str, Any], settings: Sequence[str] = ()) -> PretrainConfig:
    """Lay mappings and `a.b=value` settings over the defaults, later ones winning.

    Raises:
        ConfigError: any key or value does not fit.

    Example:
        >>> resolve_pretraining(settings=["objective.mask_rate=0.3"]).objective.options
        {'mask_rate': 0.3}
    """
    return resolve(PretrainConfig, {"objective": {"name": "mlm"}}, *layers, settings=settings)
