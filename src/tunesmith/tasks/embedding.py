"""Embedding: texts as vectors that lie near each other where the texts belong together. Search, matching, clusters.

The trunk's token vectors are pooled to one vector a text; nothing stands on the trunk. Rows are pairs that belong
together, pairs with a score, triplets, or texts with a label; which, is seen from the columns.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field
from torch.nn import functional

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
    Encoded,
    Groups,
    HeadSpec,
    Labels,
    Outputs,
    Samples,
    Tags,
)
from tunesmith.errors import DataError
from tunesmith.model import Model
from tunesmith.packing import deal
from tunesmith.tasks import embedding_losses, embedding_scores
from tunesmith.tasks.answer_words import name_range, name_some
from tunesmith.tasks.classification_labels import class_name
from tunesmith.tasks.embedding_baselines import FrozenVectors, TfidfVectors
from tunesmith.tasks.embedding_rows import (
    COLUMNS,
    LABELS,
    PAIRS,
    SCORED_PAIRS,
    TRIPLETS,
    WANTED,
    EmbeddingPrediction,
    EmbeddingRow,
    Together,
    find_layout,
    layout_of,
    partner_of,
    score_of,
)
from tunesmith.tasks.token_sequences import encode_texts


class EmbeddingConfig(Section):
    """Options of embedding."""

    kind: Literal["auto", "pairs", "scored_pairs", "triplets", "labels"] = "auto"
    """What a row holds: two texts, two and a score, three, or a text and a label; auto looks at the columns."""
    pooling: Literal["mean", "first", "last"] = "mean"
    """How the vectors of a text's tokens become one."""
    normalize: bool = False
    """Give vectors of length 1, whose products are cosines."""
    group_size: int = Field(default=32, ge=2)
    """Rows whose texts are compared with each other: more are harder to tell apart and take more memory."""
    temperature: float = Field(default=0.05, gt=0)
    """Cosines are divided by it; the smaller, the more the nearest wrong texts count."""
    triplet_loss: Literal["margin", "in_batch"] = "margin"
    """margin: the positive must be nearer than the negative; in_batch: nearer than all other texts of the group."""
    margin: float = Field(default=0.2, gt=0, le=2)
    """By how much, in cosine, with `triplet_loss` margin."""


LEARNING_RATE_LIMIT = 5e-5
"""There is no new head to learn, and what the vectors of a base model know already is soon forgotten."""


