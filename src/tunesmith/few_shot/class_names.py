"""What the classes are called, as rows to learn from: the user wrote the names, and eight rows leave much unsaid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.contracts import Labels, Task
from tunesmith.errors import ConfigError, nearest
from tunesmith.tasks.languages import is_chinese
from tunesmith.tasks.prompt_texts import LABEL, USUAL_DESCRIPTION, fill


def describing_rows(
    task: Task,
    labels: Labels,
    rows: Sequence[Any],
    descriptions: Mapping[str, str | Sequence[str]],
    *,
    with_names: bool,
) -> list[Any]:
    """A row for each description of a class; a class that has none may be described by its name.

    Names tell nothing of what pairs of texts are to each other, nor do names without a letter, such as 0 and 1.

    Args:
        task: text classification.
        labels: its classes; those without a training row are left out.
        rows: the training rows.
        descriptions: class → what it is about, as a sentence or several.
        with_names: whether the others are described by their names.

    Raises:
        ConfigError: a description is of no such class, or the rows are pairs of texts.
    """
    known = [name for name, count in zip(labels.names, labels.counts, strict=True) if count]
    for name in descriptions:
        if name not in known:
            raise ConfigError(f"few_shot.descriptions: no training row is of class {name!r}", fix=nearest(name, known))
    if any(len(task.texts(row)) > 1 for row in rows):
        if descriptions:
            raise ConfigError(
                "few_shot.descriptions are texts, and these rows are pairs of texts", fix="leave them out"
            )
        return []
    tell = with_names and all(name in descriptions or any(map(str.isalpha, name)) for name in known)
    wording = USUAL_DESCRIPTION["zh" if is_chinese(known) else "en"]
    described = {name: [fill(wording, {LABEL: spoken(name)}).text] for name in known} if tell else {}
    described |= {name: [said] if isinstance(said, str) else list(said) for name, said in descriptions.items()}
    return [task.Row(text=text, label=name) for name in known for text in described.get(name, ())]


def spoken(name: str) -> str:
    """The name as it stands in a sentence.

    Example:
        >>> spoken("card_arrival")
        'card arrival'
    """
    return " ".join(name.replace("_", " ").split())
