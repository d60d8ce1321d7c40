"""RunConfig: everything a run depends on, typed and closed, saved with the run and able to repeat it.

Task and method options are kept as name + mapping here; `fitting` resolves them with the task's or method's own
`Config`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from tunesmith.settings import resolve


class Section(BaseModel):
    """A closed part of the configuration: unknown keys and infinite numbers are refused; a text may look like one."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        coerce_numbers_to_str=True,
    )


class Named(BaseModel):
    """A task or method: its name and the options that its own Config checks."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class ModelSection(Section):
    """Where training starts."""

    name: str = "minilm"
    """A hub id, a folder, or what ships along: minilm (English), zh-classics (Chinese)."""
    revision: str | None = None
    """Commit or tag of a hub id."""
    max_tokens: int | None = Field(default=None, ge=4)
    """Longest sequence in tokens; default: what the model allows, at most 512. Longer texts are cut and counted."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Sets every dropout of the trunk and head; default: as the model was pretrained."""
    load_in: Literal["32bit", "4bit"] = "32bit"
    """4bit: the base model takes an eighth of the memory while lora is trained; for NVIDIA GPUs, needs bitsandbytes."""


class DataSection(Section):
    """What is read and how."""

    train: str | None = None
    """Training file: .csv, .tsv, .jsonl, .parquet, each also .gz, or - for standard input."""
    dev: str | None = None
    """Development file; default: a stratified, seeded part of the training file."""
    dev_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of the training rows held out when no development file is given; 0: none, and nothing judges the model."""
    columns: dict[str, Annotated[str, Field(coerce_numbers_to_str=True)]] = Field(default_factory=dict)
    """Field → column of the file, where the guess is wrong: data.columns.text=Body."""
    format: Literal["csv", "tsv", "jsonl", "parquet", "conll"] | None = None
    """Format of the files where their names do not tell; standard input is told by its first byte."""
    skip_bad: bool = False
    """Put bad rows into rejected.jsonl instead of stopping."""


class TrainSection(Section):
    """How the weights are moved."""

    epochs: float = Field(default=5.0, gt=0)
    """Passes over the training rows; fractions are allowed."""
    max_steps: int | None = Field(default=None, ge=1)
    """Stop after so many optimizer steps, where `epochs` would take more."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Highest learning rate; default: a rule of the trunk's width and the method, printed in the plan."""
    batch_size: int = Field(default=16, ge=1)
    """Rows in an optimizer step; at least one group where a task compares rows with each other."""
    batch_tokens: int | None = Field(default=None, ge=1)
    """Fill each step with rows up to so many tokens instead of a fixed number of rows."""
    micro_batch_tokens: int = Field(default=8192, ge=1)
    """Most tokens in one forward–backward pass; a larger step is split, with the same result."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """adamw: decoupled weight decay; adam and sgd: L2 in the gradient."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Strength of the decay; biases, norms and embeddings have none."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of sgd."""
    beta2: float = Field(default=0.999, gt=0, lt=1)
    """Of adamw and adam: how slowly their measure of a gradient's size changes."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warm-up."""
    warmup: float = Field(default=0.06, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Layer-wise learning-rate decay: each layer below the top gets this factor less."""
    unfreeze: float = Field(default=0.0, ge=0, lt=1)
    """Gradual unfreezing: the head moves at once, each layer below it later, embeddings after this share of the run."""
    clip: float = Field(default=1.0, ge=0)
    """Largest gradient norm; 0 switches clipping off."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many evaluations without a better score; default: never."""
    seed: int = Field(default=13, ge=0, lt=2**31)
    """Order of rows, dropout, new weights, the dev split."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast where the processor has it."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto: a GPU where there is one."""
    checkpoint_seconds: float = Field(default=120.0, ge=0)
    """A training state is saved at the first step after so many seconds; 0: after every step."""
    checkpoint_steps: int | None = Field(default=None, ge=1)
    """Save after so many steps instead, which does not depend on the clock."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Training states kept."""


class EvaluateSection(Section):
    """How the model is judged."""

    metric: str | None = None
    """The score that picks the best weights; default: the task's headline."""
    per_epoch: float = Field(default=1.0, gt=0)
    """Evaluations in an epoch."""
    steps: int | None = Field(default=None, ge=1)
    """Evaluate after so many steps instead."""
    batch_tokens: int = Field(default=8192, ge=1)
    """Tokens in one forward pass of an evaluation or prediction."""
    baselines: bool = True
    """Also score the cheap baselines and the model before fine-tuning."""
    probe_rows: int = Field(default=10_000, ge=1)
    """Most training rows the frozen-trunk probe learns from."""
    resamples: int = Field(default=1000, ge=100)
    """Bootstrap resamples behind each interval."""
    calibration: Literal["auto", "temperature", "vector", "none"] = "auto"
    """How probabilities are made to mean what they say, on dev rows; auto: what does best on dev rows held out."""


class CacheSection(Section):
    """What is reused for speed; each exact."""

    vocabulary: Literal["auto", "off"] = "auto"
    """auto: train on the embedding rows that the data touches (exact vocabulary compaction); off: on all rows."""

    @field_validator("vocabulary", mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        """YAML 1.1 reads on and off as true and false."""
        return ("auto" if value else "off") if isinstance(value, bool) else value


class OutputSection(Section):
    """What is written."""

    folder: str | None = None
    """The finished model's folder; default: runs/<task>-<hash of the run>."""
    overwrite: bool = False
    """Replace a finished run in the folder that had other arguments or data; without it such a run is refused."""
    trackers: list[Literal["tensorboard", "mlflow", "wandb"]] = Field(default_factory=list)
    """Also write losses and scores to these, when installed."""
    report: Literal["full", "without_texts", "none"] = "full"
    """report.html: full shows up to 20 texts that were answered wrongly; without_texts shows none; none: no page."""
    language: Literal["en", "zh"] = "en"
    """Which language report.html shows first; the reader can switch."""


AUTO_TASK = "auto"
"""The task that the training data tells."""
DEFAULT_TASK = "text-classification"
"""What is taken where it does not."""
DEFAULT_METHOD = "full"
NO_WAY = "none"
"""The way with few labelled rows that is none."""


class RunConfig(Section):
    """A whole run."""

    model: ModelSection = ModelSection()
    task: Named = Named(name=AUTO_TASK)
    method: Named = Named(name=DEFAULT_METHOD)
    few_shot: Named = Named(name=NO_WAY)
    data: DataSection = DataSection()
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()
    cache: CacheSection = CacheSection()
    output: OutputSection = OutputSection()

    @model_serializer(mode="wrap")
    def _without_no_way(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A run that goes no way of its own is written down as it was before there were any."""
        written: dict[str, Any] = dump(self)
        if self.few_shot.name == NO_WAY:
            written.pop("few_shot", None)
        return written


CLASSIC_RECIPE: dict[str, Any] = {
    "train": {"learning_rate": 2e-5, "batch_size": 16, "epochs": 5.0},
    "model": {"max_tokens": 128},
}
"""`--recipe classic`: AdamW 2e-5, batch 16, 5 epochs, 128 tokens (Devlin et al. 2019, appendix A.3)."""


def resolve_config(*layers: Mapping[str, Any], settings: Sequence[str] = ()) -> RunConfig:
    """Lay mappings and `a.b=value` settings over the defaults, later ones winning.

    Raises:
        ConfigError: any key or value does not fit.

    Example:
        >>> resolve_config({"train": {"epochs": 2}}, settings=["method.name=head"]).method.name
        'head'
    """
    defaults = {"task": {"name": AUTO_TASK}, "method": {"name": DEFAULT_METHOD}, "few_shot": {"name": NO_WAY}}
    return resolve(RunConfig, defaults, *layers, settings=settings)
