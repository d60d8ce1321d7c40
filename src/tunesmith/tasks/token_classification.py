"""Token classification: entities in a text, as spans of characters. Named entities, slots, terms, word segmentation.

Each word is tagged at its first token piece with a BIO tag; a word is what the file says, or a run of letters, and in
Chinese a character. Texts longer than the model are read in windows that overlap; every word is answered once.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field

from tunesmith import metrics
from tunesmith.config import Section
from tunesmith.contracts import (
    Baseline,
    Batch,
    Beliefs,
    Column,
    Comparison,
    Context,
    Counts,
    Editable,
    Encoded,
    Groups,
    HeadSpec,
    Labels,
    Outputs,
    Samples,
    Tags,
)
from tunesmith.crf import negative_log_likelihood
from tunesmith.errors import ConfigError, DataError
from tunesmith.losses import classification_loss
from tunesmith.model import Model
from tunesmith.tasks import token_baselines, token_beliefs
from tunesmith.tasks.answer_words import name_some
from tunesmith.tasks.entity_marks import compare_entities
from tunesmith.tasks.tag_decoding import bio_rules, decode_tags, gather_places, pad_places, tag_names
from tunesmith.tasks.token_rows import FoundEntity, TaggedText, TokenPrediction, TokenRow, entities_of, words_of
from tunesmith.tasks.token_windows import Window, cut_pieces, make_windows, special_tokens
from tunesmith.tasks.words import Reading, Span, read_text, tags_of


class TokenConfig(Section):
    """Options of token classification."""

    head: Literal["standard", "crf"] = "standard"
    """standard: the Hugging Face head; crf: also scores neighbouring tags, loads with tunesmith only."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target spread over all tags; not with crf."""
    overlap_tokens: int | None = Field(default=None, ge=0)
    """Tokens that neighbouring windows of a long text share; a quarter of a window if not given."""


@dataclass(frozen=True)
class WordTags:
    """What one window answers: tag and probability of each of its words."""

    reading: Reading
    tags: dict[int, str]
    probabilities: dict[int, float]


UNLIKELY = -4.0
"""What a transition that BIO does not know starts from in a CRF; it can still be learnt."""


