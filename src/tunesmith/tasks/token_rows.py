"""What a tagged text looks like: the row that is read, the answer that is given, the right answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tunesmith.tasks.words import Bounds, Span, split_words


class Entity(BaseModel):
    """An entity of a text: its first character, the one behind its last, and its type."""

    model_config = ConfigDict(frozen=True)
    start: int = Field(ge=0)
    end: int
    label: str = Field(min_length=1)


class TokenRow(BaseModel):
    """A text, its words where they are given, and its entities where they are known."""

    model_config = ConfigDict(frozen=True)
    text: str = Field(min_length=1)
    words: list[tuple[int, int]] | None = None
    entities: list[Entity] | None = None

    @model_validator(mode="after")
    def _stands_in_the_text(self) -> TokenRow:
        length = len(self.text)
        for entity in self.entities or ():
            if not entity.start < entity.end <= length:
                place = f"{entity.start} to {entity.end}"
                raise ValueError(
                    f"entity {entity.label!r} from {place} does not stand in a text of {length} characters"
                )
        behind = 0
        for start, end in self.words or ():
            if not behind <= start < end <= length:
                raise ValueError(f"word from {start} to {end} overlaps its neighbour or is not in the text")
            behind = end
        return self


class FoundEntity(Entity):
    """An entity that was found, with its text and how sure the model is.

    Attributes:
        text: as it stands.
        probability: that exactly this entity is there.
        abstained: the model is less sure than was asked for; None where nothing was asked.
    """

    text: str = ""
    probability: float | None = None
    abstained: bool | None = None


class TokenPrediction(BaseModel):
    """The entities of one row, in the order of the text."""

    model_config = ConfigDict(frozen=True)
    entities: list[FoundEntity]


@dataclass(frozen=True)
class TaggedText:
    """The right answer of a row: its words and its entities."""

    words: tuple[Bounds, ...]
    spans: tuple[Span, ...]


def words_of(row: Any) -> list[Bounds]:
    """The words that the row gives, or those of its text."""
    return list(row.words) if row.words is not None else split_words(row.text)


def entities_of(row: Any) -> list[Span]:
    """The entities of a row as plain tuples, in the order of the text."""
    return sorted((entity.start, entity.end, entity.label) for entity in row.entities or ())
