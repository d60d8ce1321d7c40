"""Preference: make the answers that people prefer likelier than those they reject, by direct preference optimisation.

Each row has a prompt and two answers. What is learnt is a difference of log-probabilities beside that of the model
before the first step (Rafailov et al. 2023), which is computed once; on decoders, and on encoders with decoders.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field

from tunesmith.config import Section
from tunesmith.contracts import (
    Baseline,
    Batch,
    Beliefs,
    Column,
    Comparison,
    Context,
    Counts,
    Encoded,
    Groups,
    HeadSpec,
    Labels,
    Outputs,
    Samples,
    Tags,
)
from tunesmith.metrics import ratio
from tunesmith.model import Model
from tunesmith.tasks.preference_baselines import ByLength
from tunesmith.tasks.preference_loss import preference_loss
from tunesmith.tasks.preference_rows import COLUMNS, PreferencePrediction, PreferenceRow, pair_facts, prefer
from tunesmith.tasks.preference_sequences import ANSWERS, answer_likelihoods, encode_pairs, pair_likelihoods
from tunesmith.tasks.writing_baselines import Untouched
from tunesmith.tasks.writing_sequences import Layout


class PreferenceConfig(Section):
    """Options of preference."""

    beta: float = Field(default=0.1, gt=0)
    """How closely the model stays to what it was: the larger, the closer."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of the pairs that may be the wrong way round (conservative DPO)."""
    length_normalised: bool = False
    """Compare log-probabilities of a token, not of whole answers: long answers then weigh no more than short ones."""
    headline: Literal["margin", "preference_accuracy"] = "margin"
    """The score that is shown first."""
    max_answer_tokens: int = Field(default=256, ge=1)
    """Longest answer in tokens, its end included; longer ones are cut, and counted."""
    separator: str = "\n"
    """Of a decoder: between the prompt and the answer."""


