"""Which of several texts is meant: by its place, its letter or its words; recognised for a file as a whole."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.data.rejects import shorten
from tunesmith.errors import DataError
from tunesmith.tasks.classification_labels import as_number

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ONE = {
    "letters": "a letter from A on",
    "indices": "a place from 0 on",
    "numbers": "a place from 1 on",
    "texts": "the text of one of them",
}
"""How one of several texts is named; the first one that fits a whole file is taken."""
SEVERAL = {
    "flags": "a list of 0 and 1, one for each of them",
    "indices": "a list of places from 0 on",
    "texts": "a list of texts among them",
}
"""How any number of several texts are named."""
_FLAGS = {"0": False, "1": True, "false": False, "true": True}
_PUNCTUATION = " \t()[].:)、。)"
_NUMBERS = re.compile(r"\d+(?:[ ,;|]+\d+)*")


def letter_of(place: int) -> str:
    """The letter of a place, from A on; its number behind Z.

    Example:
        >>> letter_of(0), letter_of(26)
        ('A', '27')
    """
    return LETTERS[place] if place < len(LETTERS) else str(place + 1)


def read_one(label: Any, texts: Sequence[str]) -> dict[str, int]:
    """Each way to read a label that names one of several texts → its place.

    Example:
        >>> read_one("(b)", ["tea", "milk"]), read_one(1, ["tea", "milk"]), read_one("milk", ["tea", "milk"])
        ({'letters': 1}, {'indices': 1, 'numbers': 0}, {'texts': 1})
    """
    found: dict[str, int] = {}
    if isinstance(label, str):
        letter = unicodedata.normalize("NFKC", label).strip(_PUNCTUATION).upper()
        if len(letter) == 1 and letter in LETTERS[: len(texts)]:
            found["letters"] = LETTERS.index(letter)
    number = as_number(label)
    if number is not None and number.is_integer():
        if 0 <= number < len(texts):
            found["indices"] = int(number)
        if 1 <= number <= len(texts):
            found["numbers"] = int(number) - 1
    place = _place_of_text(label, texts)
    return found if place is None else {**found, "texts": place}


def _place_of_text(label: Any, texts: Sequence[str]) -> int | None:
    """The place of a text among others; None where it is not there, or twice."""
    if isinstance(label, bool) or not isinstance(label, (str, int, float)):
        return None
    wanted = _key(str(label))
    places = [place for place, text in enumerate(texts) if _key(text) == wanted]
    return places[0] if len(places) == 1 else None


def _key(text: str) -> str:
    return " ".join(text.split())


def read_several(labels: Any, texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Each way to read labels that name any number of several texts → their places, in order.

    Example:
        >>> read_several([0, 1], ["tea", "milk"]), read_several("milk", ["tea", "milk"])
        ({'flags': (1,), 'indices': (0, 1)}, {'texts': (1,)})
    """
    values = _as_list(labels)
    flags = [_FLAGS.get(_flag_key(value)) for value in values]
    found: dict[str, tuple[int, ...]] = {}
    if len(flags) == len(texts) and None not in flags:
        found["flags"] = tuple(place for place, flag in enumerate(flags) if flag)
    one_by_one = [read_one(value, texts) for value in values]
    for kind in ("indices", "texts"):
        places = [readings[kind] for readings in one_by_one if kind in readings]
        if len(places) == len(values) == len(set(places)):
            found[kind] = tuple(sorted(places))
    return found


def _flag_key(value: Any) -> str:
    number = as_number(value)
    return f"{number:g}" if number is not None else str(value).strip().lower()


def _as_list(labels: Any) -> list[Any]:
    """Labels as a list: from JSON, or cut at | or between digits, where a cell cannot hold one."""
    if isinstance(labels, (list, tuple)):
        return list(labels)
    if not isinstance(labels, str):
        return [labels]
    text = labels.strip()
    if text.startswith("["):
        try:
            found = json.loads(text)
            return found if isinstance(found, list) else [text]
        except (ValueError, RecursionError):
            return [text]
    if _NUMBERS.fullmatch(text):
        return re.findall(r"\d+", text)
    return [part.strip() for part in text.split("|")]


def find_kind(readings: Sequence[Mapping[str, Any]], kinds: Mapping[str, str], wish: str, *, setting: str) -> str:
    """How the labels of a file name texts.

    Args:
        readings: each way to read the label of each row.
        kinds: the ways there are, the likeliest first.
        wish: one of them, or "auto": the first that fits every row, or else the one that fits most.
        setting: what the user sets to say it.

    Raises:
        DataError: no label can be read, or all can be read in two ways and mean different ones: as places and as
            texts, or as places from 0 and from 1.
    """
    if wish != "auto":
        return wish
    fits = {kind: sum(kind in found for found in readings) for kind in kinds}
    kind = max(kinds, key=lambda name: fits[name])
    if not fits[kind]:
        wanted = ", or ".join(kinds.values())
        raise DataError(f"no label says which texts are right; wanted {wanted}", fix="name the right column of labels")
    for other in ("texts", "numbers"):
        if fits.get(other) == fits[kind] and any(_differ(found, kind, other) for found in readings):
            raise DataError(
                f"the labels can be read as {kinds[kind]} and as {kinds[other]}, and mean different ones",
                fix=f"say which it is: --set {setting}={kind} or --set {setting}={other}",
            )
    return kind


def _differ(found: Mapping[str, Any], kind: str, other: str) -> bool:
    return kind in found and other in found and found[kind] != found[other]


def read_as(found: Mapping[str, Any], kinds: Mapping[str, str], kind: str, label: Any, count: int) -> Any:
    """The place or places that a label means.

    A letter or a text of the row can be told from places, so a row of another file may name its choice so, too; a place
    cannot, whose counting begins at 0 or 1.

    Args:
        found: each way to read it.
        kinds: the ways there are.
        kind: the file's.
        label: as it stands there.
        count: texts of the row.

    Raises:
        DataError: it cannot be read that way.
    """
    plain = [found[other] for other in ("letters", "texts") if other in found]
    if kind not in found and len(set(plain)) != 1:
        raise DataError(
            f"label {shorten(label)} is not {kinds[kind]}, as the labels are here, for a row of {count} texts",
            fix="correct it, or say how labels are given when you fit: --set task.kind=" + " or ".join(kinds),
        )
    return found.get(kind, plain[0] if plain else None)