class TokenClassification:
    """The task; see `contracts.Task` for what each method promises."""

    name: ClassVar[str] = "token-classification"
    title: ClassVar[str] = "token classification"
    Row: ClassVar[type[BaseModel]] = TokenRow
    Prediction: ClassVar[type[BaseModel]] = TokenPrediction
    samples: ClassVar[Samples] = {
        "en": {"text": "Marie Curie left Warsaw for Paris in 1891."},
        "zh": {"text": "居里夫人1891年离开华沙前往巴黎。"},
    }
    Config: ClassVar[type[BaseModel]] = TokenConfig
    better: ClassVar[Literal["max", "min"]] = "max"
    tags: ClassVar[Tags] = Tags(units="words")
    columns: ClassVar[tuple[Column, ...]] = (
        Column("text", "text", ("text", "sentence", "content", "文本", "句子", "内容")),
        Column("words", "text", ("words",), required=False),
        Column("entities", "label", ("entities", "spans", "ner", "label", "labels", "实体"), holds="spans"),
    )

    def __init__(self, config: TokenConfig) -> None:
        self.config = config
        if config.head == "crf" and config.label_smoothing:
            raise ConfigError("task.label_smoothing has no effect with task.head=crf", fix="leave one of them out")

    def headline(self, labels: Labels) -> str:
        """entity_f1: micro-averaged, strict."""
        return "entity_f1"

    moves_places: ClassVar[bool] = True

    def editable(self, row: Any) -> list[Editable]:
        """Its text, but for the entities."""
        kept = tuple((entity.start, entity.end) for entity in row.entities or ())
        return [Editable("text", row.text, kept, None if row.words is None else tuple(row.words))]

    def edited_fields(self, row: Any, changed: Sequence[Editable]) -> dict[str, Any]:
        """The text, its entities and its words where they stand now."""
        (text,) = changed
        entities = [
            {"start": start, "end": end, "label": entity.label}
            for (start, end), entity in zip(text.kept, row.entities or (), strict=True)
        ]
        words = {} if text.words is None else {"words": [list(bounds) for bounds in text.words]}
        return {"text": text.text, "entities": entities, **words}

    def labels(self, rows: Sequence[Any]) -> Labels:
        """Find the types of entities."""
        counts = Counter(entity.label for row in rows for entity in row.entities or ())
        if not counts:
            raise DataError(
                "no row holds an entity",
                fix="give rows with entities, or the right column: --set data.columns.entities=…",
            )
        names = tuple(sorted(counts))
        return Labels(names, tuple(counts[name] for name in names), "entities")

    def describe_labels(self, labels: Labels) -> str:
        """The answers, for the plan."""
        return name_some(labels, "types of entities")

    def head(self, labels: Labels) -> HeadSpec:
        """A token head with one output a BIO tag."""
        return HeadSpec(kind="token", names=tuple(tag_names(labels)), form=self.config.head)

    def encode(self, rows: Sequence[Any], context: Context, first_row: int = 0) -> list[Encoded]:
        """One sequence a row; several, overlapping, where the text is longer than the model takes."""
        before, behind = special_tokens(context.tokenizer)
        room = context.max_tokens - len(before) - len(behind)
        overlap = room // 4 if self.config.overlap_tokens is None else self.config.overlap_tokens
        if overlap >= room:
            raise ConfigError(
                f"task.overlap_tokens is {overlap}, but a window has room for {room} tokens",
                fix=f"set it below {room}, or raise model.max_tokens",
            )
        ids_of = {tag: place for place, tag in enumerate(tag_names(context.labels))}
        items: list[Encoded] = []
        words = [words_of(row) for row in rows]
        for place, pieces in enumerate(cut_pieces([row.text for row in rows], words, context)):
            row = rows[place]
            reading = read_text(row.text, words[place], pieces.offsets)
            tags = None if row.entities is None else tags_of(reading.words, entities_of(row))
            for part, window in enumerate(make_windows(len(pieces.ids), room, overlap)):
                inside = _words_in(reading, window)
                items.append(
                    Encoded(
                        sequences=([*before, *pieces.ids[window.start : window.end], *behind],),
                        target=None if tags is None else tuple(ids_of[tags[word]] for word in inside),
                        row=first_row + place,
                        part=part,
                        meta={"reading": reading, "words": inside},
                        places=tuple(len(before) + reading.pieces[word] - window.start for word in inside),  # type: ignore[operator]
                        lost=_lost(row, reading, tags) if part == 0 and tags is not None else (),
                    )
                )
        return items

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """Nothing is masked."""
        return item

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Each window alone."""
        return [[index] for index in range(len(items))]

    def prepare_head(self, model: Model, labels: Labels) -> None:
        """A CRF starts from what BIO allows."""
        if model.crf is not None:
            with torch.no_grad():
                model.crf.transitions.copy_(bio_rules(labels).clamp_min(UNLIKELY))

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """logits (T, C); of a CRF also start (S, C) and transitions (S, C, C), the same for every sequence."""
        outputs = {"logits": model.token_logits(model.trunk(batch))}
        if model.crf is not None:
            sequences = len(batch.items)
            outputs["start"] = model.crf.start.expand(sequences, -1)
            outputs["transitions"] = model.crf.transitions.expand(sequences, -1, -1)
        return outputs

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[torch.Tensor, float]:
        """Cross-entropy of each word's tag, or the CRF's negative log-likelihood; summed, the units are words."""
        logits = gather_places(outputs["logits"], batch)  # (N, C)
        targets = torch.tensor([tag for item in batch.items for tag in item.target], dtype=torch.int64)
        targets = targets.to(logits.device)  # (N,)
        if "transitions" not in outputs:
            return classification_loss(logits, targets, smoothing=self.config.label_smoothing)
        counts = [len(item.places) for item in batch.items if item.places]
        if not counts:
            return logits.sum() * 0, 0.0
        padded, lengths = pad_places(logits, counts)
        wanted = torch.nn.utils.rnn.pad_sequence(list(targets.split(counts)), batch_first=True)
        start, transitions = outputs["start"][0], outputs["transitions"][0]
        return negative_log_likelihood(padded, wanted, lengths, start, transitions).sum(), float(len(targets))

    def decode(self, outputs: Outputs, batch: Batch, labels: Labels) -> list[Any]:
        """Tag and probability of each word of each part."""
        names = tag_names(labels)
        found = decode_tags(outputs, batch, bio_rules(labels))
        answers = []
        for item, (tags, probabilities) in zip(batch.items, found, strict=True):
            words = item.meta["words"]
            named = {word: names[tag] for word, tag in zip(words, tags, strict=True)}
            answers.append(WordTags(item.meta["reading"], named, dict(zip(words, probabilities, strict=True))))
        return answers

    def join(self, parts: Sequence[Any], labels: Labels) -> TokenPrediction:
        """Entities of the whole text; the probability of one is the mean over its words."""
        reading: Reading = parts[0].reading
        tags = {word: tag for part in parts for word, tag in part.tags.items()}
        sure = {word: value for part in parts for word, value in part.probabilities.items()}
        entities = []
        for (start, end, name), (first, behind) in reading.spans(reading.spread(tags)):
            values = [sure[word] for word in range(first, behind) if word in sure]
            mean = sum(values) / len(values)
            entities.append(
                FoundEntity(start=start, end=end, label=name, text=reading.text[start:end], probability=mean)
            )
        return TokenPrediction(entities=entities)

    def beliefs(self, predictions: Sequence[Any], golds: Sequence[Any] | None, labels: Labels) -> Beliefs | None:
        """Each entity that was found, and whether it is exactly right: bounds and type."""
        return token_beliefs.find_beliefs(predictions, golds)

    def revise(self, predictions: Sequence[Any], probabilities: Any, labels: Labels) -> list[Any]:
        """The same entities with other probabilities."""
        return token_beliefs.revise(predictions, probabilities)

    def withhold(self, prediction: Any, threshold: float) -> Any:
        """`abstained` says of each entity whether it is less sure."""
        return token_beliefs.withhold(prediction, threshold)

    def texts(self, row: Any) -> tuple[str, ...]:
        """The text."""
        return (row.text,)

    def shared_texts(self, row: Any) -> tuple[str, ...]:
        """The text."""
        return (row.text,)

    def answers(self, row: Any, labels: Labels) -> tuple[str, ...]:
        """The type of each entity."""
        return tuple(entity.label for entity in row.entities or ())

    def stratum(self, row: Any, labels: Labels) -> str:
        """The rarest type of entity in the row."""
        counts = dict(zip(labels.names, labels.counts, strict=True))
        return min(self.answers(row, labels), key=lambda name: (counts.get(name, 0), name), default="")

    def gold(self, row: Any, labels: Labels) -> TaggedText:
        """Words and entities."""
        return TaggedText(tuple(words_of(row)), tuple(entities_of(row)))

    def compare(self, prediction: Any, gold: Any, labels: Labels) -> Comparison:
        """Entities that are missed, spurious or of a wrong type are counted; see `contracts.Task`."""
        return compare_entities(prediction.entities, gold.spans)

    def tally(self, prediction: Any, gold: Any, labels: Labels) -> Counts:
        """Counts of entities and of word tags; see `metrics.entities`."""
        found = [(entity.start, entity.end, entity.label) for entity in prediction.entities]
        return metrics.entity_counts(found, gold.spans, tags_of(gold.words, found), tags_of(gold.words, gold.spans))

    def score(self, counts: Counts, labels: Labels) -> dict[str, float]:
        """entity_f1, entity_precision, entity_recall, entity_macro_f1, word_accuracy, word_macro_f1."""
        return metrics.entity_scores(counts, labels.names, tag_names(labels))

    def score_rows(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> dict[str, float]:
        """None: every score is made of sums."""
        return {}

    def tables(self, counts: Counts, labels: Labels) -> dict[str, dict[str, dict[str, float]]]:
        """Types of entities, strict; and tags of words."""
        return metrics.entity_tables(counts, labels.names, tag_names(labels))

    def confusion(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[list[int]] | None:
        """None: an entity can also be half found."""
        return None

    def baselines(self, labels: Labels) -> list[Baseline]:
        """The most frequent tag of each word, and a linear probe of the untouched trunk."""
        return [
            token_baselines.FrequentTag(words_of, entities_of, self._baseline_answer),
            token_baselines.FrozenProbe(words_of, entities_of, self._baseline_answer),
        ]

    @staticmethod
    def _baseline_answer(row: Any, spans: Sequence[Span]) -> TokenPrediction:
        found = [FoundEntity(start=a, end=b, label=name, text=row.text[a:b]) for a, b, name in spans]
        return TokenPrediction(entities=found)


def _words_in(reading: Reading, window: Window) -> tuple[int, ...]:
    """The words whose pieces this window answers for."""
    return tuple(
        word
        for word, piece in enumerate(reading.pieces)
        if piece is not None and window.own_start <= piece < window.own_end
    )


def _lost(row: Any, reading: Reading, tags: Sequence[str]) -> tuple[str, ...]:
    """Entities that no answer can give back: bounds inside a word or a piece, nested ones, words without a piece."""
    seen = {word: tag for word, tag in enumerate(tags) if reading.pieces[word] is not None}
    kept = {span for span, _ in reading.spans(reading.spread(seen))}
    return tuple(f"{name} {row.text[a:b]!r}" for a, b, name in entities_of(row) if (a, b, name) not in kept)
