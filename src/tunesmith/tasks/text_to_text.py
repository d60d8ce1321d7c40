"""Text to text: write a text from a text.

Translation, summaries, titles, answers in own words, rewriting, code; on models with an encoder and a decoder, and on
decoders, whose loss counts what is written only.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field
from torch import Tensor

from tunesmith import generation, metrics
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
from tunesmith.errors import DataError
from tunesmith.guessing import count_loss, score_guesses
from tunesmith.model import Model
from tunesmith.tasks import writing_baselines
from tunesmith.tasks.decoding_options import DecodingOptions
from tunesmith.tasks.writing_rows import (
    COLUMNS,
    WritingRow,
    WrittenPrediction,
    choose_headline,
    references,
    target_facts,
)
from tunesmith.tasks.writing_sequences import Layout, asked_states, encode_writing, prompt_of

Score = Literal["bleu", "chrf", "rouge_1", "rouge_2", "rouge_l", "exact_match"]


class TextToTextConfig(DecodingOptions):
    """Options of text to text."""

    language: Literal["auto", "en", "zh"] = "auto"
    """How answers are compared: zh by characters; auto looks at the letters of the right answers."""
    headline: Literal["auto"] | Score = "auto"
    """The score that is shown first; auto: exact_match for answers of a word or two, rouge_l for summaries, or bleu."""
    prefix: str = ""
    """Stands in front of every text, as T5 wants it: "translate English to German: "."""
    separator: str = "\n"
    """Between a text and its context; of a decoder, also between what is given and what it writes."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each right token that is spread over the vocabulary; 0.1 is usual where all weights are new."""