class Embedding:
    """The task; see `contracts.Task` for what each method promises."""

    name: ClassVar[str] = "embedding"
    title: ClassVar[str] = "embedding"
    Row: ClassVar[type[BaseModel]] = EmbeddingRow
    Prediction: ClassVar[type[BaseModel]] = EmbeddingPrediction
    samples: ClassVar[Samples] = {
        "en": {"text": "A man is playing the guitar on a stage.", "text_b": "Somebody is making music."},
        "zh": {"text": "一个男人在台上弹吉他。", "text_b": "有人在演奏音乐。"},
    }
    Config: ClassVar[type[BaseModel]] = EmbeddingConfig
    better: ClassVar[Literal["max", "min"]] = "max"
    tags: ClassVar[Tags] = Tags(has_head=False, regroups=True, learning_rate_limit=LEARNING_RATE_LIMIT)
    columns: ClassVar[tuple[Column, ...]] = COLUMNS
    unjudged: ClassVar[str] = "have no other text of their label to find"

    def __init__(self, config: EmbeddingConfig) -> None:
        self.config = config

    def headline(self, labels: Labels) -> str:
        """spearman for scored pairs, triplet_accuracy for triplets, else recall_at_5."""
        return {SCORED_PAIRS: "spearman", TRIPLETS: "triplet_accuracy"}.get(labels.kind, "recall_at_5")

    def labels(self, rows: Sequence[Any]) -> Labels:
        """The layout as kind; of labelled texts the labels, of scored pairs the range."""
        return find_layout(rows, self.config.kind)

    def describe_labels(self, labels: Labels) -> str:
        """The answers, for the plan."""
        if labels.names:
            return name_some(labels, "labels of texts")
        layout = labels.kind.replace("_", " ")
        return f"{layout}: {name_range(labels)}" if labels.kind == SCORED_PAIRS else layout

    def head(self, labels: Labels) -> HeadSpec:
        """The trunk alone, pooled."""
        form = "normalized" if self.config.normalize else "standard"
        return HeadSpec(kind="vectors", names=(), pooling=self.config.pooling, form=form)

    def encode(self, rows: Sequence[Any], context: Context, first_row: int = 0) -> list[Encoded]:
        """One sequence a text. A labelled text knows the others of its label, of which training draws one."""
        texts = [self.texts(row) for row in rows]
        flat = encode_texts([(text,) for row in texts for text in row], [None] * sum(map(len, texts)), context, 0)
        pieces = iter(flat)
        items = [
            self._join([next(pieces) for _ in row_texts], self._target(row, context.labels), first_row + place)
            for place, (row, row_texts) in enumerate(zip(rows, texts, strict=True))
        ]
        if context.labels.kind == LABELS:
            return _with_partners(items)
        return _with_known(items) if context.labels.kind in (PAIRS, TRIPLETS) else items

    def _join(self, pieces: Sequence[Encoded], target: Any, row: int) -> Encoded:
        """The texts of a row as one item."""
        ids = tuple(piece.sequences[0] for piece in pieces)
        place = {"mean": (), "first": (0,), "last": (len(ids[0]) - 1,)}[self.config.pooling]
        return Encoded(
            sequences=ids,
            target=target,
            row=row,
            places=place if len(ids) == 1 else (),
            cut_tokens=sum(piece.cut_tokens for piece in pieces),
            segment_ids=tuple(types for piece in pieces for types in piece.segment_ids),
        )

    def _target(self, row: Any, labels: Labels) -> Any:
        """A label, a score as a cosine, or whether the texts belong together; None where the row does not say."""
        try:
            if layout_of(row, self.config.kind) != labels.kind:
                return None
        except DataError:
            return None
        if labels.kind == LABELS:
            return class_name(row.label)
        if labels.kind == SCORED_PAIRS:
            low, high = labels.statistics["low"], labels.statistics["high"]
            return ((score_of(row) or 0.0) - low) / (high - low)
        return True

    def corrupt(self, item: Encoded, rng: random.Random) -> Encoded:
        """A labelled text gets another one of its label, drawn anew in each epoch; itself where it is the only one."""
        partners = item.meta.get("partners", ())
        if not partners:
            return item
        others = [place for place in range(len(partners)) if partners[place][0] != item.sequences[0]]
        ids, types = partners[rng.choice(others or [0])]
        return replace(item, sequences=(*item.sequences, ids), segment_ids=(*item.segment_ids, *types), meta={})

    def groups(self, items: Sequence[Encoded]) -> Groups:
        """Groups of about `group_size` where texts of different rows are compared; each row alone elsewhere.

        Dealt in a shuffled order, since files are often sorted; training deals anew in each epoch.
        """
        coupled = [place for place, item in enumerate(items) if self._is_coupled(item)]
        count = max(1, round(len(coupled) / self.config.group_size))
        sizes = [len(coupled[start::count]) for start in range(count)]
        alone = sorted({*range(len(items))} - {*coupled})
        dealt = [[coupled[place] for place in group] for group in deal(sizes, 0, 0) if group]
        return [*dealt, *([place] for place in alone)]

    def _is_coupled(self, item: Encoded) -> bool:
        if item.target is None or isinstance(item.target, float):
            return False
        return len(item.sequences) < 3 or self.config.triplet_loss == "in_batch"

    def prepare_head(self, model: Model, labels: Labels) -> None:
        """There is none."""

    def forward(self, model: Model, batch: Batch) -> Outputs:
        """vectors (S, D)."""
        vectors = model.pool(model.trunk(batch), batch)
        if model.head_spec.form == "normalized":
            vectors = functional.normalize(vectors.float(), dim=-1)
        return {"vectors": vectors}

    def loss(self, outputs: Outputs, batch: Batch, labels: Labels) -> tuple[torch.Tensor, float]:
        """In-batch negatives, supervised contrastive, squared error of the cosine or margin; summed over rows."""
        vectors = list(outputs["vectors"].split([len(item.sequences) for item in batch.items]))
        rows = float(len(batch.items))
        if labels.kind == SCORED_PAIRS:
            wanted = torch.tensor([item.target for item in batch.items], device=vectors[0].device)
            return (_all_cosines(vectors, 1) - wanted).square().sum(), rows
        if labels.kind == TRIPLETS and self.config.triplet_loss == "margin":
            texts = [torch.stack([one[place] for one in vectors]) for place in range(3)]
            return embedding_losses.margin_loss(texts[0], texts[1], texts[2], self.config.margin).sum(), rows
        compare = embedding_losses.labelled_loss if labels.kind == LABELS else embedding_losses.in_batch_loss
        total, start = vectors[0].new_zeros((), dtype=torch.float32), 0
        for size in batch.group_sizes:
            group = slice(start, start + size)
            total = total + compare(vectors[group], batch.items[group], self.config.temperature)
            start += size
        return total, rows

    def decode(self, outputs: Outputs, batch: Batch, labels: Labels) -> list[Any]:
        """The vectors of each row's texts."""
        numbers = outputs["vectors"].float().cpu().numpy()
        rows = iter(numbers)
        return [tuple(array("f", next(rows).tobytes()) for _ in item.sequences) for item in batch.items]

    def join(self, parts: Sequence[Any], labels: Labels) -> EmbeddingPrediction:
        """A row has one part."""
        return EmbeddingPrediction(vectors=parts[0])

    def beliefs(self, predictions: Sequence[Any], golds: Sequence[Any] | None, labels: Labels) -> Beliefs | None:
        """None: a cosine is no probability."""
        return None

    def revise(self, predictions: Sequence[Any], probabilities: Any, labels: Labels) -> list[Any]:
        """Nothing to change."""
        return list(predictions)

    def withhold(self, prediction: Any, threshold: float) -> Any:
        """Nothing is withheld."""
        return prediction

    def texts(self, row: Any) -> tuple[str, ...]:
        """The one, two or three texts that count."""
        partner = partner_of(row)
        if partner is None or self.config.kind == LABELS:
            return (row.text,)
        if row.negative is None or self.config.kind in (PAIRS, SCORED_PAIRS):
            return row.text, partner
        return row.text, partner, row.negative

    def shared_texts(self, row: Any) -> tuple[str, ...]:
        """The first text: it may stand in many pairs."""
        return (row.text,)

    def answers(self, row: Any, labels: Labels) -> tuple[str, ...]:
        """The label of a labelled text. Raises DataError for a row of another layout than the others."""
        found = layout_of(row, self.config.kind)
        if labels.kind in WANTED and found != labels.kind:
            raise DataError(
                f"the row has the layout {found} ({WANTED[found]}), wanted {labels.kind} "
                f"({WANTED[labels.kind]}) as the others have",
                fix=f"complete it, or --set task.kind={labels.kind} where it holds more than that",
            )
        return (class_name(row.label),) if labels.kind == LABELS else ()

    def stratum(self, row: Any, labels: Labels) -> str:
        """The label; of scores the tenth of their range."""
        if labels.kind == SCORED_PAIRS:
            low, high = labels.statistics["low"], labels.statistics["high"]
            return str(int(10 * ((score_of(row) or 0.0) - low) / (high - low)))
        return class_name(row.label) if labels.kind == LABELS else ""

    def gold(self, row: Any, labels: Labels) -> Together:
        """The texts, with score or label."""
        if labels.kind == LABELS:
            return Together((row.text,), label=class_name(row.label))
        return Together(self.texts(row), score=score_of(row) if labels.kind == SCORED_PAIRS else None)

    def can_judge(self, golds: Sequence[Any], labels: Labels) -> list[bool]:
        """Whether there is another text of the same label; always, where texts have no label."""
        return embedding_scores.can_judge(golds, labels)

    def compare(self, prediction: Any, gold: Any, labels: Labels) -> Comparison:
        """See `compare_together`, for a row that has only itself to search."""
        return self.compare_together([prediction], [gold], labels)[0]

    def compare_together(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[Comparison]:
        """What is nearest beside what should be; the two scores of a scored pair."""
        return embedding_scores.compare_together(predictions, golds, labels)

    def tally(self, prediction: Any, gold: Any, labels: Labels) -> Counts:
        """See `tally_together`, for a row that has only itself to search."""
        return self.tally_together([prediction], [gold], labels)[0]

    def tally_together(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[Counts]:
        """Counts of what each row finds among all of them; of a scored pair those of a number."""
        return embedding_scores.tally_together(predictions, golds, labels)

    def score(self, counts: Counts, labels: Labels) -> dict[str, float]:
        """recall_at_1, recall_at_5, recall_at_10, mrr, ndcg_at_10; triplet_accuracy; of scored pairs pearson."""
        return embedding_scores.score(counts, labels)

    def score_rows(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> dict[str, float]:
        """spearman, for scored pairs."""
        if labels.kind != SCORED_PAIRS:
            return {}
        similarities = [prediction.similarity for prediction in predictions]
        return {"spearman": metrics.spearman(similarities, [gold.score for gold in golds])}

    def tables(self, counts: Counts, labels: Labels) -> dict[str, dict[str, dict[str, float]]]:
        """None."""
        return {}

    def confusion(self, predictions: Sequence[Any], golds: Sequence[Any], labels: Labels) -> list[list[int]] | None:
        """None: texts are found, not named."""
        return None

    def baselines(self, labels: Labels) -> list[Baseline]:
        """TF-IDF, and the untouched model's own vectors."""
        return [TfidfVectors(self.texts), FrozenVectors(self.texts, self.config.pooling)]


def _with_partners(items: Sequence[Encoded]) -> list[Encoded]:
    """Give each labelled item the texts of its label, the same list for all of them."""
    of_label: dict[str, list[Any]] = {}
    for item in items:
        if item.target is not None:
            of_label.setdefault(item.target, []).append((item.sequences[0], item.segment_ids[:1]))
    return [item if item.target is None else replace(item, meta={"partners": of_label[item.target]}) for item in items]


def _with_known(items: Sequence[Encoded]) -> list[Encoded]:
    """Give each pair all partners of its first text, which are no wrong answers to it in any group."""
    known: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for item in items:
        if item.target is not None:
            known.setdefault(tuple(item.sequences[0]), set()).add(tuple(item.sequences[1]))
    shared = {asked: frozenset(partners) for asked, partners in known.items()}
    return [
        item if item.target is None else replace(item, meta={"known": shared[tuple(item.sequences[0])]})
        for item in items
    ]


def _all_cosines(vectors: Sequence[torch.Tensor], other: int) -> torch.Tensor:
    """(B,) cosines of each row's first text and another one."""
    return embedding_losses.cosines(
        torch.stack([one[0] for one in vectors]), torch.stack([one[other] for one in vectors])
    )
