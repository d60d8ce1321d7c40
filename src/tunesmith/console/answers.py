"""Answers for people: texts with their labels or entities, and what became of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunesmith.data.rejects import printable

UNSURE = " – not sure"
"""Stands behind an answer that is less sure than was asked for."""


def show_written(console: Console, out: str, written: int, rejected: int, examples: Sequence[object]) -> None:
    """Print how many answers were written and which rows were not."""
    if rejected:
        lines = [f"{rejected:,} of {written + rejected:,} rows could not be used and have no answer"]
        lines += [f"  {example}" for example in examples]
        if out != "-":
            lines.append(f"  all of them: {out}.rejected.jsonl")
        console.print(Text.assemble(("note: ", "yellow"), "\n".join(map(printable, lines))), soft_wrap=True)
    if out != "-":
        console.print(Text(f"{written:,} answers in {printable(out)}"), soft_wrap=True)


def show_predictions(console: Console, texts: Sequence[str], predictions: Sequence[Mapping[str, Any]]) -> None:
    """Print texts and their answers as a table."""
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    is_sure = any(prediction.get("probability") is not None for prediction in predictions)
    table.add_column("answer", style="bold", overflow="fold")
    if is_sure:
        table.add_column("probability", justify="right")
    table.add_column("text", overflow="fold")
    for text, prediction in zip(texts, predictions, strict=True):
        share = prediction.get("probability")
        sure = ["" if share is None else f"{share:.2f}"] if is_sure else []
        table.add_row(Text(format_answer(prediction)), *sure, Text(printable(text)))
    console.print(table)


def format_answer(prediction: Mapping[str, Any]) -> str:
    """An answer for people: its label, its entities, its triples, or the text that answers.

    Example:
        >>> format_answer({"answer": "1912"}), format_answer({"answer": ""})
        ('1912', '(none)')
        >>> format_answer({"entities": [{"text": "Oslo", "label": "LOC", "probability": 0.98}]})
        'Oslo = LOC (0.98)'
        >>> format_answer({"label": "refund", "abstained": True})
        'refund – not sure'
    """
    answer = prediction.get("answer", prediction.get("text"))
    if answer is not None:
        return (printable(answer) or "(none)") + (UNSURE if prediction.get("abstained") else "")
    if "triples" in prediction:
        return "\n".join(map(_triple, prediction["triples"])) or "(none)"
    if "similarity" in prediction:
        return format_vector(prediction)
    if "entities" not in prediction:
        return format_label(prediction["label"]) + (UNSURE if prediction.get("abstained") else "")
    found = [
        f"{printable(entity['text'])} = {printable(entity['label'])} ({entity['probability']:.2f})"
        + (UNSURE if entity.get("abstained") else "")
        for entity in prediction["entities"]
    ]
    return "\n".join(found) or "(none)"


def _triple(found: Mapping[str, Any]) -> str:
    parts = " | ".join(printable(found[key]) for key in ("head", "relation", "tail"))
    return f"{parts} ({found['confidence']:.2f})"


def format_vector(prediction: Mapping[str, Any]) -> str:
    """The cosine of two texts, or the first numbers of one text's vector.

    Example:
        >>> format_vector({"similarity": 0.91234, "vector": None})
        'cosine 0.912'
        >>> format_vector({"similarity": None, "vector": [0.5, -0.25, 1, 0]})
        '0.500 -0.250 1.000 … (4 numbers)'
    """
    if prediction["similarity"] is not None:
        return f"cosine {prediction['similarity']:.3f}"
    numbers = prediction["vector"]
    return " ".join(f"{number:.3f}" for number in numbers[:3]) + f" … ({len(numbers)} numbers)"


def format_label(label: Any) -> str:
    """A class, several, or a number, for people.

    Example:
        >>> format_label(["joy", "love"]), format_label([]), format_label(3.14159)
        ('joy, love', '(none)', '3.142')
    """
    if isinstance(label, float):
        return f"{label:.3f}"
    if isinstance(label, str):
        return printable(label)
    return ", ".join(map(printable, label)) or "(none)"