class TextToText:
    """The task; see `contracts.Task` for what each method promises."""

    name: ClassVar[str] = "text-to-text"
    title: ClassVar[str] = "text to text"
    Row: ClassVar[type[BaseModel]] = WritingRow
    Prediction: ClassVar[type[BaseModel]] = WrittenPrediction
    samples: ClassVar[Samples] = {
        "en": {"text": "The room was clean, but breakfast came late and the coffee was cold."},
        "zh": {"text": "房间很干净，但是早餐来得晚，咖啡也凉了。"},
    }
    Config: ClassVar[type[BaseModel]] = TextToTextConfig
    better: ClassVar[Literal["max", "min"]] = "max"
    tags: ClassVar[Tags] = Tags(
        trunk=frozenset({"decoder", "encoder-decoder"}),
        units="tokens",
        has_head=False,
        chosen_by="loss",
        free_options=DecodingOptions.names(),
    )
    columns: ClassVar[tuple[Column, ...]] = COLUMNS

    def __init__(self, config: TextToTextConfig) -> None:
        self.config = config

    def headline(self, labels: Labels) -> str:
        """What `task.headline` says, or what fits the right answers."""
        return choose_headline(labels.statistics) if self.config.headline == "auto" else self.config.headline

    def labels(self, rows: Sequence[Any]) -> Labels:
        """No names; the statistics say how long right answers are, and whether they are Chinese."""
        pairs = [(self._source(row), references(row)[0]) for row in rows if row.target is not None]
        if not pairs:
            raise DataError(
                "no row says what is to be written",
                fix="give rows with a target, or the right column: --set data.columns.target=…",
            )
        facts = target_facts(pairs)
        if self.config.language != "auto":
            facts["chinese"] = float(self.config.language == "zh")
        return Labels((), (), "text", facts)

    def describe_labels(self, labels: Labels) -> str:
        """The answers, for the plan."""
        return f"texts of about {labels.statistics['target_words']:,.0f} words"

    def head(self, labels: Labels) -> HeadSpec:
        """Scores of the vocabulary for each token."""
        return HeadSpec(kind="writing", names=())

    def encode(self, rows: Sequence[Any], context: Context, first_row: int = 0) -> list[Encoded]:
        """One item a row: prompt and answer, in two sequences or in one, as the trunk wants them."""
        texts = [self._source(row) for row in rows]
        targets = [None if row.target is None else references(row)[0] for row in rows]
        layout = Layout(self.config.separator, self.config.max_new_tokens)
        return encode_writing(texts, targets, context, layout, first_row)

    def _source(self, row: Any) -> str:
        """What is read: the prefix, the control word, the text, its context."""
        control = f"{row.control}: " if row.control else ""
        context = f"{self.config.separator}{row.context}" if row.context else ""
        return f"{self.config.prefix}{control}{row.text}{context}"

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Nothing is masked."""
        return item

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Each row alone."""
        return [[index] for index in range(len(items))]

    def prepare_head(self, model: Model, labels: Labels) -> None:
        """Nothing: the model has learnt to write before, or learns it from nothing."""

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """Hidden states (N, D) where something is written, and the summed loss of the tokens that are right there."""
        hidden, targets = asked_states(model, batch)
        smoothing = self.config.label_smoothing if model.training else 0.0
        return {"hidden": hidden, **score_guesses(model, hidden, targets, smoothing)}

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[Tensor, float]:
        """Summed cross-entropy of all tokens that are written, and how many they are."""
        return count_loss(outputs)

    def write(self, model: Model, items: Sequence[Encoded]) -> list[Any]:
        """What the model writes from each prompt, and whether it came to its end."""
        how = self.config.decoding()
        prompts = [prompt_of(item) for item in items]
        written = generation.write(model, prompts, how, [item.row for item in items])
        texts = model.target_tokenizer.batch_decode(written, skip_special_tokens=True)
        most = [min(how.max_new_tokens, generation.room(model, prompt)) for prompt in prompts]
        ended = [len(ids) < limit for ids, limit in zip(written, most, strict=True)]
        return [(text.strip(), is_ended) for text, is_ended in zip(texts, ended, strict=True)]

    def signature(self, golds: Sequence[Any], labels: Labels) -> str:
        """sacrebleu's, of BLEU and chrF."""
        counts = {len(gold) for gold in golds}
        return metrics.translation_signature(self._language(labels), counts.pop() if len(counts) == 1 else None)

    def decode(self, outputs: Outputs, batch: Batch, labels: Labels) -> list[Any]:
        """Never asked: answers come from `write`."""
        raise NotImplementedError("answers are written, see `write`")

    def join(self, parts: Sequence[Any], labels: Labels) -> WrittenPrediction:
        """The one part of a row."""
        text, is_ended = parts[0]
        return WrittenPrediction(answer=text, finished=is_ended)

    def beliefs(self, predictions: Sequence[Any], golds: Sequence[Any] | None, labels: Labels) -> Beliefs | None:
        """None: a written text is rarely right or wrong as a whole."""
        return None

    def revise(self, predictions: Sequence[Any], probabilities: Any, labels: Labels) -> list[Any]:
        """Unchanged: there are no probabilities."""
        return list(predictions)

    def withhold(self, prediction: Any, threshold: float) -> Any:
        """Unchanged: there are no probabilities."""
        return prediction

    def gold(self, row: Any, labels: Labels) -> Any:
        """All right answers."""
        return references(row)

    def texts(self, row: Any) -> tuple[str, ...]:
        """The text, its context and the control word."""
        return tuple(text for text in (row.text, row.context, row.control) if text)

    def shared_texts(self, row: Any) -> tuple[str, ...]:
        """The text and its context."""
        return (row.text, row.context) if row.context else (row.text,)

    def answers(self, row: Any, labels: Labels) -> tuple[str, ...]:
        """None have names."""
        return ()

    def stratum(self, row: Any, labels: Labels) -> str:
        """The control word, so that each is judged."""
        return row.control or ""

    def compare(self, prediction: Any, gold: Any, labels: Labels) -> Comparison:
        """The distance is what is missing from a perfect chrF with the best right answer."""
        error = metrics.writing_error(prediction.answer, gold)
        right = (prediction.answer,) if error == 0 else (gold[0],)
        return Comparison(error=error, confidence=None, given=(prediction.answer,), right=right)

    def tally(self, prediction: Any, gold: Any, labels: Labels) -> Counts:
        """Counts of one row; see `metrics`."""
        return metrics.writing_counts(prediction.answer, gold, self._language(labels))

    def score(self, counts: Counts, labels: Labels) -> dict[str, float]:
        """bleu, chrf, rouge_1, rouge_2, rouge_l, exact_match, length_ratio."""
        return metrics.writing_scores(counts)

    def score_rows(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> dict[str, float]:
        """None besides."""
        return {}

    def tables(self, counts: Counts, labels: Labels) -> dict[str, dict[str, dict[str, float]]]:
        """None: there are no classes."""
        return {}

    def confusion(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[list[int]] | None:
        """None: there are no classes."""
        return None

    def baselines(self, labels: Labels) -> list[Baseline]:
        """The text itself, its first sentence, and the model before fine-tuning."""
        return [
            writing_baselines.CopySource(_text_of, make_answer),
            writing_baselines.Lead1(_text_of, make_answer),
            writing_baselines.Untouched(),
        ]

    def _language(self, labels: Labels) -> Literal["en", "zh"]:
        return "zh" if labels.statistics.get("chinese") else "en"


def _text_of(row: Any) -> str:
    return str(row.context or row.text)


def make_answer(text: str) -> WrittenPrediction:
    """An answer that somebody else gives."""
    return WrittenPrediction(answer=text)
