"""What a model card says of use: with Tunesmith, and with the library whose format the folder is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.asking import sample_row
from tunesmith.tasks import make_task

AUTO_CLASSES = {
    "sequence": "AutoModelForSequenceClassification",
    "token": "AutoModelForTokenClassification",
    "multiple_choice": "AutoModelForMultipleChoice",
    "question_answering": "AutoModelForQuestionAnswering",
    "vectors": "AutoModel",
    "causal_lm": "AutoModelForCausalLM",
    "text_to_text": "AutoModelForSeq2SeqLM",
}
"""Kind of head → the class of transformers that loads it."""
PIPELINES = {
    "sequence": "text-classification",
    "token": "token-classification",
    "vectors": "sentence-similarity",
    "causal_lm": "text-generation",
}
"""Kind of head → what Hugging Face calls its use."""


def describe_use(facts: Mapping[str, Any]) -> str:
    """The section of a card.

    Args:
        facts: as in `tunesmith.json`; early versions did not tell the head.
    """
    options = dict(facts["task"])
    row = sample_row(make_task(options.pop("name"), options), "en")
    asked = f"model.predict([{_as_python(row)}])"
    lines = ["## Use", *_code("import tunesmith as ts", "", 'model = ts.load("this-folder")', asked)]
    if not loads_elsewhere(facts):
        return "\n".join([*lines, "", "It loads with Tunesmith only: it is no standard Hugging Face class by itself."])
    if _head(facts).get("kind") == "vectors":
        return "\n".join([*lines, *_with_sentence_transformers(facts)])
    elsewhere = _with_peft(facts) if facts["stores"] == "adapter" else _with_transformers(facts, asks_one=len(row) == 1)
    return "\n".join([*lines, *elsewhere, *_units(facts)])


def name_pipeline(facts: Mapping[str, Any]) -> str:
    """What Hugging Face calls the use of such a head, else the task's name."""
    return PIPELINES.get(_head(facts).get("kind", ""), str(facts["task"]["name"]))


def _head(facts: Mapping[str, Any]) -> dict[str, Any]:
    return facts.get("head") or {}


def _as_python(row: Mapping[str, Any]) -> str:
    """A row as an argument of `predict`; a single text needs no name."""
    values = list(row.values())
    one = len(values) == 1 and isinstance(values[0], str)
    return repr(values[0] if one else dict(row)).replace("'", '"')


def _code(*lines: str) -> list[str]:
    return ["", "```python", *lines, "```"]


def loads_elsewhere(facts: Mapping[str, Any]) -> bool:
    """Whether another library can load the folder; PEFT would not give the base model the tokens added to it."""
    head, stores = _head(facts), facts["stores"]
    if head.get("kind") == "vectors":
        return bool(stores != "delta")
    standard = head.get("pooling", "standard") == "standard" and head.get("form", "standard") == "standard"
    lacks_tokens = bool(head.get("added_tokens")) and stores != "whole"
    return bool(standard) and stores != "delta" and not lacks_tokens


def _with_peft(facts: Mapping[str, Any]) -> list[str]:
    head = _head(facts)
    name = AUTO_CLASSES[head["kind"]]
    has_size = head["kind"] in ("sequence", "token", "question_answering")
    size = f", num_labels={len(head['names']) or 1}" if has_size else ""
    imports = ["from peft import PeftModel", f"from transformers import {name}", ""]
    loads = [f'base = {name}.from_pretrained("…"{size})', 'PeftModel.from_pretrained(base, "this-folder")']
    return ["", "It is a PEFT adapter too:", *_code(*imports, *loads)]


def _with_transformers(facts: Mapping[str, Any], *, asks_one: bool) -> list[str]:
    said, head = ["", "It is a plain Hugging Face folder too:"], _head(facts)
    if not asks_one or head["kind"] == "text_to_text":  # no pipeline of transformers takes such rows
        name = AUTO_CLASSES[head["kind"]]
        return [*said, *_code(f"from transformers import {name}", "", f'{name}.from_pretrained("this-folder")')]
    ask = f'pipeline("{name_pipeline(facts)}", model="this-folder")("a text")'
    return [*said, *_code("from transformers import pipeline", "", ask), *_tokens(head.get("added_tokens") or ())]


def _with_sentence_transformers(facts: Mapping[str, Any]) -> list[str]:
    needs = " (with PEFT, and its base under the name in `adapter_config.json`)" if facts["stores"] == "adapter" else ""
    load = 'SentenceTransformer("this-folder").encode(["a text"])'
    said = f"It is a folder of sentence-transformers too{needs}:"
    return ["", said, *_code("from sentence_transformers import SentenceTransformer", "", load)]


def _tokens(added: Sequence[str]) -> list[str]:
    named = ", ".join(f"`{token}`" for token in added)
    return ["", f"There, its texts need the tokens {named}; Tunesmith puts them in itself."] if added else []


def _units(facts: Mapping[str, Any]) -> list[str]:
    """What is to be done with the number of another library, where the head cannot hold the unit of the labels."""
    outputs = facts.get("outputs")
    if outputs is None:
        return []
    scale = "" if outputs["scale"] == 1 else f"multiply the number it gives by {outputs['scale']:g}, then "
    return [
        "",
        f"Its last layer has no bias: {scale}add {outputs['offset']:g} to the number. Tunesmith does so itself.",
    ]
