"""Triples of texts: a token-classification model finds the entities, a relation model says what holds between them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from tunesmith.data import ReadOptions
from tunesmith.errors import ModelError
from tunesmith.metrics import split_direction
from tunesmith.predictor import Predictor
from tunesmith.tasks.relation_extraction import RelationExtraction
from tunesmith.tasks.sentences import split_sentences
from tunesmith.tasks.token_classification import TokenClassification
from tunesmith.tasks.token_rows import FoundEntity


class Triple(BaseModel):
    """A relation between two entities of a text.

    Attributes:
        head: the entity that the relation starts from.
        relation: its name, without a direction: that is told by head and tail.
        tail: the entity that it leads to.
        head_span: [first character, behind the last) of the head.
        tail_span: likewise.
        confidence: the relation model's probability.
    """

    model_config = ConfigDict(frozen=True)
    head: str
    relation: str
    tail: str
    head_span: tuple[int, int]
    tail_span: tuple[int, int]
    confidence: float


class TextTriples(BaseModel):
    """What was found in one text."""

    model_config = ConfigDict(frozen=True)
    entities: list[FoundEntity]
    triples: list[Triple]


@dataclass(frozen=True)
class _Pair:
    """Two entities of one sentence, in the order in which the relation model is asked."""

    text: int
    start: int
    sentence: str
    head: Any
    tail: Any


def extract_triples(
    source: Any, entities: Predictor, relations: Predictor, *, across_sentences: bool = False
) -> list[TextTriples]:
    """Find the entities of texts and the relations between them.

    Args:
        source: a file, a list of texts or dicts, as `Predictor.predict` takes it.
        entities: a model of token classification.
        relations: a model of relation extraction.
        across_sentences: also ask about entities of different sentences; the model then reads the whole text.

    Returns:
        One answer a text, in order; pairs without a relation are left out.

    Raises:
        ModelError: a model is one of another task.
        DataError: a text cannot be used.

    Example:
        >>> extract_triples(["Ada works for Acme."], load("runs/names"), load("runs/jobs"))  # doctest: +SKIP
    """
    check_models(entities, relations)
    rows = entities.read(source, ReadOptions(labels_required=False)).rows
    return answer_rows(rows, entities, relations, across_sentences=across_sentences)


def check_models(entities: Predictor, relations: Predictor) -> None:
    """Refuse models of other tasks.

    Raises:
        ModelError: one is.
    """
    wanted = ((entities, TokenClassification), (relations, RelationExtraction))
    swapped = [predictor.task.name for predictor, _ in wanted] == [RelationExtraction.name, TokenClassification.name]
    for predictor, task in wanted:
        if predictor.task.name != task.name:
            fix = "swap the two folders: " if swapped else "give two folders: "
            raise ModelError(
                f"{predictor.artifact.folder} is a model for {predictor.task.title}, wanted one for {task.title}",
                fix=f"{fix}tunesmith predict ENTITIES_DIR --relations RELATIONS_DIR …",
            )


def answer_rows(
    rows: Sequence[Any], entities: Predictor, relations: Predictor, *, across_sentences: bool = False
) -> list[TextTriples]:
    """Answer rows of the entity model; see `extract_triples`.

    Where labels say their direction, as in `Cause-Effect(e2,e1)`, each two entities are asked about once, the first of
    the text as head; elsewhere in both orders.
    """
    found = [answer.entities for answer in entities.predict_rows(rows)]
    labels = relations.artifact.labels
    no_relation = relations.task.no_relation(labels)  # type: ignore[attr-defined]
    both_orders = all(split_direction(name)[1] is None for name in labels.names)
    pairs = [
        pair
        for text, (row, those) in enumerate(zip(rows, found, strict=True))
        for pair in _pairs(text, row.text, those, both_orders=both_orders, across=across_sentences)
    ]
    answers = relations.predict_rows([_ask(relations, pair) for pair in pairs]) if pairs else []
    triples: list[list[Triple]] = [[] for _ in rows]
    for pair, answer in zip(pairs, answers, strict=True):
        if answer.label != no_relation:
            triples[pair.text].append(_triple(pair, answer))
    return [TextTriples(entities=those, triples=some) for those, some in zip(found, triples, strict=True)]


def _pairs(text: int, whole: str, entities: Sequence[Any], *, both_orders: bool, across: bool) -> Iterator[_Pair]:
    """The pairs of a text that are asked about."""
    uncut = [(entity.start, entity.end) for entity in entities]
    for start, end in [(0, len(whole))] if across else split_sentences(whole, uncut, keep_signs=True):
        inside = [entity for entity in entities if start <= entity.start and entity.end <= end]
        orders = itertools.permutations(inside, 2) if both_orders else itertools.combinations(inside, 2)
        for head, tail in orders:
            yield _Pair(text, start, whole[start:end], head, tail)


def _ask(relations: Predictor, pair: _Pair) -> Any:
    head, tail = ((entity.start - pair.start, entity.end - pair.start) for entity in (pair.head, pair.tail))
    return relations.task.Row.model_construct(  # known to be right; a text that says <e1> means nothing by it
        text=pair.sentence,
        head=pair.sentence[slice(*head)],
        tail=pair.sentence[slice(*tail)],
        head_span=head,
        tail_span=tail,
        label=None,
    )


def _triple(pair: _Pair, answer: Any) -> Triple:
    relation, is_turned = split_direction(answer.label)
    head, tail = (pair.tail, pair.head) if is_turned else (pair.head, pair.tail)
    return Triple(
        head=head.text,
        relation=relation,
        tail=tail.text,
        head_span=(head.start, head.end),
        tail_span=(tail.start, tail.end),
        confidence=answer.probability,
    )