class Preference:
    """The task; see `contracts.Task` and `contracts.Prepares` for what each method promises."""

    name: ClassVar[str] = "preference"
    title: ClassVar[str] = "preference"
    Row: ClassVar[type[BaseModel]] = PreferenceRow
    Prediction: ClassVar[type[BaseModel]] = PreferencePrediction
    samples: ClassVar[Samples] = {
        "en": {
            "prompt": "Where is the station?",
            "chosen": "Straight on, then left. Have a good trip!",
            "rejected": "No idea.",
        },
        "zh": {"prompt": "车站在哪里？", "chosen": "一直走，然后左转。祝您旅途愉快！", "rejected": "不知道。"},
    }
    Config: ClassVar[type[BaseModel]] = PreferenceConfig
    better: ClassVar[Literal["max", "min"]] = "max"
    tags: ClassVar[Tags] = Tags(
        trunk=frozenset({"decoder", "encoder-decoder"}),
        learning_rate_limit=2e-5,
        units="rows",
        has_head=False,
        chosen_by="loss",
    )
    columns: ClassVar[tuple[Column, ...]] = COLUMNS

    def __init__(self, config: PreferenceConfig) -> None:
        self.config = config

    def headline(self, labels: Labels) -> str:
        """What `task.headline` says."""
        return self.config.headline

    def labels(self, rows: Sequence[Any]) -> Labels:
        """No names; the statistics say how often the chosen answer is the longer one."""
        return Labels((), (), "pairs", pair_facts(rows))

    def describe_labels(self, labels: Labels) -> str:
        """The pairs, for the plan: a model may learn length and nothing else."""
        return f"pairs; the chosen answer is the longer one in {labels.statistics['chosen_longer']:.0%}"

    def head(self, labels: Labels) -> HeadSpec:
        """Scores of the vocabulary for each token."""
        return HeadSpec(kind="writing", names=())

    def encode(self, rows: Sequence[Any], context: Context, first_row: int = 0) -> list[Encoded]:
        """One item a row, which has no target before `prepare_items`."""
        layout = Layout(self.config.separator, self.config.max_answer_tokens)
        return encode_pairs(rows, context, layout, first_row)

    def prepare_items(self, outputs: Outputs, batch: Batch) -> list[Encoded]:
        """The target is how likely the untouched model finds the chosen and the rejected answer."""
        likely = self._likelihoods(outputs).tolist()
        return [replace(item, target=tuple(pair)) for item, pair in zip(batch.items, likely, strict=True)]

    def _likelihoods(self, outputs: Outputs) -> torch.Tensor:
        return pair_likelihoods(outputs, mean=self.config.length_normalised)

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Nothing is masked."""
        return item

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Each row alone: its two answers stand in one item."""
        return [[index] for index in range(len(items))]

    def prepare_head(self, model: Model, labels: Labels) -> None:
        """Nothing: the model has learnt to write before."""

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """How likely each token of each answer is."""
        return answer_likelihoods(model, batch)

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[torch.Tensor, float]:
        """That of DPO, summed over pairs."""
        policy = self._likelihoods(outputs)
        reference = torch.tensor([item.target for item in batch.items], dtype=policy.dtype, device=policy.device)
        loss = preference_loss(policy, reference, self.config.beta, self.config.label_smoothing)
        return loss, float(len(batch.items))

    def decode(self, outputs: Outputs, batch: Batch, labels: Labels) -> list[Any]:
        """The answers of each row, the margin, and the margin before where it is known."""
        likely = self._likelihoods(outputs).tolist()
        return [
            (*item.meta[ANSWERS], chosen - rejected, None if item.target is None else item.target[0] - item.target[1])
            for item, (chosen, rejected) in zip(batch.items, likely, strict=True)
        ]

    def join(self, parts: Sequence[Any], labels: Labels) -> PreferencePrediction:
        """The likelier answer; of equally likely ones the rejected one."""
        chosen, rejected, margin, before = parts[0]
        reward = None if before is None else self.config.beta * (margin - before)
        return prefer(chosen, rejected, first=margin > 0, margin=margin, reward_margin=reward)

    def beliefs(self, predictions: Sequence[Any], golds: Sequence[Any] | None, labels: Labels) -> Beliefs | None:
        """None: that one answer is likelier to be written is no probability of its being preferred."""
        return None

    def revise(self, predictions: Sequence[Any], probabilities: Any, labels: Labels) -> list[Any]:
        """Unchanged: there are no probabilities."""
        return list(predictions)

    def withhold(self, prediction: Any, threshold: float) -> Any:
        """Unchanged: there are no probabilities."""
        return prediction

    def texts(self, row: Any) -> tuple[str, ...]:
        """Prompt, chosen answer, rejected answer."""
        return row.prompt, row.chosen, row.rejected

    def shared_texts(self, row: Any) -> tuple[str, ...]:
        """The prompt, of which there may be several pairs."""
        return (row.prompt,)

    def answers(self, row: Any, labels: Labels) -> tuple[str, ...]:
        """None have names."""
        return ()

    def stratum(self, row: Any, labels: Labels) -> str:
        """Whether the chosen answer is the longer one, so that both sides have as many such pairs."""
        return "longer" if len(row.chosen) > len(row.rejected) else "shorter"

    def gold(self, row: Any, labels: Labels) -> str:
        """The chosen answer."""
        return str(row.chosen)

    def compare(self, prediction: Any, gold: Any, labels: Labels) -> Comparison:
        """Right or wrong; see `contracts.Task`."""
        wrong = prediction.answer != gold
        return Comparison(error=float(wrong), confidence=None, given=(prediction.answer,), right=(gold,))

    def tally(self, prediction: Any, gold: Any, labels: Labels) -> Counts:
        """Rows, those that are right, and sums of the margins that are known."""
        moved = prediction.reward_margin
        return {
            "rows": 1.0,
            "right": float(prediction.answer == gold),
            "measured": float(prediction.margin is not None),
            "margin": prediction.margin or 0.0,
            "compared": float(moved is not None),
            "reward_margin": moved or 0.0,
            "moved_right": float((moved or 0.0) > 0),
        }

    def score(self, counts: Counts, labels: Labels) -> dict[str, float]:
        """preference_accuracy, and where they are known margin, reward_margin and reward_accuracy."""
        scores = {"preference_accuracy": ratio(counts.get("right", 0.0), counts.get("rows", 0.0))}
        if measured := counts.get("measured", 0.0):
            scores["margin"] = counts["margin"] / measured
        if compared := counts.get("compared", 0.0):
            scores["reward_margin"] = counts["reward_margin"] / compared
            scores["reward_accuracy"] = counts["moved_right"] / compared
        return scores

    def score_rows(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> dict[str, float]:
        """None: the scores are made of sums."""
        return {}

    def tables(self, counts: Counts, labels: Labels) -> dict[str, dict[str, dict[str, float]]]:
        """None: there are no classes."""
        return {}

    def confusion(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[list[int]] | None:
        """None: there are no classes."""
        return None

    def baselines(self, labels: Labels) -> list[Baseline]:
        """The model before fine-tuning; of accuracy also the shorter and the longer answer: rules have no margin."""
        rules: list[Baseline] = [ByLength("shorter"), ByLength("longer")]
        return [*(rules if self.config.headline == "preference_accuracy" else []), Untouched()]
